"""The closed lists that people filter by: owners, classes, causes, culprits, kinds and states of effects."""

from __future__ import annotations

from typing import Literal, get_args

Owner = Literal["customer_service", "warehouse", "finance", "data"]
Class = Literal["timing", "fix_happy_returns", "fix_centra", "fix_pipeline", "accept"]
Cause = Literal["system_error", "logistics_delay", "data_gap", "policy_gap", "amount_mismatch"]
Culprit = Literal[
    "happy_returns", "centra", "provider", "policy", "person", "integration", "pipeline", "logistics", "unknown"
]
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
