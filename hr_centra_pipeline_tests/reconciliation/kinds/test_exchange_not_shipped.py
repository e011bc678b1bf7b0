from __future__ import annotations

from hr_centra_pipeline_tests.reconciliation.kinds.alone import DAY, NOW, Alone, proof

PAID = proof("paid_instead", "the money was refunded instead: Return 9")


def test_a_replacement_that_has_not_left() -> None:
    alone = Alone("exchange_not_shipped")
    order = {"ordered_at": NOW - DAY, "replacement_order_number": "9", "is_refused": False}
    alone.put(
        "latest_replacements",
        {**order, "return_item_id": "IT-1", "state": "ordered"},
        {**order, "return_item_id": "IT-2", "state": "ordered", "shipment_id": 4},
        {**order, "return_item_id": "IT-3", "state": "shipped", "shipment_id": 5},
        {**order, "return_item_id": "IT-4", "state": "ordered", "shipment_id": 6},
    )
    alone.put("latest_replacements", return_item_id="IT-5", state="ordered", shipment_id=6, is_refused=True)
    made = "Replacement order 9 was made on 2026-09-19 and is not shipped: "
    assert alone.opened("return_item_id", "detail") == [
        ("IT-1", made + "Centra shows no shipment of it"),
        ("IT-2", made + "its shipment 4 has not left"),
        ("IT-4", made + "its shipment 6 is held, since it also holds the replacement of IT-5, which was refused"),
    ]


def test_centra_shows_it_shipped_or_money_was_given() -> None:
    alone = Alone("exchange_not_shipped")
    shipped = {"state": "shipped", "replacement_order_number": "9", "shipped_at": NOW}
    alone.put(
        "unseen_replacements", {**shipped, "exception_id": "shipped"}, {"exception_id": "still", "state": "ordered"}
    )
    alone.was_open("shipped")
    alone.was_open("still")
    alone.was_open("paid", effect_state="planned", refusal_proof=proof("refused", "refused by Happy Returns"))
    alone.put("unseen_replacements", exception_id="paid", is_paid_instead=True, paid_instead_proof=PAID)
    assert alone.closed() == {
        "shipped": "replacement order 9 was shipped on 2026-09-20",
        "paid": "the money was refunded instead: Return 9",
    }
