from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds.alone import NOW, Alone, proof


def test_a_grade_that_the_policy_does_not_map() -> None:
    alone = Alone("unmapped_disposition")
    unit = {
        "effect_kind": "inventory_adjustment",
        "disposition": "odd",
        "disposition_at": NOW,
        "why": "no word",
        "evidence": "{}",
    }
    alone.put(
        "missing_effects",
        {**unit, "return_item_id": "IT-1", "is_mapped": False, "unit_price": "125"},
        {**unit, "return_item_id": "IT-2", "is_mapped": True},
        {**unit, "return_item_id": "IT-3", "is_mapped": False, "effect_kind": "credit_note"},
    )
    assert alone.opened("return_item_id", "amount", "fact_at", "detail") == [
        ("IT-1", Decimal(125), NOW, "Graded odd on 2026-09-20 and not booked in Centra: no word")
    ]


def test_it_is_booked_or_the_policy_maps_the_word() -> None:
    alone = Alone("unmapped_disposition")
    alone.put("known_units", {"return_item_id": "IT-1", "is_mapped": True, "disposition": "odd"})
    alone.put("known_units", {"return_item_id": "IT-2", "is_mapped": False, "disposition": "odd"})
    alone.was_open("mapped", return_item_id="IT-1")
    alone.was_open("booked", effect_proof=proof("in_centra", "the stock movement is in Centra: 5"))
    alone.was_open("still", return_item_id="IT-2")
    assert alone.closed() == {
        "mapped": "the policy maps odd",
        "booked": "the stock movement is in Centra: 5",
    }
