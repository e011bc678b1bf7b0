"""Codes of an export that look like keys of ours prove nothing, wherever they are written."""

from __future__ import annotations

from decimal import Decimal

import pytest

from hr_centra_pipeline.core.keys import effect_key
from hr_centra_pipeline_tests.harness import Harness


@pytest.mark.slow
def test_an_express_code_that_is_another_unit_s_key_proves_nothing_and_both_are_paid_once(at_harness: Harness) -> None:
    first = at_harness.sell(("DRESS-S", 1, "100.00"))
    unit = at_harness.comes_back(first, grade="sellable")
    at_harness.change(unit, express_code=effect_key("credit_note", "IT-00002"))
    at_harness.settle()
    second = at_harness.sell(("DRESS-S", 1, "100.00"))
    assert at_harness.comes_back(second, grade="sellable").item == "IT-00002"
    at_harness.settle()
    assert [at_harness.refunded(sold) for sold in (first, second)] == [Decimal("100.00"), Decimal("100.00")]
    assert [row[0] for row in at_harness.reconcile()] == []
