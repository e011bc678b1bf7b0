"""The door that every run goes through: the file lock, and whoever died inside it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.warehouse import lock

WAIT_SECONDS = 30.0
"""How long a run or command waits for the lock before it names the holder and fails."""

PROCESS_TAG = "hr_centra/pid"
"""Tag of a run that has, or had, the lock: the process that executes it."""

_UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_mine = threading.local()


@contextmanager
def held(path: Path, purpose: str, *, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the lock; a run that this thread starts while it holds it goes through.

    Raises:
        RunFailed: somebody else still holds it after ``wait_seconds``; the message names the holder.
    """
    if getattr(_mine, "path", None) == path:
        yield
        return
    with lock.held(path, purpose, wait_seconds=wait_seconds):
        _mine.path = path
        try:
            yield
        finally:
            _mine.path = None


def is_held(path: Path) -> bool:
    """Whether anybody holds the lock at this moment."""
    try:
        with lock.held(path, "a look"):
            return False
    except RunFailed:
        return True


def bury_dead_runs(instance: dg.DagsterInstance, *, but: str | None = None, patience_seconds: float = 5) -> list[str]:
    """Mark runs failed that had the lock and lost it by dying, and free their pool slots. Hold the lock to call this.

    Without it, a slot that a killed run left behind would let the next run spin until somebody frees it by hand.
    A process that has left the lock but still writes its last events gets ``patience_seconds``.
    """
    buried = []
    deadline = time.monotonic() + patience_seconds
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=_UNFINISHED)):
        process = run.tags.get(PROCESS_TAG)
        if process is None or run.run_id == but:
            continue
        while _lives(int(process)) and time.monotonic() < deadline and not _is_over(instance, run.run_id):
            time.sleep(0.2)
        if not _is_over(instance, run.run_id):
            instance.report_run_failed(run, f"Its process {process} died; found by the next holder of the lock.")
            buried.append(run.run_id)
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return buried


def _is_over(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is None or run.is_finished


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()
