"""Staging of payment providers' settlement files. No personal column: providers' names of shoppers are not read."""

from __future__ import annotations

from hr_centra_pipeline.warehouse.declare import instant, money, table, text, whole

LINE_TYPES = (
    "capture",
    "refund",
    "refund_reversed",
    "chargeback",
    "chargeback_reversed",
    "fee",
    "payout",
    "other",
    "unknown",
)

PAYOUT_LINES = table(
    "staging.payout_lines",
    "One row per line of a settlement, as the last file reports its payout. Amounts as the merchant sees them: out is negative.",
    ["payout_line_id"],
    {
        "payout_line_id": text("provider, account, payout and line"),
        "provider": text("payment provider"),
        "payout_id": text("payout (settlement batch), or the file where the layout names none"),
        "account": text("the merchant's account at the provider, by which payouts count; empty where none is reported"),
        "line_type": text(
            "what it is, in our words (unknown: set aside, and holds its order's credits)", values=LINE_TYPES
        ),
        "told_type": text("what it is, as reported"),
        "reference": text("the provider's own reference of this movement", null=True),
        "payment_reference": text("its reference of the payment that it belongs to", null=True),
        "order_number": text("the shop's reference: order number without '#'", null=True),
        "happened_at": instant("booked"),
        "currency": text("order_currency: ISO 4217", null=True),
        "gross_amount": money("in the order's currency, without the provider's costs", null=True),
        "settlement_currency": text("settlement_currency: ISO 4217", null=True),
        "net_amount": money("in the settlement's currency, after the provider's costs", null=True),
        "fee_amount": money("the provider's costs, where reported separately", null=True),
        "source_file": text("file that brought it"),
        "source_line": whole("physical line in that file", at_least=1),
    },
)
