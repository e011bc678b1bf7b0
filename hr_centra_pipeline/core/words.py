"""What the words of Centra's enums mean to us. The words are data (``[centra.words]`` in the policy), the meanings are ours.

Centra documents few of its enum words, and may add some at any time. Every enum is landed as text; a word that is not in
this map is reported as drift, and nothing is decided by it until the policy says what it means.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Word = Annotated[str, Field(min_length=1)]
Instrument = Literal["original", "gift_card"]
Money = Literal[
    "captured", "capture_pending", "capture_answered",
    "refunded", "refund_pending", "refund_failed", "refund_answered", "neutral",
]  # fmt: skip
"""What one payment entry did to the money of its order. ``…_pending``: requested, and not answered yet; ``…_answered``: a
request whose answer has an entry of its own, which says what came of it."""
Step = Literal["capture_request", "capture_answer", "refund_request", "refund_answer"]
Says = Literal["yes", "no", "open"]


class _Enum(BaseModel):
    """Words by meaning; no word has two meanings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _one_meaning_each(self) -> Self:
        every = [word for words in self.by_meaning().values() for word in words]
        twice = sorted({word for word in every if every.count(word) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} is listed under two meanings")
        return self

    def by_meaning(self) -> dict[str, list[str]]:
        """The words of each meaning."""
        return {name: list(getattr(self, name)) for name in type(self).model_fields}

    def meaning_of(self, word: str | None) -> str | None:
        """What a word means; ``None``: the policy does not say."""
        return next((meaning for meaning, words in self.by_meaning().items() if word in words), None)


class OrderStatus(_Enum):
    """``OrderStatus``."""

    open: list[Word] = ["PENDING", "CONFIRMED", "PROCESSING"]
    shipped: list[Word] = ["SHIPPED", "ARCHIVED"]
    cancelled: list[Word] = ["DELETED", "CANCELLED", "CANCELED"]


class ReturnStatus(_Enum):
    """``ReturnStatus``."""

    pending: list[Word] = ["PENDING"]
    completed: list[Word] = ["COMPLETED"]


class PaymentType(_Enum):
    """``PaymentHistoryEntryType``."""

    captured: list[Word] = ["CAPTURE", "PREPAID", "MARKED_AS_PAID"]
    captured_gift_card: list[Word] = ["CAPTURE_GIFT_CARD"]
    capture_requested: list[Word] = ["CAPTURE_REQUEST", "CAPTURE_PENDING"]
    capture_failed: list[Word] = ["CAPTURE_FAILED"]
    refunded: list[Word] = ["REFUND"]
    refunded_gift_card: list[Word] = ["REFUND_GIFT_CARD"]
    refund_requested: list[Word] = ["REFUND_REQUEST"]
    refund_failed: list[Word] = ["REFUND_FAILED"]
    neutral: list[Word] = [
        "AUTH", "AUTH_PENDING", "AUTH_GIFT_CARD", "CANCEL", "CANCEL_REQUEST", "CANCEL_GIFT_CARD", "MARKED_AS_UNPAID",
        "ADDITIONAL_ORDER_PAYMENT", "INVOICE", "OTHER",
    ]  # fmt: skip


class PaymentStatus(_Enum):
    """``PaymentHistoryEntryStatus``."""

    succeeded: list[Word] = ["SUCCESS"]
    pending: list[Word] = ["PENDING"]
    failed: list[Word] = ["FAILED"]


class StockChangeType(_Enum):
    """``StockChangeType``. What a movement did is read from its lines and warehouses: these words are only expected."""

    expected: list[Word] = ["IN", "OUT", "TRANSFER", "RETURN", "SHIPMENT", "OTHER"]


class WarehouseStatus(_Enum):
    """``Status`` of a warehouse."""

    active: list[Word] = ["ACTIVE"]
    inactive: list[Word] = ["INACTIVE", "CANCELLED"]


class StockMaster(_Enum):
    """``WarehouseStockMaster``: who may change the stock of a warehouse."""

    centra: list[Word] = ["CENTRA"]
    external: list[Word] = ["EXTERNAL"]


class ReturnCreatedFrom(_Enum):
    """``Return.createdFrom``: who made a Return. It is a text, and its words are not documented.

    A Return with an admin user is a person's, whatever the word; without one, a word that is not listed means that another
    integration or user made it.
    """

    person: list[Word] = ["AMS"]
    integration: list[Word] = ["API"]


class Payment(NamedTuple):
    """What a payment entry did, and by which instrument; of a request: what it did if no entry answers it.

    ``step``: its part in a payment in two steps, ``None`` for one that is in none; ``says``: what came of the payment, by
    this entry alone. ``takes_back``: without a request that it could answer, it says that an earlier refund has failed after all.
    """

    money: Money
    instrument: Instrument
    step: Step | None = None
    says: Says = "open"
    takes_back: bool = False

    @property
    def is_refund(self) -> bool:
        """It is part of giving money back, whatever came of it."""
        return self.money in REFUNDS


REFUNDS: tuple[Money, ...] = ("refunded", "refund_pending", "refund_failed", "refund_answered")
"""What is part of giving money back, as ``is_about_refund`` in facts.sql has it."""
GIVEN_BACK: tuple[Money, ...] = ("refunded", "refund_pending")
"""Money that counts as given back, as ``is_given_back`` in facts.sql has it."""

_DID: dict[tuple[str, str], Money] = {
    ("captured", "succeeded"): "captured",
    ("captured", "pending"): "capture_pending",
    ("captured_gift_card", "succeeded"): "captured",
    ("captured_gift_card", "pending"): "capture_pending",
    ("capture_requested", "pending"): "capture_pending",
    # That it succeeded may be said of the asking: money that no entry shows as captured is waited for, and not given back.
    ("capture_requested", "succeeded"): "capture_pending",
    ("refunded", "succeeded"): "refunded",
    ("refunded", "pending"): "refund_pending",
    ("refunded", "failed"): "refund_failed",
    ("refunded_gift_card", "succeeded"): "refunded",
    ("refunded_gift_card", "pending"): "refund_pending",
    ("refunded_gift_card", "failed"): "refund_failed",
    ("refund_requested", "pending"): "refund_pending",
    ("refund_requested", "succeeded"): "refunded",
    ("refund_requested", "failed"): "refund_failed",
    ("refund_failed", "succeeded"): "refund_failed",
    ("refund_failed", "pending"): "refund_failed",
    ("refund_failed", "failed"): "refund_failed",
}

_STEP: dict[str, Step] = {
    "capture_requested": "capture_request",
    "captured": "capture_answer",
    "capture_failed": "capture_answer",
    "refund_requested": "refund_request",
    "refunded": "refund_answer",
    "refund_failed": "refund_answer",
}
# Of a request that is not answered yet; any entry that answers one is a yes, unless it failed.
_SAYS: dict[str, Says] = {"succeeded": "yes", "pending": "open", "failed": "no"}


class CentraWords(BaseModel):
    """The map of words to meanings, by enum. Defaults: today's reading of Centra's documents."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    order_status: OrderStatus = OrderStatus()
    return_status: ReturnStatus = ReturnStatus()
    payment_type: PaymentType = PaymentType()
    payment_status: PaymentStatus = PaymentStatus()
    stock_change_type: StockChangeType = StockChangeType()
    warehouse_status: WarehouseStatus = WarehouseStatus()
    stock_master: StockMaster = StockMaster()
    return_created_from: ReturnCreatedFrom = ReturnCreatedFrom()

    def payment(self, entry_type: str, status: str) -> Payment | None:
        """What a payment entry did; ``None``: one of its words has no meaning yet, so nothing may be decided by it."""
        kind, outcome = self.payment_type.meaning_of(entry_type), self.payment_status.meaning_of(status)
        if kind is None or outcome is None:
            return None
        step, says = _STEP.get(kind), _SAYS[outcome]
        if step in ("capture_answer", "refund_answer"):
            says = "no" if kind.endswith("failed") or says == "no" else "yes"
        instrument: Instrument = "gift_card" if kind.endswith("gift_card") else "original"
        return Payment(_DID.get((kind, outcome), "neutral"), instrument, step, says, kind == "refund_failed")

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """(enum, word, meaning), for SQL."""
        for name in type(self).model_fields:
            words: _Enum = getattr(self, name)
            yield from ((name, word, meaning) for meaning, listed in words.by_meaning().items() for word in listed)

    def payments(self) -> Iterator[tuple[str, str, Money, Instrument, bool, Step | None, Says, bool]]:
        """(entry type, status, what it did, instrument, is it a refund, step, what it says, does it take back) of every pair of
        known words.
        """
        types = [word for words in self.payment_type.by_meaning().values() for word in words]
        statuses = [word for words in self.payment_status.by_meaning().values() for word in words]
        for entry_type, status in product(types, statuses):
            known = self.payment(entry_type, status)
            if known is not None:
                yield (
                    entry_type,
                    status,
                    known.money,
                    known.instrument,
                    known.is_refund,
                    known.step,
                    known.says,
                    known.takes_back,
                )


GRAPHQL_ENUMS: dict[str, str] = {
    "order_status": "OrderStatus",
    "return_status": "ReturnStatus",
    "payment_type": "PaymentHistoryEntryType",
    "payment_status": "PaymentHistoryEntryStatus",
    "stock_change_type": "StockChangeType",
    "warehouse_status": "Status",
    "stock_master": "WarehouseStockMaster",
}
"""The name of each enum in Centra's schema; ``return_created_from`` is a text there."""


def effect_text(kind: str) -> str:
    """What people call an effect of a kind, as the macro of that name in ``core/facts.sql``."""
    return "stock movement" if kind == "inventory_adjustment" else kind.replace("_", " ")
