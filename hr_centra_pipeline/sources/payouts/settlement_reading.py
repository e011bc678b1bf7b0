"""A settlement file cut into lines by the layout that knows it, with what it says outside of them: its totals, whose it is."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from hr_centra_pipeline.core.money import minor_units
from hr_centra_pipeline.sources.intake import bounds, cutting
from hr_centra_pipeline.sources.intake.contents import Content
from hr_centra_pipeline.sources.intake.cutting import BadRow, Cut
from hr_centra_pipeline.sources.payouts.settlement_profiles import PayoutProfile, Spot, missing_headers

Footers = dict[str, dict[str, Decimal]]

# Values outside the lines, which every line gets as cells of its own.
_ABOVE = {"payout_id": "(statement)", "account": "(account)", "settlement_currency": "(settlement currency)"}
_HEADER_WITHIN = 100  # lines
_LONGEST_CELL = 1_000_000
_LONGEST_TEXT = 20_000
_AMOUNT = {
    ".": re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,6})?"),
    ",": re.compile(r"[+-]?([0-9]{1,18}|[0-9]{1,3}(\.[0-9]{3}){1,5})(,[0-9]{1,6})?"),
}


@dataclass
class Settlement:
    """A file cut into lines by its layout; ``footers``: its own totals by currency; ``summary``: the cells above its header."""

    profile: PayoutProfile
    cut: Cut
    columns: dict[str, str] = field(default_factory=dict)
    footers: Footers = field(default_factory=dict)
    summary: list[list[str]] = field(default_factory=list)

    def add_above(self, values: dict[str, Sequence[str]]) -> None:
        """Give every line cells that are not in it: our column -> a value per line."""
        for column, cells in values.items():
            self.cut.headers.append(_ABOVE[column])
            self.columns[column] = _ABOVE[column]
            for (_, row), cell in zip(self.cut.rows, cells, strict=True):
                row.append(cell)

    def told_above(self, name: str | None) -> str | None:
        """The value under a name in the block above the header."""
        for row, below in zip(self.summary, [*self.summary[1:], []], strict=True):
            if name is not None and name in row:
                place = row.index(name)
                if len(row) == 2 and place == 0:
                    return row[1] or None
                return (below[place] if place < len(below) else "") or None
        return None


def recognised(content: Content, profiles: Sequence[PayoutProfile]) -> Settlement | str:
    """The file cut by the layout whose headers it has, or why it has none."""
    misses: list[tuple[int, str]] = []
    for profile in profiles:
        try:
            read = _cut_records(content, profile) if profile.records else _cut_lines(content, profile)
        except UnicodeDecodeError:
            return "its header is not UTF-8"
        except csv.Error as error:
            misses.append((len(profile.columns), f"as {profile.name} it cannot be read: {error}"))
            continue
        except cutting.TooManyBadRows as error:
            if not missing_headers(profile, error.headers):
                return str(error)
            misses.append((len(profile.columns), f"as {profile.name} it cannot be read: {error}"))
            continue
        missing = missing_headers(profile, read.cut.headers)
        if not missing:
            read.columns = {**profile.mapped(read.cut.headers), **read.columns}
            try:
                _bound(read.cut)
            except cutting.TooManyBadRows as error:
                return str(error)
            return read
        misses.append((len(missing), f"the closest is {profile.name}, which needs {', '.join(missing)}"))
    return f"no layout of settlement files knows its header; {min(misses, default=(0, 'there is none'))[1]}"


def _bound(cut: Cut) -> None:
    """Set rows aside that are longer than any line of a settlement."""
    long = [(line, row) for line, row in cut.rows if sum(map(len, row)) > _LONGEST_CELL]
    for line, row in long:
        cut.reject(BadRow(line, f"is longer than {_LONGEST_CELL:,} characters", ",".join(row)[:1000]))
    if long:
        cut.rows = [(line, row) for line, row in cut.rows if sum(map(len, row)) <= _LONGEST_CELL]


def _cut_lines(content: Content, profile: PayoutProfile) -> Settlement:
    """Cut a file of lines under a header, which may have a block of names and values above it."""
    lines = content.data.split(b"\n", _HEADER_WITHIN)[:_HEADER_WITHIN]
    above: list[list[str]] = []
    best: tuple[int, int, list[list[str]], list[str]] | None = None
    for number, line in enumerate(lines):
        if line.count(profile.delimiter.encode()) >= bounds.MOST_COLUMNS:
            continue  # no header, and no cells above one
        try:
            headers = cutting.header_of(line, profile.delimiter)
        except (UnicodeDecodeError, csv.Error):
            if number == 0:
                raise
            continue
        missing = len(missing_headers(profile, headers))
        if best is None or missing < best[0]:
            best = (missing, number, list(above), headers)
        if not missing:
            break
        if any(headers):
            above.append(headers)
    missing, skipped, summary, headers = best or (1, 0, [], [])
    if missing:
        return Settlement(profile, Cut(headers))
    rest = content.data.split(b"\n", skipped)[skipped]
    cut = cutting.cut_csv(replace(content, data=rest), profile.delimiter)
    cut.rows = [(line + skipped, row) for line, row in cut.rows]
    cut.bad = [replace(bad, line=bad.line + skipped) for bad in cut.bad]
    read = Settlement(profile, cut, summary=summary)
    if profile.summary is not None and not missing_headers(profile, cut.headers):
        told = {column: read.told_above(getattr(profile.summary, column)) for column in _ABOVE}
        read.add_above({column: [value] * len(cut.rows) for column, value in told.items() if value is not None})
    return read


def _cut_records(content: Content, profile: PayoutProfile) -> Settlement:
    """Cut a file whose first column states what a record is; records of other kinds are left out."""
    records = profile.records
    assert records is not None  # noqa: S101 - the caller looked
    cut = Cut([])
    read = Settlement(profile, cut)
    latest: dict[str, list[str]] = {}
    above: dict[str, list[str]] = {"payout_id": [], "account": []}
    for number, raw in enumerate(content.data.split(b"\n"), start=1):
        if not raw.strip():
            continue
        if raw.count(profile.delimiter.encode()) >= bounds.MOST_COLUMNS:
            why = f"has more than {bounds.MOST_COLUMNS:,} columns"
            cut.reject(BadRow(number, why, raw[:_LONGEST_TEXT].decode("utf-8", "replace")))
            continue
        try:
            values = next(csv.reader([raw.decode().rstrip("\r")], delimiter=profile.delimiter, strict=True), [])
        except (UnicodeDecodeError, csv.Error) as error:
            cut.reject(BadRow(number, f"cannot be read: {error}", raw.decode("utf-8", "replace")))
            continue
        record = values[0].strip() if values else ""
        latest[record] = values
        if record == records.header:
            headers = [header.strip() for header in values[1:]]
            if cut.rows and headers != cut.headers:
                cut.reject(BadRow(number, "is another header than before", raw.decode()))
            else:
                cut.headers = headers
        elif record == records.line:
            if len(values) - 1 == len(cut.headers):
                cut.rows.append((number, values[1:]))
                told = [_at(latest, spot) for spot in records.statement]
                above["payout_id"].append(" ".join(one for one in told if one) if all(told) else "")
                above["account"].append(_at(latest, records.account))
            else:
                cut.reject(BadRow(number, f"has {len(values) - 1} of {len(cut.headers)} columns", raw.decode()))
        elif record == records.total:
            _add_footer(profile, values, read.footers)
    read.add_above({
        column: cells for column, cells in above.items()
        if column not in profile.columns and (records.account if column == "account" else records.statement)
    })  # fmt: skip
    return read


def _at(latest: dict[str, list[str]], spot: Spot | None) -> str:
    """What a record says at a place; nothing where there is no such record, or no such place."""
    values = latest.get(spot.record, []) if spot else []
    return values[spot.place].strip() if spot and spot.place < len(values) else ""


def _add_footer(profile: PayoutProfile, values: Sequence[str], footers: Footers) -> None:
    total = profile.total
    currency = values[total.currency].strip().upper()[:20] if len(values) > total.currency else ""
    sums = footers.setdefault(currency, {})
    for name in ("gross_credits", "gross_debits", "fee_credits", "fee_debits"):
        place = getattr(total, name)
        if place is None or place >= len(values):
            continue
        amount = exact(values[place].strip() or "0")
        if amount is None:
            amount = Decimal("NaN")  # equals nothing
        elif profile.money.smallest_units:
            amount = amount.scaleb(-minor_units(currency))
        sums[name] = sums.get(name, Decimal(0)) + amount


def exact(text: str, point: str = ".") -> Decimal | None:
    """An amount outside of the lines; none where it is not written as one: ``Decimal`` itself takes far more."""
    if not _AMOUNT[point].fullmatch(text):
        return None
    return Decimal(text if point == "." else text.replace(".", "").replace(",", "."))
