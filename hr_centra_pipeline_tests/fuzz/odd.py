"""How valid things are made odd, for every edge: values, texts and bytes."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 10**30, 1.5, -0.0, 1e300, "", " ", "x", "5", "-5", "1e5", "NaN", "null", "\0",
    "\u200b", "\ud800", "[bold]", "[/x]", "\x1b[31m", "%s", "../../etc", "'; drop table x; --", "=1+1", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z", "2026-09-30", "Z" * 3000, [], {}, [[]], [None], ["x"], {"x": "y"}, {"id": None}, [{}],
)  # fmt: skip


def value(rng: random.Random) -> Any:
    """Anything that JSON can hold."""
    return copy.deepcopy(rng.choice(VALUES))


def places(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place below the root of a JSON value."""
    found = []
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, below in inner:
        found.append((*at, key))
        found += places(below, (*at, key))
    return found


def changed(tree: Any, rng: random.Random) -> Any:
    """A JSON value with one to three places changed; the given one is used up."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        found = places(tree)
        if not found:
            return value(rng)
        *above, key = rng.choice(found)
        holder = tree
        for step in above:
            holder = holder[step]
        _CHANGES[rng.randrange(len(_CHANGES))](holder, key, rng)
    return tree


def _replace(holder: Any, key: Any, rng: random.Random) -> None:
    holder[key] = value(rng)


def _remove(holder: Any, key: Any, _: random.Random) -> None:
    del holder[key]


def _wrap(holder: Any, key: Any, rng: random.Random) -> None:
    given = holder[key]
    holder[key] = rng.choice(([given], {"node": given}, [given, copy.deepcopy(given)]))


def _as_text(holder: Any, key: Any, _: random.Random) -> None:
    holder[key] = str(holder[key])


_CHANGES: tuple[Callable[[Any, Any, random.Random], None], ...] = (
    _replace,
    _replace,
    _replace,
    _remove,
    _wrap,
    _as_text,
)


def bytes_changed(given: bytes, rng: random.Random) -> bytes:
    """Bytes cut, doubled, flipped, or with others put in."""
    at, end = sorted((rng.randrange(len(given) + 1), rng.randrange(len(given) + 1)))
    match rng.randrange(6):
        case 0:
            return given[:at]
        case 1:
            return given[:at] + given[end:]
        case 2:
            return given[:at] + given[at:end] * 3 + given[end:]
        case 3:
            return given[:at] + bytes([rng.randrange(256)]) + given[at + 1 :]
        case 4:
            return (
                given[:at]
                + rng.choice((b"\xef\xbb\xbf", b"\0", b"\r", b"\xff\xfe", b"[" * 5000, b'"', b"9" * 5000))
                + given[at:]
            )
        case _:
            return rng.randbytes(rng.randrange(200))
