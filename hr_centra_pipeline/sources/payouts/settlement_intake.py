"""Landing of settlement files: a file is landed when its lines add up to its own total, else it is refused by name."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path

import duckdb

from hr_centra_pipeline.sources.intake import cutting, rejected
from hr_centra_pipeline.sources.intake.arrivals import UNREAD, Arrival, Refusal, arrivals
from hr_centra_pipeline.sources.intake.contents import Content
from hr_centra_pipeline.sources.intake.file_log import FileLog, Fingerprint, LogTable
from hr_centra_pipeline.sources.intake.places import Place
from hr_centra_pipeline.sources.payouts import settlement_reading, settlement_typing
from hr_centra_pipeline.sources.payouts.settlement_profiles import PayoutProfile, fingerprint
from hr_centra_pipeline.sources.payouts.settlement_totals import count, total_problem
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.made import makes

VARIABLE = "HR_CENTRA_PAYOUTS"
FILES = LogTable(
    "landing.payout_files",
    "layouts_sha256",
    "reading_sha256",
    "settlement file",
    kind="payouts",
    keeps_time_of_unread=False,
)
_MOST_BAD_LINES = 1_000  # that cannot be read: a file with more is refused
_LONGEST_TEXT = 20_000


@dataclass(frozen=True)
class PayoutReport:
    """Counts of one ingest. ``files``: new, or read again; ``refused_files``: of these, refused as a whole."""

    files: int = 0
    refused_files: int = 0
    rows_read: int = 0
    rows_landed: int = 0
    rows_rejected: int = 0

    def plus(self, other: PayoutReport) -> PayoutReport:
        """With what another part of the ingest brought."""
        return PayoutReport(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


def ingest_payouts(
    warehouse: Warehouse, address: str, profiles: Sequence[PayoutProfile], now: datetime
) -> PayoutReport:
    """Land all new settlement files of a folder or fsspec address, the oldest first, one transaction per file.

    A file that was delivered again with other bytes takes the place of the payouts that it reports. A line that cannot be used is
    quarantined; where it may be about an order's money it is kept as well, as ``unknown``, and holds the order's credits.

    A file that was refused, or of which lines were, is read again when a layout says something else than before, and every one
    when that is more than what a line's type means. One that says something else then lands again, in the place of what it said.

    Raises:
        RunFailed: the place cannot be read.
        ConfigurationError: the address is none.
    """
    if not address:
        return PayoutReport()
    present = fingerprint(profiles)
    report = PayoutReport()
    with Place(address, VARIABLE) as place:
        with warehouse.transaction() as connection:
            log = FileLog(connection, FILES, present)
        warehouse.yield_to_others()
        run = _Run(warehouse, log, profiles, present, now)
        for arrived in arrivals(place, log.new(place.listed())):
            report = report.plus(run.take(arrived))
            warehouse.yield_to_others()
    return report


class _Run:
    """One ingest: each file in a transaction of its own."""

    def __init__(
        self,
        warehouse: Warehouse,
        log: FileLog,
        profiles: Sequence[PayoutProfile],
        present: Fingerprint,
        now: datetime,
    ) -> None:
        self._warehouse, self._log, self._profiles = warehouse, log, profiles
        self._present, self._now = present, now

    def take(self, arrived: Arrival | Refusal) -> PayoutReport:
        """Land one file, or refuse it."""
        outcome: PayoutReport | Refusal = PayoutReport()
        try:
            with self._warehouse.transaction() as connection, tempfile.TemporaryDirectory() as scratch:
                outcome = self._land(connection, arrived, Path(scratch)) if isinstance(arrived, Arrival) else arrived
                if isinstance(outcome, Refusal):
                    return self._refuse(connection, outcome)
                return outcome
        except (duckdb.Error, ArithmeticError, ValueError, LookupError, csv.Error, MemoryError) as error:
            with self._warehouse.transaction() as connection:
                return self._refuse(connection, Refusal(arrived.listed, UNREAD, f"cannot be landed: {_why(error)}"))

    def _refuse(self, connection: Connection, refusal: Refusal) -> PayoutReport:
        news = self._log.refuse(connection, {watermarks.next_batch(connection): refusal}, self._now)
        return PayoutReport(news, news)

    @makes(
        "landing.payout_lines", "One row per line of a payment provider's settlement file, append-only.", kind="source"
    )
    @makes(
        "landing.payout_files",
        "One row per delivery of a settlement file, with its totals or why it was refused.",
        kind="source",
    )
    def _land(self, connection: Connection, arrived: Arrival, scratch: Path) -> PayoutReport | Refusal:
        listed, content = arrived.listed, arrived.content
        before = _landed_before(connection, content, self._present)
        if before is not None and before.is_current:  # the same bytes under another name
            batch = watermarks.next_batch(connection)
            self._log.keep(connection, [self._log.row(listed, content.sha256, batch)], self._now)
            return PayoutReport(1)
        read = settlement_reading.recognised(content, self._profiles)
        if isinstance(read, str):
            return Refusal(listed, content.sha256, read)
        of_profile = {"profile": read.profile.name, "provider": read.profile.provider}
        if len(read.cut.bad) > _MOST_BAD_LINES:
            first = read.cut.bad[0]
            why = f"{len(read.cut.bad):,} of its lines cannot be read: line {first.line} {first.reason}"
            return Refusal(listed, content.sha256, why, more=of_profile)
        clean = scratch / "lines.csv"
        clean.write_bytes(cutting.as_csv(read.cut))
        name = before.source_file if before is not None else listed.name
        settlement_typing.type_lines(connection, read.profile, read.columns, read.cut.headers, clean, name, self._now)
        if problem := total_problem(connection, read):
            return Refusal(listed, content.sha256, problem, more=of_profile)
        batch = watermarks.next_batch(connection)
        mistyped = connection.execute(
            "select source_line, problem.column_name, problem.reason from payout_rows where problem is not null"
        ).fetchall()
        texts = dict(_texts(content, {line for line, *_ in mistyped}))
        connection.execute(
            "delete from quarantine.rejected_rows where file_sha256 = ? and kind = 'payouts'", [content.sha256]
        )
        rejected.set_aside(
            connection, listed.name, "payouts", content.sha256,
            [*((line, column, why, texts.get(line), None) for line, column, why in mistyped),
             *((bad.line, None, bad.reason, bad.text, None) for bad in read.cut.bad)],
            batch, self._now,
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
                {
                    "file": name,
                    "now": self._now,
                    "batch": batch,
                    "first_batch": before.first_batch if before else batch,
                },
            )
        good, first_at, last_at = connection.execute(
            "select count(*), min(happened_at), max(happened_at) from payout_rows where problem is null"
        ).fetchone() or (0, None, None)
        bad = len(mistyped) + len(read.cut.bad)
        row = self._log.row(
            listed, content.sha256, batch, (good + bad, good, bad), **of_profile, first_happened_at=first_at,
            last_happened_at=last_at,
        )  # fmt: skip
        self._log.keep(connection, [row], self._now)
        return PayoutReport(1, 0, good + bad, good if is_news else 0, bad)


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


def _why(error: Exception) -> str:
    """Of an error one line; of memory that ran out, whose figures change each time, its name only."""
    first = "" if isinstance(error, MemoryError | duckdb.OutOfMemoryException) else str(error).split("\n")[0]
    return first[:200] or type(error).__name__


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
        count(
            connection,
            """
            select count(*) from (
                (from lines_now except all from lines_before) union all (from lines_before except all from lines_now)
            )
            """,
        )
    )


def _texts(content: Content, wanted: set[int]) -> list[tuple[int, str]]:
    lines = content.data.split(b"\n")
    return [
        (number, lines[number - 1][:_LONGEST_TEXT].decode("utf-8", "replace").rstrip("\r")) for number in sorted(wanted)
    ]
