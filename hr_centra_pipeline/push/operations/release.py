"""A release: the shipment of a replacement is marked as paid, or as good to go, as the policy asks. A mark, not a count: made
twice it is the same; it is looked at all the same, so that nothing is released that somebody has canceled meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from hr_centra_pipeline.core.codes import say
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.push.facts import Facts
from hr_centra_pipeline.push.operations.grouping import Grouping, grouped
from hr_centra_pipeline.push.operations.operation import Traits
from hr_centra_pipeline.push.packets import Effect, Packet, Payload
from hr_centra_pipeline.push.returns import unknown_status
from hr_centra_pipeline.push.states import StepTable, then
from hr_centra_pipeline.push.steps import (
    Absent,
    Call,
    Finished,
    Held,
    LookUpResult,
    Mutation,
    NotNow,
    Query,
    Refused,
    Reverted,
    StepResult,
    Steps,
)

_MARKS = {"paid": "isPaid", "good_to_go": "isGoodToGo"}

STEPS = StepTable("release", first="release", rules={"release": then("done")})


class ReleasePayload(Payload):
    """One shipment of a replacement, and the mark that the policy asks for."""

    STEPS: ClassVar[StepTable] = STEPS

    order_number: str
    shipment_id: int
    release: Literal["paid", "good_to_go"]

    @property
    def orders(self) -> tuple[str, ...]:
        """The replacement."""
        return (self.order_number,)


ReleasePacket = Packet[ReleasePayload]


class Release:
    """One mark per shipment of a replacement."""

    traits = Traits(
        name="release",
        payload=ReleasePayload,
        patience=timedelta(0),
        mutations=1,
        seen_in=("orders", "shipments", "exports"),
    )

    def cut(self, effects: Sequence[Effect], policy: Policy, now: datetime, result: Grouping) -> None:
        """One packet for each shipment; ``text`` is the mark."""
        for members in grouped(effects, lambda effect: (effect.order_number, effect.shipment_id, effect.text)):
            anyone = members[0]
            frozen = {"order_number": anyone.order_number, "shipment_id": anyone.shipment_id, "release": anyone.text}
            result.add("release", members, ReleasePayload.model_validate(frozen))

    def calls(self, packet: ReleasePacket, facts: Facts) -> list[Call]:
        """The one writing call."""
        return [_call(packet)]

    def advance(self, packet: ReleasePacket, facts: Facts) -> Steps[StepResult]:
        """Mark the shipment, unless it is marked or its order is not to be shipped any more."""
        found = yield from _shipment(packet)
        if found is None:
            return Held(packet.members, say("shipment_gone", packet.payload.shipment_id))
        meaning = _meaning(found, facts)
        if meaning is None:
            return NotNow(unknown_status(found["order"]["status"]))
        if meaning == "cancelled":
            return Held(packet.members, say("order_canceled_meanwhile"))
        if _is_released(packet, found):
            return Finished(str(found["id"]))
        answer = yield Mutation(_call(packet))
        return Refused(answer.refusal) if answer.refusal else Finished(str(found["id"]))

    def look_up(self, packet: ReleasePacket, facts: Facts) -> Steps[LookUpResult]:
        """Is the mark there?"""
        found = yield from _shipment(packet)
        if found is not None and _is_released(packet, found):
            return Finished(str(found["id"]))
        if found is None or _meaning(found, facts) == "cancelled":
            return Reverted(say("release_gone"))
        return Absent()

    def changed(self, packet: ReleasePacket, today: Sequence[Effect], facts: Facts) -> str | None:
        """A mark is a mark."""
        return None

    def stop(self, packet: ReleasePacket, facts: Facts, reason: str) -> Steps[StepResult]:
        """Give the packet up: its only step was not made, so there is nothing to take back."""
        return NotNow(reason)
        yield


def _call(packet: ReleasePacket) -> Call:
    mark = _MARKS[packet.payload.release]
    return Call("UpdateShipment", {"id": packet.payload.shipment_id, "input": {mark: True}})


def _shipment(packet: ReleasePacket) -> Steps[dict[str, Any] | None]:
    data = yield Query("LookAtShipment", {"id": [packet.payload.shipment_id]})
    return data["shipments"][0] if data["shipments"] else None


def _is_released(packet: ReleasePacket, found: dict[str, Any]) -> bool:
    return bool(found[_MARKS[packet.payload.release]] or found["isShipped"])


def _meaning(found: dict[str, Any], facts: Facts) -> str | None:
    return facts.words.order_status.meaning_of(found["order"]["status"])
