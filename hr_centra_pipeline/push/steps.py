"""How a packet's work is written down: a generator that yields queries and mutations, and its possible outcomes.

The sender runs several of them at once: their queries go to Centra together; their mutations are committed first and then
go together too. A generator yields one mutation at most; what follows from the answer is committed before anything else.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from hr_centra_pipeline.core.kinds import Step

Result = TypeVar("Result")
Trouble = Literal["gone", "not_ours", "refused", "unpaid", "number_taken", "canceled", "differs"]


@dataclass(frozen=True)
class Call:
    """One writing call: the name of a GraphQL operation with its variables, or an Order API call with its body."""

    operation: str
    variables: Mapping[str, Any]


@dataclass(frozen=True)
class Answered:
    """What a writing call came to. ``refusal``: Centra said no and did nothing; ``path`` to what it is about."""

    payload: Mapping[str, Any]
    refusal: str | None = None
    path: tuple[str, ...] = ()
    code: int | None = None


# ---------------------------------------------------------------- what a generator yields


@dataclass(frozen=True)
class Query:
    """A query; it is answered by its data."""

    operation: str
    variables: Mapping[str, Any]


@dataclass(frozen=True)
class Mutation:
    """A writing call; it is answered by :class:`Answered`. ``remember`` joins the packet's payload before the call leaves."""

    call: Call
    remember: Mapping[str, Any] = field(default_factory=dict)


Steps = Generator[Query | Mutation, Any, Result]


# ---------------------------------------------------------------- what it comes to


@dataclass(frozen=True)
class Advance:
    """The step is done; the packet goes on with ``step``. ``remember`` joins its payload."""

    step: Step
    centra_id: str | None = None
    message: str | None = None
    remember: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Finished:
    """Nothing is left to do: every member is in Centra under ``centra_id``. ``remember`` joins the packet's payload."""

    centra_id: str
    message: str | None = None
    remember: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """Centra refused it and nothing of it is there. ``members``: those to blame; empty when it is not known."""

    message: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reverted:
    """Nothing of it is left in Centra and nobody is to blame: its effects are planned again."""

    reason: str


@dataclass(frozen=True)
class NotNow:
    """The step was certainly not done, and may be tried by a later push."""

    reason: str
    stops_operation: bool = False  # the same would happen to every packet of this operation


@dataclass(frozen=True)
class Held:
    """Nothing was done: these members have to stay, the others may go without them."""

    members: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Again:
    """Centra limited us before anything was done: the same step, after so many seconds, from its look on."""

    seconds: float


@dataclass(frozen=True)
class InDoubt:
    """Nobody knows whether the step was done. With a ``trouble``, looking again will not settle it: a person must.

    ``remember`` joins the packet's payload.
    """

    message: str
    trouble: Trouble | None = None
    remember: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Absent:
    """A look-up: the step that was under way has left no trace in Centra."""

    paid: bool = False  # it was the paying step


StepResult = Advance | Finished | Refused | Reverted | NotNow | Held | Again | InDoubt
LookUpResult = Advance | Finished | Refused | Reverted | InDoubt | Absent


def members_of_path(path: Sequence[str], containers: Mapping[str, Sequence[Sequence[str]]]) -> tuple[str, ...]:
    """The members that a ``userErrors`` path names: ``[…, "lines", "2", …]`` is the third entry of ``lines``.

    An entry with several members names none of them.
    """
    for position, part in enumerate(path[:-1]):
        following = path[position + 1]
        if part in containers and following.isdecimal() and int(following) < len(containers[part]):
            members = containers[part][int(following)]
            return tuple(members) if len(members) == 1 else ()
    return ()
