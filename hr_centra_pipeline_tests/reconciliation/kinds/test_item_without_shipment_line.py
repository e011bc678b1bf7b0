from __future__ import annotations

from hr_centra_pipeline_tests.reconciliation.kinds.alone import NOW, Alone


def test_a_unit_that_is_no_shipped_piece_of_its_order() -> None:
    alone = Alone("item_without_shipment_line")
    for unit, reason in (
        ("IT-1", "more_units_than_shipped"), ("IT-2", "nothing_shipped"), ("IT-3", "no_such_order"), ("IT-4", "goods_never_came")
    ):  # fmt: skip
        alone.put("matching.matched_items", return_item_id=unit, sku="A", reason=reason)
        alone.put("staging.return_items", return_item_id=unit, return_id="RT-1", order_number="1001", source_time=NOW)
    alone.put("matching.matched_items", return_item_id="IT-5", shipment_line_id=7)
    alone.put("staging.return_items", return_item_id="IT-5")
    assert alone.opened("return_item_id", "detail") == [
        ("IT-1", "More units of A come back than order 1001 shipped"),
        ("IT-2", "Its line of order 1001 was never shipped"),
    ]


def test_a_refused_unit_counts_while_its_goods_wait_to_be_booked() -> None:
    alone = Alone("item_without_shipment_line")
    for unit, warehouse in (("IT-1", 1), ("IT-2", None)):
        alone.put("matching.matched_items", return_item_id=unit, sku="A", reason="refused")
        alone.put("staging.return_items", return_item_id=unit, return_id="RT-1", order_number="1001", source_time=NOW)
        alone.put("effects.units", return_item_id=unit, target_warehouse_id=warehouse)
    assert [unit for (unit,) in alone.opened("return_item_id")] == ["IT-1"]


def test_the_unit_has_its_shipment_line_or_nothing_is_due_for_it() -> None:
    alone = Alone("item_without_shipment_line")
    alone.put("known_units", return_item_id="IT-1")
    alone.put("matching.matched_items", return_item_id="IT-1", shipment_line_id=7)
    alone.put("matching.matched_items", return_item_id="IT-2", reason="refused")
    alone.put("matching.matched_items", return_item_id="IT-3", reason="article_not_on_order")
    for unit in ("IT-1", "IT-2", "IT-3"):
        alone.was_open(unit, return_item_id=unit)
    assert alone.closed() == {
        "IT-1": "it is shipment line 7",
        "IT-2": "nothing is due for it: it was refused, or its goods never came",
    }
