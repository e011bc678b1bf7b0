from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds.alone import NOW, Alone


def test_a_unit_that_has_arrived_and_has_no_grade() -> None:
    alone = Alone("disposition_missing")
    alone.put(
        "known_units",
        {"return_item_id": "IT-1", "arrived_at": NOW, "is_returnless": False, "unit_price": "125"},
        {"return_item_id": "IT-2", "arrived_at": NOW, "is_returnless": False, "disposition": "sellable"},
        {"return_item_id": "IT-3", "arrived_at": NOW, "is_returnless": True},
        {"return_item_id": "IT-4", "is_returnless": False},
    )
    assert alone.opened("return_item_id", "amount", "fact_at", "detail") == [
        ("IT-1", Decimal(125), NOW, "Arrived on 2026-09-20 and not graded")
    ]


def test_a_grade_closes_it() -> None:
    alone = Alone("disposition_missing")
    alone.put("known_units", {"return_item_id": "IT-1", "disposition": "sellable"}, {"return_item_id": "IT-2"})
    alone.was_open("graded", return_item_id="IT-1")
    alone.was_open("not graded", return_item_id="IT-2")
    alone.was_open("not known", return_item_id="IT-3")
    assert alone.closed() == {"graded": "graded sellable"}
