"""The jobs once, and the months that follow from a sync, in this process: what the command line does."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import uuid4

import dagster as dg

from hr_centra_pipeline.core import processes
from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.decisions.decision_store import DecisionStore
from hr_centra_pipeline.orchestration import run_lock
from hr_centra_pipeline.orchestration.assets.backfill_assets import READ_AGAIN
from hr_centra_pipeline.orchestration.failures import words_of
from hr_centra_pipeline.orchestration.instance import prepare_dagster_home
from hr_centra_pipeline.orchestration.jobs import FOLLOWED_TAG, range_tags
from hr_centra_pipeline.orchestration.partitions import (
    BACKFILL_JOB,
    DECISIONS_JOB,
    EVENT_SYNC_JOB,
    MONTH_END_JOB,
    RANGE_END,
    RANGE_START,
    SYNC_JOB,
)
from hr_centra_pipeline.publishing.publish import read_due

# Events are in the UI; the terminal is the caller's.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

LOCATION_TAG, LOCATION = ".dagster/repository", "__repository__@hr_centra_pipeline"
"""The tag by which the UI lists runs under a job, and our code location's value of it (``workspace.yaml`` names the location)."""
_LOG = logging.getLogger(__name__)
_CONFIGURATION = {"ConfigurationError", "Misconfigured"}


def sync(defs: dg.Definitions, settings: Settings, *, month_end: bool = True) -> None:
    """Take the lock, fail runs that died holding it, run the job; then, if it brought something new, the months concerned.

    Raises:
        ConfigurationError: a step found a mistake in the configuration.
        RunFailed: a step failed; the message holds its own words.
    """
    prepare_dagster_home(settings)
    with run_lock.held(settings.lock_path, "hr-centra sync"), dg.DagsterInstance.get() as instance:
        run_lock.fail_orphaned_runs(instance)
        _run(defs, instance, SYNC_JOB, {FOLLOWED_TAG: "by its caller"})
        if DecisionStore(settings).waiting_count():  # closes and signatures; the others went with the sync
            _run(defs, instance, DECISIONS_JOB, {})
        due = read_due(settings) if month_end else []
        if due:
            _run(defs, instance, MONTH_END_JOB, range_tags(due))


def event_sync(defs: dg.Definitions, settings: Settings) -> None:
    """Take the lock and run the job that follows events: what waits, and what it names.

    Raises:
        ConfigurationError: a step found a mistake in the configuration.
        RunFailed: a step failed; the message holds its own words.
    """
    prepare_dagster_home(settings)
    with run_lock.held(settings.lock_path, "hr-centra sync --events"), dg.DagsterInstance.get() as instance:
        run_lock.fail_orphaned_runs(instance)
        _run(defs, instance, EVENT_SYNC_JOB, {})


def backfill(defs: dg.Definitions, settings: Settings, first: date, last: date, *, again: bool = False) -> str:
    """Run the backfill of a range of days; answers the run's id. The hourly sync gets the lock in between.

    Raises:
        ConfigurationError: a step found a mistake in the configuration.
        RunFailed: another backfill is under way, or a step failed. What was read is kept: run it again to go on.
    """
    prepare_dagster_home(settings)
    tags = {RANGE_START: f"{first}", RANGE_END: f"{last}", **({READ_AGAIN: "yes"} if again else {})}
    with (
        run_lock.held(settings.backfill_lock_path, "hr-centra backfill", wait_seconds=2),
        dg.DagsterInstance.get() as instance,
    ):
        return _run(defs, instance, BACKFILL_JOB, tags)


def _run(defs: dg.Definitions, instance: dg.DagsterInstance, job: str, tags: Mapping[str, str]) -> str:
    resolved, run_id = defs.resolve_job_def(job), str(uuid4())
    instance.add_event_listener(run_id, _Steps(job, len(resolved.graph.nodes)))
    result = resolved.execute_in_process(
        instance=instance,
        run_id=run_id,
        run_config=_QUIET,
        # The process from the beginning: a run that is killed before its first step is noticed, too.
        tags={run_lock.PROCESS_TAG: processes.this(), LOCATION_TAG: LOCATION, **tags},
        raise_on_error=False,
    )
    if not result.success:
        raise _failure([event for event in result.all_events if event.is_failure])
    return str(result.run_id)


class _Steps:
    """Says which step of a run begins, for a terminal; ``cli/progress_bar.py`` shows it."""

    def __init__(self, job: str, of: int) -> None:
        self._job, self._of, self._number = job.replace("_", " "), of, 0

    def __call__(self, event: dg.EventLogEntry) -> None:
        if event.dagster_event is not None and event.dagster_event.event_type is dg.DagsterEventType.STEP_START:
            self._number += 1
            name = str(event.step_key).rpartition("[")[0] or str(event.step_key)
            said = name.replace("centra", "Centra").replace("_", " ")
            _LOG.info("%s, step %d of %d: %s", self._job, self._number, self._of, said, extra={"is_step": True})


def _failure(events: list[dg.DagsterEvent]) -> Exception:
    """The failed steps' own words, each once; a configuration mistake keeps its exit code."""
    errors = [getattr(event.event_specific_data, "error", None) for event in events]
    words = dict.fromkeys(words_of(error) for error in errors if error is not None)
    text = "\n".join(words) or "The run failed; the Dagster UI has its events."
    is_configuration = any(_is_configuration(error) for error in errors)
    return ConfigurationError(text) if is_configuration else RunFailed(text)


def _is_configuration(error: Any) -> bool:
    return error is not None and (error.cls_name in _CONFIGURATION or _is_configuration(error.cause))
