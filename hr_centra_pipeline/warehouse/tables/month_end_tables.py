"""Month end: what finance signs. A closed month's rows are the frozen ones; amounts are exact, with their currency."""

from __future__ import annotations

from hr_centra_pipeline.core.exception_kinds import EXCEPTION_KINDS, MEASURES
from hr_centra_pipeline.core.kinds import COMPONENTS, OWNERS
from hr_centra_pipeline.warehouse.declare import Table, flag, instant, money, table, text, total, whole
from hr_centra_pipeline.warehouse.tables.reconciliation_tables import AGE_BUCKETS

BEFORE_CUTOVER = "before_cutover"
STATUSES = ("ties", "does_not_tie", "not_covered", "late")
STAGES = ("not_handed_over", "on_its_way", "at_bar", "at_hub", "outbound", "arrived_not_booked")

_MONTH = text("YYYY-MM, UTC", pattern=r"\d{4}-\d{2}")
_CURRENCY = text("ISO 4217", pattern="[A-Z]{3}")
_UNIT = {
    "return_id": text("its return", null=True),
    "return_item_id": text("its unit", null=True),
    "order_number": text("order number", null=True),
}

MONTH_END = table(
    "month_end.month_end",
    "One row per month, currency and component: the four sides, and how far their difference is explained.",
    ["month", "currency", "component", "is_late"],
    {
        "month": _MONTH,
        "currency": _CURRENCY,
        "component": text("part of the refund", values=COMPONENTS),
        "is_late": flag("facts of closed months that turned up after their close, so that months sum to all facts"),
        "expected_amount": total("by our policy"),
        "happy_returns_amount": total("as Happy Returns reported"),
        "centra_amount": total("in Centra's Returns"),
        "provider_amount": total("as the payment provider settled (null: no payouts are read)", null=True),
        "difference": total("Happy Returns minus Centra = explained + within tolerance + unexplained"),
        "explained_amount": total("the other side is dated in another month, or pending inside its window"),
        "explained_count": whole("returns with an explained difference", at_least=0),
        "within_tolerance_amount": total("differences within the policy's tolerance"),
        "within_tolerance_count": whole("returns with such a difference", at_least=0),
        "unexplained_amount": total("what is left"),
        "unexplained_count": whole("returns with a difference that is left, between any two sides", at_least=0),
        "expected_difference": total("expected minus Centra = explained + within tolerance + unexplained"),
        "expected_explained_amount": total("explained of it", null=True),  # null: closed before it was kept
        "expected_within_tolerance_amount": total("within the tolerance of it", null=True),
        "expected_unexplained_amount": total("what is left of it"),
        "provider_difference": total("provider minus Centra = explained + within tolerance + unexplained", null=True),
        "provider_explained_amount": total("explained of it", null=True),
        "provider_within_tolerance_amount": total("within the tolerance of it", null=True),
        "provider_unexplained_amount": total("what is left of it", null=True),
        "worst_unexplained_amount": total(
            "what is left between the two sides of each return that are farthest apart, without sign", null=True
        ),
        "status": text("ties when nothing is left, return by return", values=STATUSES),
    },
)

ROLLFORWARD = table(
    "month_end.rollforward",
    "One row per month, exception kind, currency and owner: opening + new - resolved + reclassified = closing.",
    ["month", "kind", "currency", "owner_team"],
    {
        "month": _MONTH,
        "kind": text("kind of trouble", values=(*EXCEPTION_KINDS, BEFORE_CUTOVER)),
        "currency": text("ISO 4217 (null: no amount is known)", null=True),
        "owner_team": text("whose work it is", values=OWNERS),
        "opening_count": whole("open at the start: the closing of the month before"),
        "opening_amount": total("their money at stake"),
        "new_count": whole("opened or reopened", at_least=0),
        "new_amount": total("their money at stake"),
        "resolved_count": whole("closed by what proves it, or written off", at_least=0),
        "resolved_amount": total("what was at stake when they closed"),
        "written_off_count": whole("those of the resolved that a person wrote off", at_least=0),
        "written_off_amount": total("their money"),
        "written_off_by": text("who wrote them off", null=True),
        "reclassified_count": whole("became this kind or owner, minus became another"),
        "reclassified_amount": total("their money, and by how much the amounts of open ones changed"),
        "revalued_amount": total("the part of reclassified_amount that is changed amounts"),
        "closing_count": whole("open at the end", at_least=0),
        "closing_amount": total("their money at stake"),
    },
)

REFUND_LIABILITY = table(
    "month_end.refund_liability",
    "One row per month and currency: opening + became refundable - paid + failed = closing, what is owed to shoppers.",
    ["month", "currency"],
    {
        "month": _MONTH,
        "currency": _CURRENCY,
        "opening_amount": total("owed at the start: the closing of the month before"),
        "became_refundable_amount": total("refunds whose trigger was reached"),
        "paid_amount": total("refunds and gift cards paid, requests to the provider included"),
        "failed_amount": total("refunds that failed or were reversed: owed again"),
        "closing_amount": total("owed at the end"),
        "credited_amount": total("credited in Centra in the month (no part of the sum)"),
        "closing_not_credited_amount": total("of the closing: refundable and not credited"),
        "closing_credited_amount": total("of the closing: credited and not paid"),
        "closing_count": whole("returns whose balance is not zero", at_least=0),
    },
)

REFUND_LIABILITY_RETURNS = table(
    "month_end.refund_liability_returns",
    "One row per month, return, order and currency whose refund liability is not zero at the cut-off: the list behind it.",
    ["month", "return_id", "order_number", "currency"],
    {
        "month": _MONTH,
        "return_id": text("its return (null: a Return in Centra that Happy Returns does not know)", null=True),
        "order_number": text("order number", null=True),
        "currency": _CURRENCY,
        "refundable_amount": money("became refundable until the cut-off"),
        "credited_amount": money("credited in Centra until then"),
        "paid_amount": money("paid until then, failed ones taken off"),
        "balance": money("still owed; negative: more was paid than was due"),
        "since": instant("its first fact"),
    },
)

GOODS_IN_TRANSIT = table(
    "month_end.goods_in_transit",
    "One row per month, stage, age bucket and currency: units that are not in stock again at the cut-off.",
    ["month", "stage", "age_bucket", "currency"],
    {
        "month": _MONTH,
        "stage": text("where they were last seen", values=STAGES),
        "age_bucket": text("days since they were handed over (or credited)", values=AGE_BUCKETS),
        "currency": text("ISO 4217 (null: no order line is known)", null=True),
        "units": whole("units", at_least=0),
        "selling_value": total("what they cost the customers, with tax, less vouchers"),
        "cost": total("what they cost the shop, where costs.csv has it", null=True),
        "units_without_cost": whole("units of which the cost is not known", at_least=0),
        "refunded_units": whole("of the units: credited before they were received", at_least=0),
        "refunded_value": total("their selling value"),
        "oldest_at": instant("the oldest was handed over (or credited)"),
    },
)

GOODS_IN_TRANSIT_UNITS = table(
    "month_end.goods_in_transit_units",
    "One row per month and unit that is not in stock again at the cut-off: the list behind goods in transit.",
    ["month", "return_item_id"],
    {
        "month": _MONTH,
        "return_item_id": text("the unit"),
        "return_id": text("its return"),
        "order_number": text("order number"),
        "sku": text("SKU", null=True),
        "stage": text("where it was last seen", values=STAGES),
        "age_days": whole("days since it was handed over (or credited)"),
        "age_bucket": text("in buckets", values=AGE_BUCKETS),
        "since": instant("handed over, or credited when that came first"),
        "credited_at": instant("credited in Centra", null=True),
        "currency": text("ISO 4217", null=True),
        "selling_value": money("what it cost the customer, with tax, less its voucher share", null=True),
        "cost": money("what it cost the shop", null=True),
    },
)

_OPEN_ITEM = {
    "month": _MONTH,
    "exception_id": text("stable id: kind and subject"),
    "kind": text("kind of trouble", values=tuple(EXCEPTION_KINDS)),
    "class": text("where it is fixed", null=True),
    "cause": text("coded cause", null=True),
    "culprit": text("who deviates", null=True),
    "owner_team": text("whose work it is", values=OWNERS),
    **_UNIT,
    "sku": text("SKU", null=True),
    "currency": text("ISO 4217", null=True),
    "amount": money("money at stake", null=True),
    "opened_at": instant("first opened"),
    "age_days": whole("days open at the cut-off"),
    "age_bucket": text("in buckets", values=AGE_BUCKETS),
    "due_at": instant("when it must be done"),
    "is_overdue": flag("that time was over at the cut-off"),
    "carried_from": text("month in which it opened, when that is an earlier one", null=True),
    "detail": text("what is wrong, in a sentence"),
    "next_step": text("what to do, in plain English"),
    "evidence": text("file and line, Centra id, attempt, mode: as JSON", null=True),
    "note": text("last note of a person", null=True),
    "decision": text("last decision of a person", null=True),
    "noted_by": text("who", null=True),
}

OPEN_ITEMS = table(
    "month_end.open_items",
    "One row per month and exception that was open at its cut-off.",
    ["month", "exception_id"],
    dict(_OPEN_ITEM),
)

OPEN_IN_DRY_RUN = table(
    "month_end.open_in_dry_run",
    "One row per month and matter that was open at its cut-off only because nothing was sent (dry run). Not among the open items.",
    ["month", "exception_id"],
    dict(_OPEN_ITEM),
)

REFUND_DIFFERENCES = table(
    "month_end.refund_differences",
    "One row per month, return, order, component and currency, and one more for late facts: the rows behind month_end.",
    ["month", "return_id", "order_number", "component", "currency", "is_late"],
    {
        "month": _MONTH,
        "return_id": text("its return", null=True),
        "order_number": text("order number", null=True),
        "component": text("part of the refund", values=COMPONENTS),
        "currency": _CURRENCY,
        "is_late": flag(
            "facts of closed months that turned up after their close", null=True
        ),  # null: closed before it was kept
        "expected_amount": money("by our policy", null=True),
        "happy_returns_amount": money("as Happy Returns reported", null=True),
        "centra_amount": money("in Centra's Returns", null=True),
        "provider_amount": money("as the payment provider settled", null=True),
        "difference": money("Happy Returns minus Centra = explained + within tolerance + unexplained"),
        "explained_amount": money("explained of it", null=True),
        "within_tolerance_amount": money("within the tolerance of it", null=True),
        "unexplained_amount": money("what is left of it", null=True),
        "expected_difference": money("expected minus Centra, likewise", null=True),
        "expected_explained_amount": money("explained of it", null=True),
        "expected_within_tolerance_amount": money("within the tolerance of it", null=True),
        "expected_unexplained_amount": money("what is left of it", null=True),
        "provider_difference": money("provider minus Centra, likewise", null=True),
        "provider_explained_amount": money("explained of it", null=True),
        "provider_within_tolerance_amount": money("within the tolerance of it", null=True),
        "provider_unexplained_amount": money("what is left of it", null=True),
        "worst_unexplained_amount": money(
            "what is left between the two sides that are farthest apart, without sign", null=True
        ),
        "verdict": text(
            "the worst difference of any two sides decides",
            null=True,
            values=("agrees", "explained", "within_tolerance", "unexplained"),
        ),
        "culprit": text("who deviates", null=True),
        "tolerance_used": money("the worst difference of any two sides, where the tolerance covers it", null=True),
        "within_tolerance": flag("what is left is within the tolerance"),
        "is_explained": flag("nothing is left: explained_by says why"),
        "explained_by": text("the rule that explains it", null=True),
        "repeats": whole("rows of the month with the very same difference in component and currency", at_least=1),
        "since": instant("its first fact"),
    },
)

EXCHANGES = table(
    "month_end.month_exchanges",
    "One row per month and exchange that was approved in it, or not finished at its cut-off: shipped (or refunded) and back.",
    ["month", "return_item_id"],
    {
        "month": _MONTH,
        "return_item_id": text("the unit that is exchanged"),
        "return_id": text("its return"),
        "order_number": text("order that it was bought on"),
        "root_order_number": text("first order of the chain of exchanges"),
        "chain_depth": whole("exchanges in the chain, this one included", at_least=1),
        "sku": text("SKU that comes back", null=True),
        "exchange_sku": text("SKU of the replacement", null=True),
        "exchange_class": text(
            "by the price of the replacement", null=True, values=("like_for_like", "upsell", "downsell")
        ),
        "currency": text("ISO 4217", null=True),
        "unit_price": money("what the unit cost the customer", null=True),
        "price_difference": money("replacement minus returned, as Happy Returns reported", null=True),
        "is_settled": flag("a difference is settled by a refund row (null: none is reported)", null=True),
        "approved_at": instant("approved", null=True),
        "replacement_order_number": text("order of the replacement", null=True),
        "is_shipped": flag("the replacement left the warehouse"),
        "is_refunded": flag("the money was refunded instead", null=True),  # null: closed before it was reported
        "is_back": flag("the unit is booked into a warehouse"),
    },
)

LATE_ITEMS = table(
    "month_end.late_items",
    "One row per fact of a closed month that turned up, changed or vanished after its close, with its effect on that month.",
    ["month", "of_month", "source", "fact_id", "component", "position"],
    {
        "month": _MONTH,
        "of_month": text("closed month that it belongs to", pattern=r"\d{4}-\d{2}"),
        "source": text("expected, happy_returns, centra, provider, paid, or exceptions"),
        "fact_id": text("the fact, or the exception"),
        "component": text("part of the refund, or kind of exception"),
        "position": whole("first, second … of the same fact"),
        **_UNIT,
        "currency": text("ISO 4217", null=True),
        "effect": money("by how much that side of the closed month is another now", null=True),
        "happened_at": instant("when it happened"),
        "recorded_at": instant("when we learnt it"),
        "is_beyond_tolerance": flag(
            "its return's change of that month is beyond the tolerance: the month is no longer certified"
        ),
    },
)

CONTROL_TOTALS = table(
    "month_end.control_totals",
    "One row per month and source: what was read, refused and landed, its sums, and whether it covers the month.",
    ["month", "source", "file_sha256"],
    {
        "month": _MONTH,
        "source": text("export file, query of Centra, or day"),
        "source_kind": text("what it brings", null=True),
        "file_sha256": text("hash of the file; '' for a query"),
        "parameters": text("profile, or window of the query: as JSON"),
        "time_zone": text("time zone of its times"),
        "rows_read": whole("rows that it had", at_least=0),
        "rows_rejected": whole("rows in quarantine", at_least=0),
        "rows_repeated": whole("rows that were landed already", at_least=0),
        "rows_landed": whole("rows that were new", at_least=0),
        "sums": text("sum by currency, as '1234.50 EUR; 20.00 SEK'", null=True),
        "covers_from": instant("first source time, or start of the windows", null=True),
        "covers_to": instant("last source time, or end of the windows", null=True),
        "received_at": instant("last received", null=True),
        "is_covered": flag("nothing of the month is missing from it"),
        "problem": text("what is missing, and why", null=True),
        "code_version": text("program that read it last"),
        "policy_sha256": text("policy at that time"),
    },
)

TURNAROUND = table(
    "month_end.turnaround",
    "One row per month, drop-off method and stretch: hours from drop-off to refund and to restock.",
    ["month", "dropoff_method", "stretch"],
    {
        "month": _MONTH,
        "dropoff_method": text("drop-off method"),
        "stretch": text("from drop-off to", values=("refund", "restock")),
        "units": whole("units whose stretch ended in the month", at_least=1),
        "median_hours": whole("half of them were faster"),
        "p90_hours": whole("nine of ten were faster"),
    },
)

MONEY_SAVED = table(
    "month_end.money_saved",
    "One row per month, measure and currency: money at risk or idle. Each number traces to units.",
    ["month", "measure", "currency"],
    {
        "month": _MONTH,
        "measure": text("what", values=("double_credits_prevented", *MEASURES)),
        "currency": _CURRENCY,
        "units": whole("units or exceptions", at_least=0),
        "amount": total("their money"),
    },
)  # fmt: skip

# What the pack and a closed month consist of, in the order of the sheets.
MONTHLY: dict[str, Table] = {
    declared.name.partition(".")[2]: declared
    for declared in (
        MONTH_END, ROLLFORWARD, REFUND_LIABILITY, REFUND_LIABILITY_RETURNS, GOODS_IN_TRANSIT, GOODS_IN_TRANSIT_UNITS,
        OPEN_ITEMS, OPEN_IN_DRY_RUN, REFUND_DIFFERENCES, EXCHANGES, LATE_ITEMS, CONTROL_TOTALS, TURNAROUND, MONEY_SAVED,
    )
}  # fmt: skip

CLOSES = "month_end.closes"
"""Closes, reopenings and signatures: state, and published."""
PUBLISHED_AS: dict[str, str] = {
    name: f"reconciliation.{name.partition('.')[2]}" for name in (*(one.name for one in MONTHLY.values()), CLOSES)
}
"""The names that readers know: of what is published, and of views in the warehouse."""
