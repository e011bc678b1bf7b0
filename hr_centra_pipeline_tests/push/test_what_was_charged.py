"""What is given back was charged before: on the same shipment, and by the same instrument."""

from __future__ import annotations

from decimal import Decimal

import pytest

from hr_centra_pipeline.push import approvals
from hr_centra_pipeline.push.approvals import Signature
from hr_centra_pipeline_tests.harness import Harness, Sold

HUNDRED = Decimal("100.00")


def in_part_by_gift_card(at_harness: Harness, sold: Sold, amount: str) -> None:
    """So much of what the card paid was paid by a gift card instead."""
    at_harness.store.rows(
        "update payments set value = ? where order_number = ? and entry_type = 'CAPTURE'",
        [sum(sold.prices, Decimal(0)) - Decimal(amount), sold.number],
    )
    at_harness.store.pay(sold.number, "CAPTURE_GIFT_CARD", Decimal(amount), at_harness.clock.now())


def reasons(at_harness: Harness) -> dict[str, str]:
    return dict(at_harness.rows("select return_item_id, blocked_by from effects.pending_credit_notes"))


def test_no_payment_gets_more_than_it_paid_and_what_was_not_charged_is_not_given(at_harness: Harness) -> None:
    whole = at_harness.sell(("DRESS-S", 1, "100.00"))
    in_part_by_gift_card(at_harness, whole, "40.00")
    whole_unit = at_harness.comes_back(whole)
    halves = at_harness.sell(("DRESS-S", 1, "50.00"), ("SHIRT-M", 1, "50.00"))
    in_part_by_gift_card(at_harness, halves, "40.00")
    first = at_harness.comes_back(halves, days_ago=2.5)
    second = at_harness.comes_back(halves, line=1)
    shipped = at_harness.sell(("DRESS-S", 1, "100.00"), ("SHIRT-M", 1, "40.00"), parts=[1])
    ((shipment,),) = [tuple(row.values()) for row in at_harness.store.rows("select max(id) from shipments")]
    at_harness.store.rows("delete from payments where shipment_id = ?", [shipment])
    at_harness.store.rows("update shipments set is_captured = 0 where id = ?", [shipment])
    uncharged = at_harness.comes_back(shipped, line=1)
    charged = at_harness.comes_back(shipped)
    at_harness.settle()

    assert [at_harness.refunded(sold) for sold in (whole, halves, shipped)] == [0, Decimal("50.00"), HUNDRED]
    states = at_harness.states()
    assert states[first.item] == states[charged.item] == "confirmed"
    why = reasons(at_harness)
    assert set(why) == {whole_unit.item, second.item, uncharged.item}
    assert why[uncharged.item] == "nothing was captured on its shipment"
    assert why[whole_unit.item] == why[second.item]
    assert why[second.item].startswith("the order was paid in part by gift card")
    at_harness.clock.advance_to(at_harness.clock.now().replace(day=30, month=11))
    told = {unit: detail for kind, unit, detail in at_harness.reconcile() if kind == "return_without_credit_note"}
    assert set(why) <= set(told)
    # Captured after all, it is paid.
    at_harness.store.pay(shipped.number, "CAPTURE", Decimal("40.00"), at_harness.clock.now(), shipment_id=shipment)
    at_harness.store.captured(shipment, at_harness.clock.now())
    at_harness.settle()
    assert at_harness.refunded(shipped) == Decimal("140.00")


@pytest.mark.slow
def test_each_share_of_a_voucher_over_two_shipments_gets_through_and_they_sum_back(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 1, "100.00"), ("SHIRT-M", 1, "50.00"), voucher="15.00", parts=[1])
    first = at_harness.comes_back(sold)
    at_harness.comes_back(sold, line=1, with_unit=first)
    at_harness.sync()
    with at_harness.warehouse.transaction() as connection:
        signature = Signature("Anna Approver", "looked at it", at_harness.clock.now())
        approvals.approve(connection, signature, keys=[str(sold.number)])
    at_harness.settle()
    assert sorted(Decimal(row["grand_total"]) for row in at_harness.returns_of(sold)) == [
        Decimal("45.00"),
        Decimal("90.00"),
    ]
    assert at_harness.refunded(sold) == Decimal("135.00")
    assert at_harness.rows("select sum(discounts), sum(return_cost) from staging.centra_returns") == [(15, 0)]
    assert [kind for kind, _, _ in at_harness.reconcile() if kind.startswith("refund_mismatch")] == []
