"""Runs every step in one process, behind the file lock: the door for runs that the UI, a schedule or a backfill starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration import door, partitions


class _LockedExecutor(InProcessExecutor):
    """Dagster's in-process executor, which waits for its lock first and fails runs that died holding it."""

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[Any]:
        """Hold the lock for the whole run: the sync's, or a backfill's own."""
        run, instance, settings = plan_context.dagster_run, plan_context.instance, Settings.from_environment()
        instance.add_run_tags(run.run_id, {door.PROCESS_TAG: door.this_process(), **partitions.more_tags(run.tags)})
        is_backfill = partitions.is_backfill(run.tags)
        path = settings.backfill_lock_path if is_backfill else settings.lock_path
        with door.held(path, f"run {run.run_id[:8]}", wait_seconds=door.RUN_WAIT_SECONDS):
            if not is_backfill:
                door.fail_orphaned_runs(instance, but=run.run_id)
            yield from super().execute(plan_context, execution_plan)


@dg.executor(name="in_process_behind_the_lock")
def in_process_behind_the_lock(_: dg.InitExecutorContext) -> _LockedExecutor:
    """In one process: two writers would collide on the DuckDB file, and starting a process per step costs seconds each."""
    return _LockedExecutor(retries=RetryMode.ENABLED)
