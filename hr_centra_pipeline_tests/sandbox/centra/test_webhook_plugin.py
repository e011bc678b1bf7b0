from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from hr_centra_pipeline.sandbox.centra.webhook_plugin import signature
from hr_centra_pipeline.sandbox.server import RunningSandbox
from hr_centra_pipeline_tests.sandbox.centra.conftest import SHIPPED, control, sell
from hr_centra_pipeline_tests.sandbox.inbox_stub import InboxStub, inbox_stub


@pytest.fixture
def inbox(sandbox: RunningSandbox) -> Iterator[InboxStub]:
    with inbox_stub() as stub:
        control(sandbox, "subscribe", {"vendor": "centra", "url": f"{stub.url}/centra/main", "secret": "test123"})
        yield stub


def drained(sandbox: RunningSandbox, inbox: InboxStub) -> list[dict[str, Any]]:
    """Every event that has arrived, in order."""
    assert control(sandbox, "drain", {})["due"] == {"centra": 0}
    return [event for arrived in inbox.got for event in payload(arrived.body)["events"]]


def payload(body: bytes) -> Any:
    form = parse_qs(body.decode(), strict_parsing=True)
    assert list(form) == ["payload"]
    return json.loads(form["payload"][0])


def test_the_documented_vector_comes_out() -> None:
    body = b"payload=%7B%22x%22%3A%22test%22%7D"
    assert signature("test123", 12345678, body) == (
        "t=12345678,v1=0b9cd84f5d583e5e1aadfb9f160aa8080b51d5b85ff85808d6b75bdac356c549"
    )


def test_orders_by_number_and_shipments_and_returns_by_id_are_pushed(sandbox: RunningSandbox, inbox: InboxStub) -> None:
    sale = sell(sandbox.store)
    returned = sandbox.store.person_create_return(sale.shipment, {sale.dresses: 1}, at=SHIPPED + timedelta(days=3))
    sandbox.store.person_refund_return(returned, at=SHIPPED + timedelta(days=4))
    sandbox.store.person_change_stock(sku="DRESS-S", quantity=1, into=1, comment="x", at=SHIPPED)
    told = drained(sandbox, inbox)
    shown = {(event["type"], event["action"], event["id"]) for event in told}
    assert shown == {
        ("order", "create", sale.number), ("order", "update", sale.number), ("shipment", "create", sale.shipment),
        ("shipment", "update", sale.shipment), ("return", "create", returned), ("return", "update", returned),
    }  # fmt: skip
    assert {tuple(event) for event in told} == {("type", "action", "date", "id")}
    created = next(event for event in told if event["type"] == "return")
    assert created["date"].startswith("2026-09-05 12:00:00.")  # of the shop, without an offset


def test_a_call_is_signed_over_its_time_and_its_raw_body(sandbox: RunningSandbox, inbox: InboxStub) -> None:
    sell(sandbox.store)
    drained(sandbox, inbox)
    (arrived, *_) = inbox.got
    assert arrived.path == "/centra/main"
    assert arrived.headers["Content-Type"] == "application/x-www-form-urlencoded"
    at, digest = (part.partition("=")[2] for part in arrived.headers["X-Centra-Signature"].split(","))
    assert digest == hmac.new(b"test123", f"{at}.".encode() + arrived.body, hashlib.sha256).hexdigest()
    assert datetime.fromtimestamp(int(at), UTC) == sandbox.clock.now()


def test_a_call_has_at_most_a_hundred_events(sandbox: RunningSandbox, inbox: InboxStub) -> None:
    with sandbox.store.write():
        sale = sell(sandbox.store)
        for number in range(230):
            sandbox.store.set_order(sale.number, {"other_comment": str(number)})
    told = drained(sandbox, inbox)
    sizes = [len(payload(arrived.body)["events"]) for arrived in inbox.got]
    assert len(told) == sum(sizes) > 230
    assert max(sizes) == 100
    assert len(sizes) >= 3


def test_what_is_not_taken_is_dropped_and_retried_three_times_at_most(
    sandbox: RunningSandbox, inbox: InboxStub
) -> None:
    inbox.statuses = [500]
    sell(sandbox.store)
    drained(sandbox, inbox)
    rows = control(sandbox, "deliveries?vendor=centra")
    assert rows[0]["state"] == "refused"
    assert control(sandbox, "webhooks", {"vendor": "centra", "retries": 9, "retry_seconds": [0]})["retries"] == 9
    inbox.got.clear()
    inbox.statuses = [500] * 9
    with sandbox.store.write():
        sell(sandbox.store)
    drained(sandbox, inbox)
    assert len(inbox.got) == 4
    assert len({arrived.body for arrived in inbox.got}) == 1


def test_only_what_is_ticked_in_the_plugin_is_pushed_and_nothing_of_before(
    sandbox: RunningSandbox, inbox: InboxStub
) -> None:
    control(sandbox, "webhooks", {"vendor": "centra", "types": ["return"]})
    sale = sell(sandbox.store)
    assert drained(sandbox, inbox) == []
    returned = sandbox.store.person_create_return(sale.shipment, {sale.dresses: 1}, at=SHIPPED)
    assert [event["id"] for event in drained(sandbox, inbox)] == [returned]
    control(sandbox, "unsubscribe", {"vendor": "centra"})
    sandbox.store.person_complete_return(returned, at=SHIPPED)
    assert sandbox.store.rows("select * from plugin_events") == []


def test_a_clock_that_is_off_shows_in_the_signature_and_a_bad_one_does_not_verify(
    sandbox: RunningSandbox, inbox: InboxStub
) -> None:
    control(sandbox, "webhooks", {"vendor": "centra", "clock_off_seconds": -3600, "bad_signatures": 1})
    sell(sandbox.store)
    drained(sandbox, inbox)
    at, digest = (part.partition("=")[2] for part in inbox.got[0].headers["X-Centra-Signature"].split(","))
    assert int(at) == int(sandbox.clock.now().timestamp()) - 3600
    assert digest != hmac.new(b"test123", f"{at}.".encode() + inbox.got[0].body, hashlib.sha256).hexdigest()


def test_the_clock_stands_still_while_something_is_on_its_way(sandbox: RunningSandbox, inbox: InboxStub) -> None:
    inbox.now = sandbox.clock.now
    sale = sell(sandbox.store)
    for hour in range(60):
        sandbox.store.set_order(sale.number, {"other_comment": str(hour)})
        sandbox.clock.advance_to(SHIPPED + timedelta(hours=hour))
    drained(sandbox, inbox)
    signed = [arrived.headers["X-Centra-Signature"].split(",")[0].removeprefix("t=") for arrived in inbox.got]
    assert [str(int(arrived.at.timestamp())) for arrived in inbox.got if arrived.at] == signed
