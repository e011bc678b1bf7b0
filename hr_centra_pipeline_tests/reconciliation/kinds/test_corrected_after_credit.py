from __future__ import annotations

import json
from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds.alone import NOW, Alone


def test_a_unit_that_was_credited_on_another_order() -> None:
    alone = Alone("corrected_after_credit")
    alone.put("matching.orders_in_play", order_number="1002")
    effect = {
        "effect_kind": "credit_note",
        "state": "confirmed",
        "currency": "EUR",
        "return_id": "RT-1",
        "centra_id": "R5",
    }
    alone.put(
        "push.ledger", {**effect, "effect_key": "HR1", "return_item_id": "IT-1", "shipment_line_id": 7, "amount": "100"}
    )
    alone.put(
        "push.ledger", {**effect, "effect_key": "HR2", "return_item_id": "IT-2", "shipment_line_id": 8, "amount": "100"}
    )
    alone.put("staging.order_lines", {"order_line_id": 1, "sku": "A"}, {"order_line_id": 2, "sku": "B"})
    line = {"unit_price": "100"}
    alone.put(
        "staging.shipment_lines",
        {**line, "shipment_line_id": 7, "order_number": "1001", "order_line_id": 1},
        {**line, "shipment_line_id": 8, "order_number": "1002", "order_line_id": 2},
    )
    for unit in ("IT-1", "IT-2"):
        alone.put("staging.return_items", return_item_id=unit, return_id="RT-1", order_number="1002", source_time=NOW)
        alone.put("matching.matched_items", return_item_id=unit, present_sku="B", is_corrected=False)
    assert alone.opened("return_item_id", "subject", "amount", "detail") == [
        (
            "IT-1", "credit", Decimal(100),
            "Credited as A of order 1001, 100.00 EUR, return RT-1 (R5); Happy Returns now says B of order 1002, return RT-1",
        )
    ]  # fmt: skip


def test_another_article_is_asked_for_than_was_ordered() -> None:
    alone = Alone("corrected_after_credit")
    for unit, key, asked in (("IT-1", "HR1", "C"), ("IT-2", "HR2", "B")):
        alone.put(
            "latest_replacements", return_item_id=unit, state="ordered", replacement_sku="B", replacement_order_number="9",
            evidence=json.dumps({"replacement_key": key}),
        )  # fmt: skip
        alone.put(
            "staging.return_items", return_item_id=unit, refund_type="exchange", exchange_sku=asked, source_time=NOW
        )
        alone.put("push.ledger", effect_key=key, packet_key=f"PK{key}")
    assert alone.opened("return_item_id", "subject", "detail") == [
        ("IT-1", "exchange", "B was ordered as its replacement (order 9); Happy Returns now asks for C")
    ]


def test_happy_returns_says_again_what_was_done() -> None:
    alone = Alone("corrected_after_credit")
    alone.put("known_units", return_item_id="IT-1")
    alone.was_open("again", return_item_id="IT-1")
    alone.was_open("not known", return_item_id="IT-2")
    assert alone.closed() == {"again": "Happy Returns again reports what was done, or it was reverted"}
