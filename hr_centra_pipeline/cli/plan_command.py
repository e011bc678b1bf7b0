"""``hr-centra plan``: what a live run would send now, call by call, and what it would leave and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import simplejson
from rich import box
from rich.text import Text

from hr_centra_pipeline.cli.screen import stopped, width
from hr_centra_pipeline.cli.table import DataConsole, DataTable, echo
from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.kinds import WITH_MONEY
from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.core.policy import Policy, load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.core.words import effect_text
from hr_centra_pipeline.push.preview import PlannedPacket, Preview, preview
from hr_centra_pipeline.warehouse import derived
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.policy_tables import is_written

_SHOWN = 25


@dataclass(frozen=True)
class Standing:
    """What the figures hold for. ``as_of``: when that sync began; the other two are sentences, where something is to be said."""

    as_of: datetime | None = None
    out_of_date: str | None = None
    stopped: str | None = None

    @property
    def warnings(self) -> list[str]:
        """What a reader has to know before the figures."""
        return [said for said in (self.stopped, self.out_of_date) if said is not None]


def show_plan(*, every: bool = False, as_json: bool = False) -> None:
    """Print the last sync's plan as it is now.

    Raises:
        ConfigurationError: there is no database yet, or the policy is wrong.
        RunFailed: another process held the database for 30 seconds; a push releases it between two requests.
    """
    settings = Settings.from_environment()
    loaded = load_policy(settings.policy_path)
    policy = loaded.policy
    if not settings.database.exists():
        raise ConfigurationError(f"{settings.database}: there is no database yet; run `hr-centra sync` first.")
    with Warehouse(settings.database).transaction() as connection:
        if not is_written(connection):
            raise ConfigurationError(f"{settings.database}: no sync has run on it yet; run `hr-centra sync` first.")
        found = preview(connection, policy, clock.now())
        standing = _standing(connection, settings, loaded.sha256)
    if as_json:
        echo(_json(found, policy, standing))
    else:
        _print(found, policy, standing, every=every)


def _standing(connection: Connection, settings: Settings, policy_sha256: str) -> Standing:
    (as_of,) = connection.execute("select max(started_at) from push.pushes").fetchone() or (None,)
    out_of_date = None
    if not derived.is_current(connection, policy_sha256):
        (planned_with,) = connection.execute(
            "select max_by(policy_sha256, run_number) from month_end.journal_runs"
        ).fetchone() or (None,)
        changed = "policy" if planned_with != policy_sha256 else "program"
        out_of_date = f"As of the last sync{_at(as_of)}; the {changed} has changed since: run `hr-centra sync`."
    return Standing(as_of, out_of_date, stopped(settings))


def _at(as_of: datetime | None) -> str:
    return f" at {as_of:%Y-%m-%d %H:%M UTC}" if as_of else ""


def _json(found: Preview, policy: Policy, standing: Standing) -> str:
    packets = [
        {
            "packet_key": planned.packet.key,
            "operation": planned.packet.operation,
            "effect_keys": planned.packet.members,
            "money": planned.money,
            "calls": [{"operation": call.operation, "variables": call.variables} for call in planned.calls],
        }
        for planned in found.packets
    ]
    staying = [{**effect.names, "why": why} for effect, why in found.staying]
    about = {
        "as_of": standing.as_of,
        "out_of_date": standing.out_of_date,
        "stopped": standing.stopped,
        "packets": packets,
        "staying": staying,
        "emails": policy.emails.model_dump(),
        "warnings": policy.warnings(),
    }
    return simplejson.dumps(about, indent=2, use_decimal=True, default=str)


def _print(found: Preview, policy: Policy, standing: Standing, *, every: bool) -> None:
    console = DataConsole(width=min(width(), 118))
    for warning in standing.warnings:
        console.print(Text(f"! {warning}", style="bold yellow"))
    if standing.as_of and not standing.out_of_date:
        console.print(Text(f"As of the last sync{_at(standing.as_of)}", style="dim"))
    kinds = Counter(effect.effect_kind for planned in found.packets for effect in planned.effects)
    writes = Counter(call.operation for planned in found.packets for call in planned.calls)
    what = ", ".join(f"{count} {effect_text(kind)}{'s' if count > 1 else ''}" for kind, count in kinds.most_common())
    console.print(Text.assemble(("Would be sent:", "bold"), f" {what or 'nothing'}"))
    if found.packets:
        calls = ", ".join(f"{count} {name}" for name, count in writes.most_common())
        console.print(Text.assemble((f"In {len(found.packets)} packets:", "bold"), f" {calls}"))
    console.print(
        Text.assemble(
            ("E-mails that Centra sends with refunds, completions and orders:", "bold"),
            f" {', '.join(policy.emails.sent) or 'none'}\n",
        )
    )
    for warning in policy.warnings():
        console.print(Text(f"! {warning}", style="yellow"))
    if found.packets:
        console.print(_packets(found.packets, every=every))
    if found.staying:
        console.print(_each_that_stays(found) if every else _staying(found))


def _packets(packets: list[PlannedPacket], *, every: bool) -> DataTable:
    listed = packets if every else packets[:_SHOWN]
    more = len(packets) - len(listed)
    table = DataTable(
        box=box.SIMPLE_HEAD, pad_edge=False, caption=f"… and {more} more: --all, or --json for every variable" if more else None,
        caption_justify="left",
    )  # fmt: skip
    for name in ("packet", "orders", "effects", "calls, in order"):
        table.add_column(name, overflow="fold")
    table.add_column("amount", justify="right")
    for planned in listed:
        orders = list(dict.fromkeys(effect.order_number for effect in planned.effects))
        has_money = any(effect.effect_kind in WITH_MONEY for effect in planned.effects)
        money = _money(planned.money) if has_money else ""
        table.add_row(
            planned.packet.key, ", ".join(orders[:2]) + (f" + {len(orders) - 2}" if len(orders) > 2 else ""),
            str(len(planned.effects)), " → ".join(call.operation for call in planned.calls), money,
        )  # fmt: skip
    return table


def _staying(found: Preview) -> DataTable:
    table = DataTable(title="Held back", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("effects", justify="right")
    table.add_column("kind")
    table.add_column("because", overflow="fold")
    for (kind, why), count in sorted(Counter((effect.effect_kind, why) for effect, why in found.staying).items()):
        table.add_row(str(count), effect_text(kind), why)
    if found.staying:
        table.caption, table.caption_justify = "Which returns and units: --all", "left"
    return table


def _each_that_stays(found: Preview) -> DataTable:
    table = DataTable(title="Held back", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("return", "unit", "kind", "because"):
        table.add_column(name, overflow="fold")
    for effect, why in sorted(
        found.staying, key=lambda one: (one[0].return_id, one[0].return_item_id or "", one[0].effect_kind)
    ):
        table.add_row(effect.return_id, effect.return_item_id or "", effect_text(effect.effect_kind), why)
    return table


def _money(amounts: dict[str, Decimal]) -> str:
    return "  ".join(shown(amount, currency) for currency, amount in sorted(amounts.items()))
