"""``hr-centra shadow``: what we would have done next to what people did in Centra, and whether that is enough to go live."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from rich import box
from rich.text import Text

from hr_centra_pipeline.cli.table import DataConsole, DataTable, echo_json
from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.kinds import CALLED
from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.reconciliation.shadow import Outcome, ShadowReport, report
from hr_centra_pipeline.warehouse import lock
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.policy_tables import write_policy

_WORDS = {
    "same": "the same", "amounts_differ": "something else", "we_would_they_did_not": "we would have, they did not",
    "they_did_we_would_not": "they did, we would not have", "too_early": "too early to say",
}  # fmt: skip
_EFFECTS = ("credit_note", "inventory_adjustment", "exchange_order")  # status notes are not compared
_LISTED = 15


def show_shadow(since: str | None, until: str | None, *, as_json: bool = False) -> None:
    """Print the report of a period (UTC days, the last not included; default: what the policy asks for, twice).

    Raises:
        ConfigurationError: a day is misspelt, or there is no database yet.
        RunFailed: a sync is under way and did not end within 30 seconds.
    """
    settings = Settings.from_environment()
    policy = load_policy(settings.policy_path).policy
    if not settings.database.exists():
        raise ConfigurationError(f"{settings.database}: there is no database yet; run `hr-centra sync` first.")
    end = _day(until, "--to") if until else clock.now()
    begin = _day(since, "--from") if since else end - timedelta(days=2 * policy.shadow.days)
    if begin >= end:
        raise ConfigurationError(f"--from {begin:%Y-%m-%d} must be before --to {end:%Y-%m-%d}.")
    with (
        lock.held(settings.lock_path, "hr-centra shadow", wait_seconds=30),
        Warehouse(settings.database).transaction() as connection,
    ):
        write_policy(connection, policy, settings.mode)
        found = report(connection, begin, end)
        worst = _worst(connection, found)
    if as_json:
        names = ("what", "outcome", "sided_with", "detail")
        differences = [dict(zip(names, one, strict=True)) for one in worst]
        echo_json({**asdict(found), "is_ready": found.is_ready, "differences": differences})
        return
    _print(found, worst)


def _day(text: str, option: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ConfigurationError(f"{option} {text}: write a day like 2026-09-30.") from None


def _worst(connection: Connection, found: ShadowReport) -> list[tuple[str, str, str, str]]:
    rows = connection.execute(
        """
        select coalesce(return_id, source, shadow_id), outcome, sided_with, detail, at_stake, currency
        from reconciliation.shadow
        where happened_at >= ? and happened_at < ? and outcome not in ('same', 'too_early')
        order by sided_with = 'us', at_stake desc nulls last, shadow_id limit ?
        """,
        [found.since, found.until, _LISTED],
    ).fetchall()
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def _print(found: ShadowReport, worst: list[tuple[str, str, str, str]]) -> None:
    console = DataConsole()
    console = console if console.is_terminal else DataConsole(width=118)
    console.print(
        Text(
            f"Shadow report, {found.since:%Y-%m-%d} to {found.until:%Y-%m-%d} UTC: what people did in Centra, next to us",
            "bold",
        )
    )
    console.print(_outcomes(found.outcomes))
    if worst:
        table = DataTable(
            title="Differences, those without Happy Returns on our side first",
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
        )
        for column in ("return", "outcome", "Happy Returns sides with", "detail"):
            table.add_column(column, overflow="fold")
        for what, outcome, side, detail in worst:
            table.add_row(what, _WORDS[outcome], side, detail)
        console.print(table)
    criteria = DataTable(title="Ready to go live?", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("criterion", "required", "found", ""):
        criteria.add_column(column)
    for one in found.criteria:
        criteria.add_row(
            one.criterion,
            one.required,
            one.found,
            Text("met" if one.passed else "not met", "green" if one.passed else "red"),
        )
    console.print(criteria)
    missing = sum(not one.passed for one in found.criteria)
    console.print(
        Text("READY TO GO LIVE", "bold green")
        if found.is_ready
        else Text(f"NOT READY: {missing} of {len(found.criteria)} criteria are not met", "bold red")
    )
    console.print(Text("All decisions: reconciliation.shadow in the published tables.", "dim"))


def _outcomes(outcomes: list[Outcome]) -> DataTable:
    table = DataTable(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("decision")
    table.add_column("outcome")
    table.add_column("decisions", justify="right")
    table.add_column("money at stake")
    lines: dict[tuple[str, str], tuple[int, dict[str, Decimal]]] = {}
    for one in outcomes:
        count, money = lines.get((one.effect_kind, one.outcome), (0, {}))
        if one.currency and one.at_stake:
            money = {**money, one.currency: money.get(one.currency, Decimal(0)) + one.at_stake}
        lines[one.effect_kind, one.outcome] = (count + one.decisions, money)
    for kind, label in ((kind, CALLED[kind]) for kind in _EFFECTS):
        for outcome, words in _WORDS.items():
            if (kind, outcome) in lines:
                count, money = lines[kind, outcome]
                table.add_row(
                    label,
                    words,
                    f"{count:,}",
                    "  ".join(shown(amount, currency) for currency, amount in sorted(money.items())),
                )
    if not lines:
        table.add_row("none", "", "", "")
    return table
