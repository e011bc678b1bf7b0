"""Things of others, landed together in one transaction where that works: those that spoil it are found by halves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import duckdb

from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed, Unreachable
from hr_centra_pipeline.sources.intake import rejected
from hr_centra_pipeline.warehouse.database import Connection, Warehouse

Thing = TypeVar("Thing")
Landed = TypeVar("Landed")

_PASSES = (
    duckdb.OperationalError,  # the disk, the memory, another transaction
    duckdb.InterruptException,
    OSError,
    MemoryError,
)
"""Errors of this machine: the same things may be landed tomorrow."""


class NotNow(Unreachable):
    """The database cannot be written now. It says nothing about what was to be landed."""


def by_halves(
    warehouse: Warehouse, things: Sequence[Thing], land: Callable[[Connection, Sequence[Thing]], Landed]
) -> Iterator[tuple[Sequence[Thing], Landed | None, str]]:
    """Land things in their order, each once; ``None``: this one cannot be landed, and why. Whatever it raises stops nothing.

    What has been answered is committed.

    Raises:
        NotNow: the machine fails, not what is landed. Nothing of the rest is landed.
    """
    if not things:
        return
    try:
        with warehouse.transaction() as connection:
            landed = land(connection, things)
    except (RunFailed, ConfigurationError):
        raise
    except Exception as error:
        is_short_of_memory = isinstance(error, duckdb.OutOfMemoryException | MemoryError)  # half of it needs less
        if isinstance(error, _PASSES) and not (is_short_of_memory and len(things) > 1):
            raise NotNow(f"The database cannot be written now: {_first_line(error)}") from error
        if len(things) == 1:
            yield things, None, f"cannot be landed: {_first_line(error)}"
            return
    else:
        yield things, landed, ""
        return
    middle = len(things) // 2
    yield from by_halves(warehouse, things[:middle], land)
    yield from by_halves(warehouse, things[middle:], land)


def _first_line(error: Exception) -> str:
    text = str(error).encode("utf-8", "replace").decode()
    return rejected.without_addresses(text.splitlines()[0]) if text.strip() else type(error).__name__
