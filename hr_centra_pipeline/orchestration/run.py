"""What every asset of a run shares: settings, policy, the database and one decision time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import dagster as dg
from pydantic import PrivateAttr

from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.policy import LoadedPolicy, load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.order_api import OrderApiClient
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline.warehouse.derived import forget_stale
from hr_centra_pipeline.warehouse.policy_tables import write_policy


class Run(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Read once at the start of a run, so that all of its steps decide by the same clock and policy."""

    _settings: Settings = PrivateAttr()
    _policy: LoadedPolicy = PrivateAttr()
    _now: datetime = PrivateAttr()
    _warehouse: Warehouse = PrivateAttr()
    _client: CentraClient = PrivateAttr()
    _order_api: OrderApiClient = PrivateAttr()

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Run]:
        """Load settings and policy and prepare the database.

        Raises:
            ConfigurationError: a setting or the policy is wrong; the message names the place.
        """
        self._settings = Settings.from_environment()
        self._settings.required(
            "exports", "centra_graphql_url", "centra_token", "centra_order_api_url", "centra_order_api_key"
        )
        self._policy = load_policy(self._settings.policy_path)
        self._now = clock.now()
        settings = self._settings
        self._warehouse = Warehouse(settings.database)

        def sleep(seconds: float) -> None:
            self._warehouse.yield_to_others()
            time.sleep(seconds)

        self._client = CentraClient(
            settings.centra_graphql_url, settings.centra_token, sleep=sleep, before_call=self._warehouse.yield_to_others
        )
        self._order_api = OrderApiClient(
            settings.centra_order_api_url,
            settings.centra_order_api_key,
            sleep=sleep,
            before_call=self._warehouse.yield_to_others,
        )
        with self._warehouse.kept_open():
            migrate.prepare(self._warehouse)
            with self._warehouse.transaction() as connection:
                forget_stale(connection, self._policy.sha256)
                write_policy(connection, self._policy.policy, settings.mode)
            yield self

    @property
    def settings(self) -> Settings:
        """The environment."""
        return self._settings

    @property
    def policy(self) -> LoadedPolicy:
        """The policy, as read at the start."""
        return self._policy

    @property
    def now(self) -> datetime:
        """The decision time of the whole run, UTC."""
        return self._now

    @property
    def warehouse(self) -> Warehouse:
        """The DuckDB file; its connection is kept, and during a call given to whoever else wants it."""
        return self._warehouse

    @property
    def client(self) -> CentraClient:
        """Centra's GraphQL API; one client, so that its governor sees every request of the run."""
        return self._client

    @property
    def order_api(self) -> OrderApiClient:
        """Centra's Order API."""
        return self._order_api
