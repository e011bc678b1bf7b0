"""How far each reader of the landing tables has come: the last batch that it has taken into account."""

from __future__ import annotations

from datetime import datetime

from hr_centra_pipeline.warehouse.database import Connection

MATCHING = "matching"
OBSERVED = "effects.observed"
LEDGER = "push.ledger"


def read(connection: Connection, consumer: str) -> int:
    """The batch up to which ``consumer`` has read; -1: nothing yet."""
    row = connection.execute("select max(batch) from meta.watermarks where consumer = ?", [consumer]).fetchone()
    return int(row[0]) if row and row[0] is not None else -1


def write(connection: Connection, consumer: str, batch: int, now: datetime) -> None:
    """Remember that ``consumer`` has read up to ``batch``."""
    connection.execute("delete from meta.watermarks where consumer = ?", [consumer])
    connection.execute("insert into meta.watermarks values (?, ?, ?)", [consumer, batch, now])


def newest_batch(connection: Connection) -> int:
    """The last batch that was landed."""
    row = connection.execute(
        "select last_value from duckdb_sequences() where schema_name = 'landing' and sequence_name = 'batch_numbers'"
    ).fetchone()
    return int(row[0]) if row and row[0] is not None else 0
