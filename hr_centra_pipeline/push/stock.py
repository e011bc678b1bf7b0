"""A stock movement: one ``changeStock`` for many units. Centra keeps no external id on it: the keys in its text are all."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hr_centra_pipeline.core.keys import effect_keys_in
from hr_centra_pipeline.push.packets import Packet
from hr_centra_pipeline.push.results import (
    Absent,
    Finished,
    InDoubt,
    LookUpResult,
    Refused,
    StepResult,
    members_of_path,
)
from hr_centra_pipeline.push.wire import Call, Wire

_MARGIN = timedelta(hours=1)  # Centra's clock and ours need not agree


def calls(packet: Packet) -> list[Call]:
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


def advance(packet: Packet, wire: Wire) -> StepResult:
    """Move the units."""
    answer = wire.write(packet, calls(packet)[0])
    if answer.refusal:
        members = [size["members"] for size in packet.payload["sizes"]]
        return Refused(answer.refusal, members_of_path(answer.path, {"productSizes": members}))
    return Finished(str(answer.payload["stockChange"]["id"]))


def look_up(packet: Packet, wire: Wire) -> LookUpResult:
    """Look for the packet's text among the stock changes of its warehouse around the time of sending."""
    for found in _around(packet, wire):
        if packet.key not in found["comment"]:
            continue
        if set(effect_keys_in(found["comment"])) == set(packet.members):
            return Finished(str(found["id"]))
        return InDoubt(f"stock change {found['id']} carries our key {packet.key}, but other units", needs_person=True)
    return Absent()


def _around(packet: Packet, wire: Wire) -> list[dict[str, Any]]:
    warehouse = packet.payload["into"] or packet.payload["out_from"]
    # Two clocks: the decision's (which a person may set back) and the real one; Centra's is near one of them.
    known = [instant for instant in (packet.created_at, packet.real_sent_at) if instant]
    where = {
        "createdAt": {"from": _text(min(known) - _MARGIN), "to": _text(max(known) + _MARGIN)},
        "warehouseId": [warehouse],
    }
    return wire.read_all("LookAtStockChanges", {"where": where}, "stockChangeConnection")


def _text(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds")
