"""A release: the shipment of a replacement is marked as paid, or as good to go, as the policy asks. A mark, not a count: made
twice it is the same; it is looked at all the same, so that nothing is released that somebody has canceled meanwhile.
"""

from __future__ import annotations

from typing import Any

from hr_centra_pipeline.core.codes import say
from hr_centra_pipeline.push.facts import Facts
from hr_centra_pipeline.push.packets import Packet
from hr_centra_pipeline.push.returns import unknown_status
from hr_centra_pipeline.push.steps import (
    Absent,
    Ask,
    Call,
    Finished,
    Held,
    LookUpResult,
    NotNow,
    Refused,
    StepResult,
    Steps,
    Tell,
    Undone,
)

_MARKS = {"paid": "isPaid", "good_to_go": "isGoodToGo"}


def calls(packet: Packet, facts: Facts) -> list[Call]:
    """The one writing call."""
    mark = _MARKS[packet.payload["release"]]
    return [Call("UpdateShipment", {"id": packet.payload["shipment_id"], "input": {mark: True}})]


def advance(packet: Packet, facts: Facts) -> Steps[StepResult]:
    """Mark the shipment, unless it is marked or its order is not to be shipped any more."""
    found = yield from _shipment(packet)
    if found is None:
        return Held(packet.members, say("shipment_gone", packet.payload["shipment_id"]))
    meaning = _meaning(found, facts)
    if meaning is None:
        return NotNow(unknown_status(found["order"]["status"]))
    if meaning == "cancelled":
        return Held(packet.members, say("order_canceled_meanwhile"))
    if _is_released(packet, found):
        return Finished(str(found["id"]))
    answer = yield Tell(calls(packet, facts)[0])
    return Refused(answer.refusal) if answer.refusal else Finished(str(found["id"]))


def stop(_: Packet, __: Facts, reason: str) -> Steps[StepResult]:
    """Give the packet up because today's plan no longer wants it. Its only step was not made, so there is nothing to take back."""
    return NotNow(reason)
    yield


def look_up(packet: Packet, facts: Facts) -> Steps[LookUpResult]:
    """Is the mark there?"""
    found = yield from _shipment(packet)
    if found is not None and _is_released(packet, found):
        return Finished(str(found["id"]))
    if found is None or _meaning(found, facts) == "cancelled":
        return Undone(say("release_gone"))
    return Absent()


def _shipment(packet: Packet) -> Steps[dict[str, Any] | None]:
    data = yield Ask("LookAtShipment", {"id": [packet.payload["shipment_id"]]})
    return data["shipments"][0] if data["shipments"] else None


def _is_released(packet: Packet, found: dict[str, Any]) -> bool:
    return bool(found[_MARKS[packet.payload["release"]]] or found["isShipped"])


def _meaning(found: dict[str, Any], facts: Facts) -> str | None:
    return facts.words.order_status.meaning_of(found["order"]["status"])
