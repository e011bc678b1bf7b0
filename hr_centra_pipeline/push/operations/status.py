"""What notes and attributes share: one write per order or customer and push, about the state of returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from hr_centra_pipeline.core.codes import say
from hr_centra_pipeline.core.kinds import OperationName, status_may_wait
from hr_centra_pipeline.push.operations.grouping import Grouping, filled, grouped
from hr_centra_pipeline.push.packets import Effect, Payload

SEEN_IN = ("orders", "exports")


class StatusPayload(Payload):
    """About which object, and which orders. ``announces``: it is about the refund of these orders, which comes after it."""

    order_numbers: tuple[str, ...]
    order_number: str | None = None
    customer_id: int | None = None
    announces: bool = False

    @property
    def orders(self) -> tuple[str, ...]:
        """The order that is written to, if it is one."""
        return () if self.order_number is None else (self.order_number,)

    @property
    def announced_orders(self) -> tuple[str, ...]:
        """See ``announces``."""
        return self.order_numbers if self.announces else ()

    @property
    def customers(self) -> tuple[int, ...]:
        """The customer that is written to, if it is one."""
        return () if self.customer_id is None else (self.customer_id,)


def cut(
    operation: OperationName,
    effects: Sequence[Effect],
    result: Grouping,
    now: datetime,
    frozen: Callable[[Sequence[Effect]], Payload],
) -> None:
    """One packet per object: announcements, and what the money of the same push does not soon overtake."""
    announced = [effect for effect in effects if effect.is_announcement]
    later = [effect for effect in effects if not effect.is_announcement]
    for some in (announced, _without_those_soon_overtaken(later, result, now)):
        for group in grouped(some, lambda effect: (effect.effect_kind, effect.group_key)):
            for members in filled(group, lambda _: True):
                result.add(operation, members, frozen(members))


def target(members: Sequence[Effect], *, on_order: bool) -> dict[str, object]:
    """The fields of a payload that name its object."""
    anyone = members[0]
    return {
        "order_numbers": tuple(sorted({effect.order_number for effect in members})),
        **({"order_number": anyone.order_number} if on_order else {"customer_id": anyone.customer_id}),
        **({"announces": True} if anyone.is_announcement else {}),
    }


def _without_those_soon_overtaken(status: Sequence[Effect], result: Grouping, now: datetime) -> list[Effect]:
    """Leave a status whose order gets its money or replacement in the same push: the next plan reports both, in one write.

    Only as long as a status may have to wait anyway: a credit that is held up again and again must not hide the return. The
    reconciliation (``kinds/status_not_updated.sql``) asks for this code and the same time.
    """
    orders = {
        order
        for packet in result.packets
        if packet.operation in ("credit", "exchange")
        for order in packet.payload.orders
    }
    going: list[Effect] = []
    for effect in status:
        if effect.order_number in orders and status_may_wait(effect.waiting_since, now):
            result.skipped.append((effect, say("waits_for_credit")))
        else:
            going.append(effect)
    return going
