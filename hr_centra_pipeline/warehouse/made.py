"""What a function in Python makes, said beside it: SQL is parsed for its lineage (``models.py``), Python says it here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Function = TypeVar("Function", bound=Callable[..., object])
KINDS = ("source", "policy", "people", "run")


def makes(
    name: str, grain: str, *, reads: tuple[str, ...] = (), loops: dict[str, str] | None = None, kind: str = "run"
) -> Callable[[Function], Function]:
    """Say that a function fills a table, or a temporary table that SQL reads. Changes nothing about the function.

    ``make lineage`` reads the arguments off the source, so they are plain texts.

    Args:
        name: ``schema.table``, or the temporary table.
        grain: what a row of it is, as a sentence.
        reads: the tables that it is made from; or a file (``push/sendable_effects.sql``) whose rows Python takes.
        loops: tables that it reads as the last run left them, with the reason.
        kind: ``source`` (brought from outside), ``policy`` (the owner's settings), ``people`` (what somebody decided by a
            command), ``run`` (what a run keeps or computes).
    """
    if kind not in KINDS:
        raise ValueError(f"{name}: {kind!r} is none of {', '.join(KINDS)}")
    del grain, reads, loops

    def unchanged(function: Function) -> Function:
        return function

    return unchanged
