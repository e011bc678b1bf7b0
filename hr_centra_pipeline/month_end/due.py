"""Which months something new was learnt about since their pack was made, so that a month is made again only when it changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from hr_centra_pipeline.core import months
from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.month_end.close import closed_through
from hr_centra_pipeline.reconciliation.reconcile import next_run
from hr_centra_pipeline.warehouse import derived, watermarks
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.watermarks import Watermark

_ONCE_A = timedelta(days=1)

# What was learnt, by the month that it belongs to and the run that learnt it.
_LEARNT = """
    select month, run_number, recorded_at from month_end.fact_journal
    union all
    select strftime("at", '%Y-%m'), coalesce(run_number, 0), coalesce(recorded_at, "at") from reconciliation.exception_events
    union all
    select strftime(recorded_at, '%Y-%m'), run_number, recorded_at from month_end.match_journal
    union all
    select strftime(recorded_at, '%Y-%m'), run_number, recorded_at from month_end.opening_position
    union all
    select month, run_number, "at" from month_end.closes
    union all
    select strftime(coalesce(first_source_time, source_time, received_at), '%Y-%m'), null, received_at from landing.files
    union all
    select strftime(coalesce(source_time, received_at), '%Y-%m'), null, landed_at from landing.events
"""


def require_synced(connection: Connection, policy_sha256: str) -> None:
    """Refuse to report a month from tables that a changed program or policy has emptied.

    Raises:
        RunFailed: a sync has to fill them first.
    """
    if not derived.is_current(connection, policy_sha256) or watermarks.read(connection, watermarks.MATCHING) < 0:
        raise RunFailed("The program or the policy changed since the last sync: run `hr-centra sync` first.")


def due_months(connection: Connection, now: datetime) -> list[str]:
    """Months whose pack is older than what is known, in order.

    A fact changes its own month and every later one that is open; a closed month only when the fact belongs to it. A pack
    covers all history, so that it is made once a day, not once an hour; at once when the month has just ended, or was closed.
    Older months that never had a pack are made when somebody asks for them.
    """
    made = watermarks.parts(connection, watermarks.MONTH_END)
    present = months.of(now)
    wanted = sorted({*(month for month in made if month <= present), months.before(present), present})
    closed = closed_through(connection, now) or ""
    since = min(made[month].batch for month in wanted) if made.keys() >= set(wanted) else -1
    learnt = connection.execute(
        f"""
        select month, max(run_number), max(recorded_at) from ({_LEARNT})
        where run_number > ? or run_number is null group by month
        """,  # noqa: S608 - our own text
        [since],
    ).fetchall()
    first = min((month for month, *_ in learnt), default=present)
    due = []
    for month in wanted:
        if month not in made:
            if month >= first:
                due.append(month)
        elif made[month].updated_at < months.end(month) <= now or _changed(learnt, month, closed, made[month], now):
            due.append(month)
    return due


def _changed(
    learnt: Sequence[tuple[str, int | None, datetime | None]],
    month: str,
    closed: str,
    made: Watermark,
    now: datetime,
) -> bool:
    if now - made.updated_at < _ONCE_A:
        return False
    return any(
        (of == month or (of < month and month > closed))
        and ((last_run or 0) > made.batch or (last_at is not None and last_at > made.updated_at))
        for of, last_run, last_at in learnt
    )


def was_made(connection: Connection, month: str, now: datetime) -> None:
    """Remember that the month's pack holds all that is known now."""
    watermarks.write(connection, watermarks.MONTH_END, next_run(connection), now, part=month)
