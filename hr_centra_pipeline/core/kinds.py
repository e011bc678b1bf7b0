"""The closed lists that people filter by: exception kinds (usual owner, window), classes, causes, culprits."""

from __future__ import annotations

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

EFFECT_KINDS = (
    "credit_note",  # one unit
    "return_fee",  # one (return, order): the per-return fee
    "shipping_refund",  # one (return, order)
    "inventory_adjustment",  # one unit and ordinal
    "exchange_order",  # one unit; ordered again after somebody canceled it: one more, with its ordinal
    "exchange_release",  # one unit: its replacement's shipment is marked paid, or good to go
    "status_update",  # one (return, order, milestone): a line in the order's internal comment
    "order_attribute",  # one (return, order, milestone): the value of the order's attribute
    "customer_note",  # one (return, order, milestone): a line in the customer's internal comment
    "customer_attribute",  # one (return, order, milestone): the value of the customer's attribute
)
# The four effect types of the policy (modes, guards), and what travels with each.
EFFECT_TYPE_OF = {
    "credit_note": "credit_note",
    "return_fee": "credit_note",
    "shipping_refund": "credit_note",
    "inventory_adjustment": "inventory_adjustment",
    "exchange_order": "exchange_order",
    "exchange_release": "exchange_order",
    "status_update": "status_update",
    "order_attribute": "status_update",
    "customer_note": "status_update",
    "customer_attribute": "status_update",
}
EFFECT_STATES = ("planned", "sending", "confirmed", "rejected", "unknown", "withdrawn")

CLASSES: tuple[str, ...] = get_args(Class)
CAUSES: tuple[str, ...] = get_args(Cause)
CULPRITS: tuple[str, ...] = get_args(Culprit)
OWNERS: tuple[str, ...] = get_args(Owner)
