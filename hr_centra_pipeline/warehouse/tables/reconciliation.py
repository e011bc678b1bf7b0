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

COMPONENTS = ("items", "tax", "shipping", "fee", "exchange")
SIDES = ("expected", "happy_returns", "centra", "provider")

REFUND_FACTS = table(
    "reconciliation.refund_facts",
    "One row per amount that one side tells of one unit (or of one return on one order), by component.",
    ["fact_id"],
    {
        "side": text("who tells it: our policy, Happy Returns, Centra or the payment provider", values=SIDES),
        "fact_id": text("stable: side, its own id, unit, component"),
        "return_id": text("its return (null: Happy Returns knows of none)", null=True),
        "order_number": text("order number"),
        "return_item_id": text("its unit (null: the whole return on that order, or a unit of nobody)", null=True),
        "component": text("items and tax net of discount, shipping with handling, fee, exchange", values=COMPONENTS),
        "currency": text("ISO 4217, the order's or as told"),
        "amount": money("money given back: a fee is negative; of an exchange only what is paid out"),
        "in_goods": money("of an exchange: value given back as a replacement instead of money; else 0"),
        "happened_at": instant("when its own event happened: due, issued, made in Centra, settled"),
        "is_pending": flag("not final yet: inside its window, asked for and not answered, not read back"),
        "source": text("file and line, Centra id, packet, or the policy's trigger"),
    },
)

_FOUR_AMOUNTS = {
    "return_id": text("its return (null: Happy Returns knows of none)", null=True),
    "order_number": text("order number"),
    "component": text("part of the refund", values=COMPONENTS),
    "currency": text("ISO 4217"),
    "expected_amount": money("by our policy (null: it does not say)", null=True),
    "happy_returns_amount": money("as Happy Returns told (null: not told)", null=True),
    "centra_amount": money("in Centra's Returns (null: not read)", null=True),
    "provider_amount": money("as the payment provider settled (null: not covered)", null=True),
}

REFUND_MATCH = table(
    "reconciliation.refund_match",
    "One row per return, order, component and currency: what the four sides say of it.",
    ["return_id", "order_number", "component", "currency"],
    {
        **_FOUR_AMOUNTS,
        "difference": money("Happy Returns minus Centra (null: one of them is not known)", null=True),
        "is_compared": flag("both sides tell of the same units: only then a difference is anybody's mistake"),
        "deviation": money("money at stake: how far the deviating side is from the others, always positive"),
        "culprit": text("who deviates (null: nobody, or not compared)", null=True, values=CULPRITS),
        "within_tolerance": flag("the deviation is not larger than the policy tolerates"),
        "tolerance_used": money("the deviation that the tolerance let pass; 0 where the sides agree"),
        "is_explained": flag("nothing is wrong: the other side's month is another one, or it is inside its window"),
        "explained_by": text("other_month or pending", null=True, values=("other_month", "pending")),
        "rule": text("what the amount ought to be, in words"),
        "expected_at": instant("last fact of our policy", null=True),
        "happy_returns_at": instant("last fact of Happy Returns", null=True),
        "centra_at": instant("last fact of Centra", null=True),
        "provider_at": instant("last fact of the provider", null=True),
    },
)

REFUND_MISMATCHES = table(
    "reconciliation.refund_mismatches",
    "One row per return, order, component and currency whose sides differ beyond the tolerance.",
    ["return_id", "order_number", "component", "currency"],
    {
        **_FOUR_AMOUNTS,
        "difference": money("the deviating side minus the others"),
        "culprit": text("who deviates", values=CULPRITS),
        "rule": text("what the amount ought to be, in words"),
    },
)

SETTLED_ORDERS = table(
    "reconciliation.settled_orders",
    "One row per order with nothing pending, in doubt or in trouble: left alone until something new touches it.",
    ["order_number"],
    {"order_number": text("order number without '#'")},
)
