"""A question is asked only when the settings alone make an effect due or different. Rows in, rows out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline_tests.reconciliation.ledger_fixture import DROPPED, NOW, LedgerFixture

LONG_AGO = DROPPED - timedelta(days=200)
Asked = set[tuple[str, str]]


@pytest.fixture
def ledger(prepared: Connection) -> LedgerFixture:
    """Orders and returns that Centra and Happy Returns have shown in the first batches."""
    return LedgerFixture(prepared)


def known(ledger: LedgerFixture, number: str, **more: Any) -> str:
    """An order whose one unit has come back, both read before the first plan; answers the unit."""
    ordered(ledger, number)
    return returned(ledger, number, **more)


def ordered(ledger: LedgerFixture, number: str, **more: Any) -> None:
    ledger.sold(number, **more)
    ledger.connection.execute(
        "insert into landing.centra_orders select ?, 'x', '{}', ?, ?, nextval('landing.batch_numbers')",
        [number, DROPPED, DROPPED],
    )


def returned(ledger: LedgerFixture, number: str, **more: Any) -> str:
    (unit,) = ledger.returned(number, **more)
    ledger.connection.execute(
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


def asked(ledger: LedgerFixture) -> Asked:
    """(unit, kind of effect) of what a person is asked about, after another plan."""
    ledger.reconcile()
    return set(
        ledger.rows(
            "select return_item_id, effect_kind from push.ledger where asked_batch is not null and state in ('planned', 'sending')"
        )
    )


def change(ledger: LedgerFixture, statement: str) -> None:
    ledger.connection.execute(statement)
    ledger.connection.execute("delete from meta.watermarks")  # as the policy does when it changes


def another_grade(ledger: LedgerFixture) -> None:
    change(ledger, "insert into policy.dispositions values ('refurbish', 'restock', 2, 24)")


def cut_over(ledger: LedgerFixture, days: int) -> None:
    change(ledger, f"update policy.parameters set cutover = cutover - interval {days} days")


def refused(ledger: LedgerFixture, unit: str, kind: str = "credit_note") -> None:
    """Centra has refused it."""
    ledger.connection.execute(
        "update push.ledger set state = 'rejected', reason = 'locked by the accounting export', packet_key = 'PK1', updated_at = ?"
        " where return_item_id = ? and effect_kind = ?",
        [NOW, unit, kind],
    )
    ledger.connection.execute(
        "insert into push.packets (packet_key, operation, members, payload, step, state, message, created_at, updated_at)"
        " select 'PK1', 'credit', [effect_key], '{}', 'done', 'rejected', 'locked by the accounting export', $now, $now"
        " from push.ledger where return_item_id = $unit and effect_kind = $kind",
        {"now": NOW, "unit": unit, "kind": kind},
    )


def adopted(ledger: LedgerFixture, number: str) -> None:
    ledger.connection.execute(
        "insert into push.adoptions (return_id, adopted_by, why, adopted_at) values (?, 'bo', 'forgotten', ?)",
        [f"R-{number}", NOW],
    )


def test_a_return_that_a_person_adopts_is_due_by_that_whatever_setting_changes_with_it(ledger: LedgerFixture) -> None:
    unit = known(ledger, "1001", return_created_at=LONG_AGO)
    other = known(ledger, "1002", return_created_at=LONG_AGO)
    assert asked(ledger) == set()
    another_grade(ledger)
    adopted(ledger, "1001")
    assert asked(ledger) == set()
    assert ledger.rows(
        f"select blocked_by from effects.pending_inventory_adjustments where return_item_id = '{unit}'"
    ) == [(None,)]
    # One that nobody has adopted is due by the cut-over alone, an adopted one by its adoption.
    third = known(ledger, "1003", return_created_at=LONG_AGO)
    assert asked(ledger) == set()
    adopted(ledger, "1003")
    cut_over(ledger, 300)
    assert asked(ledger) == {(other, "credit_note"), (other, "inventory_adjustment")}
    assert third not in {name for name, _ in asked(ledger)}


@pytest.mark.slow
def test_an_adoption_after_the_question_answers_it_and_one_before_the_last_plan_does_not(ledger: LedgerFixture) -> None:
    unit = known(ledger, "1001", return_created_at=LONG_AGO)
    assert asked(ledger) == set()
    cut_over(ledger, 300)
    assert asked(ledger) == {(unit, "credit_note"), (unit, "inventory_adjustment")}
    adopted(ledger, "1001")
    assert asked(ledger) == set()
    change(ledger, "update policy.dispositions set warehouse_id = 2 where disposition = 'sellable'")
    assert asked(ledger) == {(unit, "inventory_adjustment")}


@pytest.mark.slow
def test_only_the_grade_whose_rule_changed_is_asked_about(ledger: LedgerFixture) -> None:
    sellable = known(ledger, "1001")
    damaged = known(ledger, "1002", disposition="damaged")
    assert asked(ledger) == set()
    change(ledger, "update policy.dispositions set warehouse_id = 2 where disposition = 'damaged'")
    assert asked(ledger) == {(damaged, "inventory_adjustment")}
    assert sellable not in {name for name, _ in asked(ledger)}


@pytest.mark.slow
def test_what_centra_refused_was_due_before_and_stays_a_rejected_write(ledger: LedgerFixture) -> None:
    unit = known(ledger, "1001")
    stock = known(ledger, "1002")
    assert asked(ledger) == set()
    refused(ledger, unit)
    refused(ledger, stock, "inventory_adjustment")
    ledger.reconcile()
    assert [row[0] for row in ledger.open("rejected_write")] == ["rejected_write"] * 2
    change(ledger, "insert into policy.refused_dispositions values ('lost')")
    cut_over(ledger, 1)
    assert asked(ledger) == set()


@pytest.mark.slow
def test_what_centra_refused_and_the_settings_have_changed_since_is_asked_about_and_says_the_refusal(
    ledger: LedgerFixture,
) -> None:
    unit = known(ledger, "1001")
    assert asked(ledger) == set()
    refused(ledger, unit)
    ledger.reconcile()
    change(ledger, "update policy.pays_through set pays_through = 'elsewhere' where refund_type = 'refund'")
    assert asked(ledger) == {(unit, "credit_note")}
    ((detail,),) = ledger.rows("select detail from reconciliation.exceptions where kind = 'return_without_credit_note'")
    assert "only the settings have changed what is done for it" in detail
    assert "Centra refused it on 2026-09-20: locked by the accounting export" in detail


def test_a_capture_in_the_same_sync_as_a_change_is_no_question(ledger: LedgerFixture) -> None:
    known(ledger, "1001")
    change(ledger, "update staging.shipments set is_captured = false")
    ledger.reconcile()
    cut_over(ledger, 1)
    change(ledger, "update staging.shipments set is_captured = true")
    assert asked(ledger) == set()


def test_an_order_that_centra_shows_for_the_first_time_is_no_question(ledger: LedgerFixture) -> None:
    known(ledger, "1001")
    returned(ledger, "1002")
    assert asked(ledger) == set()
    change(ledger, "update policy.triggers set trigger = 'first_scan'")
    ordered(ledger, "1002")
    assert asked(ledger) == set()


@pytest.mark.slow
def test_a_tie_in_the_same_sync_as_a_change_is_no_question(ledger: LedgerFixture) -> None:
    unit = known(ledger, "1001", disposition="odd")
    other = known(ledger, "1002", disposition="odd")
    ledger.reconcile()
    change(ledger, "insert into policy.dispositions values ('odd', 'restock', 1, 0)")
    assert asked(ledger) == set(), "mapped for the first time"
    change(ledger, "update policy.dispositions set warehouse_id = 2 where disposition = 'odd'")
    ledger.connection.execute(
        "insert into push.ties values ('T1', 'line', '1001', '1001', ?, null, null, 'bo', 'bo', 'it is that one', ?)",
        [unit, NOW],
    )
    assert asked(ledger) == {(other, "inventory_adjustment")}


def test_the_external_return_that_is_gone_makes_ours_due_and_not_the_settings(ledger: LedgerFixture) -> None:
    unit = known(ledger, "1001")
    ledger.credited("1001", [unit], 5, by_person=True)
    assert asked(ledger) == set()
    assert ledger.rows("select is_foreign from push.ledger where effect_kind = 'credit_note'") == [(True,)]
    cut_over(ledger, 1)
    change(ledger, "update staging.centra_returns set deleted_at = timestamptz '2026-09-19 00:00:00+00'")
    assert asked(ledger) == set()
    assert ledger.rows("select state, is_foreign from push.ledger where effect_kind = 'credit_note'") == [
        ("planned", False)
    ]
