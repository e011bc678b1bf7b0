"""``hr-centra backfill``: history of both sides, landed and planned; nothing is sent."""

from __future__ import annotations

from datetime import date, timedelta

from rich import box
from rich.text import Text

from hr_centra_pipeline.cli.progress_bar import progress
from hr_centra_pipeline.cli.screen import width
from hr_centra_pipeline.cli.table import DataConsole, DataTable, echo, echo_json
from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.core.words import effect_text
from hr_centra_pipeline.warehouse.database import Warehouse


def run_backfill(from_: str, to: str, *, again: bool = False, as_json: bool = False) -> None:
    """Read the days, say what was read and what stays unsent.

    Raises:
        ConfigurationError: a day is misspelt, or the range is none.
        RunFailed: another backfill is under way, or Centra could not be read; what was read is kept.
    """
    first, last = _day("--from", from_), _day("--to", to)
    today = clock.now().date()
    if last < first:
        raise ConfigurationError(f"--from {first} --to {last}: the first day is after the last one.")
    settings = Settings.from_environment()
    settings.required("exports", "centra_graphql_url", "centra_token", "centra_order_api_url", "centra_order_api_key")
    earliest = load_policy(settings.policy_path).policy.first_day
    if first < earliest or last > today:
        raise ConfigurationError(
            f"--from {first} --to {last}: name days from {earliest} to today, {today}. Set [backfill] first_day in the policy for"
            " earlier ones."
        )
    # Imported here: Dagster takes seconds, and mistakes are reported before.
    from hr_centra_pipeline.definitions import defs
    from hr_centra_pipeline.orchestration import once

    with progress(f"Backfill of {(last - first) / timedelta(days=1) + 1:.0f} days …"):
        run_id = once.backfill(defs, settings, first, last, again=again)
    _show(settings, run_id, first, last, as_json=as_json)


def _day(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{option} {text}: write a day like 2026-09-30.") from None


def _show(settings: Settings, run_id: str, first: date, last: date, *, as_json: bool) -> None:
    with Warehouse(settings.database).transaction() as connection:
        read = connection.execute(
            """
            select object, count(*), coalesce(sum(rows_read), 0), coalesce(sum(rows_landed), 0)
            from landing.centra_history
            where is_complete and window_from < ?::date + 1 and window_to > ?::date
            group by object order by object
            """,
            [last, first],
        ).fetchall()
        unsent = connection.execute(
            """
            select effect_kind, effects, amount, currency, reason from operations.backfill_reports
            where run_id = ? order by reason, effect_kind, currency
            """,
            [run_id],
        ).fetchall()
    if as_json:
        named = (
            ("object", "slices", "objects_read", "new_or_changed"),
            ("effect", "effects", "amount", "currency", "because"),
        )
        lists = [
            [dict(zip(names, row, strict=True)) for row in rows]
            for names, rows in zip(named, (read, unsent), strict=True)
        ]
        echo_json({"run_id": run_id, "from": first, "to": last, "read": lists[0], "left_unsent": lists[1]})
        return
    console = DataConsole(width=min(width(), 118))
    console.print(
        Text.assemble(
            (f"Read {first} to {last}", "bold"),
            f" (run {run_id[:8]}; days that were read before are counted, not reread)",
        )
    )
    table = DataTable(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("from Centra")
    for name in ("slices", "objects read", "new or changed"):
        table.add_column(name, justify="right")
    for name, *counts in read:
        table.add_row(name.replace("_", " "), *(f"{count:,}" for count in counts))
    console.print(table)
    if not unsent:
        console.print("Nothing remains to be sent.")
        return
    table = DataTable(
        title="Left unsent", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("effects", justify="right")
    table.add_column("kind")
    table.add_column("amount", justify="right")
    table.add_column("because", overflow="fold")
    for kind, effects, amount, currency, reason in unsent:
        money = "" if amount is None or currency is None else shown(amount, currency)
        table.add_row(f"{effects:,}", effect_text(kind), money, reason)
    console.print(table)
    echo(
        "A backfill never sends. The hourly sync sends what is due; returns before the cut-over are sent only after "
        "`hr-centra adopt`."
    )
