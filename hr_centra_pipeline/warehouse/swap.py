"""One file takes the place of the database: whole or not at all, however the process that does it ends.

A checked file that bears the name of ``ready`` is the decision. Whatever opens the database afterwards carries it out first.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.warehouse import lock, log

_POLL_SECONDS = 0.05


def ready(database: Path) -> Path:
    """The checked file that is to be the database."""
    return database.with_name(f".{database.name}.ready")


def wanted(database: Path) -> Path:
    """While it exists, who holds the database gives it away at its next wait."""
    return database.with_name(f"{database.name}.wanted")


@contextmanager
def alone(database: Path, *, wait_seconds: float) -> Iterator[int]:
    """Keep every other process from opening the file (DuckDB takes the same kernel lock); yields its descriptor.

    Only where this process has no connection to it, and opens the file in no other way meanwhile: the lock would be gone.

    Raises:
        RunFailed: another process has it open for longer than ``wait_seconds``.
    """
    deadline = time.monotonic() + wait_seconds
    descriptor = os.open(database, os.O_RDWR | os.O_CLOEXEC)
    is_waiting = False
    try:
        while True:
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    raise
                if time.monotonic() >= deadline:
                    raise RunFailed(
                        f"{database} is in use by another process; try again when it has finished."
                    ) from None
                wanted(database).touch()
                is_waiting = True
                time.sleep(_POLL_SECONDS)
                continue
            with suppress(FileNotFoundError):
                if os.fstat(descriptor).st_ino == database.stat().st_ino:
                    break
            os.close(descriptor)  # another file has taken its place meanwhile
            descriptor = os.open(database, os.O_RDWR | os.O_CLOEXEC)
        yield descriptor
    finally:
        os.close(descriptor)
        if is_waiting:
            wanted(database).unlink(missing_ok=True)


def carry_out(database: Path, *, wait_seconds: float = 30) -> Path | None:
    """Put a ready file into the place of the database, and keep what was there, with its log, in ``backups/``.

    Answers where that is kept now; ``None`` when no file is ready, or nothing was there.

    Raises:
        RunFailed: the database is in use.
    """
    if not ready(database).exists():
        return None
    with lock.held(database.with_name(f".{database.name}.swap.lock"), "a restore", wait_seconds=wait_seconds):
        try:
            at = datetime.fromtimestamp(ready(database).stat().st_mtime, UTC)
        except FileNotFoundError:
            return None  # another process has just done it
        aside = database.parent / "backups" / f"{database.stem}.replaced-{at:%Y%m%dT%H%M%S}{database.suffix}"
        aside.parent.mkdir(mode=0o700, exist_ok=True)
        if not database.exists():
            _replace(database, aside, is_there=False)
            return None
        with alone(database, wait_seconds=wait_seconds):
            _replace(database, aside, is_there=True)
    return aside


def _replace(database: Path, aside: Path, *, is_there: bool) -> None:
    # The log first: without it the file that goes is an earlier state of itself, and what comes is not touched by it.
    if log.path_of(database).exists():
        log.path_of(database).rename(log.path_of(aside))
    if is_there and not aside.exists():
        os.link(database, aside)
    log.forget(database)
    ready(database).rename(database)
    sync_folder(database.parent)


def sync_folder(folder: Path) -> None:
    """Make what was renamed in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
