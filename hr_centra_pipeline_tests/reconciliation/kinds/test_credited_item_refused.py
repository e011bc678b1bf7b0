from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds.alone import NOW, Alone


def test_money_went_out_and_the_unit_was_refused() -> None:
    alone = Alone("credited_item_refused")
    alone.put("policy.refused_dispositions", disposition="missing")
    unit = {"return_id": "RT-1", "order_number": "1001", "currency": "EUR", "unit_price": "125", "evidence": "{}"}
    alone.put(
        "known_units",
        {**unit, "return_item_id": "IT-1", "disposition": "missing", "disposition_at": NOW, "is_refused": True},
        {**unit, "return_item_id": "IT-2", "approval_withdrawn_at": NOW, "is_refused": True},
        {**unit, "return_item_id": "IT-3", "disposition": "sellable", "disposition_at": NOW, "is_refused": False},
        {**unit, "return_item_id": "IT-4", "disposition": "missing", "disposition_at": NOW, "is_refused": True},
    )
    effect = {"effect_kind": "credit_note", "state": "confirmed", "amount": "100"}
    alone.put(
        "push.ledger",
        {**effect, "return_item_id": "IT-1", "effect_key": "HR1"},
        {**effect, "return_item_id": "IT-2", "effect_key": "HR2", "effect_kind": "exchange_order"},
        {**effect, "return_item_id": "IT-3", "effect_key": "HR3"},
        {**effect, "return_item_id": "IT-4", "effect_key": "HR4", "effect_kind": "exchange_order"},
    )
    alone.put("effects.replacements", effect_key="HR4", state="canceled")  # it has not left
    assert alone.opened("return_item_id", "subject", "amount", "detail") == [
        ("IT-1", "credit", Decimal(100), "Graded missing after the money was given back"),
        ("IT-2", "exchange", Decimal(125), "Its approval was withdrawn after the replacement was sent"),
    ]


def test_the_grade_is_corrected_or_the_replacement_was_canceled() -> None:
    alone = Alone("credited_item_refused")
    alone.put("known_units", {"return_item_id": "IT-1", "is_refused": False, "disposition": "sellable"})
    alone.put(
        "known_units", {"return_item_id": "IT-2", "is_refused": True}, {"return_item_id": "IT-3", "is_refused": True}
    )
    alone.put("latest_replacements", return_item_id="IT-2", state="canceled")
    for unit, subject in (("IT-1", "credit"), ("IT-2", "exchange"), ("IT-3", "credit")):
        alone.was_open(unit, return_item_id=unit, subject=subject)
    assert alone.closed() == {
        "IT-1": "graded sellable after all",
        "IT-2": "the replacement was canceled before it left",
    }
