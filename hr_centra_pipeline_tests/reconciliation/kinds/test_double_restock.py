from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline.core.keys import effect_key
from hr_centra_pipeline_tests.reconciliation.kinds.alone import NOW, Alone

KEY_1, KEY_2 = (effect_key("inventory_adjustment", unit, "1") for unit in ("IT-1", "IT-2"))


def test_our_stock_change_and_an_external_return_put_the_unit_back() -> None:
    alone = Alone("double_restock")
    alone.put("matching.orders_in_play", order_number="1001")
    for unit, key, stock_change, quantity in (("IT-1", KEY_1, 51, 1), ("IT-2", KEY_2, 52, -1)):
        alone.put("known_units", return_item_id=unit, order_number="1001", unit_price="125", currency="EUR")
        alone.put("matching.matched_items", return_item_id=unit, foreign_centra_return_id=9)
        alone.put("push.ledger", effect_key=key, state="confirmed", centra_id=str(stock_change))
        alone.put("staging.stock_changes", stock_change_id=stock_change, quantity=quantity)
    alone.put("staging.centra_returns", centra_return_id=9, created_at=NOW, made_by="person", returned_to_stock=True)
    assert alone.opened("return_item_id", "identity", "amount", "detail") == [
        (
            "IT-1", "Return 9", Decimal(125),
            "Return 9, made by a person, put the unit back into stock, and so did hr-centra (stock change 51)",
        )
    ]  # fmt: skip


def test_a_movement_of_ours_that_is_there_twice() -> None:
    alone = Alone("double_restock")
    alone.put("repeated_effects", place="return", identity="HR1")
    alone.put("repeated_effects", place="stock_change", identity="HR2")
    assert alone.opened("identity") == [("HR2",)]


def test_centra_shows_the_unit_put_back_once() -> None:
    alone = Alone("double_restock")
    alone.put("matching.orders_in_play", order_number="1001")
    alone.was_open("looked at", order_number="1001")
    alone.was_open("not looked at", order_number="1002")
    assert alone.closed() == {"looked at": "Centra shows it given back once"}
