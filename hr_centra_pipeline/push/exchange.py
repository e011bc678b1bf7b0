"""An exchange: the Return without refund, then the replacement order at zero price, then the Return is completed.

Refused or out of stock half way, it is unwound: our own unshipped order is cancelled, our own unpaid Return deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hr_centra_pipeline.push import returns
from hr_centra_pipeline.push.packets import Packet
from hr_centra_pipeline.push.results import (
    Absent,
    Advance,
    Finished,
    InDoubt,
    LookUpResult,
    NotNow,
    Refused,
    StepResult,
    Undone,
)
from hr_centra_pipeline.push.wire import Call, Wire

_UNWINDING = frozenset({"cancel_order", "delete", "undo"})
_REFUSED = "the return was refused, or its approval withdrawn"


def calls(packet: Packet) -> list[Call]:
    """Every writing call in order; ``<…>`` stands for what is read right before and never stored, or made by Centra."""
    return [
        returns.create(packet),
        order_call(packet, "<return>", {"customerId": "<customer>", "address": "<address>"}),
        returns.complete("<return>"),
    ]


def order_call(packet: Packet, return_id: int | str, recipient: dict[str, Any]) -> Call:
    """``POST /order``: zero price, internal, our number, made from the Return."""
    payload = packet.payload
    body = {
        "orderNumber": payload["new_order_number"],
        "createdFromOrigin": {"type": "return", "id": return_id},
        "internalOrder": True,
        "applyVouchers": False,  # true by default: a voucher that is running would be used up
        "adjustStock": True,
        "forceCreate": False,
        "sendEmail": False,
        "currency": payload["currency"],
        "products": [
            {"sku": replacement["sku"], "qty": replacement["quantity"], "unitPrice": 0, "originalPrice": 0}
            for replacement in payload["replacements"]
        ],
        "internalComment": "\n".join([packet.key, *packet.members]),
        **recipient,
    }
    return Call("POST /order", body)


@dataclass(frozen=True)
class _Replacement:
    """The order that has our number, as Centra shows it."""

    number: str
    is_ours: bool
    is_canceled: bool


def advance(packet: Packet, wire: Wire) -> StepResult:
    """Do one step; stock and approval are looked at again before each that makes something."""
    if packet.step in ("create_return", "create_order") and (problem := _gate(packet, wire)):
        return problem
    match packet.step:
        case "create_return":
            return _create_return(packet, wire)
        case "create_order":
            return _create_order(packet, wire)
        case "cancel_order":
            answer = wire.write(packet, _cancel(packet))
            # Centra cancels no order that was shipped: then the customer has the replacement, and completing is true.
            return Advance("undo") if not answer.refusal else Advance("complete_anyway")
        case "complete" if wire.refused_units(packet) == set(packet.payload["units"]):
            return Advance("cancel_order", message=_REFUSED)
    return_id = int(packet.centra_id or 0)
    completes = packet.step in ("complete", "complete_anyway")
    answer = wire.write(packet, returns.complete(return_id) if completes else returns.delete(return_id))
    if answer.refusal:
        found = returns.by_id(returns.look(wire, packet.payload["order_number"]), return_id)
        if completes and found and found.is_completed:
            return _finished(packet)
        if not completes and found is None:
            return _deleted(packet)
        return _stuck(packet, answer.refusal)
    return _finished(packet) if completes else _deleted(packet)


def _gate(packet: Packet, wire: Wire) -> StepResult | None:
    """Why the step may not be done now: approval gone, or no stock of a replacement."""
    begun = packet.step == "create_order"
    if wire.refused_units(packet):
        return Advance("undo", message=_REFUSED) if begun else NotNow(_REFUSED)
    for sku, quantity in _wanted(packet).items():
        free = _free_stock(wire, sku)
        if free < quantity:
            message = f"out of stock: {free} of {sku} are free, {quantity} needed"
            return Advance("delete", message=message) if begun else NotNow(message)
    return None


def _wanted(packet: Packet) -> dict[str, int]:
    wanted: dict[str, int] = {}
    for replacement in packet.payload["replacements"]:
        wanted[replacement["sku"]] = wanted.get(replacement["sku"], 0) + replacement["quantity"]
    return wanted


def _free_stock(wire: Wire, sku: str) -> int:
    data = wire.read("LookAtReplacementStock", {"sku": [sku]})
    return sum(stock["freeToAllocateQuantity"] for size in data["productSizes"] for stock in size["stock"])


def _create_return(packet: Packet, wire: Wire) -> StepResult:
    order = returns.look(wire, packet.payload["order_number"])
    if order is None:
        return NotNow("Centra does not show the order")
    if problem := returns.already_there(packet, order) or returns.lines_taken(packet, order):
        return NotNow(problem)
    answer = wire.write(packet, returns.create(packet))
    if answer.refusal:
        return returns.creation_refused(packet, answer)
    return Advance("create_order", str(answer.payload["return"]["id"]))


def _create_order(packet: Packet, wire: Wire) -> StepResult:
    recipient = _recipient(packet, wire)
    if recipient is None:
        return Advance("delete", message="the order shows no address to send the replacement to")
    answer = wire.write(packet, order_call(packet, int(packet.centra_id or 0), recipient))
    match answer.code:
        case None if not answer.refusal:
            return Advance("complete")
        case -5:
            replacement = _replacement(packet, wire)
            if replacement and replacement.is_ours:
                return Advance("complete")
            number = packet.payload["new_order_number"]
            return InDoubt(f"order number {number} is taken by an order that is not ours", needs_person=True)
        case -2:
            return Advance("delete", message=f"out of stock: {answer.refusal}")
        case _:
            return Advance("delete", message=answer.refusal)


def _recipient(packet: Packet, wire: Wire) -> dict[str, Any] | None:
    """Who gets the replacement: read right before it is needed, sent, and kept nowhere."""
    data = wire.read("ReadRecipient", {"orderNumber": [int(packet.payload["order_number"])]}, is_personal=True)
    order = data["orders"][0] if data["orders"] else None
    address = order and order["shippingAddress"]
    if not order or not address or not address.get("country"):
        return None
    names = {
        "firstName": "firstName", "lastName": "lastName", "address1": "address1", "address2": "address2",
        "city": "city", "zipCode": "zipCode", "stateOrProvince": "state", "phoneNumber": "phoneNumber",
        "email": "email",
    }  # fmt: skip
    sent = {ours: address[theirs] for theirs, ours in names.items() if address.get(theirs)}
    sent["country"] = address["country"]["code"]
    customer = order.get("customer")
    if customer:
        sent.setdefault("email", customer["email"])
    return {"address": sent, **({"customerId": customer["id"]} if customer else {})}


def _replacement(packet: Packet, wire: Wire) -> _Replacement | None:
    """The order with our number; ours when the packet's key stands in its internal comment."""
    number = packet.payload["new_order_number"]
    data = wire.read("ReadInternalComment", {"orderNumber": [number]})
    if not data["orders"]:
        return None
    order = data["orders"][0]
    return _Replacement(str(number), packet.key in (order["internalComment"] or ""), order["status"] == "CANCELED")


def _cancel(packet: Packet) -> Call:
    return Call(
        "CancelOrder",
        {
            "order": {"number": packet.payload["new_order_number"]},
            "input": {
                "stockAction": {"releaseItemsBackToWarehouse": True},
                "emailOptions": {"sendEmail": False},
                "comment": packet.key,
            },
        },
    )


def _finished(packet: Packet) -> Finished:
    return Finished(str(packet.payload["new_order_number"]))


def _deleted(packet: Packet) -> Refused | Undone:
    """Nothing of it is left: what Centra refused is rejected, what only did not fit any more is planned again."""
    message = packet.message or "unwound"
    return Undone(message) if packet.step == "undo" else Refused(message)


def _stuck(packet: Packet, refusal: str) -> InDoubt:
    return InDoubt(f"{packet.step} was refused: {refusal}", needs_person=True)


def look_up(packet: Packet, wire: Wire) -> LookUpResult:
    """How far an exchange in doubt came: its Return on the order, and the order with our number."""
    found = returns.ours(packet, returns.look(wire, packet.payload["order_number"]))
    if isinstance(found, InDoubt):
        return found
    replacement = _replacement(packet, wire)
    if replacement and not replacement.is_ours:
        return InDoubt(f"order number {replacement.number} is taken by an order that is not ours", needs_person=True)
    has_order = replacement is not None and not replacement.is_canceled
    if packet.step in _UNWINDING:
        if packet.step == "cancel_order" and has_order:
            return Advance("cancel_order")
        if packet.step == "cancel_order":
            return Advance("undo")
        return Advance(packet.step) if found else _deleted(packet)
    if found is None:
        if has_order or packet.step != "create_return":
            return InDoubt(
                "the replacement was ordered, but our Return is gone" if has_order else "our Return is gone",
                needs_person=True,
            )
        return Absent()
    return_id = str(found.return_id)
    if not has_order:
        if packet.step in ("create_return", "create_order"):
            # Ordering again is safe: a number that is taken is refused.
            return Advance("create_order", return_id)
        return InDoubt("our Return is there, but the replacement order is gone", needs_person=True)
    return _finished(packet) if found.is_completed else Advance("complete", return_id)
