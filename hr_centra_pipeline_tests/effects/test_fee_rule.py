"""The fee rule is written twice on purpose: what is sent, and what the policy expects. On random rows both say the same."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hr_centra_pipeline_tests.rows import EARLIER, rows_of

MODELS = (
    "effects/unit_credits.sql", "effects/credit_carriers.sql", "effects/return_fees.sql", "effects/credit_notes.sql",
    "reconciliation/expected_costs.sql",
)  # fmt: skip
METHODS = ("return-bar", "mail", "returnless")
CENTS = st.integers(0, 2000).map(lambda cents: Decimal(cents) / 100)
PRICES = st.integers(0, 9_999).map(lambda cents: Decimal(cents) / 100)
PAIRS = st.lists(st.tuples(st.sampled_from(METHODS), st.lists(PRICES, min_size=1, max_size=3)), min_size=1, max_size=2)


# A fee of more than the first order's credit, and a first order that gives nothing.
@example(
    "return",
    "policy",
    "EUR",
    {"return-bar": Decimal(15)},
    None,
    [("return-bar", [Decimal(10)]), ("return-bar", [Decimal(50)])],
    False,
)
@example(
    "return",
    "policy",
    "EUR",
    {"return-bar": Decimal(15)},
    None,
    [("return-bar", [Decimal(0)]), ("return-bar", [Decimal(50)])],
    False,
)
@settings(max_examples=25, deadline=None)
@given(
    basis=st.sampled_from(["item", "return"]),
    source=st.sampled_from(["policy", "happy_returns"]),
    currency=st.sampled_from(["EUR", "JPY", "KWD"]),
    fees=st.dictionaries(st.sampled_from(METHODS[:2]), CENTS),
    zone=st.none() | CENTS,
    pairs=PAIRS,
    is_reported=st.booleans(),
)
def test_the_fee_that_is_sent_is_the_fee_that_is_expected(
    basis: str, source: str, currency: str, fees: dict[str, Decimal], zone: Decimal | None,
    pairs: list[tuple[str, list[Decimal]]], is_reported: bool,
) -> None:  # fmt: skip
    # A report that takes more off a unit than it cost contradicts itself: a mismatch, too.
    reports = source == "happy_returns" and is_reported and all(price >= 1 for _, prices in pairs for price in prices)
    if reports:
        fees, zone = {}, None  # a report that differs from a named fee is a mismatch, and meant to be one
    with rows_of(*MODELS) as rows:
        rows.set(fee_basis=basis, fee_source=source, reported_costs="with_tax", shipping_rule="never")
        rows.connection.execute("delete from policy.fees")
        rows.connection.execute("delete from policy.zone_fees")
        for name, amount in fees.items():
            rows.put("policy.fees", dropoff_method=name, currency=currency, amount=amount)
        if zone is not None:
            for method in {method for method, _ in pairs} - {"returnless"}:
                rows.put("policy.zone_fees", dropoff_method=method, currency=currency, country="NO", amount=zone)
        for place, (method, prices) in enumerate(pairs):
            order = str(1001 + place)
            rows.put("staging.orders", order_number=order, currency=currency, country="NO")
            if reports:
                rows.put(
                    "costs_reported", return_id="R-1", order_number=order, shipping=0, fee=place + 1, refund_id=f"RF-{order}",
                    fee_of_units=len(prices), told_at=EARLIER,
                )  # fmt: skip
            for piece, price in enumerate(prices):
                unit = {"return_item_id": f"I-{order}-{piece}", "return_id": "R-1", "order_number": order}
                rows.put(
                    "unit_blocks", **unit, effect_key=f"KEY-{order}-{piece}", refund_type="refund", currency=currency,
                    amount=price, kept=price, tax=0, tax_added=0, fee_rate_tax=0, voucher_share=0, tax_mode="included",
                    dropoff_method=method, received_channel=method, pays_through="centra", credit_due_at=EARLIER,
                    amount_known_at=EARLIER, shipment_id=int(order), shipment_line_id=1, fee_basis=basis, fee_source=source,
                    reported_costs="with_tax", refund_id=f"RF-{order}" if reports else None, item_fee=1 if reports else None,
                )  # fmt: skip
                rows.put(
                    "expected_units", **unit, currency=currency, country="NO", dropoff_method=method, refund_type="refund",
                    is_returnless=method == "returnless", gross=price, credit_due_at=EARLIER, is_missing=True, opens_at=EARLIER,
                )  # fmt: skip
        rows.run()
        sent = rows.all(
            "select order_number, sum(fee) from effects.pending_credit_notes group by all having sum(fee) <> 0 order by all"
        )
        expected = rows.all("select order_number, fee from expected_costs where fee <> 0 order by all")
    assert sent == expected
