"""An exchange: the Return without refund, then the replacement order at zero price, then the Return is completed.

Refused or out of stock half way, it is unwound: our own unshipped orders are cancelled, our own unpaid Return is deleted.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

from hr_centra_pipeline.core.keys import PACKET_KEY, effect_keys_in
from hr_centra_pipeline.push import returns
from hr_centra_pipeline.push.facts import Facts
from hr_centra_pipeline.push.packets import Packet, reserved_number
from hr_centra_pipeline.push.steps import (
    Absent,
    Advance,
    Ask,
    Call,
    Finished,
    InDoubt,
    LookUpResult,
    NotNow,
    Refused,
    StepResult,
    Steps,
    Tell,
    Undone,
)

_LOG = logging.getLogger(__name__)
_UNWINDING = frozenset({"cancel_order", "delete", "undo"})
_REFUSED = "the return was refused, its approval withdrawn, or it is no exchange any more"
_UNREAD_RECIPIENT = {
    "customerId": "<customer>", "deliveryAddress": "<address>", "invoiceAddress": "<address>", "marketId": "<market>",
    "pricelistId": "<price list>",
}  # fmt: skip
_NUMBERS = 5  # of a replacement: the first one that is free; more than one are taken only by orders of somebody else


def calls(packet: Packet) -> list[Call]:
    """Every writing call in order; ``<…>`` stands for what is read right before and never stored, or made by Centra."""
    return [
        returns.create(packet),
        order_call(packet, packet.payload["new_order_number"], "<return>", _UNREAD_RECIPIENT),
        returns.complete("<return>"),
    ]


def order_call(packet: Packet, number: int, return_id: int | str, recipient: dict[str, Any]) -> Call:
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
        "sendEmail": False,
        "shippingValue": 0,  # without it Centra charges the country's default shipping cost
        "products": [
            {"sku": replacement["sku"], "qty": replacement["quantity"], "unitPrice": 0, "originalPrice": 0}
            for replacement in payload["replacements"]
        ],
        "internalComment": _comment(packet),
        **recipient,
    }
    return Call("POST /order", body)


def _comment(packet: Packet) -> str:
    """What the replacement is for, in words, then the marks by which it is found again."""
    origins = packet.payload.get("origins") or []
    words = "; ".join(" ".join(part for part in (code, return_id) if part) for return_id, code in origins)
    about = f"Replacement for order {packet.payload['order_number']}" + (f", Happy Returns {words}" if words else "")
    return "\n".join([about, packet.key, *packet.members])


# ---------------------------------------------------------------- doing


def advance(packet: Packet, facts: Facts) -> Steps[StepResult]:
    """Do one step; stock and approval are looked at again before each that makes something."""
    match packet.step:
        case "create_return":
            return (yield from _create_return(packet, facts))
        case "create_order":
            return (yield from _create_order(packet, facts))
        case "cancel_order":
            return (yield from _cancel_order(packet, facts))
        case "complete" if packet.origin_is_foreign:
            return _finished(packet)  # the Return is somebody else's: it is theirs to complete
        case "complete":
            if unwanted := facts.unwanted_of(packet.members):
                return Advance("cancel_order", message=_REFUSED, remember={"refused": list(unwanted)})
            if not (yield from _ours(packet, facts)).is_whole(packet):
                return InDoubt("the replacement order is not there any more: somebody canceled it", "canceled")
    return_id = int(packet.centra_id or 0)
    completes = packet.step in ("complete", "complete_anyway")
    answer = yield Tell(returns.complete(return_id) if completes else returns.delete(return_id))
    if answer.refusal:
        order = yield from returns.look(packet.payload["order_number"], facts)
        found = returns.by_id(order, return_id)
        if completes and found and found.is_completed:
            return _finished(packet)
        if not completes and found is None:
            return _deleted(packet)
        return InDoubt(f"{packet.step} was refused: {answer.refusal}", "refused")
    return _finished(packet) if completes else _deleted(packet)


def _create_return(packet: Packet, facts: Facts) -> Steps[StepResult]:
    if short := (yield from _out_of_stock(packet)):
        return NotNow(short)
    order = yield from returns.look(packet.payload["order_number"], facts)
    if order is None:
        return NotNow("Centra does not show the order")
    if problem := returns.problem_with(packet, order, facts):
        return problem
    answer = yield Tell(returns.create(packet))
    if answer.refusal:
        return returns.creation_refused(packet, answer)
    return Advance("create_order", str(answer.payload["return"]["id"]))


def _create_order(packet: Packet, facts: Facts) -> Steps[StepResult]:
    if unwanted := facts.unwanted_of(packet.members):
        return Advance("cancel_order", message=_REFUSED, remember={"refused": list(unwanted)})
    known = yield from _ours(packet, facts)
    if known.is_whole(packet):
        return Advance("complete", remember={"order_numbers": known.numbers})
    if known.live:
        return InDoubt(f"order {known.shown} is ours, and not the whole replacement", "not_ours")
    number = known.free_number(packet)
    if isinstance(number, InDoubt):
        return number
    if short := (yield from _out_of_stock(packet)):
        return _taken_back(packet, "delete", short)
    recipient = yield from _recipient(packet)
    if recipient is None:
        return _taken_back(packet, "delete", "the order shows no address to send the replacement to")
    tried = sorted({*packet.payload.get("tried_numbers", []), number})
    remember = {"new_order_number": number, "tried_numbers": tried}
    answer = yield Tell(order_call(packet, number, int(packet.centra_id or 0), recipient), remember=remember)
    match answer.code:
        case None if not answer.refusal:
            made = answer.payload.get("orders") or [answer.payload.get("order") or number]
            return Advance("complete", remember={"order_numbers": [str(one) for one in made]})
        case -5:
            # Taken since we looked: by a call of ours that was thought lost, or by somebody in our range.
            if (yield from _ours(packet, facts)).is_whole(packet):
                return Advance("complete", remember={"order_numbers": [str(number)]})
            return InDoubt(f"order number {number} is taken by an order that is not ours", "number_taken")
        case -2:
            return _taken_back(packet, "delete", f"out of stock: {answer.refusal}")
        case _:
            return _taken_back(packet, "delete", answer.refusal)


def _cancel_order(packet: Packet, facts: Facts) -> Steps[StepResult]:
    """One order after another: Centra may have split the replacement."""
    known = yield from _ours(packet, facts)
    if not known.live:
        return _taken_back(packet, "undo")
    answer = yield Tell(_cancel(packet, known.live[0].order_id))
    # Centra cancels no order that was shipped: then the customer has the replacement, and completing is true.
    if answer.refusal:
        too_late = f"{packet.message}; too late: {answer.refusal}"
        return _finished(packet) if packet.origin_is_foreign else Advance("complete_anyway", message=too_late)
    return Advance("cancel_order") if len(known.live) > 1 else _taken_back(packet, "undo")


def _taken_back(packet: Packet, step: str, message: str | None = None) -> Advance | Refused | Undone:
    """Go on to delete our Return; somebody else's, for which the replacement was released, stays."""
    if packet.origin_is_foreign:
        return _deleted(packet.at(step, message=message or packet.message))
    return Advance(step, message=message)


def _cancel(packet: Packet, order_id: str) -> Call:
    asked = {
        "stockAction": {"releaseItemsBackToWarehouse": True},
        "emailOptions": {"sendEmail": False},
        "comment": packet.key,
    }
    return Call("CancelOrder", {"id": order_id, "input": asked})


def _finished(packet: Packet) -> Finished:
    numbers = packet.payload.get("order_numbers") or [packet.payload["new_order_number"]]
    return Finished(" ".join(str(number) for number in numbers), packet.message)


def _deleted(packet: Packet) -> Refused | Undone:
    """Nothing of it is left: what was refused is rejected, what only did not fit any more is planned again."""
    message = packet.message or "unwound"
    refused = packet.payload.get("refused")
    if packet.step == "undo" and not refused:
        return Undone(message)
    return Refused(message, tuple(refused or ()))


# ---------------------------------------------------------------- stock, address


def _out_of_stock(packet: Packet) -> Steps[str | None]:
    wanted: Counter[str] = Counter()
    for replacement in packet.payload["replacements"]:
        wanted[replacement["sku"]] += replacement["quantity"]
    for sku, quantity in wanted.items():
        data = yield Ask("LookAtReplacementStock", {"sku": [sku]})
        free = sum(stock["freeToAllocateQuantity"] for size in data["productSizes"] for stock in size["stock"])
        if free < quantity:
            return f"out of stock: {free} of {sku} are free, {quantity} needed"
    return None


def _recipient(packet: Packet) -> Steps[dict[str, Any] | None]:
    """Who gets the replacement, and in which market: read right before it is needed, sent, and kept nowhere."""
    data = yield Ask("ReadRecipient", {"orderNumber": [int(packet.payload["order_number"])]})
    order = data["orders"][0] if data["orders"] else None
    address = order and order["shippingAddress"]
    if not order or not address or not address.get("country"):
        return None
    sent = rest_address(address)
    customer = order.get("customer")
    if customer:
        sent.setdefault("email", customer["email"])
    # Both addresses: without an invoice address Centra would have to guess one.
    recipient: dict[str, Any] = {"deliveryAddress": sent, "invoiceAddress": sent}
    for key, value in (
        ("customerId", customer),
        ("marketId", order.get("market")),
        ("pricelistId", order.get("pricelist")),
    ):
        if value:
            recipient[key] = value["id"]
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


# ---------------------------------------------------------------- replacement orders in Centra


@dataclass(frozen=True)
class _Replacement:
    """One order that may be the replacement, as Centra shows it."""

    order_id: str
    number: int
    comment: str
    is_canceled: bool
    customer_id: int | None
    skus: Counter[str]


@dataclass(frozen=True)
class _Replacements:
    """What Centra shows of a packet's replacement. ``live``: ours and not canceled; ``numbered``: those with its numbers."""

    live: list[_Replacement]
    numbered: dict[int, _Replacement]
    candidates: list[int]
    customer_id: int | None
    tied: list[str]  # orders of somebody else that a person has said to be the replacement of every member

    @property
    def numbers(self) -> list[str]:
        """Of the live ones."""
        return [str(order.number) for order in self.live] or self.tied

    @property
    def shown(self) -> str:
        """The same as text."""
        return ", ".join(self.numbers)

    def is_whole(self, packet: Packet) -> bool:
        """Together they are what was to be ordered, neither less nor more; or a person says so."""
        return bool(self.tied) or sum((order.skus for order in self.live), Counter()) == _wanted(packet)

    def free_number(self, packet: Packet) -> int | InDoubt:
        """The first of the packet's numbers that nobody has.

        A number of ours whose order was canceled is passed over; so is somebody else's order, loudly. One that we have
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
            if is_ours or looks_like_it or number in packet.payload.get("tried_numbers", []):
                return InDoubt(f"order number {number} is taken by an order that is not ours", "number_taken")
            _LOG.warning(
                "order number %s of our reserved range is taken by an order of somebody else: the next one is used. "
                "Reserve the range in Centra, or set [exchange_orders] in the policy.",
                number,
            )
        return InDoubt(f"order numbers {', '.join(map(str, self.candidates))} are all taken", "number_taken")


def _wanted(packet: Packet) -> Counter[str]:
    wanted: Counter[str] = Counter()
    for replacement in packet.payload["replacements"]:
        wanted[replacement["sku"]] += replacement["quantity"]
    return wanted


def _ours(packet: Packet, facts: Facts) -> Steps[_Replacements]:
    """Look for the packet's replacement by its numbers and among the customer's internal orders, whatever Centra made of it."""
    asked = yield Ask("ReadCustomer", {"orderNumber": [int(packet.payload["order_number"])]})
    customer = (asked["orders"][0].get("customer") if asked["orders"] else None) or {}
    candidates = [
        reserved_number(packet.members, place, facts.first_order_number, facts.last_order_number)
        for place in range(_NUMBERS)
    ]
    # The number that was planned or tried stays the first, should the policy's range have changed since.
    first = [packet.payload["new_order_number"], *packet.payload.get("tried_numbers", [])]
    candidates = list(dict.fromkeys([*first, *candidates]))
    data = yield Ask("LookAtReplacements", {"number": candidates, "customerId": [customer.get("id") or 0]})
    numbered = {row["number"]: _replacement(row, facts) for row in data["numbered"]}
    every = {**{row["number"]: _replacement(row, facts) for row in data["internal"]}, **numbered}
    marks = {packet.key, *packet.members}
    live = [
        order
        for order in every.values()
        if not order.is_canceled and marks & {*effect_keys_in(order.comment), *PACKET_KEY.findall(order.comment)}
    ]
    tied = [facts.tied_orders[member] for member in packet.members if member in facts.tied_orders]
    return _Replacements(
        sorted(live, key=lambda order: order.number), numbered, candidates, customer.get("id"),
        sorted(set(tied)) if len(tied) == len(packet.members) else [],
    )  # fmt: skip


def _replacement(row: dict[str, Any], facts: Facts) -> _Replacement:
    skus: Counter[str] = Counter()
    for line in row["lines"]:
        if line["productSize"] and line["quantity"]:
            skus[line["productSize"]["SKU"]] += line["quantity"]
    customer = row.get("customer") or {}
    is_canceled = facts.words.order_status.meaning_of(row["status"]) == "cancelled"
    return _Replacement(row["id"], row["number"], row["internalComment"] or "", is_canceled, customer.get("id"), skus)


# ---------------------------------------------------------------- looking up


def look_up(packet: Packet, facts: Facts) -> Steps[LookUpResult]:
    """How far an exchange in doubt came: its Return on the order, and its replacement."""
    order = yield from returns.look(packet.payload["order_number"], facts)
    found = _foreign_origin(packet, order) or returns.ours(packet, order)
    if isinstance(found, InDoubt):
        return found
    known = yield from _ours(packet, facts)
    if known.live and not known.is_whole(packet):
        return InDoubt(f"order {known.shown} is ours, and not the whole replacement", "not_ours")
    if packet.step in _UNWINDING:
        if packet.step == "cancel_order" and known.live:
            return Advance("cancel_order")
        step = "undo" if packet.step == "cancel_order" else packet.step
        return _taken_back(packet, step) if found else _deleted(packet.at(step))
    if found is None:
        if known.live:
            return InDoubt(f"order {known.shown} was made, but our Return is gone", "gone")
        return (
            Absent() if packet.step == "create_return" else InDoubt("our Return is gone: somebody deleted it", "gone")
        )
    return_id = str(found.return_id)
    if known.is_whole(packet):
        if found.is_completed:
            return _finished(packet)
        return Advance("complete", return_id, remember={"order_numbers": known.numbers})
    if packet.step in ("create_return", "create_order"):
        # Ordering again is safe: a number that is taken is refused.
        return Advance("create_order", return_id)
    return InDoubt("our Return is there, but the replacement order is gone: somebody canceled it", "canceled")


def _foreign_origin(packet: Packet, order: returns.OrderInCentra | None) -> returns.ReturnInCentra | None:
    """Somebody else's Return that the replacement was released for."""
    if not packet.origin_is_foreign or packet.centra_id is None:
        return None
    return returns.by_id(order, int(packet.centra_id))
