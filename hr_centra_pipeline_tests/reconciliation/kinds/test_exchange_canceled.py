from __future__ import annotations

from hr_centra_pipeline_tests.reconciliation.kinds.alone import NOW, Alone, proof

PAID = proof("paid_instead", "the money was refunded instead: Return 9")


def test_a_replacement_that_someone_canceled_and_about_which_nobody_has_decided() -> None:
    alone = Alone("exchange_canceled")
    unit = {
        "refund_type": "exchange",
        "is_refused": False,
        "order_numbers": ["9"],
        "order_updated_at": NOW,
        "return_id": "RT-1",
    }
    alone.put(
        "latest_replacements",
        {**unit, "return_item_id": "IT-1", "state": "canceled", "is_return_gone": False},
        {**unit, "return_item_id": "IT-2", "state": "canceled", "decision": "order_again"},
        {**unit, "return_item_id": "IT-3", "state": "canceled", "is_paid_instead": True},
        {**unit, "return_item_id": "IT-4", "state": "ordered"},
    )
    assert alone.opened("return_item_id", "culprit", "detail") == [
        ("IT-1", "person", "Someone canceled replacement order 9 in Centra: the shopper has neither goods nor money")
    ]


def test_a_person_has_decided_or_goods_or_money_are_given() -> None:
    alone = Alone("exchange_canceled")
    alone.put(
        "unseen_replacements",
        {"exception_id": "decided", "state": "canceled", "decision": "order_again", "decided_by": "Carla"},
        {"exception_id": "refund", "state": "canceled", "refund_type": "refund"},
        {"exception_id": "shipped", "state": "shipped", "replacement_order_number": "9", "shipped_at": NOW},
        {"exception_id": "ordered", "state": "ordered", "replacement_order_number": "10"},
        {"exception_id": "still", "state": "canceled", "refund_type": "exchange"},
    )
    for name in ("decided", "refund", "shipped", "ordered", "still"):
        alone.was_open(name)
    alone.was_open("refused", refusal_proof=proof("refused", "refused by Happy Returns: nothing is due"))
    alone.was_open("paid", effect_state="planned", refusal_proof=proof("refused", "refused by Happy Returns"))
    alone.put("unseen_replacements", exception_id="paid", is_paid_instead=True, paid_instead_proof=PAID)
    assert alone.closed() == {
        "decided": "to be ordered again, decided by Carla",
        "refund": "Happy Returns refunds it instead",
        "shipped": "replacement order 9 was shipped on 2026-09-20",
        "ordered": "the replacement is ordered again: 10",
        "refused": "refused by Happy Returns: nothing is due",
        "paid": "the money was refunded instead: Return 9",
    }
