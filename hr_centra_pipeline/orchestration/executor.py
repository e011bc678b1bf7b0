"""Runs every step in one process, behind the file lock: the entry point of runs that the UI, a schedule or a backfill starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration import partitions, run_lock

_CONFIG: Any = dg.in_process_executor.config_schema


class _LockedExecutor(dg.Executor):
    """Another executor, which waits for its lock first and fails runs that died holding it."""

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> Any:
        """As the executor inside has them."""
        return self._inner.retries

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[Any]:
        """Hold the lock for the whole run: the sync's, or a backfill's own."""
        run, instance, settings = plan_context.dagster_run, plan_context.instance, Settings.from_environment()
        instance.add_run_tags(
            run.run_id, {run_lock.PROCESS_TAG: run_lock.this_process(), **partitions.more_tags(run.tags)}
        )
        is_backfill = partitions.is_backfill(run.tags)
        path = settings.backfill_lock_path if is_backfill else settings.lock_path
        with run_lock.held(path, f"run {run.run_id[:8]}", wait_seconds=run_lock.RUN_WAIT_SECONDS):
            if not is_backfill:
                run_lock.fail_orphaned_runs(instance, but=run.run_id)
            yield from self._inner.execute(plan_context, execution_plan)


@dg.executor(name="in_process_behind_the_lock", config_schema=_CONFIG)
def in_process_behind_the_lock(init_context: dg.InitExecutorContext) -> _LockedExecutor:
    """In one process: two writers would collide on the DuckDB file, and starting a process per step costs seconds each."""
    create = dg.in_process_executor.executor_creation_fn
    assert create is not None  # noqa: S101 - Dagster's own executor has one
    return _LockedExecutor(create(init_context))
