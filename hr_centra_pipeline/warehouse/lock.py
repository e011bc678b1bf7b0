"""The one kernel file lock that every entry point (CLI, schedule, UI, backfill) takes; released when its holder exits.

A run whose steps are processes of their own keeps its *turn* between them: it is written in the file, and stands until the run or
its process has ended. Only steps of that run get the lock meanwhile.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hr_centra_pipeline.core import processes
from hr_centra_pipeline.core.errors import RunFailed


@dataclass(frozen=True)
class Turn:
    """The turn of a run. ``worker``: the process that is the run (``core/processes.py``), this one or the parent of its steps."""

    run_id: str
    worker: str
    said: Mapping[str, str] = field(default_factory=dict)
    """What the first step decided for those that follow."""

    @property
    def is_whole_run(self) -> bool:
        """All steps of the run are in this process: with it the turn ends."""
        return self.worker == processes.this()


@contextmanager
def held(
    path: Path,
    purpose: str,
    *,
    wait_seconds: float = 0,
    turn: Turn | None = None,
    is_over: Callable[[str], bool] | None = None,
) -> Iterator[Turn | None]:
    """Hold the lock; the file's text shows others who holds it (pid, purpose, since). Answers the turn, as its first step has it.

    ``is_over``: whether a run has ended, by its id, for who can look; others go by its process alone.

    Raises:
        RunFailed: another user still holds it after ``wait_seconds``; the message names the holder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        before = _take(descriptor, path, wait_seconds, turn, is_over)
        note = {"pid": os.getpid(), "purpose": purpose, "since": datetime.now(UTC).isoformat(timespec="seconds")}
        if turn is not None:
            if before.get("run") == turn.run_id:
                turn = Turn(turn.run_id, turn.worker, before["said"])
            note |= {"run": turn.run_id, "worker": turn.worker, "said": dict(turn.said)}
        _write(descriptor, note)
        try:
            yield turn
        finally:
            if turn is not None:
                between = {**note, "pid": processes.pid_of(turn.worker)}
                _write(descriptor, {} if turn.is_whole_run else between)
    finally:
        os.close(descriptor)


def _take(
    descriptor: int, path: Path, wait_seconds: float, turn: Turn | None, is_over: Callable[[str], bool] | None
) -> dict[str, Any]:
    """Wait for the lock, and for the turn of another run to end; answers the text of its last holder."""
    deadline = time.monotonic() + wait_seconds
    own = turn.run_id if turn is not None else ""
    while True:
        if not _stands(
            _note(path), own, is_over
        ):  # looked at first: a look with the lock would keep the run's next step out
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            else:
                note = _note(path)
                if not _stands(note, own, is_over):
                    return note
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        if time.monotonic() >= deadline:
            raise RunFailed(f"{path} is held by {holder(path)}; try again when it has finished.") from None
        time.sleep(0.1)


def _stands(note: Mapping[str, Any], own: str, is_over: Callable[[str], bool] | None) -> bool:
    """Whether it is another run's turn. That of another machine is seen only by who can ask whether the run is over."""
    run_id, worker = note.get("run"), note.get("worker")
    if not run_id or not worker or run_id == own or processes.is_gone(worker):
        return False
    if is_over is None:
        return processes.is_here(worker)
    return not is_over(run_id)


def holder(path: Path) -> str:
    """Who holds the lock, as its text says."""
    note = _note(path)
    try:
        return f"{note['purpose']} (pid {note['pid']}, since {note['since']})"
    except KeyError:
        return "another process"


def _note(path: Path) -> dict[str, Any]:
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _write(descriptor: int, note: Mapping[str, Any]) -> None:
    text = json.dumps(note).encode() if note else b""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text, 0)


@contextmanager
def held_if_there(path: Path, purpose: str, *, wait_seconds: float) -> Iterator[None]:
    """As :func:`held`, for those who change nothing: without a lock file nobody holds it, and none is made.

    Raises:
        RunFailed: as :func:`held`.
    """
    if not path.exists():
        yield
        return
    with held(path, purpose, wait_seconds=wait_seconds):
        yield
