"""The short transactions around every call: the packet and its step before it leaves, the outcome after it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from hr_centra_pipeline.push import ledger
from hr_centra_pipeline.push.packets import FIRST_STEP, Packet
from hr_centra_pipeline.push.results import Advance, Finished, InDoubt, NotNow, Refused, StepResult, Undone
from hr_centra_pipeline.warehouse.database import Connection, Warehouse

_COLUMNS = (
    "packet_key, operation, members, payload, step, state, centra_id, message, payments_sent, needs_person, "
    "real_sent_at, created_at"
)
PAYING_STEPS = frozenset({"refund", "issue_credit"})


@dataclass(frozen=True)
class Attempt:
    """One call. ``request`` and ``response`` are redacted already."""

    attempt_id: str
    packet_key: str
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
class Journal:
    """Writes ``push.packets``, ``push.attempts`` and the members' ledger rows. ``now`` is the decision time."""

    warehouse: Warehouse
    now: datetime

    def __post_init__(self) -> None:
        self._unsaved: list[Attempt] = []

    def begin(self, packet: Packet, attempt: Attempt) -> Packet:
        """Commit that a writing call of this packet's step is about to leave."""
        sent = replace(
            packet,
            state="sending",
            real_sent_at=attempt.real_started_at,
            payments_sent=packet.payments_sent + (packet.step in PAYING_STEPS),
        )
        with self.warehouse.transaction() as connection:
            if packet.state != "sending":
                ledger.move(connection, packet.members, "sending", self.now, packet_key=packet.key)
            self._write(connection, sent)
            self._save(connection)
            _insert(connection, attempt, self.now)
        return replace(sent, created_at=packet.created_at or self.now)

    def keep(self, attempt: Attempt) -> None:
        """Remember a call's outcome; it is committed with the state that follows from it."""
        self._unsaved.append(attempt)

    def settle(self, packet: Packet, result: StepResult) -> Packet:
        """Commit what a step came to, for the packet and each of its members."""
        match result:
            case Advance(step, centra_id, message):
                after = packet.at(step, centra_id=centra_id or packet.centra_id, message=message or packet.message)
                with self.warehouse.transaction() as connection:
                    if packet.state == "unknown":
                        after = replace(after, state="sending")
                        ledger.move(connection, packet.members, "sending", self.now, packet_key=packet.key)
                    self._write(connection, after)
                    self._save(connection)
                return after
            case Finished(centra_id, message):
                return self._end(packet, "confirmed", centra_id=centra_id, message=message)
            case Refused(message):
                return self._refuse(packet, result)
            case InDoubt(message, needs_person):
                return self._end(packet, "unknown", message=message, needs_person=needs_person)
            case Undone(reason):
                return self._end(packet, "dissolved", message=reason)
            case NotNow(reason):
                if packet.state == "new":
                    self._release(packet, reason)
                    return packet
                if packet.step == FIRST_STEP[packet.operation]:
                    return self._end(packet, "dissolved", message=reason)
                # Half done: the rest is finished by the next push, after Centra was asked how far it came.
                return self._end(packet, "unknown", message=f"half done, before {packet.step}: {reason}")

    def resume(self, packet: Packet) -> Packet:
        """Commit that a packet in doubt is being finished from its step on."""
        return self.settle(packet, Advance(packet.step))

    def _end(
        self,
        packet: Packet,
        state: str,
        *,
        centra_id: str | None = None,
        message: str | None = None,
        needs_person: bool = False,
    ) -> Packet:
        after = replace(
            packet,
            state=state,
            step="done" if state == "confirmed" else packet.step,
            message=message or packet.message,
            needs_person=needs_person,
            centra_id=packet.centra_id or centra_id,
        )
        with self.warehouse.transaction() as connection:
            match state:
                case "confirmed":
                    ledger.move(
                        connection, packet.members, "confirmed", self.now,
                        packet_key=packet.key, centra_id=centra_id, reason=message,
                    )  # fmt: skip
                case "unknown" if packet.state != "unknown":
                    ledger.move(connection, packet.members, "unknown", self.now, packet_key=packet.key, reason=message)
                case "unknown":
                    ledger.note_reason(connection, packet.members, "unknown", message or "")
                case "dissolved":
                    ledger.move(connection, packet.members, "planned", self.now, reason=message)
            self._write(connection, after)
            self._save(connection)
        return after

    def _refuse(self, packet: Packet, refused: Refused) -> Packet:
        """Dissolve a refused packet: who is to blame is rejected, the others are planned again.

        When nobody can tell who is to blame, each unit is sent alone once.
        """
        unit_count = packet.payload.get("unit_count", len(packet.members))
        blamed = set(refused.members) or (set(packet.members) if unit_count == 1 else set())
        others = [key for key in packet.members if key not in blamed]
        after = replace(packet, state="rejected" if blamed else "dissolved", message=refused.message)
        with self.warehouse.transaction() as connection:
            if packet.state in ("new", "unknown"):
                ledger.move(connection, packet.members, "sending", self.now, packet_key=packet.key)
            if blamed:
                ledger.move(
                    connection, sorted(blamed), "rejected", self.now, packet_key=packet.key, reason=refused.message
                )
            if others:
                why = "sent again without the one that was refused" if blamed else "sent alone: its packet was refused"
                ledger.move(connection, others, "planned", self.now, reason=why, travels_alone=not blamed or None)
            self._write(connection, after)
            self._save(connection)
        return after

    def _release(self, packet: Packet, reason: str) -> None:
        with self.warehouse.transaction() as connection:
            ledger.note_reason(connection, packet.members, "planned", reason)
            self._save(connection)

    def _write(self, connection: Connection, packet: Packet) -> None:
        connection.execute("delete from push.packets where packet_key = ?", [packet.key])
        connection.execute(
            f"insert into push.packets ({_COLUMNS}, updated_at) values ({', '.join('?' * 13)})",  # noqa: S608 - our own names
            [
                packet.key,
                packet.operation,
                list(packet.members),
                json.dumps(packet.payload),
                packet.step,
                packet.state,
                packet.centra_id,
                packet.message,
                packet.payments_sent,
                packet.needs_person,
                packet.real_sent_at,
                packet.created_at or self.now,
                self.now,
            ],
        )

    def _save(self, connection: Connection) -> None:
        for attempt in self._unsaved:
            connection.execute("delete from push.attempts where attempt_id = ?", [attempt.attempt_id])
            _insert(connection, attempt, self.now)
        self._unsaved.clear()


def _insert(connection: Connection, attempt: Attempt, now: datetime) -> None:
    connection.execute(
        """
        insert into push.attempts (
            attempt_id, packet_key, step, operation, request_id, started_at, real_started_at, outcome, http_status,
            latency_ms, message, request, response
        )
        values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        [
            attempt.attempt_id, attempt.packet_key, attempt.step, attempt.operation, attempt.request_id, now,
            attempt.real_started_at, attempt.outcome, attempt.http_status, attempt.latency_ms, attempt.message,
            json.dumps(attempt.request, default=str), json.dumps(attempt.response, default=str),
        ],
    )  # fmt: skip


def in_doubt(connection: Connection, now: datetime) -> list[Packet]:
    """Every packet whose outcome is not known, the oldest first; those found ``sending`` were left by a crash."""
    crashed = load(connection, "state = 'sending'")
    for packet in crashed:
        message = f"the sender died at {packet.step}"
        ledger.move(connection, packet.members, "unknown", now, packet_key=packet.key, reason=message)
        connection.execute(
            "update push.packets set state = 'unknown', message = ?, updated_at = ? where packet_key = ?",
            [message, now, packet.key],
        )
    return load(connection, "state = 'unknown' and not needs_person")


def load(connection: Connection, condition: str, parameters: Sequence[Any] = ()) -> list[Packet]:
    """Packets that meet a condition, the oldest first."""
    rows = connection.execute(
        f"select {_COLUMNS} from push.packets where {condition} order by created_at, packet_key",  # noqa: S608 - our own names
        list(parameters),
    ).fetchall()
    return [
        Packet(
            row[0], row[1], tuple(row[2]), json.loads(row[3]), row[4], row[5], row[6], row[7], row[8], row[9],
            row[10] and row[10].astimezone(UTC), row[11] and row[11].astimezone(UTC),
        )
        for row in rows
    ]  # fmt: skip
