"""Landing of settlement files: a file is landed when its lines add up to its own total, else it is refused by name."""

from __future__ import annotations

import csv
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from hr_centra_pipeline.core.money import minor_units
from hr_centra_pipeline.sources import files
from hr_centra_pipeline.sources.files import BadRow, Content, Cut, Exports, Listed
from hr_centra_pipeline.sources.payouts import typing_sql
from hr_centra_pipeline.sources.payouts.profiles import PayoutProfile, missing_headers
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


@dataclass
class _Read:
    """A file cut into lines by its layout; ``footers``: its own totals by currency."""

    profile: PayoutProfile
    cut: Cut
    footers: Footers = field(default_factory=dict)


def ingest_payouts(
    warehouse: Warehouse, address: str, profiles: Sequence[PayoutProfile], now: datetime
) -> PayoutReport:
    """Land all new settlement files of a folder or fsspec address, the oldest first, one transaction per file.

    A file that was delivered again with other bytes takes the place of the payouts that it tells.

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
                _LOG.warning("settlement file %s cannot be read: %s", listed.name, error)
                continue  # the next run tries again
            with warehouse.transaction() as connection, tempfile.TemporaryDirectory() as scratch:
                report = _land(connection, listed, content, profiles, Path(scratch), now, report)
            warehouse.yield_to_others()
        return report
    finally:
        exports.close()


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
    clean = scratch / "lines.csv"
    clean.write_bytes(files.as_csv(read.cut))
    typing_sql.type_lines(connection, read.profile, read.cut.headers, clean, listed.name)
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
        select * exclude (problem, gross_ok), $file as source_file, $now::timestamptz as landed_at, $batch::bigint as batch
        from payout_rows where problem is null
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
            read = (
                _cut_records(content, profile)
                if profile.records
                else _Read(profile, files.cut_csv(content, profile.delimiter))
            )
        except UnicodeDecodeError:
            return "its header is not UTF-8"
        missing = missing_headers(profile, read.cut.headers)
        if not missing:
            return read
        misses.append((len(missing), f"the closest is {profile.name}, which needs {', '.join(missing)}"))
    return f"no layout of settlement files knows its header; {min(misses, default=(0, 'there is none'))[1]}"


def _cut_records(content: Content, profile: PayoutProfile) -> _Read:
    """Cut a file whose first column tells what a record is; records of other kinds are left out."""
    assert profile.records is not None  # noqa: S101 - the caller looked
    cut = Cut([])
    footers: Footers = {}
    for number, raw in enumerate(content.data.split(b"\n"), start=1):
        if not raw.strip():
            continue
        try:
            values = next(csv.reader([raw.decode().rstrip("\r")], delimiter=profile.delimiter, strict=True), [])
        except (UnicodeDecodeError, csv.Error) as error:
            cut.bad.append(BadRow(number, f"cannot be read: {error}", raw.decode("utf-8", "replace")))
            continue
        record = values[0] if values else ""
        if record == profile.records.header:
            cut.headers = values[1:]
        elif record == profile.records.line:
            if len(values) - 1 == len(cut.headers):
                cut.rows.append((number, values[1:]))
            else:
                cut.bad.append(BadRow(number, f"has {len(values) - 1} of {len(cut.headers)} columns", raw.decode()))
        elif record == profile.records.total:
            _add_footer(profile, values, footers)
    return _Read(profile, cut, footers)


def _add_footer(profile: PayoutProfile, values: Sequence[str], footers: Footers) -> None:
    total = profile.total
    currency = values[total.currency] if len(values) > total.currency else ""
    sums = footers.setdefault(currency, {})
    for name in ("gross_credits", "gross_debits", "fee_credits", "fee_debits"):
        place = getattr(total, name)
        if place is None or place >= len(values):
            continue
        try:
            amount = Decimal(values[place] or 0)
        except InvalidOperation:
            amount = Decimal("NaN")
        if profile.money.smallest_units:
            amount = amount.scaleb(-minor_units(currency))
        sums[name] = sums.get(name, Decimal(0)) + amount


# ---------------------------------------------------------------- its own total


def _total_problem(connection: Connection, read: _Read) -> str | None:
    """Why a file's lines are not what it says they sum to; ``None``: they are, or the layout has no total."""
    match read.profile.total.rule:
        case "balances":
            rows = connection.execute(
                """
                select payout_id, settlement_currency, sum(net_amount) from payout_rows
                where settlement_currency is not null group by all having sum(net_amount) <> 0 order by all
                """
            ).fetchall()
            told = [
                f"payout {payout} is off by {abs(amount).normalize():f} {currency}" for payout, currency, amount in rows
            ]
        case "footer":
            told = _footer_problems(connection, read)
        case _:
            told = []
    if not told:
        return None
    unread = f" ({len(read.cut.bad)} lines cannot be read)" if read.cut.bad else ""
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


# ---------------------------------------------------------------- notes


def _refuse(
    connection: Connection,
    listed: Listed,
    content: Content,
    problem: str,
    now: datetime,
    report: PayoutReport,
    profile: PayoutProfile | None = None,
) -> PayoutReport:
    _LOG.warning("settlement file %s is refused: %s", listed.name, problem)
    batch = _next_batch(connection)
    _note(connection, listed, content, now, problem, profile=profile, batch=batch)
    _quarantine(connection, listed, content, [(None, None, problem, None)], batch, now)
    return report.plus(0, 0, 0, refused=True)


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
) -> None:
    connection.execute(
        "insert into landing.payout_files values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            listed.name, content.sha256, profile and profile.name, profile and profile.provider, listed.size,
            listed.modified_at, *counts, *times, problem, batch if batch is not None else _next_batch(connection), now,
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
    for line, column, reason, text in rows:
        connection.execute(
            "insert into quarantine.rejected_rows values (?, ?, 'payouts', ?, ?, ?, ?, ?, ?)",
            [listed.name, line, column, reason, text, content.sha256, batch, now],
        )


def _texts(content: Content, wanted: set[int]) -> list[tuple[int, str]]:
    lines = content.data.split(b"\n")
    return [(number, lines[number - 1].decode("utf-8", "replace").rstrip("\r")) for number in sorted(wanted)]


def _next_batch(connection: Connection) -> int:
    row = connection.execute("select nextval('landing.batch_numbers')").fetchone()
    return int(row[0]) if row else 0
