"""A job that carries out what people decided, and the sensor that requests it. With nothing waiting it costs next to nothing."""

import json
import time
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import dagster as dg

from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.decisions import carry_out
from hr_centra_pipeline.decisions.carry_out import CarriedOut
from hr_centra_pipeline.decisions.decision_store import DecisionStore
from hr_centra_pipeline.orchestration import run_lock
from hr_centra_pipeline.orchestration.embedding import Embedding
from hr_centra_pipeline.orchestration.failures import NO_RUN_RETRY
from hr_centra_pipeline.orchestration.partitions import DECISIONS_JOB, JOB_TAG
from hr_centra_pipeline.orchestration.run_lock import UNFINISHED
from hr_centra_pipeline.publishing.publish import publish
from hr_centra_pipeline.warehouse.database import Warehouse

_INTERVAL_SECONDS = 15
_LONGEST_WAIT_SECONDS = 1800


def carry_out_decisions(embedding: Embedding) -> dg.JobDefinition:
    """The job. Its one step waits for its turn, as those of assets do."""

    @dg.op(
        name=embedding.name("carry_out_waiting"),
        description="Carries out what waits, in order, by the tables that the last sync made. Calls no vendor.",
    )
    def carry_out_waiting(context: dg.OpExecutionContext) -> None:
        """A refused decision is an outcome; it fails nothing."""
        settings = embedding.settings()
        run_lock.tag_run(context.instance, context.run, {})
        with run_lock.turn(settings.lock_path, context.instance, context.run, {}):
            report = carry_out.now(settings, context.run_id)
            for line in report.lines:
                context.log.info(line)
            if report.months:
                _publish(settings, clock.now(embedding.environment()))
        context.add_output_metadata(figures_of(report))

    return dg.GraphDefinition(name=embedding.name(DECISIONS_JOB), node_defs=[carry_out_waiting]).to_job(
        description="Carries out what people decided on the pages: approvals, ties, notes, closes and signatures, each once.",
        executor_def=dg.in_process_executor,
        tags={JOB_TAG: DECISIONS_JOB, **NO_RUN_RETRY},
    )


def figures_of(report: CarriedOut) -> dict[str, int | str]:
    """What the UI shows of it."""
    figures: dict[str, int | str] = {
        "done": report.done, "refused": report.refused, "failed": report.failed, "waiting": report.left,
    }  # fmt: skip
    return figures | ({"why they wait": report.why_left} if report.why_left else {})


def _publish(settings: Settings, now: datetime) -> None:
    """A month was closed or signed: its readers see so now."""
    policy = load_policy(settings.policy_path).policy
    publish(Warehouse(settings.database), settings, now, history_every=policy.publishing.history_every)


def carry_out_on_decisions(embedding: Embedding) -> dg.SensorDefinition:
    """The sensor; always on."""

    @dg.sensor(
        name=embedding.name("carry_out_on_decisions"),
        job_name=embedding.name(DECISIONS_JOB),
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Requests a run that carries out what people decided. One at a time; a sync that is running takes decisions"
        " along.",
    )
    def made(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Reads the index of waiting decisions. One that waits on after a run is tried again, each time after a longer wait."""
        return _requested(context, embedding)

    return made


def _requested(context: dg.SensorEvaluationContext, embedding: Embedding) -> dg.RunRequest | dg.SkipReason:
    waiting = _store(embedding.settings().home).waiting_numbers()
    if not waiting:
        if context.cursor:
            context.update_cursor("")
        return dg.SkipReason("No decision waits.")
    now = time.time()
    seen = json.loads(context.cursor) if context.cursor else {}
    if seen.get("newest") != waiting[-1]:
        seen = {"newest": waiting[-1], "requests": 0, "at": 0.0}
    wait = min(_INTERVAL_SECONDS * 2 ** seen["requests"], _LONGEST_WAIT_SECONDS) if seen["requests"] else 0
    left = min(seen["at"], now) + wait - now
    if left > 0:
        return dg.SkipReason(f"{len(waiting)} wait on after {seen['requests']} runs: tried again in {left:.0f} s.")
    running = context.instance.get_runs(
        filters=dg.RunsFilter(
            job_name=embedding.name(DECISIONS_JOB), statuses=[dg.DagsterRunStatus.QUEUED, *UNFINISHED]
        ),
        limit=1,
    )
    if running:
        return dg.SkipReason(f"Run {running[0].run_id[:8]} is waiting or running.")
    context.update_cursor(json.dumps({"newest": waiting[-1], "requests": seen["requests"] + 1, "at": now}))
    return dg.RunRequest()


@lru_cache(maxsize=1)
def _store(home: Path) -> DecisionStore:
    return DecisionStore(home / "decisions.sqlite")
