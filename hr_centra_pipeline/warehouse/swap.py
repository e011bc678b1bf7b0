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
_PORTION = 16 * 1024 * 1024


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
            _replace(database, aside, None)
            return None
        with alone(database, wait_seconds=wait_seconds) as descriptor:
            _replace(database, aside, descriptor)
    return aside


def _replace(database: Path, aside: Path, descriptor: int | None) -> None:
    try:
        # The log first: without it the file that goes is an earlier state of itself, and what comes is not touched by it.
        if log.path_of(database).exists():
            _keep_log(log.path_of(database), log.path_of(aside))
        if descriptor is not None and not aside.exists():
            _keep(database, descriptor, aside)
    except OSError as error:
        raise RunFailed(
            f"{aside}: cannot be written ({error.strerror}), and it is to keep the database that a restore replaces. Make room or"
            " give this user the right to, then run this again."
        ) from error
    log.forget(database)
    ready(database).rename(database)
    sync_folder(database.parent)


def _keep_log(path: Path, aside: Path) -> None:
    try:
        path.rename(aside)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with path.open("rb") as file:
            _copy_whole(file.fileno(), aside)
        path.unlink()


def _keep(database: Path, descriptor: int, aside: Path) -> None:
    try:
        os.link(database, aside)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP):
            raise
        # Another mount, or a file system without links: by the descriptor that has the lock, any other would end it.
        _copy_whole(descriptor, aside)


def _copy_whole(descriptor: int, target: Path) -> None:
    """Copy a file to another file system: under its name it is whole and on the disk."""
    part = target.with_name(f".{target.name}.part")
    try:
        copy(descriptor, part)
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(target.parent)


def copy(descriptor: int, target: Path) -> None:
    """Copy a file by its descriptor (without moving it, or closing another one of the same file), and wait for the disk."""
    written = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(written, "wb") as file:
        at = 0
        while portion := os.pread(descriptor, _PORTION, at):
            file.write(portion)
            at += len(portion)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make what was renamed in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
