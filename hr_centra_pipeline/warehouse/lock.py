"""The one kernel file lock that every entry point (CLI, schedule, UI, backfill) takes; released when its holder exits."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from hr_centra_pipeline.core.errors import RunFailed


@contextmanager
def held(path: Path, purpose: str, *, wait_seconds: float = 0) -> Iterator[None]:
    """Hold the lock; the file's text shows others who holds it (pid, purpose, since).

    Raises:
        RunFailed: another user still holds it after ``wait_seconds``; the message names the holder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(descriptor, path, wait_seconds)
        note = {"pid": os.getpid(), "purpose": purpose, "since": datetime.now(UTC).isoformat(timespec="seconds")}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(note).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise RunFailed(f"{path} is held by {holder(path)}; try again when it has finished.") from None
            time.sleep(0.1)
        else:
            return


def holder(path: Path) -> str:
    """Who holds the lock, as its text says."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        return f"{note['purpose']} (pid {note['pid']}, since {note['since']})"
    except (OSError, ValueError, KeyError):
        return "another process"
