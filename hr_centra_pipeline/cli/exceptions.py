"""``hr-centra exceptions``: what is in trouble, one by one, from the published copy; also while a sync has the warehouse."""

from __future__ import annotations

from decimal import Decimal
from difflib import get_close_matches
from typing import Any

import duckdb
from rich import box
from rich.text import Text

from hr_centra_pipeline.cli.screen import width
from hr_centra_pipeline.cli.table import DataConsole, DataTable, echo_json, plain
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.exception_kinds import EXCEPTION_KINDS
from hr_centra_pipeline.core.kinds import OWNERS
from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.publishing.publish import DATABASE


def show_exceptions(
    team: str | None, *, kind: str | None = None, limit: int | None = None, as_json: bool = False
) -> None:
    """Print the open exceptions of the last sync, the most urgent first; the totals are of all, ``limit`` or not.

    Raises:
        ConfigurationError: nothing was published yet, or no team or kind has that name.
    """
    if team is not None and team not in OWNERS:
        raise ConfigurationError(f"--team {team}: one of {', '.join(OWNERS)}.")
    if kind is not None and kind not in EXCEPTION_KINDS:
        near = get_close_matches(kind, EXCEPTION_KINDS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ConfigurationError(f"--kind {kind}: no such kind; docs/exceptions.md lists them.{hint}")
    file = Settings.from_environment().published / DATABASE
    if not file.exists():
        raise ConfigurationError(f"{file}: nothing was published yet; run `hr-centra sync` first.")
    with duckdb.connect(file, read_only=True) as published:
        published.execute("set timezone = 'UTC'")
        found = published.execute(
            """
            select * from reconciliation.exceptions where ($team is null or owner_team = $team) and ($kind is null or kind = $kind)
            order by overdue desc, due_at, kind, return_id, return_item_id, exception_id
            """,
            {"team": team, "kind": kind},
        )
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        (as_of,) = published.execute("select as_of from meta.published").fetchone() or (None,)
        dry_run = _dry_run_items(published)
    if as_json:
        echo_json(rows[:limit])
        return
    console = DataConsole(width=min(width(), 140))
    console.print(Text(f"As of the last sync at {as_of:%Y-%m-%d %H:%M UTC}", "dim"))
    if dry_run:
        console.print(
            Text(
                f"Not listed: {dry_run:,} open only because nothing is sent (dry run): reconciliation.dry_run_items",
                "dim",
            )
        )
    if not rows:
        console.print("No open exceptions.")
        return
    table, left_out = _table(rows[:limit], console.width)
    DataConsole(width=_WIDEST).print(table, soft_wrap=True)
    console.print(_totals(rows, limit))
    hint = f"Not shown for lack of space: {', '.join(left_out)}. " if left_out else ""
    console.print(Text(f"{hint}Details: hr-centra explain RETURN, or --json", "dim"))


def _totals(rows: list[dict[str, Any]], limit: int | None) -> Text:
    """How many, how many overdue, and their money by currency."""
    overdue = sum(row["overdue"] for row in rows)
    money: dict[str, Decimal] = {}
    for row in rows:
        if row["currency"] and row["amount"] is not None:
            money[row["currency"]] = money.get(row["currency"], Decimal(0)) + row["amount"]
    amounts = "  ".join(shown(amount, currency) for currency, amount in sorted(money.items()))
    more = f" ({limit:,} shown: --limit)" if limit is not None and limit < len(rows) else ""
    return Text.assemble(
        (f"{len(rows):,} open", "bold"), more, ", ", (f"{overdue:,} overdue", "red" if overdue else ""),
        f"; at stake {amounts}" if amounts else "",
    )  # fmt: skip


def _dry_run_items(published: duckdb.DuckDBPyConnection) -> int:
    """How many are open only because nothing is sent; a copy that an earlier version published has no list of them."""
    query = "select 1 from duckdb_tables() where schema_name = 'reconciliation' and table_name = 'dry_run_items'"
    if published.execute(query).fetchone() is None:
        return 0
    row = published.execute("select count(*) from reconciliation.dry_run_items").fetchone()
    return int(row[0]) if row else 0


# Columns, and which stay when the terminal is narrow: the first.
_COLUMNS = ("kind", "owner", "return", "unit", "order", "amount", "due")
_KEPT = ("kind", "return", "due", "amount", "order", "unit", "owner")
_BETWEEN = 3  # characters
_WIDEST = 1_000


def _table(rows: list[dict[str, Any]], wide: int) -> tuple[DataTable, list[str]]:
    """The list, and the columns that do not fit. Nothing in it is broken: whatever it shows is there to be pasted."""
    cells = [_cells(row) for row in rows]
    needed = {name: max(len(name), *(len(plain(row[name])) for row in cells)) for name in _COLUMNS}
    kept: list[str] = []
    for name in _KEPT:
        if len(kept) > 2 and sum(needed[one] + _BETWEEN for one in (*kept, name)) > wide + 1:
            break
        kept.append(name)
    table = DataTable(box=box.SIMPLE_HEAD, pad_edge=False)
    names = [name for name in _COLUMNS if name in kept]
    for name in names:
        table.add_whole(name, justify="right" if name == "amount" else "left")
    for row, given in zip(cells, rows, strict=True):
        if "order" not in kept:
            row["return"] = row["return"] or row["order"]
        table.add_row(*(Text(plain(row[name]), "red" if name == "due" and given["overdue"] else "") for name in names))
    return table, [name for name in _COLUMNS if name not in kept]


def _cells(row: dict[str, Any]) -> dict[str, str]:
    has_amount = row["currency"] and row["amount"] is not None
    return {
        "kind": row["kind"], "owner": row["owner_team"], "return": row["return_id"] or "", "unit": row["return_item_id"] or "",
        "order": row["order_number"] or "", "amount": shown(row["amount"], row["currency"]) if has_amount else "",
        "due": f"{row['due_at']:%Y-%m-%d}{' overdue' if row['overdue'] else ''}",
    }  # fmt: skip
