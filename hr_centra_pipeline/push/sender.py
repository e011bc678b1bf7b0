"""The push: what was left in doubt is looked up, then what is planned is sent, packet by packet, each at most once."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import ModuleType
from typing import Any

from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.push import credit, exchange, journal, ledger, note, stock
from hr_centra_pipeline.push.guards import Gate, Halted, breached_caps, refuse_beyond_loopback
from hr_centra_pipeline.push.journal import Journal
from hr_centra_pipeline.push.packets import Effect, OperationName, Packet, cut, planned_effects
from hr_centra_pipeline.push.results import Absent, InDoubt, LookUpResult, NotNow, StepResult, Undone
from hr_centra_pipeline.push.wire import Wire
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.errors import Permanent, Transient, UnknownOutcome
from hr_centra_pipeline.sources.centra.order_api import OrderApiClient
from hr_centra_pipeline.warehouse.database import Connection, Warehouse

_LOG = logging.getLogger(__name__)
OPERATIONS: dict[OperationName, ModuleType] = {"credit": credit, "exchange": exchange, "stock": stock, "note": note}
_MOST_STEPS = 12  # an exchange that is unwound has six
_ROUNDS = 3  # members of a refused packet are cut again within the same push
_MOST_PAYMENTS = 2  # a payment whose first call left no trace is made once more, then a person decides


@dataclass
class PushReport:
    """What a push did. ``confirmed`` and ``money``: by kind (and currency), of this push alone.

    ``waiting``: why an effect was left, by effect key.
    """

    mode: str
    confirmed: dict[str, int] = field(default_factory=dict)
    money: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    rejected: int = 0
    in_doubt: int = 0
    would_send: int = 0
    waiting: dict[str, str] = field(default_factory=dict)
    writes: int = 0
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
            "waiting": dict(Counter(self.waiting.values()).most_common(20)),
            "writes": self.writes,
            "halted": self.halted or "",
        }


def push(
    warehouse: Warehouse,
    client: CentraClient,
    order_api: OrderApiClient,
    policy: Policy,
    settings: Settings,
    now: datetime,
) -> PushReport:
    """Send what the last plan says; in dry run say what would be sent.

    Raises:
        ConfigurationError: live mode against a Centra that is not on this machine.
    """
    report = PushReport(settings.mode)
    if settings.mode != "live":
        with warehouse.transaction() as connection:
            effects = planned_effects(connection, now)
        report.waiting.update((effect.effect_key, effect.waits_for) for effect in effects if effect.waits_for)
        report.would_send = sum(effect.waits_for is None and effect.mode != "off" for effect in effects)
        return report
    refuse_beyond_loopback(settings)
    with warehouse.transaction() as connection:
        before = _confirmed(connection)
        doubtful = journal.in_doubt(connection, now)
    sender = _Sender(
        Wire(
            client,
            order_api,
            warehouse,
            Journal(warehouse, now),
            Gate(settings.stop_path, 60.0 * policy.push_budget_minutes),
        ),
        policy,
        report,
    )
    try:
        sender.look_up_all(doubtful)
        sender.send_planned(warehouse, now)
    except Halted as halted:
        report.halted = str(halted)
        _LOG.warning("push ends: %s", halted)
    report.writes = sender.wire.writes
    with warehouse.transaction() as connection:
        after = _confirmed(connection)
        report.rejected = _count(connection, "state = 'rejected'")
        report.in_doubt = _count(connection, "state in ('sending', 'unknown')")
    for (kind, currency), (count, amount) in after.items():
        earlier_count, earlier_amount = before.get((kind, currency), (0, Decimal(0)))
        if count > earlier_count:
            report.confirmed[kind] = report.confirmed.get(kind, 0) + count - earlier_count
            if currency:
                report.money[kind, currency] = amount - earlier_amount
    return report


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


@dataclass
class _Sender:
    wire: Wire
    policy: Policy
    report: PushReport
    stopped: dict[OperationName, str] = field(default_factory=dict)

    # ---------------------------------------------------------------- what was left in doubt

    def look_up_all(self, doubtful: list[Packet]) -> None:
        """Ask Centra about every packet in doubt, and finish those that are half done."""
        for packet in doubtful:
            try:
                result: LookUpResult = OPERATIONS[packet.operation].look_up(packet, self.wire)
            except (Transient, Permanent, UnknownOutcome) as error:
                result = InDoubt(f"could not be looked up: {error}")
            settled = self._absent(packet, result) if isinstance(result, Absent) else result
            if settled is None:
                continue
            after = self.wire.journal.settle(packet, settled)
            if after.state == "sending":
                self._run(after)

    def _absent(self, packet: Packet, absent: Absent) -> InDoubt | Undone | None:
        """Nothing of the call is there: too early to say, or it never arrived."""
        settled_at = (packet.real_sent_at or datetime.min.replace(tzinfo=UTC)) + timedelta(
            minutes=self.policy.settling_minutes
        )
        if datetime.now(UTC) < settled_at:
            return InDoubt(f"not in Centra yet; counts as absent after {settled_at:%H:%M} UTC")
        if not absent.paid:
            return Undone("its call left no trace in Centra")
        if packet.payments_sent >= _MOST_PAYMENTS:
            return InDoubt(
                f"Return {packet.centra_id} was to be paid {packet.payments_sent} times, and Centra shows no payment: "
                "look at the payment provider, then refund it in Centra by hand",
                needs_person=True,
            )
        self._run(self.wire.journal.resume(packet))
        return None

    # ---------------------------------------------------------------- what is planned

    def send_planned(self, warehouse: Warehouse, now: datetime) -> None:
        """Cut what is due into packets and send them; refused packets' other members once more."""
        tried: set[str] = set()
        for _ in range(_ROUNDS):
            with warehouse.transaction() as connection:
                effects = planned_effects(connection, now)
            due = [effect for effect in effects if effect.effect_key not in tried and self._is_due(effect)]
            result = cut(due, self.policy)
            for effect, why in result.skipped:
                self.report.waiting[effect.effect_key] = why
                tried.add(effect.effect_key)
            breached = breached_caps(result.packets, self.policy)
            self._note(warehouse, [(effect.effect_key, why) for effect, why in result.skipped])
            if not result.packets:
                return
            refused = False
            for number, packet in enumerate(result.packets, start=1):
                reason = breached.get(packet.operation) or self.stopped.get(packet.operation)
                if reason:
                    self.report.waiting.update(dict.fromkeys(packet.members, reason))
                    self._note(warehouse, [(key, reason) for key in packet.members])
                    tried.update(packet.members)
                    continue
                after = self._run(packet)
                if after.state in ("dissolved", "rejected"):
                    refused = True
                if after.state not in ("dissolved", "rejected") or len(packet.members) == 1:
                    tried.update(packet.members)
                if number % 20 == 0:
                    _LOG.info("push: %s of %s packets, %s writes", number, len(result.packets), self.wire.writes)
            if not refused:
                return

    def _is_due(self, effect: Effect) -> bool:
        if effect.mode != "live":
            self.report.waiting[effect.effect_key] = f"mode {effect.mode}"
            return False
        if effect.waits_for:
            self.report.waiting[effect.effect_key] = effect.waits_for
            return False
        return True

    def _note(self, warehouse: Warehouse, reasons: list[tuple[str, str]]) -> None:
        if not reasons:
            return
        with warehouse.transaction() as connection:
            for reason in dict.fromkeys(reason for _, reason in reasons):
                keys = [key for key, of in reasons if of == reason]
                ledger.note_reason(connection, keys, "planned", reason)

    # ---------------------------------------------------------------- one packet

    def _run(self, packet: Packet) -> Packet:
        """Do a packet's steps until it ends; each outcome is committed before the next call leaves."""
        for _ in range(_MOST_STEPS):
            halted: Halted | None = None
            try:
                result: StepResult = OPERATIONS[packet.operation].advance(packet, self.wire)
            except UnknownOutcome as error:
                result = InDoubt(str(error))
            except Transient as error:
                result = NotNow(str(error))
            except Permanent as error:
                result = NotNow(str(error), stops_operation=True)
            except Halted as error:
                result, halted = NotNow(str(error)), error
            packet = self.wire.journal.settle(self.wire.begun(packet), result)
            self.wire.forget(packet)
            if halted:
                raise halted
            if isinstance(result, NotNow):
                self.report.waiting.update(dict.fromkeys(packet.members, result.reason))
                if result.stops_operation:
                    self.stopped[packet.operation] = result.reason
                return packet
            if packet.state != "sending":
                return packet
        raise AssertionError(f"packet {packet.key} does not come to an end at step {packet.step}")
