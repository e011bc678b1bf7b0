"""Amounts to the cent: vouchers, fees and shipping over several packets, who pays, and never more than was paid."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.push import approvals
from hr_centra_pipeline.push.approvals import Signature
from hr_centra_pipeline.sandbox.centra.store import CentraSettings
from hr_centra_pipeline_tests.harness import Harness, harness

HUNDRED = Decimal("100.00")


def carried(at_harness: Harness, order: int) -> list[Decimal]:
    """The vouchers that an order's Returns carry."""
    return [
        row["voucher"] for row in at_harness.store.rows("select voucher from returns where order_number = ?", [order])
    ]


@pytest.mark.slow
def test_a_voucher_is_shared_over_all_packets_and_hands_and_sums_back_exactly(at_harness: Harness) -> None:
    lines = (("DRESS-S", 2, "100.00"), ("SHIRT-M", 1, "33.33"))
    ours, whole_taken, part_taken = (at_harness.sell(*lines, voucher="20.00") for _ in range(3))
    first = at_harness.comes_back(ours)
    at_harness.settle()
    # Somebody makes a Return by hand and gives the whole voucher to it, or nothing of it.
    for sold, voucher in ((whole_taken, "20.00"), (part_taken, "0.00")):
        made = at_harness.act("return", shipment_id=sold.shipment, lines={sold.lines[0]: 1})["made"]
        at_harness.store.update("returns", "id", made, {"voucher": Decimal(voucher)})
        at_harness.act("refund_return", return_id=made)
    at_harness.comes_back(ours)
    at_harness.comes_back(ours, 1, with_unit=first)
    for sold in (whole_taken, part_taken):
        at_harness.comes_back(sold, started_days_ago=30, days_ago=0.1)
    at_harness.settle()
    for sold in (whole_taken, part_taken):
        at_harness.comes_back(sold, 1, started_days_ago=0.1, days_ago=0.05)
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(days=2))
    at_harness.settle()
    assert sum(carried(at_harness, ours.number)) == Decimal("20.00")
    assert at_harness.refunded(ours) == Decimal("213.33")
    assert sum(carried(at_harness, whole_taken.number)) == Decimal("20.00")
    assert sum(carried(at_harness, part_taken.number)) <= Decimal("20.00")
    assert at_harness.rows("select count(*) from push.ledger where state = 'rejected'") == [(0,)]


@pytest.mark.slow
def test_an_exchanged_unit_keeps_its_share_of_the_voucher(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 2, "100.00"), voucher="20.00")
    unit = at_harness.comes_back(sold, refund_type="exchange", exchange_sku="DRESS-M")
    at_harness.settle()
    at_harness.comes_back(sold, with_unit=unit)
    at_harness.settle()
    assert at_harness.refunded(sold) == Decimal("90.00")


@pytest.mark.slow
def test_a_fee_is_taken_once_per_return_and_never_makes_an_amount_negative(at_harness: Harness) -> None:
    cheap = at_harness.sell(("SHIRT-M", 1, "3.00"))
    at_harness.comes_back(cheap, fee="4.95")
    split = at_harness.sell(("DRESS-S", 2, "100.00"))
    first = at_harness.comes_back(split, fee="4.95")
    at_harness.settle()
    at_harness.comes_back(split, with_unit=first)
    at_harness.settle()
    (made,) = at_harness.returns_of(cheap)
    assert (made["grand_total"], made["status"], made["payments"]) == ("0.00", "COMPLETED", [])
    assert at_harness.refunded(split) == Decimal("195.05")


def test_a_fee_rides_again_when_its_first_packet_was_planned_over_in_doubt_and_is_found_absent(
    at_harness: Harness,
) -> None:
    at_harness.with_policy(settling_minutes=15)
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold, fee="3.00")
    at_harness.fault("dropped_before", "CreateReturn")
    at_harness.sync()
    at_harness.plan()  # while it is in doubt
    at_harness.with_policy()
    at_harness.push()
    assert at_harness.refunded(sold) == Decimal("97.00")


@pytest.mark.slow
def test_what_was_paid_elsewhere_is_only_booked_and_counts_as_given(at_harness: Harness) -> None:
    at_harness.with_policy(pays_through={"refund": "elsewhere", "gift-card": "elsewhere"})
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold)
    at_harness.settle()
    assert at_harness.refunded(sold) == 0
    assert at_harness.returns_of(sold)[0]["status"] == "COMPLETED"
    assert at_harness.rows("select elsewhere, given, too_much from effects.value_given_back") == [(HUNDRED, HUNDRED, 0)]
    # And then somebody refunds that Return in Centra all the same.
    at_harness.act("refund_return", return_id=at_harness.returns_of(sold)[0]["id"])
    at_harness.plan()
    ((_, unit, detail),) = [row for row in at_harness.reconcile() if row[0] == "double_credit"]
    assert unit == "IT-00001"
    assert "Given back for it: 200.00 EUR, paid were 100.00 EUR" in detail


@pytest.mark.parametrize(
    "parts", [{"IT-1": "-10", "IT-2": "110"}, {"IT-1": "0", "IT-2": None}, {"IT-1": "120", "IT-2": None}]
)
def test_no_part_of_a_tied_refund_is_nothing_or_less(parts: dict[str, str | None]) -> None:
    units = {unit: Decimal(part) if part else None for unit, part in parts.items()}
    with pytest.raises(ConfigurationError, match="--unit IT-"):
        approvals._parts(HUNDRED, "EUR", units)


@pytest.mark.slow
def test_a_refund_without_a_return_is_tied_to_units_or_unrelated(at_harness: Harness) -> None:
    whole, part, nothing = (at_harness.sell(("DRESS-S", 2, "100.00")) for _ in range(3))
    units = [at_harness.comes_back(sold) for sold in (whole, part, nothing)]
    entries = [
        at_harness.act("refund_order", order_number=sold.number, amount=amount)["made"]
        for sold, amount in ((whole, "100.00"), (part, "30.00"), (nothing, "25.00"))
    ]
    at_harness.settle()
    assert "createReturn" not in at_harness.mutations()
    signature = Signature("Fina", "asked her", at_harness.clock.now())
    with at_harness.warehouse.transaction() as connection:
        approvals.tie_refund(connection, signature, entries[0], {units[0].item: None})
        approvals.tie_refund(connection, signature, entries[1], {units[1].item: None})
        approvals.tie_refund(connection, signature, entries[2], {})
    at_harness.settle()
    # Given already: only booked. Partly given: a person does the rest. Unrelated: paid as ever.
    assert at_harness.refunded(whole) == HUNDRED
    assert at_harness.returns_of(whole)[0]["status"] == "COMPLETED"
    assert (at_harness.refunded(part), at_harness.returns_of(part)) == (Decimal("30.00"), [])
    assert at_harness.refunded(nothing) == Decimal("125.00")
    assert at_harness.rows("select max(too_much) from effects.value_given_back") == [(Decimal(0),)]
    assert "refund_without_credit_note" not in [row[0] for row in at_harness.reconcile()]


def test_the_total_that_centra_computes_is_read_before_anything_is_paid(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold)
    at_harness.plan()
    with at_harness.store.write():  # the price changes between plan and call
        at_harness.store.rows("update order_lines set unit_price = '99.99' where order_number = ?", [sold.number])
    at_harness.push()
    assert at_harness.returns_of(sold) == []
    assert at_harness.mutations()[:2] == ["createReturn", "deleteReturn"]
    ((state, reason),) = at_harness.rows("select state, reason from push.ledger where effect_kind = 'credit_note'")
    assert state == "rejected"
    assert "gives 99.99 EUR back, planned were 100.00 EUR" in reason
    assert [row[0] for row in at_harness.reconcile()] == ["rejected_write"]


@pytest.mark.slow
def test_refused_between_creation_and_payment_nothing_is_paid_and_the_rest_goes_on(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 2, "100.00"))
    good = at_harness.comes_back(sold)
    bad = at_harness.comes_back(sold, with_unit=good)
    at_harness.with_policy(settling_minutes=15)
    at_harness.fault("error_before", "RefundReturn")
    at_harness.sync()
    assert at_harness.states() == {good.item: "unknown", bad.item: "unknown"}
    at_harness.change(bad, disposition="missing")
    at_harness.with_policy()
    at_harness.settle()
    assert at_harness.refunded(sold) == HUNDRED
    assert at_harness.states() == {good.item: "confirmed", bad.item: "withdrawn"}


@pytest.mark.slow
def test_a_poisoned_unit_never_holds_up_the_others(at_harness: Harness) -> None:
    locked = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.store.refuse_returns_on(locked.shipment, "Shipment is locked")
    at_harness.store.refuse_stock_changes_of("SHIRT-M", "Article is locked")
    orders = [
        locked,
        *(at_harness.sell(("DRESS-S", 1, "100.00")) for _ in range(3)),
        at_harness.sell(("SHIRT-M", 1, "50.00")),
    ]
    for sold in orders:
        at_harness.comes_back(sold, grade="sellable")
    at_harness.settle()
    assert [at_harness.refunded(sold) for sold in orders] == [0, HUNDRED, HUNDRED, HUNDRED, Decimal("50.00")]
    assert at_harness.moved("DRESS-S", 1) == 4
    rejected = at_harness.rows(
        "select effect_kind, return_item_id, reason from push.ledger where state = 'rejected' order by 1"
    )
    assert rejected == [
        ("credit_note", "IT-00001", "Shipment is locked"), ("inventory_adjustment", "IT-00005", "Article is locked"),
    ]  # fmt: skip
    before = len(at_harness.mutations())
    at_harness.sync()
    assert len(at_harness.mutations()) == before  # not tried again until something changes


@pytest.mark.slow
def test_net_values_that_centra_does_not_round_make_no_difference_of_a_fraction_of_a_cent(tmp_path: Path) -> None:
    with harness(tmp_path, centra=CentraSettings(shows_unrounded_tax=True)) as shop:
        sold = shop.sell(("DRESS-S", 1, "19.99"), ("SHIRT-M", 2, "33.33"))
        first = shop.comes_back(sold)
        shop.comes_back(sold, 1, with_unit=first)
        shop.settle()
        shop.clock.advance_to(shop.clock.now() + timedelta(days=3))
        shop.sync()
        assert shop.refunded(sold) == Decimal("53.32")
        assert [kind for kind, _, _ in shop.reconcile() if "mismatch" in kind] == []
        taxes = (
            "select distinct side, sum(amount) from reconciliation.refund_facts where component = 'tax' group by side"
        )
        assert set(shop.rows(taxes)) == {(side, Decimal("10.67")) for side in ("centra", "expected", "happy_returns")}
