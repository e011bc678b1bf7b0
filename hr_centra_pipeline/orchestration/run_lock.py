"""The run locks that every run takes, and runs whose process died holding one.

``sync.lock`` is what keeps a second writer of the database out. A sync holds it for its whole run; a backfill, which may take
hours, holds ``backfill.lock`` for its whole run and ``sync.lock`` only for short slices, so that the hourly sync gets in.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import psutil

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.warehouse import lock
from hr_centra_pipeline.warehouse.database import Connection, Warehouse

WAIT_SECONDS = 30.0
"""How long a command waits for the lock before it names the holder and fails."""

RUN_WAIT_SECONDS = 3000.0
"""How long a run that Dagster started waits: below ``max_runtime_seconds``, above any sync."""

PROCESS_TAG = "hr_centra/process"
"""Tag of a run that took a run lock: the process that executes it, and when that process began."""

UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_mine = threading.local()


@contextmanager
def held(path: Path, purpose: str, *, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the lock; a run that this thread starts while it holds it goes through.

    Raises:
        RunFailed: another process still holds it after ``wait_seconds``; the message names the holder.
    """
    mine: set[Path] = _mine.__dict__.setdefault("paths", set())
    if path in mine:
        yield
        return
    with lock.held(path, purpose, wait_seconds=wait_seconds):
        mine.add(path)
        try:
            yield
        finally:
            mine.discard(path)


def is_held(path: Path) -> bool:
    """Whether anybody holds the lock at this moment."""
    try:
        with lock.held(path, "a look"):
            return False
    except RunFailed:
        return True


class BehindTheLock(Warehouse):
    """The database for a run that does not hold the sync lock: it is taken for each transaction, or for a ``slice_``."""

    def __init__(self, path: Path, lock_path: Path, purpose: str) -> None:
        super().__init__(path)
        self._lock_path, self._purpose = lock_path, purpose

    @contextmanager
    def slice_(self) -> Iterator[None]:
        """Keep others out for a while; its transactions share a connection."""
        with held(self._lock_path, self._purpose, wait_seconds=RUN_WAIT_SECONDS), super().kept_open():
            yield

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Nothing is kept beyond a slice: who gets the lock must get the file, too."""
        yield

    @contextmanager
    def transaction(self, *, wait_seconds: float = 30) -> Iterator[Connection]:
        """As everywhere, behind the lock."""
        with (
            held(self._lock_path, self._purpose, wait_seconds=RUN_WAIT_SECONDS),
            super().transaction(wait_seconds=wait_seconds) as connection,
        ):
            yield connection


# ---------------------------------------------------------------- who died


def this_process() -> str:
    """The value of ``PROCESS_TAG`` for a run of this process."""
    return f"{socket.gethostname()}:{os.getpid()}@{_began(os.getpid())}"


def fail_orphaned_runs(instance: dg.DagsterInstance, *, but: str | None = None) -> list[str]:
    """Mark runs failed whose process died, and free their slots; answers their ids.

    Without it, the slots that a killed run left behind would stay taken until ``max_runtime_seconds`` is over: the default
    launcher does not notice a crash. Runs of other machines are left to that limit.
    """
    orphaned = []
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=UNFINISHED)):
        process = run.tags.get(PROCESS_TAG)
        if process is None or run.run_id == but or not is_dead(process):
            continue
        if not _is_over(instance, run.run_id):
            instance.report_run_failed(run, crash_message(process))
            orphaned.append(run.run_id)
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return orphaned


def crash_message(process: str) -> str:
    """What is reported of a run whose process is gone."""
    return f"Process {process.partition('@')[0]} died without reporting an error (killed, or out of memory)."


def _is_over(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is None or run.is_finished


def is_dead(process: str) -> bool:
    """Whether the process of a ``PROCESS_TAG`` is gone; another one that got its number later is not it."""
    host, _, rest = process.partition(":")
    pid, _, began = rest.partition("@")
    if host != socket.gethostname():
        return False
    if int(pid) == os.getpid():
        return began == _began(int(pid))  # the caller holds the lock: an earlier run of this process was left behind
    return _began(int(pid)) != began


def _began(pid: int) -> str:
    """When a process began, in clock ticks since the machine did; empty when it is gone (or cannot be looked at: ``?``).

    Counted from the start of the machine, it stays the same when the clock is set.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        seconds = process.create_time() - psutil.boot_time()
    except psutil.NoSuchProcess:
        return ""
    except psutil.AccessDenied:
        return "?"
    return str(round(seconds * os.sysconf("SC_CLK_TCK")))
