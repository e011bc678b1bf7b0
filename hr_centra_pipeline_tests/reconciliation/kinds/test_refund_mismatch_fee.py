from __future__ import annotations

from hr_centra_pipeline_tests.reconciliation.kinds import mismatches


def test_only_a_deviation_of_its_component_counts() -> None:
    mismatches.opens_for_its_component_only("fee")


def test_the_sides_agree_or_the_refund_has_failed() -> None:
    mismatches.closes_when_the_sides_agree_or_the_refund_has_failed("fee")
