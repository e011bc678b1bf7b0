"""Markdown for the Dagster UI: what comes from data is text in it, never markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

# Every one of them may be escaped by a backslash, and an escaped one begins nothing: no link, no tag, no cell, no formula.
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")


def text(value: object) -> str:
    """A value as it reads, on one line, whatever characters it has. Numbers are left as they are."""
    if not isinstance(value, str):
        return "" if value is None else str(value)
    return _PUNCTUATION.sub(r"\\\g<0>", " ".join(value.split()))


def table(names: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Iterable[str] = ()) -> str:
    """A table of values. ``names``: of the columns, our own words; ``right``: those aligned to the right."""
    numbers = set(right)
    return "\n".join(
        [
            _row(names),
            f"|{'|'.join('--:' if name in numbers else '---' for name in names)}|",
            *(_row([text(value) for value in row]) for row in rows),
        ]
    )


def listed(lines: Sequence[str]) -> str:
    """A list, a point for each line; ``as_text`` answers it as plain lines."""
    return "\n".join(f"- {text(line)}" for line in lines)


def as_text(marked: str) -> str:
    """The lines of a list as they read, for where markdown is not shown."""
    return _ESCAPED.sub(r"\1", marked)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
