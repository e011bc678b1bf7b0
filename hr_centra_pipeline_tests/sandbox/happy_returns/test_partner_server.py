from __future__ import annotations

import json
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from hr_centra_pipeline.sandbox.happy_returns.leaky_bucket import LeakyBucket
from hr_centra_pipeline_tests.sandbox.happy_returns.conftest import NOW, Place

SHOP = {"happyReturnsRetailerID": "demo-shop"}


@pytest.fixture
def shop(place: Place) -> Place:
    """Without a limit, with a return of two units and another one of the same order, and one by another customer."""
    place.control("webhooks", {"bucket_size": 1000, "blanks": "empty"})
    order = place.order(units=3)
    for pieces in (order.units[:2], order.units[2:]):
        story = place.story(order)
        story.pieces = [place.workshop.piece(unit) for unit in pieces]
        story.start()
        story.receive(NOW + timedelta(hours=1), story.pieces, approved=True)
        story.travel(NOW + timedelta(hours=1), story.pieces, NOW + timedelta(days=5))
    other = place.story(place.order())
    other.hash_mark = True
    other.start()
    place.live(hours=2)
    return place


def units(answer: requests.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_a_key_is_checked(shop: Place) -> None:
    assert shop.partner("GET", "webhooks").status_code == 200
    assert shop.partner("GET", "webhooks", key=None).status_code == 401
    assert shop.partner("GET", "webhooks", key="wrong").status_code == 403
    assert shop.partner("POST", "return", key="wrong", **SHOP, orderNumber="1001").status_code == 403


def test_returns_of_one_order_come_mixed_with_one_entry_per_unit_as_they_are_now(shop: Place) -> None:
    found = units(shop.partner("POST", "return", **SHOP, orderNumber="1001"))
    assert len({unit["happyReturnsItemID"] for unit in found}) == 3
    assert len({unit["happyReturnsReturnID"] for unit in found}) == 2
    assert {unit["status"] for unit in found} == {"approved"}
    assert all(unit["approvedAt"] and unit["returnBagBarcode"] for unit in found)


@pytest.mark.parametrize("name", ["email", "happyReturnsExpressCode"])
def test_returns_are_found_by_each_criterion(shop: Place, name: str) -> None:
    one = units(shop.partner("POST", "return", **SHOP, orderNumber="1001"))[0]
    found = units(shop.partner("POST", "return", **SHOP, **{name: one[name]}))
    assert one in found
    assert {unit[name] for unit in found} == {one[name]}


def test_more_or_less_than_one_criterion_is_refused(shop: Place) -> None:
    for given in ({}, {"orderNumber": "1001", "email": "a@b.c"}):
        answer = shop.partner("POST", "return", **SHOP, **given)
        assert answer.status_code == 400
        assert "exactly one" in answer.json()["ErrorMessage"]
    assert shop.partner("POST", "return", orderNumber="1001").status_code == 400


def test_nothing_found_is_204_without_a_body(shop: Place) -> None:
    answer = shop.partner("POST", "return", **SHOP, orderNumber="4711")
    assert (answer.status_code, answer.content) == (204, b"")
    assert shop.partner("POST", "return", happyReturnsRetailerID="other", orderNumber="1001").status_code == 204


def test_an_order_number_is_found_only_as_it_is_known(shop: Place) -> None:
    assert shop.partner("POST", "return", **SHOP, orderNumber="1002").status_code == 204
    assert len(units(shop.partner("POST", "return", **SHOP, orderNumber="#1002"))) == 1
    shop.control("webhooks", {"matches_any_hash": True})
    assert len(units(shop.partner("POST", "return", **SHOP, orderNumber="1002"))) == 1


@pytest.mark.parametrize(("key", "last", "shown"), [("cursor", "absent", ()), ("nextCursor", "null", (None,))])
def test_pages_follow_a_cursor(shop: Place, key: str, last: str, shown: tuple[None, ...]) -> None:
    shop.control("webhooks", {"page_items": 2, "cursor_key": key, "last_cursor": last})
    first = shop.partner("POST", "return", **SHOP, orderNumber="1001")
    second = shop.partner("POST", "return", **SHOP, orderNumber="1001", cursor=first.json()[key])
    ids = [unit["happyReturnsItemID"] for unit in units(first) + units(second)]
    assert len(set(ids)) == 3
    assert tuple(value for name, value in second.json().items() if name == key) == shown
    assert shop.partner("POST", "return", **SHOP, orderNumber="1001", cursor="noise").status_code == 400


def test_outbound_shipments_are_listed_for_a_window_and_by_default_for_the_last_day(shop: Place) -> None:
    assert shop.partner("GET", "outbound-shipments", retailerID="demo-shop").json() == {"shipments": []}
    shop.live(days=3)
    (shipment,) = shop.partner("GET", "outbound-shipments", retailerID="demo-shop").json()["shipments"]
    assert (shipment["itemCount"], shipment["returnCount"]) == (3, 2)
    shop.live(days=3)
    assert shop.partner("GET", "outbound-shipments", retailerID="demo-shop").json() == {"shipments": []}
    window = {"startDateTime": "2026-09-30", "endDateTime": "2026-10-09T00:00:00Z"}
    listed = shop.partner("GET", "outbound-shipments", retailerID="demo-shop", **window).json()["shipments"]
    assert listed == [shipment]
    path = f"outbound-shipment/{shipment['shipmentID']}"
    whole = shop.partner("GET", path).json()
    assert len(whole["items"]) == 3
    assert whole["page"] == {"hasNextPage": False, "endCursor": None}
    first = shop.partner("GET", path, "", **{"page[size]": "2"}).json()
    rest = shop.partner("GET", path, "", **{"page[size]": "2", "page[after]": first["page"]["endCursor"]}).json()
    assert first["items"] + rest["items"] == whole["items"]
    assert shop.partner("GET", path, "", **{"page[size]": "1001"}).status_code == 400
    assert shop.partner("GET", "outbound-shipment/OUT-1").status_code == 404


def test_a_full_bucket_says_in_its_body_how_long_to_wait(place: Place) -> None:
    place.control("webhooks", {"bucket_size": 1, "requests_a_second": 0.0005})
    passed, limited = (place.partner("POST", "return", **SHOP, orderNumber="1") for _ in range(2))
    assert (passed.status_code, limited.status_code) == (204, 429)
    assert "Retry-After" not in limited.headers
    message, _, wait = limited.json()["ErrorMessage"].rpartition(" ")
    assert message == "too many requests: limit 0.000500 requests/sec, leaky bucket size"
    assert 1 < float(wait) <= 2  # two thousand seconds, a thousand times as fast
    assert place.partner("GET", "webhooks").status_code == 200


def test_the_bucket_leaks_at_half_a_request_a_second_and_names_whole_seconds() -> None:
    now = [0.0]
    bucket = LeakyBucket(clock=lambda: now[0])
    assert bucket.take(0.5, 2) == bucket.take(0.5, 2) == 0
    assert bucket.take(0.5, 2) == 2
    now[0] = 1.5
    assert bucket.take(0.5, 2) == 1
    now[0] = 2
    assert bucket.take(0.5, 2) == 0


@pytest.mark.parametrize(
    ("kind", "target", "status", "starts"),
    [
        ("empty_body", "POST /return", 200, b""),
        ("wrong_content_type", "POST /return", 200, b"<html>"),
        ("truncated", "POST /return", 200, b'{"items"'),
        ("error_before", "GET /webhooks", 500, b"{"),
        ("rate_limited", "GET /outbound-shipment", 429, b'{"ErrorMessage": "too many requests: limit 0.500000'),
    ],
)
def test_odd_answers_can_be_had(shop: Place, kind: str, target: str, status: int, starts: bytes) -> None:
    shop.control("faults", {"kind": kind, "target": target})
    method, path = target.split(" /")
    given = {"POST /return": {**SHOP, "orderNumber": "1001"}}.get(target, {})
    answer = shop.partner(method, f"{path}/x" if path == "outbound-shipment" else path, **given)
    assert answer.status_code == status
    assert answer.content.startswith(starts)
    if kind == "truncated":
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            answer.json()
    assert shop.control("faults") == []
    assert shop.control("log")[-1]["fault"] == kind


@pytest.mark.parametrize("kind", ["dropped_before", "dropped_after"])
def test_a_connection_can_be_cut(shop: Place, kind: str) -> None:
    shop.control("faults", {"kind": kind, "target": "POST /return"})
    with pytest.raises(requests.ConnectionError):
        shop.partner("POST", "return", **SHOP, orderNumber="1001")
    assert shop.partner("POST", "return", **SHOP, orderNumber="1001").status_code == 200


def test_nothing_found_may_come_with_a_body_all_the_same(shop: Place) -> None:
    shop.control("faults", {"kind": "no_content_with_body", "target": "GET /webhooks"})
    port = int(shop.running.control_url.rsplit(":", 1)[1].split("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"GET /happy-returns/webhooks HTTP/1.1\r\nHost: x\r\n\r\n")
        text = b""
        while part := connection.recv(4096):
            text += part
    assert text.startswith(b"HTTP/1.1 204")
    assert text.endswith(b'{"items":[]}')


def test_words_that_no_document_lists_can_be_had(shop: Place) -> None:
    shop.control("faults", {"kind": "unknown_enum", "target": "POST /return"})
    body = shop.partner("POST", "return", **SHOP, orderNumber="1001").json()
    assert (body["items"][0]["status"], body["items"][0]["dropoffMethod"]) == ("under-review", "locker")
    assert {unit["status"] for unit in body["items"][1:]} == {"approved"}


def test_the_addresses_and_keys_are_in_the_note_and_stay_the_same(place: Place, tmp_path: Path) -> None:
    note = json.loads((tmp_path / "sandbox.json").read_text())
    environment = place.running.event_environment()
    assert note["happy_returns_api_url"] == environment["HAPPY_RETURNS_API_URL"] == place.running.partner_api_url
    assert note["happy_returns_api_key"] == environment["HAPPY_RETURNS_API_KEY"]
    assert note["happy_returns_webhook_secret"] == environment["HAPPY_RETURNS_WEBHOOK_SECRET"]
    assert note["centra_webhook_secret"] == environment["CENTRA_WEBHOOK_SECRET"]
    assert (note["happy_returns_retailer_id"], note["happy_returns_subscribed"]) == ("demo-shop", False)
    place.subscribe()
    again = json.loads((tmp_path / "sandbox.json").read_text())
    assert again["happy_returns_subscribed"]
    assert again["happy_returns_webhook_secret"] == "s3"
    assert again["happy_returns_api_key"] == note["happy_returns_api_key"]
