"""Cursors of lists: where the next page begins, as a text for an address. One that was changed by hand begins at the start."""

from __future__ import annotations

import base64
import binascii
import json

_LONGEST = 600


def cursor_text(*values: str | int | None) -> str:
    """A cursor, to be read by :func:`read_cursor`."""
    text = json.dumps(values, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(text: str, count: int) -> list[str | int | None] | None:
    """Its values; ``None``: it is empty, or not a cursor of so many values."""
    if not text or len(text) > _LONGEST:
        return None
    try:
        found = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
    if not isinstance(found, list) or len(found) != count:
        return None
    return found if all(value is None or type(value) in (str, int) for value in found) else None
