"""Staging of Centra: landed JSON to typed tables, changed keys only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from hr_centra_pipeline.warehouse import models
from hr_centra_pipeline.warehouse.database import Connection, Warehouse

_HERE = "sources/centra"
_CONSUMER = "staging.centra"
_LANDED = (
    "centra_orders",
    "centra_shipments",
    "centra_returns",
    "centra_stock_changes",
    "centra_warehouses",
    "centra_replacement_stock",
    "centra_status_marks",
)


@dataclass(frozen=True)
class StagingReport:
    """``rows_new``: landed rows that were taken over, over all objects; ``rebuilt``: everything was made anew."""

    rows_new: int
    rebuilt: bool


def refresh(warehouse: Warehouse, now: datetime) -> StagingReport:
    """Bring ``staging.*`` of Centra to what was landed last, in one transaction.

    Everything is made anew when this SQL or the policy's customer return patterns or words changed since the last time.
    """
    with warehouse.transaction() as connection:
        made_with = _fingerprint(connection)
        rebuilt = _forget_if_stale(connection, made_with, now)
        watermark = _watermark(connection)
        newest, rows_new = _landed_since(connection, watermark)
        if rows_new:
            models.run(connection, models.made_in(_HERE), {_HERE}, {"watermark": watermark})
            connection.execute("delete from meta.watermarks where consumer = ?", [_CONSUMER])
            connection.execute("insert into meta.watermarks values (?, ?, ?)", [_CONSUMER, newest, now])
    return StagingReport(rows_new, rebuilt)


def _fingerprint(connection: Connection) -> str:
    patterns = connection.execute("select pattern from policy.customer_return_patterns order by pattern").fetchall()
    words = connection.execute("select enum, word, meaning from policy.centra_words order by all").fetchall()
    payments = connection.execute("from policy.payment_words order by all").fetchall()
    sql = [model.sha256 for model in models.order(models.made_in(_HERE), {_HERE})]
    made_with = [*sql, *(pattern for (pattern,) in patterns), repr(words), repr(payments)]
    return hashlib.sha256("\x1f".join(made_with).encode()).hexdigest()


def _forget_if_stale(connection: Connection, made_with: str, now: datetime) -> bool:
    row = connection.execute("select fingerprint from meta.derived_from where stage = ?", [_CONSUMER]).fetchone()
    if row is not None and row[0] == made_with:
        return False
    for name in models.made_in(_HERE):
        connection.execute(f"delete from {name}")  # noqa: S608 - our own names
    connection.execute("delete from meta.watermarks where consumer = ?", [_CONSUMER])
    connection.execute("delete from meta.derived_from where stage = ?", [_CONSUMER])
    connection.execute("insert into meta.derived_from values (?, ?, ?)", [_CONSUMER, made_with, now])
    return row is not None


def _watermark(connection: Connection) -> int:
    row = connection.execute("select max(batch) from meta.watermarks where consumer = ?", [_CONSUMER]).fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def _landed_since(connection: Connection, watermark: int) -> tuple[int, int]:
    """The newest landed batch, and how many landed rows are above the watermark."""
    landed = " union all ".join(f"select batch from landing.{name}" for name in _LANDED)  # noqa: S608 - our own names
    row = connection.execute(
        f"select max(batch), count(*) from ({landed}) where batch > ?",  # noqa: S608 - our own names
        [watermark],
    ).fetchone()
    return (int(row[0]), int(row[1])) if row and row[0] is not None else (watermark, 0)
