"""The push: what was left in doubt is looked up, then what is planned is sent, packet by packet, each at most once."""

from __future__ import annotations

import logging
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NoReturn

from hr_centra_pipeline.core.codes import code_of, needs_approval, say
from hr_centra_pipeline.core.kinds import OPERATION_OF, OperationName
from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.push import call_journal, coverage, facts, guards, ledger, refusal_contract, still_due
from hr_centra_pipeline.push.approvals import machine_user
from hr_centra_pipeline.push.call_journal import Journal
from hr_centra_pipeline.push.facts import Facts
from hr_centra_pipeline.push.guards import Breach, Gate, Halted
from hr_centra_pipeline.push.operations.registry import OPERATIONS, cut
from hr_centra_pipeline.push.packets import (
    MOST_PAYMENTS,
    Effect,
    Packet,
    considered_effects,
    planned_effects,
)
from hr_centra_pipeline.push.refusal_contract import Unfit
from hr_centra_pipeline.push.steps import (
    Absent,
    Advance,
    Again,
    Held,
    InDoubt,
    LookUpResult,
    NotNow,
    Reverted,
    StepResult,
    Steps,
)
from hr_centra_pipeline.push.wire import Wire
from hr_centra_pipeline.sources.centra import belonging
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.order_api import OrderApiClient
from hr_centra_pipeline.warehouse import lock, place
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.made import makes

_LOG = logging.getLogger(__name__)
_MOST_STEPS = 12  # an exchange that is unwound has six, and one more for each order that Centra split it into
_ROUNDS = 3  # members of a refused or held packet are cut again within the same push
_MOST_TROUBLES = 3  # requests in a row that failed: then Centra is left alone until the next push
_TOLD_EVERY = 10.0  # seconds between two lines about the progress
_LOOK_AHEAD = 20  # times a batch's size: how far a batch is filled from behind a packet that has to wait for its order


@dataclass
class PushReport:
    """What a push did. ``confirmed`` and ``money``: by kind (and currency), of this push alone.

    ``waiting``: why an effect was left, by effect key. ``limited``: requests that Centra answered with 429.
    """

    mode: str
    confirmed: dict[str, int] = field(default_factory=dict)
    money: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    rejected: int = 0
    in_doubt: int = 0
    would_send: int = 0
    waiting: dict[str, str] = field(default_factory=dict)
    breached: list[str] = field(default_factory=list)
    writes: int = 0
    requests: int = 0
    limited: int = 0
    halted: str | None = None

    def metadata(self) -> dict[str, Any]:
        """As metadata of an asset."""
        money = [f"{kind}: {shown(amount, currency)}" for (kind, currency), amount in sorted(self.money.items())]
        return {
            "confirmed": dict(sorted(self.confirmed.items())),
            "money": money,
            "rejected": self.rejected,
            "in_doubt": self.in_doubt,
            "would_send": self.would_send,
            "waiting": dict(Counter(map(str, self.waiting.values())).most_common(20)),
            "breached": self.breached,
            "writes": self.writes,
            "requests": self.requests,
            "limited": self.limited,
            "halted": str(self.halted or ""),
        }


def push(
    warehouse: Warehouse,
    client: CentraClient,
    order_api: OrderApiClient,
    policy: Policy,
    settings: Settings,
    now: datetime,
    *,
    follows_events: bool = False,
) -> PushReport:
    """Send what the last plan says; in dry run say what would be sent. ``follows_events``: one of many pushes of an hour.

    Raises:
        ConfigurationError: live mode against a real Centra, and the policy does not state every guard; or this Centra is not
            the one that the database is about.
        RunFailed: another push has its lease on this database.
    """
    report = PushReport(settings.mode)
    if settings.mode == "live":
        guards.refuse_unguarded(settings, policy)
        belonging.refuse_another(warehouse, client, settings)
        # The run lock is the home's; two homes with one database must not send at once either.
        with lock.held(settings.push_lock_path, "a push"):
            _push(warehouse, client, order_api, policy, settings, now, report, follows_events)
    else:
        _rehearse(warehouse, policy, now, report, follows_events)
    return report


def _rehearse(warehouse: Warehouse, policy: Policy, now: datetime, report: PushReport, follows_events: bool) -> None:
    """Dry run: what would be sent, and which guard would stop it. Nothing leaves."""
    push_id = secrets.token_hex(8)
    with warehouse.transaction() as connection:
        _begin_record(connection, push_id, report.mode, policy, now)
        effects = planned_effects(connection, now)
        report.waiting.update((effect.effect_key, effect.waits_for) for effect in effects if effect.waits_for)
        unfit = refusal_contract.unfit(connection, policy)
        due = [effect for effect in effects if effect.waits_for is None and effect.mode != "off"]
        report.waiting.update((effect.effect_key, why) for effect in due if (why := unfit.of(effect)))
        would = [effect for effect in due if not unfit.of(effect)]
        report.would_send = len(would)
        breached = guards.breaches(connection, would, policy, now, since_the_poll=follows_events) + unfit.breaches(due)
        _keep_breaches(connection, push_id, breached, now)
        report.breached = [breach.detail for breach in breached]
        _end_record(connection, push_id, report)


def _push(
    warehouse: Warehouse,
    client: CentraClient,
    order_api: OrderApiClient,
    policy: Policy,
    settings: Settings,
    now: datetime,
    report: PushReport,
    follows_events: bool,
) -> None:
    push_id = secrets.token_hex(8)
    requests, limited = client.requests, client.limited
    with warehouse.transaction() as connection:
        _begin_record(connection, push_id, report.mode, policy, now)
        before = _confirmed(connection)
        doubtful = call_journal.in_doubt(connection, now)
        effects = considered_effects(connection, now)
        known = facts.load(connection, policy, effects)
        uncovered = coverage.uncovered(connection)
        unfit = refusal_contract.unfit(connection, policy)
        due = [
            effect
            for effect in effects
            if effect.ledger_state == "planned" and effect.mode == "live" and not effect.waits_for
        ]
        fitting = [effect for effect in due if not unfit.of(effect)]
        breached = guards.breaches(connection, fitting, policy, now, since_the_poll=follows_events)
        misfits = unfit.breaches(due)
        _keep_breaches(connection, push_id, [*breached, *misfits], now)
    gate = Gate(settings.stop_path, 60.0 * policy.push_budget_minutes)
    wire = Wire(client, order_api, Journal(warehouse, now), gate, at_once=policy.centra.calls_per_request)
    sender = Sender(warehouse, wire, policy, known, report, now, unfit)
    sender.stop(breached, uncovered)
    report.breached = [breach.detail for breach in [*breached, *misfits]]
    try:
        sender.look_up(doubtful)
        sender.send_planned()
        # What this push itself left in doubt: an answer that was lost is often there to be seen at once.
        with warehouse.transaction() as connection:
            left = [
                packet
                for packet in call_journal.load(connection, "state = 'unknown'")
                if packet.key in sender.worked_on
            ]
        sender.look_up(left)
    except Halted as halted:
        report.halted = halted.reason
        _LOG.warning("push ends: %s", halted)
    report.writes = wire.writes
    report.requests, report.limited = client.requests - requests, client.limited - limited
    with warehouse.transaction() as connection:
        ledger.settle_amounts(connection)
        after = _confirmed(connection)
        report.rejected = _count(connection, "state = 'rejected'")
        report.in_doubt = _count(connection, "state in ('sending', 'unknown')")
        for (kind, currency), (count, amount) in after.items():
            earlier_count, earlier_amount = before.get((kind, currency), (0, Decimal(0)))
            if count > earlier_count:
                report.confirmed[kind] = report.confirmed.get(kind, 0) + count - earlier_count
                if currency:
                    report.money[kind, currency] = amount - earlier_amount
        _end_record(connection, push_id, report)
        mark = place.count_a_write(connection) if wire.writes else None
    if mark:  # what this push sent is known by its log to the last call
        place.write_mark(warehouse.path, mark)


# ---------------------------------------------------------------- the record of a push


@makes("push.pushes", "One row per push: when it began and ended, and what it left.", reads=("push.ledger",))
def _begin_record(connection: Connection, push_id: str, mode: str, policy: Policy, now: datetime) -> None:
    connection.execute(
        """
        insert into push.pushes (push_id, mode, started_by, policy_changed_by, started_at, real_started_at)
        values (?, ?, ?, ?, ?, ?)
        """,
        [push_id, mode, machine_user(), policy.changed_by, now, datetime.now(UTC)],
    )


def _end_record(connection: Connection, push_id: str, report: PushReport) -> None:
    connection.execute(
        """
        update push.pushes set
            real_ended_at = ?, confirmed = ?, rejected = ?, in_doubt = ?, waiting = ?, writes = ?, requests = ?,
            limited = ?, halted = ?, halted_code = ?
        where push_id = ?
        """,
        [
            datetime.now(UTC), sum(report.confirmed.values()), report.rejected, report.in_doubt, len(report.waiting),
            report.writes, report.requests, report.limited, report.halted, code_of(report.halted), push_id,
        ],
    )  # fmt: skip


@makes("push.breaches", "One row per push and guard that stopped an effect type.", reads=("push/guards.sql",))
def _keep_breaches(connection: Connection, push_id: str, breached: Iterable[Breach], now: datetime) -> None:
    for breach in breached:
        _LOG.warning("guard: %s; nothing of it is sent", breach.detail)
        connection.execute(
            """
            insert into push.breaches (
                push_id, effect_type, guard_code, guard, currency, effects, amount, allowed, detail, breached_at
            )
            values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                push_id, breach.effect_type, breach.code, breach.guard, breach.currency, breach.effects, breach.amount,
                breach.allowed, breach.detail, now,
            ],
        )  # fmt: skip


def _confirmed(connection: Connection) -> dict[tuple[str, str | None], tuple[int, Decimal]]:
    rows = connection.execute(
        """
        select effect_kind, currency, count(*), coalesce(sum(amount), 0)
        from push.ledger where state = 'confirmed' and not is_foreign group by all
        """
    ).fetchall()
    return {(kind, currency): (count, amount) for kind, currency, count, amount in rows}


def _count(connection: Connection, condition: str) -> int:
    row = connection.execute(f"select count(*) from push.ledger where {condition}").fetchone()  # noqa: S608 - our own words
    return int(row[0]) if row else 0


# ---------------------------------------------------------------- sending


@dataclass
class Sender:
    """Takes packets through their steps. ``stopped``: why an operation is not sent in this push; ``unfit``: what does not
    fit this Centra.
    """

    warehouse: Warehouse
    wire: Wire
    policy: Policy
    facts: Facts
    report: PushReport
    now: datetime
    unfit: Unfit = field(default_factory=Unfit)
    stopped: dict[OperationName, str] = field(default_factory=dict)
    worked_on: set[str] = field(default_factory=set)  # packets of this push
    held: set[str] = field(default_factory=set)  # packets of which some members had to stay
    _told_at: float = 0.0

    def stop(self, breached: Iterable[Breach], uncovered: Mapping[OperationName, str]) -> None:
        """Operations that may not write: their mode is not live, a guard is breached, a source was not read completely, or
        this Centra does not fit.
        """
        modes: dict[str, str] = self.policy.modes.model_dump()
        self.stopped.update(uncovered)
        breaches = {breach.effect_type: say("guard", breach.detail) for breach in breached}
        for name, operation in OPERATIONS.items():
            effect_type = operation.traits.effect_type
            if effect_type in breaches:
                self.stopped[name] = breaches[effect_type]
            if reason := self.unfit.effect_types.get(effect_type):
                self.stopped[name] = say("guard", reason)
            if modes[effect_type] in ("off", "dry_run"):
                self.stopped[name] = say("mode", modes[effect_type])

    # ---------------------------------------------------------------- what was left in doubt

    def look_up(self, doubtful: Sequence[Packet]) -> None:
        """Ask Centra about packets in doubt, and finish those that are half done."""
        for packets in _batches(doubtful, self._batch_size()):
            looked = self.wire.run(
                packets, lambda packet: OPERATIONS[packet.operation].look_up(packet, self.facts), may_mutate=False
            )
            after = self.wire.journal.settle([(packet, self._settled(packet, result)) for packet, result in looked])
            self._run([packet for packet in after if packet.state == "sending"])

    def _settled(self, packet: Packet, result: LookUpResult | NotNow) -> StepResult:
        """What a look-up comes to. Whatever would write again may have to wait: for its time, its operation, a person."""
        match result:
            case NotNow(reason):
                return self._still_in_doubt(packet, say("not_looked_up", reason))
            case Absent(paid):
                result = self._absent(packet, paid=paid)
            case Advance(step) if packet.trouble == "refused" and step == packet.step:
                return self._still_in_doubt(packet, packet.message or "Centra refused it")
        if isinstance(result, Advance) and (stopped := self._stopped(packet.at(result.step))):
            # What a person has to correct is still to be corrected.
            trouble = packet.trouble if packet.trouble == "differs" else None
            return InDoubt(say("half_done", result.step, stopped), trouble)
        return result

    def _stopped(self, packet: Packet) -> str | None:
        """Why a packet's next step may not be sent."""
        payer = packet.payload.payer if packet.is_paying else ""
        instead = packet.operation == "credit" and packet.has_origin
        return self.stopped.get(packet.operation) or self.unfit.of_payment(payer, instead=instead)

    def _still_in_doubt(self, packet: Packet, message: str) -> InDoubt:
        return InDoubt(message, packet.trouble)

    def _absent(self, packet: Packet, *, paid: bool) -> InDoubt | Reverted | Advance:
        """Nothing of the call is there: too early to say, or it never arrived."""
        sent_at = packet.real_sent_at or datetime.min.replace(tzinfo=UTC)
        settled_at = sent_at + timedelta(minutes=self.policy.settling_minutes)
        if datetime.now(UTC) < settled_at:
            return InDoubt(f"not in Centra yet; counts as absent after {settled_at:%H:%M:%S} UTC")
        if not paid:
            return Reverted(say("no_trace"))
        if packet.payments_sent >= MOST_PAYMENTS + packet.payload.payments_allowed:
            if (rows := packet.payload.issued_by_platform) and not packet.payload.payments_allowed:
                return InDoubt(
                    f"Return {packet.centra_id} is completed, and Centra shows no payment, but Happy Returns says that it was "
                    f"refunded (refund {rows}): ask there first whether the shopper was paid",
                    "unpaid",
                )
            return InDoubt(
                f"Return {packet.centra_id} may have been paid {packet.payments_sent} times, and Centra shows no payment: "
                "look at the payment provider, then refund it in Centra by hand",
                "unpaid",
            )
        return Advance(packet.step)

    # ---------------------------------------------------------------- what is planned

    def send_planned(self) -> None:
        """Group what is due into packets and send them; members of refused or held packets once more."""
        tried: set[str] = set()
        for _ in range(_ROUNDS):
            with self.warehouse.transaction() as connection:
                effects = planned_effects(connection, self.now)
            self._leave_held(effects)
            due = [effect for effect in effects if effect.effect_key not in tried and self._is_due(effect)]
            stopped = {
                effect.effect_key: why
                for effect in due
                if (why := self.stopped.get(_operation(effect)) or self.unfit.of(effect))
            }
            self._leave(list(stopped.items()))
            result = cut([effect for effect in due if effect.effect_key not in stopped], self.policy, self.now)
            self._leave([(effect.effect_key, why) for effect, why in result.skipped])
            again = self._send(result.packets)
            tried.update(member for packet in result.packets for member in packet.members if packet.key not in again)
            tried.update(self.report.waiting)
            if not again:
                return

    def _is_due(self, effect: Effect) -> bool:
        reason = effect.held_by
        if reason:
            self.report.waiting[effect.effect_key] = reason
        return reason is None

    def _leave_held(self, effects: Sequence[Effect]) -> None:
        """Say why effects are held by what only the push knows (sendable_effects.sql, not the plan): their exception needs it."""
        self._leave(
            [
                (effect.effect_key, effect.why or "")
                for effect in effects
                if needs_approval(effect.waits_for_code) or effect.waits_for_code == "charged_back"
            ]
        )

    def _leave(self, reasons: Sequence[tuple[str, str]]) -> None:
        """Say why effects stay planned."""
        if not reasons:
            return
        self.report.waiting.update(reasons)
        with self.warehouse.transaction() as connection:
            for reason in dict.fromkeys(reason for _, reason in reasons):
                ledger.note_reason(connection, [key for key, of in reasons if of == reason], "planned", reason)

    def _send(self, packets: Sequence[Packet]) -> set[str]:
        """Send packets in their order; answers the keys of those whose members may be cut again."""
        again: set[str] = set()
        unannounced: set[str] = set()  # orders whose note about the refund to come could not be written
        left = list(packets)
        while left:
            self._report_progress(len(packets) - len(left), len(packets), left)
            batch, left = _next_batch(left, self._batch_size())
            staying = {packet.key: why for packet in batch if (why := self._why_not(packet, unannounced))}
            self._leave(
                [
                    (member, staying[packet.key])
                    for packet in batch
                    if packet.key in staying
                    for member in packet.members
                ]
            )
            going = [packet for packet in batch if packet.key not in staying]
            for before, after in zip(going, self._run(going), strict=True):
                if len(before.members) > 1 and (after.state in ("disbanded", "rejected") or after.key in self.held):
                    again.add(before.key)
                if after.state not in ("confirmed", "rejected"):
                    unannounced.update(before.payload.announced_orders)
        return again

    def _why_not(self, packet: Packet, unannounced: set[str]) -> str | None:
        if packet.operation == "credit" and not unannounced.isdisjoint(packet.payload.orders):
            return say("waits_for_announcement")
        return self.stopped.get(packet.operation)

    def _batch_size(self) -> int:
        """Packets that go through their steps at the same time; no more than the quotas let pass at once."""
        return max(1, min(self.policy.centra.calls_per_request, self.wire.client.most_at_once()))

    # ---------------------------------------------------------------- packets

    def _run(self, packets: Sequence[Packet]) -> list[Packet]:
        """Take packets through their steps until each ends; every outcome is committed before the next call leaves.

        Raises:
            Halted: the kill switch, the budget, or Centra does not answer; whatever was begun is settled before.
        """
        now_at = {packet.key: packet for packet in packets}
        self.worked_on.update(now_at)
        active = list(packets)
        for _ in range(_MOST_STEPS):
            self._heed_troubles(active)
            if not active:
                return [now_at[packet.key] for packet in packets]
            outcomes = self.wire.run(active, self._next_step)
            self._take_note(outcomes)
            after = self.wire.journal.settle(outcomes)
            now_at.update((packet.key, packet) for packet in after)
            active = [
                packet
                for packet, (_, result) in zip(after, outcomes, strict=True)
                if isinstance(result, Advance | Again)
            ]
            limited = [result.seconds for _, result in outcomes if isinstance(result, Again)]
            if limited:
                self._wait(max(limited), active)
        raise AssertionError(f"packet {active[0].key} never completes at step {active[0].step}")

    def _next_step(self, packet: Packet) -> Steps[StepResult]:
        """A packet's next step, if today's plan still wants it."""
        operation = OPERATIONS[packet.operation]
        steps: Steps[StepResult]
        if reason := still_due.stopped(packet, self.facts):
            steps = operation.stop(packet, self.facts, reason)
        else:
            steps = operation.advance(packet, self.facts)
        return steps

    def _take_note(self, outcomes: Sequence[tuple[Packet, StepResult]]) -> None:
        for packet, result in outcomes:
            if isinstance(result, NotNow):
                self.report.waiting.update(dict.fromkeys(packet.members, result.reason))
                if result.stops_operation:
                    self.stopped[packet.operation] = result.reason
            if isinstance(result, Held):
                self.report.waiting.update(dict.fromkeys(result.members, result.reason))
                self.held.add(packet.key)

    def _heed_troubles(self, active: Sequence[Packet]) -> None:
        if self.wire.halted:
            self._end(self.wire.halted, active)
        if self.wire.troubles >= _MOST_TROUBLES:
            self._end(Halted(say("not_answered", self.wire.troubles)), active)

    def _wait(self, seconds: float, active: Sequence[Packet]) -> None:
        """Centra asked for patience; the kill switch and the budget are heeded meanwhile."""
        if seconds > max(0.0, self.wire.gate.seconds_left):
            self._end(Halted(say("quota_used", f"{seconds / 60:.0f}")), active)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                self.wire.gate.check()
            except Halted as halted:
                self._end(halted, active)
            self.wire.rest(min(left, 1.0))

    def _end(self, halted: Halted, active: Sequence[Packet]) -> NoReturn:
        """End the push; packets that are under way are left as they certainly are: not begun, or half done."""
        self.wire.journal.settle([(packet, NotNow(halted.reason)) for packet in active])
        raise halted

    def _report_progress(self, done: int, whole: int, left: Sequence[Packet]) -> None:
        if time.monotonic() - self._told_at < _TOLD_EVERY:
            return
        self._told_at = time.monotonic()
        seconds = self.wire.client.seconds_for(sum(OPERATIONS[packet.operation].traits.mutations for packet in left))
        ends = datetime.now(UTC) + timedelta(seconds=seconds)
        later = "; the next push carries on" if seconds > self.wire.gate.seconds_left else ""
        _LOG.info(
            "push: %s of %s packets, %s writes; done at about %s UTC%s",
            f"{done:,}", f"{whole:,}", f"{self.wire.writes:,}", f"{ends:%H:%M}", later,
        )  # fmt: skip


def _operation(effect: Effect) -> OperationName:
    return OPERATION_OF[effect.effect_kind]


def _batches(packets: Sequence[Packet], size: int) -> list[list[Packet]]:
    left, found = list(packets), []
    while left:
        batch, left = _next_batch(left, size)
        found.append(batch)
    return found


def _next_batch(left: Sequence[Packet], size: int) -> tuple[list[Packet], list[Packet]]:
    """The next packets that may go at the same time, and the rest.

    Never two of one order or customer, since what one does changes what the other has to see.
    """
    batch: list[Packet] = []
    rest: list[Packet] = []
    busy: set[str] = set()
    for at, packet in enumerate(left):
        if len(batch) == size or at > _LOOK_AHEAD * size:
            rest += left[at:]
            break
        if packet.objects & busy:
            rest.append(packet)
            continue
        batch.append(packet)
        busy |= packet.objects
    return batch, rest
