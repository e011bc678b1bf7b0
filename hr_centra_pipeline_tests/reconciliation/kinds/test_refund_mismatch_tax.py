from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds import mismatches
from hr_centra_pipeline_tests.reconciliation.kinds.alone import Alone


def test_only_a_deviation_of_its_component_counts() -> None:
    mismatches.opens_for_its_component_only("tax")


def test_a_tax_that_was_settled_farther_off_than_allowed() -> None:
    alone = Alone("refund_mismatch_tax")
    alone.put("money_orders", order_number="1001")
    reading = {
        "order_number": "1001", "currency": "EUR", "paid": "100", "final_total": "98", "settled_difference": "-2", "allowed": "0.1",
    }  # fmt: skip
    alone.put("reconciliation.tax_readings", {**reading, "centra_return_id": 7, "verdict": "beyond_limit"})
    alone.put("reconciliation.tax_readings", {**reading, "centra_return_id": 8, "verdict": "within_limit"})
    assert alone.opened("subject", "identity", "amount", "detail") == [
        (
            "settled_tax", "Return 7", Decimal(2),
            "Return 7 was paid with 100.00 EUR, and its final total is 98.00 EUR: the tax engine settled it 2.00 EUR off,"
            " 0.10 EUR are allowed",
        )
    ]  # fmt: skip


def test_the_sides_agree_or_the_refund_has_failed() -> None:
    mismatches.closes_when_the_sides_agree_or_the_refund_has_failed("tax")


def test_the_settled_tax_is_within_the_limit() -> None:
    alone = Alone("refund_mismatch_tax")
    for number, verdict in ((7, "within_limit"), (8, "beyond_limit")):
        alone.put("reconciliation.tax_readings", centra_return_id=number, verdict=verdict)
        alone.put(
            "unseen_mismatches", exception_id=str(number), kind="refund_mismatch_tax", subject="settled_tax",
            identity=f"Return {number}",
        )  # fmt: skip
    assert alone.closed() == {"7": "what was paid and Centra's final total are within the limit"}
