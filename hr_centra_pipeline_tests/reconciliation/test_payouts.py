from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from hr_centra_pipeline.effects.plan import plan
from hr_centra_pipeline.matching.match import match
from hr_centra_pipeline.push.record import record_plan
from hr_centra_pipeline.reconciliation.reconcile import reconcile
from hr_centra_pipeline.warehouse.database import run_sql
from hr_centra_pipeline_tests.cases import mostly_slow
from hr_centra_pipeline_tests.reconciliation.ledger_fixture import DAY, DROPPED, HOUR, NOW, LedgerFixture


def refunded(ledger: LedgerFixture, number: str = "1001", **how: object) -> None:
    ledger.sold(number)
    units = ledger.returned(number)
    ledger.told(number, units)
    ledger.credited(number, units, int(number), reference=f"psp-{number}", **how)  # type: ignore[arg-type]


def covered(ledger: LedgerFixture) -> None:
    """The provider's files report all of the time."""
    for day in (-30, 15):
        ledger.booked(f"other{day}", "10", line_type="capture", number="1", at=DROPPED + day * DAY)


def verdicts(ledger: LedgerFixture) -> list[str]:
    return [row[0] for row in ledger.rows("select verdict from reconciliation.payouts order by payout_tie_id")]


def test_a_refund_that_no_settlement_of_the_time_after_it_has_is_named(ledger: LedgerFixture) -> None:
    refunded(ledger)
    covered(ledger)
    ledger.reconcile()
    assert ledger.open("payout") == [("payout_mismatch", "R-1001", Decimal(125), "provider")]
    assert verdicts(ledger) == ["not_settled"]


def test_without_settlement_files_nothing_is_said_and_inside_the_window_it_is_awaited(ledger: LedgerFixture) -> None:
    refunded(ledger)
    ledger.reconcile()
    assert verdicts(ledger) == ["not_covered"]
    ledger.booked("other", "10", line_type="capture", number="1", at=DROPPED - DAY)
    ledger.reconcile()
    assert verdicts(ledger) == ["waits"]
    assert ledger.open("payout") == []


def test_a_settlement_file_that_was_refused_may_hold_what_is_missing(ledger: LedgerFixture) -> None:
    refunded(ledger)
    covered(ledger)
    ledger.connection.execute(
        "insert into landing.payout_files (source_file, file_sha256, byte_size, modified_at, problem, batch, received_at)"
        " values ('batch_9.csv', 'x', 1, ?, 'does not add up', 1, ?)",
        [DROPPED + 2 * DAY, NOW],
    )
    ledger.reconcile()
    assert verdicts(ledger) == ["waits"]
    assert ledger.open("payout") == []
    assert [row[0] for row in ledger.rows("select kind from reconciliation.exceptions")].count(
        "source_not_covered"
    ) == 1


def test_a_refund_that_came_back_after_it_had_succeeded_is_named(ledger: LedgerFixture) -> None:
    refunded(ledger)
    ledger.booked("psp-1001", "-125")
    ledger.booked("psp-1001", "125", line_type="refund_reversed", at=DROPPED + 3 * DAY)
    ledger.reconcile()
    assert ledger.open("payout") == [("payout_mismatch", "R-1001", Decimal(125), "provider")]
    assert verdicts(ledger) == ["reversed"]
    assert ledger.rows("select sum(amount) from reconciliation.refund_facts where side = 'provider'") == [(Decimal(0),)]


def test_a_refund_that_centra_knows_nothing_of_is_named_with_the_return_of_its_order(ledger: LedgerFixture) -> None:
    refunded(ledger)
    ledger.booked("psp-1001", "-125")
    ledger.booked("dashboard", "-30", number="1001")
    ledger.booked("dashboard2", "-7", number="9999")  # an order that was never read may have been refunded there
    ledger.reconcile()
    assert ledger.open("payout") == [("payout_mismatch", "R-1001", Decimal(30), "provider")]
    ledger.paid("1001", None, "30", reference="dashboard")
    ledger.reconcile(NOW + DAY)
    assert ledger.open("payout") == []
    assert ledger.rows(
        "select proof from reconciliation.exception_events where event = 'closed' and kind = 'payout_mismatch'"
    ) == [("Centra shows the refund now",)]


def test_a_chargeback_on_an_order_that_was_credited_is_money_given_twice(ledger: LedgerFixture) -> None:
    refunded(ledger)
    ledger.booked("psp-1001", "-125")
    ledger.booked("cb", "-200", line_type="chargeback", number="1001", at=DROPPED + 3 * DAY)
    ledger.sold("1002")
    ledger.booked(
        "cb2", "-125", line_type="chargeback", number="1002", at=DROPPED + 3 * DAY
    )  # no return: not ours to say
    ledger.reconcile()
    assert ledger.open("payout") == [("payout_mismatch", "R-1001", Decimal(125), "provider")]
    ledger.booked("cb", "200", line_type="chargeback_reversed", number="1001", at=DROPPED + 9 * DAY)
    ledger.reconcile(NOW + DAY)
    assert ledger.open("payout") == []


def test_a_settled_chargeback_is_left_alone_until_its_order_is_credited(ledger: LedgerFixture) -> None:
    ledger.sold("1002")
    ledger.booked("cb", "-125", line_type="chargeback", number="1002", at=DROPPED + 3 * DAY)
    ledger.reconcile()
    assert verdicts(ledger) == ["chargeback_settled"]
    ledger.reconcile(NOW + DAY)
    assert ledger.rows("from payout_orders") == []
    assert verdicts(ledger) == ["chargeback_settled"]
    units = ledger.returned("1002")
    ledger.told("1002", units)
    ledger.credited("1002", units, 1002, reference="psp-1002")
    ledger.reconcile(NOW + 2 * DAY)
    assert "chargeback" in verdicts(ledger)


def test_refunds_without_a_return_are_looked_at_until_they_have_one(ledger: LedgerFixture) -> None:
    """On orders that no return names; those whose refunds all have their Return are left alone."""
    for number in ("1001", "1002"):
        ledger.sold(number)
    entry = ledger.paid("1001", None, "125")
    ledger.paid("1002", 77, "125")
    ledger.reconcile()
    assert ledger.rows("from orders_of_refunds") == [("1001",)]
    assert ledger.open("refund_without") == [("refund_without_credit_note", None, Decimal(125), "person")]
    ledger.connection.execute("update staging.payment_entries set centra_return_id = 78 where entry_id = ?", [entry])
    ledger.reconcile(NOW + DAY)
    assert ledger.open("refund_without") == []
    assert ledger.rows("select proof from reconciliation.exception_events where event = 'closed'") == [
        ("the refund has its Return in Centra",)
    ]
    ledger.reconcile(NOW + 2 * DAY)
    assert ledger.rows("from orders_of_refunds") == []


def test_lines_are_tied_by_amount_only_where_exactly_one_fits(ledger: LedgerFixture) -> None:
    """Somebody else pays: Centra has no payment of it, and the provider's reference is nowhere."""
    ledger.connection.execute("update policy.pays_through set pays_through = 'elsewhere'")
    refunded(ledger, paid=False)
    ledger.booked("their-reference", "-125", number="1001")
    ledger.sold("1002", pieces=2)
    units = ledger.returned("1002", pieces=2)
    ledger.told("1002", units, items="200", tax="50")
    ledger.credited("1002", units[:1], 2, paid=False)
    ledger.credited("1002", units[1:], 3, paid=False)
    ledger.booked("their-other", "-125", number="1002")
    ledger.reconcile()
    assert ledger.rows("select centra_return_id, tied_by from reconciliation.payouts where verdict = 'agrees'") == [
        (1001, "amount")
    ]
    assert ledger.open("payout") == [("payout_mismatch", "R-1002", Decimal(125), "provider")]


def ties(ledger: LedgerFixture) -> list[tuple[object, ...]]:
    return ledger.rows("select entry_id, tied_by, verdict from reconciliation.payouts order by entry_id")


def test_a_refund_that_centra_keeps_under_the_authorisation_s_number_is_tied_by_the_provider_s_own_answer(
    ledger: LedgerFixture,
) -> None:
    refunded(ledger, paid=False)
    ledger.paid("1001", 1001, "125", reference="AUTH-1", provider_references=["MOD-1", "1001"])
    ledger.booked("MOD-1", "-125", payment="AUTH-1")
    ledger.reconcile()
    assert ties(ledger) == [(1, "reference", "agrees")]


def test_without_that_answer_it_is_tied_by_its_payment_where_one_amount_fits(ledger: LedgerFixture) -> None:
    ledger.sold("1001", pieces=2)
    units = ledger.returned("1001", pieces=2)
    ledger.told("1001", units, items="200", tax="50")
    for return_id, unit, price in ((1, units[0], "125"), (2, units[1], "100")):
        ledger.credited("1001", [unit], return_id, price=price, tax="20", paid=False)
        ledger.paid("1001", return_id, price, reference="AUTH-1")
    ledger.booked("MOD-1", "-100", payment="AUTH-1")
    ledger.booked("MOD-2", "-125", payment="AUTH-1")
    ledger.reconcile()
    assert ties(ledger) == [(1, "payment", "agrees"), (2, "payment", "agrees")]


def test_the_only_refund_of_a_payment_is_tied_to_it_whatever_its_amount_and_differs(ledger: LedgerFixture) -> None:
    refunded(ledger, paid=False)
    ledger.paid("1001", 1001, "125", reference="AUTH-1")
    ledger.booked("MOD-1", "-100", payment="AUTH-1")
    ledger.reconcile()
    assert ties(ledger) == [(1, "payment", "amount_differs")]
    assert ledger.open("payout") == [("payout_mismatch", "R-1001", Decimal(25), "provider")]


def test_a_refund_that_came_back_is_tied_to_the_refund_with_its_reference_however_that_was_tied(
    ledger: LedgerFixture,
) -> None:
    refunded(ledger, paid=False)
    ledger.paid("1001", 1001, "125", reference="AUTH-1")
    ledger.booked("MOD-1", "-125", payment="AUTH-1")
    ledger.booked("MOD-1", "125", line_type="refund_reversed", payment="AUTH-1", at=DROPPED + 3 * DAY)
    ledger.reconcile()
    assert verdicts(ledger) == ["reversed"]


def test_a_refund_that_is_booked_in_the_next_month_agrees_and_says_so(ledger: LedgerFixture) -> None:
    refunded(ledger, at=DROPPED - 3 * DAY)
    ledger.booked("psp-1001", "-125")
    ledger.reconcile()
    assert ledger.rows("select verdict, is_other_month from reconciliation.payouts") == [("agrees", True)]
    assert ledger.rows("select distinct explained_by from reconciliation.refund_match") == [("other_month",)]


def test_an_order_whose_refund_is_awaited_at_the_provider_is_looked_at_again_and_one_that_is_settled_is_not(
    ledger: LedgerFixture,
) -> None:
    refunded(ledger)
    ledger.booked("psp-1001", "-125")
    refunded(ledger, "1002")
    ledger.booked("other", "10", line_type="capture", number="1", at=DROPPED - DAY)
    ledger.reconcile()
    for table in ("effects.pending_inventory_adjustments", "effects.pending_status_updates", "findings", "push.ledger"):
        ledger.connection.execute(f"delete from {table}")  # nothing else keeps them in play
    ledger.connection.execute("delete from reconciliation.exceptions")
    run_sql(ledger.connection, "hr_centra_pipeline.reconciliation", "settled_orders.sql", {})
    assert ledger.rows("select order_number from reconciliation.settled_orders") == [("1001",)]


# ---------------------------------------------------------------- credits without money


def credits(ledger: LedgerFixture) -> list[tuple[object, ...]]:
    return ledger.open("credit_note_without_refund")


def test_a_return_by_hand_that_nobody_refunds_is_named_after_its_window_and_closes_when_it_is_paid(
    ledger: LedgerFixture,
) -> None:
    refunded(ledger, by_person=True, paid=False)
    made = DROPPED + 2 * HOUR
    ledger.reconcile(made + timedelta(hours=71))
    assert credits(ledger) == []
    ledger.reconcile(made + timedelta(hours=73))
    assert credits(ledger) == [("credit_note_without_refund", "R-1001", Decimal(125), "person")]
    ledger.paid("1001", 1001, "125", at=NOW)
    ledger.reconcile(NOW)
    assert credits(ledger) == []
    assert ledger.rows(
        "select proof from reconciliation.exception_events where event = 'closed' and kind = 'credit_note_without_refund'"
    ) == [("refunded in Centra",)]


def test_the_provider_is_named_when_it_refused_or_does_not_answer(ledger: LedgerFixture) -> None:
    refunded(ledger, paid=False)
    ledger.paid("1001", 1001, "125", entry_type="REFUND_FAILED", status="FAILED")
    refunded(ledger, "1002", paid=False)
    ledger.paid("1002", 1002, "125", entry_type="REFUND_REQUEST", status="PENDING")
    ledger.reconcile()
    assert credits(ledger) == [
        ("credit_note_without_refund", "R-1001", Decimal(125), "provider"),
        ("credit_note_without_refund", "R-1002", Decimal(125), "provider"),
    ]


def test_who_pays_elsewhere_has_to_report_the_refund(ledger: LedgerFixture) -> None:
    ledger.connection.execute("update policy.pays_through set pays_through = 'elsewhere'")
    refunded(ledger, paid=False)
    ledger.sold("1002")
    ledger.credited("1002", ledger.returned("1002"), 1002, paid=False)
    ledger.reconcile()
    assert credits(ledger) == [("credit_note_without_refund", "R-1002", Decimal(125), "happy_returns")]


def test_the_return_of_an_exchange_is_not_to_be_refunded(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001", refund_type="exchange", exchange_sku="X")
    ledger.credited("1001", units, 1, kind="exchange_order", paid=False)
    ledger.reconcile()
    assert credits(ledger) == []


def test_our_return_that_someone_deleted_before_it_was_paid_is_reported_once_and_not_made_again(
    ledger: LedgerFixture,
) -> None:
    refunded(ledger, paid=False, deleted_at=DROPPED + 2 * DAY)
    ledger.reconcile()
    assert ledger.open("return_without_credit") == [("return_without_credit_note", "R-1001", Decimal(125), "person")]
    assert ledger.rows("select count(*) from effects.pending_credit_notes") == [(0,)]


def test_our_return_that_someone_uncompletes_after_it_was_paid_is_reported_once_and_closes_when_it_is_completed(
    ledger: LedgerFixture,
) -> None:
    refunded(ledger)
    ledger.reconcile()
    assert ledger.open("refund_without", "return_without_credit") == []
    ledger.connection.execute(
        "update staging.centra_returns set status = 'PENDING', is_completed = false, fetched_at = ?", [NOW + HOUR]
    )
    ledger.reconcile(NOW + 6 * DAY)
    assert ledger.open("refund_without", "return_without_credit") == [
        ("refund_without_credit_note", "R-1001", Decimal(125), "person")
    ]
    assert ledger.rows("select count(*) from effects.pending_credit_notes") == [(0,)]
    ledger.connection.execute("update staging.centra_returns set status = 'COMPLETED', is_completed = true")
    ledger.reconcile(NOW + 7 * DAY)
    assert ledger.open("refund_without", "return_without_credit") == []


# ---------------------------------------------------------------- equal refunds, and refunds that came back


@pytest.mark.parametrize("pieces", [2, 3])
def test_equal_refunds_of_one_order_without_references_fit_as_many_equal_lines(
    ledger: LedgerFixture, pieces: int
) -> None:
    ledger.sold("1001", pieces=pieces)
    units = ledger.returned("1001", pieces=pieces)
    ledger.told("1001", units, items=str(100 * pieces), tax=str(25 * pieces))
    for number, unit in enumerate(units, start=1):
        ledger.credited("1001", [unit], number)
        ledger.booked(f"their-{number}", "-125", number="1001")
    ledger.reconcile()
    assert ties(ledger) == [(number, "amount", "agrees") for number in range(1, pieces + 1)]
    assert ledger.open("payout") == []


def test_of_equal_refunds_the_one_more_that_the_provider_booked_is_named_once(ledger: LedgerFixture) -> None:
    ledger.sold("1001", pieces=2)
    units = ledger.returned("1001", pieces=2)
    ledger.told("1001", units, items="200", tax="50")
    for number, unit in enumerate(units, start=1):
        ledger.credited("1001", [unit], number)
    for number in range(3):
        ledger.booked(f"their-{number}", "-125", number="1001")
    ledger.reconcile()
    assert ledger.open("payout") == [("payout_mismatch", "R-1001", Decimal(125), "provider")]


def test_equal_refunds_of_one_payment_fit_as_many_equal_lines(ledger: LedgerFixture) -> None:
    ledger.sold("1001", pieces=2)
    units = ledger.returned("1001", pieces=2)
    ledger.told("1001", units, items="200", tax="50")
    for number, unit in enumerate(units, start=1):
        ledger.credited("1001", [unit], number, paid=False)
        ledger.paid("1001", number, "125", reference="AUTH-1")
        ledger.booked(f"MOD-{number}", "-125", payment="AUTH-1")
    ledger.reconcile()
    assert ties(ledger) == [(1, "payment", "agrees"), (2, "payment", "agrees")]


def bounced(ledger: LedgerFixture) -> None:
    refunded(ledger)
    ledger.booked("psp-1001", "-125")
    ledger.booked("psp-1001", "125", line_type="refund_reversed", at=DROPPED + 3 * DAY)


def test_a_refund_that_came_back_and_was_paid_again_at_the_provider_is_settled(ledger: LedgerFixture) -> None:
    bounced(ledger)
    ledger.reconcile()
    assert ledger.open("payout") == [("payout_mismatch", "R-1001", Decimal(125), "provider")]
    ledger.booked("dashboard", "-125", number="1001", at=DROPPED + 5 * DAY)
    ledger.reconcile(NOW + DAY)
    assert ledger.open("payout") == []
    assert verdicts(ledger) == ["agrees"]


def test_a_refund_that_bounces_twice_is_open_until_the_third_payment(ledger: LedgerFixture) -> None:
    bounced(ledger)
    ledger.booked("second", "-125", number="1001", at=DROPPED + 5 * DAY)
    ledger.booked("second", "125", line_type="refund_reversed", number="1001", at=DROPPED + 6 * DAY)
    ledger.reconcile()
    assert ledger.open("payout") == [("payout_mismatch", "R-1001", Decimal(125), "provider")]
    assert verdicts(ledger) == ["reversed"]
    ledger.booked("third", "-125", number="1001", at=DROPPED + 8 * DAY)
    ledger.reconcile(NOW + DAY)
    assert ledger.open("payout") == []


def test_a_refund_that_is_paid_twice_after_it_came_back_is_one_payment_too_many(ledger: LedgerFixture) -> None:
    bounced(ledger)
    for name in ("second", "third"):
        ledger.booked(name, "-125", number="1001", at=DROPPED + 5 * DAY)
    ledger.reconcile()
    assert verdicts(ledger) == ["amount_differs"]
    assert ledger.open("payout") == [("payout_mismatch", "R-1001", Decimal(125), "provider")]


def test_a_refund_that_came_back_and_was_paid_again_in_centra_is_settled(ledger: LedgerFixture) -> None:
    bounced(ledger)
    ledger.paid("1001", 1001, "125", reference="second", at=DROPPED + 4 * DAY)
    ledger.booked("second", "-125", at=DROPPED + 5 * DAY)
    ledger.reconcile()
    assert verdicts(ledger) == ["paid_again", "agrees"]
    assert ledger.open("payout") == []


def test_a_refund_that_came_back_and_fits_none_is_named(ledger: LedgerFixture) -> None:
    refunded(ledger)
    ledger.booked("psp-1001", "-125")
    ledger.booked("who-knows", "125", line_type="refund_reversed", number="1001", at=DROPPED + 3 * DAY)
    ledger.reconcile()
    assert ledger.open("payout") == [("payout_mismatch", "R-1001", Decimal(125), "provider")]


# ---------------------------------------------------------------- lines that nobody understands


def held(ledger: LedgerFixture) -> list[str]:
    return [
        row[0]
        for row in ledger.rows(
            "select coalesce(blocked_by, '') from effects.pending_credit_notes where return_item_id is not null"
        )
    ]


@pytest.mark.parametrize("names", ["the order", "the payment"])
def test_a_line_of_an_unknown_type_holds_the_credits_of_its_order_and_no_others(
    ledger: LedgerFixture, names: str
) -> None:
    for number in ("1001", "1002"):
        ledger.sold(number)
        ledger.told(number, ledger.returned(number))
        ledger.paid(number, None, "125", entry_type="CAPTURE", reference=f"AUTH-{number}")
    is_order = names == "the order"
    ledger.booked(
        "odd",
        "-125",
        line_type="unknown",
        number="1001" if is_order else None,
        payment=None if is_order else "AUTH-1001",
    )
    ledger.reconcile()
    assert ledger.rows(
        "select order_number, starts_with(blocked_by, 'waits for approval: a settlement line of the order is not understood')"
        " from effects.pending_credit_notes order by 1"
    ) == [("1001", True), ("1002", None)]


def test_a_line_that_is_not_understood_may_be_the_refund_that_is_looked_for(ledger: LedgerFixture) -> None:
    refunded(ledger)
    covered(ledger)
    ledger.booked("odd", "-125", line_type="unknown", number="1001")
    ledger.reconcile()
    assert verdicts(ledger) == ["waits"]


def test_a_chargeback_that_names_the_payment_only_is_about_its_order(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    ledger.told("1001", ledger.returned("1001"))
    ledger.paid("1001", None, "125", entry_type="CAPTURE", reference="AUTH-1001")
    ledger.booked("cb", "-125", line_type="chargeback", payment="AUTH-1001", at=DROPPED + 3 * DAY)
    ledger.reconcile()
    assert ledger.rows("select chargeback from effects.value_given_back") == [(Decimal(125),)]
    assert held(ledger) == [
        "its value was given back already: by a replacement, a chargeback or a refund that was tied to it"
    ]


# ---------------------------------------------------------------- lines that do not name their order


def landed(ledger: LedgerFixture, batch: int = 900) -> None:
    """The lines that are not landed yet are, in a batch of their own."""
    ledger.connection.execute(
        "insert into landing.payout_lines by name select columns(* exclude (payout_line_id)), ? as batch, ? as first_batch,"
        " happened_at as landed_at from staging.payout_lines as lines"
        " anti join landing.payout_lines as before using (provider, payout_id, source_line)",
        [batch, batch],
    )


def run_of_settled(ledger: LedgerFixture, now: datetime) -> list[tuple[object, ...]]:
    """The stages, with orders that are settled left alone; answers what is in play."""
    match(ledger.connection, now)
    plan(ledger.connection, now)
    record_plan(ledger.connection, now)
    reconcile(ledger.connection, now)
    return ledger.rows("from matching.orders_in_play")


def settled(ledger: LedgerFixture, number: str | None = None) -> None:
    """A refund that agrees, and whose order nothing keeps in play."""
    refunded(ledger)
    ledger.booked("psp-1001", "-125", number=number, payment="AUTH-9")
    landed(ledger, 1)
    ledger.reconcile()
    ledger.connection.execute("delete from reconciliation.settled_orders")
    ledger.connection.execute("insert into reconciliation.settled_orders values ('1001')")
    assert run_of_settled(ledger, NOW + DAY) == []
    assert verdicts(ledger) == ["agrees"]
    assert ledger.open("payout") == []


@pytest.mark.parametrize(
    "names",
    mostly_slow(["the refund", "the refund as its payment", "its order", "another booking's payment"], "its order"),
)
def test_a_refund_of_a_settled_order_that_comes_back_is_named_whatever_its_line_names(
    ledger: LedgerFixture, names: str
) -> None:
    settled(ledger, None if names == "the refund" else "1001")
    ledger.booked(
        "psp-1001" if names == "the refund" else "re_1",
        "125",
        line_type="refund_reversed",
        number="1001" if names == "its order" else None,
        payment={"the refund as its payment": "psp-1001", "another booking's payment": "AUTH-9"}.get(names),
        at=DROPPED + 3 * DAY,
    )
    landed(ledger)
    assert run_of_settled(ledger, NOW + 2 * DAY) == [("1001",)]
    assert ledger.open("payout") == [("payout_mismatch", "R-1001", Decimal(125), "provider")]


def test_a_refund_line_without_an_order_stays_tied_while_its_order_is_left_alone(ledger: LedgerFixture) -> None:
    settled(ledger)
    for day in (2, 3):
        assert run_of_settled(ledger, NOW + day * DAY) == []
        assert verdicts(ledger) == ["agrees"]
    assert ledger.open("payout") == []


@pytest.mark.parametrize("line_type", mostly_slow(["refund", "refund_reversed"], "refund"))
def test_a_refund_line_of_no_known_payment_is_named_until_its_payment_is_known(
    ledger: LedgerFixture, line_type: str
) -> None:
    settled(ledger)
    ledger.booked("x", "-30" if line_type == "refund" else "125", line_type=line_type, payment="AUTH-X")
    landed(ledger)
    for day in (2, 3):
        run_of_settled(ledger, NOW + day * DAY)
        assert [row[0] for row in ledger.open("payout")] == ["payout_mismatch"]
        assert ledger.rows("select order_number, verdict from reconciliation.payouts order by 1 nulls first") == [
            (None, "not_credited" if line_type == "refund" else "reversed"),
            ("1001", "agrees"),
        ]


def test_a_refund_that_came_back_and_whose_own_line_is_in_no_file_is_named_with_its_amount(
    ledger: LedgerFixture,
) -> None:
    refunded(ledger)
    ledger.booked("psp-1001", "125", line_type="refund_reversed", at=DROPPED + 3 * DAY)
    ledger.reconcile()
    assert verdicts(ledger) == ["reversed"]
    assert ledger.open("payout") == [("payout_mismatch", "R-1001", Decimal(125), "provider")]
    ledger.booked("dashboard", "-125", number="1001", at=DROPPED + 5 * DAY)
    ledger.reconcile(NOW + DAY)
    assert verdicts(ledger) == ["agrees"]
    assert ledger.open("payout") == []


# ---------------------------------------------------------------- amounts


@pytest.mark.parametrize(("amount", "open_amount"), [("-125", None), ("-200", "75"), ("-400", "125")])
def test_of_a_chargeback_only_what_no_credit_waits_for_was_given_twice(
    ledger: LedgerFixture, amount: str, open_amount: str | None
) -> None:
    """Two units, one credited and one due: the credit of the second one is blocked, and what is beyond it is an exception."""
    ledger.sold("1001", pieces=2)
    units = ledger.returned("1001", pieces=2)
    ledger.told("1001", units[:1])
    ledger.credited("1001", units[:1], 1001, reference="psp-1001")
    ledger.booked("psp-1001", "-125")
    ledger.booked("cb", amount, line_type="chargeback", number="1001", at=DROPPED + 3 * DAY)
    ledger.reconcile()
    assert ledger.rows("select counted from effects.chargebacks") == [(Decimal(125),)]
    assert [row[2] for row in ledger.open("payout")] == ([] if open_amount is None else [Decimal(open_amount)])


def test_a_chargeback_on_top_of_all_that_was_due_is_named_although_another_unit_has_not_come(
    ledger: LedgerFixture,
) -> None:
    ledger.sold("1001", pieces=2)
    units = ledger.returned("1001", pieces=2)
    ledger.connection.execute(
        "update staging.return_items set approved_at = null, received_at = null, disposition = null, disposition_at = null"
        " where return_item_id = ?",
        [units[1]],
    )
    ledger.told("1001", units[:1])
    ledger.credited("1001", units[:1], 1001, reference="psp-1001")
    ledger.booked("psp-1001", "-125")
    ledger.booked("cb", "-20", line_type="chargeback", number="1001", at=DROPPED + 3 * DAY)
    ledger.reconcile()
    assert ledger.rows("select counted from effects.chargebacks") == [(Decimal(0),)]
    assert [row[2] for row in ledger.open("payout")] == [Decimal(20)]
    # Once its credit is due, it is what the chargeback holds.
    ledger.connection.execute(
        "update staging.return_items as late set approved_at = came.approved_at, received_at = came.received_at,"
        " disposition = came.disposition, disposition_at = came.disposition_at from staging.return_items as came"
        " where late.return_item_id = ? and came.return_item_id = ?",
        [units[1], units[0]],
    )
    ledger.reconcile(NOW + DAY)
    assert ledger.rows("select counted from effects.chargebacks") == [(Decimal(20),)]


@pytest.mark.parametrize(("amount", "booked"), [("-125", "125.00 SEK"), ("-1400", "1400.00 SEK")])
def test_a_refund_that_was_booked_in_another_currency_is_named_in_it_and_compared_with_nothing(
    ledger: LedgerFixture, amount: str, booked: str
) -> None:
    refunded(ledger)
    ledger.booked("psp-1001", amount, currency="SEK")
    ledger.reconcile()
    assert ledger.rows(
        "select amount, currency, detail from reconciliation.exceptions where kind = 'payout_mismatch'"
    ) == [(Decimal(125), "EUR", f"Centra refunded 125.00 EUR, the payment provider booked {booked}")]
    assert ledger.rows("select settled_amount, settled_abroad from reconciliation.payouts") == [(Decimal(0), booked)]
    assert ledger.rows("from reconciliation.refund_facts where side = 'provider'") == []
    assert ledger.rows("select count(provider_amount) from reconciliation.refund_match") == [(0,)]


def test_a_line_that_a_settlement_of_an_account_has_no_more_closes_its_exception(ledger: LedgerFixture) -> None:
    refunded(ledger)
    ledger.booked("psp-1001", "-125")
    ledger.booked("dashboard", "-30", number="1001")
    ledger.connection.execute(
        "update staging.payout_lines set account = 'M1', payout_line_id = concat_ws(' ', provider, 'M1', payout_id, source_line)"
    )
    ledger.reconcile()
    assert ledger.open("payout") == [("payout_mismatch", "R-1001", Decimal(30), "provider")]
    ledger.connection.execute("delete from staging.payout_lines where reference = 'dashboard'")
    ledger.reconcile(NOW + DAY)
    assert ledger.open("payout") == []
    assert ledger.rows("select proof from reconciliation.exception_events where event = 'closed'") == [
        ("the settlement was delivered again without the line",)
    ]
