"""How far each reader of the landing tables has come: the last batch that it has taken into account."""

from __future__ import annotations

from datetime import datetime

from hr_centra_pipeline.warehouse.database import Connection

MATCHING = "matching"
OBSERVED = "effects.observed"
LEDGER = "push.ledger"
RECONCILIATION = "reconciliation"


def read(connection: Connection, consumer: str) -> int:
    """The batch up to which ``consumer`` has read; -1: nothing yet."""
    row = connection.execute("select max(batch) from meta.watermarks where consumer = ?", [consumer]).fetchone()
    return int(row[0]) if row and row[0] is not None else -1


def write(connection: Connection, consumer: str, batch: int, now: datetime) -> None:
    """Remember that ``consumer`` has read up to ``batch``."""
    connection.execute("delete from meta.watermarks where consumer = ?", [consumer])
    connection.execute("insert into meta.watermarks values (?, ?, ?)", [consumer, batch, now])


def newest_batch(connection: Connection) -> int:
    """A number that no batch that was landed is beyond, and every later one is. It is drawn: DuckDB's ``last_value`` is one too
    low after a replay of the log, and one too high after a checkpoint.
    """
    return next_batch(connection)


def next_batch(connection: Connection) -> int:
    """A new batch number: readers of landing go by it."""
    return next_batches(connection, 1)[0]


def next_batches(connection: Connection, count: int) -> list[int]:
    """New batch numbers, in their order."""
    rows = connection.execute("select nextval('landing.batch_numbers') from range(?)", [count]).fetchall()
    return sorted(int(batch) for (batch,) in rows)
