"""A question is asked only when the settings alone make an effect due or different. Rows in, rows out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline_tests.reconciliation.books import DROPPED, NOW, Books

LONG_AGO = DROPPED - timedelta(days=200)
Asked = set[tuple[str, str]]


@pytest.fixture
def books(prepared: Connection) -> Books:
    """Orders and returns that Centra and Happy Returns have shown in the first batches."""
    return Books(prepared)


def known(books: Books, number: str, **more: Any) -> str:
    """An order whose one unit has come back, both read before the first plan; answers the unit."""
    ordered(books, number)
    return returned(books, number, **more)


def ordered(books: Books, number: str, **more: Any) -> None:
    books.sold(number, **more)
    books.connection.execute(
        "insert into landing.centra_orders select ?, 'x', '{}', ?, ?, nextval('landing.batch_numbers')",
        [number, DROPPED, DROPPED],
    )


def returned(books: Books, number: str, **more: Any) -> str:
    (unit,) = books.returned(number, **more)
    books.connection.execute(
        """
        insert into landing.happy_returns_items by name
        select
            return_item_id, return_id, order_number, sku, refund_type, exchange_sku, dropoff_method, approved_at, received_at,
            warehouse_received_at, disposition, 'default' as profile, 'x' as row_sha256, source_time, 'items.csv' as source_file,
            2 as source_line, source_time as landed_at, nextval('landing.batch_numbers') as batch
        from staging.return_items where return_item_id = ?
        """,
        [unit],
    )
    return unit


def asked(books: Books) -> Asked:
    """(unit, kind of effect) of what a person is asked about, after another plan."""
    books.reconcile()
    return set(
        books.rows(
            "select return_item_id, effect_kind from push.ledger where asked_batch is not null and state in ('planned', 'sending')"
        )
    )


def change(books: Books, statement: str) -> None:
    books.connection.execute(statement)
    books.connection.execute("delete from meta.watermarks")  # as the policy does when it changes


def another_grade(books: Books) -> None:
    change(books, "insert into policy.dispositions values ('refurbish', 'restock', 2, 24)")


def cut_over(books: Books, days: int) -> None:
    change(books, f"update policy.parameters set cutover = cutover - interval {days} days")


def refused(books: Books, unit: str, kind: str = "credit_note") -> None:
    """Centra has refused it."""
    books.connection.execute(
        "update push.ledger set state = 'rejected', reason = 'locked by the accounting export', packet_key = 'PK1', updated_at = ?"
        " where return_item_id = ? and effect_kind = ?",
        [NOW, unit, kind],
    )
    books.connection.execute(
        "insert into push.packets (packet_key, operation, members, payload, step, state, message, created_at, updated_at)"
        " select 'PK1', 'credit', [effect_key], '{}', 'done', 'rejected', 'locked by the accounting export', $now, $now"
        " from push.ledger where return_item_id = $unit and effect_kind = $kind",
        {"now": NOW, "unit": unit, "kind": kind},
    )


def adopted(books: Books, number: str) -> None:
    books.connection.execute("insert into push.adoptions values (?, 'bo', 'forgotten', ?)", [f"R-{number}", NOW])


def test_a_return_that_a_person_adopts_is_due_by_that_whatever_setting_changes_with_it(books: Books) -> None:
    unit = known(books, "1001", return_created_at=LONG_AGO)
    other = known(books, "1002", return_created_at=LONG_AGO)
    assert asked(books) == set()
    another_grade(books)
    adopted(books, "1001")
    assert asked(books) == set()
    assert books.rows(
        f"select blocked_by from effects.pending_inventory_adjustments where return_item_id = '{unit}'"
    ) == [(None,)]
    # One that nobody has adopted is due by the cut-over alone, an adopted one by its adoption.
    third = known(books, "1003", return_created_at=LONG_AGO)
    assert asked(books) == set()
    adopted(books, "1003")
    cut_over(books, 300)
    assert asked(books) == {(other, "credit_note"), (other, "inventory_adjustment")}
    assert third not in {name for name, _ in asked(books)}


def test_an_adoption_after_the_question_answers_it_and_one_before_the_last_plan_does_not(books: Books) -> None:
    unit = known(books, "1001", return_created_at=LONG_AGO)
    assert asked(books) == set()
    cut_over(books, 300)
    assert asked(books) == {(unit, "credit_note"), (unit, "inventory_adjustment")}
    adopted(books, "1001")
    assert asked(books) == set()
    change(books, "update policy.dispositions set warehouse_id = 2 where disposition = 'sellable'")
    assert asked(books) == {(unit, "inventory_adjustment")}


def test_only_the_grade_whose_rule_changed_is_asked_about(books: Books) -> None:
    sellable = known(books, "1001")
    damaged = known(books, "1002", disposition="damaged")
    assert asked(books) == set()
    change(books, "update policy.dispositions set warehouse_id = 2 where disposition = 'damaged'")
    assert asked(books) == {(damaged, "inventory_adjustment")}
    assert sellable not in {name for name, _ in asked(books)}


def test_what_centra_refused_was_due_before_and_stays_a_rejected_write(books: Books) -> None:
    unit = known(books, "1001")
    stock = known(books, "1002")
    assert asked(books) == set()
    refused(books, unit)
    refused(books, stock, "inventory_adjustment")
    books.reconcile()
    assert [row[0] for row in books.open("rejected_write")] == ["rejected_write"] * 2
    change(books, "insert into policy.refused_dispositions values ('lost')")
    cut_over(books, 1)
    assert asked(books) == set()


def test_what_centra_refused_and_the_settings_have_changed_since_is_asked_about_and_says_the_refusal(
    books: Books,
) -> None:
    unit = known(books, "1001")
    assert asked(books) == set()
    refused(books, unit)
    books.reconcile()
    change(books, "update policy.pays_through set pays_through = 'elsewhere' where refund_type = 'refund'")
    assert asked(books) == {(unit, "credit_note")}
    ((detail,),) = books.rows("select detail from reconciliation.exceptions where kind = 'return_without_credit_note'")
    assert "only the settings have changed what is done for it" in detail
    assert "Centra refused it on 2026-09-20: locked by the accounting export" in detail


def test_a_capture_in_the_same_sync_as_a_change_is_no_question(books: Books) -> None:
    known(books, "1001")
    change(books, "update staging.shipments set is_captured = false")
    books.reconcile()
    cut_over(books, 1)
    change(books, "update staging.shipments set is_captured = true")
    assert asked(books) == set()


def test_an_order_that_centra_shows_for_the_first_time_is_no_question(books: Books) -> None:
    known(books, "1001")
    returned(books, "1002")
    assert asked(books) == set()
    change(books, "update policy.triggers set trigger = 'first_scan'")
    ordered(books, "1002")
    assert asked(books) == set()


def test_a_tie_in_the_same_sync_as_a_change_is_no_question(books: Books) -> None:
    unit = known(books, "1001", disposition="odd")
    other = known(books, "1002", disposition="odd")
    books.reconcile()
    change(books, "insert into policy.dispositions values ('odd', 'restock', 1, 0)")
    assert asked(books) == set(), "mapped for the first time"
    change(books, "update policy.dispositions set warehouse_id = 2 where disposition = 'odd'")
    books.connection.execute(
        "insert into push.ties values ('T1', 'line', '1001', '1001', ?, null, null, 'bo', 'bo', 'it is that one', ?)",
        [unit, NOW],
    )
    assert asked(books) == {(other, "inventory_adjustment")}


def test_the_external_return_that_is_gone_makes_ours_due_and_not_the_settings(books: Books) -> None:
    unit = known(books, "1001")
    books.credited("1001", [unit], 5, by_person=True)
    assert asked(books) == set()
    assert books.rows("select is_foreign from push.ledger where effect_kind = 'credit_note'") == [(True,)]
    cut_over(books, 1)
    change(books, "update staging.centra_returns set deleted_at = timestamptz '2026-09-19 00:00:00+00'")
    assert asked(books) == set()
    assert books.rows("select state, is_foreign from push.ledger where effect_kind = 'credit_note'") == [
        ("planned", False)
    ]
