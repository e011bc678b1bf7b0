"""The sync job once, and the months that follow from it, in this process: what the command line does."""

from __future__ import annotations

import os
from collections.abc import Sequence

import dagster as dg

from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration import door
from hr_centra_pipeline.orchestration.instance import prepare_dagster_home
from hr_centra_pipeline.orchestration.jobs import FOLLOWED_TAG, MONTH_END, SYNC, partition_now, range_tags
from hr_centra_pipeline.publishing.publish import read_due


def sync(defs: dg.Definitions, settings: Settings, *, month_end: bool = True) -> None:
    """Take the lock, bury who died holding it, run the job; then, if it learnt something, the months that it is about.

    Raises:
        ConfigurationError: a step found a mistake in the configuration.
        RunFailed: a step failed; the message holds its own words.
    """
    prepare_dagster_home(settings)
    with door.held(settings.lock_path, "hr-centra sync"), dg.DagsterInstance.get() as instance:
        door.bury_dead_runs(instance)
        followed = {FOLLOWED_TAG: "by its caller"}
        _run(defs.resolve_job_def(SYNC.name), instance, followed, partition_now())
        due = read_due(settings) if month_end else []
        if due:
            _run(defs.resolve_job_def(MONTH_END.name), instance, range_tags(due), None)


def _run(job: dg.JobDefinition, instance: dg.DagsterInstance, tags: dict[str, str], partition: str | None) -> None:
    result = job.execute_in_process(
        instance=instance,
        partition_key=partition,
        # Events stand in the UI; the terminal is the caller's.
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        tags={door.PROCESS_TAG: str(os.getpid()), **tags},
        raise_on_error=False,
    )
    if not result.success:
        raise _failure([event for event in result.all_events if event.is_failure])


def _failure(events: Sequence[dg.DagsterEvent]) -> Exception:
    """The failed steps' own words, each once; a configuration mistake keeps its exit code."""
    words: list[str] = []
    is_configuration = False
    for event in events:
        error = getattr(event.event_specific_data, "error", None)
        while error is not None and error.cause is not None:
            error = error.cause
        if error is not None:
            is_configuration |= error.cls_name == ConfigurationError.__name__
            name, _, rest = error.message.strip().partition(": ")
            words.append(rest if name.rpartition(".")[2] == error.cls_name and rest else error.message.strip())
    text = "\n".join(dict.fromkeys(words)) or "The run failed; the Dagster UI has its events."
    return ConfigurationError(text) if is_configuration else RunFailed(text)
