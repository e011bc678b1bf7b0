from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds.alone import NOW, Alone


def test_a_refund_row_names_a_unit_that_was_refused() -> None:
    alone = Alone("promised_item_refused")
    alone.put("matching.orders_in_play", order_number="1001")
    alone.put("policy.refused_dispositions", disposition="missing")
    alone.put(
        "staging.refunds", refund_id="RF-1", order_number="1001", status="issued", total_refunded="100", currency="EUR"
    )
    for unit, is_refused in (("IT-1", True), ("IT-2", False), ("IT-3", True)):
        alone.put("staging.refund_units", refund_id="RF-1", return_item_id=unit)
        alone.put(
            "staging.return_items", return_item_id=unit, return_id="RT-1", order_number="1001", disposition="missing",
            disposition_at=NOW, refund_type="refund",
        )  # fmt: skip
        alone.put("matching.matched_items", return_item_id=unit, unit_price="100", currency="EUR")
        alone.put("effects.units", return_item_id=unit, is_refused=is_refused)
    alone.put("push.ledger", effect_key="HR3", return_item_id="IT-3", effect_kind="credit_note", state="confirmed")
    assert alone.opened("return_item_id", "subject", "amount", "detail") == [
        (
            "IT-1", "credit", Decimal(100),
            "Graded missing and not credited, although Happy Returns' refund RF-1 of 100.00 EUR says that it is refunded",
        )
    ]  # fmt: skip


def test_the_unit_is_accepted_or_the_row_is_gone() -> None:
    alone = Alone("promised_item_refused")
    alone.put("matching.orders_in_play", order_number="1001")
    alone.put(
        "known_units", {"return_item_id": "IT-1", "is_refused": False}, {"return_item_id": "IT-2", "is_refused": True}
    )
    alone.was_open("approved", return_item_id="IT-1", order_number="1001")
    alone.was_open("not promised", return_item_id="IT-2", order_number="1001")
    alone.was_open("not looked at", return_item_id="IT-3", order_number="1002")
    assert alone.closed() == {
        "approved": "approved after all",
        "not promised": "no refund row reports it as refunded any longer, or it was credited",
    }
