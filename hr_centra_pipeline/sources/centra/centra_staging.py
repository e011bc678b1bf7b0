"""Staging of Centra: landed JSON to typed tables, changed keys only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from hr_centra_pipeline.warehouse import models, watermarks
from hr_centra_pipeline.warehouse.database import Connection, Warehouse

_HERE = "sources/centra"
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
    """``rows_new``: landed rows that were taken over, over all objects; ``rebuilt``: everything was made again."""

    rows_new: int
    rebuilt: bool


def refresh(warehouse: Warehouse, now: datetime) -> StagingReport:
    """Bring ``staging.*`` of Centra to what was landed last, in one transaction.

    Everything is made again when this SQL or the policy's customer return patterns or words changed since the last time.
    """
    with warehouse.transaction() as connection:
        made_with = _fingerprint(connection)
        before = watermarks.find(connection, watermarks.CENTRA)
        rebuilt = before is not None and before.made_with != made_with
        watermark = watermarks.read(connection, watermarks.CENTRA, made_with)
        if watermark == watermarks.NOTHING:
            for name in models.made_in(_HERE):
                connection.execute(f"delete from {name}")  # noqa: S608 - our own names
        newest, rows_new = _landed_since(connection, watermark)
        if rows_new:
            models.run(connection, models.made_in(_HERE), {_HERE}, {"watermark": watermark})
        if rows_new or rebuilt:
            watermarks.write(connection, watermarks.CENTRA, newest, now, made_with=made_with)
    return StagingReport(rows_new, rebuilt)


def _fingerprint(connection: Connection) -> str:
    patterns = connection.execute("select pattern from policy.customer_return_patterns order by pattern").fetchall()
    words = connection.execute("select enum, word, meaning from policy.centra_words order by all").fetchall()
    payments = connection.execute("from policy.payment_words order by all").fetchall()
    sql = [model.sha256 for model in models.order(models.made_in(_HERE), {_HERE})]
    made_with = [*sql, *(pattern for (pattern,) in patterns), repr(words), repr(payments)]
    return hashlib.sha256("\x1f".join(made_with).encode()).hexdigest()


def _landed_since(connection: Connection, watermark: int) -> tuple[int, int]:
    """The newest landed batch, and how many landed rows are above the watermark."""
    landed = " union all ".join(f"select batch from landing.{name}" for name in _LANDED)  # noqa: S608 - our own names
    row = connection.execute(
        f"select max(batch), count(*) from ({landed}) where batch > ?",  # noqa: S608 - our own names
        [watermark],
    ).fetchone()
    return (int(row[0]), int(row[1])) if row and row[0] is not None else (watermark, 0)
