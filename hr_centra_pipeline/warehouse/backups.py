"""Copies of the database file in ``backups/``: before each migration, when somebody asks for one; and back again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.warehouse import log, place, swap, versions
from hr_centra_pipeline.warehouse.database import Warehouse

KEPT = 5
"""So many of the newest backups of upgrades are kept."""

_UNCHANGED = "Nothing was changed."

_WAIT_SECONDS = 600.0  # for a sync to come to a wait: it gives the file away then


def folder(database: Path) -> Path:
    """The folder of a database's backups."""
    return database.parent / "backups"


def existing(database: Path) -> list[Path]:
    """Every copy of a database in its folder, the oldest first."""
    return _by_age(database, "*")


def _by_age(database: Path, what: str) -> list[Path]:
    return sorted(
        folder(database).glob(f"{database.stem}.{what}{database.suffix}"), key=lambda one: one.stat().st_mtime
    )


def make(warehouse: Warehouse, migration: int) -> Path:
    """Copy the file as it is before a migration; the oldest beyond ``KEPT`` go. Hold the sync lock.

    Raises:
        RunFailed: there is no room for it.
    """
    database = warehouse.path
    warehouse.fold_log_in()
    final = folder(database) / f"{database.stem}.before-{migration:04}{database.suffix}"
    final.parent.mkdir(mode=0o700, exist_ok=True)
    _refuse_without_room(final.parent, database, f"a backup of {database} before migration {migration:04}")
    beside = final.with_suffix(".new")
    shutil.copyfile(database, beside)
    with beside.open("rb+") as written:
        os.fsync(written.fileno())
    beside.chmod(0o600)
    beside.replace(final)
    for old in _by_age(database, "before-*")[:-KEPT]:
        old.unlink()
    return final


# ---------------------------------------------------------------- on demand


@dataclass(frozen=True)
class Checked:
    """A database file that was read from end to end. ``newest``: when something was landed last; ``None``: nothing was."""

    path: Path
    bytes: int
    tables: int
    rows: int
    schema_version: int
    database_id: str | None
    newest: datetime | None


def take(database: Path, target: Path | None = None) -> Checked:
    """Copy the database as it is at one moment, while others may be working with it; its log is folded in, all of it read.

    ``target``: a file that does not exist yet, or a folder; by default ``backups/``.

    Raises:
        ConfigurationError: there is no database, or the target exists.
        RunFailed: it is in use for ten minutes without a pause, there is no room, or the copy cannot be read.
    """
    swap.carry_out(database)
    if not database.exists():
        raise ConfigurationError(f"{database}: there is no database to copy; run `hr-centra sync` first.")
    name = f"{database.stem}.{datetime.now(UTC):%Y%m%dT%H%M%SZ}{database.suffix}"
    final = folder(database) / name if target is None else target / name if target.is_dir() else target
    if final.exists():
        raise ConfigurationError(f"{final} exists already; a backup never replaces a file.")
    if target is None:
        final.parent.mkdir(mode=0o700, exist_ok=True)
    if not final.parent.is_dir():
        raise ConfigurationError(f"{final.parent}: there is no such folder.")
    _refuse_without_room(final.parent, database, f"a backup of {database}")
    with _staged(final.with_name(f".{final.name}.part"), f"a backup of {database}") as part:
        with swap.alone(database, wait_seconds=_WAIT_SECONDS) as descriptor:
            log.refuse_foreign(database, descriptor)
            swap.copy(descriptor, part)
            if log.size(database):
                _copy_file(log.path_of(database), log.path_of(part))
        checked = _folded_and_checked(part, database)
        part.rename(final)
        swap.sync_folder(final.parent)
    return replace(checked, path=final)


# ---------------------------------------------------------------- and back


def examine(database: Path, backup: Path) -> Path:
    """Copy a backup beside the database, with its log if it has one, fold that in and read all of it; answers the copy.

    Raises:
        ConfigurationError: there is no such file, or it is the database itself and its log is its own.
        RunFailed: it is damaged, of another program or of a newer version, or there is no room. The database is as it was.
    """
    if not backup.is_file():
        raise ConfigurationError(f"{backup}: there is no such file.")
    is_itself = database.exists() and backup.samefile(database)
    if is_itself and not _has_foreign_log(database):
        raise ConfigurationError(f"{backup} is the database itself.")
    _refuse_without_room(database.parent, backup, f"{backup.name} beside {database}")
    stage = database.with_name(f".{database.name}.restoring")
    _remove(stage)
    try:
        _copy_file(backup, stage)
        # What is beside the database itself is the log of another state.
        if log.size(backup) and not is_itself:
            _copy_file(log.path_of(backup), log.path_of(stage))
        _folded_and_checked(stage, backup)
    except OSError as error:
        _remove(stage)
        raise RunFailed(
            f"{backup}: cannot be copied to {database.parent} ({error.strerror}). Nothing was changed."
        ) from error
    except BaseException:
        _remove(stage)
        raise
    return stage


def discard(stage: Path) -> None:
    """Remove an examined copy, unless it was put into place."""
    _remove(stage)


def put_into_place(database: Path, stage: Path, *, by: str, recorded_by: str, why: str) -> Path | None:
    """Make an examined copy the database. The next to open it knows that it was restored. Hold the locks of sync and backfill.

    Killed at any moment, the database is the old one or the new one: what is decided is carried out by the next process to open it.
    Answers where the old one is kept.

    Raises:
        RunFailed: the database is in use.
    """
    mark, _ = place.read_mark(database)
    note = {"by": by, "recorded_by": recorded_by, "why": why}
    place.write_mark(database, replace(mark or place.Mark("", 0), restored=note))
    os.utime(stage)
    stage.rename(swap.ready(database))
    swap.sync_folder(database.parent)
    return swap.carry_out(database)


def looked_at(path: Path, origin: Path | None = None) -> Checked:
    """Read a database file from end to end: every block of it has a checksum. ``origin``: what it is a copy of, for messages.

    Raises:
        RunFailed: it is damaged, of another program, or of a newer version.
    """
    origin = origin or path
    try:
        with duckdb.connect(path, read_only=True, config={"memory_limit": "1600MB"}) as connection:
            applied = versions.applied(connection)
            if not applied:
                raise RunFailed(
                    f"{origin} is not a database or backup of hr-centra, but of another program. {_UNCHANGED}"
                )
            versions.refuse_others(connection, origin, may_be_older=True)
            names = connection.execute(
                "select schema_name, table_name from duckdb_tables() where not temporary and not internal order by all"
            ).fetchall()
            rows = 0
            for schema, table in names:
                counted = connection.execute(
                    f'select count(*), bit_xor(hash(t)) from "{schema}"."{table}" as t'  # noqa: S608 - its own names
                ).fetchone()
                rows += int(counted[0]) if counted else 0
            database_id = None
            if ("meta", "place") in names:
                row = connection.execute("select database_id from meta.place").fetchone()
                database_id = str(row[0]) if row else None
            newest = connection.execute(
                "select max(landed_at) from (select max(fetched_at) as landed_at from landing.centra_pulls union all"
                " select max(received_at) from landing.files)"
            ).fetchone()
    except duckdb.Error as error:
        raise _unreadable(origin, error) from error
    return Checked(
        path, path.stat().st_size, len(names), rows, max(applied), database_id, newest[0] if newest else None
    )


def _folded_and_checked(part: Path, origin: Path) -> Checked:
    """Fold the log of a copy in, and read all of it."""
    try:
        with duckdb.connect(part, config={"memory_limit": "1600MB"}) as connection:
            if versions.applied(connection):
                connection.execute("force checkpoint")
        log.path_of(part).unlink(missing_ok=True)
        checked = looked_at(part, origin)
    except duckdb.Error as error:
        raise _unreadable(origin, error) from error
    with part.open("rb+") as written:
        os.fsync(written.fileno())
    return checked


def _unreadable(origin: Path, error: duckdb.Error) -> RunFailed:
    if "not a valid DuckDB database file" in str(error):
        return RunFailed(f"{origin} is not a database or backup of hr-centra (not a DuckDB database). {_UNCHANGED}")
    # DuckDB names the copy; the reader knows the original only.
    return RunFailed(
        f"{origin} cannot be read from end to end: it is damaged, or not a database of hr-centra. {_UNCHANGED}"
    )


def _has_foreign_log(database: Path) -> bool:
    with database.open("rb") as file:
        try:
            log.refuse_foreign(database, file.fileno())
        except RunFailed:
            return True
    return False


# ---------------------------------------------------------------- files


@contextmanager
def _staged(part: Path, what: str) -> Iterator[Path]:
    """A file under another name until it is whole; of one that fails nothing is left."""
    try:
        yield part
    except OSError as error:
        raise RunFailed(
            f"{what}: cannot be written to {part.parent} ({error.strerror}). Nothing was changed."
        ) from error
    finally:
        _remove(part)


def _remove(part: Path) -> None:
    part.unlink(missing_ok=True)
    log.path_of(part).unlink(missing_ok=True)


def _copy_file(origin: Path, target: Path) -> None:
    with origin.open("rb") as file:
        swap.copy(file.fileno(), target)


def _refuse_without_room(where: Path, database: Path, what: str) -> None:
    needed, free = database.stat().st_size + log.size(database), shutil.disk_usage(where).free
    if free < needed * 1.1:
        raise RunFailed(
            f"{where}: no room for {what} ({needed >> 20} MB, {free >> 20} MB free). Make room, then run it again."
        )
