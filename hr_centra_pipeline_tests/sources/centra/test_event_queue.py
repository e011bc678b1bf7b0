"""Centra's event queue: landed first, confirmed afterwards, and shared by all tokens of our integration name."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sources.centra import event_queue
from hr_centra_pipeline.sources.centra.centra_calls import EVENT_CHANGES, EVENT_TYPES
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.sources.centra.conftest import NOW, Rows, Shop

DAY = timedelta(days=1)


def switch(shop: Shop, *, is_on: bool) -> None:
    """As Centra does it, for a shop that asks."""
    shop.store.settings = replace(shop.store.settings, event_queue=is_on)


@pytest.fixture(autouse=True)
def _switched_on(shop: Shop) -> None:
    switch(shop, is_on=True)


@pytest.fixture
def policy(policy: Policy) -> Policy:
    return policy.model_copy(update={"events": policy.events.model_copy(update={"centra_queue": True})})


def test_nothing_is_asked_while_the_policy_has_not_switched_it_on(
    shop: Shop, warehouse: Warehouse, policy: Policy
) -> None:
    off = policy.model_copy(update={"events": policy.events.model_copy(update={"centra_queue": False})})
    assert event_queue.take(shop.client, warehouse, off, NOW).events == 0
    assert shop.asked() == []


def test_listeners_are_set_once_and_events_land_and_are_confirmed(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    assert event_queue.take(shop.client, warehouse, policy, NOW).landed == 0
    assert rows("select object_type from landing.centra_listeners") == [(one,) for one in EVENT_TYPES]
    number = shop.add_order(at=NOW - DAY)
    shipment, lines = shop.shipment_of(number)
    made = shop.store.person_create_return(shipment, {lines[0]: 1}, at=NOW)
    shop.store.person_refund_return(made, at=NOW)
    report = event_queue.take(shop.client, warehouse, policy, NOW)
    assert report.problems == []
    assert report.landed == report.events > 0
    found = rows("select object_type, object_id, order_number from landing.centra_hints")
    assert {("order", number), ("shipment", shipment), ("return", made)} <= {(of, one) for of, one, _ in found}
    assert {order for of, _, order in found if of == "payment"} <= {str(number)}
    assert event_queue.take(shop.client, warehouse, policy, NOW).events == 0
    assert shop.asked().count("SetEventListeners") == 1
    assert shop.asked().count("ReadEventListeners") == 1


def test_a_crash_before_they_are_confirmed_brings_them_again_and_lands_none_twice(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    event_queue.take(shop.client, warehouse, policy, NOW)
    shop.add_order(at=NOW - DAY)
    shop.fault(kind="error_before", target="ConfirmEvents", times=20)
    report = event_queue.take(shop.client, warehouse, policy, NOW)
    landed = report.landed
    assert landed
    assert report.problems
    for _ in range(30):
        report = event_queue.take(shop.client, warehouse, policy, NOW)
        assert report.landed == 0
        if not report.problems:
            break
    assert rows("select count(*), count(distinct source_id) from landing.centra_hints") == [(landed, landed)]
    assert event_queue.take(shop.client, warehouse, policy, NOW).events == 0


def test_listeners_that_are_there_lose_nothing(shop: Shop, warehouse: Warehouse, policy: Policy) -> None:
    shop.client.execute("SetEventListeners", {"input": [{"objectType": "Return", "changeTypes": ["CREATED"]}]})
    event_queue.take(shop.client, warehouse, policy, NOW)
    there = {one.object_type: set(one.changes) for one in event_queue.listeners(shop.client)}
    assert there == {one: set(EVENT_CHANGES) for one in EVENT_TYPES}


def test_a_centra_that_has_no_events_switched_on_is_a_warning(shop: Shop, warehouse: Warehouse, policy: Policy) -> None:
    switch(shop, is_on=False)
    report = event_queue.take(shop.client, warehouse, policy, NOW)
    assert (report.events, len(report.problems)) == (0, 1)
    assert "Events are not enabled" in report.problems[0]


def test_events_of_types_that_others_listen_to_stay_in_the_queue(
    shop: Shop, warehouse: Warehouse, policy: Policy
) -> None:
    event_queue.take(shop.client, warehouse, policy, NOW)
    mine = shop.store.settings.integration_name
    shop.store.insert("event_listeners", {"integration_name": mine, "object_type": "Customer", "change_types": ""})
    shop.store.happened("Customer", "UPDATED", 1)
    shop.store.happened("Order", "UPDATED", 17)
    assert event_queue.take(shop.client, warehouse, policy, NOW).events == 1
    left = shop.store.rows("select object_type from events where not is_confirmed")
    assert [row["object_type"] for row in left] == ["Customer"]


def test_a_missing_permission_is_a_warning_and_nothing_stops(shop: Shop, warehouse: Warehouse, policy: Policy) -> None:
    client = shop.client_with("Order:read")
    report = event_queue.take(client, warehouse, policy, NOW)
    assert any("Event:read" in problem for problem in report.problems)


def test_a_large_queue_is_read_page_by_page(shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows) -> None:
    event_queue.take(shop.client, warehouse, policy, NOW)
    for number in range(450):
        shop.store.happened("Order", "UPDATED", number + 1)
    assert event_queue.take(shop.client, warehouse, policy, NOW).landed == 450
    assert shop.asked().count("ConfirmEvents") == 3
    assert rows("select min(object_id), max(object_id) from landing.centra_hints") == [(1, 450)]
