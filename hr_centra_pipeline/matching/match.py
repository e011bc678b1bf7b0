"""Return unit → shipment line. No row is dropped: every unit is matched or says why not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.warehouse.database import Connection, run_sql


@dataclass(frozen=True)
class MatchReport:
    """Counts of units; ``by_reason``: why unmatched."""

    matched: int
    unmatched: int
    by_reason: dict[str, int]


def match(connection: Connection, now: datetime) -> MatchReport:
    """Fill ``matching.matched_items`` anew.

    Raises:
        RunFailed: units in are not matched + unmatched: a mistake in this program, nothing is kept.
    """
    run_sql(connection, "hr_centra_pipeline.matching", "match.sql")
    rows = connection.execute("select reason, count(*) from matching.matched_items group by reason").fetchall()
    by_reason = {reason: count for reason, count in rows if reason is not None}
    matched = sum(count for reason, count in rows if reason is None)
    row = connection.execute(
        "select count(*), (select count(distinct return_item_id) from matching.matched_items) from staging.return_items"
    ).fetchone()
    items, distinct = row or (0, 0)
    if not items == distinct == matched + sum(by_reason.values()):
        raise RunFailed(f"matching: {items} units in, {matched} matched, {sum(by_reason.values())} unmatched")
    return MatchReport(matched, sum(by_reason.values()), by_reason)
