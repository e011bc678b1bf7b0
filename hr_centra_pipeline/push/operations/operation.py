"""What an operation is: one protocol that the sender, the preview and the look-up go through, whatever is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from hr_centra_pipeline.core.kinds import EFFECT_TYPE_OF, OPERATION_OF, OperationName
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.push.facts import Facts
from hr_centra_pipeline.push.operations.grouping import Grouping
from hr_centra_pipeline.push.packets import Effect, Packet, Payload
from hr_centra_pipeline.push.states import StepTable
from hr_centra_pipeline.push.steps import Call, LookUpResult, StepResult, Steps

P = TypeVar("P", bound=Payload)


@dataclass(frozen=True)
class Traits(Generic[P]):
    """What the push has to know of an operation beside what it does.

    ``patience``: how long it may be passed over by those before
    it; what has waited longer goes first, so that nothing starves. ``mutations``: of a packet, as a rule, to reckon the end.
    ``seen_in``: sources (of Centra, or ``exports``) that have to be read completely before it may be sent after a turn;
    ``back_to_cutover``: those that have to be read back to the cut-over at any time.
    """

    name: OperationName
    payload: type[P]
    patience: timedelta
    mutations: int
    seen_in: tuple[str, ...]
    back_to_cutover: tuple[str, ...] = ()

    @property
    def effect_kinds(self) -> tuple[str, ...]:
        """What is sent by it (``core/kinds.py``), all of one effect type."""
        return tuple(kind for kind, operation in OPERATION_OF.items() if operation == self.name)

    @property
    def effect_type(self) -> str:
        """The effect type of the policy: its modes and guards."""
        return EFFECT_TYPE_OF[self.effect_kinds[0]]

    @property
    def steps(self) -> StepTable:
        """Its steps, and which may follow which."""
        return self.payload.STEPS


class Operation(Protocol[P]):
    """One way in which effects get into Centra."""

    @property
    def traits(self) -> Traits[P]:
        """What the push has to know of it."""
        ...

    def cut(self, effects: Sequence[Effect], policy: Policy, now: datetime, result: Grouping) -> None:
        """Group effects into packets, each frozen at its first step; add them to the result, and what has to stay with its reason.

        Reads of the result what earlier operations have cut.
        """
        ...

    def calls(self, packet: Packet[P], facts: Facts) -> list[Call]:
        """Describe it: every writing call in order; ``<…>``: read right before, or made by Centra."""
        ...

    def advance(self, packet: Packet[P], facts: Facts) -> Steps[StepResult]:
        """Begin it, or do its next step: look once more, then make one call at most."""
        ...

    def look_up(self, packet: Packet[P], facts: Facts) -> Steps[LookUpResult]:
        """Read back how far a packet in doubt came. Writes nothing."""
        ...

    def changed(self, packet: Packet[P], today: Sequence[Effect], facts: Facts) -> str | None:
        """How today's plan differs from what the packet was frozen with; ``None``: in nothing that matters."""
        ...

    def stop(self, packet: Packet[P], facts: Facts, reason: str) -> Steps[StepResult]:
        """Undo it: today's plan no longer wants it, so what is half done is taken back, as far as it can be."""
        ...
