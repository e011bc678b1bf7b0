"""A person who is to be forgotten, in what people wrote when they decided: in the store of decisions and its backups.

The store is append-only: an erasure is a row of its own, with the hash of what is left, so that its chain can still be verified.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.decisions import decision_backup
from hr_centra_pipeline.decisions.decision_store import FILE_NAME, DecisionStore

_BLOTTED = "…@…"


def stores(settings: Settings) -> list[Path]:
    """The store, and its copies beside those of the database."""
    return [settings.home / FILE_NAME, *decision_backup.existing(settings.database.parent / "backups")]


def holding(settings: Settings, emails: Sequence[str]) -> int:
    """How many decisions say one of these addresses, backups left out.

    Raises:
        StoreFailed: the store cannot be read.
    """
    if not emails:
        return 0
    store, blot = DecisionStore(settings), _blot(emails)
    try:
        return store.count_texts(lambda text: blot(text) != text)
    finally:
        store.close()


def forget(settings: Settings, emails: Sequence[str]) -> dict[str, int]:
    """Blot the addresses out in every decision; answers how many decisions were rewritten, by place.

    Raises:
        StoreFailed: a store cannot be read or written.
    """
    found: dict[str, int] = {}
    for place in stores(settings) if emails else ():
        store = DecisionStore(place)
        try:
            found[place.name] = store.erase(_blot(emails))
        finally:
            store.close()
    return {name: number for name, number in found.items() if number}


def _blot(emails: Sequence[str]) -> Callable[[str], str]:
    either = "|".join(re.escape(email) for email in emails)
    pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{either})(?![A-Za-z0-9])", re.IGNORECASE)
    return lambda text: pattern.sub(_BLOTTED, text)
