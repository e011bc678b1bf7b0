"""What a machine does to us (a full disk, a missing right, a damaged file), in one line with its place and the remedy."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import duckdb

from hr_centra_pipeline.core.errors import NotOpened

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_DAGSTER = frozenset({"dagster", "dagster_shared", "sqlalchemy", "alembic", "sqlite3", "yaml", "psycopg2"})
# What the disk, the memory or another process does to DuckDB. Its other errors (a binder's, a constraint's) are our own bugs.
_OF_THE_MACHINE = (
    duckdb.IOException, duckdb.SerializationException, duckdb.FatalException, duckdb.OutOfMemoryException,
)  # fmt: skip
_DAMAGED = (
    ".wal", "checksum", "corrupt", "not a valid duckdb database file", "failed to deserialize", "could not deserialize",
    "database has been invalidated",
)  # fmt: skip
_REPLAY = "failure while replaying wal file"  # with the type of whatever failed in it
_LONGEST = 300


def told(error: BaseException) -> str | None:
    """One line for a person; ``None``: it is our own bug, and its traceback is wanted."""
    for one in _chain(error):
        line = _told(one)
        if line is not None:
            return line
    return None


def of_opening(error: Exception) -> str | None:
    """One line with the remedy for a database file that could not be opened at all; ``None``: the error says enough itself."""
    return told(error.__cause__) if isinstance(error, NotOpened) and error.__cause__ is not None else None


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what it came from, the root first."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return found[::-1]


def _told(error: BaseException) -> str | None:
    text = _first_line(error)
    if isinstance(error, duckdb.Error):
        return _of_the_database(error, text)
    if type(error).__module__.partition(".")[0] in _DAGSTER:
        return (
            f"{_dagster_home()}: Dagster's own database or its dagster.yaml cannot be used ({text}). Free some space or grant write"
            " access; if it is damaged, move the folder aside: it holds the history of runs, and no data about returns."
        )
    if isinstance(error, OSError) and type(error).__module__ == "builtins" and not isinstance(error, ConnectionError):
        place = error.filename if isinstance(error.filename, str) else str(_home())
        if error.errno in _FULL:
            return f"{place}: the disk is full. Free some space, then run this again; what was committed is kept."
        if error.errno in _FORBIDDEN:
            return (
                f"{place}: cannot be read or written ({error.strerror}). Grant this user access, or point HR_CENTRA_HOME to a"
                " folder of its own."
            )
        if error.errno is not None:
            return f"{place}: {error.strerror}."
    return None


def _of_the_database(error: duckdb.Error, text: str) -> str | None:
    place = Path(os.environ.get("HR_CENTRA_DATABASE") or _home() / "warehouse.duckdb")
    low = text.lower()
    is_commit = isinstance(error, duckdb.TransactionException)  # names what kept it from being written
    if not (isinstance(error, _OF_THE_MACHINE) or is_commit or _REPLAY in low):
        return None
    if "no space" in low or "disk is full" in low or "out of disk" in low:
        return f"{place}: the disk is full ({text}). Free some space, then run this again; what was committed is kept."
    if "permission denied" in low or "read-only" in low or "read only" in low:
        return f"{place}: cannot be written ({text}). Grant this user access, or point HR_CENTRA_HOME to a folder of its own."
    if "could not set lock" in low or "conflicting lock" in low:
        return f"{place}: another program has it open ({text}). Close it, or wait for it."
    is_of_the_file = isinstance(error, duckdb.IOException | duckdb.SerializationException | duckdb.FatalException)
    if _REPLAY in low or (is_of_the_file and any(words in low for words in _DAMAGED)):
        return (
            f"{place}: the database or its log ({place.name}.wal) is damaged ({text}). Restore the last backup with"
            " `hr-centra restore`; if there is none, move both files aside and run `hr-centra rebuild-ledger`."
        )
    return None if is_commit else f"{place}: unexpected error of the database: {text}"


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:_LONGEST]


def _home() -> Path:
    return Path(os.environ.get("HR_CENTRA_HOME", "data")).resolve()


def _dagster_home() -> Path:
    return Path(os.environ.get("DAGSTER_HOME") or _home() / "dagster")
