"""A stock movement: one ``changeStock`` for many units. Centra keeps no external id on it: the keys in its text are all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from hr_centra_pipeline.core.codes import say
from hr_centra_pipeline.core.keys import PACKET_KEY, effect_keys_in, packet_key
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.push.facts import Facts
from hr_centra_pipeline.push.operations.grouping import ANY_KEY, Grouping, filled, grouped
from hr_centra_pipeline.push.operations.operation import Traits
from hr_centra_pipeline.push.packets import Effect, Packet, Payload
from hr_centra_pipeline.push.states import StepTable, then
from hr_centra_pipeline.push.steps import (
    Absent,
    Call,
    Finished,
    Held,
    InDoubt,
    LookUpResult,
    Mutation,
    NotNow,
    Query,
    Refused,
    StepResult,
    Steps,
    members_of_path,
)

_MARGIN = timedelta(hours=1)  # Centra's clock and ours need not agree
_PAGE_SIZE = 100
_MOST_RETURNS = 200  # that LookAtReturns reads


STEPS = StepTable("stock", first="change_stock", rules={"change_stock": then("done")})


class StockSize(BaseModel):
    """How many units of an article, and whose they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sku: str
    quantity: int
    members: tuple[str, ...]


class StockPayload(Payload):
    """One stock change between two warehouses, of which one may be none. ``shipment_lines``: by effect.

    ``order_numbers``: whose Returns may have put the goods back already; a stock movement changes no order.
    """

    STEPS: ClassVar[StepTable] = STEPS
    RETIRED: ClassVar[frozenset[str]] = frozenset({"units"})

    into: int | None
    out_from: int | None
    sizes: tuple[StockSize, ...]
    shipment_lines: Mapping[str, int]
    order_numbers: tuple[str, ...]
    description: str


StockPacket = Packet[StockPayload]


class Stock:
    """One change per pair of warehouses."""

    traits = Traits(
        name="stock",
        payload=StockPayload,
        patience=timedelta(hours=4),
        mutations=1,
        seen_in=("stock_changes", "returns", "exports"),
        # A credit or a replacement is looked for on its own order right before it is made; a movement has no such place.
        back_to_cutover=("stock_changes", "returns"),
    )

    def cut(self, effects: Sequence[Effect], policy: Policy, now: datetime, result: Grouping) -> None:
        """Group movements: one change per pair of warehouses, as many units as their keys fit into its text."""
        _cut(effects, policy, result)

    def calls(self, packet: StockPacket, facts: Facts) -> list[Call]:
        """The one writing call."""
        return [call(packet)]

    def advance(self, packet: StockPacket, facts: Facts) -> Steps[StepResult]:
        """Move the units, unless somebody has put them back since the last pull."""
        if problem := (yield from _put_back_meanwhile(packet, facts)):
            return problem
        if problem := (yield from _arrived_late(packet, facts)):
            return problem
        answer = yield Mutation(call(packet))
        if answer.refusal:
            members = [size.members for size in packet.payload.sizes]
            return Refused(answer.refusal, members_of_path(answer.path, {"productSizes": members}))
        return Finished(str(answer.payload["stockChange"]["id"]))

    def look_up(self, packet: StockPacket, facts: Facts) -> Steps[LookUpResult]:
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

    def changed(self, packet: StockPacket, today: Sequence[Effect], facts: Facts) -> str | None:
        """Does it go the same way?"""
        way = packet.payload.out_from, packet.payload.into
        changed = any((effect.from_warehouse_id, effect.warehouse_id) != way for effect in today)
        return say("another_warehouse") if changed else None

    def stop(self, packet: StockPacket, facts: Facts, reason: str) -> Steps[StepResult]:
        """Give the packet up: its only step was not made, so there is nothing to take back."""
        return NotNow(reason)
        yield


def _cut(effects: Sequence[Effect], policy: Policy, result: Grouping) -> None:
    most = (policy.centra.description_limit - len(ANY_KEY)) // 16  # a blank and a short key each

    def same_way(effect: Effect) -> tuple[object, ...]:
        return effect.group_key, effect.from_warehouse_id, effect.warehouse_id

    for group in grouped(effects, same_way):
        for members in filled(group, lambda some: len(some) <= most):
            anyone = members[0]
            if (anyone.warehouse_id is None and anyone.from_warehouse_id is None) or any(not e.sku for e in members):
                result.skipped += [(effect, say("plan_incomplete", "warehouse or SKU")) for effect in members]
                continue
            sizes: dict[str, dict[str, Any]] = {}
            for effect in members:
                size = sizes.setdefault(str(effect.sku), {"sku": effect.sku, "quantity": 0, "members": []})
                size["quantity"] += effect.quantity
                size["members"].append(effect.effect_key)
            keys = [effect.effect_key for effect in members]
            payload = StockPayload(
                into=anyone.warehouse_id,
                out_from=anyone.from_warehouse_id,
                sizes=tuple(StockSize.model_validate(size) for size in sizes.values()),
                shipment_lines={
                    effect.effect_key: effect.shipment_line_id for effect in members if effect.shipment_line_id
                },
                order_numbers=tuple(sorted({effect.order_number for effect in members})),
                description=" ".join([packet_key(keys), *keys]),
            )
            result.add("stock", members, payload)


def call(packet: StockPacket) -> Call:
    """``changeStock`` of the packet's units."""
    payload = packet.payload
    made: dict[str, Any] = {
        "description": payload.description,
        "productSizes": [
            {"productSize": {"SKU": size.sku}, "deliveredQuantity": size.quantity} for size in payload.sizes
        ],
    }
    for warehouse_id, field in ((payload.into, "intoWarehouse"), (payload.out_from, "outFromWarehouse")):
        if warehouse_id is not None:
            made[field] = {"id": warehouse_id}
    return Call("ChangeStock", {"input": made})


def _put_back_meanwhile(packet: StockPacket, facts: Facts) -> Steps[Held | NotNow | None]:
    """One stock mechanism per unit: a Return that somebody made by hand may have put the goods back already."""
    lines = packet.payload.shipment_lines
    data = yield Query("LookAtReturns", {"orderNumber": [int(number) for number in packet.payload.order_numbers]})
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


def _arrived_late(packet: StockPacket, facts: Facts) -> Steps[Held | None]:
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


def _since(packet: StockPacket, instant: datetime) -> Steps[list[dict[str, Any]]]:
    """Stock changes of the packet's warehouses; which of a transfer's two Centra files it under is not documented."""
    ends = [end for end in (packet.payload.into, packet.payload.out_from) if end is not None]
    where = {"createdAt": {"from": (instant - _MARGIN).isoformat(timespec="seconds")}, "warehouseId": ends}
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        data = yield Query("LookAtStockChanges", {"where": where, "first": _PAGE_SIZE, "after": after})
        page = data["stockChangeConnection"]
        found += [edge["node"] for edge in page["edges"]]
        following = page["pageInfo"]["endCursor"] if page["pageInfo"]["hasNextPage"] else None
        if following is None or following == after:
            return found
        after = following
