"""What every asset of a run shares: settings, policy, the database and one decision time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr

from hr_centra_pipeline.core import clock, file_permissions
from hr_centra_pipeline.core.policy import LoadedPolicy, load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration import partitions, run_lock
from hr_centra_pipeline.push import guards
from hr_centra_pipeline.sources.centra import belonging
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.order_api import OrderApiClient
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline.warehouse.derived import forget_stale
from hr_centra_pipeline.warehouse.policy_tables import write_policy

_BACKFILL_LEAVES = 0.5  # of Centra's quotas, to the hourly sync and everybody else
_RETRIES = 3  # of failed steps in one run: when Centra is down, each step would wait for it again


class Run(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Read once at the start of a run, so that all of its steps decide by the same clock and policy."""

    _settings: Settings = PrivateAttr()
    _policy: LoadedPolicy = PrivateAttr()
    _now: datetime = PrivateAttr()
    _warehouse: Warehouse = PrivateAttr()
    _client: CentraClient = PrivateAttr()
    _order_api: OrderApiClient = PrivateAttr()
    _run_id: str = PrivateAttr(default="")
    _window: tuple[datetime, datetime] | None = PrivateAttr(default=None)
    _follows_events: bool = PrivateAttr(default=False)
    _retries: int = PrivateAttr(default=_RETRIES)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Run]:
        """Load settings and policy and prepare the database.

        Raises:
            ConfigurationError: a setting or the policy is wrong; the message names the place.
        """
        run = context.run
        self._run_id = run.run_id if run else ""
        tags = run.tags if run else {}
        is_backfill = partitions.is_backfill(tags)
        self._window = partitions.window_of(tags) if is_backfill else None
        self._follows_events = partitions.follows_events(tags)
        self._settings = Settings.from_environment()
        self._settings.required(
            "exports", "centra_graphql_url", "centra_token", "centra_order_api_url", "centra_order_api_key"
        )
        self._policy = load_policy(self._settings.policy_path)
        if self._settings.mode == "live" and self.sends:  # before anything is pulled; the sender asks again
            guards.refuse_unguarded(self._settings, self._policy.policy)
        for warning in self._policy.policy.warnings():
            dg.get_dagster_logger().warning(warning)
        self._now = clock.now()
        settings = self._settings
        self._warehouse = (
            run_lock.BehindTheLock(settings.database, settings.lock_path, f"a slice of backfill {self._run_id[:8]}")
            if is_backfill
            else Warehouse(settings.database)
        )

        def sleep(seconds: float) -> None:
            self._warehouse.yield_to_others()
            time.sleep(seconds)

        self._client = CentraClient(
            settings.centra_graphql_url,
            settings.centra_token,
            sleep=sleep,
            before_call=self._warehouse.yield_to_others,
            left_to_others=_BACKFILL_LEAVES
            if is_backfill
            else self._policy.policy.centra.quota_left_to_others_percent / 100,
        )
        self._order_api = OrderApiClient(
            settings.centra_order_api_url,
            settings.centra_order_api_key,
            sleep=sleep,
            before_call=self._warehouse.yield_to_others,
        )
        # Dagster closes its own records; what others deliver is theirs, and the sandbox is nobody's.
        theirs = {
            Path(place).resolve() for place in (settings.exports, settings.payouts) if place and "://" not in place
        }
        file_permissions.tighten(settings.home, but=theirs | {settings.home / "dagster", settings.home / "sandbox"})
        with self._warehouse.kept_open():
            migrate.prepare(self._warehouse)
            belonging.refuse_another(self._warehouse, self._client, settings)
            with self._warehouse.transaction() as connection:
                forget_stale(connection, self._policy.sha256)
                write_policy(connection, self._policy.policy, settings.mode)
            yield self

    @property
    def run_id(self) -> str:
        """Dagster's id of the run."""
        return self._run_id

    @property
    def window(self) -> tuple[datetime, datetime] | None:
        """The instants whose history a backfill reads; ``None`` for a sync, which reads what is new."""
        return self._window

    @property
    def follows_events(self) -> bool:
        """Whether this run pulls only what events name: no windows, no proof of what they do not name."""
        return self._follows_events

    @property
    def sends(self) -> bool:
        """Whether this run may send effects: a backfill never does, whatever the mode."""
        return self._window is None

    def may_retry(self) -> bool:
        """Take one of the retries that all steps of the run share."""
        self._retries -= 1
        return self._retries >= 0

    @property
    def settings(self) -> Settings:
        """The environment; of a backfill in dry run, so that nothing is sent."""
        return self._settings if self.sends else self._settings.model_copy(update={"mode": "dry_run"})

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
        """The DuckDB file; its connection is kept, and during a call lent to any other command that wants it."""
        return self._warehouse

    @property
    def client(self) -> CentraClient:
        """Centra's GraphQL API; one client, so that its rate limiter sees every request of the run."""
        return self._client

    @property
    def order_api(self) -> OrderApiClient:
        """Centra's Order API."""
        return self._order_api
