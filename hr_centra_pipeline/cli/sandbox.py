"""``hr-centra sandbox``: the local vendors, alone."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hr_centra_pipeline.cli.command_groups import examples
from hr_centra_pipeline.cli.table import echo
from hr_centra_pipeline.core.errors import RunFailed

if TYPE_CHECKING:
    from hr_centra_pipeline.sandbox.server import SandboxSettings
    from hr_centra_pipeline.sandbox.shop.variety import Variety

app = typer.Typer(no_args_is_help=True, help="The local Happy Returns and Centra, over HTTP on loopback.")

UNTIL = datetime(2026, 9, 30, 12, tzinfo=UTC)
DAYS = 45
GIFT_CARD_MEMBER = "email: String"
"""What the example policy's template fills in; which member a real Centra has, only its schema says."""
_START_SECONDS = 120


@app.command(
    epilog=examples("hr-centra sandbox serve", "hr-centra sandbox serve --home /tmp/shop --returns 300 --seed 7")
)
def serve(
    home: Annotated[Path, typer.Option(help="Where its state and exports are.")] = Path("data/sandbox"),
    port: Annotated[int, typer.Option(help="Loopback port; 0 picks a free one.", min=0, max=65535)] = 0,
    seed: Annotated[int, typer.Option(help="Which shop; only used for a new home.")] = 1,
    returns: Annotated[
        int, typer.Option(help="How many returns; only used for a new home. 0: an empty shop.", min=0)
    ] = 120,
    speed: Annotated[float, typer.Option(help="How much faster than real time Centra's quotas refill.")] = 60.0,
    plan: Annotated[str, typer.Option(help="Centra plan: growth, enhanced, high_volume, enterprise.")] = "growth",
    gift_card_member: Annotated[
        list[str] | None,
        typer.Option(
            help='A member of GiftCardCreateInput, such as "email: String". A plain shop without one issues no gift cards.'
        ),
    ] = None,
    schema: Annotated[
        Path | None,
        typer.Option(
            help="Serve this schema in place of the documented one: `hr-centra doctor --write-schema` saves it."
        ),
    ] = None,
    plain: Annotated[
        bool,
        typer.Option(
            "--plain",
            help="Payments in one step, every word documented; a new shop without cancelled orders and the like.",
        ),
    ] = False,
) -> None:
    """Serve until stopped, and print the variables that point the pipeline here."""
    # Imported here: nobody else needs a web server.
    from hr_centra_pipeline.sandbox.centra.centra_database import CentraSettings, UnusableHome
    from hr_centra_pipeline.sandbox.centra.quota import PLANS
    from hr_centra_pipeline.sandbox.server import SandboxSettings
    from hr_centra_pipeline.sandbox.server import serve as serve_home
    from hr_centra_pipeline.sandbox.shop.variety import PLAIN, VARIED, VARIED_CENTRA

    if plan not in PLANS:
        raise typer.BadParameter(f"--plan {plan}: one of {', '.join(PLANS)}")
    if schema is not None and not schema.is_file():
        raise typer.BadParameter(f"--schema {schema}: there is no such file")
    centra = CentraSettings() if plain else VARIED_CENTRA
    if gift_card_member:
        centra = replace(centra, gift_card_members=tuple(gift_card_member))
    settings = SandboxSettings(plan=plan, speed=speed, schema_path=schema, centra=centra)  # type: ignore[arg-type] # checked above

    home = home.resolve()  # what is printed is pasted in any folder

    def show(note: dict[str, Any]) -> None:
        lines = [f"Serving {home} on http://127.0.0.1:{note['port']} until Ctrl-C. Paste where the pipeline runs:", ""]
        variables = {**environment(note), "CONTROL": note["control_url"]}
        lines += [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        echo("\n".join(lines))
        sys.stdout.flush()

    try:
        if returns:
            _seed(home, settings, seed=seed, returns=returns, variety=PLAIN if plain else VARIED)
        serve_home(home, port, settings, on_start=show)
    except UnusableHome as problem:
        raise RunFailed(f"{problem}.") from None


@app.command(epilog=examples("hr-centra sandbox advance --hours 24"))
def advance(
    hours: Annotated[int, typer.Option(help="Hours that pass in both systems.", min=1)] = 24,
    home: Annotated[Path, typer.Option(help="The home of a sandbox that is being served.")] = Path("data/sandbox"),
) -> None:
    """Let time pass: goods travel, people act, new export files appear."""
    note = running(home)
    if note is None:
        raise RunFailed(f"No sandbox is served from {home}: start one with `hr-centra sandbox serve --home {home}`.")
    echo(f"It is {let_pass(note, hours)} now.")


@app.command(epilog=examples("hr-centra sandbox subscribe --inbox http://127.0.0.1:3081"))
def subscribe(
    inbox: Annotated[str, typer.Option(help="Address of the inbox that gets the vendors' webhooks.")],
    shop: Annotated[str, typer.Option(help="The shop's name at the inbox.")] = "main",
    home: Annotated[Path, typer.Option(help="The home of a sandbox that is being served.")] = Path("data/sandbox"),
) -> None:
    """Let both vendors push to an inbox from now on, and print the variables for it and for the pipeline."""
    note = running(home)
    if note is None:
        raise RunFailed(f"No sandbox is served from {home}: start one with `hr-centra sandbox serve --home {home}`.")
    subscribed(note, inbox, shop)
    echo("\n".join(f"export {name}={value}" for name, value in event_environment(note).items()))


def subscribed(note: dict[str, Any], inbox: str, shop: str = "main", **settings: Any) -> None:
    """Subscribe an inbox to both vendors' webhooks; ``settings``: of Happy Returns'."""
    import requests

    base = inbox.rstrip("/")
    for body in (
        {"vendor": "happy_returns", "url": f"{base}/happy-returns/{shop}", **settings},
        {"vendor": "centra", "url": f"{base}/centra/{shop}"},
    ):
        requests.post(f"{note['control_url']}/subscribe", json=body, timeout=60).raise_for_status()


def _seed(home: Path, settings: SandboxSettings, *, seed: int, returns: int, variety: Variety) -> None:
    """Make a shop with a past of 45 days, once; a home that was seeded before is left alone."""
    # Imported here: nobody else needs the simulated shop.
    from hr_centra_pipeline.sandbox.server import Sandbox
    from hr_centra_pipeline.sandbox.shop.shop import Shop

    sandbox = Sandbox(home, settings)
    try:
        Shop(sandbox.home, sandbox.store, sandbox.clock).seed(
            seed=seed, returns=returns, start=UNTIL - timedelta(days=DAYS), until=UNTIL, variety=variety
        )
    finally:
        sandbox.close()


def is_usable(home: Path) -> bool:
    """Whether this version of the sandbox can go on with a home."""
    # Imported here: only the demo asks.
    from hr_centra_pipeline.sandbox.centra.centra_database import problem_with

    return (home / "centra.sqlite").exists() and problem_with(home / "centra.sqlite") is None


def environment(note: dict[str, Any]) -> dict[str, str]:
    """The variables that point the pipeline to a served sandbox."""
    return {
        "CENTRA_GRAPHQL_URL": note["graphql_url"],
        "CENTRA_TOKEN": note["token"],
        "CENTRA_ORDER_API_URL": note["order_api_url"],
        "CENTRA_ORDER_API_KEY": note["order_api_key"],
        "HAPPY_RETURNS_EXPORTS": note["exports"],
        "HR_CENTRA_PAYOUTS": note["payouts"],
        "HR_CENTRA_NOW": f"@{note['clock_file']}",
        **(event_environment(note) if note.get("happy_returns_subscribed") else {}),
    }


def event_environment(note: dict[str, Any]) -> dict[str, str]:
    """The variables that switch on webhooks and the partner API of a served sandbox."""
    return {
        "HAPPY_RETURNS_API_URL": note["happy_returns_api_url"],
        "HAPPY_RETURNS_API_KEY": note["happy_returns_api_key"],
        "HAPPY_RETURNS_RETAILER_ID": note["happy_returns_retailer_id"],
        "HAPPY_RETURNS_WEBHOOK_SECRET": note["happy_returns_webhook_secret"],
        "CENTRA_WEBHOOK_SECRET": note["centra_webhook_secret"],
    }


def running(home: Path) -> dict[str, Any] | None:
    """Addresses of the sandbox that is served from a home, if one answers."""
    import requests

    try:
        note: dict[str, Any] = json.loads((home / "sandbox.json").read_text(encoding="utf-8"))
        requests.get(f"{note['control_url']}/health", timeout=5).raise_for_status()
    except (OSError, ValueError, requests.RequestException):
        return None
    return note


def control(note: dict[str, Any], name: str, *, method: str = "POST", **given: Any) -> Any:
    """One call to the control routes of a served sandbox; answers what it answers."""
    import requests

    answer = requests.request(method, f"{note['control_url']}/{name}", json=given or None, timeout=600)
    answer.raise_for_status()
    return answer.json()


def let_pass(note: dict[str, Any], hours: int) -> str:
    """Advance a served sandbox; answers its new time."""
    return str(control(note, "advance", hours=hours)["now"])


@contextmanager
def served(home: Path, *, seed: int = 1, returns: int = 120, speed: float = 600.0) -> Iterator[dict[str, Any]]:
    """A sandbox that answers: the one that is served already, else a process of our own, stopped at the end.

    Raises:
        RunFailed: it did not start; the message holds what it said.
    """
    found = running(home)
    if found is not None:
        yield found
        return
    home.mkdir(parents=True, exist_ok=True)
    log = home / "sandbox.log"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [
                sys.executable, "-m", "hr_centra_pipeline.cli.main", "sandbox", "serve", "--home", str(home),
                "--seed", str(seed), "--returns", str(returns), "--speed", str(speed), "--plan", "enterprise",
                "--gift-card-member", GIFT_CARD_MEMBER,
            ],
            stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    try:
        deadline = time.monotonic() + _START_SECONDS
        while (note := running(home)) is None or note["pid"] != process.pid:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RunFailed(f"The sandbox did not start:\n{log.read_text(encoding='utf-8').strip()}")
            time.sleep(0.1)
        yield note
    finally:
        process.terminate()
        process.wait(timeout=10)
