"""The file of variables of one installation: what each is, where a secret is got, and an empty line where nothing is set yet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Variable:
    """One line of the file. ``about``: what it is; for a secret, where to get it. ``example``: in the file for systemd."""

    name: str
    about: str
    example: str = ""
    is_secret: bool = False


GROUPS: Mapping[str, tuple[Variable, ...]] = {
    "Where things are, and whether anything is sent": (
        Variable("HR_CENTRA_HOME", "everything that hr-centra keeps", "/var/lib/hr-centra"),
        Variable("HR_CENTRA_DATABASE", "empty: warehouse.duckdb in the home"),
        Variable("HR_CENTRA_POLICY", "empty: policy.toml in the home"),
        Variable("HR_CENTRA_MODE", "dry_run reads and plans; live sends", "dry_run"),
        Variable("HR_CENTRA_SYNC_CRON", "when the schedule syncs: minute, hour, day, month, weekday", "7 * * * *"),
        Variable("DAGSTER_HOME", "empty: dagster/ in the home"),
    ),
    "Happy Returns": (
        Variable("HAPPY_RETURNS_EXPORTS", "a folder, sftp://user@host/path or s3://bucket/path", "sftp://user@host/exports"),
        Variable("HAPPY_RETURNS_WEBHOOK_SECRET", "signs the webhooks: from Happy Returns when a webhook is subscribed", "", True),
        Variable("HAPPY_RETURNS_WEBHOOK_SECRET_OLD", "the secret before that, while it is being changed", "", True),
        Variable("HAPPY_RETURNS_API_KEY", "the partner API: a key made in Happy Returns' dashboard", "", True),
        Variable("HAPPY_RETURNS_RETAILER_ID", "your retailer id there"),
        Variable("HAPPY_RETURNS_API_URL", "empty: https://partner.happyreturns.com"),
    ),
    "Centra": (
        Variable("CENTRA_GRAPHQL_URL", "the Integration API", "https://shop.centra.com/graphql"),
        Variable("CENTRA_TOKEN", "made in Centra: AMS, Integrations; `hr-centra doctor` lists the permissions", "", True),
        Variable("CENTRA_ORDER_API_URL", "the Order API, for exchange orders", "https://shop.centra.com/api/order-api"),
        Variable("CENTRA_ORDER_API_KEY", "made in Centra, in the settings of the Order API plugin", "", True),
        Variable("CENTRA_WEBHOOK_SECRET", "signs Centra's webhooks: set in its webhook plugin", "", True),
        Variable("CENTRA_WEBHOOK_SECRET_OLD", "the secret before that, while it is being changed", "", True),
    ),
    "Deliveries and settlements": (
        Variable("HR_CENTRA_INBOX", "empty: inbox.sqlite in the home; or postgresql://user:password@host/database"),
        Variable("HR_CENTRA_PAYOUTS", "folder or address of the payment providers' settlement files; empty: not covered"),
    ),
    "Who is alerted": (
        Variable("HR_CENTRA_ALERT_WEBHOOK", "a Slack-compatible webhook, made in your chat program", "", True),
        *(
            Variable(f"HR_CENTRA_ALERT_WEBHOOK_{team}", "only for this team", "", True)
            for team in ("CUSTOMER_SERVICE", "WAREHOUSE", "FINANCE", "DATA")
        ),
        Variable("HR_CENTRA_SMTP_URL", "smtp+starttls://user:password@host:587, from your mail provider", "", True),
        Variable("HR_CENTRA_HEARTBEAT_URL", "pinged while all is well: made with an external dead man's switch", "", True),
    ),
    "The pages for the teams, and the Dagster UI": (
        Variable("HR_CENTRA_PAGES_URL", "address of the pages, for links", "http://127.0.0.1:3080"),
        Variable("HR_CENTRA_PAGES_PROXY_SECRET", "with a proxy's login: make one with `openssl rand -hex 32`", "", True),
        Variable("HR_CENTRA_UI_URL", "address of the Dagster UI, for links in alerts"),
    ),
    "Only with dagster.postgres.yaml in DAGSTER_HOME": (
        Variable("DAGSTER_PG_HOST", "", "127.0.0.1"),
        Variable("DAGSTER_PG_PORT", "", "5432"),
        Variable("DAGSTER_PG_DATABASE", "", "dagster"),
        Variable("DAGSTER_PG_USER", "", "dagster"),
        Variable("DAGSTER_PG_PASSWORD", "that of the user in Postgres", "", True),
    ),
}  # fmt: skip
VARIABLES = tuple(variable for group in GROUPS.values() for variable in group)
_PLAIN = re.compile(r"[\w./:@%+,=-]*")


def environment_file(values: Mapping[str, str]) -> str:
    """The file's text with some values; secrets are empty. Systemd, Docker, a shell and ``--env-file`` read it alike."""
    lines = [
        "# The variables of hr-centra. Mode 0600: secrets are in it. Used by `hr-centra --env-file FILE …` and by systemd.",
        "# What is empty, or begins with #, is not set. After a change, restart the code server and the daemon.",
    ]
    for title, group in GROUPS.items():
        lines += ["", f"# {title}"]
        for variable in group:
            if variable.about:
                lines.append(f"#   {'secret; ' if variable.is_secret else ''}{variable.about}")
            value = values.get(variable.name, "")
            is_unset = not value and not variable.is_secret
            lines.append(f"{'# ' if is_unset else ''}{variable.name}={_quoted(value)}")
    return "\n".join(lines) + "\n"


def example() -> str:
    """What ``deploy/hr-centra.env.example`` holds."""
    return environment_file({variable.name: variable.example for variable in VARIABLES})


def _quoted(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else f'"{value}"'


if __name__ == "__main__":
    print(example(), end="")
