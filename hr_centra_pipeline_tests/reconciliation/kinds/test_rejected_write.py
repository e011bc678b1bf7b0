from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds.alone import NOW, Alone, proof


def test_what_centra_has_refused() -> None:
    alone = Alone("rejected_write")
    alone.put("known_units", return_item_id="IT-1", sku="A", currency="EUR", unit_price="125", evidence="{}")
    effect = {
        "state": "rejected",
        "reason": "no such line",
        "return_id": "RT-1",
        "order_number": "1001",
        "updated_at": NOW,
    }
    alone.put(
        "push.ledger",
        {**effect, "effect_key": "HR1", "effect_kind": "inventory_adjustment", "return_item_id": "IT-1"},
        {**effect, "effect_key": "HR2", "effect_kind": "return_fee"},  # the unit says the same
        {**effect, "effect_key": "HR3", "effect_kind": "exchange_order", "return_item_id": "IT-1"},  # a kind of its own
        {**effect, "effect_key": "HR4", "effect_kind": "status_update", "order_number": "1002"},
    )
    assert alone.opened("identity", "subject", "amount", "detail") == [
        ("HR1", "stock", Decimal(125), "Centra refused the stock movement: no such line"),
        ("HR4", "status", None, "Centra refused the status update: no such line"),
    ]


def test_it_is_confirmed_or_planned_again() -> None:
    alone = Alone("rejected_write")
    alone.was_open("done", effect_proof=proof("in_centra", "the credit note is in Centra: 5"))
    alone.was_open("planned", effect_state="planned")
    alone.was_open(
        "still", effect_state="rejected", answer_proof=proof("refused_by_centra", "Centra has answered: refused")
    )
    assert alone.closed() == {
        "done": "the credit note is in Centra: 5",
        "planned": "planned again after its input or the policy changed",
    }
