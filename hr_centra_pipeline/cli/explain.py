"""``hr-centra explain``: one return's whole story on a timeline."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal

from rich import box
from rich.console import Console
from rich.text import Text

from hr_centra_pipeline.cli.screen import width
from hr_centra_pipeline.cli.table import DataConsole, DataTable, echo
from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.publishing.refund_sentence import actor_sentence, refund_sentence, wait_sentence
from hr_centra_pipeline.reconciliation.story import Story, UnitStory, stories
from hr_centra_pipeline.warehouse.database import Warehouse

# What the story calls them, as people do.
_WHO = {"happy_returns": "Happy Returns", "pipeline": "hr-centra"}
_AMOUNTS = ("paid", "given back", "refundable")
_NARROW = 100
"""Below as many columns the amounts of a unit are below each other."""


def explain_return(named: str, *, as_json: bool = False) -> None:
    """Print the story of what is named.

    Raises:
        ConfigurationError: there is no database yet, or nothing has that name.
    """
    settings = Settings.from_environment()
    if not settings.database.exists():
        raise ConfigurationError(f"{settings.database}: there is no database yet; run `hr-centra sync` first.")
    with Warehouse(settings.database).transaction() as connection:
        found = stories(connection, named, clock.now())
    if as_json:
        echo(json.dumps([asdict(story) for story in found], indent=2, default=_plain))
        return
    console = DataConsole(width=min(width(), 140))
    for story in found:
        _print(console, story)


def _plain(value: object) -> str:
    """As the pages have it: a time in UTC, and an exact amount as text."""
    return clock.instant_text(value) if isinstance(value, datetime) else str(value)


def _print(console: Console, story: Story) -> None:
    code = f" ({story.express_code})" if story.express_code else ""
    console.print(Text.assemble((f"Return {story.return_id}", "bold"), f"{code}, order {', '.join(story.orders)}\n"))
    console.print(_units(story.units, is_narrow=console.width < _NARROW))
    for sentence in (*map(refund_sentence, story.refunds), *map(wait_sentence, story.waits), actor_sentence(story)):
        console.print(Text(sentence))
    console.print()
    timeline = DataTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("UTC", "who", "unit"):
        timeline.add_whole(name)
    timeline.add_column("what")
    day = ""
    for line in story.timeline:
        same_day, day = day == f"{line.at:%Y-%m-%d}", f"{line.at:%Y-%m-%d}"
        timeline.add_row(
            f"{'' if same_day else day:10} {line.at:%H:%M}", _WHO.get(line.who, line.who), line.unit or "", line.what
        )
    console.print(timeline)
    found = [one for one in story.exceptions if one.state == "open"]
    console.print(Text("Open exceptions", "bold") if found else "No open exception.")
    for one in found:
        console.print(Text.assemble("  ", (one.kind, "yellow"), f": {one.detail}\n    → {one.next_step}"))
    if waiting := [one for one in story.exceptions if one.state == "dry_run"]:
        console.print(Text("Open only because nothing is sent (dry run)", "bold"))
        for one in waiting:
            console.print(Text.assemble("  ", (one.kind, "dim"), f": {one.detail}"))
    console.print()


def _units(units: list[UnitStory], *, is_narrow: bool) -> DataTable:
    table = DataTable(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_whole("unit")
    for name in ("article", "wants", "graded", "effects"):
        table.add_column(name)
    for name in () if is_narrow else _AMOUNTS:
        table.add_whole(name, justify="right")
    for unit in units:
        chain = f" (root {unit.root_order}, {unit.chain_depth} exchanges)" if unit.chain_depth else ""
        amounts = [_money(amount, unit.currency) for amount in (unit.paid, unit.given, unit.refundable)]
        effects = unit.effects
        if is_narrow:
            effects = "\n".join(
                [effects, *(f"{name} {amount}" for name, amount in zip(_AMOUNTS, amounts, strict=True))]
            )
        table.add_row(
            unit.return_item_id, unit.sku or "-", (unit.refund_type or "-") + chain, unit.disposition or "-", effects,
            *([] if is_narrow else amounts),
        )  # fmt: skip
    return table


def _money(amount: Decimal | None, currency: str | None) -> str:
    return shown(amount, currency) if amount is not None and currency else "-"
