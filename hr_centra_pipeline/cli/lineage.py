"""``hr-centra lineage``: what a table is made from, what is made from it, and by which files."""

from __future__ import annotations

import difflib
import json

from rich import box
from rich.text import Text

from hr_centra_pipeline.cli.screen import width
from hr_centra_pipeline.cli.table import DataConsole, DataTable, echo
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.warehouse import models


def show_lineage(table: str, *, as_json: bool) -> None:
    """Print both sides of a table; the files are those on the way, the one that makes the table on the right last.

    Raises:
        ConfigurationError: nobody makes a table of this name.
    """
    if table not in models.tables():
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
    echo(f"{table}: made by {', '.join(made_by)}")
    for title, tables in (("is made from", lineage.upstream), ("is read for", downstream)):
        console.print(
            _both(f"{table} {title}", {name: " ← ".join(files) for name, files in tables.items()}, "by way of")
        )
    for title, loops in (
        ("reads, as the last run left it", lineage.loops),
        ("is read, as the last run left it, for", looped_by),
    ):
        if loops:
            console.print(_both(f"{table} {title}", dict(loops), "because"))


def _both(title: str, rows: dict[str, str], about: str) -> DataTable:
    shown = DataTable(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("table")
    shown.add_column(about)
    for name, text in rows.items():
        shown.add_row(name, text)
    if not rows:
        shown.add_row("nothing", "")
    return shown
