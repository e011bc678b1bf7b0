"""Return unit → shipment line. No row is dropped: every unit is matched or says why not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.warehouse.database import Connection, run_sql

_PACKAGE = "hr_centra_pipeline.matching"
_CONSUMER = "matching"


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
    run_sql(connection, _PACKAGE, "match.sql")
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
    since = _one(connection, f"select coalesce(max(batch), -1) from meta.watermarks where consumer = '{_CONSUMER}'")  # noqa: S608 - our own name
    run_sql(connection, _PACKAGE, "orders_in_play.sql", {"since": since})
    before, found = -1, 0
    while found > before:  # each round follows the returns of the last one's orders
        before = _one(connection, "select count(*) from matching.orders_in_play")
        run_sql(connection, _PACKAGE, "orders_of_shared_returns.sql")
        found = _one(connection, "select count(*) from matching.orders_in_play")
    newest = _one(connection, "select max(last_value) from duckdb_sequences() where sequence_name = 'batch_numbers'")
    connection.execute("delete from meta.watermarks where consumer = ?", [_CONSUMER])
    connection.execute("insert into meta.watermarks values (?, ?, ?)", [_CONSUMER, newest, now])


def _one(connection: Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row and row[0] is not None else 0
