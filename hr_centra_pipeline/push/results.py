"""What one step of a packet, or a look-up of one in doubt, can come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Advance:
    """The step is done; the packet goes on with ``step``."""

    step: str
    centra_id: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class Finished:
    """Nothing is left to do: every member is in Centra under ``centra_id``."""

    centra_id: str
    message: str | None = None


@dataclass(frozen=True)
class Refused:
    """Centra refused it and nothing of it is there. ``members``: those to blame; empty when nobody can tell."""

    message: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class Undone:
    """Nothing of it is left in Centra and nobody is to blame: its effects are planned again."""

    reason: str


@dataclass(frozen=True)
class NotNow:
    """The step was certainly not done, and may be tried by a later push."""

    reason: str
    stops_operation: bool = False  # the same would happen to every packet of this operation


@dataclass(frozen=True)
class InDoubt:
    """Nobody knows whether the step was done; ``needs_person``: and looking again will not tell."""

    message: str
    needs_person: bool = False


@dataclass(frozen=True)
class Absent:
    """A look-up: the step that was under way has left no trace in Centra."""

    paid: bool = False  # it was the paying step


StepResult = Advance | Finished | Refused | Undone | NotNow | InDoubt
LookUpResult = Advance | Finished | Refused | Undone | InDoubt | Absent


def members_of_path(path: Sequence[str], containers: dict[str, Sequence[Sequence[str]]]) -> tuple[str, ...]:
    """The members that a ``userErrors`` path names: ``[…, "lines", "2", …]`` is the third entry of ``lines``.

    An entry with several members names none of them.
    """
    for position, part in enumerate(path[:-1]):
        following = path[position + 1]
        if part in containers and following.isdecimal() and int(following) < len(containers[part]):
            members = containers[part][int(following)]
            return tuple(members) if len(members) == 1 else ()
    return ()
