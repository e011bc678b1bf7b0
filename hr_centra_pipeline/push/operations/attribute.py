"""The attribute of an order or customer that holds the state of its latest return: our own, so that it is set as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from hr_centra_pipeline.core.codes import say
from hr_centra_pipeline.core.kinds import STATUS_PATIENCE
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.push.facts import Facts
from hr_centra_pipeline.push.operations import status
from hr_centra_pipeline.push.operations.grouping import Grouping
from hr_centra_pipeline.push.operations.operation import Traits
from hr_centra_pipeline.push.operations.status import StatusPayload
from hr_centra_pipeline.push.packets import Effect, Packet
from hr_centra_pipeline.push.states import StepTable, then
from hr_centra_pipeline.push.steps import (
    Absent,
    Call,
    Finished,
    LookUpResult,
    Mutation,
    NotNow,
    Query,
    Refused,
    StepResult,
    Steps,
)

STEPS = StepTable("attribute", first="assign", rules={"assign": then("done")}, gives_nothing=True)


class AttributePayload(StatusPayload):
    """One value for one object."""

    STEPS: ClassVar[StepTable] = STEPS

    type: str | None
    element: str
    value: str


AttributePacket = Packet[AttributePayload]


class Attribute:
    """One value per order or customer: the plan has one effect of it."""

    traits = Traits(
        name="attribute",
        payload=AttributePayload,
        patience=STATUS_PATIENCE,
        mutations=1,
        seen_in=status.SEEN_IN,
    )

    def cut(self, effects: Sequence[Effect], policy: Policy, now: datetime, result: Grouping) -> None:
        """Group values: one per object."""

        def frozen(members: Sequence[Effect]) -> AttributePayload:
            on_order = members[0].effect_kind == "order_attribute"
            type_, element = policy.status.attribute_type, policy.status.attribute_element
            value = {"type": type_, "element": element, "value": members[0].text}
            return AttributePayload.model_validate({**status.target(members, on_order=on_order), **value})

        status.cut("attribute", effects, result, now, frozen)

    def calls(self, packet: AttributePacket, facts: Facts) -> list[Call]:
        """The one writing call of this packet."""
        return [_call(packet)]

    def advance(self, packet: AttributePacket, facts: Facts) -> Steps[StepResult]:
        """Look what the attribute holds now, and set it; nothing is sent when it holds our value already."""
        present = yield from _present(packet)
        if present is None:
            return NotNow(say("not_shown", "order" if _is_on_order(packet) else "customer"))
        if packet.payload.value in present:
            return Finished(str(_object_id(packet)))
        answer = yield Mutation(_call(packet))
        return Refused(answer.refusal) if answer.refusal else Finished(str(_object_id(packet)))

    def look_up(self, packet: AttributePacket, facts: Facts) -> Steps[LookUpResult]:
        """Does it hold our value?"""
        present = yield from _present(packet)
        return Finished(str(_object_id(packet))) if packet.payload.value in (present or []) else Absent()

    def changed(self, packet: AttributePacket, today: Sequence[Effect], facts: Facts) -> str | None:
        """Never asked: an older value does no harm, and is replaced by the next."""
        return None

    def stop(self, packet: AttributePacket, facts: Facts, reason: str) -> Steps[StepResult]:
        """Never asked for the same reason; it would be left."""
        return NotNow(reason)
        yield


def _call(packet: AttributePacket) -> Call:
    payload = packet.payload
    attribute = {
        "attributeTypeName": payload.type,
        "attributeElementKey": payload.element,
        "attributeElementValue": payload.value,
    }
    operation = "AssignOrderAttribute" if _is_on_order(packet) else "AssignCustomerAttribute"
    return Call(operation, {"objectId": _object_id(packet), "attributes": [attribute]})


def _present(packet: AttributePacket) -> Steps[list[str] | None]:
    """The values of our element; ``None`` when Centra does not show the object."""
    object_id = _object_id(packet)
    if _is_on_order(packet):
        rows = (yield Query("ReadOrderAttributes", {"number": [object_id], "limit": 1}))["orders"]
    else:
        rows = (yield Query("ReadCustomerAttributes", {"id": [object_id], "limit": 1}))["customers"]
    if not rows:
        return None
    return [
        element["value"]
        for attribute in rows[0]["attributes"]
        if attribute["type"]["name"] == packet.payload.type
        for element in attribute["elements"]
        if element["key"] == packet.payload.element
    ]


def _is_on_order(packet: AttributePacket) -> bool:
    return packet.payload.order_number is not None


def _object_id(packet: AttributePacket) -> int:
    """An order is named by its number, a customer by its id."""
    payload = packet.payload
    return int(payload.order_number if payload.order_number is not None else payload.customer_id or 0)
