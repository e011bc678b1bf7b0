"""Runs every step in one process, behind the file lock: the door for runs that the UI, a schedule or a backfill starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration import door


class _LockedExecutor(InProcessExecutor):
    """Dagster's in-process executor, which waits for the lock first and buries who died holding it."""

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[Any]:
        """Hold the lock for the whole run."""
        run_id = plan_context.dagster_run.run_id
        with door.held(Settings.from_environment().lock_path, f"run {run_id[:8]}"):
            plan_context.instance.add_run_tags(run_id, {door.PROCESS_TAG: str(os.getpid())})
            door.bury_dead_runs(plan_context.instance, but=run_id)
            yield from super().execute(plan_context, execution_plan)


@dg.executor(name="in_process_behind_the_lock")
def in_process_behind_the_lock(_: dg.InitExecutorContext) -> _LockedExecutor:
    """In one process: two writers would collide on the DuckDB file, and starting a process per step costs seconds each."""
    return _LockedExecutor(retries=RetryMode.ENABLED)
