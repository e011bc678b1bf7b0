"""``hr-centra lineage``: what a table is made from, what is made from it, and by which files."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence

from rich import box
from rich.text import Text

from hr_centra_pipeline.cli.screen import width
from hr_centra_pipeline.cli.table import DataConsole, DataTable, echo
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.warehouse import models
from hr_centra_pipeline.warehouse.tables.month_end_tables import PUBLISHED_AS


def show_lineage(table: str, *, as_json: bool) -> None:
    """Print both sides of a table; the files are those on the way, the one that makes the table on the right last.

    Raises:
        ConfigurationError: nobody makes a table of this name.
    """
    table = _in_the_warehouse(table)
    if table not in models.tables():
        if table == "published.tables":
            raise ConfigurationError(
                f"{table} is a copy of every published table: name one, as reconciliation.exceptions."
            )
        near = difflib.get_close_matches(table, sorted(models.tables()), n=3)
        raise ConfigurationError(f"There is no table {table}. " + (f"Did you mean {', '.join(near)}?" if near else ""))
    lineage, downstream, looped_by = models.lineage(table), models.downstream(table), models.looped_by(table)
    made_by = list(dict.fromkeys(flow.file for flow in models.flows(table)))
    if as_json:
        whole = {
            "table": table, "made_by": made_by, "upstream": dict(lineage.upstream), "downstream": dict(downstream),
            "reads_as_the_last_run_left_it": dict(lineage.loops), "read_as_the_last_run_left_it_by": dict(looped_by),
        }  # fmt: skip
        echo(json.dumps(whole, indent=1))
        return
    console = DataConsole(width=min(width(), 140))
    console.print(Text(f"{table} is made by {', '.join(made_by)}"))
    for title, tables in (("is made from", lineage.upstream), ("is read for", downstream)):
        console.print(_both(f"{table} {title}", _ways(tables), "by way of"))
    for title, loops in (
        ("reads, as the last run left it", lineage.loops),
        ("is read, as the last run left it, for", looped_by),
    ):
        if loops:
            console.print(_both(f"{table} {title}", dict(loops), "because"))


def _in_the_warehouse(name: str) -> str:
    """The table behind a name that readers know, or that the UI gives its asset (``effects/units``)."""
    name = name.strip("/").replace("/", ".")
    behind = {public: own for own, public in PUBLISHED_AS.items()}
    return behind.get(name, name)


def _ways(tables: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The files on the way to each table; a way that goes on where that of a table above it ends names that table."""
    shown: dict[tuple[str, ...], str] = {}
    ways = {}
    for name, files in tables.items():
        way = tuple(files)
        known = next((end for end in range(len(way), 1, -1) if way[:end] in shown), 0)
        ways[name] = " ← ".join([f"as {shown[way[:known]]}", *way[known:]] if known else way)
        shown.setdefault(way, name)
    return ways


def _both(title: str, rows: dict[str, str], about: str) -> DataTable:
    shown = DataTable(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("table")
    shown.add_column(about)
    for name, text in rows.items():
        shown.add_row(name, text)
    if not rows:
        shown.add_row("nothing", "")
    return shown
