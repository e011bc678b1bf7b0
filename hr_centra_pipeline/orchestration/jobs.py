"""The hourly job and its schedule."""

from __future__ import annotations

import dagster as dg

from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration.executor import in_process_behind_the_lock

SYNC = dg.define_asset_job(
    "sync",
    selection=dg.AssetSelection.all(),
    description="Read both sides, plan, send (in live mode), reconcile, publish. Twice in a row changes nothing.",
    executor_def=in_process_behind_the_lock,
    tags={"hr_centra/job": "sync"},
)


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
