"""Copies of the database file that are made before each migration, beside it in ``backups/``."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.warehouse.database import Warehouse

KEPT = 5
"""So many of the newest backups are kept."""


def folder(database: Path) -> Path:
    """Where the backups of a database lie."""
    return database.parent / "backups"


def existing(database: Path) -> list[Path]:
    """The backups of a database, the oldest first."""
    return sorted(
        folder(database).glob(f"{database.stem}.before-*{database.suffix}"), key=lambda one: one.stat().st_mtime
    )


def make(warehouse: Warehouse, migration: int) -> Path:
    """Copy the file as it is before a migration; the oldest beyond ``KEPT`` go. Hold the sync lock.

    Raises:
        RunFailed: there is no room for it.
    """
    database = warehouse.path
    warehouse.fold_log_in()
    final = folder(database) / f"{database.stem}.before-{migration:04}{database.suffix}"
    final.parent.mkdir(exist_ok=True)
    needed, free = database.stat().st_size, shutil.disk_usage(final.parent).free
    if free < needed * 1.1:
        raise RunFailed(
            f"{final.parent}: no room for a backup of {database} before migration {migration:04} ({needed >> 20} MB, "
            f"{free >> 20} MB free). Make room, then run it again."
        )
    beside = final.with_suffix(".new")
    shutil.copyfile(database, beside)
    with beside.open("rb+") as written:
        os.fsync(written.fileno())
    beside.chmod(0o600)
    beside.replace(final)
    for old in existing(database)[:-KEPT]:
        old.unlink()
    return final
