"""Landing is partitioned by UTC day: the day of ``received_at`` for files, of the fetch for Centra."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from hr_centra_pipeline.core import clock, months

# end_offset=1: without it today has no partition until midnight.
DAILY = dg.DailyPartitionsDefinition(start_date="2025-01-01", end_offset=1, timezone="UTC")

# Month end: the UTC month. end_offset=1: the present month can be looked at before it is over.
# Its keys (2026-09) differ from those of days, so that a run's tags show which of them it is about.
MONTHLY = dg.MonthlyPartitionsDefinition(start_date="2025-01", end_offset=1, timezone="UTC", fmt="%Y-%m")

# On every asset, so that a range of days is one run: landing takes all new files, whatever the partition.
SINGLE_RUN = dg.BackfillPolicy.single_run()

LONGEST_BACKFILL_SECONDS = 7 * 24 * 3600
JOB_TAG = "hr_centra/job"
SYNC_JOB, EVENT_SYNC_JOB = "sync", "event_sync"
_PARTITION = "dagster/partition"
_RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
_BACKFILL = "dagster/backfill"


def partition_now() -> str:
    """The partition of a run that starts now: the UTC day of the decision clock."""
    return f"{clock.now():%Y-%m-%d}"


def days_of(tags: Mapping[str, str]) -> tuple[date, date] | None:
    """First and last day of the partitions that a run is about, if it is about any."""
    start, end = (tags.get(name) or tags.get(_PARTITION) for name in _RANGE)
    if not start or not end:
        return None
    if _is_of_months(tags):
        return date.fromisoformat(f"{start}-01"), months.end(end).date() - timedelta(days=1)
    return date.fromisoformat(start), date.fromisoformat(end)


def _is_of_months(tags: Mapping[str, str]) -> bool:
    return len(tags.get(_RANGE[0]) or tags.get(_PARTITION) or "") == len("2026-09")


def is_backfill(tags: Mapping[str, str]) -> bool:
    """Whether a run reads history: several days, or another day than today (a sync that waited over midnight is none).

    Such a run lands and plans only, and lets the hourly sync in.
    """
    days = days_of(tags)
    if days is None or _is_of_months(tags):
        return False
    if _BACKFILL in tags or _RANGE[0] in tags:
        return True
    return tags.get(JOB_TAG) not in (SYNC_JOB, EVENT_SYNC_JOB) and days[1] < clock.now().date()


def follows_events(tags: Mapping[str, str]) -> bool:
    """Whether a run takes what the inbox brought and pulls what that names, and nothing else."""
    return tags.get(JOB_TAG) == EVENT_SYNC_JOB


def window_of(tags: Mapping[str, str]) -> tuple[datetime, datetime]:
    """The instants that the days of a run span: from the first midnight to the one after the last."""
    days = days_of(tags)
    assert days is not None  # noqa: S101 - asked for backfills only
    first, last = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days)
    return first, last + timedelta(days=1)


def more_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags that every run gets besides its own, by those that it was started with.

    ``hr_centra/window/2026-09 = yes`` for each month that it is about: the UI finds every run about a month of returns by it.
    A backfill may take days; the limit of other runs is less than an hour.
    """
    days = days_of(tags)
    if days is None:
        return {}
    first, last = days
    about = {f"{first + timedelta(days=number):%Y-%m}" for number in range((last - first).days + 1)}
    more = {f"hr_centra/window/{month}": "yes" for month in sorted(about)}
    if is_backfill(tags):
        more["dagster/max_runtime"] = str(LONGEST_BACKFILL_SECONDS)
    return more
