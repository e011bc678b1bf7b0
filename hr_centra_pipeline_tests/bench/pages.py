"""The pages with 0, 10 and 100,000 open exceptions: each page over HTTP, as a browser that is logged in asks for it."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import requests
from rich.console import Console
from rich.table import Table

from hr_centra_pipeline.publishing.page_tables import PAGES_DATABASE
from hr_centra_pipeline_tests.bench.measured import Measured
from hr_centra_pipeline_tests.pages.page_fixture import exception_id, fill, return_id
from hr_centra_pipeline_tests.pages.served_site import served

SIZES = (0, 10, int(os.environ.get("BENCH_EXCEPTIONS", "100000")))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "40"))
AIM_MS = 300
_PAGES = {
    "home": "/", "search, one order": "/search?q=100001", "search, a SKU": "/search?q=101-MOSS-S",
    "a return": f"/returns/{return_id(1)}", "worklist": "/worklist", "worklist, a team": "/worklist?team=finance",
    "worklist, overdue ones of a kind": "/worklist?kind=payout_mismatch&overdue=1", "worklist, nobody's": "/worklist?assignee=-",
    "worklist, an order": "/worklist?q=100001", "an exception": f"/exceptions/{exception_id(1)}", "warehouse": "/warehouse",
    "warehouse, a box": "/warehouse?box=OB-0003", "put-away, to print": "/warehouse/print", "health": "/health",
    "finance": "/finance", "decisions": "/decisions",
}  # fmt: skip


def measure() -> Iterator[Measured]:
    """For each page the 95th percentile with the most exceptions, next to that with ten. Prints medians, too."""
    taken = {size: _times(size) for size in SIZES}
    table = Table("page", *(f"{size:,}: p50, p95 in ms" for size in SIZES))
    for name in _PAGES:
        table.add_row(
            name, *(f"{statistics.median(taken[size][name]):.0f}, {_p95(taken[size][name]):.0f}" for size in SIZES)
        )
    Console(width=160).print(table)
    ten, most = SIZES[1:]
    for name in _PAGES:
        yield Measured(
            f"page: {name}, {most:,} exceptions, p95", _p95(taken[most][name]), "with 10", _p95(taken[ten][name]),
            f"< {AIM_MS} ms", unit="ms",
        )  # fmt: skip


def _times(exceptions: int) -> dict[str, list[float]]:
    """Milliseconds of each request, by page; the pages take turns."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "published").mkdir()
        fill(home / "published" / PAGES_DATABASE, returns=max(20, exceptions), exceptions=exceptions)
        with served(home) as (address, link), requests.Session() as session:
            session.get(link, timeout=30).raise_for_status()
            times: dict[str, list[float]] = {name: [] for name in _PAGES}
            for round_ in range(ROUNDS + 2):
                for name, path in _PAGES.items():
                    started = time.perf_counter()
                    answer = session.get(address + path, timeout=60)
                    if round_ >= 2:  # the first ones compile templates and read the manual
                        times[name].append((time.perf_counter() - started) * 1_000)
                    if answer.status_code not in (200, 404):
                        raise RuntimeError(f"{path}: {answer.status_code}")
            return times


def _p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]
