"""Rewrite the database into a fresh file: what was erased in the old one is in no block of it any more."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import duckdb

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.warehouse import log


def rewrite(database: Path) -> None:
    """Replace a file by a copy of what it holds. Nobody may have it open: hold the sync lock.

    Raises:
        RunFailed: there is no room for the copy; the file is as it was.
    """
    needed, free = database.stat().st_size, shutil.disk_usage(database.parent).free
    if free < needed * 1.1:
        raise RunFailed(
            f"{database.parent}: not enough space to rewrite {database.name} ({needed >> 20} MB, {free >> 20} MB free). Make room, "
            "then run it again."
        )
    fresh = database.with_name(f"{database.name}.rewritten")
    fresh.unlink(missing_ok=True)
    with duckdb.connect(fresh) as connection:
        connection.execute(
            "set preserve_insertion_order = true"
        )  # rows are distinguished by it in the history of exceptions
        connection.execute(f"attach '{str(database).replace(chr(39), chr(39) * 2)}' as old (read_only)")
        (name,) = connection.execute("select current_database()").fetchone() or ("",)
        connection.execute(f'copy from database old to "{name}"')
        connection.execute("detach old")
        connection.execute("force checkpoint")
    mode = database.stat().st_mode
    fresh.chmod(mode & 0o777)
    with fresh.open("rb+") as written:
        os.fsync(written.fileno())
    fresh.replace(database)
    log.path_of(database).unlink(missing_ok=True)
    log.forget(database)  # last: a log that a crash in between left behind is refused
