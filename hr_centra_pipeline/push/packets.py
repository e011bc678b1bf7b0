"""Which effects travel together. Centra counts mutations, so packets are filled; once sent, a packet is never cut anew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any, Literal

from hr_centra_pipeline.core.keys import packet_key
from hr_centra_pipeline.core.money import rounded
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.push.steps import Trouble
from hr_centra_pipeline.warehouse.database import Connection, run_sql

OperationName = Literal["credit", "exchange", "stock", "note"]

# Money and exchanges are sent first, then stock, then notes.
OPERATION_OF: dict[str, OperationName] = {
    "credit_note": "credit",
    "return_fee": "credit",
    "shipping_refund": "credit",
    "exchange_order": "exchange",
    "inventory_adjustment": "stock",
    "status_update": "note",
}
# How long an operation may be passed over by those before it: what has waited longer goes first, so that nothing starves.
PATIENCE: dict[OperationName, timedelta] = {
    "credit": timedelta(0),
    "exchange": timedelta(0),
    "stock": timedelta(hours=4),
    "note": timedelta(hours=12),
}
PAYING_STEPS = frozenset({"refund", "issue_credit"})
MOST_PAYMENTS = 2  # a payment whose first call left no trace is made once more, then a person decides
_ANY_KEY = "PK" + "A" * 13
_NOTHING = Decimal(0)


@dataclass(frozen=True)
class Effect:
    """One planned effect as the plan describes it; ``waits_for`` says why it may not be sent now."""

    effect_key: str
    effect_kind: str
    group_key: str
    return_id: str
    return_item_id: str | None
    order_number: str
    shipment_id: int | None
    shipment_line_id: int | None
    sku: str | None
    quantity: int
    warehouse_id: int | None
    from_warehouse_id: int | None
    currency: str | None
    amount: Decimal | None
    items: Decimal | None
    tax: Decimal | None
    shipping: Decimal | None
    fee: Decimal | None
    voucher: Decimal | None
    tax_mode: str | None
    tax_added: Decimal | None
    fee_tax_added: Decimal | None
    pays_through: str | None
    text: str | None
    express_code: str | None
    refund_id: str | None
    origin_return_id: int | None
    travels_alone: bool
    is_announcement: bool
    waiting_since: datetime
    mode: str
    waits_for: str | None


@dataclass(frozen=True)
class Packet:
    """Effects that travel in one write (of one or more steps); ``payload`` is all that its calls are made from."""

    key: str
    operation: OperationName
    members: tuple[str, ...]
    payload: dict[str, Any]
    step: str
    state: str = "new"
    centra_id: str | None = None
    message: str | None = None
    payments_sent: int = 0
    trouble: Trouble | None = None  # in doubt for good: a person must look
    real_sent_at: datetime | None = None
    created_at: datetime | None = None
    waiting_since: datetime | None = None

    @property
    def origin_is_foreign(self) -> bool:
        """The replacement is made from somebody else's Return, which stays as it is."""
        return bool(self.payload.get("origin_is_foreign"))

    @property
    def is_begun(self) -> bool:
        """A step of it is done in Centra: what is left is finished, not begun again."""
        return bool(self.step != self.payload.get("first_step", FIRST_STEP[self.operation]))

    def at(self, step: str, **changes: Any) -> Packet:
        """The packet with another step."""
        return replace(self, step=step, **changes)


FIRST_STEP: dict[OperationName, str] = {
    "credit": "create_return",
    "exchange": "create_return",
    "stock": "change_stock",
    "note": "write_note",
}


@dataclass
class Cut:
    """What was cut out of a plan: packets in the order of sending, and (effect, why it stays)."""

    packets: list[Packet] = field(default_factory=list)
    skipped: list[tuple[Effect, str]] = field(default_factory=list)

    def add(
        self,
        operation: OperationName,
        members: Sequence[Effect],
        payload: dict[str, Any],
        *,
        step: str | None = None,
        centra_id: str | None = None,
    ) -> None:
        """Freeze one packet."""
        effect_keys = tuple(effect.effect_key for effect in members)
        since = min(effect.waiting_since for effect in members)
        step = step or FIRST_STEP[operation]
        self.packets.append(
            Packet(
                packet_key(effect_keys), operation, effect_keys, payload, step, centra_id=centra_id, waiting_since=since
            )
        )


def planned_effects(connection: Connection, now: datetime) -> list[Effect]:
    """Every planned effect of the last plan, the earliest trigger first."""
    rows = run_sql(connection, "hr_centra_pipeline.push", "sendable.sql", {"now": now}).fetchall()
    return [Effect(*row) for row in rows]


def cut(effects: Iterable[Effect], policy: Policy, now: datetime) -> Cut:
    """Cut effects into packets, in the order of sending. The same effects, policy and time give the same packets."""
    by_operation: dict[OperationName, list[Effect]] = {name: [] for name in PATIENCE}
    for effect in effects:
        by_operation[OPERATION_OF[effect.effect_kind]].append(effect)
    result = Cut()
    _cut_credits(by_operation["credit"], policy, result)
    _cut_exchanges(by_operation["exchange"], policy, result)
    _cut_stock(by_operation["stock"], policy, result)
    _cut_notes([effect for effect in by_operation["note"] if effect.is_announcement], result)
    notes = [effect for effect in by_operation["note"] if not effect.is_announcement]
    _cut_notes(_without_those_soon_overtaken(notes, result, now), result)
    result.packets.sort(key=_turn)
    return result


def _turn(packet: Packet) -> tuple[bool, datetime]:
    """Announcements of refunds come first; then whoever has waited longest, less the patience of its operation."""
    since = packet.waiting_since or datetime.min.replace(tzinfo=UTC)
    return not packet.payload.get("announces", False), since + PATIENCE[packet.operation]


def _grouped(effects: Iterable[Effect], by: Callable[[Effect], tuple[object, ...]]) -> list[list[Effect]]:
    """Groups in the order of their first effect."""
    groups: dict[tuple[object, ...], list[Effect]] = {}
    for effect in effects:
        groups.setdefault(by(effect), []).append(effect)
    return list(groups.values())


def _filled(effects: Sequence[Effect], fits: Callable[[Sequence[Effect]], bool]) -> list[list[Effect]]:
    """Fill packets up to what fits; an effect that has to travel alone gets one of its own."""
    packets: list[list[Effect]] = []
    is_open = False
    for effect in effects:
        if is_open and not effect.travels_alone and fits([*packets[-1], effect]):
            packets[-1].append(effect)
        else:
            packets.append([effect])
            is_open = not effect.travels_alone
    return packets


# ---------------------------------------------------------------- credits: one Return per shipment and instrument


def _cut_credits(effects: Sequence[Effect], policy: Policy, result: Cut) -> None:
    def same_return(effect: Effect) -> tuple[object, ...]:
        return effect.group_key, effect.order_number, effect.shipment_id, effect.pays_through, effect.currency

    for group in _grouped(effects, same_return):
        units = [effect for effect in group if effect.shipment_line_id is not None]
        riders = [effect for effect in group if effect.shipment_line_id is None]
        if not units:
            result.skipped += [(rider, "waits for a unit that is credited on the same shipment") for rider in riders]
            continue
        # What belongs to the whole return rides with the first unit: a Return needs a line.

        def fits(some: Sequence[Effect], riders: list[Effect] = riders) -> bool:
            return _comment_fits([*riders, *some], policy)

        first, *others = _filled(units, fits)
        for members in ([*riders, *first], *others):
            _add_credit(members, policy, result)


def _add_credit(members: Sequence[Effect], policy: Policy, result: Cut) -> None:
    anyone = members[0]
    problem = None
    if any(effect.items is None for effect in members if effect.shipment_line_id is not None):
        problem = "the plan gives no amount"
    elif not _comment_fits(members, policy):
        problem = f"its marks do not fit into centra.comment_limit = {policy.centra.comment_limit}"
    elif anyone.currency is None or anyone.shipment_id is None or anyone.pays_through is None:
        problem = "the plan names no shipment, currency or payer"
    elif total(members) < 0:
        # A fee never makes an amount negative: the credit goes without it.
        fees = [effect for effect in members if effect.fee and effect.shipment_line_id is None]
        if fees and len(fees) < len(members):
            result.skipped += [
                (fee, "the fee is larger than what is given back: waits for another credit") for fee in fees
            ]
            _add_credit([effect for effect in members if effect not in fees], policy, result)
            return
        problem = "the fee is larger than what is given back"
    if problem or anyone.currency is None:
        result.skipped += [(effect, problem or "") for effect in members]
        return
    payload = {
        "order_number": anyone.order_number,
        "shipment_id": anyone.shipment_id,
        "currency": anyone.currency,
        "pays_through": anyone.pays_through,
        "lines": _lines(members),
        **{name: str(rounded(amount, anyone.currency)) for name, amount in _amounts(members).items()},
        **({"tax_mode": anyone.tax_mode} if anyone.tax_mode else {}),
        "shipping_members": [effect.effect_key for effect in members if effect.shipping],
        "fee_members": [effect.effect_key for effect in members if effect.fee],
        "comment": comment(members, policy.centra.comment_limit),
        "unit_count": sum(effect.shipment_line_id is not None for effect in members),
    }
    result.add("credit", members, payload)


def _amounts(members: Sequence[Effect]) -> dict[str, Decimal]:
    """Shipping, voucher and fee as they are sent, before Centra adds tax (or deducts it, for export); and what comes of it.

    ``kept``: what the Return gives back before that, fixed to the cent; ``total``: with it, an estimate.
    """
    fee_tax = _sum(effect.fee_tax_added for effect in members)
    return {
        "shipping": _sum(effect.shipping for effect in members)
        - _sum(effect.tax_added for effect in members if effect.shipping),
        "voucher": _sum(effect.voucher for effect in members),
        "fee": _sum(effect.fee for effect in members) - fee_tax,
        "fee_tax": fee_tax,
        "kept": total(members) - _sum(effect.tax_added for effect in members) + fee_tax,
        "total": total(members),
    }


def total(members: Sequence[Effect]) -> Decimal:
    """What a Return of these credits has to give back: items + tax + shipping - fee."""
    given = (amount for effect in members for amount in (effect.items, effect.tax, effect.shipping))
    return _sum(given) - _sum(effect.fee for effect in members)


def _sum(amounts: Iterable[Decimal | None]) -> Decimal:
    return sum((amount or _NOTHING for amount in amounts), _NOTHING)


def _lines(members: Iterable[Effect]) -> list[dict[str, Any]]:
    """One row per shipment line, with the units of it that are members."""
    lines: dict[int, dict[str, Any]] = {}
    for effect in members:
        if effect.shipment_line_id is not None:
            line = lines.setdefault(
                effect.shipment_line_id, {"shipment_line_id": effect.shipment_line_id, "quantity": 0, "members": []}
            )
            line["quantity"] += effect.quantity
            line["members"].append(effect.effect_key)
    return list(lines.values())


def comment(members: Sequence[Effect], limit: int, key: str | None = None) -> str:
    """The marks in a Return's comment: packet key, then per return its express code, its id and its members' keys.

    Refund ids come last, where they still fit: nothing is rebuilt from them.
    """
    parts = [key or packet_key(effect.effect_key for effect in members)]
    for return_id, of_return in groupby(sorted(members, key=lambda effect: effect.return_id), lambda e: e.return_id):
        effects = list(of_return)
        code = next((effect.express_code for effect in effects if effect.express_code), None)
        parts += ["RMA", *([code] if code else []), return_id, *(effect.effect_key for effect in effects)]
    text = " ".join(parts)
    refunds = " ".join(dict.fromkeys(f"refund {effect.refund_id}" for effect in members if effect.refund_id))
    return f"{text} {refunds}" if refunds and len(text) + 1 + len(refunds) <= limit else text


def _comment_fits(members: Sequence[Effect], policy: Policy) -> bool:
    return len(comment(members, 0, _ANY_KEY)) <= policy.centra.comment_limit


# ---------------------------------------------------------------- exchanges: one replacement order per Return


def _cut_exchanges(effects: Sequence[Effect], policy: Policy, result: Cut) -> None:
    def same_return(effect: Effect) -> tuple[object, ...]:
        return effect.group_key, effect.order_number, effect.shipment_id, effect.origin_return_id

    for group in _grouped(effects, same_return):
        for members in _filled(group, lambda some: _comment_fits(some, policy)):
            anyone = members[0]
            problem = None
            if any(effect.shipment_line_id is None or effect.sku is None for effect in members):
                problem = "the plan names no shipment line or replacement"
            elif not _comment_fits(members, policy):
                problem = f"its marks do not fit into centra.comment_limit = {policy.centra.comment_limit}"
            if problem or anyone.currency is None:
                result.skipped += [(effect, problem or "the plan names no currency") for effect in members]
                continue
            reserved = policy.exchange_orders
            keys = tuple(effect.effect_key for effect in members)
            payload = {
                "order_number": anyone.order_number,
                "shipment_id": anyone.shipment_id,
                "currency": anyone.currency,
                "lines": _lines(members),
                "replacements": [
                    {"sku": effect.sku, "quantity": effect.quantity, "members": [effect.effect_key]}
                    for effect in members
                ],
                "origins": sorted({(effect.return_id, effect.express_code or "") for effect in members}),
                "new_order_number": reserved_number(keys, 0, reserved.first_number, reserved.last_number),
                "comment": comment(members, policy.centra.comment_limit),
            }
            if anyone.origin_return_id is None:
                result.add("exchange", members, payload)
            else:
                # Released by a person: the Return is there, by somebody else's hand, and only the order is missing.
                payload |= {"origin_is_foreign": True, "first_step": "create_order"}
                origin = str(anyone.origin_return_id)
                result.add("exchange", members, payload, step="create_order", centra_id=origin)


def reserved_number(members: Sequence[str], place: int, first: int, last: int) -> int:
    """The number of a replacement order, in the range that is reserved for us: made of the first effect key.

    ``place`` 0 is the one that is used, unless an order of somebody else has it.
    """
    text = min(members) + (f" {place}" if place else "")
    return first + int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % (last - first + 1)


# ---------------------------------------------------------------- stock: one change per pair of warehouses


def _cut_stock(effects: Sequence[Effect], policy: Policy, result: Cut) -> None:
    most = (policy.centra.description_limit - len(_ANY_KEY)) // 16  # a blank and a short key each

    def same_way(effect: Effect) -> tuple[object, ...]:
        return effect.group_key, effect.from_warehouse_id, effect.warehouse_id

    for group in _grouped(effects, same_way):
        for members in _filled(group, lambda some: len(some) <= most):
            anyone = members[0]
            if (anyone.warehouse_id is None and anyone.from_warehouse_id is None) or any(not e.sku for e in members):
                result.skipped += [(effect, "the plan names no warehouse or SKU") for effect in members]
                continue
            sizes: dict[str, dict[str, Any]] = {}
            for effect in members:
                size = sizes.setdefault(str(effect.sku), {"sku": effect.sku, "quantity": 0, "members": []})
                size["quantity"] += effect.quantity
                size["members"].append(effect.effect_key)
            keys = [effect.effect_key for effect in members]
            payload = {
                "into": anyone.warehouse_id,
                "out_from": anyone.from_warehouse_id,
                "sizes": list(sizes.values()),
                "shipment_lines": {
                    effect.effect_key: effect.shipment_line_id for effect in members if effect.shipment_line_id
                },
                "order_numbers": sorted({effect.order_number for effect in members}),
                "description": " ".join([packet_key(keys), *keys]),
            }
            result.add("stock", members, payload)


# ---------------------------------------------------------------- notes: one write per order and run


def _without_those_soon_overtaken(notes: Sequence[Effect], result: Cut, now: datetime) -> list[Effect]:
    """Leave a note whose order gets its money or replacement in the same push: the next plan tells of that, in one write.

    Only as long as a note may have to wait anyway: a credit that is held up again and again must not hide the return. The
    reconciliation (``status.sql``) knows these words and this time.
    """
    orders = {packet.payload["order_number"] for packet in result.packets if packet.operation in ("credit", "exchange")}
    staying: list[Effect] = []
    for note in notes:
        if note.order_number in orders and note.waiting_since + PATIENCE["note"] > now:
            result.skipped.append((note, "waits for the credit of its order: one note tells of both"))
        else:
            staying.append(note)
    return staying


def _cut_notes(effects: Sequence[Effect], result: Cut) -> None:
    for members in _grouped(effects, lambda effect: (effect.order_number,)):
        lines = [
            {
                "key": effect.effect_key,
                "about": effect.express_code or effect.return_id,
                "text": note_line(effect),
            }
            for effect in members
        ]
        payload: dict[str, Any] = {"order_number": members[0].order_number, "lines": lines}
        if members[0].is_announcement:
            payload["announces"] = True
        result.add("note", members, payload)


def note_line(effect: Effect) -> str:
    """Our own delimited line in an order's internal comment."""
    text = effect.text or ""
    return text if text.startswith("[hr-centra ") else f"[hr-centra {effect.effect_key} {text}]"
