"""One sheet of a workbook, written from top to bottom: frame, tables, and how each kind of value is shown.

Amounts are written as exact decimals. Texts are written as texts, marked so that a spreadsheet never takes one for a formula,
not even when somebody edits its cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from hr_centra_pipeline.core.money import decimals
from hr_centra_pipeline.publishing.content import Row

HEADER_ROW = 3
"""Zero-based row of the first table's header on every sheet: title, what it is, the way back, header."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_LONGEST = 32_767  # characters that a cell can hold
_QUIET = "#5F6B7A"
_GOOD = {"font_color": "#1B6E3C", "bg_color": "#DDF3E4"}
_BAD = {"font_color": "#9C1C1C", "bg_color": "#FBE3E1"}
_UNSURE = {"font_color": "#7A5B00", "bg_color": "#FFF1CC"}
_NEWS = {"font_color": "#1F4E8C", "bg_color": "#E1ECFA"}
_COLOURS: dict[tuple[str, str], dict[str, Any]] = {
    ("status", "ties"): _GOOD,
    ("status", "does not tie"): _BAD,
    ("status", "not covered"): _UNSURE,
    ("status", "late"): _NEWS,
    ("status", "✓"): _GOOD,
    ("status", "✗"): _BAD,
    ("status", "open"): _UNSURE,
    ("status", "closed"): _NEWS,
    ("status", "prepared"): _NEWS,
    ("status", "certified"): _GOOD,
    ("status", "decertified"): _BAD,
    ("bad", "True"): _BAD,
    ("covered", "False"): _UNSURE,
}


_WRAPPED = ("words", "input")
_MOST_LINES = 8


def _lines(value: Any, width: float) -> int:
    """Lines that a wrapped text takes, about: spreadsheets do not agree on how to fit a row by themselves."""
    return sum(1 + int(len(line) // (width * 0.95)) for line in str(value or "").split("\n"))


@dataclass(frozen=True)
class Column:
    """One column: its title, which value of a row, its width in characters, and how it is shown.

    Kinds: text, right (a text on the right), words (wrapped), money, count, instant, bad (a yes is red), covered (a no
    is yellow), alarm (red unless zero), status (coloured), input (filled in by people), hidden.
    """

    title: str
    name: str
    width: float = 12
    kind: str = "text"


def columns(text: str) -> list[Column]:
    """Columns from lines of ``title | name | width | kind``."""
    found = []
    for line in text.strip().splitlines():
        title, name, width, kind = (part.strip() for part in line.split("|"))
        found.append(Column(title, name, float(width), kind))
    return found


@dataclass
class Book:
    """The workbook that is being written, and its formats, each made once."""

    book: xlsxwriter.Workbook
    formats: dict[tuple[tuple[str, Any], ...], Format] = field(default_factory=dict)

    def format(self, **properties: Any) -> Format:
        """A cell format."""
        key = tuple(sorted(properties.items()))
        if key not in self.formats:
            usual = {"font_name": "Calibri", "font_size": 10, "valign": "top"}
            self.formats[key] = self.book.add_format({**usual, **properties})
        return self.formats[key]

    def text(self, value: str, **more: Any) -> Format:
        """A text's format: one that could start a formula is marked as quoted."""
        return self.format(**more, quote_prefix=True) if value.startswith(FORMULA_STARTS) else self.format(**more)

    def money(self, amount: Decimal, currency: str | None, **more: Any) -> Format:
        """As many decimals as the currency has, and all four when the amount has more."""
        digits = decimals(amount, currency or "EUR")
        zeros = f"0.{'0' * digits}" if digits else "0"
        return self.format(num_format=f"#,##{zeros}_);[Red]-#,##{zeros}_);#,##{zeros}_)", **more)


@dataclass
class Sheet:
    """One sheet; ``row`` is the next one to write. What was written cannot be changed any more."""

    book: Book
    sheet: Worksheet
    name: str
    month: str
    row: int = 0

    def begin(
        self,
        title: str,
        what: str,
        shape: Sequence[Column],
        *,
        third_line: str = "",
        is_one_table: bool = True,
    ) -> None:
        """Widths and print set-up, then title, a sentence, and the way back (or another line).

        ``is_one_table``: its header is repeated on each printed page.
        """
        for position, column in enumerate(shape):
            self.sheet.set_column(position, position, column.width, None, {"hidden": column.kind == "hidden"})
        self.sheet.hide_gridlines(2)
        self.sheet.set_landscape()
        self.sheet.set_paper(9)
        self.sheet.fit_to_pages(1, 0)
        self.sheet.set_margins(left=0.4, right=0.4, top=0.6, bottom=0.6)
        if is_one_table:
            self.sheet.repeat_rows(HEADER_ROW)
        self.sheet.set_footer(f"&L&9 {self.month} · {self.name}&R&9page &P of &N")
        self.sheet.set_row(0, 24)
        heading = self.book.format(bold=True, font_size=15, valign="vcenter")
        self.sheet.write_string(0, 0, f"{title} · {self.month}", heading)
        self.sheet.write_string(1, 0, what, self.book.format(font_color=_QUIET))
        if third_line:
            self.sheet.write_string(2, 0, third_line, self.book.format(font_color=_QUIET))
        else:
            self.link(2, 0, "1 Summary", "← Summary")
        self.row = HEADER_ROW

    def link(self, row: int, column: int, sheet: str, text: str, cell: str = "A1", **more: Any) -> None:
        """A link to a place in the workbook."""
        look = self.book.format(font_color="#1F5FA8", underline=1, **more)
        self.sheet.write_url(row, column, f"internal:'{sheet}'!{cell}", look, text)

    def heading(self, text: str) -> None:
        """A heading below a table."""
        self.row += 1
        self.sheet.write_string(self.row, 0, text, self.book.format(bold=True, font_size=12))
        self.row += 1

    def line(self, label: str, value: str, **look: Any) -> None:
        """A label and its value."""
        self.sheet.write_string(self.row, 0, label, self.book.format(font_color=_QUIET))
        coloured = {**look, **_COLOURS.get(("status", value), {})}
        self.sheet.write_string(self.row, 1, value[:_LONGEST], self.book.text(value, **coloured))
        self.row += 1

    def quiet(self, text: str, column: int = 0) -> None:
        """A sentence, in the next row or (in another column) beside the content of the last one."""
        row = self.row if column == 0 else self.row - 1
        self.sheet.write_string(row, column, text, self.book.format(italic=True, font_color=_QUIET))
        self.row += column == 0

    def table(
        self,
        shape: Sequence[Column],
        rows: Iterable[Row],
        *,
        filters: bool = True,
        freeze: bool = True,
        empty: str = "Nothing.",
    ) -> int:
        """Header and rows; answers how many rows. Filters and frozen header belong to one table of a sheet."""
        first = self.row
        common = {"bold": True, "text_wrap": True, "valign": "vcenter", "border": 1}
        dark = {**common, "font_color": "#FFFFFF", "bg_color": "#2F4858", "border_color": "#2F4858"}
        yellow = {**common, "font_color": "#2F4858", "bg_color": "#FFE9A8", "border_color": "#D9B84A"}
        self.sheet.set_row(first, 42)
        for position, column in enumerate(shape):
            look = yellow if column.kind == "input" else dark
            # A little room on the right, as the numbers have it: the next title may be on the left.
            side = (
                {"align": "right", "indent": 1}
                if column.kind in ("money", "count", "alarm", "right")
                else {"align": "left"}
            )
            self.sheet.write_string(first, position, column.title, self.book.format(**look, **side))
        self.row += 1
        count = 0
        for row in rows:
            self._row(shape, row)
            count += 1
        if freeze:
            self.sheet.freeze_panes(first + 1, min(2, len(shape)))
        if count and filters:
            self.sheet.autofilter(first, 0, self.row - 1, len(shape) - 1)
        if not count:
            self.quiet(empty)
        return count

    def _row(self, shape: Sequence[Column], row: Row) -> None:
        base: dict[str, Any] = {"bold": True, "top": 1, "bg_color": "#EEF2F5"} if row.get("_total") else {}
        lines = max(
            (_lines(row.get(column.name), column.width) for column in shape if column.kind in _WRAPPED), default=1
        )
        if lines > 1:
            self.sheet.set_row(self.row, 3 + 12.5 * min(lines, _MOST_LINES))
        for position, column in enumerate(shape):
            value = row.get(column.name)
            look = {**base, **_COLOURS.get((column.kind, str(value)), {})}
            if column.kind == "alarm" and value:
                look |= _BAD
            if column.kind == "input":
                look |= {"bg_color": "#FFF8E1", "border": 1, "border_color": "#E6D9A8", "text_wrap": True}
            if column.kind == "words":
                look["text_wrap"] = True
            if column.kind == "right":
                look["align"] = "right"
            link = row.get(f"_link {column.name}")
            if link is not None and value is not None:
                self.link(self.row, position, link[0], str(value), link[1], **base)
            else:
                self._cell(position, value, row.get("currency"), look)
        self.row += 1

    def _cell(self, position: int, value: Any, currency: str | None, look: dict[str, Any]) -> None:
        place = (self.row, position)
        if value is None or value == "":
            if look:
                self.sheet.write_blank(*place, None, self.book.format(**look))
        elif isinstance(value, bool):
            self.sheet.write_string(*place, "yes" if value else "no", self.book.format(**look))
        elif isinstance(value, Decimal):
            # Written as "%.16G" % value, which of a Decimal is exact.
            exact: Any = value.normalize() if value else 0
            self.sheet.write_number(*place, exact, self.book.money(value, currency, **look))
        elif isinstance(value, int):
            self.sheet.write_number(*place, value, self.book.format(num_format="#,##0_)", **look))
        elif isinstance(value, datetime):
            naive = value.astimezone(UTC).replace(tzinfo=None, microsecond=0)
            self.sheet.write_datetime(
                *place, naive, self.book.format(num_format="yyyy-mm-dd hh:mm", align="left", **look)
            )
        else:
            text = str(value)[:_LONGEST]
            self.sheet.write_string(*place, text, self.book.text(text, **look))
