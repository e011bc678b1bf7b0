"""Several packets at once on the way to Centra: what they ask goes together; what they tell is committed, then goes together.

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
from hr_centra_pipeline.push.steps import Again, Answered, Ask, Call, InDoubt, NotNow, Steps, Tell
from hr_centra_pipeline.sources.centra import centra_operations
from hr_centra_pipeline.sources.centra.centra_errors import CentraError, Limited, Permanent, UnknownOutcome
from hr_centra_pipeline.sources.centra.client import Answer, Asked, CentraClient
from hr_centra_pipeline.sources.centra.order_api import CREATE_ORDER, OrderApiClient
from hr_centra_pipeline.sources.centra.texts import OUR_LINE, without_contacts

_LOG = logging.getLogger(__name__)
_PERSONAL = frozenset({"address", "deliveryAddress", "invoiceAddress", "email", "customerId", "paramsJSON", "giftCard"})

Start = Callable[[Packet], Steps[Any]]


@dataclass
class _Talk:
    """One packet's steps under way. ``told``: one of its mutations has left; ``result``: its outcome."""

    packet: Packet
    steps: Steps[Any]
    wants: Ask | Tell | None = None
    told: bool = False
    result: Any = None

    def go_on(self, answer: Any) -> None:
        """Give an answer, run to the next question or the end.

        One odd answer must not stop the others: when it is not understood, its packet is in doubt or has to wait.
        """
        try:
            self.wants = self.steps.send(answer)
        except StopIteration as end:
            self.end(end.value)
        except Exception as error:  # noqa: BLE001 - see above: whatever it is, the others go on
            _LOG.exception("packet %s at %s: Centra's answer is not understood", self.packet.key, self.packet.step)
            told = f"Centra's answer is not understood ({type(error).__name__}); the log has the details"
            self.end(InDoubt(told) if self.told else NotNow(told))

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

    def converse(self, packets: Sequence[Packet], start: Start, *, may_tell: bool = True) -> list[tuple[Packet, Any]]:
        """Run the steps of several packets until they complete; answers each packet as it was committed last, and its result.

        A call that could not be made is a result too: ``NotNow``, ``Again`` or ``InDoubt``. Without ``may_tell``, nothing
        is reserved; a caller that sends one nevertheless has a bug.

        Raises:
            Halted: after :meth:`halted` was called; nothing is lost, results are kept.
        """
        spent = 0
        talks = [_Talk(packet, start(packet)) for packet in packets]
        if may_tell and packets:
            try:
                self.client.reserve(len(packets))
            except CentraError as error:
                self._halt(Halted(say("centra_refused", error)), talks)
                return [(talk.packet, talk.result) for talk in talks]
        for talk in talks:
            talk.go_on(None)
        while waiting := [talk for talk in talks if talk.wants is not None]:
            asking = [talk for talk in waiting if isinstance(talk.wants, Ask)]
            if asking:
                self._ask(asking)
            else:
                spent += self._tell(waiting)
        if may_tell:
            self.client.give_back(len(packets) - spent)
        return [(talk.packet, talk.result) for talk in talks]

    @property
    def halted(self) -> Halted | None:
        """Why nothing more is to be sent in this push."""
        return self._halted

    # ---------------------------------------------------------------- reading

    def _ask(self, talks: Sequence[_Talk]) -> None:
        for some in _chunks(talks, self.at_once):
            outcomes = self.client.execute_together(
                [Asked(talk.wants.operation, talk.wants.variables) for talk in some if isinstance(talk.wants, Ask)]
            )
            self._notice(outcomes)
            for talk, outcome in zip(some, outcomes, strict=True):
                if isinstance(outcome, Answer):
                    talk.go_on(outcome.data)
                elif talk.told:
                    talk.end(InDoubt(str(outcome)))
                else:
                    talk.end(NotNow(str(outcome), stops_operation=isinstance(outcome, Permanent)))

    # ---------------------------------------------------------------- writing

    def _tell(self, talks: Sequence[_Talk]) -> int:
        """Commit, send, take down the outcomes; answers how many GraphQL mutations were used."""
        mutations = [talk for talk in talks if _call(talk).operation != CREATE_ORDER]
        for some in _chunks(mutations, self.at_once):
            self._tell_together(some)
        for talk in talks:
            if talk not in mutations:
                self._tell_together([talk])
        return len(mutations)

    def _tell_together(self, talks: Sequence[_Talk]) -> None:
        gate = partial(self.gate.check, begins=not any(talk.packet.is_begun for talk in talks))
        try:
            gate()
        except Halted as halted:
            self._halt(halted, talks)
            return
        attempts = [self._attempt(talk) for talk in talks]
        packets = [talk.packet.joined(_remembered(talk)) for talk in talks]
        for talk, begun in zip(talks, self.journal.begin(list(zip(packets, attempts, strict=True))), strict=True):
            talk.packet = begun
        started = self.clock()
        try:
            outcomes = self._send([_call(talk) for talk in talks], gate)
        except Halted as halted:
            for talk, attempt in zip(talks, attempts, strict=True):
                self._not_done(talk, replace(attempt, message=halted.reason))
            self._halt(halted, talks)
            return
        self._notice(outcomes)
        milliseconds = round(1000 * (self.clock() - started))
        for talk, attempt, outcome in zip(talks, attempts, outcomes, strict=True):
            self._take_down(talk, replace(attempt, latency_ms=milliseconds), outcome)

    def _attempt(self, talk: _Talk) -> Attempt:
        call = _call(talk)
        return Attempt(
            attempt_id=secrets.token_hex(8),
            packet_key=talk.packet.key,
            effect_keys=talk.packet.members,
            step=talk.packet.step,
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

    def _take_down(self, talk: _Talk, attempt: Attempt, outcome: _Made | CentraError) -> None:
        """Keep the attempt with its outcome, and go on."""
        if isinstance(outcome, CentraError):
            known = replace(
                attempt, request_id=outcome.request_id, http_status=outcome.http_status, message=str(outcome)
            )
            if isinstance(outcome, UnknownOutcome):
                self.writes += 1
                self.journal.over(replace(known, outcome="unknown"))
                talk.end(InDoubt(str(outcome)))
                return
            self._not_done(talk, known)
            if isinstance(outcome, Limited):
                talk.end(Again(outcome.seconds))
            else:
                talk.end(NotNow(str(outcome), stops_operation=isinstance(outcome, Permanent)))
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
            self._not_paid(talk)
        talk.told = True
        talk.go_on(answered)

    def _not_done(self, talk: _Talk, attempt: Attempt) -> None:
        """Certainly nothing was done."""
        self.journal.over(replace(attempt, outcome="not_done"))
        self._not_paid(talk)

    @staticmethod
    def _not_paid(talk: _Talk) -> None:
        """A payment that never left, or that Centra refused, does not count as one."""
        paid = talk.packet.payments_sent - talk.packet.is_paying
        talk.packet = replace(talk.packet, payments_sent=paid)

    def _halt(self, halted: Halted, talks: Iterable[_Talk]) -> None:
        self._halted = halted
        for talk in talks:
            talk.end(NotNow(halted.reason))

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


def _call(talk: _Talk) -> Call:
    assert isinstance(talk.wants, Tell)  # noqa: S101 - sorted out before
    return talk.wants.call


def _remembered(talk: _Talk) -> Mapping[str, Any]:
    return talk.wants.remember if isinstance(talk.wants, Tell) else {}


def _made(call: Call, answer: Answer) -> _Made:
    payload = answer.data[centra_operations.load(call.operation).mutations[0]]
    if not answer.errors:
        return _Made(Answered(payload), answer.request_id, answer.http_status)
    # Centra may repeat in its message what was sent, and the message is kept.
    refusal = without_contacts("; ".join(str(error.get("message")) for error in answer.errors))
    path = tuple(str(part) for part in answer.errors[0].get("path") or ())
    return _Made(Answered(payload, refusal, path), answer.request_id, answer.http_status)


def _chunks(talks: Sequence[_Talk], size: int) -> list[list[_Talk]]:
    """Groups that share a request, in order. One of them holds one operation, several times: what Centra refuses before it is
    executed, for want of a permission or because a field is gone, must not hold back others.
    """
    groups: dict[str, list[_Talk]] = {}
    for talk in talks:
        groups.setdefault(str(getattr(talk.wants, "operation", None) or _call(talk).operation), []).append(talk)
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
