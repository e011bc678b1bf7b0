"""Return unit → shipment line. No row is dropped: every unit is matched or says why not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection, run_sql

_PACKAGE = "hr_centra_pipeline.matching"


@dataclass(frozen=True)
class MatchReport:
    """Counts of units; ``by_reason``: why unmatched."""

    matched: int
    unmatched: int
    by_reason: dict[str, int]


def match(connection: Connection, now: datetime) -> MatchReport:
    """Bring ``matching.matched_items`` to what is staged now; ``matching.orders_in_play`` says which orders it looked at.

    Raises:
        RunFailed: units in are not matched + unmatched: a mistake in this program, nothing is kept.
    """
    _find_orders_in_play(connection, now)
    for name in ("paid_units.sql", "match.sql"):
        run_sql(connection, _PACKAGE, name)
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


def _find_orders_in_play(connection: Connection, now: datetime) -> None:
    last = watermarks.find(connection, watermarks.MATCHING)
    since, looked_at = (last.batch, last.updated_at) if last else (watermarks.NOTHING, None)
    for name in ("bookings_of_orders.sql", "orders_in_play.sql"):
        run_sql(connection, _PACKAGE, name, {"since": since, "looked_at": looked_at})
    before, found = -1, 0
    # Each round follows the returns, and where it matters the customers, of the last one's orders.
    while found > before:
        before = _in_play(connection)
        run_sql(connection, _PACKAGE, "orders_of_shared_returns.sql")
        run_sql(connection, _PACKAGE, "orders_of_shared_customers.sql")
        found = _in_play(connection)
    watermarks.write(connection, watermarks.MATCHING, watermarks.newest_batch(connection), now)


def _in_play(connection: Connection) -> int:
    row = connection.execute("select count(*) from matching.orders_in_play").fetchone()
    return int(row[0]) if row else 0
