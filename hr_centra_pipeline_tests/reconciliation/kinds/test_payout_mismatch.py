from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds.alone import DAY, NOW, Alone


def test_a_refund_that_the_provider_booked_otherwise() -> None:
    alone = Alone("payout_mismatch")
    payout = {
        "order_number": "1001",
        "currency": "EUR",
        "credited_amount": "100",
        "credited_at": NOW,
        "settled_at": NOW + DAY,
    }
    alone.put(
        "reconciliation.payouts",
        {**payout, "payout_tie_id": "1", "verdict": "amount_differs", "settled_amount": "90", "difference": "-10"},
        {**payout, "payout_tie_id": "2", "verdict": "agrees", "settled_amount": "100", "difference": "0"},
        {**payout, "payout_tie_id": "3", "verdict": "not_settled", "settled_amount": "0", "difference": "-100"},
        {**payout, "payout_tie_id": "4", "verdict": "reversed", "settled_amount": "0", "difference": "-100"},
    )
    assert alone.opened("identity", "amount", "fact_at", "detail") == [
        ("1", Decimal(10), NOW + DAY, "Centra refunded 100.00 EUR, the payment provider booked 90.00 EUR"),
        (
            "3", Decimal(100), NOW,
            "Centra refunded 100.00 EUR, and no later settlement file contains the refund",
        ),
        (
            "4", Decimal(100), NOW + DAY,
            "The refund of 100.00 EUR came back to the payment provider after it had succeeded",
        ),
    ]  # fmt: skip


def test_a_later_settlement_agrees_or_centra_shows_the_refund() -> None:
    alone = Alone("payout_mismatch")
    alone.put(
        "reconciliation.payouts",
        {"payout_tie_id": "1", "verdict": "agrees"},
        {"payout_tie_id": "2", "verdict": "reversed"},
    )
    alone.put("tied_lines", payout_line_id="adyen P1 1")
    alone.put("staging.payout_lines", payout_line_id="adyen P1 2", provider="adyen", payout_id="P1")
    alone.put("staging.payout_lines", payout_line_id="adyen P1 1", provider="adyen", payout_id="P1")
    for identity in ("1", "2", "line adyen P1 1", "line adyen P1 2", "line adyen P1 3", "line adyen P2 1"):
        alone.was_open(identity, identity=identity)
    assert alone.closed() == {
        "1": "the payment provider's settlement agrees",
        "line adyen P1 1": "Centra shows the refund now",
        "line adyen P1 3": "the settlement was delivered again without the line",
    }
