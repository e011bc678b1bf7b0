"""When Centra says to come back: the format of its ``Retry-After`` is not documented, so every likely one is read."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_NO_TIMESTAMP = 1_000_000_000  # Unix seconds of 2001; below it, a number is a number of seconds
_MILLISECONDS = 100_000_000_000


def seconds_to_wait(text: str | None, now: float) -> float | None:
    """Seconds from ``now`` (Unix seconds) on; ``None``: unreadable.

    HTTP date, ISO 8601 or Unix seconds; a small number is seconds.
    """
    given = (text or "").strip()
    try:
        number = float(given)
    except ValueError:
        at = _instant(given)
    else:
        if not 0 <= number < _MILLISECONDS * 100:
            return None
        if number < _NO_TIMESTAMP:
            return number
        at = number / 1000 if number >= _MILLISECONDS else number
    return None if at is None else max(0.0, at - now)


def _instant(text: str) -> float | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            at = read(text)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        except (ValueError, TypeError, LookupError, OverflowError):
            continue
    return None
