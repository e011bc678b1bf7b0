from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds.alone import DAY, NOW, Alone, proof


def test_a_credit_that_is_due_and_not_in_centra() -> None:
    alone = Alone("return_without_credit_note")
    effect = {"trigger_at": NOW - DAY, "sendable_at": NOW, "amount": "100"}
    alone.put(
        "missing_effects",
        {**effect, "return_item_id": "IT-1", "effect_kind": "credit_note", "why": "nothing was captured"},
        {**effect, "return_item_id": "IT-2", "effect_kind": "inventory_adjustment", "why": "planned, and not sent yet"},
    )
    assert alone.opened("return_item_id", "amount", "fact_at", "detail") == [
        ("IT-1", Decimal(100), NOW, "The credit was due on 2026-09-19 and is not in Centra: nothing was captured")
    ]


def test_a_return_of_ours_that_was_deleted_before_it_was_paid() -> None:
    alone = Alone("return_without_credit_note")
    alone.put("lost_credits", return_item_id="IT-1", subject="credit", is_paid=False)
    alone.put("lost_credits", return_item_id="IT-2", subject="credit", is_paid=True)
    assert alone.opened("return_item_id", "subject") == [("IT-1", "credit")]


def test_the_credit_is_in_centra_or_not_due_any_more() -> None:
    alone = Alone("return_without_credit_note")
    alone.was_open("done", effect_proof=proof("in_centra", "the credit note is in Centra: 5"))
    alone.was_open("answered", answer_proof=proof("refused_by_centra", "Centra has answered: refused"))
    alone.was_open("refused", refusal_proof=proof("refused", "refused by Happy Returns: nothing is due"))
    alone.was_open("still", effect_state="planned")
    assert alone.closed() == {
        "done": "the credit note is in Centra: 5",
        "answered": "Centra has answered: refused",
        "refused": "refused by Happy Returns: nothing is due",
    }
