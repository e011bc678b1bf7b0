"""``hr-centra plan``: what a live run would send now, call by call, and what it would leave and why."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import simplejson
from rich import box
from rich.text import Text

from hr_centra_pipeline.cli.table import DataConsole, DataTable, echo
from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.core.policy import Policy, load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.push.preview import PlannedPacket, Preview, preview
from hr_centra_pipeline.warehouse.database import Warehouse

_SHOWN = 25
_WITHOUT_MONEY = frozenset({"note", "customer_note", "attribute", "release"})


def show_plan(*, every: bool = False, as_json: bool = False) -> None:
    """Print the last sync's plan as it stands now.

    Raises:
        ConfigurationError: there is no database yet, or the policy is wrong.
        RunFailed: another process had the database for 30 seconds; a push gives it away between two requests.
    """
    settings = Settings.from_environment()
    policy = load_policy(settings.policy_path).policy
    if not settings.database.exists():
        raise ConfigurationError(f"{settings.database}: there is no database yet; run `hr-centra sync` first.")
    with Warehouse(settings.database).transaction() as connection:
        found = preview(connection, policy, clock.now())
    if as_json:
        echo(_json(found, policy))
    else:
        _print(found, policy, every=every)


def _json(found: Preview, policy: Policy) -> str:
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
    staying = [
        {"effect_key": effect.effect_key, "effect_kind": effect.effect_kind, "why": why}
        for effect, why in found.staying
    ]
    about = {
        "packets": packets,
        "staying": staying,
        "emails": policy.emails.model_dump(),
        "warnings": policy.warnings(),
    }
    return simplejson.dumps(about, indent=2, use_decimal=True, default=str)


def _print(found: Preview, policy: Policy, *, every: bool) -> None:
    console = DataConsole(width=min(DataConsole().width, 118))
    kinds = Counter(effect.effect_kind for planned in found.packets for effect in planned.effects)
    writes = Counter(call.operation for planned in found.packets for call in planned.calls)
    what = ", ".join(
        f"{count} {kind.replace('_', ' ')}{'s' if count > 1 else ''}" for kind, count in kinds.most_common()
    )
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
        console.print(_staying(found))


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
        money = "" if planned.packet.operation in _WITHOUT_MONEY else _money(planned.money)
        table.add_row(
            planned.packet.key, ", ".join(orders[:2]) + (f" + {len(orders) - 2}" if len(orders) > 2 else ""),
            str(len(planned.effects)), " → ".join(call.operation for call in planned.calls), money,
        )  # fmt: skip
    return table


def _staying(found: Preview) -> DataTable:
    table = DataTable(title="Stays", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("effects", justify="right")
    table.add_column("kind")
    table.add_column("because", overflow="fold")
    for (kind, why), count in sorted(Counter((effect.effect_kind, why) for effect, why in found.staying).items()):
        table.add_row(str(count), kind.replace("_", " "), why)
    return table


def _money(amounts: dict[str, Decimal]) -> str:
    return "  ".join(shown(amount, currency) for currency, amount in sorted(amounts.items()))
