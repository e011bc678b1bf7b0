from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from hr_centra_pipeline.push import approvals
from hr_centra_pipeline.push.approvals import Signature
from hr_centra_pipeline_tests.reconciliation.ledger_fixture import DAY, DROPPED, HOUR, NOW, LedgerFixture


def all_agree(ledger: LedgerFixture, number: str = "1001") -> list[str]:
    ledger.sold(number)
    units = ledger.returned(number)
    ledger.told(number, units)
    return units


def test_nothing_is_open_when_all_sides_agree(ledger: LedgerFixture) -> None:
    units = all_agree(ledger)
    ledger.credited("1001", units, 1, reference="psp-a")
    ledger.booked("psp-a", "-125")
    ledger.reconcile()
    assert ledger.open("refund_mismatch", "payout", "credit_note") == []
    assert ledger.rows(
        "select component, expected_amount, happy_returns_amount, centra_amount, provider_amount, culprit, is_compared"
        " from reconciliation.refund_match order by component"
    ) == [
        ("items", Decimal(100), Decimal(100), Decimal(100), Decimal(100), None, True),
        ("tax", Decimal(25), Decimal(25), Decimal(25), Decimal(25), None, True),
    ]


def test_happy_returns_is_named_when_its_row_differs(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001")
    ledger.told("1001", units, items="97.50")
    ledger.credited("1001", units, 1)
    ledger.reconcile()
    assert ledger.open("refund_mismatch") == [("refund_mismatch_items", "R-1001", Decimal("2.50"), "happy_returns")]


def test_centra_is_named_when_its_return_is_taxed_otherwise_than_its_order_and_only_once(ledger: LedgerFixture) -> None:
    units = all_agree(ledger)
    ledger.credited("1001", units, 1, tax="20")
    ledger.reconcile()
    assert ledger.open("refund_mismatch") == [("refund_mismatch_tax", "R-1001", Decimal(5), "centra")]


def test_a_person_is_named_whose_return_takes_a_fee_that_nobody_else_knows(ledger: LedgerFixture) -> None:
    units = all_agree(ledger)
    ledger.credited("1001", units, 1, by_person=True, fee="10")
    ledger.reconcile()
    assert ledger.open("refund_mismatch") == [("refund_mismatch_fee", "R-1001", Decimal(10), "person")]


def test_the_policy_is_named_when_two_independent_sides_agree_on_another_fee(ledger: LedgerFixture) -> None:
    """Mail costs 4.95 by the example policy; Happy Returns and a person both took 6.00."""
    ledger.sold("1001")
    units = ledger.returned("1001", dropoff_method="mail")
    ledger.told("1001", units, fee="6.00")
    ledger.credited("1001", units, 1, by_person=True, fee="6.00")
    ledger.reconcile()
    assert ledger.open("refund_mismatch") == [("refund_mismatch_fee", "R-1001", Decimal("1.05"), "policy")]


def test_happy_returns_is_named_for_another_fee_when_our_credit_was_written_from_its_row(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001", dropoff_method="mail")
    ledger.told("1001", units, fee="6.00")
    ledger.credited("1001", units, 1, fee="6.00")
    ledger.reconcile()
    assert ledger.open("refund_mismatch") == [("refund_mismatch_fee", "R-1001", Decimal("1.05"), "happy_returns")]


def test_the_policy_is_named_when_the_row_came_after_the_credit(ledger: LedgerFixture) -> None:
    ledger.sold("1001", shipping="4.90")
    units = ledger.returned("1001")
    ledger.credited("1001", units, 1, at=DROPPED + 26 * HOUR)
    ledger.told("1001", units, shipping="4.90", at=DROPPED + 40 * HOUR)
    ledger.reconcile()
    assert ledger.open("refund_mismatch") == [("refund_mismatch_shipping", "R-1001", Decimal("4.90"), "policy")]


def test_the_pipeline_is_named_when_our_credit_left_out_what_was_reported_in_time(ledger: LedgerFixture) -> None:
    ledger.sold("1001", shipping="4.90")
    units = ledger.returned("1001")
    ledger.told("1001", units, shipping="4.90")
    ledger.credited("1001", units, 1)
    ledger.reconcile()
    assert ledger.open("refund_mismatch") == [("refund_mismatch_shipping", "R-1001", Decimal("4.90"), "pipeline")]


def test_nobody_is_guessed_when_every_side_says_something_else(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001", dropoff_method="mail")
    ledger.told("1001", units, fee="6.00")
    ledger.credited("1001", units, 1, by_person=True, fee="1.00")
    ledger.reconcile()
    assert ledger.open("refund_mismatch") == [("refund_mismatch_fee", "R-1001", Decimal("5.00"), "unknown")]


@pytest.mark.parametrize(
    ("booked", "amount"),
    [("-120", Decimal(5)), ("-130", Decimal(5)), ("0", Decimal(125))],
    ids=["less", "more", "nothing"],
)
def test_the_provider_is_named_once_when_it_books_another_amount(
    ledger: LedgerFixture, booked: str, amount: Decimal
) -> None:
    units = all_agree(ledger)
    ledger.credited("1001", units, 1, reference="psp-a")
    ledger.booked("psp-a", booked)
    ledger.reconcile()
    assert ledger.open("refund_mismatch", "payout") == [("payout_mismatch", "R-1001", amount, "provider")]
    sums = "select sum(provider_amount) - sum(centra_amount) from reconciliation.refund_match"
    assert ledger.rows(sums) == [(-Decimal(booked) - 125,)]


def test_a_row_that_does_not_add_up_is_named_by_the_component_that_breaks_it(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001")
    ledger.told("1001", units, tax="27", total="125")  # the total is right, the tax is not
    ledger.credited("1001", units, 1)
    ledger.sold("1002")
    units = ledger.returned("1002")
    ledger.told("1002", units, total="128")  # every part is right
    ledger.credited("1002", units, 2)
    ledger.reconcile()
    assert ledger.open("refund_mismatch") == [
        ("refund_mismatch_items", "R-1002", Decimal(3), "happy_returns"),
        ("refund_mismatch_tax", "R-1001", Decimal(2), "happy_returns"),
    ]


def test_sides_that_report_different_units_are_not_compared(ledger: LedgerFixture) -> None:
    """Two units are refunded, one is credited: the missing credit is the trouble, not the amounts."""
    ledger.sold("1001", pieces=2)
    units = ledger.returned("1001", pieces=2)
    ledger.told("1001", units, items="200", tax="50")
    ledger.credited("1001", units[:1], 1)
    ledger.reconcile()
    assert ledger.open("refund_mismatch") == []
    assert ledger.rows("select distinct is_compared, culprit from reconciliation.refund_match") == [(False, None)]
    assert ledger.rows("select sum(difference) from reconciliation.refund_match") == [(Decimal(125),)]


def test_a_difference_within_the_tolerance_is_listed_and_opens_nothing(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001")
    ledger.told("1001", units, tax="25.05")
    ledger.credited("1001", units, 1)
    ledger.reconcile()
    assert ledger.open("refund_mismatch") == []
    assert ledger.rows("select component, difference, allowed, culprit from reconciliation.tolerance_uses") == [
        ("tax", Decimal("0.05"), Decimal("0.05"), "happy_returns")
    ]
    assert ledger.rows(
        "select tolerance_used from reconciliation.refund_match where component = 'tax' and within_tolerance"
    ) == [(Decimal("0.05"),)]


def test_a_refund_in_another_currency_is_one_trouble_whatever_its_components(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001")
    ledger.told("1001", units, currency="SEK")
    ledger.credited("1001", units, 1)
    ledger.reconcile()
    assert ledger.open("refund_mismatch") == [("refund_mismatch_items", "R-1001", Decimal(125), "happy_returns")]


def test_an_exchange_counts_in_its_own_component_and_its_value_is_goods(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001", refund_type="exchange", exchange_sku="SKU-9")
    ledger.told(
        "1001", units, refund_type="exchange", items="0", tax="0", total="0", price_difference="-12.50",
    )  # fmt: skip
    ledger.credited("1001", units, 1, kind="exchange_order", paid=False)
    ledger.reconcile()
    assert ledger.rows("select component, amount, in_goods from reconciliation.refund_facts where side = 'centra'") == [
        ("exchange", Decimal(0), Decimal(125))
    ]
    assert ledger.open("refund_mismatch", "credit_note") == [
        ("refund_mismatch_exchange", "R-1001", Decimal("12.50"), "happy_returns")
    ]


def test_an_exchange_ties_by_its_price_difference_and_by_the_money_that_was_given_instead(
    ledger: LedgerFixture,
) -> None:
    # Happy Returns pays 12.50 for a cheaper replacement; the shopper of the other order got the money, by hand.
    for number, off in (("1001", "12.50"), ("1002", "0")):
        ledger.sold(number)
        units = ledger.returned(number, refund_type="exchange", exchange_sku="SKU-9")
        ledger.told(
            number, units, refund_type="exchange", items="0", tax="0", total=off, price_difference=f"-{off}",
        )  # fmt: skip
        ledger.credited(number, units, int(number), kind="exchange_order", paid=off == "0", by_person=off == "0")
    ledger.reconcile()
    assert ledger.rows(
        "select order_number, happy_returns_amount, centra_amount, explained_by from reconciliation.refund_match order by 1"
    ) == [
        ("1001", Decimal("12.50"), Decimal(0), "settled_outside"),
        ("1002", Decimal(0), Decimal(125), "given_instead"),
    ]
    # Nobody had asked for it, and the shopper may still wait for goods: until a person says that the money is in their place.
    assert ledger.open("refund_mismatch", "exchange_without_order", "double_credit") == [
        ("exchange_without_order", "R-1002", Decimal(125), "person")
    ]
    approvals.take_money_instead(ledger.connection, Signature("Carl", "she wanted the money", NOW), "1002-0")
    ledger.reconcile()
    assert ledger.open("refund_mismatch", "exchange_without_order", "double_credit") == []
    assert ledger.rows("select proof from reconciliation.exception_events where event = 'closed'") == [
        ("the money was refunded instead: Return 1002",)
    ]


def test_money_beside_a_replacement_explains_nothing(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001", refund_type="exchange", exchange_sku="SKU-9")
    ledger.told("1001", units, refund_type="exchange", items="0", tax="0", total="0", price_difference="0")
    ledger.credited("1001", units, 1, kind="exchange_order")
    ledger.reconcile()
    assert ledger.rows("select centra_amount, is_explained from reconciliation.refund_match") == [(Decimal(125), False)]
    assert len(ledger.open("double_credit")) == 1


def test_what_is_in_another_month_is_explained(ledger: LedgerFixture) -> None:
    units = all_agree(ledger)
    ledger.credited("1001", units, 1, at=DROPPED - 3 * DAY)
    ledger.reconcile()
    assert ledger.rows("select distinct is_explained, explained_by from reconciliation.refund_match") == [
        (True, "other_month")
    ]


def test_a_credit_without_a_row_is_pending_inside_its_window_and_unexplained_after_it(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001")
    ledger.credited("1001", units, 1)
    ledger.reconcile(DROPPED + 40 * HOUR)
    assert ledger.rows("select distinct explained_by from reconciliation.refund_match") == [("pending",)]
    ledger.reconcile(NOW)
    assert ledger.rows("select distinct explained_by, happy_returns_amount from reconciliation.refund_match") == [
        (None, Decimal(0))
    ]


def test_a_side_that_was_never_read_is_null_and_one_that_says_nothing_is_zero(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001")
    ledger.credited("1001", units, 1)
    ledger.connection.execute("delete from landing.files where kind = 'refunds'")
    ledger.reconcile()
    assert ledger.rows("select distinct happy_returns_amount, provider_amount from reconciliation.refund_match") == [
        (None, None)
    ]


def test_a_fee_per_return_is_expected_once_on_its_lowest_order(ledger: LedgerFixture) -> None:
    for number in ("1001", "1002"):
        ledger.sold(number)
        units = ledger.returned(number, dropoff_method="mail", return_id="R-1")
        ledger.credited(number, units, int(number))
    ledger.reconcile()
    assert ledger.rows(
        "select order_number, amount from reconciliation.refund_facts where side = 'expected' and component = 'fee'"
    ) == [("1001", Decimal("-4.95"))]


def test_shipping_as_told_is_expected_up_to_what_the_order_paid_and_earlier_returns_left(ledger: LedgerFixture) -> None:
    ledger.sold("1001", pieces=2, shipping="6")
    units = ledger.returned("1001", pieces=2)
    ledger.connection.execute("update staging.return_items set return_id = 'R-2' where return_item_id = ?", [units[1]])
    ledger.told("1001", units[:1], shipping="4")
    ledger.told("1001", units[1:], shipping="4", name="b", at=DROPPED + 2 * HOUR)
    ledger.connection.execute("update staging.refunds set return_id = 'R-2' where refund_id = 'RF-1001b'")
    ledger.reconcile()
    assert ledger.rows(
        "select return_id, amount from reconciliation.refund_facts where side = 'expected' and component = 'shipping' order by 1"
    ) == [("R-1001", Decimal(4)), ("R-2", Decimal(2))]


def test_a_mismatch_closes_when_the_sides_agree_and_by_nothing_else(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001")
    ledger.told("1001", units, items="97.50")
    ledger.credited("1001", units, 1)
    ledger.reconcile()
    ledger.connection.execute("create temp table lines as from staging.centra_return_lines")
    ledger.connection.execute("delete from staging.centra_return_lines")  # what it credits is not known any more
    ledger.reconcile(NOW + DAY)
    assert ledger.open("refund_mismatch") == [("refund_mismatch_items", "R-1001", Decimal("2.50"), "happy_returns")]
    assert (
        "no longer covered"
        in ledger.rows("select detail from reconciliation.exceptions where kind like 'refund%'")[0][0]
    )
    ledger.connection.execute("insert into staging.centra_return_lines from lines")
    ledger.connection.execute("update staging.refunds set item_subtotal = 100, total_refunded = 125")
    ledger.reconcile(NOW + 2 * DAY)
    assert ledger.open("refund_mismatch") == []
    assert ledger.rows(
        "select proof from reconciliation.exception_events where event = 'closed' and kind like 'refund%'"
    ) == [("the sides agree within the tolerance",)]


@pytest.mark.slow
def test_the_first_open_date_is_kept_when_a_mismatch_comes_back(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001")
    ledger.told("1001", units, items="97.50")
    ledger.credited("1001", units, 1)
    ledger.reconcile()
    (opened,) = ledger.rows("select opened_at from reconciliation.exceptions where kind like 'refund%'")
    for items, after in (("100", 1), ("97.50", 2)):
        ledger.connection.execute(
            "update staging.refunds set item_subtotal = ?, total_refunded = ?::decimal(18, 4) + 25", [items, items]
        )
        ledger.reconcile(NOW + after * DAY)
    assert ledger.rows("select opened_at from reconciliation.exceptions where kind like 'refund%'") == [opened]
    assert opened[0] == DROPPED + HOUR + timedelta(hours=24)
