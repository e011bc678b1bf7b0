"""A simulated shop on a served sandbox with a pipeline home beside it, for tests of the whole flow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.effects.plan import plan
from hr_centra_pipeline.matching.match import match
from hr_centra_pipeline.month_end.fact_journal import remember
from hr_centra_pipeline.push.record import record_plan
from hr_centra_pipeline.push.sender import push
from hr_centra_pipeline.reconciliation.reconcile import reconcile
from hr_centra_pipeline.sandbox.centra.store import GIFT_CARD_BY_EMAIL, CentraSettings
from hr_centra_pipeline.sandbox.server import RunningSandbox, SandboxSettings, running_sandbox
from hr_centra_pipeline.sandbox.shop.shop import Shop
from hr_centra_pipeline.sandbox.shop.variety import PLAIN, VARIED, VARIED_CENTRA
from hr_centra_pipeline.sources.centra import centra_staging as centra_staging
from hr_centra_pipeline.sources.centra import contract_record, event_queue, named_pulls, pull
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.order_api import OrderApiClient
from hr_centra_pipeline.sources.happy_returns import export_staging as happy_returns_staging
from hr_centra_pipeline.sources.happy_returns.export_intake import ingest
from hr_centra_pipeline.sources.happy_returns.export_profiles import load_profiles
from hr_centra_pipeline.sources.payouts import settlement_staging as payout_staging
from hr_centra_pipeline.sources.payouts.settlement_intake import ingest_payouts
from hr_centra_pipeline.sources.payouts.settlement_profiles import load_payout_profiles
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline.warehouse.derived import forget_stale
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests.harness import NAMED_PULLS

PULLS = (
    pull.pull_warehouses, pull.pull_stock_changes, pull.pull_orders, pull.pull_named_orders, pull.pull_shipments,
    pull.pull_returns, pull.pull_replacement_stock, pull.pull_status_marks,
)  # fmt: skip
UNTIL = datetime(2026, 9, 30, 12, tzinfo=UTC)
WITH_GIFT_CARDS = CentraSettings(gift_card_members=GIFT_CARD_BY_EMAIL)
EXAMPLE_POLICY = Path(__file__).parents[1] / "data" / "policy.example.toml"


@dataclass(frozen=True)
class ShopScenario:
    """A sandbox, its shop, and the pipeline pointed at both through the environment of this process."""

    sandbox: RunningSandbox
    shop: Shop
    home: Path

    @property
    def settings(self) -> Settings:
        """As the environment says now."""
        return Settings.from_environment()

    @property
    def warehouse(self) -> Warehouse:
        """The pipeline's database."""
        return Warehouse(self.settings.database)

    def sync(self) -> None:
        """The hourly job once, in this process."""
        from hr_centra_pipeline.definitions import defs
        from hr_centra_pipeline.orchestration import once

        once.sync(defs, self.settings)

    def sync_stages(self) -> None:
        """The same stages in the same order without Dagster, which costs most of the time of a sync of this size."""
        settings, now = self.settings, clock.now()
        loaded = load_policy(settings.policy_path)
        policy, warehouse = loaded.policy, self.warehouse
        client = CentraClient(settings.centra_graphql_url, settings.centra_token)
        order_api = OrderApiClient(settings.centra_order_api_url, settings.centra_order_api_key)
        with warehouse.kept_open():
            migrate.prepare(warehouse)
            with warehouse.transaction() as connection:
                forget_stale(connection, loaded.sha256)
                write_policy(connection, policy, settings.mode)
            ingest(warehouse, settings.exports, load_profiles(settings.home / "profiles"), now)
            ingest_payouts(warehouse, settings.payouts, load_payout_profiles(settings.home / "payout_profiles"), now)
            happy_returns_staging.refresh(warehouse, now)
            payout_staging.refresh(warehouse, now)
            for one in PULLS:
                one(client, warehouse, policy, now)
            centra_staging.refresh(warehouse, now)
            with warehouse.transaction() as connection:
                match(connection, now)
                plan(connection, now)
                record_plan(connection, now)
            contract_record.refresh(client, order_api, warehouse, policy, now)
            push(warehouse, client, order_api, policy, settings, now)
            with warehouse.transaction() as connection:
                reconcile(connection, now)
                remember(connection, now, loaded.sha256)

    def event_stages(self) -> None:
        """The stages of a sync that follows events, with what the exports bring in the place of events."""
        settings, now = self.settings, clock.now()
        loaded = load_policy(settings.policy_path)
        policy, warehouse = loaded.policy, self.warehouse
        client = CentraClient(settings.centra_graphql_url, settings.centra_token)
        order_api = OrderApiClient(settings.centra_order_api_url, settings.centra_order_api_key)
        with warehouse.kept_open():
            migrate.prepare(warehouse)
            with warehouse.transaction() as connection:
                forget_stale(connection, loaded.sha256)
                write_policy(connection, policy, settings.mode)
            event_queue.take(client, warehouse, policy, now)
            ingest(warehouse, settings.exports, load_profiles(settings.home / "profiles"), now)
            happy_returns_staging.refresh(warehouse, now)
            payout_staging.refresh(warehouse, now)
            follow = named_pulls.Follow(client, warehouse, policy, now, touches=True)
            for one in NAMED_PULLS:
                one(follow)
            centra_staging.refresh(warehouse, now)
            with warehouse.transaction() as connection:
                match(connection, now)
                plan(connection, now)
                record_plan(connection, now)
            push(warehouse, client, order_api, policy, settings, now, follows_events=True)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the pipeline's database."""
        with self.warehouse.transaction() as connection:
            return connection.execute(query).fetchall()

    def writes(self) -> list[str]:
        """Every mutation that reached Centra, in order."""
        return [name for entry in self.sandbox.sandbox.log for name in entry["mutations"]]


@contextmanager
def shop_scenario(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    seed: int = 1,
    returns: int = 15,
    days: int = 45,
    mode: str = "live",
    varied: bool = False,
) -> Iterator[ShopScenario]:
    """A seeded shop that answers. ``varied``: the demo's, with all that real shops and their providers have."""
    home = tmp_path / "data"
    home.mkdir(exist_ok=True)
    (home / "policy.toml").write_text(EXAMPLE_POLICY.read_text(encoding="utf-8"), encoding="utf-8")
    # The largest plan: a rate limiter that is new to a shop does not know how fast the sandbox's small buckets are refilled.
    centra = VARIED_CENTRA if varied else WITH_GIFT_CARDS
    settings = SandboxSettings(plan="enterprise", speed=1000, centra=centra)
    with running_sandbox(tmp_path / "sandbox", settings) as sandbox:
        shop = Shop(sandbox.sandbox.home, sandbox.store, sandbox.clock)
        shop.seed(
            seed=seed, returns=returns, start=UNTIL - timedelta(days=days), until=UNTIL,
            variety=VARIED if varied else PLAIN,
        )  # fmt: skip
        yield pointed_at(ShopScenario(sandbox, shop, home), monkeypatch, mode=mode)


def pointed_at(scenario: ShopScenario, monkeypatch: pytest.MonkeyPatch, *, mode: str = "live") -> ShopScenario:
    """The scenario that the environment of this process points to now."""
    for variable in [name for name in os.environ if name.startswith(("HR_CENTRA_", "DAGSTER_"))]:
        monkeypatch.delenv(variable)
    for name, value in {
        **scenario.sandbox.environment(), "HR_CENTRA_HOME": str(scenario.home), "HR_CENTRA_MODE": mode,
        "DAGSTER_HOME": str(scenario.home / "dagster"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return scenario
