from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hr_centra_pipeline.core import page_addresses
from hr_centra_pipeline.core.exception_kinds import EXCEPTION_KINDS
from hr_centra_pipeline.pages import manual

DOCS = Path(__file__).parents[2] / "docs"


def anchors(page: str) -> set[str]:
    found = manual.manual_page(page)
    assert found is not None
    return {one.anchor for one in found.headings}


def test_every_kind_of_exception_has_an_entry_at_the_address_that_alerts_link_to() -> None:
    entries = anchors("exceptions")
    for kind in EXCEPTION_KINDS:
        address = page_addresses.of_manual("exceptions", kind)
        assert address == f"/manual/exceptions#{kind}"
        assert kind in entries


def test_every_file_of_the_manual_is_a_page() -> None:
    assert set(manual.names()) == {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}


def test_links_between_pages_lead_to_a_heading_and_pictures_exist() -> None:
    checked = 0
    for name in manual.names():
        found = manual.manual_page(name)
        assert found is not None
        for target in re.findall(r'href="([^"]+)"', found.html):
            parts = urlsplit(target)
            if parts.scheme == "https":
                continue
            page = unquote(parts.path.removeprefix("/manual/"))
            assert page in manual.names(), (name, target)
            if parts.fragment:
                assert unquote(parts.fragment) in anchors(page), (name, target)
            checked += 1
        for source in re.findall(r'src="([^"]+)"', found.html):
            assert manual.image(source.removeprefix("/manual/images/")) is not None, (name, source)
    assert checked > 50


def test_html_in_a_file_is_text_and_what_is_not_of_the_manual_is_not_there() -> None:
    assert "<script" not in "".join(str(found.html) for name in manual.names() if (found := manual.manual_page(name)))
    for name in ("../README", "nothing", "images/lineage.png", "", "/etc/passwd", "exceptions.md"):
        assert manual.manual_page(name) is None
    for name in ("../glossary.md", "nothing.png", "../../README.md"):
        assert manual.image(name) is None


def test_a_heading_has_the_anchor_that_a_code_host_gives_it() -> None:
    assert manual.anchor_of("Behind a login") == "behind-a-login"
    assert manual.anchor_of("write_in_doubt") == "write_in_doubt"
    assert manual.anchor_of("What's new, in 2026?") == "whats-new-in-2026"
