"""A note on an order or customer: our own delimited lines in its internal comment, nobody else's text touched."""

from __future__ import annotations

import re

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
    """The one writing call; ``<the rest>`` stands for what other people wrote, which is read right before."""
    return [_call(packet, "\n".join(["<the rest>", *(line["text"] for line in packet.payload["lines"])]))]


def _call(packet: Packet, text: str) -> Call:
    comment = {"internalComment": text}
    if packet.operation == "customer_note":
        return Call("UpdateCustomer", {"customer": {"id": packet.payload["customer_id"]}, "input": comment})
    order = {"number": int(packet.payload["order_number"])}
    return Call("UpdateDirectToConsumerOrder", {"order": order, "input": comment})


def with_our_lines(present: str, lines: list[dict[str, str]]) -> str:
    """The comment with our lines in it: a line about the same return is replaced where it is, else added below."""
    text = present
    for line in lines:
        # A function as replacement: a backslash in the text must not be read as a group.
        about = re.compile(rf"\[hr-centra HR[A-Z2-7]{{13}} {re.escape(line['about'])}:[^\]\n]*\]")
        if about.search(text):
            text = about.sub(lambda _, new=line["text"]: new, text, count=1)  # type: ignore[misc]
        else:
            text = f"{text.rstrip()}\n{line['text']}".lstrip("\n") if text.strip() else line["text"]
    return text


def advance(packet: Packet, _: Facts) -> Steps[StepResult]:
    """Read the present comment, change our lines, write it back; nothing is sent when it reads so already."""
    present = yield from _present(packet)
    if present is None:
        return NotNow(say("not_shown", "customer" if packet.operation == "customer_note" else "order"))
    wanted = with_our_lines(present, packet.payload["lines"])
    if wanted == present:
        return Finished(_object_id(packet))
    answer = yield Tell(_call(packet, wanted))
    return Refused(answer.refusal) if answer.refusal else Finished(_object_id(packet))


def look_up(packet: Packet, _: Facts) -> Steps[LookUpResult]:
    """Are our lines there?"""
    present = (yield from _present(packet)) or ""
    if all(line["text"] in present for line in packet.payload["lines"]):
        return Finished(_object_id(packet))
    return Absent()


def _present(packet: Packet) -> Steps[str | None]:
    """The internal comment as it is now; ``None`` when Centra does not show the object."""
    if packet.operation == "customer_note":
        customer = {"id": [packet.payload["customer_id"]], "limit": 1}
        rows = (yield Ask("ReadCustomerComments", customer))["customers"]
    else:
        order = {"orderNumber": [int(packet.payload["order_number"])]}
        rows = (yield Ask("ReadInternalComment", order))["orders"]
    return (rows[0]["internalComment"] or "") if rows else None


def _object_id(packet: Packet) -> str:
    return str(packet.payload["customer_id" if packet.operation == "customer_note" else "order_number"])
