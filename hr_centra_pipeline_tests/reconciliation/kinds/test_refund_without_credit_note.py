from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds.alone import NOW, Alone


def test_a_refund_without_a_return_that_nobody_has_tied() -> None:
    alone = Alone("refund_without_credit_note")
    alone.put("orders_of_refunds", order_number="1001")
    entry = {"order_number": "1001", "currency": "EUR", "amount": "-80", "money": "refunded", "created_at": NOW}
    alone.put(
        "staging.payment_entries",
        {**entry, "entry_id": 1},
        {**entry, "entry_id": 2},
        {**entry, "entry_id": 3, "centra_return_id": 9},
        {**entry, "entry_id": 4, "money": "captured"},
    )
    alone.put("push.ties", what="refund", centra_id="2")
    assert alone.opened("identity", "amount", "detail") == [
        ("Payment entry 1", Decimal(80), "Somebody refunded 80.00 EUR on order 1001 without a Return")
    ]


def test_a_return_of_ours_that_was_deleted_after_it_was_paid() -> None:
    alone = Alone("refund_without_credit_note")
    alone.put("lost_credits", return_item_id="IT-1", subject="credit", is_paid=False)
    alone.put("lost_credits", return_item_id="IT-2", subject="credit", is_paid=True)
    assert alone.opened("return_item_id", "subject") == [("IT-2", "credit")]


def test_it_is_tied_or_has_its_return() -> None:
    alone = Alone("refund_without_credit_note")
    alone.put("push.ties", {"centra_id": "1", "tied_by": "Mia"}, {"centra_id": "1", "tied_by": "Zoe"})
    alone.put("orders_of_refunds", order_number="1002")
    alone.was_open("tied", identity="Payment entry 1", order_number="1001")
    alone.was_open("returned", identity="Payment entry 2", order_number="1002")
    alone.was_open("not looked at", identity="Payment entry 3", order_number="1003")
    assert alone.closed() == {"tied": "tied by Mia", "returned": "the refund has its Return in Centra"}
