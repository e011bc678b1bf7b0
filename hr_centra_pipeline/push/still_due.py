"""Does today's plan still want what a packet was frozen with? Asked by the sender before every step, of every operation.

A packet may be half done for days: meanwhile its unit is refused, the payer or a limit of the policy changes, money comes back
another way. Only what gives nothing passes unasked, by name: notes, and the steps that take something back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from hr_centra_pipeline.core.codes import say
from hr_centra_pipeline.core.money import rounded
from hr_centra_pipeline.push.facts import Facts
from hr_centra_pipeline.push.packets import Effect, OperationName, Packet, amounts

NOT_DUE = say("not_due")
_GIVES_NOTHING: frozenset[OperationName] = frozenset({"note", "customer_note", "attribute"})
_TAKES_BACK = frozenset({"delete", "undo", "cancel_order", "complete_anyway"})


def stopped(packet: Packet, facts: Facts) -> str | None:
    """Why a packet's next step may not be made; ``None``: it may."""
    if packet.operation in _GIVES_NOTHING or packet.step in _TAKES_BACK or "put_back" in packet.payload:
        return None
    if facts.unwanted_of(packet.members):
        return NOT_DUE
    today = [facts.today[member] for member in packet.members]
    if packet.operation == "exchange" and packet.step == "complete":
        # Its order is made: approval, stock and the like were asked for before that.
        held: str | None = say("given_back_meanwhile") if any(effect.is_given_back for effect in today) else None
    else:
        held = next((why for effect in today if (why := _held(effect))), None)
    compare = _COMPARED.get(packet.operation)
    return held or (compare(packet, today, facts) if compare else None)


def _held(effect: Effect) -> str | None:
    return effect.why or (None if effect.mode == "live" else say("mode", effect.mode))


def _of_credit(packet: Packet, today: Sequence[Effect], facts: Facts) -> str | None:
    """Is it paid by the same payer, and is it the same amount?"""
    payload = packet.payload
    units = [effect for effect in today if effect.shipment_line_id is not None]
    if others := {effect.pays_through for effect in units} - {payload["pays_through"]}:
        return say("paid_by_another", ", ".join(sorted(filter(None, others))) or "nobody")
    # Rebuilt from Centra, it has no parts: its total is the plan's.
    if "voucher" in payload and _value(amounts(today, payload["currency"]), payload["currency"]) != _value(
        payload, payload["currency"]
    ):
        return say("amount_changed")
    late = [
        rider
        for rider in facts.riders_of(payload["order_number"])
        if rider.effect_key not in packet.members and _joins(rider, packet, {effect.return_id for effect in units})
    ]
    return say("fee_or_shipping_came") if late else None


def _value(parts: Mapping[str, Decimal | str], currency: str) -> Decimal:
    """Before tax and voucher: what is under way keeps the share of the voucher that it was sent with."""
    kept = Decimal(parts["kept"] if "kept" in parts else parts["total"])
    return rounded(kept, currency) + rounded(Decimal(parts["voucher"]), currency)


def _joins(rider: Effect, packet: Packet, return_ids: set[str]) -> bool:
    """It was planned since the packet was cut, and would have travelled with it."""
    payload = packet.payload
    return (
        packet.created_at is not None
        and rider.ledger_state == "planned"
        and rider.planned_at > packet.created_at
        and _held(rider) is None
        and not packet.has_origin
        and rider.return_id in return_ids
        and (rider.shipment_id, rider.pays_through) == (payload["shipment_id"], payload["pays_through"])
    )


def _of_exchange(packet: Packet, today: Sequence[Effect], _: Facts) -> str | None:
    """Is it the same article?"""
    frozen = {member: one["sku"] for one in packet.payload["replacements"] for member in one["members"]}
    changed = any(frozen.get(effect.effect_key, effect.sku) != effect.sku for effect in today)
    return say("another_replacement") if changed else None


def _of_stock(packet: Packet, today: Sequence[Effect], _: Facts) -> str | None:
    """Does it go the same way?"""
    way = packet.payload["out_from"], packet.payload["into"]
    changed = any((effect.from_warehouse_id, effect.warehouse_id) != way for effect in today)
    return say("another_warehouse") if changed else None


_COMPARED: Mapping[OperationName, Callable[[Packet, Sequence[Effect], Facts], str | None]] = {
    "credit": _of_credit,
    "exchange": _of_exchange,
    "stock": _of_stock,
}
