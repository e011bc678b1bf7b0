"""The attribute of an order or customer that holds the state of its latest return: our own, so that it is set as a whole."""

from __future__ import annotations

from hr_centra_pipeline.core.codes import say
from hr_centra_pipeline.push.facts import Facts
from hr_centra_pipeline.push.packets import Packet
from hr_centra_pipeline.push.steps import (
    Absent,
    Ask,
    Call,
    Finished,
    LookUpResult,
    NotNow,
    Refused,
    StepResult,
    Steps,
    Tell,
)


def calls(packet: Packet, facts: Facts) -> list[Call]:
    """The one writing call of this packet."""
    payload = packet.payload
    attribute = {
        "attributeTypeName": payload["type"],
        "attributeElementKey": payload["element"],
        "attributeElementValue": payload["value"],
    }
    operation = "AssignOrderAttribute" if _is_on_order(packet) else "AssignCustomerAttribute"
    return [Call(operation, {"objectId": _object_id(packet), "attributes": [attribute]})]


def advance(packet: Packet, facts: Facts) -> Steps[StepResult]:
    """Look what the attribute holds now, and set it; nothing is sent when it holds our value already."""
    present = yield from _present(packet)
    if present is None:
        return NotNow(say("not_shown", "order" if _is_on_order(packet) else "customer"))
    if packet.payload["value"] in present:
        return Finished(str(_object_id(packet)))
    answer = yield Tell(calls(packet, facts)[0])
    return Refused(answer.refusal) if answer.refusal else Finished(str(_object_id(packet)))


def look_up(packet: Packet, _: Facts) -> Steps[LookUpResult]:
    """Does it hold our value?"""
    present = yield from _present(packet)
    return Finished(str(_object_id(packet))) if packet.payload["value"] in (present or []) else Absent()


def _present(packet: Packet) -> Steps[list[str] | None]:
    """The values of our element; ``None`` when Centra does not show the object."""
    object_id = _object_id(packet)
    if _is_on_order(packet):
        rows = (yield Ask("ReadOrderAttributes", {"number": [object_id], "limit": 1}))["orders"]
    else:
        rows = (yield Ask("ReadCustomerAttributes", {"id": [object_id], "limit": 1}))["customers"]
    if not rows:
        return None
    return [
        element["value"]
        for attribute in rows[0]["attributes"]
        if attribute["type"]["name"] == packet.payload["type"]
        for element in attribute["elements"]
        if element["key"] == packet.payload["element"]
    ]


def _is_on_order(packet: Packet) -> bool:
    return "order_number" in packet.payload


def _object_id(packet: Packet) -> int:
    """An order is named by its number, a customer by its id."""
    return int(packet.payload["order_number"] if _is_on_order(packet) else packet.payload["customer_id"])
