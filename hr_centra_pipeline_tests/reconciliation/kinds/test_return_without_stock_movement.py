from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds.alone import DAY, NOW, Alone, proof


def test_a_graded_unit_whose_movement_is_missing() -> None:
    alone = Alone("return_without_stock_movement")
    unit = {
        "effect_kind": "inventory_adjustment", "disposition": "sellable", "disposition_at": NOW - DAY, "sendable_at": NOW,
        "why": "planned, and not sent yet", "evidence": "{}",
    }  # fmt: skip
    alone.put(
        "missing_effects",
        {**unit, "return_item_id": "IT-1", "is_mapped": True, "unit_price": "125"},
        {**unit, "return_item_id": "IT-2", "is_mapped": False},
        {**unit, "return_item_id": "IT-3", "is_mapped": True, "effect_kind": "exchange_order"},
    )
    assert alone.opened("return_item_id", "amount", "fact_at", "detail") == [
        (
            "IT-1", Decimal(125), NOW,
            "Graded sellable on 2026-09-19 and not booked in Centra: planned, and not sent yet",
        )
    ]  # fmt: skip


def test_the_stock_change_is_in_centra() -> None:
    alone = Alone("return_without_stock_movement")
    alone.was_open("booked", effect_proof=proof("in_centra", "the stock movement is in Centra: 5"))
    alone.was_open("answered", answer_proof=proof("refused_by_centra", "Centra has answered: refused"))
    alone.was_open("still", effect_state="planned", refusal_proof=proof("refused", "only money and goods are refused"))
    assert alone.closed() == {
        "booked": "the stock movement is in Centra: 5",
        "answered": "Centra has answered: refused",
    }
