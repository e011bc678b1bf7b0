"""``hr-centra inbox``: receive webhook deliveries, and read what was received."""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box

from hr_centra_pipeline.cli.command_groups import examples
from hr_centra_pipeline.cli.table import DataConsole, DataTable, echo, echo_json
from hr_centra_pipeline.core import addresses
from hr_centra_pipeline.core.errors import ConfigurationError

if TYPE_CHECKING:
    from hr_centra_pipeline.core.settings import Settings
    from hr_centra_pipeline.inbox.inbox_store import Inbox, Summary

app = typer.Typer(no_args_is_help=True, help="Webhook deliveries: receive them, and read what was received.")

_STATES = ("waiting", "landed", "apart")

_Vendor = Annotated[str | None, typer.Option(help="Only those of one vendor: happy_returns or centra.")]
_From = Annotated[str | None, typer.Option("--from", help="First UTC day, like 2026-09-01.")]
_To = Annotated[str | None, typer.Option("--to", help="Last UTC day.")]


@app.command(epilog=examples("hr-centra inbox serve --port 3081"))
def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on. Beyond loopback, put a proxy with TLS in front.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 picks a free one.", min=0, max=65535)] = 3081,
    shop: Annotated[list[str] | None, typer.Option(help="A shop that has an address; default: main.")] = None,
    most_bytes: Annotated[int, typer.Option(help="Of one delivery.", min=1_000, max=64 << 20)] = 4 << 20,
    most_seconds: Annotated[float, typer.Option(help="For one delivery to arrive.", min=0.1, max=120)] = 10,
    at_once: Annotated[int, typer.Option(help="Requests at once; more are answered 503.", min=1, max=900)] = 512,
    per_second: Annotated[
        float, typer.Option(help="Deliveries a second of each vendor; more are answered 503.", min=1)
    ] = 2_000,
    unverified_per_second: Annotated[
        float,
        typer.Option(help="Deliveries a second that did not verify and are kept apart; more are only counted.", min=0),
    ] = 20,
    quiet: Annotated[bool, typer.Option("--quiet", help="Log problems only, not a line per delivery.")] = False,
) -> None:
    """Receive webhook deliveries of Happy Returns and Centra, and keep them, until it is stopped."""
    from hr_centra_pipeline.inbox.inbox_server import serve as serve_inbox
    from hr_centra_pipeline.inbox.receiver import Bounds

    shops = shop or ["main"]
    for one in shops:
        if not (one.isascii() and one.replace("-", "").replace("_", "").isalnum() and len(one) <= 64):
            raise ConfigurationError(f"--shop {one}: letters, digits, - and _ only; it is a part of an address.")
    logging.basicConfig(
        level=logging.WARNING if quiet else logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    bounds = Bounds(
        body_bytes=most_bytes, body_seconds=most_seconds, requests=at_once, held_bytes=max(64 << 20, most_bytes * 4),
        per_second=per_second, unverified_per_second=unverified_per_second,
    )  # fmt: skip
    serve_inbox(
        _settings(), host, port, shops=shops, bounds=bounds,
        listening=lambda at: echo(f"Inbox: {at}   (Ctrl-C ends it)"),
    )  # fmt: skip


@app.command(
    name="list",
    epilog=examples("hr-centra inbox list --state waiting", "hr-centra inbox list --vendor centra --from 2026-09-01"),
)
def list_(
    state: Annotated[
        str | None, typer.Option(help="waiting, landed, or apart (did not verify); default: waiting and landed.")
    ] = None,
    vendor: _Vendor = None,
    from_: _From = None,
    to: _To = None,
    most: Annotated[int, typer.Option(help="At most so many, the newest first.", min=1)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Deliveries, the newest first."""
    if state is not None and state not in _STATES:
        raise ConfigurationError(f"--state {state}: one of {', '.join(_STATES)}.")
    since, until = _period(from_, to)
    inbox = _opened()
    found = inbox.deliveries(vendor=_checked(vendor), state=state, since=since, until=until, most=most + 1)
    if as_json:
        echo_json([asdict(one) for one in found[:most]])
        return
    if not found:
        echo(_none(inbox))
    else:
        _show_deliveries(found, most)
    if state != "apart" and (apart := inbox.apart_count(vendor=vendor, since=since, until=until)):
        echo(
            f"{apart:,} did not verify, and {'is' if apart == 1 else 'are'} kept apart: hr-centra inbox list --state apart"
        )


def _show_deliveries(found: Sequence[Summary], most: int) -> None:
    table = DataTable(box=box.SIMPLE_HEAD)
    for name in ("delivery", "received (UTC)"):
        table.add_whole(name)
    for name in ("vendor", "shop"):
        table.add_column(name)
    table.add_whole("bytes", justify="right")
    for name in ("verdict", "state"):
        table.add_column(name)
    for one in found[:most]:
        table.add_row(
            one.delivery_id, f"{one.received_at:%Y-%m-%d %H:%M:%S}", one.vendor, one.shop, f"{one.bytes:,}", one.verdict, one.state
        )  # fmt: skip
    _print(table, 130)
    if len(found) > most:
        echo(f"There are more than {most}: --most, --from and --to choose others.")


@app.command(epilog=examples("hr-centra inbox show 01J9ZK3V7Q"))
def show(
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="Its id, as `inbox list` shows it.")],
    most_bytes: Annotated[int, typer.Option(help="At most so many bytes of its body.", min=1)] = 20_000,
    to: Annotated[Path | None, typer.Option(help="Write the raw body to this new file instead.")] = None,
) -> None:
    """One delivery: when it came, its headers and its body as text, with control characters made visible."""
    found = _opened().find(delivery)
    if found is None:
        raise ConfigurationError(f"{delivery}: no delivery has this id; see `hr-centra inbox list`.")
    if to is not None:
        try:
            with os.fdopen(os.open(to, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                file.write(found.body)
        except OSError as error:
            raise ConfigurationError(f"--to {to}: cannot be written ({error.strerror}).") from None
        echo(f"{len(found.body):,} bytes written to {to}")
        return
    echo(f"delivery   {found.delivery_id}")
    echo(f"received   {found.received_at:%Y-%m-%d %H:%M:%S.%f} UTC")
    echo(f"from       {found.vendor}, shop {found.shop}: {found.verdict}")
    echo(f"landed     {f'{found.landed_at:%Y-%m-%d %H:%M:%S} UTC' if found.landed_at else 'no'}")
    if found.erased_at:
        echo(
            f"erased     {found.erased_at:%Y-%m-%d %H:%M:%S} UTC: addresses were removed from the body; the hash is the original's"
        )
    echo(f"sha256     {found.body_sha256}")
    for name, value in found.headers.items():
        echo(f"{name}: {_one_line(value)}")
    echo("")
    echo(found.body[:most_bytes].decode("utf-8", "backslashreplace"))
    if len(found.body) > most_bytes:
        echo(f"… and {len(found.body) - most_bytes:,} bytes more: --most-bytes, or --to FILE")


@app.command(epilog=examples("hr-centra inbox replay 01J9ZK3V7Q", "hr-centra inbox replay --unverified"))
def replay(
    deliveries: Annotated[list[str] | None, typer.Argument(metavar="DELIVERY", help="Ids of deliveries.")] = None,
    unverified: Annotated[
        bool,
        typer.Option(
            "--unverified", help="Verify those again that were kept apart; those that do verify wait to land."
        ),
    ] = False,
    vendor: _Vendor = None,
    from_: _From = None,
    to: _To = None,
) -> None:
    """Let deliveries land again with the next sync: by id, or all of a period (--from, --to)."""
    inbox = _opened()
    since, until = _period(from_, to)
    if unverified:
        _verify_again(inbox, deliveries or [], _checked(vendor), since, until)
        return
    if deliveries:
        if unknown := sorted(set(deliveries) - inbox.known(deliveries)):
            raise ConfigurationError(f"{', '.join(unknown)}: no delivery that verified has this id.")
        inbox.mark_waiting(deliveries)
        number = len(deliveries)
    elif since or until:
        number = inbox.replay(vendor=_checked(vendor), since=since, until=until)
    else:
        raise ConfigurationError("Name deliveries, a period (--from, --to), or --unverified.")
    echo(f"{number:,} {'delivery lands' if number == 1 else 'deliveries land'} again with the next sync.")


@app.command(epilog=examples("hr-centra inbox counts --days 30"))
def counts(
    days: Annotated[int, typer.Option(help="So many of the last days.", min=1)] = 14,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """How many deliveries each vendor sent on each day, how many did not verify and why, and what was refused by a bound."""
    from hr_centra_pipeline.core import clock

    inbox = _opened()
    found = inbox.counts(since=(clock.now() - timedelta(days=days - 1)).date())
    if as_json:
        echo_json([asdict(one) for one in found])
        return
    if not found:
        echo(_none(inbox))
        return
    table = DataTable(box=box.SIMPLE_HEAD)
    table.add_whole("day (UTC)")
    table.add_column("vendor")
    table.add_whole("verified", justify="right")
    table.add_column("did not verify")
    table.add_whole("verified later", justify="right")
    table.add_column("refused")
    for one in found:
        later = sum(one.verified_later.values())
        table.add_row(
            one.day, one.vendor, f"{one.verified:,}", _listed(one.unverified), f"{later:,}" if later else "–", _listed(one.refused)
        )  # fmt: skip
    _print(table, 115)


def _verify_again(
    inbox: Inbox, deliveries: list[str], vendor: str | None, since: datetime | None, until: datetime | None
) -> None:
    from hr_centra_pipeline.inbox.inbox_store import VERIFIED, VERIFIED_OLD
    from hr_centra_pipeline.inbox.signatures import EVENT_PROFILES, WRONG_SIGNATURE, verifiers

    settings = _settings()
    known = verifiers(settings)
    apart = inbox.deliveries(vendor=vendor, state="apart", since=since, until=until, most=None)
    if unknown := sorted(set(deliveries) - {one.delivery_id for one in apart}):
        raise ConfigurationError(f"{', '.join(unknown)}: nothing is kept apart by this id.")
    chosen = [one for one in apart if not deliveries or one.delivery_id in deliveries]
    accepted = 0
    left: Counter[tuple[str, str]] = Counter()
    for summary in chosen:
        verifier, one = known.get(summary.vendor), inbox.find(summary.delivery_id)
        if one is None:
            continue
        verdict = verifier.verdict(one.headers, one.body) if verifier else "no_secret_is_set"
        if verdict in (VERIFIED, VERIFIED_OLD):
            accepted += inbox.accept(one.delivery_id)
        else:
            left[summary.vendor, verdict] += 1
    echo(f"{accepted:,} of {len(chosen):,} verify now, and land with the next sync.")
    if not left:
        return
    reasons = ", ".join(
        f"{number:,} of {name.replace('_', ' ')} ({why.replace('_', ' ')})"
        for (name, why), number in sorted(left.items())
    )
    echo(f"{left.total():,} stay apart: {reasons}. `hr-centra inbox list --state apart` shows them.")
    for name, verifier in known.items():
        if (name, WRONG_SIGNATURE) in left:
            echo(f"Expected of {name.replace('_', ' ')}: {verifier.described}.")
    if ("happy_returns", WRONG_SIGNATURE) in left:
        echo(f"If yours differs, say so in [signature] of a profile in {settings.home / EVENT_PROFILES}/.")


def _none(inbox: Inbox) -> str:
    return f"No deliveries in {addresses.shown(inbox.address)}."


def _print(table: DataTable, least: int) -> None:
    from hr_centra_pipeline.cli.screen import width

    DataConsole(width=max(width(), least)).print(table)


def _settings() -> Settings:
    from hr_centra_pipeline.core.settings import Settings

    return Settings.from_environment()


def _opened() -> Inbox:
    from hr_centra_pipeline.inbox.inbox_store import Inbox

    return Inbox.open(_settings().inbox)


def _checked(vendor: str | None) -> str | None:
    from hr_centra_pipeline.inbox.inbox_store import VENDORS

    if vendor is not None and vendor not in VENDORS:
        raise ConfigurationError(f"--vendor {vendor}: one of {', '.join(VENDORS)}.")
    return vendor


def _period(first: str | None, last: str | None) -> tuple[datetime | None, datetime | None]:
    def day(option: str, text: str) -> datetime:
        try:
            return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            raise ConfigurationError(f"{option} {text}: write a day like 2026-09-01.") from None

    since = day("--from", first) if first else None
    return since, day("--to", last) + timedelta(days=1) if last else None


def _listed(numbers: Mapping[str, int]) -> str:
    return (
        ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in sorted(numbers.items()) if number) or "–"
    )


def _one_line(text: str) -> str:
    return text.replace("\n", "\\n").replace("\t", "\\t")
