"""Oversight: what was not read in time, what is new at the vendors, and the standing alarms over everything that is open."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from hr_centra_pipeline.orchestration import markdown
from hr_centra_pipeline.orchestration.asset_steps import step
from hr_centra_pipeline.orchestration.asset_tables import (
    FOUND,
    IDENTITY,
    LINES,
    PAGES,
    TEAM,
    declaration_checks,
    key,
    results,
    spec,
)
from hr_centra_pipeline.orchestration.partitions import EVENT_SYNC_JOB, JOB_TAG, JOBS
from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.oversight.inbox_privacy import erase_old
from hr_centra_pipeline.oversight.watch import RULES, alarms, refresh
from hr_centra_pipeline.warehouse import models

TABLES = models.made_in("oversight")

_AT_ONCE = 100  # old runs that one sync deletes: more than syncs may follow events in an hour
_EVENT_RUNS_DAYS = 7  # of syncs that follow events: what they sent is in push.attempts for good


@step(
    "coverage_and_drift",
    specs=[spec(name, "oversight", "data") for name in TABLES],
    check_specs=declaration_checks(TABLES),
)
def coverage_and_drift(context: Any, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """Over all that was ever read; here, too, what is past its retention goes."""
    with run.warehouse.transaction() as connection:
        refresh(connection, run.policy.policy, run.now)
    erase_old(run.settings, run.policy.policy.privacy.keep_days, run.now)
    days = run.policy.policy.retention.runs_days
    forgotten = delete_old_runs(context.instance, days)
    forgotten += delete_old_runs(context.instance, min(days, _EVENT_RUNS_DAYS), job=EVENT_SYNC_JOB)
    yield from results(run.warehouse, TABLES, {"old_runs_deleted": forgotten})


@step(
    "standing_alarms",
    check_specs=[
        dg.AssetCheckSpec(
            name, asset=key(rule.table), description=rule.sentence, metadata={"owner_team": rule.owner_team},
        )
        for name, rule in RULES.items()
    ],
)  # fmt: skip
def standing_alarms(context: Any, run: Run) -> Iterator[dg.AssetCheckResult]:
    """Each covers everything that is open, so that a later day cannot hide an earlier one."""
    with run.warehouse.transaction() as connection:
        found = alarms(connection, run.now)
    wanted = {check.name for check in context.selected_asset_check_keys}
    for alarm in found:
        if alarm.name in wanted:
            yield dg.AssetCheckResult(
                asset_key=key(alarm.rule.table), check_name=alarm.name, passed=not alarm.found,
                severity=dg.AssetCheckSeverity.ERROR if alarm.rule.is_error else dg.AssetCheckSeverity.WARN,
                description=f"{alarm.found} found, listed below." if alarm.found else None,
                metadata={
                    FOUND: alarm.found, TEAM: alarm.rule.owner_team, IDENTITY: alarm.identity,
                    **({LINES: dg.MetadataValue.md(markdown.listed(alarm.told))} if alarm.found else {}),
                    **({PAGES: dg.MetadataValue.json(list(zip(alarm.lines, alarm.paths, strict=True)))} if alarm.paths else {}),
                },
            )  # fmt: skip


def delete_old_runs(instance: dg.DagsterInstance, keep_days: int, *, job: str | None = None) -> int:
    """Delete finished runs of our jobs of long ago, with their events, a few at a time; answers how many. ``job``: of this one."""
    before = datetime.now(UTC) - timedelta(days=keep_days)
    tags = {JOB_TAG: [job] if job else list(JOBS)}  # others' jobs are theirs
    old = instance.get_runs(filters=dg.RunsFilter(tags=tags, created_before=before), limit=_AT_ONCE, ascending=True)
    finished = [run for run in old if run.is_finished]
    for run in finished:
        instance.delete_run(run.run_id)
    return len(finished)


ASSETS = [coverage_and_drift]
CHECKS = [standing_alarms]
