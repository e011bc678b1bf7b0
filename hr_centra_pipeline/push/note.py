"""A note on an order: our own delimited lines in its internal comment, nobody else's text touched."""

from __future__ import annotations

import re

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
    order = {"number": int(packet.payload["order_number"])}
    return Call("UpdateDirectToConsumerOrder", {"order": order, "input": {"internalComment": text}})


def with_our_lines(present: str, lines: list[dict[str, str]]) -> str:
    """The comment with our lines in it: a line about the same return is replaced where it stands, else added below."""
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
    """Read what stands there, change our lines, write it back; nothing is sent when it reads so already."""
    present = yield from _present(packet)
    if present is None:
        return NotNow("Centra does not show the order")
    wanted = with_our_lines(present, packet.payload["lines"])
    if wanted == present:
        return Finished(packet.payload["order_number"])
    answer = yield Tell(_call(packet, wanted))
    return Refused(answer.refusal) if answer.refusal else Finished(packet.payload["order_number"])


def look_up(packet: Packet, _: Facts) -> Steps[LookUpResult]:
    """Do our lines stand there?"""
    present = (yield from _present(packet)) or ""
    if all(line["text"] in present for line in packet.payload["lines"]):
        return Finished(packet.payload["order_number"])
    return Absent()


def _present(packet: Packet) -> Steps[str | None]:
    data = yield Ask("ReadInternalComment", {"orderNumber": [int(packet.payload["order_number"])]})
    return (data["orders"][0]["internalComment"] or "") if data["orders"] else None
