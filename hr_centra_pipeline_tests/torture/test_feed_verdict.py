from __future__ import annotations

from pathlib import Path

from hr_centra_pipeline.inbox.inbox_store import Inbox
from hr_centra_pipeline_tests.sources.happy_returns.conftest import new_harness
from hr_centra_pipeline_tests.sources.happy_returns.events import UNIT, Events, status
from hr_centra_pipeline_tests.torture.feed_verdict import landed_twice


def test_a_landing_that_lands_a_delivery_twice_is_caught(tmp_path: Path) -> None:
    events = Events(new_harness(tmp_path), Inbox.open(str(tmp_path / "inbox.sqlite")), tmp_path)
    (one,) = events.post(status("started", UNIT))
    events.take()
    events.inbox.mark_waiting([one])
    events.take()
    assert landed_twice(events.harness.rows) == []
    with events.harness.warehouse.transaction() as connection:  # as it would, if it did not look for what it has landed
        connection.execute("insert into landing.happy_returns_items select * from landing.happy_returns_items")
    assert landed_twice(events.harness.rows) == [f"event {one}: row 1 of items landed 2 times"]
