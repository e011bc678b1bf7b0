"""The job that follows events, as Dagster runs it: what waits in the inbox, what that names, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlencode

import pytest

from hr_centra_pipeline.core import clock
from hr_centra_pipeline.definitions import defs
from hr_centra_pipeline.inbox.inbox_store import Inbox, Received
from hr_centra_pipeline.orchestration import once
from hr_centra_pipeline_tests.shops import shop_scenario


@pytest.mark.slow
def test_a_delivery_of_centra_has_its_order_pulled_and_nothing_is_polled_or_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shop_scenario(tmp_path, monkeypatch, returns=5, days=20) as scenario:
        scenario.sync()
        ((number, polls),) = scenario.rows(
            "select (select min(order_number) from staging.return_items semi join staging.orders using (order_number)),"
            """ (select count(*) from landing.centra_pulls where "object" = 'orders')"""
        )
        published = {file.name: file.stat().st_mtime_ns for file in scenario.settings.published.iterdir()}
        payload = {"events": [{"type": "order", "action": "update", "date": "2026-09-30 11:00:00", "id": int(number)}]}
        inbox = Inbox.open(scenario.settings.inbox)
        inbox.keep([Received("centra", "main", clock.now(), {}, urlencode({"payload": json.dumps(payload)}).encode())])
        asked = len(scenario.sandbox.sandbox.log)
        once.event_sync(defs, scenario.settings)
        assert inbox.waiting().count == 0
        assert scenario.rows("select object_id, pulled_at is not null, note from landing.centra_hints") == [
            (int(number), True, None)
        ]
        assert scenario.rows(
            """select count(*) filter ("object" = 'orders'), count(*) filter ("object" = 'event_orders')"""
            " from landing.centra_pulls"
        ) == [(polls, 1)]
        names = {name for entry in scenario.sandbox.sandbox.log[asked:] for name in entry["operations"]}
        assert names <= {
            "ReadRateLimits", "PullOrders", "PullReturns", "PullShipments", "LookAtOrder", "LookAtReturns", "LookAtStockChanges",
            "ReadInternalComment", "UpdateDirectToConsumerOrder",
        }  # fmt: skip
        assert {"PullOrders", "PullReturns"} <= names
        assert {file.name: file.stat().st_mtime_ns for file in scenario.settings.published.iterdir()} == published
