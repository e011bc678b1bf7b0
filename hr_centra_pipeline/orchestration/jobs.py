"""The hourly job and its schedule, and the backfill."""

from __future__ import annotations

import os

import dagster as dg

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration.assets.backfill import REPORTS
from hr_centra_pipeline.orchestration.executor import in_process_behind_the_lock
from hr_centra_pipeline.orchestration.failures import NO_RUN_RETRY
from hr_centra_pipeline.orchestration.partitions import JOB_TAG, is_backfill, partition_now
from hr_centra_pipeline.orchestration.tables import keys

SYNC = dg.define_asset_job(
    "sync",
    selection=dg.AssetSelection.all() - dg.AssetSelection.assets(*keys(REPORTS)),
    description="Read both sides, plan, send (in live mode), reconcile, publish. Twice in a row changes nothing.",
    executor_def=in_process_behind_the_lock,
    tags={JOB_TAG: "sync", **NO_RUN_RETRY},
)

BACKFILL = dg.define_asset_job(
    "backfill",
    selection=dg.AssetSelection.assets(*keys(REPORTS)),
    description="Read a range of past days from Centra, one run for all of them, in short slices beside the hourly sync. "
    "Lands and plans, never sends. Days that were read before are left out, so that a stopped one goes on where it was.",
    executor_def=in_process_behind_the_lock,
    tags={JOB_TAG: "backfill", **NO_RUN_RETRY},
)

_CRON = os.environ.get("HR_CENTRA_SYNC_CRON") or "7 * * * *"


def _default_status() -> dg.DefaultScheduleStatus:
    # A home with a sandbox of its own is the demo's: there the schedule runs without being switched on.
    is_demo = (Settings.from_environment().home / "sandbox").is_dir()
    return dg.DefaultScheduleStatus.RUNNING if is_demo else dg.DefaultScheduleStatus.STOPPED


@dg.schedule(
    job=SYNC,
    cron_schedule=_CRON,
    execution_timezone="UTC",
    default_status=_default_status(),
    description="Every hour, seven minutes past (HR_CENTRA_SYNC_CRON changes it). A run that is still going is not doubled.",
)
def hourly_sync(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run for now, whatever hours were missed: it takes everything that is new. Missed hours stand as gaps."""
    unfinished = context.instance.get_runs(
        filters=dg.RunsFilter(
            job_name=SYNC.name,
            statuses=[dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED],
        ),
    )
    going = [run for run in unfinished if not is_backfill(run.tags)]
    if going:
        return dg.SkipReason(f"Run {going[0].run_id[:8]} is still going.")
    return dg.RunRequest(partition_key=partition_now())
