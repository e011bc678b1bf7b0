"""Systematic cents, goods of nobody, notes, and what a missing source does to exceptions that are open."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from hr_centra_pipeline_tests.reconciliation.books import DAY, DROPPED, HOUR, NOW, Books
from hr_centra_pipeline_tests.staged import put


def refunds(books: Books, first: int, count: int, *, off: str, discount: str = "0", **order: object) -> None:
    """Refunds of one piece each whose tax is off by so much."""
    for number in (str(first + position) for position in range(count)):
        books.sold(number, **order)  # type: ignore[arg-type]
        if discount != "0":
            books.connection.execute(
                "update staging.order_lines set unit_original_price = ? where order_number = ?", [discount, number]
            )
        units = books.returned(number)
        books.told(number, units, tax=str(Decimal(25) + Decimal(off)), items=str(Decimal(100) - Decimal(off)))
        books.credited(number, units, int(number))


def named(books: Books, component: str = "tax") -> list[str]:
    return [
        row[0]
        for row in books.rows(
            f"select named from reconciliation.systematic_cents where component = '{component}' order by 1"
        )
    ]


def test_a_rounding_rule_of_one_discount_is_named(books: Books) -> None:
    refunds(books, 2001, 8, off="-0.01", discount="156.25")  # 20 % off
    refunds(books, 3001, 20, off="0")
    books.reconcile()
    assert named(books) == ["happy_returns is off by -0.01 EUR in tax on 8 of 8 refunds with 20 % discount"]
    assert books.open("refund_mismatch") == []


def test_a_rounding_rule_of_a_whole_currency_is_named_once_and_not_again_for_its_parts(books: Books) -> None:
    refunds(books, 2001, 5, off="0.02", discount="156.25")
    refunds(books, 3001, 5, off="0.02")
    books.reconcile()
    assert named(books) == ["happy_returns is off by 0.02 EUR in tax on 10 of 10 refunds"]


def test_cents_of_both_signs_few_of_them_or_large_ones_are_no_rule(books: Books) -> None:
    refunds(books, 2001, 4, off="0.01")
    refunds(books, 3001, 4, off="-0.01")
    refunds(books, 4001, 6, off="2.00")
    books.reconcile()
    assert named(books) == []


def booked(books: Books, change: int, text: list[str], **more: object) -> None:
    put(
        books.connection, "staging.stock_changes",
        **{
            "stock_change_line_id": change, "stock_change_id": change, "type": "IN", "sku": "S", "is_customer_return": True,
            "by_person": True, "named": text, "warehouse_id": 1, "quantity": 1, "created_at": DROPPED, **more,
        },
    )  # fmt: skip


@pytest.mark.slow
def test_only_what_is_called_a_customer_return_and_names_no_return_is_goods_of_nobody(books: Books) -> None:
    books.sold("1001")
    books.returned("1001")
    booked(books, 1, ["Customer", "return"])
    booked(books, 2, ["Customer", "return", "HRX1001"])  # its express code
    booked(books, 3, ["Customer", "return", "1001"])  # its order
    booked(books, 4, ["Delivery"], is_customer_return=False)
    booked(books, 5, ["RMA"], effect_keys=["HRAAAAAAAAAAAAA"])  # ours
    books.sold("1003")
    books.credited("1003", [], 7, by_person=True, returned_to_stock=True, warehouse_id=4, at=DROPPED)
    booked(books, 6, ["RMA"], type="RETURN", warehouse_id=4, sku="SKU-1003")  # Centra's own movement of that Return
    books.reconcile(DROPPED + timedelta(hours=71))
    assert books.open("stock_change") == []
    books.reconcile(DROPPED + timedelta(hours=73))
    assert books.rows(
        "select evidence::json ->> 'stock_change_id', culprit, sku from reconciliation.exceptions where kind like 'stock_change%'"
    ) == [("1", "person", "S")]
    put(
        books.connection,
        "staging.returns",
        return_id="R-9",
        order_number="1001",
        refund_status="approved",
        express_code="return",
    )
    books.reconcile(NOW)
    assert books.open("stock_change") == []
    # What Centra calls a movement decides nothing: without a Return behind it, it is as any other.
    booked(books, 8, ["RMA"], type="RETURN")
    books.reconcile(NOW)
    assert len(books.open("stock_change")) == 1


def test_a_note_that_was_not_written_is_named_by_what_keeps_it(books: Books) -> None:
    books.sold("1001")
    books.returned("1001")
    books.reconcile(DROPPED + 7 * DAY)
    assert books.open("status") == [("status_not_updated", "R-1001", None, "pipeline")]
    books.connection.execute("update policy.modes set mode = 'dry_run' where effect_type = 'status_update'")
    books.reconcile(DROPPED + 8 * DAY)
    assert books.open("status") == [("status_not_updated", "R-1001", None, "policy")]


@pytest.mark.slow
def test_exceptions_that_are_open_stay_so_when_a_source_is_dropped(books: Books) -> None:
    """Every source in turn loses what it told; nothing of that is a proof."""
    for number in ("1001", "1002", "1003"):
        books.sold(number)
    books.told("1001", books.returned("1001"), items="90")
    books.credited("1001", ["1001-0"], 1)
    books.told("1002", books.returned("1002"))
    books.credited("1002", ["1002-0"], 2, by_person=True, paid=False)
    books.told("1003", books.returned("1003", disposition=None, disposition_at=None))
    books.credited("1003", ["1003-0"], 3, reference="psp-c")
    books.booked("psp-c", "-100")
    booked(books, 1, ["Customer", "return"])
    books.sold("1004")
    books.credited("1004", [], 4, by_person=True)
    books.reconcile(NOW + 20 * DAY)
    kinds = {kind for kind, *_ in books.open("")}
    assert kinds >= {
        "refund_mismatch_items", "credit_note_without_refund", "disposition_missing", "payout_mismatch",
        "stock_change_without_return", "centra_return_without_return", "return_without_stock_movement",
    }  # fmt: skip
    before = books.rows("select exception_id, opened_at from reconciliation.exceptions order by 1")
    for tables in (
        ["staging.payout_lines"],
        ["staging.refunds", "staging.refund_units"],
        ["staging.stock_changes"],
        ["staging.centra_returns", "staging.centra_return_lines", "staging.payment_entries"],
        ["staging.return_items", "staging.returns", "staging.return_item_events"],
        ["staging.orders", "staging.order_lines", "staging.shipments", "staging.shipment_lines"],
    ):
        for table in tables:
            books.connection.execute(f"create or replace temp table kept_{table.split('.')[1]} as from {table}")
            books.connection.execute(f"delete from {table}")
        for derived in (
            "matching.matched_items",
            "effects.units",
            "reconciliation.refund_facts",
            "reconciliation.refund_match",
        ):
            books.connection.execute(f"delete from {derived}")
        books.reconcile(NOW + 20 * DAY + HOUR)
        after = {row[0] for row in books.rows("select exception_id from reconciliation.exceptions")}
        missing = [row for row in before if row[0] not in after]
        closed = books.rows("select kind, proof from reconciliation.exception_events where event = 'closed'")
        assert missing == [], (tables, closed)
        for table in tables:
            books.connection.execute(f"insert into {table} from kept_{table.split('.')[1]}")
    books.reconcile(NOW + 21 * DAY)
    assert {row[0] for row in books.rows("select exception_id from reconciliation.exceptions")} >= {
        row[0] for row in before
    }
