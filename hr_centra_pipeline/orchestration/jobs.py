"""The hourly job and its schedule; the monthly job, which follows a sync that learnt something; and the backfill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.orchestration.asset_steps import Step
from hr_centra_pipeline.orchestration.assets import (
    backfill_assets,
    contract_assets,
    effect_assets,
    hint_assets,
    landing_assets,
    month_end_assets,
    oversight,
    partner_assets,
    push,
    reconciliation_assets,
    staging_assets,
)
from hr_centra_pipeline.orchestration.embedding import Embedding
from hr_centra_pipeline.orchestration.failures import NO_RUN_RETRY
from hr_centra_pipeline.orchestration.partitions import (
    BACKFILL_JOB,
    EVENT_SYNC_JOB,
    JOB_TAG,
    MONTH_END_JOB,
    RANGE_END,
    RANGE_START,
    SYNC_JOB,
)
from hr_centra_pipeline.publishing.publish import read_due

FOLLOWED_TAG = "hr_centra/month_end"
"""Tag of a sync whose caller makes the months itself, so that the sensor need not."""
SCHEDULE = "hourly_sync"

_OF_EVENTS = [
    *hint_assets.ASSETS, landing_assets.happy_returns_events, *landing_assets.NAMED, *staging_assets.ASSETS,
    *effect_assets.ASSETS, *push.ASSETS,
]  # fmt: skip
_OF_SYNC = [
    *contract_assets.ASSETS, *hint_assets.ASSETS, *landing_assets.ASSETS, *partner_assets.ASSETS, *staging_assets.ASSETS,
    *effect_assets.ASSETS, *push.ASSETS, *reconciliation_assets.ASSETS, *oversight.ASSETS,
]  # fmt: skip
STEPS: list[Step] = [*_OF_SYNC, *month_end_assets.ASSETS, *backfill_assets.ASSETS]
"""Every step that makes something."""
CHECKS: list[Step] = [*oversight.CHECKS]
"""Those that only look."""


@dataclass(frozen=True)
class Jobs:
    """The jobs as they are named here."""

    sync: Any
    event_sync: Any
    month_end: Any
    backfill: Any

    @property
    def all(self) -> list[Any]:
        """Each of them."""
        return [self.sync, self.event_sync, self.month_end, self.backfill]


def jobs(embedding: Embedding) -> Jobs:
    """Each of its own executor, in one process: a process per step costs seconds each, and there is one writer anyway."""

    def made(name: str, steps: Sequence[Step], description: str, *, alarms: bool = False) -> Any:
        keys = [embedding.key(key) for step in steps for key in step.keys]
        checks = [embedding.check_spec(one).key for step in CHECKS for one in step.check_specs]
        standing = dg.AssetSelection.checks(*checks)
        selection = dg.AssetSelection.assets(*keys)
        return dg.define_asset_job(
            embedding.name(name),
            selection=selection | standing if alarms else selection - standing,
            description=description,
            executor_def=dg.in_process_executor,
            tags={JOB_TAG: name, **NO_RUN_RETRY},
        )

    return Jobs(
        sync=made(
            SYNC_JOB, _OF_SYNC,
            "Read both sides, plan, send (in live mode), reconcile, publish. Twice in a row changes nothing.", alarms=True,
        ),
        # Not the alarms: they are about tables that the hourly sync makes.
        event_sync=made(
            EVENT_SYNC_JOB, _OF_EVENTS,
            "When something happened: take the deliveries that wait, pull only what they name, plan and send. What they do "
            "not name, the reconciliation and what readers get are left to the hourly sync.",
        ),
        month_end=made(
            MONTH_END_JOB, month_end_assets.ASSETS,
            "A month's tables and its pack: workbook, summary page, CSV, Parquet, manifest. Changes nothing in Centra.",
        ),
        backfill=made(
            BACKFILL_JOB, backfill_assets.ASSETS,
            "Read a range of past days from Centra, one run for all of them, in short slices beside the hourly sync. "
            "Lands and plans, never sends. Days that were read before are left out, so that a stopped one goes on where it was.",
        ),
    )  # fmt: skip


def _cron(embedding: Embedding) -> str:
    told = embedding.environment().get("HR_CENTRA_SYNC_CRON") or "7 * * * *"
    try:
        dg.ScheduleDefinition(name="probe", job_name="sync", cron_schedule=told)
    except dg.DagsterInvalidDefinitionError:
        raise ConfigurationError(
            f"HR_CENTRA_SYNC_CRON={told!r}: write a cron line of five fields (minute, hour, day, month, weekday), like '7 * * * *'."
        ) from None
    return told


def schedule_status(embedding: Embedding) -> dg.DefaultScheduleStatus:
    """Whether the schedule runs without being switched on: a home with a sandbox of its own is the demo's."""
    is_demo = (embedding.settings().home / "sandbox").is_dir()
    return dg.DefaultScheduleStatus.RUNNING if is_demo else dg.DefaultScheduleStatus.STOPPED


def hourly_sync(embedding: Embedding, sync: Any) -> dg.ScheduleDefinition:
    """The schedule of the sync."""

    @dg.schedule(
        name=embedding.name(SCHEDULE),
        job=sync,
        cron_schedule=_cron(embedding),
        execution_timezone="UTC",
        default_status=schedule_status(embedding),
        description="Every hour, seven minutes past (HR_CENTRA_SYNC_CRON changes it). A run that is still going is not doubled.",
    )
    def made(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """One run for now, whatever hours were missed: it takes everything that is new. Missed hours are shown as gaps."""
        going = context.instance.get_runs(
            filters=dg.RunsFilter(
                job_name=sync.name,
                statuses=[dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED],
            ),
            limit=1,
        )
        return dg.SkipReason(f"Run {going[0].run_id[:8]} is still going.") if going else dg.RunRequest()

    return made


def range_tags(due: Sequence[str]) -> dict[str, str]:
    """Tags of one run over several months."""
    return {RANGE_START: due[0], RANGE_END: due[-1]}


def month_end_after_sync(embedding: Embedding, jobs: Jobs) -> dg.SensorDefinition:
    """The sensor that makes the months about which a sync learnt something."""

    @dg.run_status_sensor(
        name=embedding.name("month_end_after_sync"),
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[jobs.sync],
        request_job=jobs.month_end,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="After a sync: one run over the months about which it learnt something.",
    )
    def made(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
        """Reads what was published, never the warehouse."""
        if FOLLOWED_TAG in context.dagster_run.tags:
            return dg.SkipReason("Its caller makes the months.")
        due = read_due(embedding.settings())
        if not due:
            return dg.SkipReason("Nothing new about any month.")
        return dg.RunRequest(run_key=context.dagster_run.run_id, tags=range_tags(due))

    return made
