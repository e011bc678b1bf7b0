"""What the inbox counted, day by day: what did not verify is in no other table."""

from __future__ import annotations

from datetime import datetime, timedelta

from hr_centra_pipeline.core.errors import Unreachable
from hr_centra_pipeline.inbox.inbox_store import Inbox, StoreFailed
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline.warehouse.made import makes

_CHANGES = timedelta(days=90)
"""So long before the last day a count may change: one kept apart that verifies once the secret is right is received, too."""


@makes("landing.inbox_days", "One row per vendor and day: deliveries that the inbox counted.", kind="source")
def note_inbox_days(warehouse: Warehouse, inbox: Inbox, now: datetime) -> int:
    """Take over the inbox's counts; answers how many days have changed since the last look.

    Raises:
        Unreachable: the inbox cannot be read.
    """
    with warehouse.transaction() as connection:
        (noted,) = connection.execute("select max(day) from landing.inbox_days").fetchone() or (None,)
    try:
        counts = inbox.counts(since=noted and noted - _CHANGES)
    except StoreFailed as error:
        raise Unreachable(str(error)) from error
    if not counts:
        return 0
    with warehouse.transaction() as connection:
        connection.execute(
            """
            create or replace temp table counted_days as
            select
                unnest($vendors::varchar[]) as vendor, unnest($days::varchar[])::date as day,
                unnest($received::bigint[]) as received,
                unnest($unverified::bigint[]) as unverified, unnest($refused::bigint[]) as refused
            """,
            {
                "vendors": [one.vendor for one in counts],
                "days": [one.day for one in counts],
                "received": [one.verified + sum(one.verified_later.values()) for one in counts],
                "unverified": [sum(one.unverified.values()) for one in counts],
                "refused": [sum(one.refused.values()) for one in counts],
            },
        )
        changed = connection.execute(
            """
            insert or replace into landing.inbox_days
            select vendor, day, received, unverified, refused, $now
            from counted_days
            anti join landing.inbox_days using (vendor, day, received, unverified, refused)
            """,
            {"now": now},
        ).fetchone()
    return int(changed[0]) if changed else 0
