"""What credits and exchanges share: Returns as they are made, and as Centra shows them on an order."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.core.keys import effect_keys_in
from hr_centra_pipeline.push.packets import Packet
from hr_centra_pipeline.push.results import InDoubt, Refused, members_of_path
from hr_centra_pipeline.push.wire import Answered, Call, Wire

_CAPTURES = {"CAPTURE", "CAPTURE_GIFT_CARD", "PREPAID", "MARKED_AS_PAID"}
_GIVEN = {"REFUND", "REFUND_GIFT_CARD"}


@dataclass(frozen=True)
class ReturnInCentra:
    """One Return of an order. ``payments``: its refund entries."""

    return_id: int
    comment: str
    is_completed: bool
    shipment_id: int
    grand_total: dict[str, Any]
    quantities: dict[int, int]
    payments: list[dict[str, Any]]


@dataclass(frozen=True)
class OrderInCentra:
    """An order's Returns, money and shipment lines, as read just now. Amounts in the order's currency."""

    captured: Decimal
    given: Decimal
    untied_refunds: bool
    returnable: dict[int, int]  # shipment line -> units shipped and on no Return
    returns: list[ReturnInCentra]


def look(wire: Wire, order_number: str) -> OrderInCentra | None:
    """Read an order with its Returns; ``None`` when Centra does not show it."""
    data = wire.read("LookAtOrder", {"orderNumber": [int(order_number)]})
    if not data["orders"]:
        return None
    order = data["orders"][0]
    entries = order["paymentHistory"]
    given = [
        entry
        for entry in entries
        if (entry["entryType"] in _GIVEN and entry["status"] != "FAILED")
        or (entry["entryType"] == "REFUND_REQUEST" and entry["status"] == "PENDING")
    ]
    found = [_return(row, entries) for row in data["returns"]]
    return OrderInCentra(
        captured=sum((abs(_value(e)) for e in entries if e["entryType"] in _CAPTURES and _succeeded(e)), Decimal(0)),
        given=sum((abs(_value(entry)) for entry in given), Decimal(0)),
        untied_refunds=any(entry["return"] is None for entry in given),
        returnable={
            line["id"]: line["quantity"] - line["returnedQuantity"]
            for shipment in order["shipments"]
            for line in shipment["lines"]
        },
        returns=found,
    )


def _return(row: dict[str, Any], entries: list[dict[str, Any]]) -> ReturnInCentra:
    quantities: dict[int, int] = {}
    for line in row["lines"]:
        shipment_line_id = line["shipmentLine"]["id"]
        quantities[shipment_line_id] = quantities.get(shipment_line_id, 0) + line["quantity"]
    return ReturnInCentra(
        return_id=row["id"],
        comment=row["comment"] or "",
        is_completed=row["returnStatus"] == "COMPLETED",
        shipment_id=row["shipment"]["id"],
        grand_total=row["grandTotal"],
        quantities=quantities,
        payments=[entry for entry in entries if entry["return"] and entry["return"]["id"] == row["id"]],
    )


def _value(entry: dict[str, Any]) -> Decimal:
    return Decimal(entry["value"]["value"])


def _succeeded(entry: dict[str, Any]) -> bool:
    return bool(entry["status"] == "SUCCESS")


# ---------------------------------------------------------------- reading


def by_id(order: OrderInCentra | None, return_id: int) -> ReturnInCentra | None:
    """One Return of an order."""
    return next((found for found in (order.returns if order else []) if found.return_id == return_id), None)


def ours(packet: Packet, order: OrderInCentra | None) -> ReturnInCentra | InDoubt | None:
    """The Return that carries a packet: its comment, shipment and quantities must all agree.

    Its external id is no proof: Centra lets another Return take it over.
    """
    marked = [found for found in (order.returns if order else []) if packet.key in found.comment]
    if not marked:
        return None
    wanted = {line["shipment_line_id"]: line["quantity"] for line in packet.payload["lines"]}
    for found in marked:
        same_keys = set(packet.members) == set(effect_keys_in(found.comment))
        if len(marked) == 1 and same_keys and found.quantities == wanted:
            return found
    ids = ", ".join(str(found.return_id) for found in marked)
    return InDoubt(f"Return {ids} carries our key {packet.key}, but not what we sent", needs_person=True)


def already_there(packet: Packet, order: OrderInCentra) -> str | None:
    """Why a packet may not be created: one of its effects stands in a Return already."""
    for found in order.returns:
        if set(packet.members) & set(effect_keys_in(found.comment)):
            return f"in Centra already, in Return {found.return_id}; the next pull shows it"
    return None


def lines_taken(packet: Packet, order: OrderInCentra) -> str | None:
    """Why a packet may not be created: its lines were returned by somebody else meanwhile."""
    for line in packet.payload["lines"]:
        left = order.returnable.get(line["shipment_line_id"])
        if left is None:
            return f"shipment line {line['shipment_line_id']} is gone in Centra"
        if left < line["quantity"]:
            return (
                f"shipment line {line['shipment_line_id']} has {left} of {line['quantity']} units left to return: "
                "somebody returned it meanwhile"
            )
    return None


# ---------------------------------------------------------------- writing


def create(packet: Packet) -> Call:
    """``createReturn`` of a packet's lines and costs. The goods are not back yet, so stock is not touched."""
    payload = packet.payload

    def money(amount: str) -> dict[str, Any]:
        return {"value": Decimal(amount), "currencyIsoCode": payload["currency"]}

    made: dict[str, Any] = {
        "shipment": {"id": payload["shipment_id"]},
        "lines": [
            {"shipmentLine": {"id": line["shipment_line_id"]}, "quantity": line["quantity"]}
            for line in payload["lines"]
        ],
        "returnStockActionPolicy": {"removeItemsFromStock": True},
        "comment": payload["comment"],
        "externalId": packet.key,
    }
    for name, field in (("shipping", "shippingCost"), ("voucher", "voucherValue")):
        if Decimal(payload.get(name, 0)):
            made[field] = {"value": money(payload[name])}
    if Decimal(payload.get("fee", 0)):
        made["returnCost"] = money(payload["fee"])
    return Call("CreateReturn", {"input": made})


def complete(return_id: int | str) -> Call:
    """``completeReturn``: pays nothing."""
    return Call("CompleteReturn", {"id": return_id, "input": {"sendEmail": False}})


def delete(return_id: int | str) -> Call:
    """``deleteReturn``: only ever of our own, unpaid Return."""
    return Call("DeleteReturn", {"id": return_id})


def creation_refused(packet: Packet, answer: Answered) -> Refused:
    """Who is to blame when Centra refuses ``createReturn``."""
    blamed = members_of_path(answer.path, {"lines": [line["members"] for line in packet.payload["lines"]]})
    for field, members in (("shippingCost", "shipping_members"), ("returnCost", "fee_members")):
        if field in answer.path:
            named = packet.payload.get(members, [])
            blamed = tuple(named) if len(named) == 1 else ()
    return Refused(str(answer.refusal), blamed)
