"""Where things are and how to reach the vendors: from the environment only, secrets never shown."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from hr_centra_pipeline.core import file_permissions
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.kinds import OWNERS

# May hold a password or a token: not in a text about the settings; ``core/addresses.py`` shows them.
Address = Annotated[str, Field(repr=False)]
RunMode = Literal["dry_run", "live"]


class Settings(BaseModel):
    """The environment of one run. Paths are absolute."""

    model_config = ConfigDict(frozen=True)

    home: Path
    database: Path
    policy_path: Path
    mode: RunMode = "dry_run"
    exports: Address = ""
    payouts: Address = ""
    centra_graphql_url: Address = ""
    centra_token: SecretStr = SecretStr("")
    centra_order_api_url: Address = ""
    centra_order_api_key: SecretStr = SecretStr("")
    alert_webhooks: Mapping[str, SecretStr] = {}  # by owner team; "" for every team without one of its own
    smtp_url: SecretStr = SecretStr("")
    heartbeat_url: SecretStr = SecretStr("")
    ui_url: Address = ""
    pages_url: Address = "http://127.0.0.1:3080"  # where the pages for the teams are, for links in alerts and reports
    pages_proxy_secret: SecretStr = SecretStr("")  # with it the proxy in front of the pages proves itself
    inbox: Address = ""  # where webhook deliveries are kept: a SQLite file, or postgresql://
    happy_returns_secrets: tuple[SecretStr, ...] = ()  # of the webhook; the second one while it is being changed
    centra_secrets: tuple[SecretStr, ...] = ()
    partner_api_url: Address = "https://partner.happyreturns.com"
    partner_api_key: SecretStr = SecretStr("")
    retailer_id: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the public variables; see the README for what each means.

        Raises:
            ConfigurationError: ``HR_CENTRA_MODE`` is neither ``dry_run`` nor ``live``, or ``HR_CENTRA_DATABASE`` is not a file.
        """
        file_permissions.keep()  # a process that knows where our files are is about to write some
        env = os.environ if environment is None else environment
        home = Path(env.get("HR_CENTRA_HOME", "data")).resolve()
        mode = env.get("HR_CENTRA_MODE", "dry_run")
        if mode not in ("dry_run", "live"):
            raise ConfigurationError(f"HR_CENTRA_MODE={mode!r}: write dry_run (the default, sends nothing) or live.")
        database = Path(env.get("HR_CENTRA_DATABASE", home / "warehouse.duckdb")).resolve()
        if os.path.exists(database) and not os.path.isfile(database):  # noqa: PTH110, PTH113 - without a raise
            raise ConfigurationError(
                f"{database}: is a folder, pipe or device. HR_CENTRA_DATABASE names the DuckDB file itself, such as"
                " /srv/returns/warehouse.duckdb."
            )
        return cls(
            home=home,
            database=database,
            policy_path=Path(env.get("HR_CENTRA_POLICY", home / "policy.toml")).resolve(),
            mode="live" if mode == "live" else "dry_run",
            exports=env.get("HAPPY_RETURNS_EXPORTS", ""),
            payouts=env.get("HR_CENTRA_PAYOUTS", ""),
            centra_graphql_url=env.get("CENTRA_GRAPHQL_URL", ""),
            centra_token=SecretStr(env.get("CENTRA_TOKEN", "")),
            centra_order_api_url=env.get("CENTRA_ORDER_API_URL", ""),
            centra_order_api_key=SecretStr(env.get("CENTRA_ORDER_API_KEY", "")),
            alert_webhooks={
                team: SecretStr(env[variable])
                for team in ("", *OWNERS)
                if env.get(variable := f"HR_CENTRA_ALERT_WEBHOOK_{team}".rstrip("_").upper())
            },
            smtp_url=SecretStr(env.get("HR_CENTRA_SMTP_URL", "")),
            heartbeat_url=SecretStr(env.get("HR_CENTRA_HEARTBEAT_URL", "")),
            ui_url=env.get("HR_CENTRA_UI_URL", "").rstrip("/"),
            pages_url=(env.get("HR_CENTRA_PAGES_URL") or "http://127.0.0.1:3080").rstrip("/"),
            pages_proxy_secret=SecretStr(env.get("HR_CENTRA_PAGES_PROXY_SECRET", "").strip()),
            inbox=_inbox_address(env.get("HR_CENTRA_INBOX", ""), home),
            happy_returns_secrets=_secrets(env, "HAPPY_RETURNS_WEBHOOK_SECRET"),
            centra_secrets=_secrets(env, "CENTRA_WEBHOOK_SECRET"),
            partner_api_url=(env.get("HAPPY_RETURNS_API_URL") or "https://partner.happyreturns.com").rstrip("/"),
            partner_api_key=SecretStr(env.get("HAPPY_RETURNS_API_KEY", "").strip()),
            retailer_id=env.get("HAPPY_RETURNS_RETAILER_ID", "").strip(),
        )

    def required(self, *names: str) -> None:
        """Fail early when a variable that this run needs is unset; exports are not needed where webhooks bring the returns.

        Raises:
            ConfigurationError: names every missing variable.
        """
        variables = {
            "exports": "HAPPY_RETURNS_EXPORTS",
            "centra_graphql_url": "CENTRA_GRAPHQL_URL",
            "centra_token": "CENTRA_TOKEN",
            "centra_order_api_url": "CENTRA_ORDER_API_URL",
            "centra_order_api_key": "CENTRA_ORDER_API_KEY",
        }

        def empty(name: str) -> bool:
            if name == "exports" and self.has_events:
                return False
            value = getattr(self, name)
            return not (value.get_secret_value() if isinstance(value, SecretStr) else value)

        missing = [variables[name] for name in names if empty(name)]
        if missing:
            raise ConfigurationError(f"{', '.join(missing)}: not set. See the README's table of environment variables.")

    @property
    def has_events(self) -> bool:
        """Happy Returns' webhooks are received: there is a secret that they are signed with."""
        return bool(self.happy_returns_secrets)

    @property
    def lock_path(self) -> Path:
        """The kernel file lock that every entry point takes before a run starts."""
        return self.home / "sync.lock"

    @property
    def backfill_lock_path(self) -> Path:
        """Held by a backfill for its whole run; it takes the other lock for short slices."""
        return self.home / "backfill.lock"

    @property
    def push_lock_path(self) -> Path:
        """Held while something is sent: beside the database, since two homes may share one."""
        return self.database.with_name(f"{self.database.name}.push.lock")

    @property
    def stop_path(self) -> Path:
        """The kill switch: while this file exists, nothing is sent."""
        return self.home / "STOP"

    @property
    def published(self) -> Path:
        """Where readers find what was published after the last sync."""
        return self.home / "published"

    @property
    def exported(self) -> Path:
        """Where finance downloads the tables, per month."""
        return self.home / "exports"

    @property
    def workbooks(self) -> Path:
        """Where finance drops workbooks that were filled in."""
        return self.home / "workbooks"


def _inbox_address(given: str, home: Path) -> str:
    """A path is absolute, whatever folder a command runs in; an address of a server stays as it is."""
    given = given.strip()
    return given if "://" in given else str(Path(given).resolve() if given else home / "inbox.sqlite")


def _secrets(env: Mapping[str, str], variable: str) -> tuple[SecretStr, ...]:
    """The secret in use, then the one before it, which is accepted as long as it is set."""
    given = (env.get(name, "").strip() for name in (variable, f"{variable}_OLD"))
    return tuple(SecretStr(secret) for secret in given if secret)
