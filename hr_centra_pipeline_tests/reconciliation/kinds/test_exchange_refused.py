from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds.alone import NOW, Alone, proof

PAID = proof("paid_instead", "the money was refunded instead: Return 9")


def test_a_replacement_order_that_centra_refused() -> None:
    alone = Alone("exchange_refused")
    alone.put("known_units", return_item_id="IT-1", unit_price="125", currency="EUR", evidence="{}")
    effect = {"return_item_id": "IT-1", "reason": "no such size", "updated_at": NOW}
    alone.put(
        "push.ledger",
        {**effect, "effect_key": "HR1", "effect_kind": "exchange_order", "state": "rejected"},
        {**effect, "effect_key": "HR2", "effect_kind": "credit_note", "state": "rejected"},
        {**effect, "effect_key": "HR3", "effect_kind": "exchange_order", "state": "confirmed"},
    )
    assert alone.opened("return_item_id", "amount", "detail") == [
        ("IT-1", Decimal(125), "Centra refused the replacement order: no such size")
    ]


def test_the_replacement_is_ordered_or_planned_again_or_money_was_given() -> None:
    alone = Alone("exchange_refused")
    alone.was_open("ordered", effect_proof=proof("in_centra", "the exchange order is in Centra: 5"))
    alone.was_open("planned", effect_state="planned")
    alone.was_open(
        "still", effect_state="rejected", answer_proof=proof("refused_by_centra", "Centra has answered: refused")
    )
    alone.was_open("paid", effect_state="planned", refusal_proof=proof("refused", "refused by Happy Returns"))
    alone.put("unseen_replacements", exception_id="paid", is_paid_instead=True, paid_instead_proof=PAID)
    assert alone.closed() == {
        "ordered": "the exchange order is in Centra: 5",
        "planned": "planned again after its input or the policy changed",
        "paid": "the money was refunded instead: Return 9",
    }
