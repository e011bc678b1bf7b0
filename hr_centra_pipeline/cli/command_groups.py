"""How the command line is laid out: options of every command in any place, and examples below each help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.core import TyperGroup

FLAGS = ("--demo", "--training")
WITH_VALUE = ("--env-file",)
"""Options of every command, as the callback in ``main.py`` declares them."""


class Commands(TyperGroup):
    """All commands. Options of every command may also come after the command's name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what was typed."""
        return super().parse_args(ctx, in_front(args))


def in_front(arguments: Sequence[str]) -> list[str]:
    """The arguments with options of every command first; what follows ``--`` is left alone."""
    ours: list[str] = []
    others: list[str] = []
    rest = iter(arguments)
    for one in rest:
        if one == "--":
            return [*ours, *others, one, *rest]
        if one in FLAGS or one.partition("=")[0] in WITH_VALUE:
            ours.append(one)
            if one in WITH_VALUE:
                ours.extend(value for value in [next(rest, None)] if value is not None)
        else:
            others.append(one)
    return [*ours, *others]


def examples(*lines: str) -> str:
    """The end of a help text."""
    return "\n".join(["Examples:", *(f"  {line}" for line in lines)])
