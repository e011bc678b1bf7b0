from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds.alone import DAY, NOW, Alone


def test_only_an_order_that_centra_says_it_does_not_have_counts() -> None:
    alone = Alone("return_without_order")
    alone.put("staging.returns", return_id="RT-1", order_number="10O1", created_at=NOW - DAY)
    alone.put("staging.return_items", return_id="RT-2", order_number="1002", return_created_at=NOW - DAY)
    alone.put(
        "staging.refunds", return_id="RT-1", order_number="10O1", status="issued", total_refunded="80", currency="EUR"
    )
    alone.put("landing.centra_absent_orders", order_number="10O1")
    assert alone.opened("return_id", "amount", "fact_at", "detail") == [
        (
            "RT-1", Decimal(80), NOW - DAY,
            "Centra has no order 10O1, which return RT-1 names; Happy Returns has refunded 80.00 EUR",
        )
    ]  # fmt: skip


def test_centra_has_the_order_or_the_export_names_another_one() -> None:
    alone = Alone("return_without_order")
    alone.put("staging.orders", order_number="1001")
    alone.put("staging.return_items", return_id="RT-3", order_number="10O3")
    alone.was_open("found", return_id="RT-1", order_number="1001")
    alone.was_open("corrected", return_id="RT-2", order_number="10O2")
    alone.was_open("as before", return_id="RT-3", order_number="10O3")
    assert alone.closed() == {
        "found": "Centra has order 1001",
        "corrected": "no unit of the return names that order any more",
    }


def test_a_row_of_the_return_that_its_units_have_since_corrected_names_no_order_any_more() -> None:
    alone = Alone("return_without_order")
    for return_id, later in (("RT-1", DAY), ("RT-2", -DAY)):
        alone.put("staging.returns", return_id=return_id, order_number="10O1", source_time=NOW - 2 * DAY)
        alone.put("staging.return_items", return_id=return_id, order_number="1001", source_time=NOW - 2 * DAY + later)
    alone.put("landing.centra_absent_orders", order_number="10O1")
    assert alone.opened("return_id") == [("RT-2",)]
