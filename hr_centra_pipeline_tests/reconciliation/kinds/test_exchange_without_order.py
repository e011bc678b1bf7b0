from __future__ import annotations

import json
from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds.alone import DAY, NOW, Alone, proof

PAID = proof("paid_instead", "the money was refunded instead: Return 9")


def test_an_exchange_that_is_due_and_has_no_order() -> None:
    alone = Alone("exchange_without_order")
    effect = {"trigger_at": NOW - DAY, "sendable_at": NOW, "unit_price": "125", "currency": "EUR"}
    alone.put(
        "missing_effects",
        {**effect, "return_item_id": "IT-1", "effect_kind": "exchange_order", "why": "out of stock: B"},
        {**effect, "return_item_id": "IT-2", "effect_kind": "credit_note", "why": "planned, and not sent yet"},
    )
    assert alone.opened("return_item_id", "amount", "fact_at", "detail") == [
        (
            "IT-1", Decimal(125), NOW,
            "The exchange was due on 2026-09-19 and no replacement is ordered: out of stock: B",
        )
    ]  # fmt: skip


def test_an_exchange_that_someone_refunded_unasked() -> None:
    alone = Alone("exchange_without_order")
    alone.put("matching.orders_in_play", order_number="1001")
    for unit, return_id in (("IT-1", 9), ("IT-2", 10)):
        alone.put(
            "known_units", return_item_id=unit, refund_type="exchange", credit_due_at=NOW, is_refused=False,
            foreign_centra_return_id=return_id, evidence="{}",
        )  # fmt: skip
        alone.put("effects.value_given_back", return_item_id=unit, is_paid_instead=True)
        alone.put(
            "staging.payment_entries", order_number="1001", centra_return_id=return_id, money="refunded", created_at=NOW
        )
        alone.put("staging.centra_returns", centra_return_id=return_id, made_by="person")
    asked = json.dumps({"return_item_id": "IT-2"})  # asked before: whoever then refunded has decided
    alone.put(
        "reconciliation.exception_events", kind="exchange_without_order", event="opened", at=NOW - DAY, subject=asked
    )
    assert alone.opened("return_item_id", "culprit", "detail") == [
        (
            "IT-1", "person",
            "All of it was refunded by hand, on Return 9: the shopper wants an exchange, and no replacement is ordered",
        )
    ]  # fmt: skip


def test_the_replacement_is_ordered_or_money_was_given() -> None:
    alone = Alone("exchange_without_order")
    alone.was_open("ordered", effect_proof=proof("in_centra", "the exchange order is in Centra: 5"))
    alone.was_open(
        "answered", effect_state="rejected", answer_proof=proof("refused_by_centra", "Centra has answered: refused")
    )
    alone.was_open("still", effect_state="planned")
    alone.was_open("paid", effect_state="planned", refusal_proof=proof("refused", "refused by Happy Returns"))
    alone.put("unseen_replacements", exception_id="paid", is_paid_instead=True, paid_instead_proof=PAID)
    assert alone.closed() == {
        "ordered": "the exchange order is in Centra: 5",
        "answered": "Centra has answered: refused",
        "paid": "the money was refunded instead: Return 9",
    }
