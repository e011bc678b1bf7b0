"""Codes of an export that look like keys of ours prove nothing, wherever they are written."""

from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline.core.keys import effect_key
from hr_centra_pipeline_tests.desk import Desk


def test_an_express_code_that_is_another_unit_s_key_proves_nothing_and_both_are_paid_once(at_desk: Desk) -> None:
    first = at_desk.sell(("DRESS-S", 1, "100.00"))
    unit = at_desk.comes_back(first, grade="sellable")
    at_desk.change(unit, express_code=effect_key("credit_note", "IT-00002"))
    at_desk.settle()
    second = at_desk.sell(("DRESS-S", 1, "100.00"))
    assert at_desk.comes_back(second, grade="sellable").item == "IT-00002"
    at_desk.settle()
    assert [at_desk.refunded(sold) for sold in (first, second)] == [Decimal("100.00"), Decimal("100.00")]
    assert [row[0] for row in at_desk.reconcile()] == []
