"""Months as people write them: ``2026-09``, in UTC. As texts they sort, compare and join like the dates that they name."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from hr_centra_pipeline.core.errors import ConfigurationError

_WRITTEN = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


def checked(text: str, place: str = "--month") -> str:
    """The month itself.

    Raises:
        ConfigurationError: it is not written like ``2026-09``.
    """
    if not _WRITTEN.fullmatch(text):
        raise ConfigurationError(f"{place} {text}: write year and month like 2026-09.")
    return text


def is_month(text: str) -> bool:
    """Whether a text is written like ``2026-09``."""
    return _WRITTEN.fullmatch(text) is not None


def of(instant: datetime) -> str:
    """The month of an instant."""
    return f"{instant.astimezone(UTC):%Y-%m}"


def start(month: str) -> datetime:
    """Its first instant."""
    year, number = month.split("-")
    return datetime(int(year), int(number), 1, tzinfo=UTC)


def end(month: str) -> datetime:
    """The first instant after it."""
    return start(following(month))


def following(month: str) -> str:
    """The next month."""
    year, number = (int(part) for part in month.split("-"))
    return f"{year + number // 12:04d}-{number % 12 + 1:02d}"


def before(month: str) -> str:
    """The month before."""
    year, number = (int(part) for part in month.split("-"))
    return f"{year - (number == 1):04d}-{(number - 2) % 12 + 1:02d}"


def between(first: str, last: str) -> list[str]:
    """Every month from the first to the last, both included."""
    found = []
    while first <= last:
        found.append(first)
        first = following(first)
    return found
