"""Whether this database is the one that was here last: a mark beside the file, which no copy of the file takes along.

What was put back from an earlier time, copied from elsewhere or recreated does not know what was sent since; nor does one whose
log was truncated, which DuckDB does not report: so the count in both goes up while a push writes to Centra (each second, and
at its end), too. Such a *turn* is kept in ``meta.turns``, and the push sends nothing until whatever proves its effects was read
completely afterwards.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.made import makes

TABLES_SINCE = 83
"""The migration that brought the tables of this module."""

_COUNT = "update meta.place set opened = opened + 1"
_GET_GENERATION = 0x80087601  # FS_IOC_GETVERSION: what distinguishes an inode from a later one with its number


@dataclass(frozen=True)
class Mark:
    """What the mark beside the file says. ``opened``: goes up at each opening, and each second of a push.

    ``restored``: by whom, why (set by a restore, until the database was opened).
    ``file_id``: which file it was written to, which no copy of it is; ``None``: an earlier version wrote it.
    """

    database_id: str
    opened: int
    restored: dict[str, str] | None = None
    file_id: str | None = None


def mark_path(database: Path) -> Path:
    """Where the mark of a database is: its name begins with a dot, so that ``cp warehouse.duckdb*`` leaves it."""
    return database.with_name(f".{database.name}.place")


def read_mark(database: Path) -> tuple[Mark | None, bool]:
    """The mark, and whether it is a copy of one. A mark that cannot be read counts as a copy."""
    path = mark_path(database)
    try:
        with path.open(encoding="utf-8") as text:
            told = json.load(text)
            present = _file_id(text.fileno())
        told.pop("written_at", None)  # of an earlier version
        mark = Mark(**told)
        is_copy = mark.file_id not in (None, present)
    except FileNotFoundError:
        return None, False
    except (ValueError, TypeError, AttributeError):
        return None, True
    except OSError as error:
        raise RunFailed(
            f"{path}: cannot be read ({error.strerror}). It records which database is beside it."
        ) from error
    return mark, is_copy


def write_mark(database: Path, mark: Mark) -> None:
    """Replace the mark, whole or not at all.

    Raises:
        RunFailed: it cannot be written.
    """
    path = mark_path(database)
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as text:
            json.dump(asdict(replace(mark, file_id=_file_id(text.fileno()))), text)
            text.flush()
            os.fsync(text.fileno())
        beside.replace(path)
    except OSError as error:
        raise RunFailed(f"{path}: cannot be written ({error.strerror}); make room or let us write there.") from error


def _file_id(descriptor: int) -> str:
    """Which file this is. A rename, a new owner, a slow disk or a server's clock do not change it; every copy has another."""
    try:
        generation = int.from_bytes(fcntl.ioctl(descriptor, _GET_GENERATION, bytes(8)), "little")
    except OSError:
        generation = 0  # not every file system has one: NFS, tmpfs
    return f"{os.fstat(descriptor).st_ino} {generation}"


def arrive(connection: Connection, database: Path) -> Mark:
    """Note that the database was opened, and what happened to it since; answers the mark to write once this is committed."""
    mark, is_copy = read_mark(database)
    row = connection.execute("select database_id, opened from meta.place").fetchone()
    if row is None:
        database_id, opened = secrets.token_hex(16), 0
        connection.execute("insert into meta.place (database_id, opened) values (?, 0)", [database_id])
        # Without a mark nothing was here before: a new home, or the first time that a program looks at this.
        reason = "lost" if mark is not None or is_copy else None
    else:
        database_id, opened = row
        reason = _what_happened(mark, database_id, opened, is_copy=is_copy)
    restored = (mark.restored if mark else None) or {}
    if restored:
        reason = "restored"
    if reason:
        turn(connection, reason, **restored)
    connection.execute(_COUNT)
    return Mark(database_id, opened + 1)


def count_a_write(connection: Connection) -> Mark | None:
    """Note that something is written to Centra; answers the mark to write once this is committed, before anything is sent."""
    row = connection.execute(f"{_COUNT} returning database_id, opened").fetchone()
    return Mark(*row) if row else None


def _what_happened(mark: Mark | None, database_id: str, opened: int, *, is_copy: bool) -> str | None:
    if mark is None or is_copy:
        return "copied"
    if mark.database_id != database_id:
        return "lost"
    return "put_back" if mark.opened > opened else None


@makes("meta.turns", "One row per time that the database was lost, copied, put back or restored.")
def turn(
    connection: Connection,
    reason: str,
    *,
    by: str | None = None,
    recorded_by: str | None = None,
    why: str | None = None,
) -> None:
    """Note that from here on everything has to be proven again."""
    connection.execute(
        'insert into meta.turns (reason, batch, turned_at, "by", recorded_by, why) values (?, ?, ?, ?, ?, ?)',
        [reason, watermarks.newest_batch(connection), datetime.now(UTC), by, recorded_by, why],
    )
