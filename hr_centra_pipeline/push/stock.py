"""A stock movement: one ``changeStock`` for many units. Centra keeps no external id on it: the keys in its text are all."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hr_centra_pipeline.core.codes import say
from hr_centra_pipeline.core.keys import PACKET_KEY, effect_keys_in
from hr_centra_pipeline.push.facts import Facts
from hr_centra_pipeline.push.packets import Packet
from hr_centra_pipeline.push.steps import (
    Absent,
    Ask,
    Call,
    Finished,
    Held,
    InDoubt,
    LookUpResult,
    NotNow,
    Refused,
    StepResult,
    Steps,
    Tell,
    members_of_path,
)

_MARGIN = timedelta(hours=1)  # Centra's clock and ours need not agree
_PAGE_SIZE = 100
_MOST_RETURNS = 200  # that LookAtReturns reads


def calls(packet: Packet, facts: Facts) -> list[Call]:
    """The one writing call of this packet."""
    payload = packet.payload
    made: dict[str, Any] = {
        "description": payload["description"],
        "productSizes": [
            {"productSize": {"SKU": size["sku"]}, "deliveredQuantity": size["quantity"]} for size in payload["sizes"]
        ],
    }
    for name, field in (("into", "intoWarehouse"), ("out_from", "outFromWarehouse")):
        if payload[name] is not None:
            made[field] = {"id": payload[name]}
    return [Call("ChangeStock", {"input": made})]


def advance(packet: Packet, facts: Facts) -> Steps[StepResult]:
    """Move the units, unless somebody has put them back since the last pull."""
    if problem := (yield from _put_back_meanwhile(packet, facts)):
        return problem
    if problem := (yield from _arrived_late(packet, facts)):
        return problem
    answer = yield Tell(calls(packet, facts)[0])
    if answer.refusal:
        members = [size["members"] for size in packet.payload["sizes"]]
        return Refused(answer.refusal, members_of_path(answer.path, {"productSizes": members}))
    return Finished(str(answer.payload["stockChange"]["id"]))


def _put_back_meanwhile(packet: Packet, facts: Facts) -> Steps[Held | NotNow | None]:
    """One stock mechanism per unit: a Return that somebody made by hand may have put the goods back already."""
    lines: dict[str, int] = packet.payload["shipment_lines"]
    data = yield Ask("LookAtReturns", {"orderNumber": [int(number) for number in packet.payload["order_numbers"]]})
    if len(data["returns"]) >= _MOST_RETURNS:
        return NotNow(say("too_many_returns", "its orders have", len(data["returns"])))
    for found in data["returns"]:
        is_ours = PACKET_KEY.search(f"{found['comment'] or ''} {found['externalId'] or ''}")
        if is_ours or found["id"] in facts.known_returns or not found["returnedToStock"]:
            continue
        touched = {line["shipmentLine"]["id"] for line in found["lines"]}
        if members := tuple(member for member, line in lines.items() if line in touched):
            return Held(members, say("put_back_meanwhile", found["id"]))
    return None


def _arrived_late(packet: Packet, facts: Facts) -> Steps[Held | None]:
    """Effects that were sent once and found absent: the first call may have arrived after all."""
    sent = {member: facts.sent_before[member] for member in packet.members if member in facts.sent_before}
    if not sent:
        return None
    since = min([*sent.values(), *([packet.created_at] if packet.created_at else [])])
    for found in (yield from _since(packet, since)):
        if there := set(sent) & set(effect_keys_in(found["comment"])):
            reason = say("in_centra_already", f"stock change {found['id']}")
            return Held(tuple(member for member in packet.members if member in there), reason)
    return None


def stop(_: Packet, __: Facts, reason: str) -> Steps[StepResult]:
    """Give the packet up because today's plan no longer wants it. Its only step was not made, so there is nothing to take back."""
    return NotNow(reason)
    yield


def look_up(packet: Packet, facts: Facts) -> Steps[LookUpResult]:
    """Look for the packet's text among the stock changes of its warehouses since it was sent."""
    # Two clocks: the decision's (which a person may set back) and the real one; Centra's is near one of them.
    known = [instant for instant in (packet.created_at, packet.real_sent_at) if instant]
    for found in (yield from _since(packet, min(known))):
        if packet.key not in found["comment"]:
            continue
        if set(effect_keys_in(found["comment"])) == set(packet.members):
            return Finished(str(found["id"]))
        return InDoubt(f"stock change {found['id']} carries our key {packet.key}, but other units", "not_ours")
    return Absent()


def _since(packet: Packet, instant: datetime) -> Steps[list[dict[str, Any]]]:
    """Stock changes of the packet's warehouses; which of a transfer's two Centra files it under is not documented."""
    ends = [end for end in (packet.payload["into"], packet.payload["out_from"]) if end is not None]
    where = {"createdAt": {"from": (instant - _MARGIN).isoformat(timespec="seconds")}, "warehouseId": ends}
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        data = yield Ask("LookAtStockChanges", {"where": where, "first": _PAGE_SIZE, "after": after})
        page = data["stockChangeConnection"]
        found += [edge["node"] for edge in page["edges"]]
        following = page["pageInfo"]["endCursor"] if page["pageInfo"]["hasNextPage"] else None
        if following is None or following == after:
            return found
        after = following
