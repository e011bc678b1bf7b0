from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.reconciliation import shadow
from hr_centra_pipeline_tests.reconciliation.ledger_fixture import DAY, DROPPED, HOUR, NOW, LedgerFixture
from hr_centra_pipeline_tests.staged import put


def outcomes(ledger: LedgerFixture, effect_kind: str = "credit_note") -> list[tuple[Any, ...]]:
    return ledger.rows(
        f"select order_number, outcome, at_stake, sided_with from reconciliation.shadow where effect_kind = '{effect_kind}'"
        " order by order_number, shadow_id"
    )


def test_what_people_did_is_compared_with_what_we_would_have_done(ledger: LedgerFixture) -> None:
    for number in ("1001", "1002", "1003"):
        ledger.sold(number)
        ledger.told(number, ledger.returned(number))
    ledger.credited("1001", ["1001-0"], 1, by_person=True)
    ledger.credited("1002", ["1002-0"], 2, by_person=True, fee="10")  # the manual mistake
    ledger.sold("1004")
    ledger.returned("1004", approved_at=None)
    ledger.credited("1004", ["1004-0"], 4, by_person=True)  # not approved, and paid by hand
    ledger.sold("1005")
    ledger.credited("1005", [], 5, by_person=True)  # nobody's
    ledger.reconcile()
    assert outcomes(ledger) == [
        ("1001", "same", Decimal(0), "us"),
        ("1002", "amounts_differ", Decimal(10), "us"),
        ("1003", "we_would_they_did_not", Decimal(125), "us"),
        ("1004", "they_did_we_would_not", Decimal(125), "us"),
        ("1005", "they_did_we_would_not", Decimal(125), "us"),
    ]


def test_where_happy_returns_sides_with_them_we_stand_alone(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001", dropoff_method="mail")  # our policy takes 4.95
    ledger.told("1001", units, fee="6.00")
    ledger.credited("1001", units, 1, by_person=True, fee="6.00")
    ledger.reconcile()
    assert outcomes(ledger) == [("1001", "amounts_differ", Decimal("1.05"), "them")]


def test_a_row_in_another_currency_than_the_order_sides_with_nobody(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    ledger.told("1001", ledger.returned("1001"), currency="USD")
    ledger.reconcile()
    assert outcomes(ledger) == [("1001", "we_would_they_did_not", Decimal(125), "nobody")]


def test_what_we_did_ourselves_is_left_out_and_what_may_still_come_is_too_early(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001")
    ledger.told("1001", units)
    ledger.credited("1001", units, 1)
    ledger.sold("1002")
    ledger.told("1002", ledger.returned("1002"))
    ledger.reconcile(DROPPED + 20 * HOUR)
    assert outcomes(ledger) == [("1002", "too_early", Decimal(125), "us")]
    ledger.reconcile(DROPPED + 50 * HOUR)
    assert outcomes(ledger) == [("1002", "we_would_they_did_not", Decimal(125), "us")]


def test_goods_that_people_put_elsewhere_or_too_early_are_reported(ledger: LedgerFixture) -> None:
    for number, warehouse in (("1001", 1), ("1002", 3)):
        ledger.sold(number)
        ledger.told(number, ledger.returned(number))
        ledger.credited(
            number, [f"{number}-0"], int(number), by_person=True, returned_to_stock=True, warehouse_id=warehouse
        )
    ledger.sold("1003")
    ledger.told("1003", ledger.returned("1003", disposition=None, disposition_at=None))
    ledger.credited("1003", ["1003-0"], 1003, by_person=True, returned_to_stock=True, warehouse_id=1)
    ledger.sold("1004")
    ledger.told("1004", ledger.returned("1004"))
    put(
        ledger.connection, "staging.stock_changes", stock_change_line_id=1, stock_change_id=1, type="IN", sku="SKU-1004",
        is_customer_return=True, by_person=True, named=["Customer", "return", "HRX1004"], warehouse_id=1, quantity=1,
        created_at=DROPPED + 7 * DAY,
    )  # fmt: skip
    ledger.reconcile()
    assert outcomes(ledger, "inventory_adjustment") == [
        ("1001", "same", Decimal(0), "us"),
        ("1002", "amounts_differ", Decimal(125), "us"),
        ("1003", "they_did_we_would_not", Decimal(125), "us"),
        ("1004", "same", Decimal(0), "us"),
    ]


def test_ready_to_go_live_is_said_when_every_criterion_is_met_and_only_then(ledger: LedgerFixture) -> None:
    for position in range(60):
        number = str(2001 + position)
        ledger.sold(number)
        units = ledger.returned(number)
        ledger.told(number, units)
        ledger.credited(number, units, 2001 + position, by_person=True, returned_to_stock=True, warehouse_id=1)
    ledger.reconcile()
    found = shadow.report(ledger.connection, NOW - 28 * DAY, NOW)
    assert found.is_ready, found.criteria
    assert {(one.effect_kind, one.outcome, one.decisions) for one in found.outcomes} == {
        ("credit_note", "same", 60), ("inventory_adjustment", "same", 60),
    }  # fmt: skip
    for number in ("3001", "3002"):  # two decisions in which nobody is on our side
        ledger.sold(number)
        units = ledger.returned(number, dropoff_method="mail")
        ledger.told(number, units, fee="6.00")
        ledger.credited(number, units, int(number), by_person=True, fee="6.00", returned_to_stock=True, warehouse_id=1)
    ledger.reconcile()
    found = shadow.report(ledger.connection, NOW - 28 * DAY, NOW)
    assert [one.criterion for one in found.criteria if not one.passed] == [
        "decisions in which people and Happy Returns both disagree with us"
    ]
    assert not shadow.report(ledger.connection, NOW - 28 * DAY, DROPPED - DAY).is_ready  # nothing was observed
    assert ledger.rows("select count(*), count(*) filter (where passed) from reconciliation.shadow_verdict") == [(6, 5)]


def test_a_period_is_cut_by_when_things_were_due(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    ledger.told("1001", ledger.returned("1001"))
    ledger.reconcile()
    assert shadow.report(ledger.connection, DROPPED, DROPPED + timedelta(hours=1)).outcomes[0].decisions == 1
    assert shadow.report(ledger.connection, DROPPED + HOUR, NOW).outcomes == [
        shadow.Outcome("inventory_adjustment", "we_would_they_did_not", "EUR", 1, Decimal(125))
    ]
