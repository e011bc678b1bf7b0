"""What reaches the terminal is text: what data, a policy or a file name says is never markup, nor an escape sequence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

# Control characters but line feed and tab, and what turns the direction of writing or separates lines unseen.
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def plain(text: str) -> str:
    """A text with control characters written out as an escape, so that a terminal shows them and does not obey."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def echo(text: str, *, err: bool = False) -> None:
    """Print a line or several."""
    typer.echo(plain(text), err=err)


def echo_json(found: Any) -> None:
    """Print plain values as JSON: amounts are exact, and times are ISO 8601."""
    # Imported here: only who asks for JSON waits for it.
    import simplejson

    echo(simplejson.dumps(found, indent=2, use_decimal=True, default=_as_text))


def _as_text(value: Any) -> str:
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


class DataConsole(Console):
    """Rich's console without markup: square brackets are brackets. Style is given by ``Text``."""

    def __init__(self, **given: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **given)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces to print; those that are text are plain."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=plain(segment.text))


class DataTable(Table):
    """A table of Rich's; a cell that is a ``str`` is shown as it is, and never cut: an id in it is there to be pasted."""

    def add_column(self, header: RenderableType = "", *rest: Any, **given: Any) -> None:
        """One column; what is too long for it goes on in the next line."""
        super().add_column(header, *rest, **{"overflow": "fold", **given})

    def add_whole(self, header: str, **given: Any) -> None:
        """A column of ids, dates or amounts: no cell of it is broken."""
        self.add_column(header, no_wrap=True, **given)

    def add_row(self, *cells: RenderableType | None, **given: Any) -> None:
        """One row."""
        super().add_row(*(Text(plain(cell)) if isinstance(cell, str) else cell for cell in cells), **given)
