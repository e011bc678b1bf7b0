"""An exchange: the Return without refund, then the replacement order at zero price, then the Return is completed.

Before it is completed the order is read back: where it is not what was meant, everything waits for a person. Refused or out
of stock half way, it is unwound: our own unshipped orders are cancelled, our own unpaid Return is deleted.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict

from hr_centra_pipeline.core.codes import say
from hr_centra_pipeline.core.keys import PACKET_KEY, effect_keys_in, packet_key, without_keys
from hr_centra_pipeline.core.kinds import Step
from hr_centra_pipeline.core.money import rounded
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.push import returns
from hr_centra_pipeline.push.facts import Facts
from hr_centra_pipeline.push.operations.grouping import Grouping, filled, grouped, summed
from hr_centra_pipeline.push.operations.operation import Traits
from hr_centra_pipeline.push.packets import Effect, Packet
from hr_centra_pipeline.push.returns import ReturnPayload
from hr_centra_pipeline.push.states import StepTable, then
from hr_centra_pipeline.push.steps import (
    Absent,
    Advance,
    Call,
    Finished,
    Held,
    InDoubt,
    LookUpResult,
    Mutation,
    NotNow,
    Query,
    Refused,
    Reverted,
    StepResult,
    Steps,
    Trouble,
)
from hr_centra_pipeline.sources.centra import order_api

_LOG = logging.getLogger(__name__)
_UNWINDING = frozenset({"cancel_order", "delete", "undo"})
_REFUSED = say("not_wanted")
_UNREAD_RECIPIENT = {
    "customerId": "<customer>", "deliveryAddress": "<address>", "invoiceAddress": "<address>", "marketId": "<market>",
    "pricelistId": "<price list>",
}  # fmt: skip
_NUMBERS = 5  # of a replacement: the first one that is free; more than one are taken only by orders of another user

STEPS = StepTable(
    "exchange",
    first="create_return",
    rules={
        "create_return": then("create_order", "complete", "done"),
        "create_order": then("complete", "cancel_order", "delete", "done"),
        # Its order is made: approval, stock and the like were asked for before that. Canceled by somebody, it is ordered again
        # when a person says so (``ledger.reopen_gone``).
        "complete": then("cancel_order", "create_order", "done", is_made=True),
        "cancel_order": then("complete_anyway", "undo", "done", takes_back=True),
        # In doubt, and its order is there: it is completed as any other.
        "complete_anyway": then("complete", "create_order", "done", takes_back=True),
        "delete": then("done", takes_back=True),
        "undo": then("done", takes_back=True),
    },
    resumes=frozenset({"create_order", "cancel_order"}),
)


class Replacement(BaseModel):
    """One article of the replacement order, and whose it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sku: str
    quantity: int
    members: tuple[str, ...]


class ExchangePayload(ReturnPayload):
    """What an exchange is frozen with, and what its steps learn.

    ``new_order_number``: in the range that is reserved for us. Learned: ``tried_numbers`` numbers that a call has left with;
    ``order_numbers`` those that Centra made; ``refused`` members because of which it is taken back; ``differs`` in what the
    replacement is not what was meant; ``accepted`` what of it a person has let pass.
    """

    STEPS: ClassVar[StepTable] = STEPS
    RETIRED: ClassVar[frozenset[str]] = frozenset({"origins", "origin_is_foreign"})

    replacements: tuple[Replacement, ...]
    new_order_number: int
    order_comment: str = ""

    tried_numbers: tuple[int, ...] = ()
    order_numbers: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()

    def allowed(self, trouble: Trouble | None) -> Self:
        """A person accepts the replacement as it is, or lets a refused step be tried once more."""
        return self.joined({"accepted": self.differs}) if trouble == "differs" else super().allowed(trouble)


ExchangePacket = Packet[ExchangePayload]


class Exchange:
    """One replacement order per Return."""

    traits = Traits(
        name="exchange",
        payload=ExchangePayload,
        patience=timedelta(0),
        mutations=2,
        seen_in=("orders", "shipments", "returns", "exports"),
    )

    def cut(self, effects: Sequence[Effect], policy: Policy, now: datetime, result: Grouping) -> None:
        """Group exchanges: one replacement order per Return."""
        _cut(effects, policy, result)

    def calls(self, packet: ExchangePacket, facts: Facts) -> list[Call]:
        """Every writing call in order; ``<…>``: read right before and never stored, or made by Centra."""
        number = packet.payload.new_order_number
        if packet.has_origin:
            return [order_call(packet, number, packet.centra_id or "<return>", _UNREAD_RECIPIENT, facts)]
        return [
            returns.create(packet),
            order_call(packet, number, "<return>", _UNREAD_RECIPIENT, facts),
            returns.complete("<return>", sends_email=facts.emails.completion),
        ]

    def advance(self, packet: ExchangePacket, facts: Facts) -> Steps[StepResult]:
        """Do one step; stock and approval are looked at again before each that makes something."""
        match packet.step:
            case "create_return":
                return (yield from _create_return(packet, facts))
            case "create_order":
                return (yield from _create_order(packet, facts))
            case "cancel_order":
                return (yield from _cancel_order(packet, facts))
            case "complete":
                if doubt := (yield from _not_as_meant(packet, facts)):
                    return doubt
                if packet.has_origin:
                    return _finished(packet)  # its Return is completed already, or another user's to complete
        if packet.step in ("complete", "complete_anyway"):
            return (yield from _complete(packet, facts))
        return (yield from _delete_return(packet, facts))

    def look_up(self, packet: ExchangePacket, facts: Facts) -> Steps[LookUpResult]:
        """How far an exchange in doubt came: its Return on the order, and its replacement."""
        return _look_up(packet, facts)

    def changed(self, packet: ExchangePacket, today: Sequence[Effect], facts: Facts) -> str | None:
        """Is it the same article?"""
        frozen = {member: one.sku for one in packet.payload.replacements for member in one.members}
        changed = any(frozen.get(effect.effect_key, effect.sku) != effect.sku for effect in today)
        return say("another_replacement") if changed else None

    def stop(self, packet: ExchangePacket, facts: Facts, reason: str) -> Steps[StepResult]:
        """Give the packet up because today's plan no longer wants it: cancel the order, take the Return back and plan again."""
        if packet.step == "create_return":
            return NotNow(reason)
        if packet.step == "create_order" and (problem := (yield from _problem_with_return(packet, facts))):
            return problem
        if unwanted := facts.unwanted_of(packet.members):
            return Advance("cancel_order", message=_REFUSED, remember={"refused": list(unwanted)})
        return Advance("cancel_order", message=reason)


# ---------------------------------------------------------------- grouping


def _cut(effects: Sequence[Effect], policy: Policy, result: Grouping) -> None:
    def same_return(effect: Effect) -> tuple[object, ...]:
        return effect.group_key, effect.order_number, effect.shipment_id, effect.origin_return_id

    for group in grouped(effects, same_return):
        for members in filled(group, lambda some: returns.comment_fits(some, policy)):
            anyone = members[0]
            problem = None
            if any(effect.shipment_line_id is None or effect.sku is None for effect in members):
                problem = say("plan_incomplete", "shipment line or replacement")
            elif not returns.comment_fits(members, policy):
                problem = say("marks_too_long", policy.centra.comment_limit)
            if problem or anyone.currency is None:
                result.skipped += [(effect, problem or say("plan_incomplete", "currency")) for effect in members]
                continue
            reserved = policy.exchange_orders
            keys = tuple(effect.effect_key for effect in members)
            payload: dict[str, Any] = {
                "order_number": anyone.order_number,
                "shipment_id": anyone.shipment_id,
                "currency": anyone.currency,
                "lines": returns.lines_of(members),
                "replacements": [
                    {"sku": effect.sku, "quantity": effect.quantity, "members": [effect.effect_key]}
                    for effect in members
                ],
                "voucher": rounded(summed(effect.voucher for effect in members), anyone.currency),
                "new_order_number": reserved_number(keys, 0, reserved.first_number, reserved.last_number),
                "comment": returns.comment(members, policy.centra.comment_limit),
                "order_comment": order_comment(members, policy.centra.comment_limit),
            }
            if anyone.origin_return_id is None:
                result.add("exchange", members, ExchangePayload.model_validate(payload))
            else:
                # The Return is there, by another user or from the first time, and only the order is missing.
                frozen = ExchangePayload.model_validate({**payload, "first_step": "create_order"})
                origin = str(anyone.origin_return_id)
                result.add("exchange", members, frozen, step="create_order", centra_id=origin)


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


def reserved_number(members: Sequence[str], place: int, first: int, last: int) -> int:
    """The number of a replacement order, in the range that is reserved for us: made of the first effect key.

    ``place`` 0 is the one that is used, unless an order of another user has it.
    """
    text = min(members) + (f" {place}" if place else "")
    return first + int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % (last - first + 1)


# ---------------------------------------------------------------- rebuilding


def rebuilt(row: Mapping[str, Any], members: Sequence[str]) -> ExchangePayload:
    """The payload of our Return that is half done in Centra and whose packet is lost (a row of ``half_done.sql``)."""
    number = reserved_number(members, 0, row["first_number"], row["last_number"])
    payload = {
        "order_number": row["order_number"],
        "shipment_id": row["shipment_id"],
        "currency": row["currency"],
        "lines": returns.lines_found(row),
        "replacements": [
            {"sku": one["sku"], "quantity": one["quantity"], "members": [one["effect_key"]]}
            for one in row["replacements"]
        ],
        "new_order_number": int(row["replacement_number"] or number),
        # Made, and canceled since: not ordered again by itself.
        "tried_numbers": row["canceled_numbers"],
        "comment": "",
    }
    return ExchangePayload.model_validate(payload)


def resumed_at(row: Mapping[str, Any]) -> Step:
    """The step at which that packet goes on."""
    return "create_order" if row["is_desired"] else "cancel_order"


# ---------------------------------------------------------------- calls


def order_call(
    packet: ExchangePacket, number: int, return_id: int | str, recipient: dict[str, Any], facts: Facts
) -> Call:
    """``POST /order``: zero price and no shipping cost, internal, our number, made from the Return.

    Its currency follows from the price list: there is no such key. ``recipient``: addresses, customer, market, price list.
    """
    payload = packet.payload
    body = {
        "orderNumber": number,
        "createdFromOrigin": {"type": "return", "id": return_id},
        "internalOrder": True,
        "applyVouchers": False,  # true by default: a voucher that is running would be used up
        "adjustStock": True,
        "forceCreate": False,
        "sendEmail": facts.emails.replacement,
        "shippingValue": 0,  # without it Centra charges the country's default shipping cost
        "products": [
            {"sku": replacement.sku, "qty": replacement.quantity, "unitPrice": 0, "originalPrice": 0}
            for replacement in payload.replacements
        ],
        # Frozen when the packet was cut; one that was rebuilt from Centra has the marks alone.
        "internalComment": payload.order_comment or "\n".join([packet.key, *packet.members]),
        **recipient,
    }
    return Call(order_api.CREATE_ORDER, body)


# ---------------------------------------------------------------- doing


def _complete(packet: ExchangePacket, facts: Facts) -> Steps[StepResult]:
    return_id = int(packet.centra_id or 0)
    answer = yield Mutation(returns.complete(return_id, sends_email=facts.emails.completion))
    if answer.refusal:
        order = yield from returns.look(packet.payload.order_number, facts)
        found = returns.by_id(order, return_id)
        if not (found and found.is_completed):
            return InDoubt(f"{packet.step} was refused: {answer.refusal}", "refused")
    return _finished(packet)


def _delete_return(packet: ExchangePacket, facts: Facts) -> Steps[StepResult]:
    """Take our own Return back, unless somebody refunds it: a refund that is under way may still fail."""
    if outcome := (yield from _why_not_to_delete(packet, facts)):
        return outcome
    answer = yield Mutation(returns.delete(int(packet.centra_id or 0)))
    if answer.refusal:
        refused = InDoubt(f"{packet.step} was refused: {answer.refusal}", "refused")
        return (yield from _why_not_to_delete(packet, facts)) or refused
    return _deleted(packet)


def _why_not_to_delete(packet: ExchangePacket, facts: Facts) -> Steps[StepResult | None]:
    return_id = int(packet.centra_id or 0)
    order = yield from returns.look(packet.payload.order_number, facts)
    if order is None:
        return NotNow(say("not_shown", "order"))
    found = returns.by_id(order, return_id)
    if found is None:
        return _deleted(packet)
    if found.is_being_refunded:
        return NotNow(say("being_refunded", return_id))
    return _paid_by_hand(return_id) if found.is_refunded else None


def _create_return(packet: ExchangePacket, facts: Facts) -> Steps[StepResult]:
    if short := (yield from _out_of_stock(packet)):
        return Held(short.members, short.reason)  # the others go without them
    order = yield from returns.look(packet.payload.order_number, facts)
    if order is None:
        return NotNow(say("not_shown", "order"))
    if problem := returns.problem_with(packet, order, facts):
        return problem
    answer = yield Mutation(returns.create(packet))
    if answer.refusal:
        return returns.creation_refused(packet, answer)
    return Advance("create_order", str(answer.payload["return"]["id"]))


def _create_order(packet: ExchangePacket, facts: Facts) -> Steps[StepResult]:
    if problem := (yield from _problem_with_return(packet, facts)):
        return problem
    known = yield from _ours(packet, facts)
    if made := known.made_by(packet):
        return Advance("complete", remember={"order_numbers": made})
    number = known.free_number(packet)
    if isinstance(number, InDoubt):
        return number
    if short := (yield from _out_of_stock(packet)):
        return _taken_back_for(packet, short)
    replaced = yield from _order_to_replace(packet)
    if replaced is None:
        return _taken_back(packet, "delete", say("no_address"))
    tried = sorted({*packet.payload.tried_numbers, number})
    remember = {"new_order_number": number, "tried_numbers": tried}
    answer = yield Mutation(
        order_call(packet, number, int(packet.centra_id or 0), _recipient(replaced), facts), remember=remember
    )
    match answer.code:
        case None if not answer.refusal:
            return Advance("complete", remember={"order_numbers": answer.payload["orders"]})
        case order_api.NUMBER_IS_TAKEN:
            # Taken since we looked: by our own call that was thought lost, or by someone in our range.
            if made := (yield from _ours(packet, facts)).made_by(packet):
                return Advance("complete", remember={"order_numbers": made})
            return InDoubt(f"order number {number} is taken by an order that is not ours", "number_taken")
        case order_api.OUT_OF_STOCK:
            short = (yield from _out_of_stock(packet)) or _Short((), say("out_of_stock", answer.refusal))
            return _taken_back_for(packet, short)
        case _:
            return _taken_back(packet, "delete", answer.refusal)


def _cancel_order(packet: ExchangePacket, facts: Facts) -> Steps[StepResult]:
    """One order after another: Centra may have split the replacement."""
    known = yield from _ours(packet, facts)
    if not known.live:
        return _taken_back(packet, "undo")
    if known.unclear:
        return NotNow(known.unclear)
    answer = yield Mutation(_cancel(packet, known.live[0].order_id, facts))
    # Centra cancels no order that was shipped: then the customer has the replacement, and completing is true.
    if answer.refusal:
        too_late = f"{packet.message}; too late: {answer.refusal}"
        return _finished(packet) if packet.has_origin else Advance("complete_anyway", message=too_late)
    return Advance("cancel_order") if len(known.live) > 1 else _taken_back(packet, "undo")


def _taken_back(
    packet: ExchangePacket, step: Literal["delete", "undo"], message: str | None = None
) -> Advance | Refused | Reverted:
    """Go on to delete our Return; one that was there before stays."""
    if packet.has_origin:
        return _deleted(packet.at(step, message=message or packet.message))
    return Advance(step, message=message)


def _taken_back_for(packet: ExchangePacket, short: _Short) -> Advance | Refused:
    """The same, since the replacements of some members are out of stock: those are refused, the others are planned again."""
    if packet.has_origin:
        return Refused(short.reason, short.members)
    return Advance("delete", message=short.reason, remember={"refused": list(short.members)})


def _cancel(packet: ExchangePacket, order_id: str, facts: Facts) -> Call:
    asked = {
        "stockAction": {"releaseItemsBackToWarehouse": True},
        "emailOptions": {"sendEmail": facts.emails.cancellation},
        "comment": packet.key,
    }
    return Call("CancelOrder", {"id": order_id, "input": asked})


def _problem_with_return(packet: ExchangePacket, facts: Facts) -> Steps[StepResult | None]:
    """Why nothing may be ordered, by what its Return shows right now: somebody has refunded it, or it is gone."""
    return_id = int(packet.centra_id or 0)
    order = yield from returns.look(packet.payload.order_number, facts)
    found = returns.by_id(order, return_id)
    if found is None:
        gone = say("origin_gone", return_id)
        return InDoubt(gone) if packet.is_begun or packet.state != "new" else Held(packet.members, gone)
    if None in found.refunds:
        return NotNow(say("payment_of_origin_unknown", return_id))
    if not found.is_refunded:
        return None
    if found.is_being_refunded:
        return NotNow(say("being_refunded", return_id))
    if packet.has_origin:
        return Held(packet.members, say("refunded_meanwhile", return_id))
    return _paid_by_hand(return_id)


def _paid_by_hand(return_id: int) -> Finished:
    """Nothing is left to do for the exchange: its Return is what the ledger keeps, there is no order."""
    return Finished(str(return_id), f"someone refunded Return {return_id}: no replacement is sent")


def _finished(packet: ExchangePacket) -> Finished:
    numbers = packet.payload.order_numbers or (packet.payload.new_order_number,)
    return Finished(" ".join(str(number) for number in numbers), packet.message)


def _deleted(packet: ExchangePacket) -> Refused | Reverted:
    """Nothing of it is left: what was refused is rejected, what only did not fit any more is planned again."""
    message = packet.message or "unwound"
    refused = packet.payload.refused
    if packet.step == "undo" and not refused:
        return Reverted(message)
    return Refused(message, refused)


# ---------------------------------------------------------------- stock, address


@dataclass(frozen=True)
class _Short:
    """Members whose replacements are out of stock (empty: it is not known which), and why."""

    members: tuple[str, ...]
    reason: str


def _out_of_stock(packet: ExchangePacket) -> Steps[_Short | None]:
    """Stock is counted per unit: as many as are free go, in the order of the packet."""
    wanted: dict[str, list[str]] = {}  # the members that want an article, one entry per piece
    for replacement in packet.payload.replacements:
        wanted.setdefault(replacement.sku, []).extend(
            member for member in replacement.members for _ in range(replacement.quantity // len(replacement.members))
        )
    short: list[str] = []
    reasons = []
    for sku, members in wanted.items():
        data = yield Query("LookAtReplacementStock", {"sku": [sku]})
        free = sum(stock["freeToAllocateQuantity"] for size in data["productSizes"] for stock in size["stock"])
        if free < len(members):
            short += members[max(0, free) :]
            reasons.append(f"{free} of {sku} are free, {len(members)} needed")
    return _Short(tuple(dict.fromkeys(short)), say("out_of_stock", ", ".join(reasons))) if reasons else None


Order = dict[str, Any]  # as a query answers it


def _order_to_replace(packet: ExchangePacket) -> Steps[Order | None]:
    """Where the shopper's order went, and in which market: read right before it is needed, and kept nowhere."""
    data = yield Query("ReadRecipient", {"orderNumber": [int(packet.payload.order_number)]})
    order: Order | None = data["orders"][0] if data["orders"] else None
    if order is None or not order["shippingAddress"] or not order["shippingAddress"].get("country"):
        return None
    customer = order.get("customer") or {}
    if not order["shippingAddress"].get("email") and customer.get("email"):
        return {**order, "shippingAddress": {**order["shippingAddress"], "email": customer["email"]}}
    return order


def _recipient(order: Order) -> dict[str, Any]:
    """Who gets the replacement, in which market and by which price list: those of the order that it replaces."""
    sent = rest_address(order["shippingAddress"])
    # Both addresses: without an invoice address Centra would have to guess one.
    recipient: dict[str, Any] = {"deliveryAddress": sent, "invoiceAddress": sent}
    for key, name in (("customerId", "customer"), ("marketId", "market"), ("pricelistId", "pricelist")):
        if order.get(name):
            recipient[key] = order[name]["id"]
    return recipient


_REST_NAMES = {
    "firstName": "firstName", "lastName": "lastName", "attention": "attn",
    "address1": "address", "address2": "coaddress", "zipCode": "zipcode", "city": "city", "stateOrProvince": "state",
    "phoneNumber": "tele", "cellPhoneNumber": "cell", "email": "email",
}  # fmt: skip


def rest_address(address: dict[str, Any]) -> dict[str, Any]:
    """An address as GraphQL shows it, in the keys of the Order API, which are its own.

    ``state`` is set where ``stateOrProvince`` is not, and the other way round; the Order API takes a code or a name.
    """
    sent = {rest: address[name] for name, rest in _REST_NAMES.items() if address.get(name)}
    state = address.get("state") or {}
    if state.get("code") or state.get("name"):
        sent["state"] = state.get("code") or state["name"]
    sent["country"] = address["country"]["code"]
    return sent


# ---------------------------------------------------------------- is it what was meant?


def _not_as_meant(packet: ExchangePacket, facts: Facts) -> Steps[InDoubt | NotNow | None]:
    """Read the replacement back: may the exchange go on? A replacement that somebody canceled is not held up: there is nothing
    to release, and what is left to decide (order again, or pay) is decided when the exchange is done.
    """
    known = yield from _ours(packet, facts)
    if known.tied:
        return None  # somebody made it by hand, and a person says that it is the replacement
    if not known.live:
        if known.made_by(packet):
            return None
        return InDoubt("the replacement order is not there any more", "canceled")
    if known.unclear:
        return NotNow(known.unclear)
    differs = yield from _differences(packet, known)
    if not set(differs) - set(packet.payload.accepted):
        return None
    message = f"order {known.shown} differs in {', '.join(differs)}"
    return InDoubt(message, "differs", remember={"differs": differs})


def _differences(packet: ExchangePacket, known: _Replacements) -> Steps[list[str]]:
    """In what the orders are not what was meant: names of fields, never what they hold."""
    differs = []
    missing, surplus = _wanted(packet) - known.skus, known.skus - _wanted(packet)
    if surplus or (missing and not known.canceled):
        differs.append("lines")
    meant: Order = (yield from _order_to_replace(packet)) or {}
    data = yield Query("LookAtReplacementOrder", {"number": [order.number for order in known.live]})
    for made in data["orders"]:
        differs += _differing_parts(meant.get("shippingAddress") or {}, made["shippingAddress"] or {})
        differs += [
            called
            for name, called in (("market", "market"), ("pricelist", "price list"))
            if meant.get(name) and (made[name] or {}).get("id") != meant[name]["id"]
        ]
        if made["grandTotal"]["currency"]["code"] != packet.payload.currency:
            differs.append("currency")
        if Decimal(made["grandTotal"]["value"]):
            differs.append("total")
    return list(dict.fromkeys(differs))


# What people call the parts of an address, and the fields that hold one: a state has several, any of which may be empty.
_PARTS = {
    "first name": ("firstName",), "last name": ("lastName",), "attention": ("attention",),
    "street": ("address1",), "second address line": ("address2",), "postcode": ("zipCode",), "city": ("city",),
    "state": ("state.code", "state.name", "stateOrProvince"), "country": ("country.code",), "telephone": ("phoneNumber",),
    "mobile telephone": ("cellPhoneNumber",), "e-mail": ("email",),
}  # fmt: skip
# Goods arrive without these: what was sent has to be there, and what Centra adds does no harm.
_CONTACTS = frozenset({"telephone", "mobile telephone", "e-mail"})


def _differing_parts(meant: Order, made: Order) -> list[str]:
    """Names of the parts of an address that Centra does not show as they were sent."""
    found = []
    for part in _PARTS:
        wanted, there = _written(meant, part), _written(made, part)
        if wanted & there or (not wanted and (not there or part in _CONTACTS)):
            continue
        found.append(part)
    return found


def _written(address: Order, part: str) -> set[str]:
    """What an address says of a part, without what does not change where goods go: case, blanks, a number's punctuation."""
    texts = set()
    for place in _PARTS[part]:
        name, _, inner = place.partition(".")
        value = address.get(name)
        text = str((value or {}).get(inner) or "") if inner else str(value or "")
        if part in ("telephone", "mobile telephone"):
            text = "".join(character for character in text if character.isdecimal()).lstrip("0")
        texts.add("".join(text.split()).casefold())
    return texts - {""}


# ---------------------------------------------------------------- replacement orders in Centra


@dataclass(frozen=True)
class _Replacement:
    """One order that may be the replacement, as Centra shows it. ``unknown_status``: its word, if the policy does not know it."""

    order_id: str
    number: int
    comment: str
    unknown_status: str | None
    is_canceled: bool
    customer_id: int | None
    skus: Counter[str]


@dataclass(frozen=True)
class _Replacements:
    """What Centra shows of a packet's replacement. ``live``: ours and not canceled; ``canceled``: ours all the same;
    ``numbered``: those with its numbers.
    """

    live: list[_Replacement]
    canceled: list[_Replacement]
    numbered: dict[int, _Replacement]
    candidates: list[int]
    customer_id: int | None
    tied: list[str]  # orders of another user that a person has said to be the replacement of every member

    @property
    def unclear(self) -> str | None:
        """Why nothing may be decided about them: one has a status that the policy does not know."""
        return next((returns.unknown_status(order.unknown_status) for order in self.live if order.unknown_status), None)

    @property
    def shown(self) -> str:
        """The numbers of the live ones, as text."""
        return ", ".join(str(order.number) for order in self.live)

    @property
    def skus(self) -> Counter[str]:
        """What the live ones hold together."""
        return sum((order.skus for order in self.live), Counter())

    def made_by(self, packet: ExchangePacket) -> list[str]:
        """Numbers of the orders that this packet made, somebody canceled them since or not; or those that a person has tied.

        Canceled ones that it has not tried are of an earlier time, when we took them back ourselves.
        """
        if self.live:
            return [str(order.number) for order in self.live]
        tried = {*packet.payload.tried_numbers, *map(int, packet.payload.order_numbers)}
        return self.tied or [str(order.number) for order in self.canceled if order.number in tried]

    def free_number(self, packet: ExchangePacket) -> int | InDoubt:
        """The first of the packet's numbers that nobody has.

        One of our numbers whose order was canceled is skipped; so is another user's order, with a warning. One that we have
        tried before, or that looks like our replacement, is a doubt: never the next number.
        """
        for number in self.candidates:
            order = self.numbered.get(number)
            if order is None:
                return number
            is_ours = packet.key in order.comment or bool(set(packet.members) & set(effect_keys_in(order.comment)))
            if is_ours and order.is_canceled:
                continue
            looks_like_it = order.customer_id == self.customer_id and order.skus & _wanted(packet)
            if is_ours or looks_like_it or number in packet.payload.tried_numbers:
                return InDoubt(f"order number {number} is taken by an order that is not ours", "number_taken")
            _LOG.warning(
                "order number %s of our reserved range is taken by another user's order: the next one is used. "
                "Reserve the range in Centra, or set [exchange_orders] in the policy.",
                number,
            )
        return InDoubt(f"order numbers {', '.join(map(str, self.candidates))} are all taken", "number_taken")


def _wanted(packet: ExchangePacket) -> Counter[str]:
    wanted: Counter[str] = Counter()
    for replacement in packet.payload.replacements:
        wanted[replacement.sku] += replacement.quantity
    return wanted


def _ours(packet: ExchangePacket, facts: Facts) -> Steps[_Replacements]:
    """Look for the packet's replacement by its numbers and among the customer's internal orders, whatever Centra made of it."""
    asked = yield Query("ReadCustomer", {"orderNumber": [int(packet.payload.order_number)]})
    customer = (asked["orders"][0].get("customer") if asked["orders"] else None) or {}
    candidates = [
        reserved_number(packet.members, place, facts.first_order_number, facts.last_order_number)
        for place in range(_NUMBERS)
    ]
    # The number that was planned or tried stays the first, should the policy's range have changed since.
    first = [packet.payload.new_order_number, *packet.payload.tried_numbers]
    candidates = list(dict.fromkeys([*first, *candidates]))
    data = yield Query("LookAtReplacements", {"number": candidates, "customerId": [customer.get("id") or 0]})
    numbered = {row["number"]: _replacement(row, facts) for row in data["numbered"]}
    every = {**{row["number"]: _replacement(row, facts) for row in data["internal"]}, **numbered}
    marks = {packet.key, *packet.members}
    ours = [
        order
        for order in sorted(every.values(), key=lambda order: order.number)
        if marks & {*effect_keys_in(order.comment), *PACKET_KEY.findall(order.comment)}
    ]
    tied = [facts.tied_orders[member] for member in packet.members if member in facts.tied_orders]
    return _Replacements(
        [order for order in ours if not order.is_canceled], [order for order in ours if order.is_canceled], numbered,
        candidates, customer.get("id"), sorted(set(tied)) if len(tied) == len(packet.members) else [],
    )  # fmt: skip


def _replacement(row: dict[str, Any], facts: Facts) -> _Replacement:
    skus: Counter[str] = Counter()
    for line in row["lines"]:
        if line["productSize"] and line["quantity"]:
            skus[line["productSize"]["SKU"]] += line["quantity"]
    customer = row.get("customer") or {}
    meaning = facts.words.order_status.meaning_of(row["status"])
    return _Replacement(
        row["id"], row["number"], row["internalComment"] or "", row["status"] if meaning is None else None,
        meaning == "cancelled", customer.get("id"), skus,
    )  # fmt: skip


# ---------------------------------------------------------------- looking up


def _look_up(packet: ExchangePacket, facts: Facts) -> Steps[LookUpResult]:
    """How far an exchange in doubt came: its Return on the order, and its replacement."""
    order = yield from returns.look(packet.payload.order_number, facts)
    found = _origin(packet, order) if packet.has_origin else returns.ours(packet, order)
    if isinstance(found, InDoubt):
        return found
    known = yield from _ours(packet, facts)
    if packet.step in _UNWINDING:
        if packet.step == "cancel_order" and known.live:
            return Advance("cancel_order")
        step: Literal["delete", "undo"] = "delete" if packet.step == "delete" else "undo"
        return _taken_back(packet, step) if found else _deleted(packet.at(step))
    if found is None:
        if known.live:
            return InDoubt(f"order {known.shown} was made, but our Return is gone", "gone")
        return Absent() if packet.step == "create_return" else InDoubt("our Return is gone: someone deleted it", "gone")
    return_id = str(found.return_id)
    if made := known.made_by(packet):
        after = Advance("complete", return_id, remember={"order_numbers": made})
        if not found.is_completed or packet.has_origin:
            return after
        # Completed by us, or by somebody before the order was read back.
        made_known = packet.at("complete").joined(after.remember)
        problem = yield from _not_as_meant(made_known, facts)
        return after if isinstance(problem, NotNow) else problem or _finished(made_known)
    if packet.step in ("create_return", "create_order"):
        # Ordering again is safe: a number that is taken is refused.
        return Advance("create_order", return_id)
    return InDoubt("our Return is there, but the replacement order is not there any more", "canceled")


def _origin(packet: ExchangePacket, order: returns.OrderInCentra | None) -> returns.ReturnInCentra | None:
    """The Return that was there before."""
    return returns.by_id(order, int(packet.centra_id or 0))
