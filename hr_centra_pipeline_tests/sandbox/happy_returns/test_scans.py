from __future__ import annotations

import csv
from datetime import timedelta

import pytest
import requests

from hr_centra_pipeline_tests.sandbox.happy_returns.conftest import NOW, Place


@pytest.fixture
def shop(place: Place) -> Place:
    place.subscribe(topics=["return.asn", "return.label.update"])
    place.live()
    return place


def exported(place: Place, kind: str) -> list[dict[str, str]]:
    found = []
    for file in sorted((place.shop.home / "exports").glob(f"{kind}-2*.csv")):
        found += list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    return found


def test_a_scan_starts_drops_off_and_approves_a_return_at_this_moment(shop: Place) -> None:
    planted = shop.control("scan", {"units": 2})
    assert planted["at"] == NOW.isoformat()
    assert len(planted["units"]) == 2
    shop.live(seconds=60)
    (body,) = [arrived.json for arrived in shop.inbox.got if "items" in arrived.json]
    assert shop.inbox.events() == ["approved < dropped-off < return-bar < started"]
    assert {item["happyReturnsReturnID"] for item in body["items"]} == {planted["return_id"]}
    assert {item["happyReturnsItemID"] for item in body["items"]} == {unit["item_id"] for unit in planted["units"]}
    assert {item["orderNumber"] for item in body["items"]} == {planted["order_number"]}
    order = shop.running.store.order(int(planted["order_number"]))
    assert order["status"] == "SHIPPED"


def test_a_scanned_return_goes_on_like_any_other_and_the_files_report_it(shop: Place) -> None:
    planted = shop.control("scan", {})
    assert exported(shop, "items") == []
    shop.live(hours=1)
    (first,) = [row for row in exported(shop, "returns") if row["return_id"] == planted["return_id"]]
    assert first["refund_status"] == "approved"
    shop.live(days=11)
    rows = [row for row in exported(shop, "items") if row["item_id"] == planted["units"][0]["item_id"]]
    assert rows[-1]["disposition"] == "sellable"
    assert rows[-1]["refunded_at"]
    assert rows[-1]["hub_received_at"]


def test_of_several_units_some_may_never_be_dropped_off(shop: Place) -> None:
    planted = shop.control("scan", {"units": 3, "first": 1})
    assert [unit["is_dropped_off"] for unit in planted["units"]] == [True, False, False]
    shop.live(hours=2)
    body = next(arrived.json for arrived in shop.inbox.got if "items" in arrived.json)
    assert [bool(item.get("approvedAt")) for item in body["items"]] == [True, False, False]


def test_many_scans_take_the_orders_that_were_sold_for_them(shop: Place) -> None:
    sold = shop.control("sell", {"orders": 5})["orders"]
    planted = shop.control("scan", {"count": 5})["returns"]
    assert [int(one["order_number"]) for one in planted] == sold
    assert len({one["return_id"] for one in planted}) == len({one["units"][0]["item_id"] for one in planted}) == 5
    more = shop.control("scan", {})
    assert int(more["order_number"]) not in sold


@pytest.mark.parametrize(
    ("method", "events"),
    [
        ("mail", ["dropped-off < mail < started", "approved"]),
        ("mail-shopper-provided", ["started < mail-shopper-provided", "dropped-off", "approved"]),
        ("returnless", ["approved < returnless < started"]),
    ],
)
def test_other_methods_go_their_own_way(shop: Place, method: str, events: list[str]) -> None:
    shop.control("scan", {"method": method})
    shop.live(days=10)
    assert shop.inbox.events() == events


def test_what_cannot_be_planted_is_refused_by_name(shop: Place) -> None:
    for given, message in (({"methode": "mail"}, "no such argument: methode"), ({"method": "drone"}, "method must be")):
        answer = requests.post(f"{shop.running.control_url}/scan", json=given, timeout=5)
        assert answer.status_code == 400
        assert message in answer.text


def test_a_home_without_a_shop_says_so(place: Place) -> None:
    for name, given in (("scan", {}), ("sell", {}), ("live", {"seconds": 1}), ("advance", {})):
        answer = requests.post(f"{place.running.control_url}/{name}", json=given, timeout=5)
        assert answer.status_code == 400
        assert "there is no shop in this home" in answer.text


def test_seconds_that_pass_are_exported_when_their_hour_is_over(shop: Place) -> None:
    shop.control("scan", {})
    shop.live(minutes=59, seconds=59)
    assert exported(shop, "returns") == []
    shop.live(seconds=1)
    assert len(exported(shop, "returns")) == 1
    assert shop.running.clock.now() == NOW + timedelta(hours=1)
    shop.control("advance", {"hours": 0.5})
    assert shop.running.clock.now() == NOW + timedelta(hours=1.5)
    shop.control("advance", {"hours": 1})
    assert shop.running.clock.now() == NOW + timedelta(hours=2.5)
