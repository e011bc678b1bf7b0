"""Effects as the last plan has them, and the packets in which they travel. Once sent, a packet is never cut again.

What is in a packet is its operation's to say (``operations/``): each has a frozen payload of its own, stored as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Generic, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from typing_extensions import TypeVar  # pydantic brings it; a type variable with a default is not in Python 3.11

from hr_centra_pipeline.core.codes import as_kept, say
from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.core.kinds import OperationName, Step
from hr_centra_pipeline.push.states import PacketState, StepTable, check_packet
from hr_centra_pipeline.push.steps import Trouble
from hr_centra_pipeline.warehouse import models
from hr_centra_pipeline.warehouse.database import Connection

MOST_PAYMENTS = 2  # a payment whose first call left no trace is made once more, then a person decides


@dataclass(frozen=True)
class Effect:
    """One effect as the last plan describes it; ``waits_for`` says why it may not be sent now, with its code beside it.

    ``ledger_state``: planned, or under way (``sending``, ``unknown``); ``planned_at``: since when. ``is_given_back``: the value of
    its unit was given back, other than by a replacement.
    """

    effect_key: str
    effect_kind: str
    group_key: str
    return_id: str
    return_item_id: str | None
    order_number: str
    shipment_id: int | None
    shipment_line_id: int | None
    bundle: str | None
    bundle_shipment_line_id: int | None
    bundle_units: int | None
    sku: str | None
    quantity: int
    warehouse_id: int | None
    from_warehouse_id: int | None
    currency: str | None
    amount: Decimal | None
    items: Decimal | None
    tax: Decimal | None
    shipping: Decimal | None
    fee: Decimal | None
    voucher: Decimal | None
    tax_mode: str | None
    tax_added: Decimal | None
    fee_tax_added: Decimal | None
    pays_through: str | None
    text: str | None
    express_code: str | None
    about: str | None
    customer_id: int | None
    refund_id: str | None
    origin_return_id: int | None
    travels_alone: bool
    is_announcement: bool
    waiting_since: datetime
    mode: str
    waits_for: str | None
    waits_for_code: str | None
    ledger_state: str
    planned_at: datetime
    is_given_back: bool

    @property
    def why(self) -> str | None:
        """``waits_for`` with its code."""
        return as_kept(self.waits_for, self.waits_for_code)

    @property
    def held_by(self) -> str | None:
        """Why it may not be sent now; ``None``: it may."""
        return self.why or (None if self.mode == "live" else say("mode", self.mode))

    @property
    def waits_for_its_time(self) -> bool:
        """It is sent automatically once a time has come."""
        return self.waits_for_code == "waits_until"

    @property
    def names(self) -> dict[str, str | None]:
        """What it is and what it is of, for a list in JSON."""
        return {
            "effect_key": self.effect_key, "effect_kind": self.effect_kind, "return_id": self.return_id,
            "return_item_id": self.return_item_id, "order_number": self.order_number,
        }  # fmt: skip


class Payload(BaseModel):
    """All that a packet's calls are made from: frozen when it is cut; what its steps learn joins it (:meth:`joined`).

    Amounts are decimals, as text in the JSON; what was never set is not written. A key that no field names is refused:
    anyone who renames or drops a field adds the old key to ``RETIRED``, which is skipped when an earlier version's row is
    read, and refused like any other when a payload is made.

    ``first_step``: where the packet began, when it was made from a Return that was there before. ``payments_allowed``: how
    many payments a person has let through beyond :data:`MOST_PAYMENTS`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    STEPS: ClassVar[StepTable]
    RETIRED: ClassVar[frozenset[str]] = frozenset()

    first_step: Step | None = None
    payments_allowed: int = 0

    @classmethod
    def read(cls, stored: str) -> Self:
        """The payload of a stored row, whatever version wrote it.

        Raises:
            RunFailed: names what this version cannot read of it.
        """
        given: dict[str, Any] = json.loads(stored)
        try:
            return cls.model_validate({name: value for name, value in given.items() if name not in cls.RETIRED})
        except ValidationError as error:
            what = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise RunFailed(
                f"a stored payload of {cls.STEPS.operation} cannot be read by this version: {what}"
            ) from error

    def stored(self) -> str:
        """As JSON: the fields that were set, and no others."""
        return self.model_dump_json(exclude_unset=True)

    def joined(self, learned: Mapping[str, Any]) -> Self:
        """The payload with what a step has learned.

        Raises:
            pydantic.ValidationError: it is not a field of this operation: a mistake in this program.
        """
        if not learned:
            return self
        return type(self).model_validate({**{name: getattr(self, name) for name in self.model_fields_set}, **learned})

    # ---------------------------------------------------------------- what the sender asks of any payload

    @property
    def begins_at(self) -> Step:
        """Where its packet began."""
        return self.first_step or self.STEPS.first

    @property
    def orders(self) -> tuple[str, ...]:
        """Numbers of the orders that its calls change."""
        return ()

    @property
    def announced_orders(self) -> tuple[str, ...]:
        """Numbers of the orders whose refund it announces: that comes after it."""
        return ()

    @property
    def customers(self) -> tuple[int, ...]:
        """Customers that its calls change."""
        return ()

    @property
    def units(self) -> tuple[str, ...]:
        """Members that are units of the goods; empty: all are."""
        return ()

    @property
    def payer(self) -> str:
        """Who pays what it gives; empty: nobody."""
        return ""

    @property
    def is_opened_again(self) -> bool:
        """The Return that it was made from was completed, and is opened for it."""
        return False

    @property
    def is_put_back(self) -> bool:
        """That Return is put back as it was: it gives nothing any more."""
        return False

    @property
    def issued_by_platform(self) -> str | None:
        """What the returns platform's rows say of its payment, when it may have been paid there."""
        return None

    def allowed(self, trouble: Trouble | None) -> Self:
        """The payload once a person has let its packet through, in spite of this trouble."""
        return self.joined({"payments_allowed": self.payments_allowed + (trouble == "unpaid")})


P = TypeVar("P", bound=Payload, default=Payload, covariant=True)


@dataclass(frozen=True)
class Packet(Generic[P]):
    """Effects that travel in one write (of one or more steps); ``payload`` is all that its calls are made from."""

    key: str
    operation: OperationName
    members: tuple[str, ...]
    payload: P
    step: Step
    state: PacketState = "new"
    centra_id: str | None = None
    message: str | None = None
    payments_sent: int = 0
    trouble: Trouble | None = None  # in doubt for good: a person must look
    real_sent_at: datetime | None = None
    created_at: datetime | None = None
    waiting_since: datetime | None = None

    @property
    def has_origin(self) -> bool:
        """It is done on a Return that was there before, ours or another user's: that one is not its own, and never deleted."""
        return self.payload.first_step is not None

    @property
    def is_begun(self) -> bool:
        """A step of it is done in Centra: what is left is finished, not begun again."""
        return self.step != self.payload.begins_at or self.payload.is_opened_again

    @property
    def is_paying(self) -> bool:
        """Its next call gives money."""
        return self.payload.STEPS.of(self.step).pays

    @property
    def objects(self) -> frozenset[str]:
        """What of Centra has to be left alone by others while it is under way. A stock movement changes no order."""
        orders = [*self.payload.orders, *self.payload.announced_orders]
        return frozenset([*(f"order {one}" for one in orders), *(f"customer {one}" for one in self.payload.customers)])

    def at(self, step: Step, **changes: Any) -> Packet[P]:
        """The packet with another step."""
        return replace(self, step=step, **changes)

    def joined(self, learned: Mapping[str, Any]) -> Packet[P]:
        """The packet with what a step has learned in its payload."""
        return replace(self, payload=self.payload.joined(learned))


def check_move(before: Packet, after: Packet) -> None:
    """Let a packet go on, if the tables of its states and steps allow it.

    Raises:
        ForbiddenMoveError: names the move.
    """
    check_packet(before.state, after.state)
    before.payload.STEPS.check(before.step, after.step)


def considered_effects(connection: Connection, now: datetime) -> list[Effect]:
    """Every effect of the last plan that is planned or under way, the earliest trigger first."""
    models.run(connection, ["push/sendable_effects.sql"], (), {"now": now})
    names = [column[0] for column in connection.description or []]
    return [Effect(**dict(zip(names, row, strict=True))) for row in connection.fetchall()]


def planned_effects(connection: Connection, now: datetime) -> list[Effect]:
    """Those of them that are planned."""
    return [effect for effect in considered_effects(connection, now) if effect.ledger_state == "planned"]
