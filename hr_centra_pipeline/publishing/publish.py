"""The published copy: an open reader of the warehouse would make the next sync fail, so readers get files of their own."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.month_end.due import due_months
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.tables import DERIVED

DATABASE = "published.duckdb"
DUE = "due_months.json"
"""Months about which something new was learnt since their pack was made."""
# State that readers need, with the columns that stay behind. landing.personal is never among them.
_STATE = {
    "landing.files": "",
    "landing.payout_files": "",
    "landing.centra_differences": "",
    "quarantine.rejected_rows": "",
    "push.ledger": "",
    "push.packets": "payload",
    "push.attempts": "request, response",
    "reconciliation.exception_events": "",
    "reconciliation.closes": "",
}


def publish(warehouse: Warehouse, settings: Settings, now: datetime) -> list[Path]:
    """Write every table as Parquet and all of them into one DuckDB file; answers the files.

    Each file is written beside its place and moved there by rename: a reader has the old one or the new one, whole.
    ``meta.published`` in the DuckDB file tells the run's decision time.
    """
    folder = settings.published
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f"{DATABASE}.new"
    beside.unlink(missing_ok=True)
    with warehouse.transaction() as connection:
        connection.execute(f"attach {quoted(beside)} as readers")
        written = [_parquet(connection, name, folder) for name in [*DERIVED, *_STATE]]
        for schema in sorted({name.split(".")[0] for name in [*DERIVED, *_STATE]} | {"meta"}):
            connection.execute(f"create schema readers.{schema}")
        for name in [*DERIVED, *_STATE]:
            connection.execute(f"create table readers.{name} as {_select(name)}")
        connection.execute("create table readers.meta.published as select $now::timestamptz as as_of", {"now": now})
        due = due_months(connection, now)
        # The connection may be kept open: what was written has to be in the file, not in a log beside it, before it is moved.
        connection.execute("commit")
        connection.execute("force checkpoint readers")
        connection.execute("detach readers")
        connection.execute("begin")
    for new, final in written:
        new.replace(final)
    beside.replace(folder / DATABASE)
    (folder / f"{DUE}.new").write_text(json.dumps(due), encoding="utf-8")
    (folder / f"{DUE}.new").replace(folder / DUE)
    return [*(final for _, final in written), folder / DATABASE]


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
    left_out = _STATE.get(name)
    return f"select * exclude ({left_out}) from {name}" if left_out else f"from {name}"  # noqa: S608 - our own names


def _parquet(connection: Connection, name: str, folder: Path) -> tuple[Path, Path]:
    new = folder / f"{name}.parquet.new"
    connection.execute(f"copy ({_select(name)}) to {quoted(new)} (format parquet, compression zstd)")
    return new, folder / f"{name}.parquet"
