"""Which effects travel together. Centra counts mutations, so packets are filled; once sent, a packet is never cut anew."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any, Literal

from hr_centra_pipeline.core import reasons
from hr_centra_pipeline.core.keys import packet_key, without_keys
from hr_centra_pipeline.core.money import rounded
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.push.steps import Trouble
from hr_centra_pipeline.warehouse.database import Connection, run_sql

OperationName = Literal["credit", "exchange", "release", "stock", "note", "customer_note", "attribute"]

# Money and exchanges are sent first, then stock, then notes.
OPERATION_OF: dict[str, OperationName] = {
    "credit_note": "credit",
    "return_fee": "credit",
    "shipping_refund": "credit",
    "exchange_order": "exchange",
    "exchange_release": "release",
    "inventory_adjustment": "stock",
    "status_update": "note",
    "customer_note": "customer_note",
    "order_attribute": "attribute",
    "customer_attribute": "attribute",
}
# How long an operation may be passed over by those before it: what has waited longer goes first, so that nothing starves.
PATIENCE: dict[OperationName, timedelta] = {
    "credit": timedelta(0),
    "exchange": timedelta(0),
    "release": timedelta(0),
    "stock": timedelta(hours=4),
    "note": timedelta(hours=12),
    "customer_note": timedelta(hours=12),
    "attribute": timedelta(hours=12),
}
PAYING_STEPS = frozenset({"refund", "issue_credit"})
MOST_PAYMENTS = 2  # a payment whose first call left no trace is made once more, then a person decides
_ANY_KEY = "PK" + "A" * 13
_NOTHING = Decimal(0)


@dataclass(frozen=True)
class Effect:
    """One effect as the last plan describes it; ``waits_for`` says why it may not be sent now.

    ``ledger_state``: planned, or under way (``sending``, ``unknown``); ``planned_at``: since when. ``is_given_back``: the value of
    its unit was given back, other than by a replacement.
    """

    effect_key: str
    effect_kind: str
    group_key: str
    return_id: str
    return_item_id: str | None
    order_number: str
    shipment_id: int | None
    shipment_line_id: int | None
    bundle: str | None
    bundle_shipment_line_id: int | None
    bundle_units: int | None
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
    about: str | None
    customer_id: int | None
    refund_id: str | None
    origin_return_id: int | None
    travels_alone: bool
    is_announcement: bool
    waiting_since: datetime
    mode: str
    waits_for: str | None
    ledger_state: str
    planned_at: datetime
    is_given_back: bool

    @property
    def waits_for_its_time(self) -> bool:
        """It leaves by itself once a time has come."""
        return (self.waits_for or "").startswith("waits until")

    @property
    def names(self) -> dict[str, str | None]:
        """What it is and what it is of, for a list in JSON."""
        return {
            "effect_key": self.effect_key, "effect_kind": self.effect_kind, "return_id": self.return_id,
            "return_item_id": self.return_item_id, "order_number": self.order_number,
        }  # fmt: skip


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
    def has_origin(self) -> bool:
        """It is done on a Return that was there before, ours or somebody else's: that one is not its own, and never deleted."""
        return "first_step" in self.payload

    @property
    def is_begun(self) -> bool:
        """A step of it is done in Centra: what is left is finished, not begun again."""
        first = self.payload.get("first_step", FIRST_STEP[self.operation])
        return bool(self.step != first or self.payload.get("uncompleted"))

    @property
    def objects(self) -> frozenset[str]:
        """What of Centra has to be left alone by others while it is under way. A stock movement changes no order."""
        orders = [self.payload["order_number"]] if "order_number" in self.payload else []
        if self.payload.get("announces"):
            orders += self.payload["order_numbers"]  # their refunds come after it
        customers = [self.payload["customer_id"]] if "customer_id" in self.payload else []
        return frozenset([*(f"order {one}" for one in orders), *(f"customer {one}" for one in customers)])

    def at(self, step: str, **changes: Any) -> Packet:
        """The packet with another step."""
        return replace(self, step=step, **changes)


FIRST_STEP: dict[OperationName, str] = {
    "credit": "create_return",
    "exchange": "create_return",
    "release": "release",
    "stock": "change_stock",
    "note": "write_note",
    "customer_note": "write_note",
    "attribute": "assign",
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


def considered_effects(connection: Connection, now: datetime) -> list[Effect]:
    """Every effect of the last plan that is planned or under way, the earliest trigger first."""
    run_sql(connection, "hr_centra_pipeline.push", "desired.sql")
    rows = run_sql(connection, "hr_centra_pipeline.push", "sendable.sql", {"now": now, **reasons.PARAMETERS}).fetchall()
    return [Effect(*row) for row in rows]


def planned_effects(connection: Connection, now: datetime) -> list[Effect]:
    """Those of them that are planned."""
    return [effect for effect in considered_effects(connection, now) if effect.ledger_state == "planned"]


def cut(effects: Iterable[Effect], policy: Policy, now: datetime) -> Cut:
    """Cut effects into packets, in the order of sending. The same effects, policy and time give the same packets."""
    by_operation: dict[OperationName, list[Effect]] = {name: [] for name in PATIENCE}
    for effect in effects:
        by_operation[OPERATION_OF[effect.effect_kind]].append(effect)
    result = Cut()
    _cut_credits(by_operation["credit"], policy, result)
    _cut_exchanges(by_operation["exchange"], policy, result)
    _cut_releases(by_operation["release"], result)
    _cut_stock(by_operation["stock"], policy, result)
    status = [*by_operation["note"], *by_operation["customer_note"], *by_operation["attribute"]]
    _cut_status([effect for effect in status if effect.is_announcement], policy, result)
    later = [effect for effect in status if not effect.is_announcement]
    _cut_status(_without_those_soon_overtaken(later, result, now), policy, result)
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
    """Fill packets up to what fits; an effect that has to travel alone gets one of its own. A bundle's parts go together."""
    packets: list[list[Effect]] = []
    is_open = False
    for together in _grouped(effects, lambda effect: (effect.bundle or effect.effect_key,)):
        alone = any(effect.travels_alone for effect in together)
        if is_open and not alone and fits([*packets[-1], *together]):
            packets[-1] += together
        else:
            packets.append(together)
            is_open = not alone
    return packets


def _without_broken_bundles(effects: Sequence[Effect], result: Cut) -> list[Effect]:
    """Credits without those of a bundle of which some part may not be sent now: its line is named once, for all of them."""
    there = Counter(effect.bundle for effect in effects if effect.bundle)
    waiting = [effect for effect in effects if effect.bundle and there[effect.bundle] != effect.bundle_units]
    result.skipped += [
        (effect, "waits for the other parts of its bundle, which may not be sent now") for effect in waiting
    ]
    broken = {effect.bundle for effect in waiting}
    return [effect for effect in effects if effect.bundle not in broken]


# ---------------------------------------------------------------- credits: one Return per shipment and instrument


def _cut_credits(effects: Sequence[Effect], policy: Policy, result: Cut) -> None:
    def same_return(effect: Effect) -> tuple[object, ...]:
        return effect.group_key, effect.order_number, effect.shipment_id, effect.pays_through, effect.currency

    _cut_payments([effect for effect in effects if effect.origin_return_id is not None], result)
    made = _without_broken_bundles([effect for effect in effects if effect.origin_return_id is None], result)
    for group in _grouped(made, same_return):
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
        **{name: str(amount) for name, amount in amounts(members, anyone.currency).items()},
        **({"tax_mode": anyone.tax_mode} if anyone.tax_mode else {}),
        "fees": {effect.effect_key: str(effect.fee) for effect in members if effect.fee},
        "shipping_members": [effect.effect_key for effect in members if effect.shipping],
        "fee_members": [effect.effect_key for effect in members if effect.fee],
        "comment": comment(members, policy.centra.comment_limit),
        "unit_count": sum(effect.shipment_line_id is not None for effect in members),
    }
    result.add("credit", members, payload)


def amounts(members: Sequence[Effect], currency: str) -> dict[str, Decimal]:
    """Shipping, voucher and fee as they are sent, before Centra adds tax (or deducts it, for export); and what comes of it.

    ``kept``: what the Return gives back before that, fixed to the cent; ``total``: with it, an estimate. Totals are made of what
    is sent: whatever the plan holds, no cent of theirs comes from rounding twice.
    """

    def whole(amounts: Iterable[Decimal | None]) -> Decimal:
        return rounded(_sum(amounts), currency)

    fee = whole(effect.fee for effect in members)
    fee_tax = whole(effect.fee_tax_added for effect in members)
    shipping = whole(effect.shipping for effect in members)
    goods = whole(amount for effect in members for amount in (effect.items, effect.tax))
    added = whole(effect.tax_added for effect in members)
    return {
        "shipping": shipping - whole(effect.tax_added for effect in members if effect.shipping),
        "voucher": whole(effect.voucher for effect in members),
        "fee": fee - fee_tax,
        "fee_tax": fee_tax,
        "kept": goods + shipping - fee - added + fee_tax,
        "total": goods + shipping - fee,
    }


def total(members: Sequence[Effect]) -> Decimal:
    """What a Return of these credits has to give back: items + tax + shipping - fee."""
    given = (amount for effect in members for amount in (effect.items, effect.tax, effect.shipping))
    return _sum(given) - _sum(effect.fee for effect in members)


def _sum(amounts: Iterable[Decimal | None]) -> Decimal:
    return sum((amount or _NOTHING for amount in amounts), _NOTHING)


def _lines(members: Iterable[Effect]) -> list[dict[str, Any]]:
    """One row per shipment line that is named, with the units of it that are members: of a bundle its parts."""
    lines: dict[int, dict[str, Any]] = {}
    seen: set[str] = set()
    for effect in members:
        named = effect.bundle_shipment_line_id if effect.bundle else effect.shipment_line_id
        if named is not None:
            line = lines.setdefault(named, {"shipment_line_id": named, "quantity": 0, "members": []})
            line["members"].append(effect.effect_key)
            if effect.bundle is None:
                line["quantity"] += effect.quantity
                continue
            line["quantity"] += effect.bundle not in seen
            seen.add(effect.bundle)
            parts = line.setdefault("part_lines", [])
            if effect.shipment_line_id not in parts:
                parts.append(effect.shipment_line_id)
    return list(lines.values())


def comment(members: Sequence[Effect], limit: int, key: str | None = None) -> str:
    """The marks in a Return's comment: packet key, then per return its express code, its id and its members' keys.

    Refund ids come last, where they still fit: nothing is rebuilt from them.
    """
    parts = [key or packet_key(effect.effect_key for effect in members)]
    for return_id, of_return in groupby(sorted(members, key=lambda effect: effect.return_id), lambda e: e.return_id):
        effects = list(of_return)
        code = next((effect.express_code for effect in effects if effect.express_code), None)
        about = [without_keys(part) for part in (code, return_id) if part]
        parts += ["RMA", *about, *(effect.effect_key for effect in effects)]
    text = " ".join(parts)
    refunds = " ".join(
        dict.fromkeys(f"refund {without_keys(effect.refund_id)}" for effect in members if effect.refund_id)
    )
    return f"{text} {refunds}" if refunds and len(text) + 1 + len(refunds) <= limit else text


def _comment_fits(members: Sequence[Effect], policy: Policy) -> bool:
    return len(comment(members, 0, _ANY_KEY)) <= policy.centra.comment_limit


def _cut_payments(effects: Sequence[Effect], result: Cut) -> None:
    """Credits that are paid on the Return of an exchange whose replacement was canceled: one packet for each such Return."""
    for members in _grouped(effects, lambda effect: (effect.origin_return_id, effect.pays_through, effect.currency)):
        anyone = members[0]
        if anyone.currency is None or anyone.pays_through is None or any(effect.items is None for effect in members):
            result.skipped += [(effect, "the plan names no currency, payer or amount") for effect in members]
            continue
        step = {"centra": "refund", "gift_card": "issue_credit", "elsewhere": "complete"}[anyone.pays_through]
        payload = {
            "order_number": anyone.order_number,
            "shipment_id": anyone.shipment_id,
            "currency": anyone.currency,
            "pays_through": anyone.pays_through,
            "lines": _lines(members),
            **{name: str(amount) for name, amount in amounts(members, anyone.currency).items()},
            **({"tax_mode": anyone.tax_mode} if anyone.tax_mode else {}),
            "first_step": step,
        }
        result.add("credit", members, payload, step=step, centra_id=str(anyone.origin_return_id))


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
                "voucher": str(rounded(sum((e.voucher or _NOTHING for e in members), _NOTHING), anyone.currency)),
                "new_order_number": reserved_number(keys, 0, reserved.first_number, reserved.last_number),
                "comment": comment(members, policy.centra.comment_limit),
                "order_comment": order_comment(members, policy.centra.comment_limit),
            }
            if anyone.origin_return_id is None:
                result.add("exchange", members, payload)
            else:
                # The Return is there, by somebody else or from the first time, and only the order is missing.
                payload["first_step"] = "create_order"
                origin = str(anyone.origin_return_id)
                result.add("exchange", members, payload, step="create_order", centra_id=origin)


def order_comment(members: Sequence[Effect], limit: int) -> str:
    """The internal comment of a replacement: the order, returns and express codes that it is for, in words; then the marks.

    How long it may be is not documented: as long as a Return's. What does not fit is left out of the words, never of the
    marks, by which the order is found again.
    """
    keys = [effect.effect_key for effect in members]
    marks = "\n".join([packet_key(keys), *keys])
    origins = dict.fromkeys(
        " ".join(without_keys(part) for part in (effect.express_code, effect.return_id) if part) for effect in members
    )
    words = f"Replacement for order {members[0].order_number}"
    for about in (f"{words}, Happy Returns {', '.join(origins)}", words):
        if len(about) + 1 + len(marks) <= limit:
            return f"{about}\n{marks}"
    return marks


def _cut_releases(effects: Sequence[Effect], result: Cut) -> None:
    """One packet for each shipment of a replacement; ``text`` is the mark that the policy asks for."""
    for members in _grouped(effects, lambda effect: (effect.order_number, effect.shipment_id, effect.text)):
        anyone = members[0]
        payload = {"order_number": anyone.order_number, "shipment_id": anyone.shipment_id, "release": anyone.text}
        result.add("release", members, payload)


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


# ---------------------------------------------------------------- status: one write per order or customer and run


def _without_those_soon_overtaken(status: Sequence[Effect], result: Cut, now: datetime) -> list[Effect]:
    """Leave a status whose order gets its money or replacement in the same push: the next plan reports both, in one write.

    Only as long as a status may have to wait anyway: a credit that is held up again and again must not hide the return. The
    reconciliation (``status.sql``) knows these words and this time.
    """
    orders = {packet.payload["order_number"] for packet in result.packets if packet.operation in ("credit", "exchange")}
    going: list[Effect] = []
    for effect in status:
        patience = PATIENCE[OPERATION_OF[effect.effect_kind]]
        if effect.order_number in orders and effect.waiting_since + patience > now:
            result.skipped.append((effect, "waits for the credit of its order: one note reports both"))
        else:
            going.append(effect)
    return going


def _cut_status(effects: Sequence[Effect], policy: Policy, result: Cut) -> None:
    def same_object(effect: Effect) -> tuple[object, ...]:
        return effect.effect_kind, effect.group_key

    for group in _grouped(effects, same_object):
        for members in _filled(group, lambda _: True):
            anyone = members[0]
            payload: dict[str, Any] = {"order_numbers": sorted({effect.order_number for effect in members})}
            if anyone.effect_kind in ("status_update", "order_attribute"):
                payload["order_number"] = anyone.order_number
            else:
                payload["customer_id"] = anyone.customer_id
            if OPERATION_OF[anyone.effect_kind] == "attribute":
                # One value for the whole object: the plan has one effect of it.
                type_, element = policy.status.attribute_type, policy.status.attribute_element
                payload |= {"type": type_, "element": element, "value": anyone.text}
            else:
                payload["lines"] = [
                    {"key": effect.effect_key, "about": effect.about, "text": effect.text} for effect in members
                ]
            if anyone.is_announcement:
                payload["announces"] = True
            result.add(OPERATION_OF[anyone.effect_kind], members, payload)
