"""Every operation, in the order of sending: money and exchanges first, then stock, then notes. Nothing else lists them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from hr_centra_pipeline.core.kinds import OPERATION_OF, OperationName
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.push.operations.attribute import Attribute
from hr_centra_pipeline.push.operations.credit import Credit
from hr_centra_pipeline.push.operations.exchange import Exchange
from hr_centra_pipeline.push.operations.grouping import Grouping
from hr_centra_pipeline.push.operations.note import Note
from hr_centra_pipeline.push.operations.operation import Operation
from hr_centra_pipeline.push.operations.release import Release
from hr_centra_pipeline.push.operations.stock import Stock
from hr_centra_pipeline.push.packets import Effect, Packet

_ALL: tuple[Operation[Any], ...] = (
    Credit(),
    Exchange(),
    Release(),
    Stock(),
    Note("note"),
    Note("customer_note"),
    Attribute(),
)
OPERATIONS: Mapping[OperationName, Operation[Any]] = {one.traits.name: one for one in _ALL}


def cut(effects: Iterable[Effect], policy: Policy, now: datetime) -> Grouping:
    """Group effects into packets, in the order of sending. The same effects, policy and time give the same packets."""
    by_operation: dict[OperationName, list[Effect]] = {name: [] for name in OPERATIONS}
    for effect in effects:
        by_operation[OPERATION_OF[effect.effect_kind]].append(effect)
    result = Grouping()
    for name, operation in OPERATIONS.items():
        operation.cut(by_operation[name], policy, now, result)
    result.packets.sort(key=_turn)
    return result


def _turn(packet: Packet) -> tuple[bool, datetime]:
    """Announcements of refunds come first; then what has waited longest, less the patience of its operation."""
    since = packet.waiting_since or datetime.min.replace(tzinfo=UTC)
    return not packet.payload.announced_orders, since + OPERATIONS[packet.operation].traits.patience
