"""Centra's webhook: what the inbox kept becomes hints, whatever is in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import pytest

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.inbox.inbox_store import Inbox, Received
from hr_centra_pipeline.sources.centra import hints
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.sources.centra.conftest import NOW, Rows

UTC_ZONE = ZoneInfo("UTC")


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox.open(str(tmp_path / "inbox.sqlite"))


def body(*events: object) -> bytes:
    """As Centra's plugin posts it."""
    return urlencode({"payload": json.dumps({"events": list(events)})}).encode()


def event(
    of: str, object_id: object, *, action: str = "update", date: str = "2026-09-30 11:59:30.628033"
) -> dict[str, object]:
    return {"type": of, "action": action, "date": date, "id": object_id}


def keep(inbox: Inbox, *bodies: bytes) -> list[str]:
    return inbox.keep([Received("centra", "main", NOW, {}, one) for one in bodies])


def test_a_delivery_lands_as_hints_and_is_marked(
    inbox: Inbox, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    (delivery_id,) = keep(
        inbox, body(event("order", 1001, action="create"), event("return", 315), event("customer", 7))
    )
    report = hints.take(inbox, warehouse, policy, NOW)
    assert (report.deliveries, report.events, report.landed, report.ignored, report.rejected) == (1, 3, 3, 1, 0)
    assert inbox.waiting().count == 0
    assert rows("select source_id, place, object_type, object_id, change, happened_at, note from landing.centra_hints") == [
        (delivery_id, 1, "order", 1001, "create", datetime(2026, 9, 30, 11, 59, 30, 628033, UTC), None),
        (delivery_id, 2, "return", 315, "update", datetime(2026, 9, 30, 11, 59, 30, 628033, UTC), None),
        (delivery_id, 3, "customer", 7, "update", datetime(2026, 9, 30, 11, 59, 30, 628033, UTC),
         "customer: nothing is read because of it"),
    ]  # fmt: skip


def test_what_came_back_is_pulled_again_and_not_landed_again(
    inbox: Inbox, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    ids = keep(inbox, body(event("order", 1001), event("nonsense", "x")))
    hints.take(inbox, warehouse, policy, NOW)
    with warehouse.transaction() as connection:
        found = hints.named(connection)
        hints.mark_pulled(connection, hints.ORDER, found.of(hints.ORDER), found.batch, NOW)
        assert hints.named(connection).of(hints.ORDER) == ()
    inbox.mark_waiting(ids)  # a crash before they were marked; or a person replays them
    report = hints.take(inbox, warehouse, policy, NOW)
    assert (report.landed, report.repeated, report.rejected) == (0, 1, 1)
    assert rows("select count(*), count(pulled_at) from landing.centra_hints") == [(1, 0)]
    assert rows("select count(*) from quarantine.rejected_rows") == [(1,)]


def test_an_object_is_named_once_however_often_it_was_announced(
    inbox: Inbox, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    keep(inbox, body(*[event("order", 1001)] * 3), body(event("order", 1001), event("shipment", 5)))
    hints.take(inbox, warehouse, policy, NOW)
    with warehouse.transaction() as connection:
        found = hints.named(connection)
        assert found.ids == {"order": [1001], "shipment": [5]}
        hints.mark_pulled(connection, hints.ORDER, [1001], found.batch, NOW)
    keep(inbox, body(event("order", 1001)))
    hints.take(inbox, warehouse, policy, NOW)
    with warehouse.transaction() as connection:
        assert hints.named(connection).of(hints.ORDER) == [1001]
    assert rows("select count(*) from landing.centra_hints where object_type = 'order' and pulled_at is null") == [(1,)]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (b"\xff\xfe", "is not a form"),
        (b"&".join(b"a=b" for _ in range(50)), "is not a form"),
        (b"", "no form fields payload"),
        (b"payload=1&payload=2", "2 form fields payload"),
        (b"payload=%7B", "not valid JSON"),
        (b"payload=" + b"[" * 100_000, "not valid JSON"),
        (b"payload=" + quote('{"events": 5}').encode(), "no list of events"),
        (b"payload=%5B%5D", "no list of events"),
        (body(5), "is not an object"),
        (body(event("order", 0)), "id is not the number of an object"),
        (body(event("order", True)), "id is not the number of an object"),
        (body(event("order", "12x")), "id is not the number of an object"),
        (body(event("order", 10**30)), "id is not the number of an object"),
        (body(event("", 1)), "type is not a word"),
        (body({**event("order", 1), "action": {}}), "action is not a word"),
        (body(event("\ud800", 1)), "type is not a word"),
        (body(event("order", 1, action="\ud800")), "action is not a word"),
    ],
)
def test_what_cannot_be_read_is_set_aside_by_name(
    inbox: Inbox, warehouse: Warehouse, policy: Policy, rows: Rows, given: bytes, reason: str
) -> None:
    (delivery_id,) = keep(inbox, given)
    report = hints.take(inbox, warehouse, policy, NOW)
    assert (report.landed, report.rejected) == (0, 1)
    ((source, said, kind),) = rows("select source_file, reason, kind from quarantine.rejected_rows")
    assert (source, kind) == (f"centra event {delivery_id}", "centra_hints")
    assert reason in said
    assert inbox.waiting().count == 0


def test_a_bad_event_does_not_take_the_others_along() -> None:
    found, refused = hints.read(body(event("order", 1), "?", event("order", "2"), event("return", -3)), UTC_ZONE)
    assert [hint.object_id for hint in found] == [1, 2]
    assert [row[0] for row in refused] == [2, 4]


def test_no_more_events_of_one_delivery_are_read_than_it_may_have() -> None:
    found, refused = hints.read(body(*[event("order", 1)] * 10_001), UTC_ZONE)
    assert len(found) == 10_000
    assert [row[2] for row in refused] == ["it has 10,001 events: those beyond 10,000 are not read"]


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-09-30 14:00:00.5", "Europe/Stockholm", NOW + timedelta(milliseconds=500)),
        ("2026-09-30T14:00:00+02:00", "America/New_York", NOW),
        ("yesterday", "UTC", None),
        (17, "UTC", None),
        ("0001-01-01 00:00:00", "Asia/Tokyo", None),
    ],
)
def test_dates_without_an_offset_are_read_in_the_shops_zone(text: object, zone: str, expected: datetime | None) -> None:
    assert hints.instant_of(text, ZoneInfo(zone)) == expected


def test_a_delivery_that_spoils_a_transaction_is_set_aside_and_the_others_land(
    inbox: Inbox, warehouse: Warehouse, policy: Policy, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = hints.read

    def chokes(given: bytes, zone: ZoneInfo) -> object:
        if given == b"odd":
            raise ZeroDivisionError("too odd")
        return real(given, zone)

    monkeypatch.setattr(hints, "read", chokes)
    ids = keep(inbox, body(event("order", 1)), b"odd", body(event("order", 2)))
    report = hints.take(inbox, warehouse, policy, NOW)
    assert (report.deliveries, report.events, report.landed, report.rejected) == (3, 3, 2, 1)
    assert rows("select source_file, reason from quarantine.rejected_rows") == [
        (f"centra event {ids[1]}", "cannot be landed: too odd")
    ]
    assert inbox.waiting().count == 0


def test_what_arrives_while_deliveries_are_landed_is_left_to_the_next_run(
    inbox: Inbox, warehouse: Warehouse, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = inbox.mark_landed

    def more_comes(ids: list[str]) -> None:
        marks(ids)
        keep(inbox, body(event("order", 2)))

    keep(inbox, body(event("order", 1)))
    monkeypatch.setattr(inbox, "mark_landed", more_comes)
    assert hints.take(inbox, warehouse, policy, NOW).landed == 1
    assert inbox.waiting().count == 1


def test_a_payment_that_names_no_order_is_noted_and_not_said_to_be_pulled(
    inbox: Inbox, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    keep(inbox, body(event("payment", 9)))
    assert hints.take(inbox, warehouse, policy, NOW).ignored == 1
    assert rows("select note from landing.centra_hints") == [
        ("payment: it names no order, so that nothing is read because of it",)
    ]
