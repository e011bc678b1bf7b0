"""The entry of one kind of exception in the manual, as the page of an exception shows it."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from hr_centra_pipeline.core import page_addresses

_PAGE = re.compile(r"([\w-]+)\.md(?:#([\w-]+))?")


@cache
def entry(kind: str) -> Markup:
    """What ``docs/exceptions.md`` says about a kind, as HTML; empty where it has no entry."""
    text = _exceptions().read_text(encoding="utf-8")
    section = re.search(rf"^### {re.escape(kind)}\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    if section is None:
        return Markup()
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(section[1])
    for token in tokens:
        for inner in token.children or []:
            _link_within(inner)
    return Markup(reader.renderer.render(tokens, reader.options, {}))  # noqa: S704 - our own manual, without HTML in it


def _link_within(token: Token) -> None:
    """A link to another page of the manual leads to its address on the site."""
    address = token.attrGet("href")
    if token.type != "link_open" or not isinstance(address, str) or address.startswith("https://"):
        return
    if address.startswith("#"):
        token.attrSet("href", page_addresses.of_manual("exceptions", address[1:]))
    elif found := _PAGE.fullmatch(address):
        token.attrSet("href", page_addresses.of_manual(found[1], found[2] or ""))
    else:
        token.attrSet("href", page_addresses.MANUAL)


def _exceptions() -> Traversable | Path:
    """In the wheel the manuals are beside the package; in a clone they are beside the package's folder."""
    packaged = resources.files("hr_centra_pipeline") / "docs" / "exceptions.md"
    return packaged if packaged.is_file() else Path(__file__).parents[2] / "docs" / "exceptions.md"
