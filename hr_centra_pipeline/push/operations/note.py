"""A note on an order or customer: our own delimited lines in its internal comment, nobody else's text touched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from hr_centra_pipeline.core.codes import say
from hr_centra_pipeline.core.kinds import STATUS_PATIENCE, OperationName
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

STEPS = StepTable("note", first="write_note", rules={"write_note": then("done")}, gives_nothing=True)


class NoteLine(BaseModel):
    """One of our lines: its effect, what it is about, and the whole of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    about: str
    text: str


class NotePayload(StatusPayload):
    """The lines of one order or customer."""

    STEPS: ClassVar[StepTable] = STEPS

    lines: tuple[NoteLine, ...]


NotePacket = Packet[NotePayload]


class Note:
    """One comment per order, or per customer, and push."""

    def __init__(self, name: OperationName) -> None:
        self.traits = Traits(
            name=name,
            payload=NotePayload,
            patience=STATUS_PATIENCE,
            mutations=1,
            seen_in=status.SEEN_IN,
        )

    def cut(self, effects: Sequence[Effect], policy: Policy, now: datetime, result: Grouping) -> None:
        """Group lines: those about one object together."""
        name = self.traits.name

        def frozen(members: Sequence[Effect]) -> NotePayload:
            lines = [{"key": one.effect_key, "about": one.about, "text": one.text} for one in members]
            return NotePayload.model_validate({**status.target(members, on_order=name == "note"), "lines": lines})

        status.cut(name, effects, result, now, frozen)

    def calls(self, packet: NotePacket, facts: Facts) -> list[Call]:
        """The one writing call; ``<the rest>``: what other people wrote, which is read right before."""
        return [_call(packet, "\n".join(["<the rest>", *(line.text for line in packet.payload.lines)]))]

    def advance(self, packet: NotePacket, facts: Facts) -> Steps[StepResult]:
        """Read the present comment, change our lines, write it back; nothing is sent when it reads so already."""
        present = yield from _present(packet)
        if present is None:
            return NotNow(say("not_shown", "customer" if _is_on_customer(packet) else "order"))
        wanted = with_our_lines(present, packet.payload.lines)
        if wanted == present:
            return Finished(_object_id(packet))
        answer = yield Mutation(_call(packet, wanted))
        return Refused(answer.refusal) if answer.refusal else Finished(_object_id(packet))

    def look_up(self, packet: NotePacket, facts: Facts) -> Steps[LookUpResult]:
        """Are our lines there?"""
        present = (yield from _present(packet)) or ""
        if all(line.text in present for line in packet.payload.lines):
            return Finished(_object_id(packet))
        return Absent()

    def changed(self, packet: NotePacket, today: Sequence[Effect], facts: Facts) -> str | None:
        """Never asked: a line too many does no harm, and is replaced by the next."""
        return None

    def stop(self, packet: NotePacket, facts: Facts, reason: str) -> Steps[StepResult]:
        """Never asked for the same reason; it would be left."""
        return NotNow(reason)
        yield


def _call(packet: NotePacket, text: str) -> Call:
    comment = {"internalComment": text}
    if _is_on_customer(packet):
        return Call("UpdateCustomer", {"customer": {"id": packet.payload.customer_id}, "input": comment})
    order = {"number": int(_object_id(packet))}
    return Call("UpdateDirectToConsumerOrder", {"order": order, "input": comment})


def with_our_lines(present: str, lines: Sequence[NoteLine]) -> str:
    """The comment with our lines in it: a line about the same return is replaced where it is, else added below."""
    text = present
    for line in lines:
        # A function as replacement: a backslash in the text must not be read as a group.
        about = re.compile(rf"\[hr-centra HR[A-Z2-7]{{13}} {re.escape(line.about)}:[^\]\n]*\]")
        if about.search(text):
            text = about.sub(lambda _, new=line.text: new, text, count=1)  # type: ignore[misc]
        else:
            text = f"{text.rstrip()}\n{line.text}".lstrip("\n") if text.strip() else line.text
    return text


def _present(packet: NotePacket) -> Steps[str | None]:
    """The internal comment as it is now; ``None`` when Centra does not show the object."""
    if _is_on_customer(packet):
        customer = {"id": [packet.payload.customer_id], "limit": 1}
        rows = (yield Query("ReadCustomerComments", customer))["customers"]
    else:
        order = {"orderNumber": [int(_object_id(packet))]}
        rows = (yield Query("ReadInternalComment", order))["orders"]
    return (rows[0]["internalComment"] or "") if rows else None


def _is_on_customer(packet: NotePacket) -> bool:
    return packet.operation == "customer_note"


def _object_id(packet: NotePacket) -> str:
    return str(packet.payload.customer_id if _is_on_customer(packet) else packet.payload.order_number)
