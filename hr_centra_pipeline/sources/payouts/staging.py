"""Staging of settlement lines: each payout as its last file tells it."""

from __future__ import annotations

from datetime import datetime

from hr_centra_pipeline.warehouse.database import Warehouse, run_sql

_CONSUMER = "staging.payouts"


def refresh(warehouse: Warehouse, now: datetime) -> int:
    """Replace every payout that new landed lines tell; answers how many those are."""
    with warehouse.transaction() as connection:
        row = connection.execute("select max(batch) from meta.watermarks where consumer = ?", [_CONSUMER]).fetchone()
        since = row[0] if row and row[0] is not None else -1
        run_sql(
            connection, "hr_centra_pipeline.sources.payouts", "staging.sql",
            {"since": since, "now": now, "consumer": _CONSUMER},
        )  # fmt: skip
        counted = connection.execute("select count(*) from changed_payouts").fetchone()
        return int(counted[0]) if counted else 0
