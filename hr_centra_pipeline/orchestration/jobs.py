"""The hourly job and its schedule; the monthly job, which follows a sync that learnt something."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration.executor import in_process_behind_the_lock
from hr_centra_pipeline.publishing.publish import read_due

_MONTHLY = dg.AssetSelection.groups("month_end")

SYNC = dg.define_asset_job(
    "sync",
    selection=dg.AssetSelection.all() - _MONTHLY,  # daily and monthly partitions in one job are an error
    description="Read both sides, plan, send (in live mode), reconcile, publish. Twice in a row changes nothing.",
    executor_def=in_process_behind_the_lock,
    tags={"hr_centra/job": "sync"},
)

MONTH_END = dg.define_asset_job(
    "month_end",
    selection=_MONTHLY,
    description="A month's tables and its pack: workbook, summary page, CSV, Parquet, manifest. Changes nothing in Centra.",
    executor_def=in_process_behind_the_lock,
    tags={"hr_centra/job": "month_end"},
)

FOLLOWED_TAG = "hr_centra/month_end"
"""Tag of a sync whose caller makes the months itself, so that the sensor need not."""
_RANGE_START, _RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def partition_now() -> str:
    """The partition of a run that starts now: the UTC day of the decision clock."""
    return f"{clock.now():%Y-%m-%d}"


def _default_status() -> dg.DefaultScheduleStatus:
    # A home with a sandbox of its own is the demo's: there the schedule runs without being switched on.
    is_demo = (Settings.from_environment().home / "sandbox").is_dir()
    return dg.DefaultScheduleStatus.RUNNING if is_demo else dg.DefaultScheduleStatus.STOPPED


@dg.schedule(
    job=SYNC,
    cron_schedule="7 * * * *",
    execution_timezone="UTC",
    default_status=_default_status(),
    description="Every hour, seven minutes past. A run that is still going is not doubled.",
)
def hourly_sync(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run for now, whatever hours were missed: it takes everything that is new."""
    unfinished = context.instance.get_runs(
        filters=dg.RunsFilter(
            job_name=SYNC.name,
            statuses=[dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED],
        ),
        limit=1,
    )
    if unfinished:
        return dg.SkipReason(f"Run {unfinished[0].run_id[:8]} is still going.")
    return dg.RunRequest(partition_key=partition_now())


def month_partition(month: str) -> str:
    """The partition key of ``2026-09``."""
    return f"{month}-01"


def range_tags(due: Sequence[str]) -> dict[str, str]:
    """Tags of one run over several months."""
    return {_RANGE_START: month_partition(due[0]), _RANGE_END: month_partition(due[-1])}


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[SYNC],
    request_job=MONTH_END,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="After a sync: one run over the months about which it learnt something.",
)
def month_end_after_sync(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
    """Reads what was published, never the warehouse."""
    if FOLLOWED_TAG in context.dagster_run.tags:
        return dg.SkipReason("Its caller makes the months.")
    due = read_due(Settings.from_environment())
    if not due:
        return dg.SkipReason("Nothing new about any month.")
    return dg.RunRequest(run_key=context.dagster_run.run_id, tags=range_tags(due))
