"""Against the sandbox: what no feed has brought is looked up, landed and staged, by the statements of files and events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from hr_centra_pipeline.core.policy import PartnerApi as Limits
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.sandbox.happy_returns.records import Records
from hr_centra_pipeline.sandbox.server import RunningSandbox, running_sandbox
from hr_centra_pipeline.sources.happy_returns.event_reading import load_event_profile
from hr_centra_pipeline.sources.happy_returns.export_staging import refresh
from hr_centra_pipeline.sources.happy_returns.partner_asking import PartnerReport, ask
from hr_centra_pipeline.sources.happy_returns.partner_client import PartnerApi
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests import staged
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY
from hr_centra_pipeline_tests.sources.happy_returns.conftest import ITEM, RETURN, Harness, new_harness
from hr_centra_pipeline_tests.sources.happy_returns.partner import Time

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
LIMITS = Limits(
    look_back_days=6, requests_per_run=100
)  # its bucket is a thousand times faster than the one that we wait for
STARTED, SCANNED = NOW - timedelta(days=5), NOW - timedelta(days=2)


@dataclass
class SandboxHarness:
    """The shop's database on one side, Happy Returns' records on the other."""

    running: RunningSandbox
    harness: Harness
    home: Path
    time: Time

    def know(self, kind: str, key: str, **state: Any) -> None:
        """Happy Returns knows this."""
        records = Records(self.running.sandbox.records_path)
        records.begin()
        records.change(kind, key, state, NOW)
        records.commit()
        records.close()

    def know_scanned(
        self, unit: str = "IT-1", return_id: str = "RT-1", order: str = "1001", code: str = "HRAAAAAA"
    ) -> None:
        """A return whose goods were scanned at a bar and approved, of which no feed has told us."""
        told = {"return_id": return_id, "order_number": order, "express_code": code}
        times = {"started_at": f"{STARTED:%Y-%m-%dT%H:%M:%SZ}"}
        self.know("returns", f"{return_id}/{order}", **told, refund_status="approved", **times)
        scanned = f"{SCANNED:%Y-%m-%dT%H:%M:%SZ}"
        self.know(
            "items", unit, **told, item_id=unit, sku="SKU-1", order_line_item_id="77", refund_type="refund",
            email="anna@example.com", dropoff_method="return-bar", received_at=scanned, approved_at=scanned, order_id="7",
            product_name="Coat", purchased_at=f"{NOW - timedelta(days=30):%Y-%m-%dT%H:%M:%SZ}",
        )  # fmt: skip

    def know_shipped(
        self, shipment: str = "45678", unit: str = "IT-1", departed: datetime = NOW - timedelta(hours=3)
    ) -> None:
        self.know(
            "shipments", f"{shipment}/{unit}", shipment_id=shipment, item_id=unit, return_id="RT-1", order_number="1001",
            express_code="HRAAAAAA", sku="SKU-1", carrier="ups", tracking="1Z1", departed_at=departed.isoformat(),
        )  # fmt: skip

    def ask(self, now: datetime = NOW, limits: Limits = LIMITS) -> PartnerReport:
        given = self.running.event_environment()
        profile = load_event_profile(self.home)
        api = PartnerApi(
            given["HAPPY_RETURNS_API_URL"], given["HAPPY_RETURNS_API_KEY"], given["HAPPY_RETURNS_RETAILER_ID"],
            self.home / "bucket", profile.api, clock=self.time, sleep=self.time.sleep,
        )  # fmt: skip
        report = ask(self.harness.warehouse, api, profile, limits, now)
        refresh(self.harness.warehouse, now)
        return report


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[SandboxHarness]:
    harness = new_harness(tmp_path / "shop")
    with harness.warehouse.kept_open(), running_sandbox(tmp_path / "sandbox") as running:
        with harness.warehouse.transaction() as connection:
            write_policy(connection, load_policy(EXAMPLE_POLICY).policy, "live")
        running.clock.advance_to(NOW)
        requests.post(f"{running.control_url}/webhooks", json={"blanks": "empty"}, timeout=10).raise_for_status()
        yield SandboxHarness(running, harness, tmp_path / "shop", Time())


def started(shop: SandboxHarness) -> None:
    """The files have told of the start, and of nothing since."""
    at = f"{STARTED:%Y-%m-%dT%H:%M:%SZ}"
    shop.harness.stage("returns", {**RETURN, "created_at": at, "updated_at": at})
    shop.harness.stage("items", {**ITEM, "updated_at": at})


def test_a_scan_that_no_feed_brought_is_found_by_looking_up_the_silent_return(shop: SandboxHarness) -> None:
    started(shop)
    shop.know_scanned()
    report = shop.ask()
    assert (report.problem, report.look_ups, report.nothing_found, report.rows_rejected) == (None, 1, 0, 0)
    assert shop.harness.rows("select received_at, approved_at, feeds from staging.return_items") == [
        (SCANNED, SCANNED, "api files")
    ]
    assert shop.ask(NOW + timedelta(days=1)).rows_landed == 0


def test_what_an_answer_does_not_say_stays_as_the_file_said_it(shop: SandboxHarness) -> None:
    at = f"{STARTED:%Y-%m-%dT%H:%M:%SZ}"
    shop.harness.stage("returns", {**RETURN, "created_at": at, "updated_at": at})
    shop.harness.stage("items", {**ITEM, "updated_at": at, "upc": "0123456789012"})
    shop.know_scanned()
    shop.ask()
    assert shop.harness.rows("select upc, sku from staging.return_items") == [("0123456789012", "SKU-1")]


def test_a_return_that_only_centra_shows_is_found_by_its_order_and_staged_whole(shop: SandboxHarness) -> None:
    shop.know_scanned(order="2002", code="HRGDRQP5", return_id="RT-9", unit="IT-9")
    with shop.harness.warehouse.transaction() as connection:
        staged.put(
            connection,
            "staging.centra_returns",
            centra_return_id=7,
            order_number="2002",
            created_at=NOW - timedelta(days=1),
        )
    assert shop.ask().nothing_found == 0
    assert shop.harness.rows("select return_id, order_number, express_code, feeds from staging.returns") == [
        ("RT-9", "2002", "HRGDRQP5", "api")
    ]
    assert shop.harness.rows("select return_item_id, approved_at from staging.return_items") == [("IT-9", SCANNED)]


def test_a_return_that_happy_returns_does_not_know_changes_nothing(shop: SandboxHarness) -> None:
    started(shop)
    before = shop.harness.rows("select * from staging.return_items")
    assert shop.ask().nothing_found == 1
    assert shop.harness.rows("select * from staging.return_items") == before


def test_outbound_shipments_become_expected_arrivals(shop: SandboxHarness) -> None:
    started(shop)
    shop.know_scanned()
    shop.know_shipped()
    report = shop.ask()
    assert (report.shipments, report.rows_rejected) == (1, 0)
    assert shop.harness.rows(
        "select shipment_id, return_item_id, carrier, departed_at from staging.return_shipments"
    ) == [("45678", "IT-1", "ups", NOW - timedelta(hours=3))]
    assert ("departed",) in shop.harness.rows("select event from staging.return_item_events")


def test_a_shipment_that_grows_is_read_again_by_pages_and_each_unit_lands_once(shop: SandboxHarness) -> None:
    shop.know_shipped()
    shop.ask()
    shop.know_shipped(unit="IT-2")
    shop.ask(NOW + timedelta(hours=2))
    assert shop.harness.rows("select return_item_id from staging.return_shipments order by all") == [
        ("IT-1",),
        ("IT-2",),
    ]
    assert shop.harness.rows("select count(*) from landing.happy_returns_shipments") == [(2,)]


def test_an_email_of_an_answer_is_a_token_everywhere_but_in_one_table(shop: SandboxHarness) -> None:
    started(shop)
    shop.know_scanned()
    shop.ask()
    assert shop.harness.rows("select value from landing.personal") == [("anna@example.com",)]
    for table in (
        "landing.partner_answers",
        "landing.happy_returns_items",
        "landing.happy_returns_returns",
        "quarantine.rejected_rows",
    ):
        assert "anna@example.com" not in str(shop.harness.rows(f"select * from {table}"))


def test_each_answer_adds_up(shop: SandboxHarness) -> None:
    started(shop)
    shop.know_scanned()
    shop.know_shipped()
    shop.ask()
    shop.ask(NOW + timedelta(days=2))
    assert (
        shop.harness.rows(
            "select * from landing.partner_answers where rows_read <> rows_landed + rows_rejected + rows_repeated"
        )
        == []
    )
