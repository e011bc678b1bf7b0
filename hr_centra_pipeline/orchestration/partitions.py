"""Partitions are what a run can be about: the past days that a backfill reads, and the months of month end. A sync has none."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from hr_centra_pipeline.core import months
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.core.settings import Settings

_LOG = logging.getLogger(__name__)
_YEARS_BEFORE = 1  # offered as long as there is no policy that says more


def first_day(settings: Settings) -> date:
    """The first day that is offered: the policy's. Without one that can be read it is a guess, so that the UI loads."""
    try:
        return load_policy(settings.policy_path).policy.first_day
    except ConfigurationError as error:
        if settings.policy_path.exists():
            _LOG.warning("Days and months are offered from a year ago on, since the policy cannot be read. %s", error)
        return date(datetime.now(UTC).year - _YEARS_BEFORE, 1, 1)


def days_from(first: date) -> dg.DailyPartitionsDefinition:
    """The UTC days. ``end_offset=1``: without it today has no partition until midnight."""
    return dg.DailyPartitionsDefinition(start_date=f"{first}", end_offset=1, timezone="UTC")


def months_from(first: date) -> dg.MonthlyPartitionsDefinition:
    """The UTC months. ``end_offset=1``: the present month can be looked at before it is over.

    Their keys (2026-09) differ from those of days, so that a run's tags show which of them it is about.
    """
    return dg.MonthlyPartitionsDefinition(start_date=f"{first:%Y-%m}", end_offset=1, timezone="UTC", fmt="%Y-%m")


LONGEST_BACKFILL_SECONDS = 7 * 24 * 3600
JOB_TAG = "hr_centra/job"
SYNC_JOB, EVENT_SYNC_JOB, MONTH_END_JOB, BACKFILL_JOB = "sync", "event_sync", "month_end", "backfill"
DECISIONS_JOB = "carry_out_decisions"
JOBS = (SYNC_JOB, EVENT_SYNC_JOB, MONTH_END_JOB, BACKFILL_JOB, DECISIONS_JOB)
_PARTITION = "dagster/partition"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def days_of(tags: Mapping[str, str]) -> tuple[date, date] | None:
    """First and last day of the partitions that a run is about, if it is about any."""
    start, end = (tags.get(name) or tags.get(_PARTITION) for name in (RANGE_START, RANGE_END))
    if not start or not end:
        return None
    if _is_of_months(tags):
        return date.fromisoformat(f"{start}-01"), months.end(end).date() - timedelta(days=1)
    return date.fromisoformat(start), date.fromisoformat(end)


def _is_of_months(tags: Mapping[str, str]) -> bool:
    return len(tags.get(RANGE_START) or tags.get(_PARTITION) or "") == len("2026-09")


def follows_events(tags: Mapping[str, str]) -> bool:
    """Whether a run takes what the inbox brought and pulls what that names, and nothing else."""
    return tags.get(JOB_TAG) == EVENT_SYNC_JOB


def window_of(tags: Mapping[str, str]) -> tuple[datetime, datetime]:
    """The instants that the days of a run span: from the first midnight to the one after the last.

    Raises:
        ConfigurationError: the run was started without days.
    """
    days = days_of(tags)
    if days is None or _is_of_months(tags):
        raise ConfigurationError("A backfill reads days: start it with a partition, or with a range of them.")
    first, last = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days)
    return first, last + timedelta(days=1)


def more_tags(tags: Mapping[str, str], now: datetime, *, is_backfill: bool) -> dict[str, str]:
    """Tags that every run gets besides its own, by those that it was started with; without days it is about today.

    ``hr_centra/window/2026-09 = yes`` for each month that it is about: the UI finds every run about a month of returns by it.
    A backfill may take days; the limit of other runs is less than an hour.
    """
    first, last = days_of(tags) or (now.date(), now.date())
    about = {f"{first + timedelta(days=number):%Y-%m}" for number in range((last - first).days + 1)}
    more = {f"hr_centra/window/{month}": "yes" for month in sorted(about)}
    if is_backfill:
        more["dagster/max_runtime"] = str(LONGEST_BACKFILL_SECONDS)
    return more
