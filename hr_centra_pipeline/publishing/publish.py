"""The published copy: an open reader of the warehouse would make the next sync fail, so readers get files of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.core.version import code_version
from hr_centra_pipeline.month_end.due import due_months
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.declare import Table
from hr_centra_pipeline.warehouse.tables import DERIVED
from hr_centra_pipeline.warehouse.tables.month_end_tables import CLOSES, PUBLISHED_AS

DATABASE, HISTORY_DATABASE = "published.duckdb", "history.duckdb"
DUE = "due_months.json"
"""Months about which something new was learnt since their pack was made."""
_SAMPLE_ROWS = 1_000
# State that readers need, with the columns that stay behind. landing.personal is never among them.
_STATE = {
    "landing.files": "",
    "landing.events": "",
    "landing.payout_files": "",
    "landing.centra_differences": "",
    "quarantine.rejected_rows": "",
    "operations.contract": "",
    "operations.documents": "",
    "push.ledger": "",
    "push.packets": "payload",
    "push.attempts": "request, response",
    "reconciliation.exception_events": "",
    CLOSES: "",
}
SOURCES = {PUBLISHED_AS.get(name, name): name for name in (*DERIVED, *_STATE)}
"""What is published, by the name that readers know, and the table that it is."""
TABLES = tuple(SOURCES)
_DETAILS = (
    "effects.observed", "effects.replacements", "effects.units", "effects.value_given_back", "matching.matched_items",
    "push.attempts", "push.ledger", "push.packets", "reconciliation.feeds", "reconciliation.payouts", "reconciliation.refund_facts",
    "reconciliation.refund_match", "reconciliation.settled_orders", "reconciliation.tax_readings",
)  # fmt: skip
HISTORY = tuple(name for name in TABLES if name.startswith("staging.") or name in _DETAILS)
"""Tables that hold every order and unit there ever was: writing them takes as long as all history is."""


def publish(
    warehouse: Warehouse, settings: Settings, now: datetime, *, history_every: timedelta = timedelta(0)
) -> list[Path]:
    """Write tables as Parquet, and together into a DuckDB file; answers the files.

    What is open, pending, refused or reported of a month is written each time, the tables of ``HISTORY`` when theirs are as old as
    ``history_every`` or from another program. When they are, a sample of every declared table is read back from its file and
    validated; in between the assets check the same declarations in SQL, over all rows. Each file is written beside its place and
    moved there by rename: a reader has the old one or the new one, whole. ``meta.published`` in each DuckDB file holds the run's
    decision time.

    Raises:
        BadFrame: a sample is not as declared; the message names the table, the column and its rule. Nothing is replaced then.
    """
    settings.published.mkdir(parents=True, exist_ok=True)
    parts = {DATABASE: tuple(name for name in TABLES if name not in HISTORY)}
    if _is_history_due(settings, now, history_every):
        parts[HISTORY_DATABASE] = HISTORY
    is_validated = HISTORY_DATABASE in parts
    with warehouse.transaction() as connection:
        written = [
            file
            for database, names in parts.items()
            for file in _written(connection, settings, database, names, now, is_validated=is_validated)
        ]
        due = due_months(connection, now)
    for new, final in written:
        new.replace(final)
    (settings.published / f"{DUE}.new").write_text(json.dumps(due), encoding="utf-8")
    (settings.published / f"{DUE}.new").replace(settings.published / DUE)
    return [final for _, final in written]


def _written(
    connection: Connection,
    settings: Settings,
    database: str,
    names: Sequence[str],
    now: datetime,
    *,
    is_validated: bool,
) -> list[tuple[Path, Path]]:
    """Files that are whole beside their places, with these."""
    beside = settings.published / f"{database}.new"
    for left_over in (beside, beside.with_name(f"{beside.name}.wal")):
        left_over.unlink(missing_ok=True)
    written = [_parquet(connection, name, settings.published) for name in names]
    if is_validated:
        for name, (file, _) in zip(names, written, strict=True):
            if declared := DERIVED.get(SOURCES[name]):
                _refuse_bad(connection, file, declared)
    connection.execute(f"attach {quoted(beside)} as readers")
    for schema in sorted({name.split(".")[0] for name in names} | {"meta"}):
        connection.execute(f"create schema readers.{schema}")
    for name in names:
        connection.execute(f"create table readers.{name} as {_select(name)}")
    connection.execute(
        "create table readers.meta.published as select $now::timestamptz as as_of, $code as code_version",
        {"now": now, "code": code_version()},
    )
    # The connection may be kept open: what was written has to be in the file, not in a log beside it, before it is moved.
    connection.execute("commit")
    connection.execute("force checkpoint readers")
    connection.execute("detach readers")
    connection.execute("begin")
    return [*written, (beside, settings.published / database)]


def _is_history_due(settings: Settings, now: datetime, every: timedelta) -> bool:
    file = settings.published / HISTORY_DATABASE
    if not file.exists():
        return True
    try:
        with duckdb.connect(file, read_only=True) as readers:
            row = readers.execute("select as_of, code_version from meta.published").fetchone()
    except duckdb.Error:  # damaged, or cut short by a full disk: a copy, which is written again
        return True
    return row is None or row[1] != code_version() or now - row[0] >= every


def read_due(settings: Settings) -> list[str]:
    """The months that the last publishing found due."""
    try:
        found = json.loads((settings.published / DUE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [str(month) for month in found]


def quoted(path: Path) -> str:
    """A path as an SQL text."""
    return "'" + str(path).replace("'", "''") + "'"


def _select(name: str) -> str:
    source = SOURCES[name]
    left_out = _STATE.get(source)
    return f"select * exclude ({left_out}) from {source}" if left_out else f"from {source}"  # noqa: S608 - our own names


def _parquet(connection: Connection, name: str, folder: Path) -> tuple[Path, Path]:
    new = folder / f"{name}.parquet.new"
    connection.execute(f"copy ({_select(name)}) to {quoted(new)} (format parquet, compression zstd)")
    return new, folder / f"{name}.parquet"


def _refuse_bad(connection: Connection, file: Path, declared: Table) -> None:
    """Validate the first rows of a file. A million rows would take pandera ten seconds, and SQL checks them all anyway."""
    from hr_centra_pipeline.warehouse import frames  # takes its time

    rows = connection.execute(f"from read_parquet({quoted(file)}) limit {_SAMPLE_ROWS}").to_arrow_table()
    if rows.num_rows:
        frames.refuse_bad(frames.frame_of(rows), declared)
