"""What a live push would send now, call by call, and what it would leave and why. Nothing is sent or written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from hr_centra_pipeline.core.codes import say
from hr_centra_pipeline.core.kinds import EFFECT_TYPE_OF, OPERATION_OF, signed
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.push import coverage, facts, guards, refusal_contract
from hr_centra_pipeline.push.operations.registry import OPERATIONS, cut
from hr_centra_pipeline.push.packets import Effect, Packet, considered_effects
from hr_centra_pipeline.push.steps import Call
from hr_centra_pipeline.warehouse.database import Connection


@dataclass(frozen=True)
class PlannedPacket:
    """One packet with its effects and its calls in order; what is read right before a call is shown as ``<…>``."""

    packet: Packet
    effects: list[Effect]
    calls: list[Call]

    @property
    def money(self) -> dict[str, Decimal]:
        """Amount by currency; of stock and exchanges the value of the goods."""
        total: dict[str, Decimal] = {}
        for effect in self.effects:
            if effect.currency and effect.amount is not None:
                amount = signed(effect.effect_kind, effect.amount)
                total[effect.currency] = total.get(effect.currency, Decimal(0)) + amount
        return total


@dataclass(frozen=True)
class Preview:
    """Packets in the order of sending, and every effect that would stay, with the reason."""

    packets: list[PlannedPacket]
    staying: list[tuple[Effect, str]]


def preview(connection: Connection, policy: Policy, now: datetime) -> Preview:
    """Group the last plan as a live push would, whatever ``HR_CENTRA_MODE`` says; the policy's modes and guards hold."""
    considered = considered_effects(connection, now)
    effects = [effect for effect in considered if effect.ledger_state == "planned"]
    modes: dict[str, str] = policy.modes.model_dump()
    unfit = refusal_contract.unfit(connection, policy)
    uncovered = coverage.uncovered(connection)

    def reason(effect: Effect) -> str | None:
        mode = modes[EFFECT_TYPE_OF[effect.effect_kind]]
        if mode in ("off", "dry_run"):
            return say("mode", mode)
        return effect.why or unfit.of(effect) or uncovered.get(OPERATION_OF[effect.effect_kind])

    staying = [(effect, why) for effect in effects if (why := reason(effect))]
    due = [effect for effect in effects if not reason(effect)]
    stopped = {
        breach.effect_type: say("guard", breach.detail) for breach in guards.breaches(connection, due, policy, now)
    }
    staying += [(effect, why) for effect in due if (why := stopped.get(EFFECT_TYPE_OF[effect.effect_kind]))]
    result = cut([effect for effect in due if EFFECT_TYPE_OF[effect.effect_kind] not in stopped], policy, now)
    by_key = {effect.effect_key: effect for effect in effects}
    known = facts.load(connection, policy, considered)
    # Nothing personal is in these calls: a packet is stored, and what is read for a call is not known yet.
    packets = [
        PlannedPacket(
            packet, [by_key[key] for key in packet.members], OPERATIONS[packet.operation].calls(packet, known)
        )
        for packet in result.packets
    ]
    return Preview(packets, staying + result.skipped)
