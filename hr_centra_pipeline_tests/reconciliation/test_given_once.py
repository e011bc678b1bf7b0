"""Of rows, shipments and payments that may stand for the same money only one gives it, and what is in doubt waits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hr_centra_pipeline.effects.plan import plan
from hr_centra_pipeline.matching.match import match
from hr_centra_pipeline_tests import staged
from hr_centra_pipeline_tests.reconciliation.ledger_fixture import DAY, DROPPED, HOUR, NOW, LedgerFixture
from hr_centra_pipeline_tests.staged import put

PENDING_CARD = "Happy Returns reports a pending gift card for it: waits for the outcome"
PAID_IN_PART = "the order was paid in part by gift card"


def planned(ledger: LedgerFixture) -> None:
    """Match and plan, and no more."""
    match(ledger.connection, NOW)
    plan(ledger.connection, NOW)


def held(ledger: LedgerFixture) -> list[tuple[object, ...]]:
    """Each unit's credit, by whom it is paid, and how its block begins."""
    return ledger.rows(
        "select return_item_id, pays_through, blocked_by[:28] from effects.pending_credit_notes"
        " where effect_kind = 'credit_note' order by return_item_id"
    )


def costs(ledger: LedgerFixture) -> list[tuple[object, ...]]:
    """What is planned of returns as a whole: return, kind, amount."""
    return ledger.rows(
        "select return_id, effect_kind, amount from effects.pending_credit_notes where return_item_id is null order by all"
    )


def test_a_gift_card_that_only_a_row_in_another_currency_reports_is_not_paid_on_top_of(ledger: LedgerFixture) -> None:
    ledger.connection.execute("update policy.pays_through set pays_through = 'centra'")
    for number, status in (("1001", "issued"), ("1002", "pending")):
        ledger.sold(number)
        units = ledger.returned(number, refund_type="gift-card")
        ledger.told(
            number, units, refund_type="gift-card", currency="SEK", gift_card_id="GC", fee="9", shipping="9", status=status
        )  # fmt: skip
    planned(ledger)
    assert held(ledger) == [("1001-0", "elsewhere", None), ("1002-0", "centra", PENDING_CARD[:28])]
    # Its amounts are nothing that is known of the unit.
    assert ledger.rows("select refund_id, row_at, told_for_items, item_fee from paid_units") == [(None,) * 4] * 2
    assert costs(ledger) == []


@pytest.mark.parametrize("payer", ["centra", "gift_card"])
def test_a_gift_card_that_was_issued_before_its_unit_was_approved_holds_the_return(
    ledger: LedgerFixture, payer: str
) -> None:
    ledger.connection.execute("update policy.pays_through set pays_through = ?", [payer])
    ledger.connection.execute("update policy.parameters set gift_card_template = 'x'")
    for number, status in (("1001", "issued"), ("1002", "pending"), ("1003", "failed")):
        ledger.sold(number)
        ledger.returned(number, refund_type="gift-card")
        ledger.told(number, [], refund_type="gift-card", gift_card_id=f"GC-{number}", at=DROPPED - HOUR, status=status)
    planned(ledger)
    assert held(ledger) == [
        ("1001-0", payer, "waits for approval: a gift card was issued"[:28]),
        ("1002-0", payer, PENDING_CARD[:28]),
        ("1003-0", payer, None),
    ]


def test_no_replacement_is_sent_while_a_gift_card_for_its_unit_is_pending(ledger: LedgerFixture) -> None:
    for number in ("1001", "1002", "1003"):
        ledger.sold(number)
    swapped = {
        number: ledger.returned(number, refund_type="exchange", exchange_sku="OTHER")
        for number in ("1001", "1002", "1003")
    }
    card: dict[str, Any] = {"status": "pending", "gift_card_id": "GC"}
    ledger.told("1001", swapped["1001"], refund_type="gift-card", **card)
    ledger.told("1002", [], refund_type="gift-card", **card)
    ledger.told("1003", swapped["1003"], refund_type="exchange", price_difference=-50, **card)  # its difference
    planned(ledger)
    assert ledger.rows("select order_number, blocked_by from effects.pending_exchange_orders order by 1") == [
        ("1001", PENDING_CARD), ("1002", PENDING_CARD), ("1003", None),
    ]  # fmt: skip


def test_shipments_of_which_it_is_not_known_which_one_was_captured_all_wait(ledger: LedgerFixture) -> None:
    for number, captured in (("1001", 100), ("1002", 150), ("1003", 50)):
        ledger.sold(number, captured=captured)
        ledger.returned(number)
        ledger.connection.execute(
            "update staging.shipments set is_captured = true, grand_total = 50 where order_number = ?", [number]
        )
        for place in (1, 2):
            put(
                ledger.connection, "staging.shipments", shipment_id=int(number) * 10 + place, order_number=number,
                is_shipped=True, is_captured=False, grand_total=50,
            )  # fmt: skip
    planned(ledger)
    assert ledger.rows("select shipment_id from uncaptured_shipments order by 1") == [
        (10011,), (10012,), (10031,), (10032,),
    ]  # fmt: skip


def two_returns(ledger: LedgerFixture) -> list[str]:
    """Two units of an order with 10.00 of shipping, one in R-1001 and one in R-B, each of which is reported 4.00 of it."""
    ledger.sold("1001", pieces=2, shipping="10")
    units = ledger.returned("1001", pieces=2)
    put(ledger.connection, "staging.returns", return_id="R-B", order_number="1001", created_at=DROPPED - DAY)
    ledger.connection.execute("update staging.return_items set return_id = 'R-B' where return_item_id = ?", [units[1]])
    ledger.told("1001", units[:1], shipping="4")
    ledger.told("1001", units[1:], shipping="4", name="b", at=DROPPED + 2 * HOUR)
    ledger.connection.execute("update staging.refunds set return_id = 'R-B' where refund_id = 'RF-1001b'")
    return units


def test_the_shipping_of_a_half_done_return_that_is_shown_is_taken_off_once_for_the_others(
    ledger: LedgerFixture,
) -> None:
    units = two_returns(ledger)
    planned(ledger)
    both = [("R-1001", "shipping_refund", 4), ("R-B", "shipping_refund", 4)]
    assert costs(ledger) == both
    ledger.credited("1001", units[:1], 1, shipping="4", paid=False)
    ledger.connection.execute("update staging.centra_returns set status = 'PENDING', is_completed = false")
    ledger.connection.execute("update push.ledger set state = 'unknown' where centra_id = '1'")
    planned(ledger)
    assert costs(ledger) == both
    # What is left after it is less than the other row says.
    ledger.connection.execute("update staging.centra_returns set shipping = 7")
    planned(ledger)
    assert costs(ledger)[1] == ("R-B", "shipping_refund", 3)


@pytest.mark.parametrize("basis", ["item", "return"])
def test_what_a_row_that_was_issued_again_reports_is_expected_as_often_as_it_is_given(
    ledger: LedgerFixture, basis: str
) -> None:
    ledger.connection.execute("delete from policy.fees")
    ledger.connection.execute("update policy.parameters set fee_basis = ?", [basis])
    returns = {}
    for number in ("1001", "1002"):
        ledger.sold(number, shipping="10")
        units = returns[number] = ledger.returned(number)
        # The second time it names the unit, or none, and then none is left for it.
        ledger.told(number, units, fee="5", shipping="3", fee_basis=basis)
        again = units if number == "1001" else []
        ledger.told(number, again, name="b", fee="5", shipping="3", at=DROPPED + 2 * HOUR, fee_basis=basis)
    planned(ledger)
    sent = "select order_number, sum(shipping), sum(fee) from effects.pending_credit_notes group by all order by all"
    assert ledger.rows(sent) == [("1001", 3, 5), ("1002", 3, 5)]
    for number, units in returns.items():
        ledger.credited(number, units, int(number), fee="5", shipping="3", at=DROPPED + 3 * HOUR)
    ledger.reconcile()
    expected = ledger.rows(
        "select order_number, component, sum(amount) from reconciliation.refund_facts"
        " where side = 'expected' and component in ('fee', 'shipping') group by all order by all"
    )
    assert expected == [
        (number, component, amount) for number in returns for component, amount in (("fee", -5), ("shipping", 3))
    ]
    found = ledger.open("refund_mismatch_fee", "refund_mismatch_shipping")
    assert len(found) == 4
    assert {culprit for _, _, _, culprit in found} == {"happy_returns"}


def test_a_row_about_costs_alone_counts_beside_the_row_that_pays_the_units(ledger: LedgerFixture) -> None:
    ledger.sold("1001", shipping="10")
    units = ledger.returned("1001")
    ledger.told("1001", units, shipping="3")
    ledger.told("1001", [], name="more", items="0", tax="0", shipping="4", at=DROPPED + 2 * HOUR)
    planned(ledger)
    assert costs(ledger) == [("R-1001", "shipping_refund", 7)]


def test_of_two_rows_that_name_a_unit_the_one_nearest_to_its_own_refund_pays_it(ledger: LedgerFixture) -> None:
    for number, refunded_at in (("1001", DROPPED + 5 * DAY), ("1002", DROPPED + HOUR), ("1003", None)):
        ledger.sold(number, shipping="10")
        units = ledger.returned(number, refunded_at=refunded_at)
        ledger.told(number, units, at=DROPPED + 2 * HOUR)
        ledger.told(number, units, name="b", shipping="10", at=DROPPED + 5 * DAY)
    planned(ledger)
    assert ledger.rows("select refund_id from paid_units order by 1") == [("RF-1001b",), ("RF-1002",), ("RF-1003",)]
    assert costs(ledger) == [("R-1001", "shipping_refund", 10)]


def paid_in_part(ledger: LedgerFixture, *prices: str, left: str) -> list[str]:
    """An order of one piece at each price, all of which come back, of which a gift card paid all but so much."""
    staged.order(ledger.connection, "1001", created_at=DROPPED - 20 * DAY, fetched_at=DROPPED)
    units = ledger.returned("1001", pieces=len(prices))
    for line, unit in enumerate(ledger.a_line_for_each("1001", units, prices), 11):
        ledger.connection.execute(
            "update staging.return_items set approved_at = ? where return_item_id = ?",
            [DROPPED + timedelta(minutes=line), unit],
        )
    ledger.paid("1001", None, left, entry_type="CAPTURE")
    ledger.paid("1001", None, "500", entry_type="CAPTURE")
    ledger.connection.execute("update staging.payment_entries set instrument = 'gift_card' where amount = 500")
    return units


def bundled(ledger: LedgerFixture, *lines: int, parts: int) -> None:
    put(
        ledger.connection,
        "staging.bundles",
        bundle_line_id="10",
        order_number="1001",
        sku="SET",
        quantity=1,
        parts=parts,
    )
    ledger.connection.execute(
        """
        update staging.shipment_lines set bundle_line_id = '10', per_bundle = 1, bundle_share = 50, bundle_shipment_line_id = 10
        where shipment_line_id in (select unnest(?))
        """,
        [list(lines)],
    )
    ledger.connection.execute(
        "update staging.order_lines set bundle_line_id = '10', per_bundle = 1 where order_line_id in (select unnest(?))",
        [[str(line) for line in lines]],
    )


def blocks(ledger: LedgerFixture) -> list[object]:
    """How the block of each credit begins."""
    return [why for _, _, why in held(ledger)]


def test_a_part_that_waits_for_its_bundle_takes_no_room_from_an_article_that_is_refunded_now(
    ledger: LedgerFixture,
) -> None:
    paid_in_part(ledger, "30", "30", "30", left="50")
    bundled(ledger, 11, 13, parts=2)
    ledger.connection.execute("delete from staging.return_items where return_item_id = '1001-2'")
    planned(ledger)
    assert blocks(ledger) == ["it is a part of the bundle SET"[:28], None]


def test_parts_of_a_bundle_fit_into_what_is_left_of_the_other_payments_together_or_not_at_all(
    ledger: LedgerFixture,
) -> None:
    paid_in_part(ledger, "30", "30", "20", left="50")
    bundled(ledger, 11, 12, parts=2)
    planned(ledger)
    assert blocks(ledger) == [PAID_IN_PART[:28], PAID_IN_PART[:28], None]


def test_what_was_refunded_on_a_half_done_return_takes_no_room_a_second_time(ledger: LedgerFixture) -> None:
    units = paid_in_part(ledger, "50", "30", left="80")
    planned(ledger)
    ledger.credited("1001", units[:1], 1, price="50", tax="0")
    ledger.connection.execute("update staging.centra_return_lines set shipment_line_id = 11, order_line_id = '11'")
    ledger.connection.execute("update push.ledger set shipment_line_id = 11")
    ledger.connection.execute("update staging.centra_returns set status = 'PENDING', is_completed = false")
    ledger.connection.execute("update push.ledger set state = 'unknown' where centra_id = '1'")
    planned(ledger)
    assert blocks(ledger) == [None, None]
