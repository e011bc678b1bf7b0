"""A shop without export files: webhooks bring the returns, and the whole sync goes on."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.core import clock
from hr_centra_pipeline.inbox.inbox_store import Inbox, Received
from hr_centra_pipeline_tests.shops import ShopScenario, shop_scenario

_NAMES = {
    "item_id": "happyReturnsItemID", "return_id": "happyReturnsReturnID", "order_number": "orderNumber",
    "order_line_item_id": "orderLineItemID", "express_code": "happyReturnsExpressCode", "sku": "sku", "upc": "upc",
    "email": "email", "refund_type": "refundType", "exchange_sku": "exchangeSku", "dropoff_method": "dropoffMethod",
    "received_channel": "receivedChannel", "received_at": "receivedAt", "approved_at": "approvedAt",
    "refunded_at": "refundedAt", "hub_received_at": "hubReceivedAt", "warehouse_received_at": "warehouseReceivedAt",
    "condition": "condition", "disposition": "disposition", "updated_at": "updatedAt",
}  # fmt: skip


def _rows(folder: Path, kind: str) -> list[dict[str, str]]:
    return [row for file in sorted(folder.glob(f"{kind}*.csv")) for row in csv.DictReader(file.open())]


def _deliver(scenario: ShopScenario) -> None:
    """Every row of the shop's export files of units, as a webhook delivery."""
    returns: dict[tuple[str, str], dict[str, str]] = {}
    for row in _rows(scenario.sandbox.exports, "returns"):
        returns[row["return_id"], row["order_number"]] = row
    received = []
    for row in _rows(scenario.sandbox.exports, "items"):
        of = returns.get((row["return_id"], row["order_number"]), {})
        unit: dict[str, Any] = {name: row[column] for column, name in _NAMES.items()}
        unit |= {"startedAt": of.get("started_at"), "droppedOffAt": of.get("dropped_off_at")}
        body = {
            "event": "return_status_updated", "typeID": of.get("refund_status") or "started", "retailerID": "demo-shop",
            "items": [unit],
        }  # fmt: skip
        received.append(
            Received("happy_returns", "main", clock.now() - timedelta(minutes=1), {}, json.dumps(body).encode())
        )
    Inbox.open(scenario.settings.inbox).keep(received)


@pytest.mark.slow
def test_events_alone_bring_the_credits_and_stock_movements_that_files_bring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for feed in ("files", "events"):
        (tmp_path / feed).mkdir()
        with monkeypatch.context() as patched, shop_scenario(tmp_path / feed, patched, returns=8) as scenario:
            if feed == "events":
                _deliver(scenario)
                patched.setenv("HAPPY_RETURNS_EXPORTS", "")
                patched.setenv("HAPPY_RETURNS_WEBHOOK_SECRET", "s" * 32)
            scenario.sync()
            kinds = "('credit_note', 'inventory_adjustment')"
            found.append(
                scenario.rows(
                    "select effect_key, effect_kind, state, amount, warehouse_id from push.ledger"
                    f" where effect_kind in {kinds} order by all"
                )
            )
            assert (
                scenario.rows(
                    "select source from operations.coverage_gaps where source in ('exports', 'webhook deliveries')"
                )
                == []
            )
            if feed == "events":
                assert scenario.rows("select feeds, count(*) > 8 from staging.return_items group by 1") == [
                    ("events", True)
                ]
                assert scenario.rows("select distinct is_only_feed, is_complete from landing.inbox_looks") == [
                    (True, True)
                ]
                assert scenario.rows("select count(*) from landing.files") == [(0,)]
    assert len([row for row in found[0] if row[2] == "confirmed"]) > 8
    assert found[0] == found[1]
