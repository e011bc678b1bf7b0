"""Return unit → shipment line. No row is dropped: every unit is matched or says why not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.warehouse import models, watermarks
from hr_centra_pipeline.warehouse.database import Connection

_IN_PLAY = "matching.orders_in_play"
_FIRST = "matching/orders_in_play.sql"


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
    done = _find_orders_in_play(connection, now)
    models.run(connection, models.made_in("matching"), {"matching"}, done=done)
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


def _find_orders_in_play(connection: Connection, now: datetime) -> Collection[str]:
    """Fill ``matching.orders_in_play``; answers the models that have run."""
    # What the last reconciliation has not seen is still active: runs that do not reconcile may have matched it in between, and
    # what was settled before it would be left out for good.
    last = [watermarks.find(connection, one) for one in (watermarks.MATCHING, watermarks.RECONCILIATION)]
    known = [one for one in last if one is not None]
    since, looked_at = watermarks.NOTHING, None
    if len(known) == len(last):
        since, looked_at = min(one.batch for one in known), min(one.updated_at for one in known)
    done = models.run(connection, [_FIRST], (), {"since": since, "looked_at": looked_at})
    widening = models.changers()[_IN_PLAY]
    before, found = -1, 0
    # A loop in Python, not in one recursive query: each round follows the returns, and where it matters the customers, of the
    # last one's orders through two models, and each of them adds to a table that the other reads.
    while found > before:
        before = _in_play(connection)
        for file in widening:
            models.run_file(connection, file)
        found = _in_play(connection)
    watermarks.write(connection, watermarks.IN_PLAY, since, now)
    watermarks.write(connection, watermarks.MATCHING, watermarks.newest_batch(connection), now)
    return {*done, *widening}


def _in_play(connection: Connection) -> int:
    row = connection.execute("select count(*) from matching.orders_in_play").fetchone()
    return int(row[0]) if row else 0
