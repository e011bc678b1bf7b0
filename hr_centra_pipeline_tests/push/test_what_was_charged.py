"""What is given back was charged before: on the same shipment, and by the same instrument."""

from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline.push import approvals
from hr_centra_pipeline.push.approvals import Signature
from hr_centra_pipeline_tests.desk import Desk, Sold

HUNDRED = Decimal("100.00")


def in_part_by_gift_card(at_desk: Desk, sold: Sold, amount: str) -> None:
    """So much of what the card paid was paid by a gift card instead."""
    at_desk.store.rows(
        "update payments set value = ? where order_number = ? and entry_type = 'CAPTURE'",
        [sum(sold.prices, Decimal(0)) - Decimal(amount), sold.number],
    )
    at_desk.store.pay(sold.number, "CAPTURE_GIFT_CARD", Decimal(amount), at_desk.clock.now())


def reasons(at_desk: Desk) -> dict[str, str]:
    return dict(at_desk.rows("select return_item_id, blocked_by from effects.pending_credit_notes"))


def test_no_payment_gets_more_than_it_paid_and_what_was_not_charged_is_not_given(at_desk: Desk) -> None:
    whole = at_desk.sell(("DRESS-S", 1, "100.00"))
    in_part_by_gift_card(at_desk, whole, "40.00")
    whole_unit = at_desk.comes_back(whole)
    halves = at_desk.sell(("DRESS-S", 1, "50.00"), ("SHIRT-M", 1, "50.00"))
    in_part_by_gift_card(at_desk, halves, "40.00")
    first = at_desk.comes_back(halves, days_ago=2.5)
    second = at_desk.comes_back(halves, line=1)
    shipped = at_desk.sell(("DRESS-S", 1, "100.00"), ("SHIRT-M", 1, "40.00"), parts=[1])
    ((shipment,),) = [tuple(row.values()) for row in at_desk.store.rows("select max(id) from shipments")]
    at_desk.store.rows("delete from payments where shipment_id = ?", [shipment])
    at_desk.store.rows("update shipments set is_captured = 0 where id = ?", [shipment])
    uncharged = at_desk.comes_back(shipped, line=1)
    charged = at_desk.comes_back(shipped)
    at_desk.settle()

    assert [at_desk.refunded(sold) for sold in (whole, halves, shipped)] == [0, Decimal("50.00"), HUNDRED]
    states = at_desk.states()
    assert states[first.item] == states[charged.item] == "confirmed"
    why = reasons(at_desk)
    assert set(why) == {whole_unit.item, second.item, uncharged.item}
    assert why[uncharged.item] == "nothing was captured on its shipment"
    assert why[whole_unit.item] == why[second.item]
    assert why[second.item].startswith("the order was paid in part by gift card")
    at_desk.clock.advance_to(at_desk.clock.now().replace(day=30, month=11))
    told = {unit: detail for kind, unit, detail in at_desk.reconcile() if kind == "return_without_credit_note"}
    assert set(why) <= set(told)
    # Captured after all, it is paid.
    at_desk.store.pay(shipped.number, "CAPTURE", Decimal("40.00"), at_desk.clock.now(), shipment_id=shipment)
    at_desk.store.captured(shipment, at_desk.clock.now())
    at_desk.settle()
    assert at_desk.refunded(shipped) == Decimal("140.00")


def test_each_share_of_a_voucher_over_two_shipments_gets_through_and_they_sum_back(at_desk: Desk) -> None:
    sold = at_desk.sell(("DRESS-S", 1, "100.00"), ("SHIRT-M", 1, "50.00"), voucher="15.00", parts=[1])
    first = at_desk.comes_back(sold)
    at_desk.comes_back(sold, line=1, with_unit=first)
    at_desk.sync()
    with at_desk.warehouse.transaction() as connection:
        signature = Signature("Anna Approver", "looked at it", at_desk.clock.now())
        approvals.approve(connection, signature, keys=[str(sold.number)])
    at_desk.settle()
    assert sorted(Decimal(row["grand_total"]) for row in at_desk.returns_of(sold)) == [
        Decimal("45.00"),
        Decimal("90.00"),
    ]
    assert at_desk.refunded(sold) == Decimal("135.00")
    assert at_desk.rows("select sum(discounts), sum(return_cost) from staging.centra_returns") == [(15, 0)]
    assert [kind for kind, _, _ in at_desk.reconcile() if kind.startswith("refund_mismatch")] == []
