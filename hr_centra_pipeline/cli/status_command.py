"""``hr-centra status``: how it goes, on one screen, from what was published and Dagster's records."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich import box
from rich.text import Text

from hr_centra_pipeline.cli.dagster_store import DagsterState, LastRun, dagster_state
from hr_centra_pipeline.cli.screen import stopped, width
from hr_centra_pipeline.cli.table import DataConsole, DataTable, echo_json
from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.core.kinds import CALLED, OWNERS
from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.core.policy import load_policy, more_careful
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.publishing.page_tables import PAGES_DATABASE

Row = dict[str, Any]
DECISIONS = "decisions.sqlite"
_QUIET_SECONDS = 300.0
"""A daemon that was heard of as long ago is not running."""
_LINES = 4
_NARROW = 100
"""Below as many columns amounts of several currencies are below each other."""


def show_status(*, as_json: bool = False) -> int:
    """Print the screen. Answers the exit code: 0, or 1 when the last sync failed or nothing was synced yet."""
    found = collected(Settings.from_environment())
    if as_json:
        echo_json(found)
    else:
        _print(DataConsole(width=min(width(), 118)), found)
    return 0 if found["is_fine"] else 1


def collected(settings: Settings) -> Row:
    """All that the screen shows, as plain values. ``is_fine``: the last sync ended well."""
    state = dagster_state(settings)
    pages = _pages(settings.published / PAGES_DATABASE)
    last = _latest(state)
    is_fine = pages is not None and not (last and last.state == "failed")
    return {
        "is_fine": is_fine,
        "home": str(settings.home),
        "as_of": pages["as_of"] if pages else None,
        "last_sync": _run(last),
        "modes": _modes(settings),
        "stopped": stopped(settings),
        **(pages["lists"] if pages else {name: [] for name in _LISTS}),
        "dry_run_only": pages["dry_run_only"] if pages else 0,
        "decisions_waiting": _decisions_waiting(settings),
        "schedule": _schedule(settings, state),
        "next_step": _next_step(settings, last, pages),
    }


# ---------------------------------------------------------------- what was published

_LISTS = {
    "exceptions": """
        select owner_team, currency, sum(exceptions) as open, sum(overdue) as overdue, group_concat(amount) as amounts
        from exception_counts where state = 'open' group by owner_team, currency order by owner_team, currency
    """,
    "waiting": """
        select effect_kind, must_act, count(*) as effects, currency, group_concat(amount) as amounts, min(held_until) as first_until
        from holds group by effect_kind, must_act, currency order by effect_kind, must_act, currency
    """,
    "health": "select area, name, value, level, at, next_step from health order by place",
    "months": "select month, standing, is_over, status, closed_at from months order by month",
}


def _pages(path: Path) -> Row | None:
    """What the last sync published; ``None``: nothing yet.

    Raises:
        RunFailed: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        return _read(path)
    except sqlite3.DatabaseError as error:
        raise RunFailed(f"{path} cannot be read ({error}): the next sync writes it again.") from None


def _read(path: Path) -> Row | None:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("begin")  # one state of it, also while a sync writes the next one
        row = connection.execute("select as_of from publication").fetchone()
        if row is None:
            return None
        lists = {name: [dict(one) for one in connection.execute(query)] for name, query in _LISTS.items()}
        (dry_run_only,) = connection.execute(
            "select coalesce(sum(exceptions), 0) from exception_counts where state = 'dry_run'"
        ).fetchone()
    for one in (*lists["exceptions"], *lists["waiting"]):
        amounts = one.pop("amounts")
        one["amount"] = sum((Decimal(amount) for amount in amounts.split(",")), Decimal(0)) if amounts else None
        one["currency"] = one["currency"] or None
    return {"as_of": row["as_of"], "lists": lists, "dry_run_only": dry_run_only}


# ---------------------------------------------------------------- the rest


def _latest(state: DagsterState | None) -> LastRun | None:
    runs = state.runs if state else ()
    return max(runs, key=lambda run: run.started_at or datetime.min.replace(tzinfo=UTC), default=None)


def _run(run: LastRun | None) -> Row | None:
    if run is None:
        return None
    return {
        "job": run.job, "run_id": run.run_id, "state": run.state, "started_at": run.started_at,
        "seconds": round(run.seconds, 1) if run.seconds is not None else None, "said": run.said,
    }  # fmt: skip


def _modes(settings: Settings) -> Row:
    """How each effect type is sent; empty where the policy cannot be read: `doctor` says why."""
    try:
        modes = load_policy(settings.policy_path).policy.modes
    except ConfigurationError:
        return {}
    return {name: more_careful(getattr(modes, name), settings.mode) for name in type(modes).model_fields}


def _decisions_waiting(settings: Settings) -> int:
    """Decisions of the pages that the next sync carries out."""
    if not (settings.home / DECISIONS).exists():
        return 0
    # Imported here: its database library is only worth its time where there is a store.
    from hr_centra_pipeline.decisions.decision_store import DecisionStore

    return DecisionStore(settings.home / DECISIONS).waiting_count()


def _schedule(settings: Settings, state: DagsterState | None) -> Row:
    heard = state.daemon_heard_at if state else None
    is_demo = (
        settings.home / "sandbox"
    ).is_dir()  # as in orchestration/jobs.py: there it is on without being switched on
    return {
        "cron": os.environ.get("HR_CENTRA_SYNC_CRON", "7 * * * *"),
        "is_on": (state.schedule or ("on" if is_demo else "off")) == "on" if state else None,
        "daemon_heard_at": heard,
        "is_daemon_running": time.time() - heard.timestamp() <= _QUIET_SECONDS if heard else (False if state else None),
    }


def _next_step(settings: Settings, last: LastRun | None, pages: Row | None) -> str:
    if last and last.state == "failed":
        return (
            "Correct what the failed step says, then run `hr-centra sync`; `hr-centra doctor` checks what a sync needs."
        )
    if pages is None:
        return "Run `hr-centra sync`: nothing was published yet. `hr-centra doctor` checks what it needs."
    if switch := stopped(settings):
        return switch
    wrong = next((one for one in pages["lists"]["health"] if one["level"] == "error" and one["next_step"]), None)
    if wrong:
        return f"{wrong['name']}: {wrong['next_step']}"
    overdue: dict[str, int] = {}
    for one in pages["lists"]["exceptions"]:
        overdue[one["owner_team"]] = overdue.get(one["owner_team"], 0) + one["overdue"]
    team = max(overdue, key=lambda name: overdue[name], default="")
    if team and overdue[team]:
        return f"Work off the overdue exceptions: hr-centra exceptions --team {team}"
    if settings.mode == "dry_run":
        return "Look at what would be sent (`hr-centra plan`) and whether that is what people do (`hr-centra shadow`)."
    return "Nothing is urgent."


# ---------------------------------------------------------------- the screen


def _print(console: DataConsole, found: Row) -> None:
    console.print(_head(found))
    if found["as_of"]:
        between = "\n" if console.width < _NARROW else "  "
        for table in (_exceptions(found, between), _waiting(found, between)):
            console.print("", table)
        _print_lists(console, found)
    console.print(Text.assemble(("Next  ", "bold"), found["next_step"]))


def _head(found: Row) -> DataTable:
    run, schedule = found["last_sync"], found["schedule"]
    if run is None:
        said = Text("no run is recorded here")
    else:
        color = {"done": "green", "failed": "bold red"}.get(run["state"], "yellow")
        said = Text.assemble((run["state"], color), f", {_at(run['started_at'])}")
        said.append(f", took {_took(run['seconds'])}" if run["seconds"] is not None else "")
        said.append(" (events)" if run["job"] == "event_sync" else "")
        said.append(f"\n{run['said'].splitlines()[0]} (run {run['run_id'][:8]})" if run["said"] else "")
    modes = ", ".join(f"{CALLED.get(name, name)}: {mode.replace('_', ' ')}" for name, mode in found["modes"].items())
    daemon = {True: "daemon running", False: "no daemon", None: "see `hr-centra doctor`"}[schedule["is_daemon_running"]]
    is_on = {True: "on", False: "off", None: "not known here"}[schedule["is_on"]]
    grid = DataTable(box=None, show_header=False, pad_edge=False)
    grid.add_whole("", style="bold")
    grid.add_column("")
    grid.add_row("Home", found["home"])
    grid.add_row("Last sync", said)
    grid.add_row("Sending", modes or "the policy cannot be read: `hr-centra doctor` says why")
    grid.add_row("Schedule", f"{is_on} ({schedule['cron']}), {daemon}")
    if found["stopped"]:
        grid.add_row(Text("Stopped", "bold yellow"), Text(found["stopped"], "bold yellow"))
    if found["as_of"]:
        grid.add_row("Published", f"as of {_at(found['as_of'])}")
    if found["decisions_waiting"]:
        grid.add_row(
            "Decisions", f"{found['decisions_waiting']:,} wait for the next sync: hr-centra decisions --waiting"
        )
    return grid


def _exceptions(found: Row, between: str) -> DataTable:
    table = _table("Open exceptions")
    table.add_column("team", no_wrap=True)
    table.add_column("open", justify="right")
    table.add_column("overdue", justify="right")
    table.add_column("at stake")
    for team in OWNERS:
        rows = [one for one in found["exceptions"] if one["owner_team"] == team]
        overdue = sum(one["overdue"] for one in rows)
        table.add_row(
            team.replace("_", " "), f"{sum(one['open'] for one in rows):,}", Text(f"{overdue:,}", "red" if overdue else "dim"),
            _money(rows, between),
        )  # fmt: skip
    if found["dry_run_only"]:
        table.caption = f"{found['dry_run_only']:,} more are open only because nothing is sent in a dry run."
        table.caption_justify = "left"
    return table


def _waiting(found: Row, between: str) -> DataTable:
    table = _table("Waiting to be sent")
    table.add_column("effect", no_wrap=True)
    table.add_column("who must act", no_wrap=True)
    table.add_column("effects", justify="right")
    table.add_column("amount")
    for key in dict.fromkeys((one["effect_kind"], one["must_act"]) for one in found["waiting"]):
        rows = [one for one in found["waiting"] if (one["effect_kind"], one["must_act"]) == key]
        first = min((one["first_until"] for one in rows if one["first_until"]), default=None)
        who = key[1].replace("_", " ").replace("hr centra", "hr-centra") + (f", from {_at(first)}" if first else "")
        table.add_row(
            CALLED.get(key[0], key[0]), who, f"{sum(one['effects'] for one in rows):,}", _money(rows, between)
        )
    if not found["waiting"]:
        table.add_row("nothing", "", "", "")
    return table


def _print_lists(console: DataConsole, found: Row) -> None:
    wrong = sorted((one for one in found["health"] if one["level"] != "ok"), key=lambda one: one["level"] != "error")
    fine = len(found["health"]) - len(wrong)
    console.print(Text.assemble(("\nHealth", "bold"), f"  {fine} in order, {len(wrong)} not"))
    grid = DataTable(box=None, show_header=False, pad_edge=False)
    grid.add_whole("")
    grid.add_column("")
    for one in wrong[:_LINES]:
        sign = Text("  ✗", "red") if one["level"] == "error" else Text("  !", "yellow")
        what = Text(f"{one['area'].replace('_', ' ')}, {one['name']}: {one['value']}")
        grid.add_row(sign, what.append(f"\n→ {one['next_step']}", "dim") if one["next_step"] else what)
    console.print(grid)
    if len(wrong) > _LINES:
        console.print(Text(f"  … and {len(wrong) - _LINES} more: hr-centra status --json", "dim"))
    due = [one for one in found["months"] if one["is_over"] and one["standing"] != "certified"]
    months = ", ".join(
        f"{one['month']} ({one['standing']}{', ' + _tie(one) if _tie(one) else ''})" for one in due[-_LINES:]
    )
    console.print(Text.assemble(("\nMonths", "bold"), f"  {months or 'none is due'}\n"))


def _tie(month: Row) -> str:
    return str(month["status"]).replace("_", " ")


def _table(title: str) -> DataTable:
    return DataTable(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False
    )


def _money(rows: list[Row], between: str) -> str:
    money: dict[str, Decimal] = {}
    for one in rows:
        if one["currency"] and one["amount"]:
            money[one["currency"]] = money.get(one["currency"], Decimal(0)) + one["amount"]
    # An amount is not torn from its currency.
    return between.join(shown(amount, currency) for currency, amount in sorted(money.items()))


def _at(instant: datetime | str | None) -> str:
    if instant is None:
        return "not started"
    at = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _took(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
