from __future__ import annotations

from hr_centra_pipeline_tests.reconciliation.kinds.alone import NOW, Alone


def test_a_customer_return_that_names_no_return() -> None:
    alone = Alone("stock_change_without_return")
    alone.put(
        "customer_returns",
        {"stock_change_id": 51, "units": 2, "by_person": True, "created_at": NOW, "sku": "A"},
        {"stock_change_id": 52, "units": 1, "by_person": True, "created_at": NOW, "sku": "A"},
    )
    alone.put("named_stock_changes", stock_change_id=52)
    assert alone.opened("identity", "culprit", "fact_at", "detail") == [
        (
            "Stock change 51",
            "person",
            NOW,
            "Stock change 51 puts 2 units back as a customer return, and no return is reported",
        )
    ]


def test_a_return_that_the_text_names_closes_it() -> None:
    alone = Alone("stock_change_without_return")
    alone.put("named_stock_changes", stock_change_id=51)
    alone.was_open("named", identity="Stock change 51")
    alone.was_open("still", identity="Stock change 52")
    assert alone.closed() == {"named": "the stock change names a return that is reported"}
