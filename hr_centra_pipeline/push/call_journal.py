"""The short transactions around every request: packets and their step before it leaves, the outcomes after it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from hr_centra_pipeline.core.codes import as_kept, code_of, say
from hr_centra_pipeline.push import ledger
from hr_centra_pipeline.push.ledger import Move
from hr_centra_pipeline.push.operations.registry import OPERATIONS
from hr_centra_pipeline.push.packets import Packet, check_move
from hr_centra_pipeline.push.states import State
from hr_centra_pipeline.push.steps import (
    Advance,
    Again,
    Finished,
    Held,
    InDoubt,
    NotNow,
    Refused,
    Reverted,
    StepResult,
    Trouble,
)
from hr_centra_pipeline.warehouse import place
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.made import makes

_COLUMNS = (
    "packet_key", "operation", "members", "payload", "step", "state", "centra_id", "message", "message_code",
    "payments_sent", "trouble", "real_sent_at", "created_at",
)  # fmt: skip


_COUNTED_EVERY = 1.0  # seconds: the mark of each call would make a push against a near Centra a tenth slower


@dataclass(frozen=True)
class Attempt:
    """One call for one packet. ``request`` and ``response`` are redacted already."""

    attempt_id: str
    packet_key: str
    effect_keys: tuple[str, ...]
    step: str
    operation: str
    real_started_at: datetime
    request: Any
    outcome: str = "started"
    request_id: str | None = None
    http_status: int | None = None
    latency_ms: int | None = None
    message: str | None = None
    response: Any = None


@dataclass
class _Change:
    """What one packet comes to: its row (``None``: it was never sent), moves of its members, reasons they stay as they are."""

    packet: Packet
    is_kept: bool = True
    moves: tuple[Move, ...] = ()
    stays: tuple[tuple[tuple[str, ...], State, str], ...] = ()  # members, state, reason


@dataclass
class Journal:
    """Writes ``push.packets``, ``push.attempts`` and the members' ledger rows. ``now`` is the decision time."""

    warehouse: Warehouse
    now: datetime

    def __post_init__(self) -> None:
        self._under_way: dict[str, Attempt] = {}
        self._over: list[Attempt] = []
        self._counted_at = -math.inf

    # ---------------------------------------------------------------- before a request

    def begin(self, telling: Sequence[tuple[Packet, Attempt]]) -> list[Packet]:
        """Commit that a writing call of each of these packets is about to leave; answers them as committed.

        Raises:
            RunFailed: it cannot be noted beside the database; nothing has left.
        """
        begun = []
        with self.warehouse.transaction() as connection:
            moves = []
            for packet, attempt in telling:
                sent = replace(
                    packet,
                    state="sending",
                    real_sent_at=attempt.real_started_at,
                    created_at=packet.created_at or self.now,
                    payments_sent=packet.payments_sent + packet.is_paying,
                )
                check_move(packet, sent)
                begun.append(sent)
                self._under_way[packet.key] = attempt
                if packet.state != "sending":
                    moves.append(Move(packet.members, "sending", packet_key=packet.key))
            ledger.move(connection, moves, self.now)
            ledger.note_first_sent(
                connection,
                [member for packet, _ in telling for member in packet.members],
                min(self.now, *(attempt.real_started_at for _, attempt in telling)),
            )
            self._write(connection, begun)
            is_due = time.monotonic() - self._counted_at >= _COUNTED_EVERY
            mark = place.count_a_write(connection) if is_due else None
        if mark:
            place.write_mark(self.warehouse.path, mark)
            self._counted_at = time.monotonic()
        return begun

    def over(self, attempt: Attempt) -> None:
        """A call has its outcome; it is committed with the states that follow from it."""
        self._under_way.pop(attempt.packet_key, None)
        self._over.append(attempt)

    # ---------------------------------------------------------------- after it

    def settle(self, outcomes: Sequence[tuple[Packet, StepResult]]) -> list[Packet]:
        """Commit what the steps of these packets came to, for them and each of their members, in one transaction.

        Raises:
            ForbiddenMoveError: a step came to what its tables do not allow; nothing is written.
        """
        changes = [self._change(packet, result) for packet, result in outcomes]
        for (packet, _), change in zip(outcomes, changes, strict=True):
            if change.is_kept:
                check_move(packet, change.packet)
        with self.warehouse.transaction() as connection:
            ledger.move(connection, [move for change in changes for move in change.moves], self.now)
            for change in changes:
                for members, state, reason in change.stays:
                    ledger.note_reason(connection, members, state, reason)
            self._write(connection, [change.packet for change in changes if change.is_kept])
            _insert(connection, self._over, self.now)
        self._over.clear()
        return [change.packet for change in changes]

    def _change(self, packet: Packet, result: StepResult) -> _Change:
        members = packet.members
        match result:
            case Advance(step, centra_id, message, remember):
                after = packet.at(
                    step, centra_id=centra_id or packet.centra_id, message=message or packet.message, state="sending",
                    trouble=None, payload=packet.payload.joined(remember),
                )  # fmt: skip
                moves = (Move(members, "sending", packet_key=packet.key),) if packet.state != "sending" else ()
                return _Change(after, moves=moves)
            case Finished(centra_id, message, remember):
                after = packet.at(
                    "done", state="confirmed", centra_id=packet.centra_id or centra_id, message=message or packet.message,
                    trouble=None, payload=packet.payload.joined(remember),
                )  # fmt: skip
                move = Move(members, "confirmed", packet_key=packet.key, centra_id=centra_id, reason=message)
                return _Change(after, moves=(move,))
            case Refused():
                return self._refused(packet, result)
            case InDoubt(message, trouble, remember):
                return self._doubt(packet.joined(remember), message, trouble)
            case Reverted(reason):
                return self._disbanded(packet, reason)
            case Held(held, reason):
                if packet.state == "new":
                    return _Change(packet, is_kept=False, stays=((held, "planned", reason),))
                return self._disbanded(packet, reason)
            case NotNow(reason):
                if packet.state == "new":
                    return _Change(packet, is_kept=False, stays=((members, "planned", reason),))
                if not packet.is_begun:
                    return self._disbanded(packet, reason)
                # Half done: the rest is finished by the next push, after Centra was asked how far it came.
                return self._doubt(packet, say("half_done", packet.step, reason), None)
            case Again():
                return _Change(packet, is_kept=packet.state != "new")
        raise AssertionError(f"a step cannot come to {result!r}")

    def _doubt(self, packet: Packet, message: str, trouble: Trouble | None) -> _Change:
        after = replace(packet, state="unknown", message=message, trouble=trouble)
        if packet.state == "unknown":
            return _Change(after, stays=((packet.members, "unknown", message),))
        return _Change(after, moves=(Move(packet.members, "unknown", packet_key=packet.key, reason=message),))

    def _disbanded(self, packet: Packet, reason: str) -> _Change:
        after = replace(packet, state="disbanded", message=reason, trouble=None)
        return _Change(after, moves=(Move(packet.members, "planned", reason=reason),))

    def _refused(self, packet: Packet, refused: Refused) -> _Change:
        """Disband a refused packet: who is to blame is rejected, the others are planned again.

        When it is not known which unit is to blame, each is sent alone once; alone, it is the unit, not what it carries.
        """
        units = packet.payload.units or packet.members
        blamed = set(refused.members) or (set(units) if len(units) == 1 else set())
        others = tuple(key for key in packet.members if key not in blamed)
        moves = []
        if blamed:
            moves.append(Move(tuple(sorted(blamed)), "rejected", packet_key=packet.key, reason=refused.message))
        if others:
            why = say("sent_without_refused") if blamed else say("sent_alone")
            moves.append(Move(others, "planned", reason=why, travels_alone=not blamed or None))
        after = replace(packet, state="rejected" if blamed else "disbanded", message=refused.message, trouble=None)
        return _Change(after, moves=tuple(moves))

    def _write(self, connection: Connection, packets: Sequence[Packet]) -> None:
        write(connection, packets, self.now, self._under_way)


# ---------------------------------------------------------------- rows


@makes(
    "push.packets",
    "One row per packet: what was sent together, and its step.",
    reads=(
        "packet_returns",
        "push.exchange_decisions",
        "push.ledger",
        "push.ties",
        "push/guards.sql",
        "push/half_done.sql",
        "push/sendable_effects.sql",
    ),
)
def write(
    connection: Connection, packets: Sequence[Packet], now: datetime, under_way: Mapping[str, Attempt] | None = None
) -> None:
    """Replace rows of ``push.packets``, each with the call of it that is under way."""
    if not packets:
        return
    connection.execute(
        "delete from push.packets where packet_key in (select unnest($keys::varchar[]))",
        {"keys": [packet.key for packet in packets]},
    )
    for packet in packets:
        attempt = (under_way or {}).get(packet.key)
        connection.execute(
            f"insert into push.packets ({', '.join(_COLUMNS)}, attempt, updated_at)"  # noqa: S608 - our own names
            f" values ({', '.join('?' * (len(_COLUMNS) + 2))})",
            [
                packet.key, packet.operation, list(packet.members), packet.payload.stored(), packet.step,
                packet.state, packet.centra_id, packet.message, code_of(packet.message), packet.payments_sent,
                packet.trouble, packet.real_sent_at, packet.created_at or now,
                json.dumps(asdict(attempt), default=str) if attempt else None, now,
            ],
        )  # fmt: skip


@makes("push.attempts", "One row per call to Centra, kept permanently.", reads=("push.packets",))
def _insert(connection: Connection, attempts: Sequence[Attempt], now: datetime) -> None:
    """Append rows of ``push.attempts``: each call once, with its outcome, never changed."""
    for attempt in attempts:
        connection.execute(
            """
            insert into push.attempts (
                attempt_id, packet_key, effect_keys, step, operation, request_id, started_at, real_started_at, outcome,
                http_status, latency_ms, message, request, response
            )
            values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                attempt.attempt_id, attempt.packet_key, list(attempt.effect_keys), attempt.step, attempt.operation,
                attempt.request_id, now, attempt.real_started_at, attempt.outcome, attempt.http_status,
                attempt.latency_ms, attempt.message, json.dumps(attempt.request, default=str),
                json.dumps(attempt.response, default=str),
            ],
        )  # fmt: skip


def note_crashed(connection: Connection, now: datetime) -> None:
    """Put packets that are found ``sending`` in doubt: a crash left them. What they are made from is not read."""
    rows = connection.execute(
        "select packet_key, members, step, attempt from push.packets where state = 'sending'"
        " order by created_at, packet_key"
    ).fetchall()
    for key, members, step, attempt in rows:
        message = say("sender_died", step)
        ledger.move(connection, [Move(tuple(members), "unknown", packet_key=key, reason=message)], now)
        connection.execute(
            "update push.packets set state = 'unknown', message = ?, message_code = ?, attempt = null, updated_at = ?"
            " where packet_key = ?",
            [message, message.code, now, key],
        )
        if attempt:
            left = {**json.loads(attempt), "outcome": "unknown", "message": message}
            left["effect_keys"] = tuple(left["effect_keys"])
            left["real_started_at"] = datetime.fromisoformat(left["real_started_at"])
            _insert(connection, [Attempt(**left)], now)


def in_doubt(connection: Connection, now: datetime) -> list[Packet]:
    """Every packet whose outcome is not known, the oldest first; those that a crash left included."""
    note_crashed(connection, now)
    return load(connection, "state = 'unknown'")


def load(connection: Connection, condition: str, parameters: Sequence[Any] = ()) -> list[Packet]:
    """Packets that meet a condition, the oldest first.

    Raises:
        RunFailed: this version cannot read what one of them is made from.
    """
    rows = connection.execute(
        f"select {', '.join(_COLUMNS)} from push.packets where {condition} order by created_at, packet_key",  # noqa: S608 - our own names
        list(parameters),
    ).fetchall()
    return [_packet(dict(zip(_COLUMNS, row, strict=True))) for row in rows]


def _packet(row: dict[str, Any]) -> Packet:
    return Packet(
        key=row["packet_key"],
        operation=row["operation"],
        members=tuple(row["members"]),
        payload=OPERATIONS[row["operation"]].traits.payload.read(row["payload"]),
        step=row["step"],
        state=row["state"],
        centra_id=row["centra_id"],
        message=as_kept(row["message"], row["message_code"]),
        payments_sent=row["payments_sent"],
        trouble=row["trouble"],
        real_sent_at=row["real_sent_at"] and row["real_sent_at"].astimezone(UTC),
        created_at=row["created_at"] and row["created_at"].astimezone(UTC),
    )
