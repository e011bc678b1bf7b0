"""The states of an effect and the moves between them: one pure table that every write to the ledger goes through.

``planned`` not sent yet · ``sending`` its packet is frozen, a call may be under way · ``unknown`` in doubt: Centra must be
asked before anything is sent again · ``confirmed`` read back or answered by Centra · ``rejected`` Centra refused it, for
good until its input changes · ``withdrawn`` no longer desired before it was sent.
"""

from __future__ import annotations

from typing import Literal

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
# somebody has deleted in Centra; or the effect was somebody else's, and is not there any more.
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
