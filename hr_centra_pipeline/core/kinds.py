"""The closed lists that people filter by: owners, classes, causes, culprits, kinds and states of effects."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
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
    ``is_once_per_unit``: a unit has at most one, ever; ``gives_value``: the money or goods of a unit are given with it;
    ``is_of_the_return``: one for a return on an order, which leaves with its credits; ``is_worth_its_unit``: at stake is the
    price of its unit, it has no amount of its own; ``is_on_the_customer``: it is written on the customer, not on the order;
    ``takes_off``: its amount lessens what is given back (:func:`signed`).
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
    is_once_per_unit: bool = False
    gives_value: bool = False
    is_of_the_return: bool = False
    is_worth_its_unit: bool = False
    is_on_the_customer: bool = False
    takes_off: bool = False

    @property
    def is_part_of_a_credit(self) -> bool:
        """It leaves in a packet of credits, and is an amount of its Return."""
        return self.operation == "credit"

    @property
    def is_on_a_return(self) -> bool:
        """Centra shows it on a Return."""
        return self.gives_value or self.is_of_the_return

    @property
    def sets_an_attribute(self) -> bool:
        """Its text is the whole value of an attribute, not a line among others."""
        return self.operation == "attribute"


EFFECTS = (
    # one unit
    EffectKind(
        "credit_note", "credit_note", "credit", "credit", "credit notes",
        missing="return_without_credit_note", awaited="our credit", is_once_per_unit=True, gives_value=True,
    ),
    # one (return, order)
    EffectKind("shipping_refund", "credit_note", "credit", "credit", "shipping refunds", is_of_the_return=True),
    # one (return, order): the per-return fee
    EffectKind(
        "return_fee", "credit_note", "credit", "credit", "return fees (taken off)", is_of_the_return=True, takes_off=True,
    ),
    # one unit and ordinal
    EffectKind(
        "inventory_adjustment", "inventory_adjustment", "stock", "stock", "stock movements (goods)",
        missing="return_without_stock_movement", awaited="our stock movement", is_worth_its_unit=True,
    ),
    # one unit; ordered again after somebody canceled it: one more, with its ordinal
    EffectKind(
        "exchange_order", "exchange_order", "exchange", "exchange", "exchange orders (goods)",
        missing="exchange_without_order", awaited="our replacement order", gives_value=True,
    ),
    # one unit: its replacement's shipment is marked paid, or good to go
    EffectKind(
        "exchange_release", "exchange_order", "release", "exchange", "releases of replacements",
        may_be_asked=False, is_optional=True, has_money=False, is_worth_its_unit=True,
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
        may_be_asked=False, is_optional=True, has_money=False, is_on_the_customer=True,
    ),
    # the same: the value of the customer's attribute
    EffectKind(
        "customer_attribute", "status_update", "attribute", "status", "customer attributes",
        may_be_asked=False, is_optional=True, has_money=False, is_on_the_customer=True,
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
TAKES_OFF = frozenset(effect.name for effect in EFFECTS if effect.takes_off)
OF_THE_RETURN = frozenset(effect.name for effect in EFFECTS if effect.is_of_the_return)
# What SQL asks of an effect's kind, a macro each: `gives_value(effect_kind)`. Each macro lists the names: a macro with a
# subquery would capture columns of the query that calls it.
FACTS = (
    "is_once_per_unit", "gives_value", "is_of_the_return", "is_worth_its_unit", "is_on_the_customer", "is_part_of_a_credit",
    "is_on_a_return", "sets_an_attribute", "takes_off", "may_be_asked",
)  # fmt: skip


def _macro(fact: str) -> str:
    names = ", ".join(f"'{effect.name}'" for effect in EFFECTS if getattr(effect, fact))
    return f"create or replace macro {fact}(effect_kind) as effect_kind in ({names});\n"


# How long a status may be passed over by what moves money or goods, and left for the note that reports its order's money too.
STATUS_PATIENCE = timedelta(hours=12)
# The same as `signed` and `status_may_wait`.
_TWINS = f"""
create or replace macro signed_amount(effect_kind, amount) as
    case when takes_off(effect_kind) then -amount else amount end;
create or replace macro status_may_wait(waiting_since, now) as
    waiting_since + to_seconds({STATUS_PATIENCE.total_seconds():.0f}) > now;
"""
SQL_MACROS = "".join(_macro(fact) for fact in FACTS) + _TWINS


def signed(effect_kind: str, amount: Decimal) -> Decimal:
    """An effect's amount as a part of what is given back: what takes off is negative."""
    return -amount if effect_kind in TAKES_OFF else amount


def status_may_wait(waiting_since: datetime, now: datetime) -> bool:
    """Whether a status may be left for the note that reports its order's money too."""
    return waiting_since + STATUS_PATIENCE > now


CLASSES: tuple[str, ...] = get_args(Class)
CAUSES: tuple[str, ...] = get_args(Cause)
CULPRITS: tuple[str, ...] = get_args(Culprit)
OWNERS: tuple[str, ...] = get_args(Owner)
COMPONENTS: tuple[str, ...] = get_args(Component)
