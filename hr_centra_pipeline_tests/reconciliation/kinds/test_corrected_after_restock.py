from __future__ import annotations

from hr_centra_pipeline_tests.reconciliation.kinds.alone import NOW, Alone


def test_a_unit_that_is_in_stock_as_another_article() -> None:
    alone = Alone("corrected_after_restock")
    for unit, sku, warehouse in (("IT-1", "A", 1), ("IT-2", "B", 1), ("IT-3", "A", None)):
        alone.put(
            "booked_movements", return_item_id=unit, state="confirmed", sku=sku, warehouse_id=warehouse, centra_id="51",
            confirmed_at=NOW, planned_at=NOW, effect_key=unit,
        )  # fmt: skip
        alone.put("staging.return_items", return_item_id=unit, sku="B", source_time=NOW)
        alone.put("matching.matched_items", return_item_id=unit, present_sku="B")
    assert alone.opened("return_item_id", "sku", "detail") == [
        ("IT-1", "B", "Booked as A in warehouse 1 (stock change 51); Happy Returns now says B")
    ]


def test_happy_returns_names_the_booked_article_again() -> None:
    alone = Alone("corrected_after_restock")
    alone.put("known_units", return_item_id="IT-1")
    alone.was_open("again", return_item_id="IT-1")
    alone.was_open("not known", return_item_id="IT-2")
    assert alone.closed() == {"again": "Happy Returns again reports what was done, or it was reverted"}
