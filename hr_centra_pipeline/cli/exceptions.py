"""``hr-centra exceptions``: what is in trouble, one by one, from the published copy; also while a sync has the warehouse."""

from __future__ import annotations

from typing import Any

import duckdb
import simplejson
from rich import box
from rich.text import Text

from hr_centra_pipeline.cli.screen import width
from hr_centra_pipeline.cli.table import DataConsole, DataTable, echo
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.kinds import OWNERS
from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.publishing.publish import DATABASE


def show_exceptions(owner: str | None, *, as_json: bool = False) -> None:
    """Print the open exceptions of the last sync, the most urgent first.

    Raises:
        ConfigurationError: nothing was published yet, or no team has that name.
    """
    if owner is not None and owner not in OWNERS:
        raise ConfigurationError(f"--owner {owner}: one of {', '.join(OWNERS)}.")
    file = Settings.from_environment().published / DATABASE
    if not file.exists():
        raise ConfigurationError(f"{file}: nothing was published yet; run `hr-centra sync` first.")
    with duckdb.connect(file, read_only=True) as published:
        published.execute("set timezone = 'UTC'")
        found = published.execute(
            """
            select * from reconciliation.exceptions where $owner is null or owner_team = $owner
            order by overdue desc, due_at, kind, return_id, return_item_id, exception_id
            """,
            {"owner": owner},
        )
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        (as_of,) = published.execute("select as_of from meta.published").fetchone() or (None,)
    if as_json:
        echo(simplejson.dumps(rows, indent=2, use_decimal=True, default=str))
        return
    console = DataConsole(width=min(width(), 140))
    if rows:
        console.print(_table(rows))
    else:
        console.print("No open exceptions.")
    console.print(
        Text(f"As of the last sync at {as_of:%Y-%m-%d %H:%M UTC}; details: hr-centra explain RETURN, or --json", "dim")
    )


def _table(rows: list[dict[str, Any]]) -> DataTable:
    table = DataTable("kind", "owner", "return", "unit", "order", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("amount", justify="right")
    table.add_column("due")
    for row in rows:
        amount = shown(row["amount"], row["currency"]) if row["currency"] and row["amount"] is not None else ""
        due = Text(f"{row['due_at']:%Y-%m-%d}", "red" if row["overdue"] else "")
        table.add_row(
            row["kind"], row["owner_team"], *(row[name] or "" for name in ("return_id", "return_item_id", "order_number")),
            amount, due,
        )  # fmt: skip
    return table
