"""What people say about exceptions: notes, decisions, and what they write off. Appended to the history, never figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.reconciliation.reconcile import next_run
from hr_centra_pipeline.warehouse.database import Connection

DECISIONS = ("chase", "carry_forward", "claim", "write_off")
"""Ask the party that owes it; leave it open into the next month; claim it from Happy Returns or the carrier; accept the loss."""


@dataclass(frozen=True)
class Note:
    """One person's word about one exception. ``place``: where it was written, for messages."""

    exception_id: str
    note: str | None
    decision: str | None
    by: str
    place: str


@dataclass(frozen=True)
class NotesReport:
    """How many notes were appended or recorded already, and why others were refused, each by its place."""

    taken: int
    unchanged: int
    refused: tuple[str, ...]


def append(connection: Connection, notes: Iterable[Note], now: datetime) -> NotesReport:
    """Append notes to ``reconciliation.exception_events``; saying the same again appends nothing.

    A write-off closes its exception: it stays closed while no more money is at stake than was written off.
    """
    known = {
        exception_id: (kind, is_open, (note, decision, by))
        for exception_id, kind, is_open, note, decision, by in connection.execute(
            """
            select
                exception_id, any_value(kind),
                count(*) filter (where event in ('opened', 'reopened')) > count(*) filter (where event = 'closed'),
                arg_max(coalesce(note, ''), (coalesce(run_number, 0), rowid)) filter (where event = 'noted'),
                arg_max(coalesce(decision, ''), (coalesce(run_number, 0), rowid)) filter (where event = 'noted'),
                arg_max("by", (coalesce(run_number, 0), rowid)) filter (where event = 'noted')
            from reconciliation.exception_events group by exception_id
            """
        ).fetchall()
    }
    run_number = next_run(connection)
    taken, unchanged = 0, 0
    refused: list[str] = []
    for note in notes:
        kind, is_open, last = known.get(note.exception_id, (None, False, None))
        if kind is None:
            refused.append(f"{note.place}: there is no exception {note.exception_id}")
        elif last == (note.note or "", note.decision or "", note.by):
            unchanged += 1
        elif why := _refusal(note, is_open):
            refused.append(f"{note.place}: {note.exception_id}: {why}")
        else:
            _event(connection, note, kind, "noted", None, run_number, now)
            if note.decision == "write_off":
                _event(connection, note, kind, "closed", f"written off by {note.by}: {note.note}", run_number, now)
            known[note.exception_id] = (
                kind, is_open and note.decision != "write_off", (note.note or "", note.decision or "", note.by),
            )  # fmt: skip
            taken += 1
    return NotesReport(taken, unchanged, tuple(refused))


def assign(
    connection: Connection, exception_id: str, assignee: str | None, *, by: str, note: str | None, now: datetime
) -> None:
    """Append who takes care of an exception: a user id, or ``team:finance``; ``None``: nobody any more. It stays when it reopens.

    Raises:
        ConfigurationError: there is no such exception.
    """
    row = connection.execute(
        "select any_value(kind) from reconciliation.exception_events where exception_id = ?", [exception_id]
    ).fetchone()
    if row is None or row[0] is None:
        raise ConfigurationError(f"{exception_id}: there is no such exception.", code="unknown_exception")
    connection.execute(
        """
        insert into reconciliation.exception_events by name
        select ? as exception_id, 'handed_over' as event, ? as "at", ? as "by", ? as note, ? as kind, ? as run_number,
            ? as recorded_at, ? as assigned_to
        """,
        [exception_id, now, by, note, row[0], next_run(connection), now, assignee],
    )


def _refusal(note: Note, is_open: bool) -> str | None:
    if not note.by:
        return "it does not say by whom"
    if not note.note and not note.decision:
        return "it has neither a note nor a decision"
    if note.decision and note.decision not in DECISIONS:
        return f"the decision {note.decision!r} is none of {', '.join(DECISIONS)}"
    if note.decision == "write_off" and not note.note:
        return "a write-off needs a note that says why"
    if note.decision == "write_off" and not is_open:
        return "it is not open any more, so that nothing can be written off"
    return None


def _event(
    connection: Connection, note: Note, kind: str, event: str, proof: str | None, run_number: int, now: datetime
) -> None:
    connection.execute(
        """
        insert into reconciliation.exception_events by name
        select ? as exception_id, ? as event, ? as "at", ? as "by", ? as proof, ? as note, ? as kind, ? as run_number,
            ? as recorded_at, ? as decision
        """,
        [note.exception_id, event, now, note.by, proof, note.note, kind, run_number, now, note.decision],
    )
