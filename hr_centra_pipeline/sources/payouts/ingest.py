"""Landing of settlement files: a file is landed when its lines add up to its own total, else it is refused by name."""

from __future__ import annotations

import csv
import logging
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb

from hr_centra_pipeline.core.money import minor_units
from hr_centra_pipeline.sources import files
from hr_centra_pipeline.sources.files import BadRow, Content, Cut, Exports, Listed
from hr_centra_pipeline.sources.payouts import typing_sql
from hr_centra_pipeline.sources.payouts.profiles import PayoutProfile, Spot, missing_headers
from hr_centra_pipeline.warehouse.database import Connection, Warehouse

_LOG = logging.getLogger(__name__)
VARIABLE = "HR_CENTRA_PAYOUTS"
Footers = dict[str, dict[str, Decimal]]


@dataclass(frozen=True)
class PayoutReport:
    """Counts of one ingest. ``files``: looked at for the first time; ``refused_files``: of these, refused as a whole."""

    files: int = 0
    refused_files: int = 0
    rows_read: int = 0
    rows_landed: int = 0
    rows_rejected: int = 0

    def plus(self, read: int, landed: int, rejected: int, *, refused: bool) -> PayoutReport:
        """With one file more."""
        return PayoutReport(
            self.files + 1, self.refused_files + refused, self.rows_read + read, self.rows_landed + landed,
            self.rows_rejected + rejected,
        )  # fmt: skip


# Values outside the lines, which every line gets as cells of its own.
_ABOVE = {"payout_id": "(statement)", "account": "(account)", "settlement_currency": "(settlement currency)"}
_HEADER_WITHIN = 100  # lines
_LONGEST_CELL = 1_000_000
_MOST_BAD_LINES = 1_000  # that cannot be read: a file with more is refused
_LONGEST_TEXT, _LONGEST_REASON = 20_000, 1_000
_AMOUNT = {
    ".": re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,6})?"),
    ",": re.compile(r"[+-]?([0-9]{1,18}|[0-9]{1,3}(\.[0-9]{3}){1,5})(,[0-9]{1,6})?"),
}


@dataclass
class _Read:
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
        """What the block above the header tells under a name."""
        for row, below in zip(self.summary, [*self.summary[1:], []], strict=True):
            if name is not None and name in row:
                place = row.index(name)
                if len(row) == 2 and place == 0:
                    return row[1] or None
                return (below[place] if place < len(below) else "") or None
        return None


def ingest_payouts(
    warehouse: Warehouse, address: str, profiles: Sequence[PayoutProfile], now: datetime
) -> PayoutReport:
    """Land all new settlement files of a folder or fsspec address, the oldest first, one transaction per file.

    A file that was delivered again with other bytes takes the place of the payouts that it tells. A line that cannot be used is
    quarantined; where it may be about an order's money it is kept as well, as ``unknown``, and holds the order's credits.

    Raises:
        RunFailed: the place cannot be read.
        ConfigurationError: the address is none.
    """
    report = PayoutReport()
    if not address:
        return report
    exports = Exports(address, VARIABLE)
    try:
        with warehouse.transaction() as connection:
            noted = connection.execute(
                "select source_file, byte_size, modified_at from landing.payout_files"
            ).fetchall()
        known = set(noted)
        warehouse.yield_to_others()
        for listed in exports.listed():
            if (listed.name, listed.size, listed.modified_at) in known:
                continue
            try:
                content = files.opened(exports.content(listed), listed.name)
            except OSError as error:
                with warehouse.transaction() as connection:
                    report = _unreadable(connection, listed, f"cannot be read: {error}", now, report)
                continue  # the next run tries again
            try:
                with warehouse.transaction() as connection, tempfile.TemporaryDirectory() as scratch:
                    report = _land(connection, listed, content, profiles, Path(scratch), now, report)
            except (duckdb.Error, ArithmeticError, ValueError, LookupError, csv.Error, MemoryError) as error:
                with warehouse.transaction() as connection:
                    report = _unreadable(connection, listed, f"cannot be landed: {_why(error)}", now, report)
            warehouse.yield_to_others()
        return report
    finally:
        exports.close()


def _why(error: Exception) -> str:
    """Of an error one line; of memory that ran out, whose figures change each time, its name only."""
    first = "" if isinstance(error, MemoryError | duckdb.OutOfMemoryException) else str(error).split("\n")[0]
    return first[:200] or type(error).__name__


def _land(
    connection: Connection,
    listed: Listed,
    content: Content,
    profiles: Sequence[PayoutProfile],
    scratch: Path,
    now: datetime,
    report: PayoutReport,
) -> PayoutReport:
    if connection.execute(
        "select 1 from landing.payout_files where file_sha256 = ? and problem is null", [content.sha256]
    ).fetchone():
        _note(connection, listed, content, now, None)  # the same bytes under another name
        return report.plus(0, 0, 0, refused=False)
    read = content.problem or _recognised(content, profiles)
    if isinstance(read, str):
        return _refuse(connection, listed, content, read, now, report)
    if len(read.cut.bad) > _MOST_BAD_LINES:
        first = read.cut.bad[0]
        why = f"{len(read.cut.bad):,} of its lines cannot be read: line {first.line} {first.reason}"
        return _refuse(connection, listed, content, why, now, report, read.profile)
    clean = scratch / "lines.csv"
    clean.write_bytes(files.as_csv(read.cut))
    typing_sql.type_lines(connection, read.profile, read.columns, read.cut.headers, clean, listed.name, now)
    if problem := _total_problem(connection, read):
        return _refuse(connection, listed, content, problem, now, report, read.profile)
    batch = _next_batch(connection)
    rejected = [(line, column, why, None) for line, column, why in connection.execute(
        "select source_line, problem.column_name, problem.reason from payout_rows where problem is not null"
    ).fetchall()]  # fmt: skip
    texts = dict(_texts(content, {row[0] for row in rejected}))
    _quarantine(
        connection, listed, content,
        [*((line, column, why, texts.get(line)) for line, column, why, _ in rejected),
         *((bad.line, None, bad.reason, bad.text) for bad in read.cut.bad)],
        batch, now,
    )  # fmt: skip
    connection.execute(
        """
        insert into landing.payout_lines by name
        select
            * exclude (problem) replace (case when set_aside is null then line_type else 'unknown' end as line_type),
            $file as source_file, $now::timestamptz as landed_at, $batch::bigint as batch
        from payout_rows where problem is null or set_aside is not null
        """,
        {"file": listed.name, "now": now, "batch": batch},
    )
    good, first, last = connection.execute(
        "select count(*), min(happened_at), max(happened_at) from payout_rows where problem is null"
    ).fetchone() or (0, None, None)
    bad = len(rejected) + len(read.cut.bad)
    _note(
        connection, listed, content, now, None, profile=read.profile, batch=batch, counts=(good + bad, good, bad),
        times=(first, last),
    )  # fmt: skip
    return report.plus(good + bad, good, bad, refused=False)


# ---------------------------------------------------------------- reading


def _recognised(content: Content, profiles: Sequence[PayoutProfile]) -> _Read | str:
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
        except files.TooManyBadRows as error:
            if not missing_headers(profile, error.headers):
                return str(error)
            misses.append((len(profile.columns), f"as {profile.name} it cannot be read: {error}"))
            continue
        missing = missing_headers(profile, read.cut.headers)
        if not missing:
            read.columns = {**profile.mapped(read.cut.headers), **read.columns}
            try:
                _bound(read.cut)
            except files.TooManyBadRows as error:
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


def _cut_lines(content: Content, profile: PayoutProfile) -> _Read:
    """Cut a file of lines under a header, which may have a block of names and values above it."""
    lines = content.data.split(b"\n", _HEADER_WITHIN)[:_HEADER_WITHIN]
    above: list[list[str]] = []
    best: tuple[int, int, list[list[str]], list[str]] | None = None
    for number, line in enumerate(lines):
        if line.count(profile.delimiter.encode()) >= files.MOST_COLUMNS:
            continue  # no header, and no cells above one
        try:
            headers = files.header_of(line, profile.delimiter)
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
        return _Read(profile, Cut(headers))
    rest = content.data.split(b"\n", skipped)[skipped]
    cut = files.cut_csv(replace(content, data=rest), profile.delimiter)
    cut.rows = [(line + skipped, row) for line, row in cut.rows]
    cut.bad = [replace(bad, line=bad.line + skipped) for bad in cut.bad]
    read = _Read(profile, cut, summary=summary)
    if profile.summary is not None and not missing_headers(profile, cut.headers):
        told = {column: read.told_above(getattr(profile.summary, column)) for column in _ABOVE}
        read.add_above({column: [value] * len(cut.rows) for column, value in told.items() if value is not None})
    return read


def _cut_records(content: Content, profile: PayoutProfile) -> _Read:
    """Cut a file whose first column tells what a record is; records of other kinds are left out."""
    records = profile.records
    assert records is not None  # noqa: S101 - the caller looked
    cut = Cut([])
    read = _Read(profile, cut)
    latest: dict[str, list[str]] = {}
    above: dict[str, list[str]] = {"payout_id": [], "account": []}
    for number, raw in enumerate(content.data.split(b"\n"), start=1):
        if not raw.strip():
            continue
        if raw.count(profile.delimiter.encode()) >= files.MOST_COLUMNS:
            why = f"has more than {files.MOST_COLUMNS:,} columns"
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
        amount = _amount(values[place].strip() or "0")
        if amount is None:
            amount = Decimal("NaN")  # equals nothing
        elif profile.money.smallest_units:
            amount = amount.scaleb(-minor_units(currency))
        sums[name] = sums.get(name, Decimal(0)) + amount


def _amount(text: str, point: str = ".") -> Decimal | None:
    """An amount outside of the lines; none where it is not written as one: ``Decimal`` itself takes far more."""
    if not _AMOUNT[point].fullmatch(text):
        return None
    return Decimal(text if point == "." else text.replace(".", "").replace(",", "."))


# ---------------------------------------------------------------- its own total


def _total_problem(connection: Connection, read: _Read) -> str | None:
    """Why a file's lines are not what it says they sum to; ``None``: they are, or the layout has no total."""
    match read.profile.total.rule:
        case "balances":
            rows = connection.execute(
                """
                select payout_id, account, settlement_currency, sum(net_amount) from payout_rows
                where settlement_currency is not null group by all having sum(net_amount) <> 0 order by all
                """
            ).fetchall()
            several = len({(payout, account) for payout, account, *_ in rows}) > 1
            told = [
                f"payout {payout}{f' of {account}' if account and several else ''} is off by"
                f" {abs(amount).normalize():f} {currency}"
                for payout, account, currency, amount in rows
            ]
        case "footer":
            told = _footer_problems(connection, read)
        case "summary":
            told = _summary_problems(connection, read)
        case _:
            told = []
    if not told:
        return None
    bad = len(read.cut.bad) + _count(connection, "select count(*) from payout_rows where problem is not null")
    unread = f" ({bad} lines cannot be read)" if bad else ""
    return f"its lines do not add up to its own total: {'; '.join(told[:3])}{unread}"


def _footer_problems(connection: Connection, read: _Read) -> list[str]:
    if not read.footers:
        return [f"it has no record {read.profile.records.total if read.profile.records else ''} with its totals"]
    found = {
        row[0]: dict(zip(("gross_credits", "gross_debits", "fee_credits", "fee_debits"), row[1:], strict=True))
        for row in connection.execute(
            """
            select currency,
                coalesce(sum(gross_amount) filter (where gross_amount > 0), 0),
                coalesce(-sum(gross_amount) filter (where gross_amount < 0), 0),
                coalesce(sum(fee_amount) filter (where fee_amount > 0), 0),
                coalesce(-sum(fee_amount) filter (where fee_amount < 0), 0)
            from payout_rows where currency is not null group by currency
            """
        ).fetchall()
    }
    told = []
    for currency in sorted({*found, *read.footers}):
        sums = found.get(currency, {})
        for name, amount in read.footers.get(currency, {"gross_credits": Decimal(0)}).items():
            ours = sums.get(name, Decimal(0))
            if ours != amount:
                words = name.replace("_", " ")
                told.append(f"{words} {ours.normalize():f} {currency}, its total says {amount.normalize():f}")
    return told


def _summary_problems(connection: Connection, read: _Read) -> list[str]:
    """Where the block above the header is about all lines, and in their currency: what it says other than they do."""
    total = read.profile.total
    if total.when is not None and read.told_above(total.when) not in (None, *total.is_one_of):
        return []
    row = connection.execute(
        """
        select coalesce(sum(gross_amount), 0), any_value(settlement_currency),
            coalesce(bool_and(currency is null or currency = settlement_currency), true)
        from payout_rows
        """
    ).fetchone()
    said = read.told_above(total.amount)
    if said is None:
        return [f"it has no {total.amount} above its header"]
    amount, currency, is_comparable = row or (Decimal(0), None, True)
    if not is_comparable:
        return []
    whole = _amount(said.strip(), read.profile.money.decimal)
    if whole is None:
        return [f"its {total.amount} is not an amount: {said[:40]}"]
    if read.profile.money.smallest_units:
        whole = whole.scaleb(-minor_units(currency or ""))
    if amount == whole:
        return []
    return [f"{amount.normalize():f} {currency or ''}, its {total.amount} says {said[:40]}"]


def _count(connection: Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


# ---------------------------------------------------------------- notes


def _refuse(
    connection: Connection,
    listed: Listed,
    content: Content,
    problem: str,
    now: datetime,
    report: PayoutReport,
    profile: PayoutProfile | None = None,
    *,
    is_read: bool = True,
) -> PayoutReport:
    problem = problem[:_LONGEST_REASON]
    _LOG.warning("settlement file %s is refused: %s", listed.name, problem)
    batch = _next_batch(connection)
    _note(connection, listed, content, now, problem, profile=profile, batch=batch, is_read=is_read)
    _quarantine(connection, listed, content, [(None, None, problem, None)], batch, now)
    return report.plus(0, 0, 0, refused=True)


def _unreadable(
    connection: Connection, listed: Listed, problem: str, now: datetime, report: PayoutReport
) -> PayoutReport:
    """Name a file that cannot be read; without its time, so that it is tried again. Once, as long as nothing else is wrong."""
    latest = connection.execute(
        "select problem from landing.payout_files where source_file = ? order by batch desc limit 1", [listed.name]
    ).fetchone()
    if latest is not None and latest[0] == problem:
        return report
    return _refuse(connection, listed, Content(b"", ""), problem, now, report, is_read=False)


def _note(
    connection: Connection,
    listed: Listed,
    content: Content,
    now: datetime,
    problem: str | None,
    *,
    profile: PayoutProfile | None = None,
    batch: int | None = None,
    counts: tuple[int, int, int] = (0, 0, 0),
    times: tuple[datetime | None, datetime | None] = (None, None),
    is_read: bool = True,
) -> None:
    connection.execute(
        "insert into landing.payout_files values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            listed.name, content.sha256, profile and profile.name, profile and profile.provider, listed.size,
            listed.modified_at if is_read else None,  # without it the file is tried again
            *counts, *times, problem, batch if batch is not None else _next_batch(connection), now,
        ],
    )  # fmt: skip


def _quarantine(
    connection: Connection,
    listed: Listed,
    content: Content,
    rows: Sequence[tuple[int | None, str | None, str, str | None]],
    batch: int,
    now: datetime,
) -> None:
    """Set lines aside; in one statement: one each would keep a block of the database in memory each."""
    connection.execute(
        """
        insert into quarantine.rejected_rows
        select $name, unnest($lines::bigint[]), 'payouts', unnest($columns::varchar[]), unnest($reasons::varchar[]),
            unnest($texts::varchar[]), $sha256, $batch, $now
        """,
        {
            "name": listed.name, "lines": [row[0] for row in rows], "columns": [row[1] for row in rows],
            "reasons": [row[2][:_LONGEST_REASON] for row in rows],
            "texts": [row[3] and row[3][:_LONGEST_TEXT] for row in rows],
            "sha256": content.sha256, "batch": batch, "now": now,
        },
    )  # fmt: skip


def _texts(content: Content, wanted: set[int]) -> list[tuple[int, str]]:
    lines = content.data.split(b"\n")
    return [
        (number, lines[number - 1][:_LONGEST_TEXT].decode("utf-8", "replace").rstrip("\r")) for number in sorted(wanted)
    ]


def _next_batch(connection: Connection) -> int:
    row = connection.execute("select nextval('landing.batch_numbers')").fetchone()
    return int(row[0]) if row else 0
