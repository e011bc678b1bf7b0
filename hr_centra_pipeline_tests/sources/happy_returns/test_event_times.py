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
from hr_centra_pipeline_tests.sources.happy_returns.conftest import ITEM, NOW, Harness, new_harness
from hr_centra_pipeline_tests.sources.happy_returns.events import UNIT, Events, status

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
