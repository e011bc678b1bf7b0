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
from hr_centra_pipeline.sources.payouts.profiles import Fingerprint, PayoutProfile, Spot, fingerprint, missing_headers
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.made import makes

_LOG = logging.getLogger(__name__)
VARIABLE = "HR_CENTRA_PAYOUTS"
Footers = dict[str, dict[str, Decimal]]


@dataclass(frozen=True)
class PayoutReport:
    """Counts of one ingest. ``files``: new, or read again; ``refused_files``: of these, refused as a whole."""

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

    A file that was refused, or of which lines were, is read again when a layout says something else than before, and every one
    when that is more than what a line's type means. One that says something else then lands again, in the place of what it said.

    Raises:
        RunFailed: the place cannot be read.
        ConfigurationError: the address is none.
    """
    report = PayoutReport()
    if not address:
        return report
    exports = Exports(address, VARIABLE)
    present = fingerprint(profiles)
    try:
        with warehouse.transaction() as connection:
            known = _known(connection, present)
        warehouse.yield_to_others()
        for listed in exports.listed():
            if (listed.name, listed.size, listed.modified_at) in known:
                continue
            try:
                content = files.opened(exports.content(listed), listed.name)
            except OSError as error:
                with warehouse.transaction() as connection:
                    report = _unreadable(connection, listed, f"cannot be read: {error}", now, report, present)
                continue  # the next run tries again
            try:
                with warehouse.transaction() as connection, tempfile.TemporaryDirectory() as scratch:
                    report = _land(connection, listed, content, profiles, Path(scratch), now, report, present)
            except (duckdb.Error, ArithmeticError, ValueError, LookupError, csv.Error, MemoryError) as error:
                with warehouse.transaction() as connection:
                    report = _unreadable(connection, listed, f"cannot be landed: {_why(error)}", now, report, present)
            warehouse.yield_to_others()
        return report
    finally:
        exports.close()


def _why(error: Exception) -> str:
    """Of an error one line; of memory that ran out, whose figures change each time, its name only."""
    first = "" if isinstance(error, MemoryError | duckdb.OutOfMemoryException) else str(error).split("\n")[0]
    return first[:200] or type(error).__name__


def _known(connection: Connection, present: Fingerprint) -> set[tuple[str, int, datetime]]:
    """Files, by name, size and time, of which the present layouts would say what is noted."""
    # of files that an earlier version landed
    connection.execute(
        "update landing.payout_files set reading_sha256 = ? where reading_sha256 is null", [present.reading]
    )
    rows = connection.execute(
        """
        select source_file, byte_size, modified_at from (
            from landing.payout_files where modified_at is not null
            qualify row_number() over (partition by source_file, byte_size, modified_at order by batch desc) = 1
        )
        where layouts_sha256 = $whole or (problem is null and rows_rejected = 0 and reading_sha256 = $reading)
        """,
        {"whole": present.whole, "reading": present.reading},
    ).fetchall()
    return set(rows)


@dataclass(frozen=True)
class _Before:
    """What was landed of the same bytes. ``first_batch``: when that was done first; ``is_current``: by the present layouts."""

    first_batch: int
    source_file: str
    is_current: bool


def _landed_before(connection: Connection, content: Content, present: Fingerprint) -> _Before | None:
    row = connection.execute(
        """
        select
            min(batch), arg_min(source_file, batch), arg_max(
                layouts_sha256 is not distinct from $whole or (rows_rejected = 0 and reading_sha256 = $reading), batch
            )
        from landing.payout_files
        where file_sha256 = $sha256 and problem is null and profile is not null
        having count(*) > 0
        """,
        {"sha256": content.sha256, "whole": present.whole, "reading": present.reading},
    ).fetchone()
    return None if row is None else _Before(*row)


@makes(
    "landing.payout_lines",
    "One row per line of a payment provider's settlement file, append-only.",
    kind="source",
)
def _land(
    connection: Connection,
    listed: Listed,
    content: Content,
    profiles: Sequence[PayoutProfile],
    scratch: Path,
    now: datetime,
    report: PayoutReport,
    present: Fingerprint,
) -> PayoutReport:
    before = _landed_before(connection, content, present)
    if before is not None and before.is_current:
        _note(connection, listed, content, now, None, present)  # the same bytes under another name
        return report.plus(0, 0, 0, refused=False)
    read = content.problem or _recognised(content, profiles)
    if isinstance(read, str):
        return _refuse(connection, listed, content, read, now, report, present)
    if len(read.cut.bad) > _MOST_BAD_LINES:
        first = read.cut.bad[0]
        why = f"{len(read.cut.bad):,} of its lines cannot be read: line {first.line} {first.reason}"
        return _refuse(connection, listed, content, why, now, report, present, read.profile)
    clean = scratch / "lines.csv"
    clean.write_bytes(files.as_csv(read.cut))
    name = before.source_file if before is not None else listed.name
    typing_sql.type_lines(connection, read.profile, read.columns, read.cut.headers, clean, name, now)
    if problem := _total_problem(connection, read):
        return _refuse(connection, listed, content, problem, now, report, present, read.profile)
    batch = _next_batch(connection)
    rejected = [(line, column, why, None) for line, column, why in connection.execute(
        "select source_line, problem.column_name, problem.reason from payout_rows where problem is not null"
    ).fetchall()]  # fmt: skip
    texts = dict(_texts(content, {row[0] for row in rejected}))
    connection.execute(
        "delete from quarantine.rejected_rows where file_sha256 = ? and kind = 'payouts'", [content.sha256]
    )
    _quarantine(
        connection, listed, content,
        [*((line, column, why, texts.get(line)) for line, column, why, _ in rejected),
         *((bad.line, None, bad.reason, bad.text) for bad in read.cut.bad)],
        batch, now,
    )  # fmt: skip
    is_news = before is None or _says_something_else(connection, before)
    if is_news:
        connection.execute(
            f"""
            insert into landing.payout_lines by name
            select
                *, $file as source_file, $now::timestamptz as landed_at, $batch::bigint as batch,
                $first_batch::bigint as first_batch
            from ({_KEPT_LINES})
            """,  # noqa: S608 - our own words
            {"file": name, "now": now, "batch": batch, "first_batch": before.first_batch if before else batch},
        )
    good, first, last = connection.execute(
        "select count(*), min(happened_at), max(happened_at) from payout_rows where problem is null"
    ).fetchone() or (0, None, None)
    bad = len(rejected) + len(read.cut.bad)
    _note(
        connection, listed, content, now, None, present, profile=read.profile, batch=batch, counts=(good + bad, good, bad),
        times=(first, last),
    )  # fmt: skip
    return report.plus(good + bad, good if is_news else 0, bad, refused=False)


_KEPT_LINES = """
    select
        * exclude (problem) replace (case when set_aside is null then line_type else 'unknown' end as line_type)
    from payout_rows where problem is null or set_aside is not null
"""


def _says_something_else(connection: Connection, before: _Before) -> bool:
    """Whether a line that is read again is not what it was, or there was none, or is none any more."""
    connection.execute(f"create or replace temp table lines_now as {_KEPT_LINES}")
    told = ", ".join(name for name, *_ in connection.execute("describe lines_now").fetchall())
    connection.execute(
        f"""
        create or replace temp table lines_before as
        select {told} from landing.payout_lines where first_batch = $first_batch
        qualify batch = max(batch) over ()
        """,  # noqa: S608 - our own names
        {"first_batch": before.first_batch},
    )
    return bool(
        _count(
            connection,
            """
            select count(*) from (
                (from lines_now except all from lines_before) union all (from lines_before except all from lines_now)
            )
            """,
        )
    )


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
    present: Fingerprint,
    profile: PayoutProfile | None = None,
    *,
    is_read: bool = True,
) -> PayoutReport:
    """Name a file that is of no use as a whole; once, however often it is read again."""
    problem = problem[:_LONGEST_REASON]
    if is_read and _is_refused_as_before(connection, listed, content, problem, present):
        return report
    _LOG.warning("settlement file %s is refused: %s", listed.name, problem)
    batch = _next_batch(connection)
    _note(connection, listed, content, now, problem, present, profile=profile, batch=batch, is_read=is_read)
    _quarantine(connection, listed, content, [(None, None, problem, None)], batch, now)
    return report.plus(0, 0, 0, refused=True)


def _is_refused_as_before(
    connection: Connection, listed: Listed, content: Content, problem: str, present: Fingerprint
) -> bool:
    row = connection.execute(
        """
        select batch, problem, file_sha256 from landing.payout_files
        where source_file = ? and byte_size = ? and modified_at = ? order by batch desc limit 1
        """,
        [listed.name, listed.size, listed.modified_at],
    ).fetchone()
    if row is None or row[1:] != (problem, content.sha256):
        return False
    connection.execute(
        "update landing.payout_files set layouts_sha256 = ?, reading_sha256 = ? where batch = ? and source_file = ?",
        [present.whole, present.reading, row[0], listed.name],
    )
    return True


def _unreadable(
    connection: Connection, listed: Listed, problem: str, now: datetime, report: PayoutReport, present: Fingerprint
) -> PayoutReport:
    """Name a file that cannot be read; without its time, so that it is tried again. Once, as long as nothing else is wrong."""
    latest = connection.execute(
        "select problem from landing.payout_files where source_file = ? order by batch desc limit 1", [listed.name]
    ).fetchone()
    if latest is not None and latest[0] == problem:
        return report
    return _refuse(connection, listed, Content(b"", ""), problem, now, report, present, is_read=False)


@makes(
    "landing.payout_files",
    "One row per delivery of a settlement file, with its totals or why it was refused.",
    kind="source",
)
def _note(
    connection: Connection,
    listed: Listed,
    content: Content,
    now: datetime,
    problem: str | None,
    present: Fingerprint,
    *,
    profile: PayoutProfile | None = None,
    batch: int | None = None,
    counts: tuple[int, int, int] = (0, 0, 0),
    times: tuple[datetime | None, datetime | None] = (None, None),
    is_read: bool = True,
) -> None:
    connection.execute(
        "insert into landing.payout_files values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            listed.name, content.sha256, profile and profile.name, profile and profile.provider, listed.size,
            listed.modified_at if is_read else None,  # without it the file is tried again
            *counts, *times, problem, batch if batch is not None else _next_batch(connection), now, present.whole, present.reading,
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
