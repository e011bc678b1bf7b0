from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds.alone import Alone


def test_a_unit_for_which_more_was_given_than_was_paid() -> None:
    alone = Alone("double_credit")
    alone.put("matching.orders_in_play", order_number="1001")
    alone.put(
        "known_units", {"return_item_id": "IT-1", "sku": "A"}, {"return_item_id": "IT-2"}, {"return_item_id": "IT-3"}
    )
    value = {
        "return_id": "RT-1", "order_number": "1001", "currency": "EUR", "paid": "100", "given": "200", "refund": "200",
        "gift_card": "0", "exchange": "0", "elsewhere": "0", "foreign_refund": "0", "tied_refund": "0", "chargeback": "0",
    }  # fmt: skip
    alone.put(
        "effects.value_given_back",
        {**value, "return_item_id": "IT-1", "too_much": "100", "is_in_doubt": False},
        {**value, "return_item_id": "IT-2", "too_much": "0", "is_in_doubt": False},
        {**value, "return_item_id": "IT-3", "too_much": "100", "is_in_doubt": True},
    )
    assert alone.opened("return_item_id", "amount", "culprit", "detail") == [
        ("IT-1", Decimal(100), "unknown", "Given back for it: 200.00 EUR, paid were 100.00 EUR (refund 200.00 EUR)")
    ]


def test_an_external_return_on_a_unit_that_was_credited_and_a_credit_that_is_there_twice() -> None:
    alone = Alone("double_credit")
    alone.put("known_units", return_item_id="IT-1")
    alone.put("doubled_returns", return_item_id="IT-1", centra_return_id=9, made_by="person", amount="100", ours="R5")
    alone.put("repeated_effects", place="return", identity="HR1", return_item_id="IT-2", culprit="pipeline")
    alone.put("repeated_effects", place="stock_change", identity="HR2", return_item_id="IT-3", culprit="pipeline")
    assert alone.opened("identity", "return_item_id", "culprit") == [
        ("HR1", "IT-2", "pipeline"),
        ("Return 9", "IT-1", "person"),
    ]


def test_centra_shows_the_value_given_once() -> None:
    alone = Alone("double_credit")
    alone.put("matching.orders_in_play", order_number="1001")
    alone.was_open("looked at", order_number="1001")
    alone.was_open("not looked at", order_number="1002")
    assert alone.closed() == {"looked at": "Centra shows it given back once"}
