"""The closed lists that people filter by: exception kinds (usual owner, window), classes, causes, culprits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

Owner = Literal["customer_service", "warehouse", "finance", "data"]
Class = Literal["timing", "fix_happy_returns", "fix_centra", "fix_pipeline", "accept"]
Cause = Literal["system_error", "logistics_delay", "data_gap", "policy_gap", "amount_mismatch"]
Culprit = Literal[
    "happy_returns", "centra", "provider", "policy", "person", "integration", "pipeline", "logistics", "unknown"
]
Subject = Literal["credit", "stock", "exchange", "status", "source"]


class Kind(NamedTuple):
    """One exception kind: usual owner, hours until it opens, and its place in the order of precedence (lower wins)."""

    owner_team: Owner
    window_hours: int
    precedence: int


EXCEPTION_KINDS: dict[str, Kind] = {
    "source_not_covered": Kind("data", 2, 10),
    "quarantined_row": Kind("data", 0, 15),
    "return_without_order": Kind("customer_service", 24, 20),
    "item_without_shipment_line": Kind("customer_service", 24, 30),
    "double_credit": Kind("finance", 0, 40),
    "double_restock": Kind("warehouse", 0, 41),
    "guard_breached": Kind("data", 0, 50),
    "write_in_doubt": Kind("data", 1, 60),
    "rejected_write": Kind("data", 0, 70),
    "credited_item_refused": Kind("finance", 0, 80),
    "promised_item_refused": Kind("customer_service", 0, 81),
    "corrected_after_credit": Kind("customer_service", 0, 82),
    "corrected_after_restock": Kind("warehouse", 0, 83),
    "exchange_refused": Kind("customer_service", 0, 90),
    "exchange_differs": Kind("customer_service", 0, 91),
    "exchange_canceled": Kind("customer_service", 0, 92),
    "unmapped_disposition": Kind("warehouse", 24, 100),
    "stalled_return": Kind("warehouse", 432, 110),
    "disposition_missing": Kind("warehouse", 480, 120),
    "return_without_credit_note": Kind("finance", 24, 130),
    "return_without_stock_movement": Kind("warehouse", 72, 131),
    "exchange_without_order": Kind("customer_service", 24, 132),
    "exchange_not_shipped": Kind("warehouse", 120, 133),
    "credit_note_without_refund": Kind("finance", 72, 134),
    "refund_without_credit_note": Kind("finance", 72, 135),
    "centra_return_without_return": Kind("customer_service", 72, 136),
    "stock_change_without_return": Kind("warehouse", 72, 137),
    "refund_mismatch_items": Kind("finance", 24, 140),
    "refund_mismatch_tax": Kind("finance", 24, 141),
    "refund_mismatch_shipping": Kind("finance", 24, 142),
    "refund_mismatch_fee": Kind("finance", 24, 143),
    "refund_mismatch_exchange": Kind("finance", 24, 144),
    "payout_mismatch": Kind("finance", 72, 145),
    "status_not_updated": Kind("data", 24, 150),
}


# What is sent, and the steps of it; which may follow which is in push/operations/.
OperationName = Literal["credit", "exchange", "release", "stock", "note", "customer_note", "attribute"]
Step = Literal[
    "create_return", "refund", "issue_credit", "complete", "uncomplete", "delete", "undo",
    "create_order", "cancel_order", "complete_anyway",
    "release", "change_stock", "write_note", "assign",
    "done",
]  # fmt: skip


@dataclass(frozen=True)
class EffectKind:
    """One kind of effect. ``effect_type``: the one of the policy (modes, guards) that it belongs to; ``operation``: what sends it.

    ``called``: in lists; ``is_optional``: off unless the policy asks for it; ``has_money``: its amount is one of money or goods.
    """

    name: str
    effect_type: str
    operation: OperationName
    called: str
    is_optional: bool = False
    has_money: bool = True


EFFECTS = (
    # one unit
    EffectKind("credit_note", "credit_note", "credit", "credit notes"),
    # one (return, order)
    EffectKind("shipping_refund", "credit_note", "credit", "shipping refunds"),
    # one (return, order): the per-return fee
    EffectKind("return_fee", "credit_note", "credit", "return fees (taken off)"),
    # one unit and ordinal
    EffectKind("inventory_adjustment", "inventory_adjustment", "stock", "stock movements (goods)"),
    # one unit; ordered again after somebody canceled it: one more, with its ordinal
    EffectKind("exchange_order", "exchange_order", "exchange", "exchange orders (goods)"),
    # one unit: its replacement's shipment is marked paid, or good to go
    EffectKind("exchange_release", "exchange_order", "release", "releases of replacements", True, False),
    # one (return, order, milestone): a line in the order's internal comment
    EffectKind("status_update", "status_update", "note", "status notes", False, False),
    # the same: the value of the order's attribute
    EffectKind("order_attribute", "status_update", "attribute", "order attributes", True, False),
    # the same: a line in the customer's internal comment
    EffectKind("customer_note", "status_update", "customer_note", "customer notes", True, False),
    # the same: the value of the customer's attribute
    EffectKind("customer_attribute", "status_update", "attribute", "customer attributes", True, False),
)
EFFECT_KINDS = tuple(effect.name for effect in EFFECTS)
EFFECT_TYPE_OF = {effect.name: effect.effect_type for effect in EFFECTS}
OPERATION_OF = {effect.name: effect.operation for effect in EFFECTS}
WITH_MONEY = frozenset(effect.name for effect in EFFECTS if effect.has_money)
EFFECT_STATES = ("planned", "sending", "confirmed", "rejected", "unknown", "withdrawn")

CLASSES: tuple[str, ...] = get_args(Class)
CAUSES: tuple[str, ...] = get_args(Cause)
CULPRITS: tuple[str, ...] = get_args(Culprit)
OWNERS: tuple[str, ...] = get_args(Owner)
