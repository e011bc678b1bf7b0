"""Copies of a SQLite inbox beside those of the database. A PostgreSQL inbox is backed up as its server is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.inbox.inbox_store import Inbox


def existing(address: str, folder: Path) -> list[Path]:
    """Copies of this inbox in a folder, the oldest first."""
    if "://" in address:
        return []
    file = Path(address)
    return sorted(folder.glob(f"{file.stem}.*{file.suffix or '.sqlite'}"))


def take(address: str, folder: Path) -> Path | None:
    """Copy the inbox to a new file of a folder that exists; ``None``: it is a server's, or there is none yet.

    Raises:
        ConfigurationError: a file of that name exists.
        StoreFailed: it cannot be read, or there is no room.
    """
    if "://" in address or not Path(address).exists():
        return None
    file = Path(address)
    target = folder / f"{file.stem}.{datetime.now(UTC):%Y%m%dT%H%M%SZ}{file.suffix or '.sqlite'}"
    if target.exists():
        raise ConfigurationError(f"{target} exists already; a backup never replaces a file.")
    inbox = Inbox.open(address)
    try:
        inbox.copy_to(target)
    finally:
        inbox.close()
    return target
