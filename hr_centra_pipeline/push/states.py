"""The states of an effect and the moves between them: one pure table that every write to the ledger goes through.

``planned`` not sent yet · ``sending`` its packet is frozen, a call may be under way · ``unknown`` in doubt: Centra must be
asked before anything is sent again · ``confirmed`` read back or answered by Centra · ``rejected`` Centra refused it, for
good until its input changes · ``withdrawn`` no longer desired before it was sent.
"""

from __future__ import annotations

from typing import Literal

State = Literal["planned", "sending", "confirmed", "rejected", "unknown", "withdrawn"]

# From (None: the ledger does not know the effect) to the states that may follow. ``confirmed`` has no way out: what was
# done is never sent again by itself. There is no way from ``unknown`` to ``rejected`` or ``withdrawn``: doubt ends by
# what Centra shows, not by a change of mind.
ALLOWED: dict[State | None, frozenset[State]] = {
    None: frozenset({"planned", "confirmed", "unknown"}),  # unknown: half done in Centra, and our database was lost
    "planned": frozenset({"planned", "sending", "confirmed", "withdrawn"}),  # planned again: its figures changed
    "sending": frozenset({"confirmed", "rejected", "unknown", "planned"}),
    "unknown": frozenset({"sending", "confirmed", "planned"}),  # sending: the rest of a half-done packet
    "rejected": frozenset({"planned", "confirmed", "withdrawn"}),
    "withdrawn": frozenset({"planned", "confirmed"}),
    "confirmed": frozenset(),
}


class ForbiddenMoveError(Exception):
    """A move that the table does not allow: a mistake in this program, nothing is written."""


def check(before: State | None, after: State) -> None:
    """Let an allowed move pass.

    Raises:
        ForbiddenMoveError: names the move.
    """
    if after not in ALLOWED[before]:
        raise ForbiddenMoveError(f"an effect may not go from {before or 'nothing'} to {after}")
