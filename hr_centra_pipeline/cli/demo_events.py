"""The end of the demo: one return that goes from its scan to its refund by events, and how long each step took."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich import box
from rich.text import Text

from hr_centra_pipeline.cli import sandbox
from hr_centra_pipeline.cli.child_processes import running
from hr_centra_pipeline.cli.screen import width
from hr_centra_pipeline.cli.table import DataConsole, DataTable
from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.inbox.inbox_store import Inbox
from hr_centra_pipeline.warehouse.database import Connection, Warehouse

HOLD_SECONDS = 60
"""How long Happy Returns gathers the events of a return."""
_VARIABLE = "HAPPY_RETURNS_WEBHOOK_SECRET"
_ARRIVES_SECONDS = 20.0


@dataclass(frozen=True)
class Step:
    """One line of the table. ``seconds``: of the real clock, or of the shop's where ``is_shops``; ``None``: none of its own."""

    what: str
    result: str
    seconds: float | None = None
    is_shops: bool = False


def was_shown(settings: Settings) -> bool:
    """Whether this shop has had its return by events."""
    with Warehouse(settings.database).transaction() as connection:
        return bool(connection.execute("select 1 from landing.events limit 1").fetchone())


def one_return(settings: Settings, note: dict[str, Any]) -> list[Step]:
    """Receive, scan, let the minute pass, sync by events; nothing is left running.

    Raises:
        RunFailed: the receiver did not start, nothing arrived, or the sync failed.
    """
    with _secret_of(note), _inbox() as address:
        url = f"{address}/happy-returns/main"
        sandbox.control(note, "subscribe", vendor="happy_returns", url=url)
        try:
            planted = sandbox.control(note, "scan")
            began = time.monotonic()
            sandbox.control(note, "live", seconds=HOLD_SECONDS, drain=True)
            delivery = _arrived(settings)
            kept = time.monotonic() - began
        finally:
            sandbox.control(note, "unsubscribe", vendor="happy_returns", url=url)
        began = time.monotonic()
        _sync()
        synced = time.monotonic() - began
    unit = planted["units"][0]
    price = shown(Decimal(unit["paid"]), planted["currency"])
    steps = [
        Step("scanned at a Return Bar", f"{planted['return_id']}: {unit['sku']} of order {planted['order_number']}, {price}"),
        Step("Happy Returns gathers the events of a return", "one delivery for started, dropped off and approved",
             HOLD_SECONDS, is_shops=True),
        Step("delivery received", f"{delivery}: verified and kept before it is answered", kept),
        Step("sync by events", _what_it_did(settings, planted), synced),
    ]  # fmt: skip
    return [*steps, _refund(settings, note, planted, kept + synced)]


def show(steps: Sequence[Step]) -> None:
    """Print the table."""
    table = DataTable(
        title="One more return, by events: from its scan to its refund", title_justify="left", title_style="bold",
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False,
    )  # fmt: skip
    table.add_column("step")
    table.add_whole("seconds", justify="right")
    table.add_column("what came of it")
    for step in steps:
        seconds = (
            "" if step.seconds is None else f"{step.seconds:,.0f} *" if step.is_shops else f"{step.seconds:,.2f}  "
        )
        table.add_row(step.what, Text(seconds, "dim" if step.is_shops else ""), step.result)
    table.caption = (
        "* of the shop's clock. The daemon gathers deliveries for one minute more: [events] debounce_seconds."
    )
    table.caption_justify = "left"
    DataConsole(width=min(width(), 118)).print(table)


# ---------------------------------------------------------------- the steps


@contextmanager
def _secret_of(note: Mapping[str, Any]) -> Iterator[None]:
    """Deliveries are verified with the sandbox's secret meanwhile."""
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = note["happy_returns_webhook_secret"]
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before


@contextmanager
def _inbox() -> Iterator[str]:
    """The receiver on a free loopback port; answers its address."""
    command = [
        sys.executable, "-u", "-m", "hr_centra_pipeline.cli.main", "inbox", "serve", "--port", "0", "--quiet",
    ]  # fmt: skip
    with running(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 - asked for above
        with process.stdout:
            line = process.stdout.readline().decode()
            if not line.startswith("Inbox: "):
                raise RunFailed("The inbox did not start.")
            yield line.split()[1]


def _arrived(settings: Settings) -> str:
    """The id of the delivery that has come."""
    inbox = Inbox.open(settings.inbox)
    try:
        deadline = time.monotonic() + _ARRIVES_SECONDS
        while time.monotonic() < deadline:
            if found := inbox.deliveries(vendor="happy_returns", state="waiting", most=1):
                return found[0].delivery_id
            time.sleep(0.02)
    finally:
        inbox.close()
    raise RunFailed("The sandbox's delivery did not arrive at the inbox.")


def _sync() -> None:
    # Imported here: Dagster takes seconds.
    from hr_centra_pipeline.cli.sync import run_sync

    run_sync(events=True)


def _what_it_did(settings: Settings, planted: Mapping[str, Any]) -> str:
    with Warehouse(settings.database).transaction() as connection:
        return _landed(connection, planted)


def _landed(connection: Connection, planted: Mapping[str, Any]) -> str:
    landed = connection.execute(
        "select count(*), coalesce(sum(rows_landed), 0) from landing.events where batch = (select max(batch) from landing.events)"
    ).fetchone() or (0, 0)
    sent = connection.execute(
        "select string_agg(distinct effect_kind, ', ' order by effect_kind) from push.ledger"
        " where return_id = ? and state = 'confirmed'",
        [planted["return_id"]],
    ).fetchone() or (None,)
    effects = str(sent[0]).replace("_", " ") if sent[0] else "nothing"
    return (
        f"{landed[0]} delivery, {landed[1]} rows; order {planted['order_number']} read by its number; sent: {effects}"
    )


def _refund(settings: Settings, note: dict[str, Any], planted: Mapping[str, Any], seconds: float) -> Step:
    """As Centra's own records have it."""
    records = sandbox.control(note, "records", method="GET")
    entries = [row for row in records["payments"] if str(row[0]) == str(planted["order_number"])]
    for _, return_id, kind, _, value in entries:
        if kind in ("REFUND", "REFUND_REQUEST"):
            amount = shown(Decimal(str(value)), planted["currency"])
            with_provider = "; this card's provider confirms hours later" if kind == "REFUND_REQUEST" else ""
            return Step(
                "refunded in Centra", f"Return {return_id}: {amount}, {seconds:.1f} s after the webhook{with_provider}"
            )
    with Warehouse(settings.database).transaction() as connection:
        waits = connection.execute(
            "select reason from push.ledger where return_id = ? and effect_kind = 'credit_note'", [planted["return_id"]]
        ).fetchone()
    reason = waits[0] if waits and waits[0] else f"see hr-centra explain {planted['return_id']}"
    return Step("not refunded yet", f"it waits: {reason}")
