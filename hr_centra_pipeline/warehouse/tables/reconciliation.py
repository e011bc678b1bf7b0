"""Reconciliation: what is in trouble, whose it is, how much it is, and what to do."""

from __future__ import annotations

from hr_centra_pipeline.core.kinds import CAUSES, CLASSES, CULPRITS, EXCEPTION_KINDS, OWNERS
from hr_centra_pipeline.warehouse.declare import Table, flag, instant, money, table, text, whole

AGE_BUCKETS = ("0-3", "4-7", "8-14", "15-30", "31-60", "61-90", "over 90")

_EXCEPTION = {
    "exception_id": text("stable id: kind and subject"),
    "kind": text("kind of trouble", values=tuple(EXCEPTION_KINDS)),
    "class": text("what it takes", values=CLASSES),
    "cause": text("closed list of causes", values=CAUSES),
    "culprit": text("who deviates", values=CULPRITS),
    "severity": text("info, warning or error", values=("info", "warning", "error")),
    "owner_team": text("whose work it is", values=OWNERS),
    "return_id": text("its return", null=True),
    "return_item_id": text("its unit", null=True),
    "order_number": text("order number", null=True),
    "sku": text("SKU", null=True),
    "currency": text("ISO 4217", null=True),
    "amount": money("money at stake, always positive", null=True, at_least=0),
    "opened_at": instant("when it opened; kept when it reopens"),
    "age_hours": whole("hours since then"),
    "age_bucket": text("days since then", values=AGE_BUCKETS),
    "due_at": instant("when it must be done"),
    "overdue": flag("due time is over"),
    "detail": text("what is wrong, in a sentence"),
    "next_step": text("what to do, in plain English"),
    "evidence": text("file and line, Centra id, attempt, mode: as JSON"),
}

EXCEPTIONS = table("reconciliation.exceptions", "One row per open exception.", ["exception_id"], dict(_EXCEPTION))


def _family(name: str, grain: str) -> Table:
    return table(name, grain, ["exception_id"], dict(_EXCEPTION))


ORPHANED_RETURNS = _family(
    "reconciliation.orphaned_returns", "One row per return or Centra return without its other side."
)
STOCK_GAPS = _family("reconciliation.stock_gaps", "One row per unit whose stock movement is missing or doubled.")
EXCHANGE_GAPS = _family("reconciliation.exchange_gaps", "One row per exchange without its order, or refused.")
STALLED_RETURNS = _family("reconciliation.stalled_returns", "One row per unit that stands still or is not graded.")

UNMAPPED_DISPOSITIONS = table(
    "reconciliation.unmapped_dispositions",
    "One row per disposition word that the policy does not map.",
    ["disposition"],
    {
        "disposition": text("the word as told"),
        "units": whole("units that wait for it"),
        "first_seen_at": instant("first unit graded so"),
        "example_return_id": text("one of the returns"),
    },
)

REFUND_MISMATCHES = table(
    "reconciliation.refund_mismatches",
    "One row per return, order and component whose sides differ.",
    ["return_id", "order_number", "component"],
    {
        "return_id": text("its return"),
        "order_number": text("order number"),
        "component": text("part of the refund", values=("items", "tax", "shipping", "fee", "exchange")),
        "currency": text("ISO 4217"),
        "expected_amount": money("by our policy", null=True),
        "happy_returns_amount": money("as Happy Returns told", null=True),
        "centra_amount": money("in Centra's returns", null=True),
        "provider_amount": money("as the payment provider settled", null=True),
        "difference": money("Happy Returns minus Centra"),
        "culprit": text("who deviates", values=CULPRITS),
    },
)

SETTLED_ORDERS = table(
    "reconciliation.settled_orders",
    "One row per order with nothing pending, in doubt or in trouble: left alone until something new touches it.",
    ["order_number"],
    {"order_number": text("order number without '#'")},
)
