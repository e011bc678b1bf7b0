"""Several packets at once on the way to Centra: queries go together; mutations are committed, then go together.

Nothing personal is in what is kept of a call.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from hr_centra_pipeline.core.codes import say
from hr_centra_pipeline.push.call_journal import Attempt, Journal
from hr_centra_pipeline.push.guards import Gate, Halted
from hr_centra_pipeline.push.packets import Packet
from hr_centra_pipeline.push.steps import Again, Answered, Call, InDoubt, Mutation, NotNow, Query, Steps
from hr_centra_pipeline.sources.centra import centra_operations
from hr_centra_pipeline.sources.centra.centra_errors import CentraError, Limited, Permanent, UnknownOutcome
from hr_centra_pipeline.sources.centra.client import Answer, Asked, CentraClient
from hr_centra_pipeline.sources.centra.order_api import CREATE_ORDER, OrderApiClient
from hr_centra_pipeline.sources.centra.texts import OUR_LINE, without_contacts

_LOG = logging.getLogger(__name__)
_PERSONAL = frozenset({"address", "deliveryAddress", "invoiceAddress", "email", "customerId", "paramsJSON", "giftCard"})

Start = Callable[[Packet], Steps[Any]]


@dataclass
class _Session:
    """One packet's steps under way. ``has_mutated``: one of its mutations has left; ``result``: its outcome."""

    packet: Packet
    steps: Steps[Any]
    wants: Query | Mutation | None = None
    has_mutated: bool = False
    result: Any = None

    def go_on(self, answer: Any) -> None:
        """Pass an answer on, and run to the next query, mutation or the end.

        One unusable answer must not stop the others: when it is not understood, its packet is in doubt or has to wait.
        """
        try:
            self.wants = self.steps.send(answer)
        except StopIteration as end:
            self.end(end.value)
        except Exception as error:  # noqa: BLE001 - see above: whatever it is, the others go on
            _LOG.exception("packet %s at %s: Centra's answer is not understood", self.packet.key, self.packet.step)
            told = f"Centra's answer is not understood ({type(error).__name__}); the log has the details"
            self.end(InDoubt(told) if self.has_mutated else NotNow(told))

    def end(self, result: Any) -> None:
        """It is over."""
        self.steps.close()
        self.wants, self.result = None, result


@dataclass
class Wire:
    """Reads freely; writes through the gate and the journal. ``troubles``: requests in a row that failed."""

    client: CentraClient
    order_api: OrderApiClient
    journal: Journal
    gate: Gate
    at_once: int = 5
    writes: int = 0
    troubles: int = 0
    clock: Callable[[], float] = time.monotonic
    rest: Callable[[float], None] = time.sleep
    _halted: Halted | None = field(default=None, repr=False)

    def run(self, packets: Sequence[Packet], start: Start, *, may_mutate: bool = True) -> list[tuple[Packet, Any]]:
        """Run the steps of several packets until they complete; answers each packet as it was committed last, and its result.

        A call that could not be made is a result too: ``NotNow``, ``Again`` or ``InDoubt``. Without ``may_mutate``, nothing
        is reserved; a caller that sends one nevertheless has a bug.

        Raises:
            Halted: after :meth:`halted` was called; nothing is lost, results are kept.
        """
        spent = 0
        sessions = [_Session(packet, start(packet)) for packet in packets]
        if may_mutate and packets:
            try:
                self.client.reserve(len(packets))
            except CentraError as error:
                self._halt(Halted(say("centra_refused", error)), sessions)
                return [(session.packet, session.result) for session in sessions]
        for session in sessions:
            session.go_on(None)
        while waiting := [session for session in sessions if session.wants is not None]:
            queries = [session for session in waiting if isinstance(session.wants, Query)]
            if queries:
                self._query(queries)
            else:
                spent += self._mutate(waiting)
        if may_mutate:
            self.client.give_back(len(packets) - spent)
        return [(session.packet, session.result) for session in sessions]

    @property
    def halted(self) -> Halted | None:
        """Why nothing more is to be sent in this push."""
        return self._halted

    # ---------------------------------------------------------------- reading

    def _query(self, sessions: Sequence[_Session]) -> None:
        for some in _chunks(sessions, self.at_once):
            outcomes = self.client.execute_together(
                [
                    Asked(session.wants.operation, session.wants.variables)
                    for session in some
                    if isinstance(session.wants, Query)
                ]
            )
            self._notice(outcomes)
            for session, outcome in zip(some, outcomes, strict=True):
                if isinstance(outcome, Answer):
                    session.go_on(outcome.data)
                elif session.has_mutated:
                    session.end(InDoubt(str(outcome)))
                else:
                    session.end(NotNow(str(outcome), stops_operation=isinstance(outcome, Permanent)))

    # ---------------------------------------------------------------- writing

    def _mutate(self, sessions: Sequence[_Session]) -> int:
        """Commit, send, take down the outcomes; answers how many GraphQL mutations were used."""
        mutations = [session for session in sessions if _call(session).operation != CREATE_ORDER]
        for some in _chunks(mutations, self.at_once):
            self._mutate_together(some)
        for session in sessions:
            if session not in mutations:
                self._mutate_together([session])
        return len(mutations)

    def _mutate_together(self, sessions: Sequence[_Session]) -> None:
        gate = partial(self.gate.check, begins=not any(session.packet.is_begun for session in sessions))
        try:
            gate()
        except Halted as halted:
            self._halt(halted, sessions)
            return
        attempts = [self._attempt(session) for session in sessions]
        packets = [session.packet.joined(_remembered(session)) for session in sessions]
        for session, begun in zip(sessions, self.journal.begin(list(zip(packets, attempts, strict=True))), strict=True):
            session.packet = begun
        started = self.clock()
        try:
            outcomes = self._send([_call(session) for session in sessions], gate)
        except Halted as halted:
            for session, attempt in zip(sessions, attempts, strict=True):
                self._not_done(session, replace(attempt, message=halted.reason))
            self._halt(halted, sessions)
            return
        self._notice(outcomes)
        milliseconds = round(1000 * (self.clock() - started))
        for session, attempt, outcome in zip(sessions, attempts, outcomes, strict=True):
            self._take_down(session, replace(attempt, latency_ms=milliseconds), outcome)

    def _attempt(self, session: _Session) -> Attempt:
        call = _call(session)
        return Attempt(
            attempt_id=secrets.token_hex(8),
            packet_key=session.packet.key,
            effect_keys=session.packet.members,
            step=session.packet.step,
            operation=call.operation,
            real_started_at=datetime.now(UTC),
            request=redacted(call.variables),
        )

    def _send(self, calls: Sequence[Call], gate: Callable[[], None]) -> Sequence[_Made | CentraError]:
        if calls[0].operation == CREATE_ORDER:
            try:
                made = self.order_api.create_order(calls[0].variables, gate=gate)
            except CentraError as error:
                return [error]
            refusal = made.refusal and without_contacts(made.refusal)
            answer = {**made.body, "orders": list(made.numbers)}
            return [_Made(Answered(answer, refusal, (), made.code), made.request_id, made.http_status)]
        outcomes = self.client.execute_together(
            [Asked(call.operation, call.variables) for call in calls], reserved=True, gate=gate
        )
        return [
            _made(call, outcome) if isinstance(outcome, Answer) else outcome
            for call, outcome in zip(calls, outcomes, strict=True)
        ]

    def _take_down(self, session: _Session, attempt: Attempt, outcome: _Made | CentraError) -> None:
        """Keep the attempt with its outcome, and go on."""
        if isinstance(outcome, CentraError):
            known = replace(
                attempt, request_id=outcome.request_id, http_status=outcome.http_status, message=str(outcome)
            )
            if isinstance(outcome, UnknownOutcome):
                self.writes += 1
                self.journal.over(replace(known, outcome="unknown"))
                session.end(InDoubt(str(outcome)))
                return
            self._not_done(session, known)
            if isinstance(outcome, Limited):
                session.end(Again(outcome.seconds))
            else:
                session.end(NotNow(str(outcome), stops_operation=isinstance(outcome, Permanent)))
            return
        self.writes += 1
        answered = outcome.answered
        self.journal.over(
            replace(
                attempt, outcome="refused" if answered.refusal else "done", request_id=outcome.request_id,
                http_status=outcome.http_status, message=answered.refusal, response=redacted(answered.payload),
            )
        )  # fmt: skip
        if answered.refusal:
            self._not_paid(session)
        session.has_mutated = True
        session.go_on(answered)

    def _not_done(self, session: _Session, attempt: Attempt) -> None:
        """Certainly nothing was done."""
        self.journal.over(replace(attempt, outcome="not_done"))
        self._not_paid(session)

    @staticmethod
    def _not_paid(session: _Session) -> None:
        """A payment that never left, or that Centra refused, does not count as one."""
        paid = session.packet.payments_sent - session.packet.is_paying
        session.packet = replace(session.packet, payments_sent=paid)

    def _halt(self, halted: Halted, sessions: Iterable[_Session]) -> None:
        self._halted = halted
        for session in sessions:
            session.end(NotNow(halted.reason))

    def _notice(self, outcomes: Iterable[object]) -> None:
        """Count requests in a row that failed: an outage must not be hammered, nor put every packet in doubt."""
        failed = all(isinstance(one, CentraError) and not isinstance(one, Limited | Permanent) for one in outcomes)
        self.troubles = self.troubles + 1 if failed else 0


@dataclass(frozen=True)
class _Made:
    """A writing call that was answered."""

    answered: Answered
    request_id: str
    http_status: int


def _call(session: _Session) -> Call:
    assert isinstance(session.wants, Mutation)  # noqa: S101 - sorted out before
    return session.wants.call


def _remembered(session: _Session) -> Mapping[str, Any]:
    return session.wants.remember if isinstance(session.wants, Mutation) else {}


def _made(call: Call, answer: Answer) -> _Made:
    payload = answer.data[centra_operations.load(call.operation).mutations[0]]
    if not answer.errors:
        return _Made(Answered(payload), answer.request_id, answer.http_status)
    # Centra may repeat in its message what was sent, and the message is kept.
    refusal = without_contacts("; ".join(str(error.get("message")) for error in answer.errors))
    path = tuple(str(part) for part in answer.errors[0].get("path") or ())
    return _Made(Answered(payload, refusal, path), answer.request_id, answer.http_status)


def _chunks(sessions: Sequence[_Session], size: int) -> list[list[_Session]]:
    """Groups that share a request, in order. One of them holds one operation, several times: what Centra refuses before it is
    executed, for want of a permission or because a field is gone, must not hold back others.
    """
    groups: dict[str, list[_Session]] = {}
    for session in sessions:
        groups.setdefault(str(getattr(session.wants, "operation", None) or _call(session).operation), []).append(
            session
        )
    return [group[at : at + size] for _, group in sorted(groups.items()) for at in range(0, len(group), size)]


def redacted(value: Any) -> Any:
    """A request or answer without anything personal: no address, and of a comment only our own lines and keys."""
    if isinstance(value, Mapping):
        return {name: "…" if name in _PERSONAL else _comment(name, inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [redacted(inner) for inner in value]
    return value


def _comment(name: str, value: Any) -> Any:
    if name == "internalComment" and isinstance(value, str) and "[hr-centra " in value:
        return "\n".join(OUR_LINE.findall(value))
    if name in ("message", "msg") and isinstance(value, str):
        return without_contacts(value)
    return redacted(value)
