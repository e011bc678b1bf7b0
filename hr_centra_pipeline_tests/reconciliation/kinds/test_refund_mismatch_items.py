from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds import mismatches
from hr_centra_pipeline_tests.reconciliation.kinds.alone import NOW, Alone


def test_only_a_deviation_of_its_component_counts() -> None:
    mismatches.opens_for_its_component_only("items")


def test_a_row_in_another_currency_than_its_order() -> None:
    alone = Alone("refund_mismatch_items")
    alone.put("money_orders", order_number="1001")
    row = {"return_id": "RT-1", "order_number": "1001", "status": "issued", "refund_type": "refund", "issued_at": NOW}
    for refund_id, currency in (("RF-1", "USD"), ("RF-2", "EUR")):
        alone.put("staging.refunds", {**row, "refund_id": refund_id, "currency": currency, "total_refunded": "80"})
    alone.put("staging.orders", order_number="1001", currency="EUR")
    assert alone.opened("subject", "identity", "amount", "detail") == [
        (
            "row_currency", "RF-1", Decimal(80),
            "Happy Returns' refund row RF-1 is in USD, and order 1001 in EUR: it pays nothing and takes nothing off there",
        )
    ]  # fmt: skip


def test_a_row_that_does_not_add_up_unless_a_component_is_wrong_by_just_that() -> None:
    alone = Alone("refund_mismatch_items")
    alone.put("money_orders", order_number="1001")
    row = {
        "order_number": "1001",
        "currency": "EUR",
        "status": "issued",
        "refund_type": "refund",
        "item_subtotal": "80",
        "tax": "20",
    }
    for refund_id, return_id, total in (("RF-1", "RT-1", "90"), ("RF-2", "RT-2", "100"), ("RF-3", "RT-3", "90")):
        alone.put("staging.refunds", {**row, "refund_id": refund_id, "return_id": return_id, "total_refunded": total})
    alone.put("verdicts", return_id="RT-3", order_number="1001", currency="EUR", happy_returns="30", expected="20")
    assert alone.opened("subject", "identity", "amount") == [("items", "sum of RF-1", Decimal(10))]


def test_a_row_for_a_unit_that_was_given_goods() -> None:
    alone = Alone("refund_mismatch_items")
    alone.put("money_orders", order_number="1001")
    for unit, exchange in (("IT-1", "100"), ("IT-2", "0")):
        alone.put(
            "staging.refunds", refund_id=f"RF-{unit}", return_id="RT-1", order_number="1001", currency="EUR", status="issued",
            refund_type="refund", total_refunded="80",
        )  # fmt: skip
        alone.put("staging.refund_units", refund_id=f"RF-{unit}", return_item_id=unit)
        alone.put(
            "effects.value_given_back", return_item_id=unit, currency="EUR", paid="100", exchange=exchange, elsewhere="0",
            is_in_doubt=False,
        )  # fmt: skip
    assert alone.opened("subject", "identity", "amount") == [("row_instead_of_goods", "RF-IT-1", Decimal(80))]


def test_the_sides_agree_or_the_refund_has_failed() -> None:
    mismatches.closes_when_the_sides_agree_or_the_refund_has_failed("items")


def test_the_row_is_in_the_currency_of_its_order() -> None:
    alone = Alone("refund_mismatch_items")
    alone.put("staging.orders", order_number="1001", currency="EUR")
    for refund_id, currency in (("RF-1", "EUR"), ("RF-2", "USD")):
        alone.put("staging.refunds", refund_id=refund_id, order_number="1001", currency=currency)
        alone.put(
            "unseen_mismatches",
            exception_id=refund_id,
            kind="refund_mismatch_items",
            subject="row_currency",
            identity=refund_id,
        )
    assert alone.closed() == {"RF-1": "the refund row is in its order's currency"}
