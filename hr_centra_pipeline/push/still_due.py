"""Does today's plan still want what a packet was frozen with? Asked by the sender before every step, of every operation.

A packet may be half done for days: meanwhile its unit is refused, the payer or a limit of the policy changes, money comes back
another way. Only what gives nothing passes unasked, by name: notes, and the steps that take something back.
"""

from __future__ import annotations

from hr_centra_pipeline.core.codes import say
from hr_centra_pipeline.push.facts import Facts
from hr_centra_pipeline.push.operations.registry import OPERATIONS
from hr_centra_pipeline.push.packets import Packet

NOT_DUE = say("not_due")


def stopped(packet: Packet, facts: Facts) -> str | None:
    """Why a packet's next step may not be made; ``None``: it may."""
    payload = packet.payload
    rule = payload.STEPS.of(packet.step)
    if payload.STEPS.gives_nothing or rule.takes_back or payload.is_put_back:
        return None
    if facts.unwanted_of(packet.members):
        return NOT_DUE
    today = [facts.today[member] for member in packet.members]
    if rule.is_made:
        held: str | None = say("given_back_meanwhile") if any(effect.is_given_back for effect in today) else None
    else:
        held = next((why for effect in today if (why := effect.held_by)), None)
    return held or OPERATIONS[packet.operation].changed(packet, today, facts)
