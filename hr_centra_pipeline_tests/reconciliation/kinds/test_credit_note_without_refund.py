from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds.alone import DAY, NOW, Alone


def test_a_return_whose_money_did_not_go() -> None:
    alone = Alone("credit_note_without_refund")
    piece = {"return_id": "RT-1", "order_number": "1001", "currency": "EUR", "gross": "100", "is_exchange": False}
    for centra_return_id, is_foreign, paid in ((7, True, "0"), (8, False, "0"), (9, True, "100")):
        alone.put("return_pieces", {**piece, "centra_return_id": centra_return_id, "is_foreign": is_foreign})
        alone.put("return_states", centra_return_id=centra_return_id, paid=paid)
        alone.put("staging.centra_returns", centra_return_id=centra_return_id, created_at=NOW, made_by="person")
    alone.put("staging.payment_entries", centra_return_id=8, money="refund_failed", created_at=NOW + DAY)
    assert alone.opened("identity", "culprit", "amount", "fact_at", "detail") == [
        (
            "Return 7", "person", Decimal(100), NOW,
            "Return 7 gives back 100.00 EUR and was never refunded; it was made by a person",
        ),
        (
            "Return 8", "provider", Decimal(100), NOW + DAY,
            "Return 8 gives back 100.00 EUR, and the payment provider refused the refund",
        ),
    ]  # fmt: skip


def test_the_refund_is_shown_or_the_return_is_gone() -> None:
    alone = Alone("credit_note_without_refund")
    alone.put("staging.centra_returns", centra_return_id=7, deleted_at=NOW)
    for centra_return_id, paid in ((8, "100"), (9, "0"), (10, "0")):
        alone.put("staging.centra_returns", centra_return_id=centra_return_id)
        alone.put("return_states", centra_return_id=centra_return_id, paid=paid)
    alone.put("paid_through", return_id="RT-9", order_number="1009", refund_id="RF-9", row_payer="elsewhere")
    for number in (7, 8, 9, 10):
        alone.was_open(
            str(number), identity=f"Return {number}", return_id=f"RT-{number}", order_number=f"10{number:02}"
        )
    assert alone.closed() == {
        "7": "the Return was deleted in Centra",
        "8": "refunded in Centra",
        "9": "paid elsewhere, as Happy Returns reports",
    }
