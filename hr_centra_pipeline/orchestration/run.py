"""What every asset of a run shares: settings, policy, the database and one decision time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field, PrivateAttr

from hr_centra_pipeline.core import clock, file_permissions
from hr_centra_pipeline.core.errors import ConfigurationError
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


class HrCentra(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The pipeline's home, database and sources. A field that is left out is read from its environment variable at each run.

    Steps ask it for their ``Run``. The first of a process waits for the run's turn and prepares the database; what it decided
    (time, policy) holds for all of the run.
    """

    home: str = Field(
        default="", description="HR_CENTRA_HOME: folder of the policy, the database, locks and published files."
    )
    database: str = Field(default="", description="HR_CENTRA_DATABASE: the DuckDB file; by default in the home.")
    policy: str = Field(
        default="", description="HR_CENTRA_POLICY: the policy file; by default policy.toml in the home."
    )
    mode: str = Field(default="", description="HR_CENTRA_MODE: dry_run (the default, sends nothing) or live.")
    environment: dict[str, str] = Field(
        default={}, description="Any other variable by its name, such as CENTRA_TOKEN; use EnvVar for what is secret."
    )

    _stack: ExitStack = PrivateAttr()
    _runs: dict[bool, Run] = PrivateAttr(default_factory=dict)
    _failed: Exception | None = PrivateAttr(default=None)

    @property
    def variables(self) -> dict[str, str]:
        """The variables that fields replace."""
        fields = {
            "HR_CENTRA_HOME": self.home, "HR_CENTRA_DATABASE": self.database, "HR_CENTRA_POLICY": self.policy,
            "HR_CENTRA_MODE": self.mode,
        }  # fmt: skip
        return {**{name: value for name, value in fields.items() if value}, **self.environment}

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[HrCentra]:
        """For as long as a process executes steps of a run. Nothing is taken or opened before a step asks for its run."""
        with ExitStack() as stack:
            self._stack, self._runs, self._failed = stack, {}, None
            yield self

    def run_for(self, context: Any, *, reads_history: bool = False) -> Run:
        """The run that a step is part of, in its turn.

        Raises:
            ConfigurationError: a setting or the policy is wrong; the message names the place.
            RunFailed: another run keeps the lock. Steps that follow in this process fail with the same words, at once.
        """
        if self._failed is not None:
            raise self._failed
        if reads_history not in self._runs:
            try:
                self._runs[reads_history] = self._begun(context, is_backfill=reads_history)
            except Exception as error:
                self._failed = error
                raise
        return self._runs[reads_history]

    def _begun(self, context: Any, *, is_backfill: bool) -> Run:
        run, instance = context.run, context.instance
        window = partitions.window_of(run.tags) if is_backfill else None
        environment = {**os.environ, **self.variables}
        settings = Settings.from_environment(environment)
        settings.required(
            "exports", "centra_graphql_url", "centra_token", "centra_order_api_url", "centra_order_api_key"
        )
        policy = load_policy(settings.policy_path)
        if settings.mode == "live" and not is_backfill:  # before anything is pulled; the sender asks again
            guards.refuse_unguarded(settings, policy.policy)
        for warning in policy.policy.warnings():
            dg.get_dagster_logger().warning(warning)
        now = clock.now(environment)
        run_lock.tag_run(instance, run, partitions.more_tags(run.tags, now, is_backfill=is_backfill))
        path = settings.backfill_lock_path if is_backfill else settings.lock_path
        said = self._stack.enter_context(
            run_lock.turn(path, instance, run, {"now": now.isoformat(), "policy": policy.sha256})
        )
        if said["policy"] != policy.sha256:
            raise ConfigurationError(
                f"{settings.policy_path} was changed while this run was going. All steps of a run go by one policy: start it again."
            )
        now = datetime.fromisoformat(said["now"])
        warehouse = (
            run_lock.BehindTheLock(settings.database, settings.lock_path, f"a slice of backfill {run.run_id[:8]}")
            if is_backfill
            else Warehouse(settings.database)
        )

        def sleep(seconds: float) -> None:
            warehouse.yield_to_others()
            time.sleep(seconds)

        client = CentraClient(
            settings.centra_graphql_url,
            settings.centra_token,
            sleep=sleep,
            before_call=warehouse.yield_to_others,
            left_to_others=_BACKFILL_LEAVES if is_backfill else policy.policy.centra.quota_left_to_others_percent / 100,
        )
        order_api = OrderApiClient(
            settings.centra_order_api_url,
            settings.centra_order_api_key,
            sleep=sleep,
            before_call=warehouse.yield_to_others,
        )
        # Dagster closes its own records; what others deliver is theirs, and the sandbox is nobody's.
        theirs = {
            Path(place).resolve() for place in (settings.exports, settings.payouts) if place and "://" not in place
        }
        file_permissions.tighten(settings.home, but=theirs | {settings.home / "dagster", settings.home / "sandbox"})
        self._stack.enter_context(warehouse.kept_open())
        migrate.prepare(warehouse)
        belonging.refuse_another(warehouse, client, settings)
        with warehouse.transaction() as connection:
            forget_stale(connection, policy.sha256)
            write_policy(connection, policy.policy, settings.mode)
        return Run(
            run.run_id, settings, policy, now, warehouse, client, order_api, window,
            partitions.follows_events(run.tags),
        )  # fmt: skip


class Run:
    """What the steps of a run share, so that all of them decide by the same clock and policy."""

    def __init__(
        self,
        run_id: str,
        settings: Settings,
        policy: LoadedPolicy,
        now: datetime,
        warehouse: Warehouse,
        client: CentraClient,
        order_api: OrderApiClient,
        window: tuple[datetime, datetime] | None,
        follows_events: bool,
    ) -> None:
        self._run_id, self._settings, self._policy, self._now = run_id, settings, policy, now
        self._warehouse, self._client, self._order_api = warehouse, client, order_api
        self._window, self._follows_events, self._retries = window, follows_events, _RETRIES
        self.placed: Callable[[dg.AssetKey], dg.AssetKey] = lambda key: key

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
