"""Staging: the latest state of each return, unit, refund and outbound shipment line; only what new rows touch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hr_centra_pipeline.warehouse import models, watermarks
from hr_centra_pipeline.warehouse.database import Connection, Warehouse

_HERE = "sources/happy_returns"


@dataclass(frozen=True)
class StagingReport:
    """How many keys new landed rows touched."""

    returns: int
    units: int
    refunds: int


def refresh(warehouse: Warehouse, now: datetime) -> StagingReport:
    """Recompute every return, unit, refund and shipment line that rows landed since the last refresh touch."""
    with warehouse.transaction() as connection:
        since = watermarks.read(connection, watermarks.HAPPY_RETURNS)
        models.run(connection, models.made_in(_HERE), {_HERE}, {"since": since, "now": now})
        newest = connection.execute(
            "select greatest((select max(batch) from landing.happy_returns_rows),"
            " (select max(batch) from landing.happy_returns_bags))"
        ).fetchone()
        if newest and newest[0] is not None:
            watermarks.write(connection, watermarks.HAPPY_RETURNS, int(newest[0]), now)
        return StagingReport(
            returns=_count(connection, "returns_with_news"),
            units=_count(connection, "changed_items"),
            refunds=_count(connection, "changed_refunds"),
        )


def _count(connection: Connection, name: str) -> int:
    row = connection.execute(f"select count(*) from {name}").fetchone()  # noqa: S608 - our own names
    return int(row[0]) if row else 0
