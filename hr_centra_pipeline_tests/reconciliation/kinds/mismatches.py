"""What holds for the mismatch of every component alike."""

from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds.alone import Alone, proof


def opens_for_its_component_only(component: str) -> None:
    """A deviation of another component is another kind."""
    other = "items" if component != "items" else "tax"
    alone = Alone(f"refund_mismatch_{component}")
    for return_id, of in (("RT-1", component), ("RT-2", other)):
        alone.put("deviations", component=of, return_id=return_id, amount="5", culprit="centra")
    assert alone.opened("return_id", "subject", "amount") == [("RT-1", component, Decimal(5))]


def closes_when_the_sides_agree_or_the_refund_has_failed(component: str) -> None:
    """And by nothing else, and not for another kind's proof."""
    agreed = proof("agree", "the sides agree within the tolerance")
    kind = f"refund_mismatch_{component}"
    alone = Alone(kind)
    mismatch = {"kind": kind, "subject": component}
    alone.put(
        "unseen_mismatches",
        {**mismatch, "exception_id": "agree", "agreement_proof": agreed},
        {**mismatch, "exception_id": "failed", "failure_proof": proof("refund_failed", "the refund has failed")},
        {**mismatch, "exception_id": "still"},
        {"kind": "another", "exception_id": "other", "agreement_proof": agreed},
    )
    assert alone.closed() == {"agree": "the sides agree within the tolerance", "failed": "the refund has failed"}
