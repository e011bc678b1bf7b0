"""The manual: the Markdown files of ``docs/`` as HTML, each heading with an anchor, each link at its place on the site.

HTML within them is shown as text. Which files there are is listed from the folder; an address never becomes a path.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import pairwise
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from hr_centra_pipeline.core.page_addresses import MANUAL

IMAGE_TYPES: Mapping[str, str] = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg"}
FIRST = (
    "pages",
    "manual-customer-service",
    "manual-warehouse",
    "manual-finance",
    "exceptions",
    "glossary",
    "month-end",
)
"""What the list of pages begins with: what teams read most."""


@dataclass(frozen=True)
class Heading:
    """One heading: ``anchor`` is what follows ``#`` in an address."""

    level: int
    anchor: str
    text: str


@dataclass(frozen=True)
class ManualPage:
    """One page, read."""

    name: str
    title: str
    headings: tuple[Heading, ...]
    html: Markup


@cache
def names() -> tuple[str, ...]:
    """The pages there are: the path of each file in ``docs/`` without its ending."""
    found = {name.removesuffix(".md") for name in _files() if name.endswith(".md")}
    return tuple(
        sorted(found, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), "/" in name, name))
    )


@cache
def manual_page(name: str) -> ManualPage | None:
    """A page by its name; ``None``: there is none."""
    file = _files().get(f"{name}.md")
    if file is None or name not in names():
        return None
    reader, tokens = _reader(), _reader().parse(file.read_text(encoding="utf-8"))
    headings = _anchored(tokens)
    for token in tokens:
        for inner in token.children or []:
            _place(inner, name)
    title = next((one.text for one in headings if one.level == 1), name)
    html = Markup(reader.renderer.render(tokens, reader.options, {}))  # noqa: S704 - our own files, HTML in them escaped
    return ManualPage(name, title, tuple(headings), html)


@cache
def manual_section(name: str, anchor: str) -> Markup:
    """What is below one heading of a page, up to the next heading; empty where there is no such heading."""
    file = _files().get(f"{name}.md")
    tokens = _reader().parse(file.read_text(encoding="utf-8")) if file is not None and name in names() else []
    _anchored(tokens)
    starts = [place for place, token in enumerate(tokens) if token.type == "heading_open"]
    start = next((place for place in starts if tokens[place].attrGet("id") == anchor), None)
    if start is None:
        return Markup()
    end = next((place for place in starts if place > start), len(tokens))
    section = tokens[start + 3 : end]  # behind the heading: its opening, its text and its end
    for token in section:
        for inner in token.children or []:
            _place(inner, name)
    reader = _reader()
    return Markup(reader.renderer.render(section, reader.options, {}))  # noqa: S704 - our own files, HTML in them escaped


def _reader() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])


def image(name: str) -> tuple[bytes, str] | None:
    """A picture of the manual with its type; ``None``: there is none of this name."""
    file = _files().get(f"images/{name}")
    media_type = IMAGE_TYPES.get(PurePosixPath(name).suffix)
    return (file.read_bytes(), media_type) if file is not None and media_type is not None else None


def anchor_of(text: str) -> str:
    """The anchor of a heading, as code hosts make it: lower case, spaces as hyphens, no punctuation but ``-`` and ``_``."""
    kept = (sign for sign in text.strip().lower() if sign in " -_" or unicodedata.category(sign)[0] in "LN")
    return "".join(kept).replace(" ", "-")


def _anchored(tokens: list[Token]) -> list[Heading]:
    found: list[Heading] = []
    counts: dict[str, int] = {}
    for opening, inline in pairwise(tokens):
        if opening.type != "heading_open":
            continue
        text = "".join(part.content for part in inline.children or [] if part.type in ("text", "code_inline"))
        anchor = anchor_of(text)
        counts[anchor] = counts.get(anchor, -1) + 1
        if counts[anchor]:
            anchor = f"{anchor}-{counts[anchor]}"
        opening.attrSet("id", anchor)
        found.append(Heading(int(opening.tag[1:]), anchor, text))
    return found


def _place(token: Token, page: str) -> None:
    """A link or picture of a page: where it is on the site. A link to a file that is not part of the manual leads nowhere."""
    if token.type == "image":
        path = _within(page, str(token.attrGet("src") or ""))
        known = path is not None and path.startswith("images/") and path in _files()
        token.attrSet("src", f"{MANUAL}/{quote(path)}" if known and path else "data:,")
    if token.type != "link_open":
        return
    address = str(token.attrGet("href") or "")
    if re.match(r"https?://", address):
        token.attrSet("rel", "noreferrer noopener")
        return
    target, _, section = address.partition("#")
    path = f"{page}.md" if not target else _within(page, target)
    if path is None or not path.endswith(".md") or path not in _files():
        del token.attrs["href"]
        return
    token.attrSet("href", f"{MANUAL}/{quote(path.removesuffix('.md'))}{f'#{section}' if section else ''}")


def _within(page: str, target: str) -> str | None:
    """The path in ``docs/`` of what a page links to; ``None``: it is outside."""
    parts: list[str] = [*PurePosixPath(page).parts[:-1]]
    for part in PurePosixPath(unquote(target)).parts:
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


@cache
def _files() -> Mapping[str, Traversable]:
    """Every file of the manual by its path in ``docs/``: in the wheel within the package, in a clone beside it."""
    packaged = resources.files("hr_centra_pipeline") / "docs"
    root: Traversable = packaged if packaged.is_dir() else Path(__file__).parents[2] / "docs"
    found: dict[str, Traversable] = {}

    def list_of(folder: Traversable, before: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                list_of(entry, f"{before}{entry.name}/")
            elif entry.is_file():
                found[f"{before}{entry.name}"] = entry

    if root.is_dir():
        list_of(root, "")
    return found
