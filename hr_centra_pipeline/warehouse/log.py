"""Whether the log beside a database file (``.wal``) is its own.

DuckDB does not ask: it would replay the log of a later time into a file that was put back from an earlier one, and mix the two in
silence.
"""

from __future__ import annotations

import logging
import os
import struct
from datetime import UTC, datetime
from pathlib import Path

from hr_centra_pipeline.core.errors import RunFailed

_LOG = logging.getLogger(__name__)

_BLOCK = 4096  # DuckDB's file: a main header, then two headers that are written in turn, each with how often it was checkpointed
_MAGIC = b"DUCK"


def path_of(database: Path) -> Path:
    """The log of a database."""
    return database.with_name(f"{database.name}.wal")


def size(database: Path) -> int:
    """Bytes of the log; 0 without one."""
    try:
        return path_of(database).stat().st_size
    except FileNotFoundError:
        return 0


def checkpoints(descriptor: int) -> int | None:
    """How often a file was checkpointed, as it says itself; ``None``: it is none of DuckDB's, or is too short to say."""
    head = os.pread(descriptor, 3 * _BLOCK, 0)
    if head[8:12] != _MAGIC or len(head) < 3 * _BLOCK:
        return None
    counts = [struct.unpack_from("<Q", head, at + 8)[0] for at in (_BLOCK, 2 * _BLOCK)]
    return int(max(counts))


def refuse_foreign(database: Path, descriptor: int | None) -> int | None:
    """Let a file pass whose log is its own, or that has none; answers how often it was checkpointed.

    ``descriptor``: of the file, ``None`` when there is none. Close it only where no connection of this process is open on it.

    A log whose database is gone says nothing to the one that is recreated: it is kept aside.

    Raises:
        RunFailed: the log was begun on a later state of the file; says what to do.
    """
    if descriptor is None:
        forget(database)  # what was noted is about the database that is gone
        if size(database):
            _set_aside(database)
        return None
    count, begun_on = checkpoints(descriptor), _noted(database)
    if size(database) == 0:
        return count
    if count is not None and begun_on is not None and begun_on > count:
        raise RunFailed(
            f"{path_of(database)} was written to a later state of {database.name} than this (checkpoint {begun_on}, the file "
            f"has {count}): the file was put back without its log, and together they would be neither of the two. Nothing was "
            f"changed. To go back to the earlier state: hr-centra restore BACKUP, which keeps the log aside ({database} itself "
            "will do as BACKUP). To stay where the log is, put the file of that time back."
        )
    return count


def _set_aside(database: Path) -> None:
    alone = path_of(database)
    at = datetime.fromtimestamp(alone.stat().st_mtime, UTC)
    kept = alone.with_name(f"{alone.name}.alone-{at:%Y%m%dT%H%M%S}")
    alone.rename(kept)
    _LOG.warning("%s was left without its database: it is kept as %s", alone, kept.name)


def begin(database: Path, count: int | None) -> None:
    """Note on which state of the file whatever is written to the log from now on builds.

    Raises:
        RunFailed: it cannot be written.
    """
    if count is not None and _noted(database) != count:
        path = _note(database)
        beside = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            beside.write_text(str(count), encoding="ascii")
            beside.replace(path)
        except OSError as error:
            raise RunFailed(
                f"{path}: cannot be written ({error.strerror}). Make room, or let us write there."
            ) from error


def forget(database: Path) -> None:
    """Another file takes the place of the database, without a log."""
    _note(database).unlink(missing_ok=True)


def _note(database: Path) -> Path:
    return database.with_name(f".{database.name}.log")


def _noted(database: Path) -> int | None:
    try:
        return int(_note(database).read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None
