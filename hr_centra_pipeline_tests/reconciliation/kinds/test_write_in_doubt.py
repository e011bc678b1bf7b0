from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds.alone import HOUR, NOW, Alone, proof


def test_an_effect_whose_outcome_is_not_known() -> None:
    alone = Alone("write_in_doubt")
    alone.put("known_units", return_item_id="IT-1", sku="A", currency="EUR", evidence="{}")
    alone.put("push.packets", packet_key="PK1", step="refund", created_at=NOW - HOUR, payload="{}")
    alone.put("push.packets", packet_key="PK2", trouble="differs", payload="{}")  # a kind of its own
    effect = {"effect_kind": "credit_note", "state": "sending", "amount": "100", "currency": "EUR", "return_id": "RT-1"}
    alone.put(
        "push.ledger",
        {**effect, "effect_key": "HR1", "packet_key": "PK1", "return_item_id": "IT-1"},
        {**effect, "effect_key": "HR2", "packet_key": "PK1", "effect_kind": "return_fee"},  # travels with the unit
        {**effect, "effect_key": "HR3", "packet_key": "PK2", "return_item_id": "IT-2", "effect_kind": "exchange_order"},
        {**effect, "effect_key": "HR4", "state": "confirmed", "return_item_id": "IT-3"},
    )
    assert alone.opened("return_item_id", "class", "amount", "fact_at", "detail") == [
        (
            "IT-1", "timing", Decimal(100), NOW - HOUR,
            "The outcome of the credit note in Centra is not known, at refund: no answer",
        )
    ]  # fmt: skip


def test_it_is_found_or_proven_absent() -> None:
    alone = Alone("write_in_doubt")
    alone.was_open(
        "found", effect_state="confirmed", effect_proof=proof("in_centra", "the credit note is in Centra: 5")
    )
    alone.was_open("absent", effect_state="planned")
    alone.was_open("still", effect_state="sending")
    assert alone.closed() == {
        "found": "the credit note is in Centra: 5",
        "absent": "looked up and proven absent: it is planned again",
    }
