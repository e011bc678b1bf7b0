from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hr_centra_pipeline.sandbox.centra.api import Grant
from hr_centra_pipeline.sandbox.server import RunningSandbox
from hr_centra_pipeline_tests.sandbox.centra.conftest import SHIPPED, ask, control, data, sell

LISTEN = """mutation { setEventListeners(input: [%s]) {
    eventListeners { integrationName objectType changeTypes } userErrors { message path } } }"""
ALL = ("Order", "Shipment", "Return", "StockChange", "PaymentHistoryEntry")
EVENTS = "{ events(limit: 100) { id objectType changeType objectReference createdAt } }"


@pytest.fixture
def queue(sandbox: RunningSandbox) -> RunningSandbox:
    """Switched on, and listening to everything."""
    control(sandbox, "settings", {"event_queue": True})
    answer = data(sandbox, LISTEN % " ".join("{objectType: %s}" % name for name in ALL))["setEventListeners"]
    assert len(answer["eventListeners"]) == len(ALL)
    return sandbox


def events(sandbox: RunningSandbox, token: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(sandbox, EVENTS, token=token).json()["data"]["events"]
    return found


def test_until_it_is_switched_on_nobody_can_listen_and_nothing_is_kept(sandbox: RunningSandbox) -> None:
    answer = data(sandbox, LISTEN % "{objectType: Order}")["setEventListeners"]
    assert answer["userErrors"] == [{"message": "Events are not enabled for this store", "path": ["input"]}]
    sell(sandbox.store)
    assert events(sandbox) == []
    assert data(sandbox, "{ eventListeners { objectType } }")["eventListeners"] == []


def test_every_kind_of_change_is_kept_with_its_time(queue: RunningSandbox) -> None:
    sale = sell(queue.store)
    returned = queue.store.person_create_return(sale.shipment, {sale.dresses: 1}, at=SHIPPED + timedelta(days=3))
    queue.store.person_refund_return(returned, at=SHIPPED + timedelta(days=4))
    shown = [(one["objectType"], one["changeType"]) for one in events(queue)]
    assert set(shown) == {
        ("Order", "CREATED"), ("Order", "UPDATED"), ("Order", "DEPENDENT_DATA_CHANGED"), ("Shipment", "CREATED"),
        ("Shipment", "COMPLETED"), ("StockChange", "CREATED"), ("PaymentHistoryEntry", "CREATED"),
        ("Return", "CREATED"), ("Return", "COMPLETED"),
    }  # fmt: skip
    made = next(one for one in events(queue) if one["objectType"] == "Return")
    assert (made["objectReference"], made["createdAt"]) == (returned, "2026-09-05T12:00:00+02:00")
    order = next(one for one in events(queue) if one["objectType"] == "Order")
    assert order["objectReference"] == sale.number


def test_a_deleted_object_is_gone_from_its_event(queue: RunningSandbox) -> None:
    sale = sell(queue.store)
    returned = queue.store.person_create_return(sale.shipment, {sale.dresses: 1}, at=SHIPPED)
    queue.store.person_delete_return(returned, at=SHIPPED)
    look = "{ events(where: {objectType: [Return]}) { changeType object { ... on DirectToConsumerReturn { id } } } }"
    shown = data(queue, look)["events"]
    assert [(one["changeType"], one["object"]) for one in shown] == [("CREATED", None), ("DELETED", None)]


def test_one_integration_name_is_one_queue_and_another_name_another(queue: RunningSandbox) -> None:
    same = queue.sandbox.api.new_token()
    other = control(queue, "tokens", {"integration_name": "erp"})["token"]
    ask(queue, LISTEN % "{objectType: Return, changeTypes: [CREATED]}", token=other)
    sale = sell(queue.store)
    queue.store.person_create_return(sale.shipment, {sale.dresses: 1}, at=SHIPPED)
    assert events(queue) == events(queue, same)
    (own,) = events(queue, other)
    confirm = "mutation { confirmEvents(input: {eventsIds: [%d]}) { events { id } userErrors { message } } }"
    ours = events(queue)
    assert own["id"] not in {one["id"] for one in ours}
    refused = ask(queue, confirm % ours[0]["id"], token=other).json()["data"]["confirmEvents"]
    assert refused["userErrors"] == [{"message": "Event not found"}]
    ask(queue, confirm % ours[0]["id"], token=same)
    assert events(queue) == ours[1:]


def test_another_program_with_our_name_swallows_our_events(queue: RunningSandbox) -> None:
    sell(queue.store)
    ours = events(queue)
    swallowed = control(queue, "consume", {"events": 3})["confirmed"]
    assert swallowed == [one["id"] for one in ours[:3]]
    assert events(queue) == ours[3:]


def test_a_listener_is_changed_and_taken_away(queue: RunningSandbox) -> None:
    data(queue, LISTEN % "{objectType: Order, changeTypes: [CREATED]}")
    listeners = "{ eventListeners { integrationName objectType changeTypes } }"
    shown = {one["objectType"]: one["changeTypes"] for one in data(queue, listeners)["eventListeners"]}
    assert shown["Order"] == ["CREATED"]
    data(queue, "mutation { unsetEventListeners(input: [{objectType: Order}]) { eventListeners { objectType } } }")
    sell(queue.store)
    assert "Order" not in {one["objectType"] for one in events(queue)}


def test_the_queue_asks_for_permissions_of_its_own(queue: RunningSandbox) -> None:
    reader = queue.sandbox.api.new_token(Grant(frozenset({"Event:read"})))
    assert "errors" not in ask(queue, "{ events { id } }", token=reader).json()
    refused = ask(queue, LISTEN % "{objectType: Order}", token=reader).json()["errors"]
    assert refused[0]["message"] == "Missing permission Event:write"
    nobody = queue.sandbox.api.new_token(Grant(frozenset()))
    assert (
        ask(queue, "{ events { id } }", token=nobody).json()["errors"][0]["message"] == "Missing permission Event:read"
    )
