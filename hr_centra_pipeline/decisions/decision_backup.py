"""Copies of the decisions and of uploaded files beside those of the database, and back."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.decisions import decision_files
from hr_centra_pipeline.decisions.decision_store import FILE_NAME, DecisionStore

FILES = decision_files.FOLDER


@dataclass(frozen=True)
class Copied:
    """A copy of the store, and how many uploads are beside it now."""

    path: Path
    decisions: int
    files: int


def existing(folder: Path) -> list[Path]:
    """Copies of the store in a folder, the oldest first."""
    return sorted(folder.glob("decisions.*.sqlite"))


def take(settings: Settings, folder: Path) -> Copied | None:
    """Copy the store to a new file of a folder that exists, and the uploads into its ``decision_files/``.

    Uploads are named by their hash and never change: those that are there already are left. ``None``: nobody has decided
    anything.

    Raises:
        ConfigurationError: a file of that name exists.
        RunFailed: it cannot be read, was changed by hand, or there is no room.
    """
    store = DecisionStore(settings)
    if not store.exists:
        return None
    target = folder / f"decisions.{datetime.now(UTC):%Y%m%dT%H%M%SZ}.sqlite"
    if target.exists():
        raise ConfigurationError(f"{target} exists already; a backup never replaces a file.")
    try:
        store.copy_to(target)
    finally:
        store.close()
    copy = DecisionStore(target)
    try:
        chain = copy.verify_chain()
    finally:
        copy.close()
        for beside in ("-wal", "-shm"):
            target.with_name(f"{target.name}{beside}").unlink(missing_ok=True)
    if chain.problems:
        raise RunFailed(f"{target}: {chain.problems[0]}. The copy is kept: it is what the store holds.")
    return Copied(target, chain.decisions, _copy_files(decision_files.folder(settings), folder / FILES))


def _copy_files(source: Path, target: Path) -> int:
    """Copy uploads that are not there yet; answers how many are there then."""
    if not source.is_dir():
        return 0
    target.mkdir(mode=0o700, exist_ok=True)
    names = [path.name for path in source.iterdir() if len(path.name) == 64 and path.is_file()]
    for name in names:
        final = target / name
        if final.exists():
            continue
        part = target / f".{name}.part"
        shutil.copyfile(source / name, part)
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        part.replace(final)
    return len(names)


def restore(settings: Settings, copy: Path) -> int:
    """Put back a copy where the store is lost, with the uploads beside the copy; answers how many decisions it holds.

    Raises:
        ConfigurationError: there is a store: it knows more than the copy, and stays.
        RunFailed: the copy was changed by hand.
    """
    target = settings.home / FILE_NAME
    if target.exists():
        raise ConfigurationError(f"{target} exists: it is append-only, and newer than any copy. Nothing was changed.")
    store = DecisionStore(copy)
    try:
        chain = store.verify_chain()
        if chain.problems:
            raise RunFailed(f"{copy}: {chain.problems[0]}. Nothing was changed.")
        store.copy_to(target)
    finally:
        store.close()
    _copy_files(copy.parent / FILES, decision_files.folder(settings))
    return chain.decisions
