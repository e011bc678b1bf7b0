"""``make bench``: every measure, one after another, as a table of ratios. Figures depend on the machine; ratios hardly."""

from __future__ import annotations

import importlib
import sys

from rich.console import Console
from rich.table import Table

MEASURES = ("ingest", "sync", "hourly", "four_way", "month_end", "push", "reaction", "pages", "page_file")


def main() -> None:
    """Run the measures that are named on the command line, or all."""
    table = Table("what", "ours", "next to", "theirs", "ratio", "aim")
    for name in sys.argv[1:] or MEASURES:
        module = importlib.import_module(f"hr_centra_pipeline_tests.bench.{name}")
        for measured in module.measure():
            table.add_row(*measured.row())
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
