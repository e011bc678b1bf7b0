"""A unit that several feeds write of is one unit: with or without ids, places and suffixes, whoever speaks first."""

from __future__ import annotations

from typing import Any

import pytest

from hr_centra_pipeline.inbox.inbox_store import Inbox
from hr_centra_pipeline_tests.sources.happy_returns.conftest import ITEM, NOW, Harness
from hr_centra_pipeline_tests.sources.happy_returns.events import UNIT, Events, status

Row = dict[str, Any]

APPROVED = "2026-09-21T08:00:00Z"
LATER = {"updated_at": "2026-09-24T08:00:00Z"}
SET_ASIDE = "may be a unit that another feed reports: "


@pytest.fixture
def events(harness: Harness) -> Events:
    return Events(harness, Inbox.open(str(harness.folder.parent / "inbox.sqlite")), harness.folder.parent)


def told(line: str | None = "77-0-2", item_id: str | None = None, **more: Any) -> Row:
    """A unit as an event reports it: by default without its id."""
    said = UNIT | {"orderLineItemID": line, "happyReturnsItemID": item_id, "approvedAt": APPROVED} | more
    return {name: value for name, value in said.items() if value is not None}


def filed(line: str = "77", item_id: str = "IT-1", **more: str) -> dict[str, str]:
    return ITEM | {"order_line_item_id": line, "item_id": item_id} | more


def units(events: Events) -> list[tuple[Any, ...]]:
    """Each unit's newest id, whether it was approved, and who reports it."""
    return events.harness.rows(
        "select item_id, approved_at is not null, feeds from staging.return_items order by item_id, return_item_id"
    )


def why(events: Events) -> list[str]:
    return [
        reason for (reason,) in events.harness.rows("select reason from quarantine.rejected_rows order by source_line")
    ]


ONE = [
    pytest.param("77", told(), id="the file's line has no suffix"),
    pytest.param("", told(), id="the file knows the product alone"),
    pytest.param("77-0-2", told(), id="both know the place"),
    pytest.param("77", told("77"), id="neither has a suffix"),
    pytest.param("77-0-2", told(None), id="the event knows the product alone"),
]


@pytest.mark.parametrize(("line", "body"), ONE)
@pytest.mark.parametrize("feed", ["events", "api"])
def test_what_has_no_id_is_the_only_unit_of_the_return_that_it_can_be(
    events: Events, line: str, body: Row, feed: str
) -> None:
    events.harness.stage("items", filed(line))
    for number in range(2):
        again = body | {"updatedAt": f"2026-09-2{2 + number}T08:00:00Z"}
        if feed == "events":
            events.stage(status("approved", again))
        else:
            events.answer({"items": [again]})
            events.harness.refresh()
    assert units(events) == [("IT-1", True, f"{feed} files")]
    assert why(events) == []


@pytest.mark.parametrize(("line", "body"), ONE)
def test_a_file_takes_over_the_unit_that_an_event_made(events: Events, line: str, body: Row) -> None:
    events.stage(status("approved", body))
    events.harness.stage("items", filed(line, approved_at=APPROVED, **LATER))
    events.stage(status("approved", body | {"updatedAt": "2026-09-25T08:00:00Z"}))
    events.harness.stage("items", filed(line, updated_at="2026-09-26T08:00:00Z", approved_at=APPROVED))
    assert units(events) == [("IT-1", True, "events files")]
    assert why(events) == []


@pytest.mark.parametrize("other", ["UUID-77", "HRIT-1"])
def test_a_place_that_files_report_under_another_id_is_set_aside(events: Events, other: str) -> None:
    events.harness.stage("items", filed("77-0-2"))
    events.stage(status("approved", told(item_id=other)))
    assert units(events) == [("IT-1", False, "files")]
    assert why(events) == [SET_ASIDE + "IT-1"]


def test_a_file_that_calls_the_place_by_another_id_is_about_the_same_unit(events: Events) -> None:
    events.stage(status("approved", told(item_id="UUID-77")))
    events.harness.stage("items", filed("77-0-2", approved_at=APPROVED, **LATER))
    assert units(events) == [("IT-1", True, "events files")]


def test_another_id_on_a_line_without_places_waits_until_the_files_know_it(events: Events) -> None:
    events.harness.stage("items", filed())
    events.stage(status("approved", told("77-1-2", "IT-2")))
    assert units(events) == [("IT-1", False, "files")]
    assert why(events) == [SET_ASIDE + "IT-1"]
    events.harness.stage("items", filed(item_id="IT-2", **LATER))
    events.take()
    events.harness.refresh()
    assert [item_id for item_id, *_ in units(events)] == ["IT-1", "IT-2"]
    assert why(events) == []


def test_once_two_feeds_call_a_unit_alike_another_id_is_another_unit(events: Events) -> None:
    events.harness.stage("items", filed())
    events.stage(status("approved", told("77-0-2", "IT-1")))
    events.harness.stage("items", filed(item_id="IT-3", return_id="RT-3"))
    events.stage(status("approved", told("77-1-2", "IT-4", happyReturnsReturnID="RT-3")))
    assert [item_id for item_id, *_ in units(events)] == ["IT-1", "IT-3", "IT-4"]


def test_which_of_several_units_it_is_nobody_guesses(events: Events) -> None:
    events.harness.stage("items", filed(), filed(item_id="IT-2"))
    events.stage(status("approved", told("77-1-2")))
    assert [approved for _, approved, _ in units(events)] == [False, False]
    assert why(events) == [SET_ASIDE + "IT-1, IT-2"]
    # All of them are: no need to distinguish them.
    events.stage(status("approved", told("77-0-2"), told("77-1-2")))
    events.take()
    assert [approved for _, approved, _ in units(events)] == [True, True]


def test_of_two_units_in_a_file_the_one_approved_alike_is_the_one_that_the_event_made(events: Events) -> None:
    events.stage(status("approved", told("77-1-2")))
    events.harness.stage("items", filed(**LATER), filed(item_id="IT-2", approved_at=APPROVED, **LATER))
    assert units(events) == [("IT-1", False, "files"), ("IT-2", True, "events files")]
    assert events.harness.rows(
        "select item_id from staging.return_items where starts_with(return_item_id, 'unit-')"
    ) == [("IT-2",)]


def test_a_unit_alone_on_a_line_without_suffix_is_its_only_one(events: Events) -> None:
    events.stage(status("approved", told("77"), told("78", sku="SKU-2")))
    events.stage(status("approved", told("77", updatedAt="2026-09-25T08:00:00Z")))
    assert events.harness.rows("select count(*), max(unit_offset) from staging.return_items") == [(2, 0)]


def test_two_units_that_nothing_tells_apart_are_read_again_once_files_know_them(events: Events) -> None:
    events.stage(status("approved", told("77"), told("77")))
    assert units(events) == []
    assert len(why(events)) == 2
    events.take()
    events.harness.stage("items", filed(), filed(item_id="IT-2"))
    assert events.take(NOW).rows_landed == 3  # a return and two units
    events.harness.refresh()
    assert units(events) == [("IT-1", True, "events files"), ("IT-2", True, "events files")]
    assert why(events) == []


def test_beside_a_unit_with_an_id_another_of_the_same_line_is_not_its_only_one(events: Events) -> None:
    events.stage(status("approved", told("77", "IT-1")))
    events.stage(status("approved", told("77", "IT-1", updatedAt="2026-09-25T08:00:00Z"), told("77")))
    assert [item_id for item_id, *_ in units(events)] == ["IT-1"]
    assert len(why(events)) == 1
