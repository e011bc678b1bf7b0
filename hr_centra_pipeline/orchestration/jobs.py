"""The hourly job and its schedule; the monthly job, which follows a sync that learnt something; and the backfill."""

from __future__ import annotations

import os
from collections.abc import Sequence

import dagster as dg

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration.asset_tables import keys
from hr_centra_pipeline.orchestration.assets import effect_assets, hint_assets, landing_assets, push, staging_assets
from hr_centra_pipeline.orchestration.assets import oversight as oversight_assets
from hr_centra_pipeline.orchestration.assets.backfill_assets import REPORTS
from hr_centra_pipeline.orchestration.executor import in_process_behind_the_lock
from hr_centra_pipeline.orchestration.failures import NO_RUN_RETRY
from hr_centra_pipeline.orchestration.partitions import (
    EVENT_SYNC_JOB,
    JOB_TAG,
    SYNC_JOB,
    is_backfill,
    partition_now,
)
from hr_centra_pipeline.orchestration.presentation import group_in_flow
from hr_centra_pipeline.publishing.publish import read_due

_MONTHLY = dg.AssetSelection.groups(group_in_flow("month_end"))

SYNC = dg.define_asset_job(
    SYNC_JOB,
    # Daily and monthly partitions in one job are an error.
    selection=dg.AssetSelection.all() - _MONTHLY - dg.AssetSelection.assets(*keys(REPORTS)),
    description="Read both sides, plan, send (in live mode), reconcile, publish. Twice in a row changes nothing.",
    executor_def=in_process_behind_the_lock,
    tags={JOB_TAG: SYNC_JOB, **NO_RUN_RETRY},
)

EVENT_SYNC = dg.define_asset_job(
    EVENT_SYNC_JOB,
    # Not the alarms: they are about tables that the hourly sync makes.
    selection=dg.AssetSelection.assets(
        *hint_assets.ASSETS, landing_assets.happy_returns_events, *landing_assets.NAMED, *staging_assets.ASSETS,
        *effect_assets.ASSETS, *push.ASSETS,
    )
    - dg.AssetSelection.checks(*oversight_assets.CHECKS),
    description="When something happened: take the deliveries that wait, pull only what they name, plan and send. What they do "
    "not name, the reconciliation and what readers get are left to the hourly sync.",
    executor_def=in_process_behind_the_lock,
    tags={JOB_TAG: EVENT_SYNC_JOB, **NO_RUN_RETRY},
)  # fmt: skip

MONTH_END = dg.define_asset_job(
    "month_end",
    selection=_MONTHLY,
    description="A month's tables and its pack: workbook, summary page, CSV, Parquet, manifest. Changes nothing in Centra.",
    executor_def=in_process_behind_the_lock,
    tags={JOB_TAG: "month_end", **NO_RUN_RETRY},
)

FOLLOWED_TAG = "hr_centra/month_end"
"""Tag of a sync whose caller makes the months itself, so that the sensor need not."""
_RANGE_START, _RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"

BACKFILL = dg.define_asset_job(
    "backfill",
    selection=dg.AssetSelection.assets(*keys(REPORTS)),
    description="Read a range of past days from Centra, one run for all of them, in short slices beside the hourly sync. "
    "Lands and plans, never sends. Days that were read before are left out, so that a stopped one goes on where it was.",
    executor_def=in_process_behind_the_lock,
    tags={JOB_TAG: "backfill", **NO_RUN_RETRY},
)


def _cron() -> str:
    told = os.environ.get("HR_CENTRA_SYNC_CRON") or "7 * * * *"
    try:
        dg.ScheduleDefinition(name="probe", job_name="sync", cron_schedule=told)
    except dg.DagsterInvalidDefinitionError:
        raise ConfigurationError(
            f"HR_CENTRA_SYNC_CRON={told!r}: write a cron line of five fields (minute, hour, day, month, weekday), like '7 * * * *'."
        ) from None
    return told


def _default_status() -> dg.DefaultScheduleStatus:
    # A home with a sandbox of its own is the demo's: there the schedule runs without being switched on.
    is_demo = (Settings.from_environment().home / "sandbox").is_dir()
    return dg.DefaultScheduleStatus.RUNNING if is_demo else dg.DefaultScheduleStatus.STOPPED


@dg.schedule(
    job=SYNC,
    cron_schedule=_cron(),
    execution_timezone="UTC",
    default_status=_default_status(),
    description="Every hour, seven minutes past (HR_CENTRA_SYNC_CRON changes it). A run that is still going is not doubled.",
)
def hourly_sync(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run for now, whatever hours were missed: it takes everything that is new. Missed hours are shown as gaps."""
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


def range_tags(due: Sequence[str]) -> dict[str, str]:
    """Tags of one run over several months."""
    return {_RANGE_START: due[0], _RANGE_END: due[-1]}


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
