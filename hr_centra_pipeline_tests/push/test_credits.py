"""Credits as Centra's own books show them afterwards."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from hr_centra_pipeline_tests.desk import Desk


def test_a_unit_is_credited_once_with_all_that_belongs_to_it(at_desk: Desk) -> None:
    sold = at_desk.sell(("DRESS-S", 1, "129.90"), ("SHIRT-M", 1, "40.00"), shipping="4.90")
    unit = at_desk.comes_back(sold, shipping="4.90", fee="3.00")
    report = at_desk.sync()
    (made,) = at_desk.returns_of(sold)
    assert made["grand_total"] == "131.80"
    assert made["payments"] == [["REFUND", "SUCCESS", "131.80"]]
    assert {unit.return_id, unit.code} <= set(made["comment"].split())
    assert report.confirmed == {"credit_note": 1, "shipping_refund": 1, "return_fee": 1}
    before = at_desk.books
    at_desk.settle()
    assert at_desk.books["returns"] == before["returns"]
    assert at_desk.refunded(sold) == Decimal("131.80")


def test_one_note_reports_the_drop_off_and_the_money_that_goes_in_the_same_push(at_desk: Desk) -> None:
    sold = at_desk.sell(("DRESS-S", 1, "100.00"))
    at_desk.comes_back(sold)
    at_desk.settle()
    assert at_desk.mutations() == ["createReturn", "refundReturn", "updateDirectToConsumerOrder"]
    assert "refunded" in at_desk.comment_of(sold)


@pytest.mark.slow
def test_a_credit_that_is_held_up_again_and_again_does_not_hide_the_return(at_desk: Desk) -> None:
    sold = at_desk.sell(("DRESS-S", 1, "100.00"))
    at_desk.comes_back(sold)
    at_desk.fault("error_before", "LookAtOrder", times=1000)
    at_desk.sync()
    assert at_desk.comment_of(sold) == ""
    at_desk.clock.advance_to(at_desk.clock.now() + timedelta(hours=13))
    at_desk.sync()
    assert "dropped off" in at_desk.comment_of(sold)
    at_desk.calm_down()
    at_desk.settle()
    assert "refunded" in at_desk.comment_of(sold)
