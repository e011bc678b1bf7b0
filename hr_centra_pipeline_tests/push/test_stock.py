"""Goods: each unit is moved as often as it was graded elsewhere, and then lies where its grade says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hr_centra_pipeline_tests.cases import mostly_slow
from hr_centra_pipeline_tests.harness import Harness, harness


@pytest.fixture
def at_harness(tmp_path: Path) -> Iterator[Harness]:
    with harness(tmp_path) as opened:
        yield opened


def days_pass(at_harness: Harness, days: int) -> None:
    """A sync each day."""
    for _ in range(days):
        at_harness.clock.advance_to(at_harness.clock.now() + timedelta(hours=30))
        at_harness.sync()


@pytest.mark.parametrize(("grade", "warehouse"), mostly_slow([("sellable", 1), ("damaged", 3)], ("damaged", 3)))
def test_what_is_missing_after_its_restock_is_moved_out_once(at_harness: Harness, grade: str, warehouse: int) -> None:
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    unit = at_harness.comes_back(sold, grade=grade)
    days_pass(at_harness, 2)
    at_harness.change(unit, disposition="missing")
    days_pass(at_harness, 4)
    assert at_harness.mutations().count("changeStock") == 2
    moves = at_harness.rows(
        "select warehouse_id, quantity from staging.stock_changes where len(effect_keys) > 0 order by 2"
    )
    assert moves == [(warehouse, -1), (warehouse, 1)]
    assert at_harness.rows("select * from effects.pending_inventory_adjustments") == []


@pytest.mark.slow
def test_what_is_found_again_after_it_was_missing_is_put_back_once(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    unit = at_harness.comes_back(sold, grade="sellable")
    for grade in (None, "missing", "damaged", "missing", "sellable"):
        if grade:
            at_harness.change(unit, disposition=grade)
        days_pass(at_harness, 3)
    moves = at_harness.rows(
        "select warehouse_id, quantity from staging.stock_changes where len(effect_keys) > 0 order by stock_change_id"
    )
    assert moves == [(1, 1), (1, -1), (3, 1), (3, -1), (1, 1)]
