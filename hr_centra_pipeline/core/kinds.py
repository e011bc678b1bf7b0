"""The closed lists that people filter by: owners, classes, causes, culprits, kinds and states of effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Owner = Literal["customer_service", "warehouse", "finance", "data"]
Class = Literal["timing", "fix_happy_returns", "fix_centra", "fix_pipeline", "accept"]
Cause = Literal["system_error", "logistics_delay", "data_gap", "policy_gap", "amount_mismatch"]
Culprit = Literal[
    "happy_returns", "centra", "provider", "policy", "person", "integration", "pipeline", "logistics", "unknown"
]
# Part of a refund: items and tax net of discount, shipping with handling, the fee, and what an exchange pays or costs.
Component = Literal["items", "tax", "shipping", "fee", "exchange"]

# What is sent, and the steps of it; which may follow which is in push/operations/.
OperationName = Literal["credit", "exchange", "release", "stock", "note", "customer_note", "attribute"]
Step = Literal[
    "create_return", "refund", "issue_credit", "complete", "uncomplete", "delete", "undo",
    "create_order", "cancel_order", "complete_anyway",
    "release", "change_stock", "write_note", "assign",
    "done",
]  # fmt: skip


# What of a return an exception is about.
EffectSubject = Literal["credit", "stock", "exchange", "status"]


@dataclass(frozen=True)
class EffectKind:
    """One kind of effect. ``effect_type``: the one of the policy (modes, guards) that it belongs to; ``operation``: what sends it.

    ``subject``: what of a return it is about; ``called``: in lists.
    ``missing``: the kind of exception when a unit's is due and not in Centra, and ``awaited``: what the unit waits for then
    (``None``: it is not about one unit, or is reported with another).
    ``may_be_asked``: a person is asked when only a changed setting makes it due; ``is_optional``: off unless the policy asks
    for it; ``has_money``: its amount is one of money or goods.
    """

    name: str
    effect_type: str
    operation: OperationName
    subject: EffectSubject
    called: str
    missing: str | None = None
    awaited: str | None = None
    may_be_asked: bool = True
    is_optional: bool = False
    has_money: bool = True


EFFECTS = (
    # one unit
    EffectKind(
        "credit_note", "credit_note", "credit", "credit", "credit notes",
        missing="return_without_credit_note", awaited="our credit",
    ),
    # one (return, order)
    EffectKind("shipping_refund", "credit_note", "credit", "credit", "shipping refunds"),
    # one (return, order): the per-return fee
    EffectKind("return_fee", "credit_note", "credit", "credit", "return fees (taken off)"),
    # one unit and ordinal
    EffectKind(
        "inventory_adjustment", "inventory_adjustment", "stock", "stock", "stock movements (goods)",
        missing="return_without_stock_movement", awaited="our stock movement",
    ),
    # one unit; ordered again after somebody canceled it: one more, with its ordinal
    EffectKind(
        "exchange_order", "exchange_order", "exchange", "exchange", "exchange orders (goods)",
        missing="exchange_without_order", awaited="our replacement order",
    ),
    # one unit: its replacement's shipment is marked paid, or good to go
    EffectKind(
        "exchange_release", "exchange_order", "release", "exchange", "releases of replacements",
        may_be_asked=False, is_optional=True, has_money=False,
    ),
    # one (return, order, milestone): a line in the order's internal comment
    EffectKind(
        "status_update", "status_update", "note", "status", "status notes", may_be_asked=False, has_money=False,
    ),
    # the same: the value of the order's attribute
    EffectKind(
        "order_attribute", "status_update", "attribute", "status", "order attributes",
        may_be_asked=False, is_optional=True, has_money=False,
    ),
    # the same: a line in the customer's internal comment
    EffectKind(
        "customer_note", "status_update", "customer_note", "status", "customer notes",
        may_be_asked=False, is_optional=True, has_money=False,
    ),
    # the same: the value of the customer's attribute
    EffectKind(
        "customer_attribute", "status_update", "attribute", "status", "customer attributes",
        may_be_asked=False, is_optional=True, has_money=False,
    ),
)  # fmt: skip
# Effect types as the policy names them, in lists.
CALLED = {
    "credit_note": "credit notes", "exchange_order": "exchange orders", "inventory_adjustment": "stock movements",
    "status_update": "status notes",
}  # fmt: skip
EFFECT_KINDS = tuple(effect.name for effect in EFFECTS)
EFFECT_TYPE_OF = {effect.name: effect.effect_type for effect in EFFECTS}
OPERATION_OF = {effect.name: effect.operation for effect in EFFECTS}
WITH_MONEY = frozenset(effect.name for effect in EFFECTS if effect.has_money)
EFFECT_STATES = ("planned", "sending", "confirmed", "rejected", "unknown", "withdrawn")

CLASSES: tuple[str, ...] = get_args(Class)
CAUSES: tuple[str, ...] = get_args(Cause)
CULPRITS: tuple[str, ...] = get_args(Culprit)
OWNERS: tuple[str, ...] = get_args(Owner)
COMPONENTS: tuple[str, ...] = get_args(Component)
