from __future__ import annotations

import hashlib
import hmac
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from hr_centra_pipeline.cli.sandbox import environment, event_environment, running, subscribed
from hr_centra_pipeline.sandbox.server import running_sandbox
from hr_centra_pipeline.sandbox.webhooks.outbox import Mishaps, Outbox
from hr_centra_pipeline_tests.sandbox.happy_returns.conftest import MINUTE, NOW, Place


def many(place: Place, returns: int = 20, **settings: Any) -> None:
    """Returns that start a minute after another, and are dropped off three hours later."""
    place.subscribe(**settings)
    for number in range(returns):
        story = place.story(place.order(), after=MINUTE * (1 + number))
        story.start()
        story.receive(story.created_at + timedelta(hours=3), story.pieces, approved=True)


def deliveries(place: Place) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = place.control("deliveries")
    return found


def hashes(place: Place) -> Counter[str]:
    return Counter(hashlib.sha256(arrived.body).hexdigest() for arrived in place.inbox.got)


def signed(body: bytes) -> str:
    return hmac.new(b"s3", body, "sha256").hexdigest()


def test_what_was_sent_is_listed_with_what_it_is_about_when_and_what_was_answered(place: Place) -> None:
    many(place, 1)
    place.inbox.statuses = [202, 500]
    place.live(hours=4)
    first, second = deliveries(place)
    assert (first["topic"], first["state"], first["status"], first["attempts"]) == ("return.asn", "sent", 202, 1)
    assert (second["state"], second["status"]) == ("refused", 500)
    assert first["about"]["type_id"] == "started"
    assert first["made_at"] == first["due_at"] == (NOW + 2 * MINUTE).isoformat()
    assert first["sent_at"] == (NOW + timedelta(hours=4)).isoformat()
    assert first["body_sha256"] == hashlib.sha256(place.inbox.got[0].body).hexdigest()
    assert requests.get(f"{place.running.control_url}/deliveries?after=1&bodies=1", timeout=5).json()[0]["body"] == (
        place.inbox.got[1].body.decode()
    )


def test_everything_that_is_due_after_a_jump_comes_in_the_order_of_its_time(place: Place) -> None:
    many(place)
    place.live(hours=12)
    assert [one.json["items"][0]["happyReturnsReturnID"] for one in place.inbox.got] == 2 * [
        f"RT-{number:06d}" for number in range(1, 21)
    ]


def test_in_steps_each_webhook_comes_at_its_minute(place: Place) -> None:
    many(place, 3)
    place.live()
    place.control("live", {"seconds": 600, "step": 30, "drain": True})
    late = [row["sent_at"] for row in deliveries(place) if row["state"] == "sent"]
    assert late == [(NOW + MINUTE * number).isoformat() for number in (2, 3, 4)]


def test_some_are_dropped_and_some_come_twice(place: Place) -> None:
    many(place, drops=0.3, duplicates=0.3)
    place.live(hours=12)
    by_fault = Counter(row["fault"] for row in deliveries(place))
    assert by_fault["dropped"] > 3
    assert by_fault["duplicated"] > 3
    assert {row["state"] for row in deliveries(place) if "dropped" in row["fault"]} == {"dropped"}
    assert sum(hashes(place).values()) == len([row for row in deliveries(place) if row["state"] == "sent"])
    assert set(hashes(place).values()) == {1, 2}


def test_some_change_places_with_the_next_one_about_the_same_return(place: Place) -> None:
    many(place, reorders=0.5)
    place.live(days=4)
    order: dict[str, list[str]] = {}
    for arrived in place.inbox.got:
        order.setdefault(arrived.json["items"][0]["happyReturnsReturnID"], []).append(arrived.json["typeID"])
    assert {tuple(types) for types in order.values()} == {("started", "approved"), ("approved", "started")}


def test_some_come_days_later(place: Place) -> None:
    many(place, delays=0.4, delay_seconds=[86_400, 200_000])
    place.live(hours=12)
    soon = len(place.inbox.got)
    place.live(days=3)
    assert 10 < soon < 35
    assert len(place.inbox.got) == 40


def test_some_signatures_are_bad_or_missing(place: Place) -> None:
    many(place, bad_signatures=0.3, missing_signatures=0.3)
    place.live(hours=12)
    shown = Counter(
        "missing" if (given := arrived.headers.get("X-Hr-Signature")) is None
        else "good" if given == signed(arrived.body) else "bad"
        for arrived in place.inbox.got
    )  # fmt: skip
    assert shown == Counter(row["signature"] for row in deliveries(place))
    assert min(shown.values()) > 3


def test_the_same_seed_hits_the_same_deliveries(tmp_path: Path) -> None:
    def hit(name: str, seed: int) -> list[tuple[str, str]]:
        outbox = Outbox.at(tmp_path / name)
        outbox.subscribe("http://127.0.0.1:9/", "s3", NOW)
        mishaps = Mishaps(seed=seed, drops=0.3, duplicates=0.3, delays=0.3)
        for number in range(30):
            outbox.put("return.asn", f"RT-{number}", {}, b"{}", NOW, NOW, mishaps)
        found = [(row["fault"], row["due_at"]) for row in outbox.deliveries()]
        outbox.close()
        return found

    assert hit("a", 5) == hit("b", 5)
    assert len(set(hit("c", 5))) > 10
    assert hit("d", 6) != hit("e", 5)


def test_what_is_refused_is_lost_unless_it_is_to_be_sent_again(place: Place) -> None:
    many(place, 1, retries=2, retry_seconds=[60, 600])
    place.inbox.statuses = [503, 503, 503]
    place.live(minutes=2)
    place.live(minutes=2)
    place.live(minutes=10)
    place.live(minutes=60)
    assert len(place.inbox.got) == 3
    assert len(hashes(place)) == 1
    (row,) = deliveries(place)
    assert (row["state"], row["attempts"], row["status"]) == ("refused", 3, 503)


def test_a_receiver_that_is_gone_costs_nothing_but_its_webhooks(place: Place) -> None:
    place.control("subscribe", {"url": "http://127.0.0.1:9/nobody", "topics": ["return.asn"], "method_changes": 0})
    place.story(place.order()).start()
    place.live(minutes=5)
    (row,) = deliveries(place)
    assert (row["state"], row["status"], row["problem"]) == ("refused", None, "ConnectionError")


def test_a_killed_sandbox_sends_what_it_has_not_sent(place: Place) -> None:
    many(place, 4)
    place.shop.write_down(place.workshop, NOW, seed=1)
    place.shop.live(3600)  # nobody sends meanwhile: time passes outside of the server
    place.running.sandbox.postman.close()
    sent = len(place.inbox.got)
    with running_sandbox(place.running.sandbox.home) as again:
        requests.post(f"{again.control_url}/drain", json={}, timeout=10)
        assert {row["state"] for row in again.sandbox.happy_returns.outbox.deliveries()} == {"sent"}
    assert len(hashes(place)) == 4
    assert 4 <= len(place.inbox.got) <= 5 + sent


def test_who_is_subscribed_can_be_seen_and_changed(place: Place) -> None:
    place.subscribe()
    (row,) = place.control("subscriptions")["happy_returns"]
    assert row["url"] == f"{place.inbox.url}/happy-returns/main"
    assert "secret" not in row
    assert place.partner("GET", "webhooks").json() == {"webhooks": [{"url": row["url"]}]}
    place.control("unsubscribe", {"url": row["url"]})
    assert place.control("subscriptions") == {"happy_returns": [], "centra": []}
    place.story(place.order()).start()
    place.live(minutes=5)
    assert place.inbox.got == []


def test_one_command_subscribes_an_inbox_to_both_vendors_and_the_environment_follows(place: Place) -> None:
    home = place.running.sandbox.home
    note = running(home)
    assert note is not None
    assert set(event_environment(note)).isdisjoint(environment(note))
    subscribed(note, place.inbox.url, "main", method_changes=0)
    urls = {vendor: rows[0]["url"] for vendor, rows in place.control("subscriptions").items()}
    assert urls == {
        "happy_returns": f"{place.inbox.url}/happy-returns/main",
        "centra": f"{place.inbox.url}/centra/main",
    }
    note = running(home)
    assert note is not None
    assert event_environment(note).items() <= environment(note).items()


def test_a_setting_that_there_is_not_is_refused_by_name(place: Place) -> None:
    answer = requests.post(f"{place.running.control_url}/webhooks", json={"dorps": 1}, timeout=5)
    assert answer.status_code == 400
    assert "no such setting: dorps" in answer.text
    answer = requests.post(f"{place.running.control_url}/webhooks", json={"vendor": "dhl"}, timeout=5)
    assert answer.status_code == 400


@pytest.mark.parametrize("speed", [600])
def test_time_can_pass_by_itself(place: Place, speed: int) -> None:
    many(place, 1)
    place.live()
    place.control("run", {"speed": speed})
    for _ in range(100):
        if place.inbox.got:
            break
        time.sleep(0.05)
    place.control("run", {"speed": 0})
    assert place.inbox.events()[:1] == ["started < return-bar"]
