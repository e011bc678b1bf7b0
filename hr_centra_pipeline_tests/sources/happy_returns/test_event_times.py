"""From when a row of an event is: it sets back nothing that is known since, and loses no news that has no time of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.inbox.inbox_store import Inbox
from hr_centra_pipeline.sources.happy_returns.export_profiles import load_profiles
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.sources.happy_returns.conftest import ITEM, NOW, RETURN, Harness, new_harness
from hr_centra_pipeline_tests.sources.happy_returns.events import METHOD, UNIT, Events, status

_LINE = {"order_line_item_id": "77-0-1"}
_APPROVED_AT = "2026-09-20T07:00:00Z"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    warehouse = new_harness(tmp_path_factory.mktemp("empty")).warehouse
    warehouse.fold_log_in()
    return warehouse.path


@pytest.fixture
def events(tmp_path: Path, empty: Path) -> Iterator[Events]:
    (tmp_path / "exports").mkdir()
    harness = Harness(
        tmp_path / "exports", Warehouse(tmp_path / "warehouse.duckdb"), load_profiles(tmp_path / "profiles")
    )
    shutil.copyfile(empty, harness.warehouse.path)
    with harness.warehouse.kept_open():
        yield Events(harness, Inbox.open(str(tmp_path / "inbox.sqlite")), tmp_path)


def _unit(events: Events, columns: str) -> tuple[Any, ...]:
    (row,) = events.harness.rows(f"select {columns} from staging.return_items")
    return row


def _file(events: Events, **more: str) -> None:
    events.harness.stage("items", ITEM | _LINE | more)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_vendors_clock_that_is_ahead_does_not_outlive_a_later_file(events: Events) -> None:
    delivered = NOW - timedelta(days=2)
    ahead = (delivered + timedelta(hours=1)).isoformat()
    events.stage(status("approved", UNIT | {"approvedAt": _APPROVED_AT, "updatedAt": ahead}), at=delivered)
    assert _unit(events, "source_time") == (delivered + timedelta(seconds=1),)
    _file(events, updated_at=(delivered + timedelta(minutes=30)).isoformat())
    assert _unit(events, "approved_at") == (None,)


def test_a_clock_that_is_ahead_is_bounded_when_its_words_are_read_again(events: Events) -> None:
    ahead = (NOW + timedelta(hours=1)).isoformat()
    events.stage(status("approved", UNIT | {"updatedAt": ahead, "dropoffMethod": "post"}))
    before = _unit(events, "source_time")
    events.own_profile(("[words.refund_type]", '[words.dropoff_method]\n"post" = "mail"\n\n[words.refund_type]'))
    events.take()
    events.harness.refresh()
    assert _unit(events, "dropoff_method, source_time") == ("mail", *before)


def _method(name: str, **more: Any) -> dict[str, Any]:
    return {**METHOD, "typeID": name, **more}


def _methods(events: Events) -> tuple[Any, ...]:
    ((of_return,),) = events.harness.rows("select dropoff_method from staging.returns")
    return (*_unit(events, "dropoff_method"), of_return)


def test_a_method_that_is_chosen_after_the_newest_file_counts(events: Events) -> None:
    events.harness.stage("returns", RETURN | {"return_method": "return-bar"})
    _file(events)
    events.stage(_method("mail"))
    assert _methods(events) == ("mail", "mail")
    assert _unit(events, "source_time") == (NOW - timedelta(hours=1) + timedelta(seconds=1),)


def test_a_method_that_is_told_of_a_unit_that_was_received_since_is_late(events: Events) -> None:
    _file(events, received_at="2026-09-20T07:00:00Z")
    events.stage(_method("mail"))
    assert _unit(events, "dropoff_method") == ("return-bar",)


@pytest.mark.parametrize("is_together", [True, False])
def test_a_shopper_may_choose_a_method_again(events: Events, is_together: bool) -> None:
    chosen = [_method("mail"), _method("return-bar"), _method("mail")]
    for bodies in [chosen] if is_together else [[one] for one in chosen]:
        events.post(*bodies)
        events.take()
    events.harness.refresh()
    assert _methods(events) == ("mail", "mail")
    report = events.stage(_method("mail"))
    assert (report.repeated, report.rows_read) == (1, 0)


def test_a_method_that_is_chosen_again_after_a_file_said_another_counts(events: Events) -> None:
    events.stage(_method("mail"))
    events.harness.stage("returns", RETURN | {"return_method": "return-bar"})
    _file(events)
    events.stage(_method("mail"))
    assert _methods(events) == ("mail", "mail")


@pytest.mark.parametrize(
    ("news", "column"),
    [
        ({"condition": "damaged"}, "disposition"),
        ({"returnBagBarcode": "BAG-7"}, "bag_barcode"),
        ({"refundType": "exchange"}, "refund_type"),
    ],
)
def test_a_word_that_nobody_has_told_yet_is_as_of_its_delivery(
    events: Events, news: dict[str, str], column: str
) -> None:
    _file(events, approved_at=_APPROVED_AT)
    events.stage(status("approved", UNIT | {"approvedAt": _APPROVED_AT} | news))
    assert _unit(events, f"{column}, approved_at") == (*news.values(), _at(_APPROVED_AT))


def test_a_grade_that_is_told_again_late_does_not_set_back_the_one_since(events: Events) -> None:
    told = UNIT | {"approvedAt": _APPROVED_AT}
    events.stage(status("approved", told | {"condition": "sellable"}))
    events.stage(status("approved", told | {"condition": "damaged"}))
    assert _unit(events, "disposition") == ("damaged",)
    events.stage(status("approved", told | {"condition": "sellable"}, revision=2))
    assert _unit(events, "disposition") == ("damaged",)


def test_what_is_behind_the_state_that_is_known_sets_nothing_back(events: Events) -> None:
    _file(events, approved_at=_APPROVED_AT)
    events.stage(status("started", UNIT | {"refundType": "exchange", "returnBagBarcode": "BAG-7"}))
    assert _unit(events, "refund_type, bag_barcode") == ("refund", None)


def test_a_late_approval_with_a_new_grade_does_not_undo_a_withdrawal(events: Events) -> None:
    _file(events, approved_at=_APPROVED_AT)
    _file(events, updated_at="2026-09-24T08:00:00Z")
    events.stage(status("approved", UNIT | {"approvedAt": _APPROVED_AT, "condition": "damaged"}))
    assert _unit(events, "approved_at, disposition") == (None, None)


@pytest.mark.parametrize("is_withdrawn", [True, False])
def test_a_status_dates_a_unit_once(events: Events, is_withdrawn: bool) -> None:
    events.own_profile(("[return.sets]", '[return.sets]\napproved = ["approved_at"]'))
    _file(events, approved_at=_APPROVED_AT)
    if is_withdrawn:
        _file(events, updated_at="2026-09-24T08:00:00Z")
    events.stage(status("approved"))
    assert _unit(events, "approved_at") == (None if is_withdrawn else _at(_APPROVED_AT),)
    events.own_profile(("[words.refund_type]", '[words.dropoff_method]\n"post" = "mail"\n\n[words.refund_type]'),
                       ("[return.sets]", '[return.sets]\napproved = ["approved_at"]'))  # fmt: skip
    events.take()
    events.harness.refresh()
    assert _unit(events, "approved_at") == (None if is_withdrawn else _at(_APPROVED_AT),)


def _undated_file(events: Events, name: str, **more: str) -> None:
    row = {column: value for column, value in ITEM.items() if column != "updated_at"}
    events.harness.stage("items", row | _LINE | more, name=name)


def test_a_file_without_times_of_its_rows_takes_back_only_what_a_file_has_told(events: Events) -> None:
    events.stage(status("approved", UNIT | {"approvedAt": _APPROVED_AT}), at=NOW - timedelta(days=2))
    _undated_file(events, "items-1.csv", bag_barcode="BAG-1")
    assert _unit(events, "approved_at, bag_barcode") == (_at(_APPROVED_AT), "BAG-1")
    _undated_file(events, "items-2.csv", approved_at=_APPROVED_AT, bag_barcode="BAG-1")
    _undated_file(events, "items-3.csv", bag_barcode="BAG-2")
    assert _unit(events, "approved_at, bag_barcode") == (None, "BAG-2")
    _undated_file(events, "items-4.csv", bag_barcode="BAG-3")
    assert _unit(events, "approved_at, bag_barcode") == (None, "BAG-3")


def test_a_file_without_times_of_its_rows_does_not_lower_the_status_that_an_event_told(events: Events) -> None:
    row = {column: value for column, value in RETURN.items() if column != "updated_at"}
    events.stage(status("approved", UNIT | {"approvedAt": _APPROVED_AT}), at=NOW - timedelta(days=2))
    events.harness.stage("returns", row, name="returns-1.csv")
    query = "select refund_status from staging.returns"
    assert events.harness.rows(query) == [("approved",)]
    events.harness.stage("returns", row | {"refund_status": "approved"}, name="returns-2.csv")
    events.harness.stage("returns", row | {"refund_status": "dropped-off"}, name="returns-3.csv")
    assert events.harness.rows(query) == [("dropped-off",)]
