"""Files that hold settings, as people and their editors leave them: read within bounds, and refused in one line."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hr_centra_pipeline.core.errors import ConfigurationError

_MOST_BYTES = 1_000_000
_LARGEST = 1 << 63  # TOML's whole numbers have 64 bits
_PART = r'(?:[\w-]+|"(?:[^"\\]|\\.)*")'
_TO_ANSWER = re.compile(rf"# TO ANSWER ({_PART}(?:\.{_PART})*): (.*)")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPED = re.compile(r'["\\\x00-\x1f\x7f-\x9f\u2028\u2029]')
_SAID: Mapping[str, str] = {
    "missing": "is missing; the file must say it",
    "extra_forbidden": "is not a setting that is known here (misspelt?)",
    "timezone_aware": "has no timezone: write a day and a time with one, such as 2026-08-27T00:00:00Z",
    "int_type": "must be a whole number, without quotes",
    "int_parsing": "must be a whole number, without quotes",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number, without quotes",
    "bool_type": "must be true or false, without quotes",
    "string_type": 'must be a text, in quotes ("...")',
    "decimal_parsing": 'must be an amount, such as "4.95"',
    "decimal_type": 'must be an amount, such as "4.95"',
    "dict_type": "must be a table, with settings of its own",
    "model_type": "must be a table, with settings of its own",
    "list_type": 'must be a list, such as ["a", "b"]',
}
_PATTERNS: Mapping[str, str] = {
    "^[A-Z]{3}$": "is not a currency: write its three capital letters, such as EUR",
    "^[A-Z]{2}$": "is not a country: write its two capital letters, such as DE",
}


def read_setting_file(path: Path) -> bytes:
    """The bytes of a regular file; a pipe or device, which could keep us waiting for ever, is refused.

    Raises:
        OSError: it is not there, cannot be read, is not a regular file, or is too large. ``strerror`` says why.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "is a folder, pipe or device and not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            raw = file.read(_MOST_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(raw) > _MOST_BYTES:
        raise OSError(0, f"is larger than {_MOST_BYTES:,} bytes")
    return raw


def parsed_toml(text: str, place: str) -> dict[str, Any]:
    """A file's settings. ``place``: where the text is from, for messages.

    Raises:
        ConfigurationError: it is not valid TOML, nested too deeply, or has a number that TOML cannot hold.
    """
    try:
        content = tomllib.loads(text)
    except RecursionError:
        raise ConfigurationError(f"{place}: not valid TOML: brackets are nested too deeply; close each one.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{place}: not valid TOML: {error}.{_hint(str(error))}") from None
    except ValueError:  # Python reads at most so many digits
        raise ConfigurationError(f"{place}: has a number with thousands of digits; write a shorter one.") from None
    left: list[tuple[str, Any]] = [("", content)]
    while left:
        where, value = left.pop()
        if isinstance(value, dict):
            left += [(f"{where}.{key}".lstrip("."), one) for key, one in value.items()]
        elif isinstance(value, list):
            left += [(where, one) for one in value]
        elif isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
            raise ConfigurationError(f"{place}: {where}: is a whole number of more than 64 bits; write a smaller one.")
    return content


def mistakes_in(error: ValidationError) -> list[tuple[tuple[int | str, ...], str]]:
    """Each mistake as (place, what is wrong and what to write), in words that do not ask for knowledge of any library."""
    return [(tuple(part for part in one["loc"] if part != "[key]"), _what(one)) for one in error.errors()]


def unanswered(text: str, content: Mapping[str, Any]) -> list[tuple[int, tuple[str, ...], str]]:
    """(line, place, question) of each ``# TO ANSWER place: question`` in a file that does not state its place."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if (mark := _TO_ANSWER.match(line)) is None:
            continue
        place = _parts_of(mark[1])
        stated: Any = content
        for part in place:
            stated = stated.get(part) if isinstance(stated, Mapping) else None
        if stated is None:
            found.append((number, place, mark[2]))
    return found


def to_answer(place: tuple[str, ...], question: str) -> str:
    """The line that :func:`unanswered` finds; what is asked may hold anything."""
    name = ".".join(part if _BARE.fullmatch(part) else quoted(part) for part in place)
    return f"# TO ANSWER {name}: {' '.join(question.split())}"


def quoted(text: str) -> str:
    """A text as TOML writes it, whatever is in it."""
    return '"' + _ESCAPED.sub(lambda found: _escape(found[0]), text) + '"'


def _escape(character: str) -> str:
    return f"\\{character}" if character in '\\"' else f"\\u{ord(character):04x}"


def _parts_of(name: str) -> tuple[str, ...]:
    try:
        inner: Any = tomllib.loads(f"{name} = 0")
    except tomllib.TOMLDecodeError:
        return (name,)
    parts = []
    while isinstance(inner, dict):
        ((part, inner),) = inner.items()
        parts.append(part)
    return tuple(parts)


def _what(mistake: ErrorDetails) -> str:
    kind, found = mistake["type"], mistake["input"]
    said = _SAID.get(kind)
    if said is None and kind == "string_pattern_mismatch":
        said = _PATTERNS.get(mistake["ctx"]["pattern"])
    if said is None:
        said = mistake["msg"].removeprefix("Value error, ").replace("Input should ", "must ")
    is_shown = kind not in ("missing", "extra_forbidden") and not isinstance(found, dict | list)
    return f"{said} (found {found if _is_time(found) else repr(found)})" if is_shown else said


def _is_time(found: object) -> bool:
    return isinstance(found, date | datetime | time)


def _hint(error: str) -> str:
    return (
        ' A text goes in quotes, such as refund = "centra".'
        if error.startswith(("Invalid value", "Expected newline"))
        else ""
    )
