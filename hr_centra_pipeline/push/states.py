"""The states of an effect, of a packet and the steps of an operation, and the moves between them: pure tables.

Every state that the ledger writes goes through the table of effects, every packet that the journal writes through the other two.
Updates of many packets at once do not; docs/architecture.md names them.

``planned`` not sent yet · ``sending`` its packet is frozen, a call may be under way · ``unknown`` in doubt: Centra must be
asked before anything is sent again · ``confirmed`` read back or answered by Centra · ``rejected`` Centra refused it, for
good until its input changes · ``withdrawn`` no longer desired before it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hr_centra_pipeline.core.kinds import Step

State = Literal["planned", "sending", "confirmed", "rejected", "unknown", "withdrawn"]

# From (None: the ledger does not know the effect) to the states that may follow. To ``unknown`` from anywhere but the end:
# Centra shows the effect half done, whatever we thought. From ``unknown`` on only by what Centra shows: never to
# ``withdrawn``, which would be a change of mind.
ALLOWED: dict[State | None, frozenset[State]] = {
    None: frozenset({"planned", "confirmed", "unknown"}),
    "planned": frozenset({"planned", "sending", "confirmed", "unknown", "withdrawn"}),  # planned again: figures changed
    "sending": frozenset({"confirmed", "rejected", "unknown", "planned"}),
    "unknown": frozenset({"sending", "confirmed", "rejected", "planned"}),  # sending: the rest of a half-done packet
    "rejected": frozenset({"planned", "confirmed", "unknown", "withdrawn"}),
    "withdrawn": frozenset({"planned", "confirmed", "unknown"}),
    "confirmed": frozenset(),
}

# What was done is never sent again by itself. These two ways lead back all the same: a person adopts a return whose effect
# somebody has deleted in Centra; or the effect was another user's, and is not there any more.
REOPENED: dict[State | None, frozenset[State]] = {"confirmed": frozenset({"planned"})}


class ForbiddenMoveError(Exception):
    """A move that the table does not allow: a mistake in this program, nothing is written."""


def check(before: State | None, after: State) -> None:
    """Let an allowed move pass.

    Raises:
        ForbiddenMoveError: names the move.
    """
    if after not in ALLOWED[before]:
        raise ForbiddenMoveError(f"an effect may not go from {before or 'nothing'} to {after}")


# ---------------------------------------------------------------- packets

PacketState = Literal["new", "sending", "unknown", "confirmed", "rejected", "disbanded"]

# ``new`` is cut and not written down yet. What ended without effect may be cut again from the same members (``new``), or
# found half done in Centra after all (``unknown``). Nothing leads back from ``confirmed`` but what somebody has deleted in
# Centra, when a person adopts its return (``ledger.reopen_gone``).
PACKETS: dict[PacketState, frozenset[PacketState]] = {
    "new": frozenset({"sending", "unknown", "confirmed", "rejected", "disbanded"}),
    "sending": frozenset({"sending", "unknown", "confirmed", "rejected", "disbanded"}),
    "unknown": frozenset({"sending", "unknown", "confirmed", "rejected", "disbanded"}),
    "rejected": frozenset({"new", "unknown"}),
    "disbanded": frozenset({"new", "unknown"}),
    "confirmed": frozenset({"disbanded"}),
}


def check_packet(before: PacketState, after: PacketState) -> None:
    """Let an allowed move of a packet pass.

    Raises:
        ForbiddenMoveError: names the move.
    """
    if after not in PACKETS[before]:
        raise ForbiddenMoveError(f"a packet may not go from {before} to {after}")


# ---------------------------------------------------------------- steps


@dataclass(frozen=True)
class StepRule:
    """What may follow a step, and what the sender has to know of it.

    ``pays``: its call gives money, and is made again only after a look. ``takes_back``: it gives nothing, so that today's
    plan is not asked. ``is_made``: what it belongs to is made already; only a value that was given back otherwise stops it.
    """

    then: frozenset[Step]
    pays: bool = False
    takes_back: bool = False
    is_made: bool = False


@dataclass(frozen=True)
class StepTable:
    """The steps of one operation. Any step may be tried once more; ``done`` is the end of it, and has no rule.

    ``first``: where a packet begins; ``resumes``: where one may begin as well, on a Return that is there already.
    ``gives_nothing``: none of its steps is asked for, since a note too many does no harm.
    """

    operation: str
    first: Step
    rules: Mapping[Step, StepRule]
    resumes: frozenset[Step] = field(default_factory=frozenset)
    gives_nothing: bool = False

    def of(self, step: Step) -> StepRule:
        """The rule of a step; one that the table does not know pays nothing, takes nothing back and may not move."""
        return self.rules.get(step, _NO_RULE)

    def check(self, before: Step, after: Step) -> None:
        """Let an allowed move between steps pass; the same step once more is always one.

        Raises:
            ForbiddenMoveError: names the move.
        """
        if after != before and after not in self.of(before).then:
            raise ForbiddenMoveError(f"a packet of {self.operation} may not go from step {before} to {after}")

    def check_begin(self, step: Step) -> None:
        """Let a step pass at which a packet may begin.

        Raises:
            ForbiddenMoveError: names the step.
        """
        if step != self.first and step not in self.resumes:
            raise ForbiddenMoveError(f"a packet of {self.operation} may not begin at step {step}")


_NO_RULE = StepRule(frozenset())


def then(*steps: Step, pays: bool = False, takes_back: bool = False, is_made: bool = False) -> StepRule:
    """The rule of a step that these may follow."""
    return StepRule(frozenset(steps), pays, takes_back, is_made)
