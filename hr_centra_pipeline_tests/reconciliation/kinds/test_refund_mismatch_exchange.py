from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds.alone import Alone, proof


def test_only_a_deviation_of_its_component_counts() -> None:
    alone = Alone("refund_mismatch_exchange")
    alone.put("deviations", component="exchange", return_id="RT-1", amount="5", culprit="centra")
    alone.put("deviations", component="items", return_id="RT-2", amount="5", culprit="centra")
    assert alone.opened("return_id", "subject", "amount") == [("RT-1", "exchange", Decimal(5))]


def test_the_sides_agree_or_the_refund_has_failed() -> None:
    alone = Alone("refund_mismatch_exchange")
    mismatch = {"kind": "refund_mismatch_exchange", "subject": "exchange"}
    alone.put(
        "unseen_mismatches",
        {
            **mismatch,
            "exception_id": "agree",
            "agreement_proof": proof("agree", "the sides agree within the tolerance"),
        },
        {**mismatch, "exception_id": "failed", "failure_proof": proof("refund_failed", "the refund has failed")},
        {**mismatch, "exception_id": "still"},
        {"kind": "another", "exception_id": "other", "agreement_proof": proof("agree", "the sides agree")},
    )
    assert alone.closed() == {"agree": "the sides agree within the tolerance", "failed": "the refund has failed"}
