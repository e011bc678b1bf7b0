"""Credits as Centra's own books show them afterwards."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from hr_centra_pipeline_tests.harness import Harness


def test_a_unit_is_credited_once_with_all_that_belongs_to_it(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 1, "129.90"), ("SHIRT-M", 1, "40.00"), shipping="4.90")
    unit = at_harness.comes_back(sold, shipping="4.90", fee="3.00")
    report = at_harness.sync()
    (made,) = at_harness.returns_of(sold)
    assert made["grand_total"] == "131.80"
    assert made["payments"] == [["REFUND", "SUCCESS", "131.80"]]
    assert {unit.return_id, unit.code} <= set(made["comment"].split())
    assert report.confirmed == {"credit_note": 1, "shipping_refund": 1, "return_fee": 1}
    before = at_harness.records
    at_harness.settle()
    assert at_harness.records["returns"] == before["returns"]
    assert at_harness.refunded(sold) == Decimal("131.80")


def test_one_note_reports_the_drop_off_and_the_money_that_goes_in_the_same_push(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold)
    at_harness.settle()
    assert at_harness.mutations() == ["createReturn", "refundReturn", "updateDirectToConsumerOrder"]
    assert "refunded" in at_harness.comment_of(sold)


@pytest.mark.slow
def test_a_credit_that_is_held_up_again_and_again_does_not_hide_the_return(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold)
    at_harness.fault("error_before", "LookAtOrder", times=1000)
    at_harness.sync()
    assert at_harness.comment_of(sold) == ""
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(hours=13))
    at_harness.sync()
    assert "dropped off" in at_harness.comment_of(sold)
    at_harness.calm_down()
    at_harness.settle()
    assert "refunded" in at_harness.comment_of(sold)
