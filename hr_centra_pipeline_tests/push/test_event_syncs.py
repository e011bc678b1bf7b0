"""Syncs that follow events, between the hourly ones: the same effects, sooner, and nothing that the hourly ones rely on is lost."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from hr_centra_pipeline_tests.harness import NOW, Harness

MINUTE = timedelta(minutes=1)


def first_sync(at_harness: Harness) -> None:
    """The hourly sync of a shop in which nothing has happened yet."""
    at_harness.sync()
    at_harness.reconcile()
    at_harness.clock.advance_to(NOW + MINUTE)


def test_what_an_event_brought_is_credited_before_the_next_poll_and_once(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    first_sync(at_harness)
    at_harness.comes_back(sold, grade="sellable")
    report = at_harness.event_sync()
    assert report.confirmed == {"credit_note": 1, "inventory_adjustment": 1}
    at_harness.clock.advance_to(NOW + 2 * MINUTE)
    assert at_harness.event_sync().confirmed == {"status_update": 1}
    at_harness.clock.advance_to(NOW + 3 * MINUTE)
    assert at_harness.event_sync().writes == 0
    at_harness.clock.advance_to(NOW + 60 * MINUTE)
    assert at_harness.sync().writes == 0
    assert at_harness.reconcile() == []
    assert at_harness.refunded(sold) == Decimal("100.00")
    assert at_harness.moved("DRESS-S", 1) == 1
    assert set(at_harness.states().values()) == {"confirmed"}


@pytest.mark.slow
def test_what_a_sync_between_two_polls_has_seen_of_a_settled_order_is_still_reconciled(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    unit = at_harness.comes_back(sold, grade="sellable")
    at_harness.settle()
    at_harness.reconcile()
    assert at_harness.rows("select order_number from reconciliation.settled_orders") == [(str(sold.number),)]
    at_harness.clock.advance_to(NOW + MINUTE)
    at_harness.change_refund(unit, item_subtotal="70.00", total_refunded="90.00")
    at_harness.event_sync()
    # The hourly sync finds nothing that is new to its matching.
    at_harness.clock.advance_to(NOW + 60 * MINUTE)
    at_harness.sync()
    at_harness.reconcile()
    assert at_harness.rows(
        "select happy_returns_amount, culprit from reconciliation.refund_match where component = 'items'"
    ) == [(Decimal(70), "happy_returns")]


@pytest.mark.slow
def test_many_small_syncs_between_two_polls_send_no_more_than_one_run_may(at_harness: Harness) -> None:
    at_harness.with_policy(caps={"money_per_run": {"EUR": Decimal(150)}})
    orders = [at_harness.sell(("DRESS-S", 1, "100.00")) for _ in range(3)]
    first_sync(at_harness)
    at_harness.comes_back(orders[0])
    assert at_harness.event_sync().confirmed["credit_note"] == 1
    at_harness.clock.advance_to(NOW + 2 * MINUTE)
    at_harness.comes_back(orders[1])
    assert at_harness.event_sync().breached == ["caps.money_per_run.EUR: 200.00 EUR of credit_note, 150.00 EUR allowed"]
    # The hourly sync is a run of its own.
    at_harness.clock.advance_to(NOW + 60 * MINUTE)
    assert at_harness.sync().confirmed["credit_note"] == 1


@pytest.mark.slow
def test_a_packet_in_doubt_is_settled_by_the_next_sync_that_follows_events(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    first_sync(at_harness)
    at_harness.comes_back(sold)
    at_harness.fault("error_after", "RefundReturn")
    at_harness.event_sync()
    at_harness.clock.advance_to(NOW + 2 * MINUTE)
    at_harness.event_sync()
    assert set(at_harness.states().values()) == {"confirmed"}
    assert at_harness.refunded(sold) == Decimal("100.00")
