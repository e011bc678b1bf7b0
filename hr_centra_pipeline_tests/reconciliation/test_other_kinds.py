"""Systematic cents, goods of nobody, notes, and what a missing source does to exceptions that are open."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from hr_centra_pipeline_tests.reconciliation.ledger_fixture import DAY, DROPPED, HOUR, NOW, LedgerFixture
from hr_centra_pipeline_tests.staged import put


def refunds(ledger: LedgerFixture, first: int, count: int, *, off: str, discount: str = "0", **order: object) -> None:
    """Refunds of one piece each whose tax is off by so much."""
    for number in (str(first + position) for position in range(count)):
        ledger.sold(number, **order)  # type: ignore[arg-type]
        if discount != "0":
            ledger.connection.execute(
                "update staging.order_lines set unit_original_price = ? where order_number = ?", [discount, number]
            )
        units = ledger.returned(number)
        ledger.told(number, units, tax=str(Decimal(25) + Decimal(off)), items=str(Decimal(100) - Decimal(off)))
        ledger.credited(number, units, int(number))


def named(ledger: LedgerFixture, component: str = "tax") -> list[str]:
    return [
        row[0]
        for row in ledger.rows(
            f"select named from reconciliation.systematic_cents where component = '{component}' order by 1"
        )
    ]


def test_a_rounding_rule_of_one_discount_is_named(ledger: LedgerFixture) -> None:
    refunds(ledger, 2001, 8, off="-0.01", discount="156.25")  # 20 % off
    refunds(ledger, 3001, 20, off="0")
    ledger.reconcile()
    assert named(ledger) == ["happy_returns is off by -0.01 EUR in tax on 8 of 8 refunds with 20 % discount"]
    assert ledger.open("refund_mismatch") == []


def test_a_rounding_rule_of_a_whole_currency_is_named_once_and_not_again_for_its_parts(ledger: LedgerFixture) -> None:
    refunds(ledger, 2001, 5, off="0.02", discount="156.25")
    refunds(ledger, 3001, 5, off="0.02")
    ledger.reconcile()
    assert named(ledger) == ["happy_returns is off by 0.02 EUR in tax on 10 of 10 refunds"]


def test_cents_of_both_signs_few_of_them_or_large_ones_are_no_rule(ledger: LedgerFixture) -> None:
    refunds(ledger, 2001, 4, off="0.01")
    refunds(ledger, 3001, 4, off="-0.01")
    refunds(ledger, 4001, 6, off="2.00")
    ledger.reconcile()
    assert named(ledger) == []


def booked(ledger: LedgerFixture, change: int, text: list[str], **more: object) -> None:
    put(
        ledger.connection, "staging.stock_changes",
        **{
            "stock_change_line_id": change, "stock_change_id": change, "type": "IN", "sku": "S", "is_customer_return": True,
            "by_person": True, "named": text, "warehouse_id": 1, "quantity": 1, "created_at": DROPPED, **more,
        },
    )  # fmt: skip


@pytest.mark.slow
def test_only_what_is_called_a_customer_return_and_names_no_return_is_goods_of_nobody(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    ledger.returned("1001")
    booked(ledger, 1, ["Customer", "return"])
    booked(ledger, 2, ["Customer", "return", "HRX1001"])  # its express code
    booked(ledger, 3, ["Customer", "return", "1001"])  # its order
    booked(ledger, 4, ["Delivery"], is_customer_return=False)
    booked(ledger, 5, ["RMA"], effect_keys=["HRAAAAAAAAAAAAA"])  # ours
    ledger.sold("1003")
    ledger.credited("1003", [], 7, by_person=True, returned_to_stock=True, warehouse_id=4, at=DROPPED)
    booked(ledger, 6, ["RMA"], type="RETURN", warehouse_id=4, sku="SKU-1003")  # Centra's own movement of that Return
    ledger.reconcile(DROPPED + timedelta(hours=71))
    assert ledger.open("stock_change") == []
    ledger.reconcile(DROPPED + timedelta(hours=73))
    assert ledger.rows(
        "select evidence::json ->> 'stock_change_id', culprit, sku from reconciliation.exceptions where kind like 'stock_change%'"
    ) == [("1", "person", "S")]
    put(
        ledger.connection,
        "staging.returns",
        return_id="R-9",
        order_number="1001",
        refund_status="approved",
        express_code="return",
    )
    ledger.reconcile(NOW)
    assert ledger.open("stock_change") == []
    # What Centra calls a movement decides nothing: without a Return behind it, it is as any other.
    booked(ledger, 8, ["RMA"], type="RETURN")
    ledger.reconcile(NOW)
    assert len(ledger.open("stock_change")) == 1


def test_a_note_that_was_not_written_is_named_by_what_keeps_it(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    ledger.returned("1001")
    ledger.reconcile(DROPPED + 7 * DAY)
    assert ledger.open("status") == [("status_not_updated", "R-1001", None, "pipeline")]
    ledger.connection.execute("update policy.modes set mode = 'dry_run' where effect_type = 'status_update'")
    ledger.reconcile(DROPPED + 8 * DAY)
    assert ledger.open("status") == []
    assert ledger.rows("select kind, return_id, culprit from reconciliation.dry_run_items") == [
        ("status_not_updated", "R-1001", "policy")
    ]


@pytest.mark.slow
def test_exceptions_that_are_open_stay_so_when_a_source_is_dropped(ledger: LedgerFixture) -> None:
    """Every source in turn loses what it reported; nothing of that is a proof."""
    for number in ("1001", "1002", "1003"):
        ledger.sold(number)
    ledger.told("1001", ledger.returned("1001"), items="90")
    ledger.credited("1001", ["1001-0"], 1)
    ledger.told("1002", ledger.returned("1002"))
    ledger.credited("1002", ["1002-0"], 2, by_person=True, paid=False)
    ledger.told("1003", ledger.returned("1003", disposition=None, disposition_at=None))
    ledger.credited("1003", ["1003-0"], 3, reference="psp-c")
    ledger.booked("psp-c", "-100")
    booked(ledger, 1, ["Customer", "return"])
    ledger.sold("1004")
    ledger.credited("1004", [], 4, by_person=True)
    ledger.reconcile(NOW + 20 * DAY)
    kinds = {kind for kind, *_ in ledger.open("")}
    assert kinds >= {
        "refund_mismatch_items", "credit_note_without_refund", "disposition_missing", "payout_mismatch",
        "stock_change_without_return", "centra_return_without_return", "return_without_stock_movement",
    }  # fmt: skip
    before = ledger.rows("select exception_id, opened_at from reconciliation.exceptions order by 1")
    for tables in (
        ["staging.payout_lines"],
        ["staging.refunds", "staging.refund_units"],
        ["staging.stock_changes"],
        ["staging.centra_returns", "staging.centra_return_lines", "staging.payment_entries"],
        ["staging.return_items", "staging.returns", "staging.return_item_events"],
        ["staging.orders", "staging.order_lines", "staging.shipments", "staging.shipment_lines"],
    ):
        for table in tables:
            ledger.connection.execute(f"create or replace temp table kept_{table.split('.')[1]} as from {table}")
            ledger.connection.execute(f"delete from {table}")
        for derived in (
            "matching.matched_items",
            "effects.units",
            "reconciliation.refund_facts",
            "reconciliation.refund_match",
        ):
            ledger.connection.execute(f"delete from {derived}")
        ledger.reconcile(NOW + 20 * DAY + HOUR)
        after = {row[0] for row in ledger.rows("select exception_id from reconciliation.exceptions")}
        missing = [row for row in before if row[0] not in after]
        closed = ledger.rows("select kind, proof from reconciliation.exception_events where event = 'closed'")
        assert missing == [], (tables, closed)
        for table in tables:
            ledger.connection.execute(f"insert into {table} from kept_{table.split('.')[1]}")
    ledger.reconcile(NOW + 21 * DAY)
    assert {row[0] for row in ledger.rows("select exception_id from reconciliation.exceptions")} >= {
        row[0] for row in before
    }
