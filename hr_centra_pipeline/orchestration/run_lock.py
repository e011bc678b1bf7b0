"""The run locks that the steps of every run take, and runs whose process died holding one.

``sync.lock`` keeps a second writer of the database out. A run takes it with the first of our steps and keeps it until it has ended:
held by the kernel as long as its process lives, and as its turn (``warehouse/lock.py``) between steps that are processes of their
own. A backfill, which may take hours, keeps ``backfill.lock`` so, and ``sync.lock`` only for short slices: the hourly sync gets in.

The one place that decides who may write: another kind of lock goes into ``turn``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from hr_centra_pipeline.core import processes
from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.warehouse import lock
from hr_centra_pipeline.warehouse.database import Connection, Warehouse

WAIT_SECONDS = 30.0
"""How long a command waits for the lock before it names the holder and fails."""

RUN_WAIT_SECONDS = 3000.0
"""How long a run that Dagster started waits: below ``max_runtime_seconds``, above any sync."""

PROCESS_TAG = "hr_centra/process"
"""Tag of a run that asked for a run lock: the process that is the run, and when that process began."""

UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_mine = threading.local()


@contextmanager
def held(path: Path, purpose: str, *, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the lock; a run that this thread starts while it holds it goes through.

    Raises:
        RunFailed: another process still holds it after ``wait_seconds``; the message names the holder.
    """
    mine = _held_here()
    if path in mine:
        yield
        return
    with lock.held(path, purpose, wait_seconds=wait_seconds):
        mine.add(path)
        try:
            yield
        finally:
            mine.discard(path)


@contextmanager
def turn(
    path: Path, instance: dg.DagsterInstance, run: dg.DagsterRun, said: Mapping[str, str]
) -> Iterator[Mapping[str, str]]:
    """It is this run's turn until its end, whatever executor runs it: for a process of it, inside the block.

    ``said``: what this step decided for the whole run; answered as the run's first step said it.

    Raises:
        RunFailed: another run or command still has the lock after ``RUN_WAIT_SECONDS``; the message names it.
    """
    mine = _held_here()
    if path in mine:
        yield said
        return
    wanted = lock.Turn(run.run_id, _process_of(instance, run), said)
    taken = lock.held(
        path, f"run {run.run_id[:8]}", wait_seconds=RUN_WAIT_SECONDS, turn=wanted,
        is_over=lambda run_id: _has_ended(instance, run_id),
    )  # fmt: skip
    with taken as granted:
        fail_orphaned_runs(instance, but=run.run_id)
        mine.add(path)
        try:
            yield granted.said if granted is not None else said
        finally:
            mine.discard(path)


def _held_here() -> set[Path]:
    paths: set[Path] = _mine.__dict__.setdefault("paths", set())
    return paths


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


def tag_run(instance: dg.DagsterInstance, run: dg.DagsterRun, more: Mapping[str, str]) -> None:
    """Note on a run which process it is, so that its death is noticed; and ``more``."""
    tags = {PROCESS_TAG: _process_of(instance, run), **more}
    if any(run.tags.get(name) != value for name, value in tags.items()):
        instance.add_run_tags(run.run_id, tags)


def _process_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """The process that is a run: the one that its executor said it runs steps in or from; else this one."""
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        told = event.engine_event_data.metadata.get("pid") if event is not None else None
        if told is not None:
            return processes.named(int(str(told.value)))
    return processes.this()


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


def _has_ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and run.is_finished  # another instance's is not known here


def is_dead(process: str) -> bool:
    """Whether the process of a ``PROCESS_TAG`` is gone."""
    if process == processes.this():
        return True  # the caller holds the lock: an earlier run of this process was left behind
    return processes.is_gone(process)
