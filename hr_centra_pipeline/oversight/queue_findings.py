"""``doctor`` on Centra's event queue: is it read, by whom, and what did it never bring?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import duckdb

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.oversight.findings import Finding
from hr_centra_pipeline.sources.centra import event_queue
from hr_centra_pipeline.sources.centra.centra_calls import EVENT_TYPES
from hr_centra_pipeline.sources.centra.centra_errors import CentraError
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.warehouse import lock, versions

SECTION = "event queue"
_SINCE_VERSION = 155
_MOST = 200


def findings(client: CentraClient, settings: Settings, policy: Policy, now: datetime) -> Iterator[Finding]:
    """What can be known of a queue that any program with our integration name may empty; nothing while it is not read."""
    if not policy.events.centra_queue:
        return
    try:
        yield from _of_queue(client, settings, policy, now)
    except CentraError as error:
        yield Finding(SECTION, "warning", str(error), "Until then the polls alone find what changes.")


def _of_queue(client: CentraClient, settings: Settings, policy: Policy, now: datetime) -> Iterator[Finding]:
    listed = event_queue.listeners(client)
    names = sorted({one.integration_name for one in listed})
    summary = f"Centra lists listeners of {', '.join(names)}" if names else "Centra lists no listener"
    set_at, missed, found = _kept(settings, now, policy) or ({}, 0, 0)
    if set_at:
        summary += f"; hr-centra set its own on {min(set_at.values()):%Y-%m-%d}"
    removed = [one for one in EVENT_TYPES if one in set_at and one not in {each.object_type for each in listed}]
    if removed:
        yield Finding(
            SECTION, "warning", f"{summary}. Gone since: {', '.join(removed)}: events of these are not kept",
            "Find out which program removed them. The polls go on; or set [events] centra_queue = false.",
        )  # fmt: skip
    elif not set_at:
        yield Finding(SECTION, "note", f"{summary}; the next sync sets those that hr-centra needs")
    else:
        yield Finding(SECTION, "ok", summary)
    waiting = len(client.objects("ReadEvents", {"objectType": list(EVENT_TYPES), "limit": _MOST}, "events"))
    more = " or more" if waiting == _MOST else ""
    yield Finding(SECTION, "note", f"{waiting}{more} events are not confirmed yet: each sync reads and confirms them")
    if not found:
        return
    share = 100 * missed / found
    is_bad = share > policy.events.missed_alarm_percent
    yield Finding(
        SECTION, "warning" if is_bad else "ok",
        f"of {found:,} changes of the last day, {missed:,} were found by the polls and never came by the queue ({share:.0f} %)",
        "Another program may use this integration name and confirm events before us, a listener may have been missing, or this "
        "Centra makes no event of such a change. Give hr-centra a token with an integration name of its own." if is_bad else "",
    )  # fmt: skip


def _kept(settings: Settings, now: datetime, policy: Policy) -> tuple[dict[str, datetime], int, int] | None:
    """When our listeners were set; how many changes the queue never brought, of how many. ``None``: the database is in use."""
    if not settings.database.exists():
        return None
    try:
        with (
            lock.held_if_there(settings.lock_path, "hr-centra doctor", wait_seconds=3),
            duckdb.connect(settings.database, read_only=True) as connection,
        ):
            if _SINCE_VERSION not in versions.applied(connection):
                return None
            set_at = event_queue.set_types(connection)
            until = now - timedelta(minutes=policy.events.late_minutes)
            row = connection.execute(_MISSED, {"since": now - timedelta(days=1), "until": until}).fetchone()
    except (RunFailed, duckdb.Error):
        return None
    missed, found = row or (0, 0)
    return set_at, missed, found


# Changes by Centra's own time, since we listen to their type; an event may be stamped a little before what it reports.
_MISSED = """
with
changes as (
    select
        'Order' as listens_to, 'order' as object_type, try_cast(order_number as bigint) as object_id,
        max(updated_at) as changed_at
    from landing.centra_orders group by all
    union all
    select 'Shipment', 'shipment', shipment_id, max(updated_at) from landing.centra_shipments group by all
    union all
    select 'Return', 'return', centra_return_id, max(created_at) from landing.centra_returns group by all
    union all
    select 'StockChange', 'stock_change', stock_change_id, max(created_at) from landing.centra_stock_changes group by all
),

listened as (
    select changes.*
    from changes
    join (select object_type, max(set_at) as set_at from landing.centra_listeners group by all) as listeners
        on listeners.object_type = changes.listens_to and changes.changed_at > listeners.set_at
    where changes.changed_at between $since and $until
)

select
    count(*) filter (
        not exists (
            select 1 from landing.centra_hints as hints
            where hints.feed = 'queue' and hints.object_type = listened.object_type and hints.object_id = listened.object_id
                and hints.landed_at >= listened.changed_at - interval 5 minutes
        )
    ),
    count(*)
from listened
"""
