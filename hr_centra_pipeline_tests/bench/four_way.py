"""The four-way refund match: in SQL next to pandas, on the same facts with the same verdicts; and exceptions from nothing.

pandas is measured twice: with ``Decimal`` amounts, as whoever wants exact money in a data frame writes it, and with whole
ten-thousandths, which is quicker and leaves the exactness to whoever remembers the factor.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hr_centra_pipeline.effects.plan import plan
from hr_centra_pipeline.matching.match import match
from hr_centra_pipeline.reconciliation.reconcile import find, reconcile
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection, Warehouse, run_sql, sql_text
from hr_centra_pipeline_tests.bench.measured import Measured, in_turn, own_peak
from hr_centra_pipeline_tests.bench.month_end import NOW, prepared

UNITS = int(os.environ.get("BENCH_UNITS", "1000000"))
_PACKAGE = "hr_centra_pipeline.reconciliation"
_ROUNDS = 2
_SIDES = ("expected", "happy_returns", "centra")
_KEYS = ["return_id", "order_number", "component", "currency"]
_FACTORS = 10_000  # ten-thousandths: amounts have four decimals


def everything_in_play(connection: Connection) -> None:
    """As after an upgrade: nothing counts as settled, so that every order is looked at."""
    connection.execute("delete from reconciliation.settled_orders")
    watermarks.write(connection, watermarks.MATCHING, -1, NOW)
    watermarks.write(connection, watermarks.RECONCILIATION, -1, NOW)


def recompute(folder: Path) -> tuple[float, float]:
    """Match, plan and reconcile everything again in this process; answers seconds and its peak memory in GiB."""
    started = time.perf_counter()
    warehouse = Warehouse(folder / "warehouse.duckdb")
    with warehouse.kept_open():
        with warehouse.transaction() as connection:
            everything_in_play(connection)
        for stage in (match, plan, reconcile):
            with warehouse.transaction() as connection:
                stage(connection, NOW)
    return time.perf_counter() - started, own_peak()


# ---------------------------------------------------------------- the same match in pandas


def _frames(connection: Connection) -> dict[str, pd.DataFrame]:
    """What the match reads, as data frames; amounts are ``Decimal`` (through Arrow: ``.df()`` would make floats of them)."""
    queries = {
        "facts": f"select {', '.join(_KEYS)}, side, return_item_id, source, amount from reconciliation.refund_facts",
        "rows": """
            select refund_id, return_id, order_number, currency, source_file || ':' || source_line as source
            from staging.refunds where status = 'issued' and refund_type <> 'exchange'
        """,
        "row_units": "select refund_id, return_item_id from staging.refund_units",
        "pieces": "select return_item_id, centra_return_id from return_pieces where return_item_id is not null and not is_exchange",
    }
    return {name: connection.execute(query).to_arrow_table().to_pandas() for name, query in queries.items()}


def match_in_pandas(connection: Connection, *, whole: bool) -> pd.DataFrame:
    """One row per return, order, component and currency that is compared: the three sides, who deviates and by how much.

    The provider tells nothing in this history. ``whole``: amounts as whole ten-thousandths instead of ``Decimal``.
    """
    frames = _frames(connection)
    facts, rows = frames["facts"], frames["rows"]
    zero: Any = Decimal(0)
    if whole:
        facts["amount"] = facts["amount"].map(lambda amount: int(amount * _FACTORS)).astype("int64")
        zero = 0
    credited = frames["pieces"].groupby("return_item_id")["centra_return_id"].nunique().rename("returns").reset_index()
    by_row = frames["row_units"].merge(credited, on="return_item_id", how="left").groupby("refund_id")["returns"]
    per_row = by_row.agg(units="size", known="count", most="max").reset_index()
    complete = per_row[(per_row["units"] == per_row["known"]) & (per_row["most"] == 1)]
    rows = rows.merge(complete[["refund_id"]], on="refund_id")
    compared_units = set(frames["row_units"].merge(rows[["refund_id"]], on="refund_id")["return_item_id"])
    pairs = rows[["return_id", "order_number"]].drop_duplicates().assign(is_compared_pair=True)
    facts = facts.merge(pairs, on=["return_id", "order_number"], how="left")
    of_units = facts["return_item_id"].notna()
    is_compared = np.where(
        of_units,
        facts["return_item_id"].isin(compared_units),
        np.where(
            facts["side"] == "happy_returns",
            facts["source"].isin(set(rows["source"])),
            facts["is_compared_pair"].notna(),
        ),
    )
    facts = facts[is_compared & facts["is_compared_pair"].notna()]
    sums = facts.groupby([*_KEYS, "side"], sort=False)["amount"].sum().unstack("side")
    for side in _SIDES:
        if side not in sums:
            sums[side] = zero
    sums = sums[list(_SIDES)].where(sums[list(_SIDES)].notna(), zero)
    e, h, c = (sums[side] for side in _SIDES)
    conditions = [(h == c) & (h == e), e == c, e == h, h == c]
    sums["culprit"] = np.select(conditions, ["", "happy_returns", "centra", "policy"], default="unknown")
    sums["distance"] = np.select(conditions, [e - e, h - c, c - e, e - h], default=h - c)
    allowed = connection.execute("select currency, absolute from policy.tolerance").fetchall()
    most = {currency: int(amount * _FACTORS) if whole else amount for currency, amount in allowed}
    within = sums.index.get_level_values("currency").map(most)
    sums["is_within_tolerance"] = sums["distance"].abs() <= pd.Series(within, index=sums.index).fillna(zero)
    return sums.reset_index()


def match_in_sql(connection: Connection) -> None:
    """The product's own statements, up to the verdicts: what is kept of them in tables pandas does not do either.

    As a sync finds the database: without the tables that they make. Beside those of the round before there is less memory.
    """
    for table in re.findall(r"create or replace temp table (\w+)", sql_text(_PACKAGE, "four_sides.sql")):
        connection.execute(f"drop table if exists {table}")
    connection.execute("commit; begin")  # what was dropped is let go of
    run_sql(connection, _PACKAGE, "four_sides.sql", {"now": NOW})


def _deviating_in_sql(connection: Connection) -> set[tuple[Any, ...]]:
    query = f"select {', '.join(_KEYS)}, culprit, distance from verdicts where distance <> 0"
    return set(connection.execute(query).fetchall())


def _deviating_in_pandas(found: pd.DataFrame, *, whole: bool) -> set[tuple[Any, ...]]:
    rows = found[found["distance"] != 0]
    return {
        (
            *(row[key] for key in _KEYS),
            row["culprit"],
            Decimal(row["distance"]) / _FACTORS if whole else row["distance"],
        )
        for _, row in rows.iterrows()
    }


def _measure_match(folder: Path) -> list[Measured]:
    with Warehouse(folder / "warehouse.duckdb").transaction() as connection:
        everything_in_play(connection)
        match(connection, NOW)
        find(connection, NOW)
        told = _deviating_in_sql(connection)
        compared = connection.execute("select count(*) from verdicts").fetchone()
        found: dict[bool, pd.DataFrame] = {}

        def in_pandas(*, whole: bool) -> Callable[[], None]:
            def job() -> None:
                found[whole] = match_in_pandas(connection, whole=whole)

            return job

        ours, decimals, whole = in_turn(
            _ROUNDS, lambda: match_in_sql(connection), in_pandas(whole=False), in_pandas(whole=True)
        )
        for is_whole, frame in found.items():
            assert len(frame) == (compared[0] if compared else 0), "pandas compares other rows"
            assert _deviating_in_pandas(frame, whole=is_whole) == told, "pandas has other verdicts"
    what = f"four-way match of {UNITS:,} units, {len(told):,} deviations"
    return [
        Measured(what, ours, "pandas, Decimal", decimals, "<= 0.2"),
        Measured(what, ours, "pandas, whole ten-thousandths", whole, "-"),
    ]


def measure() -> list[Measured]:
    """Seconds of the match next to pandas, and of all exceptions computed from nothing in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "home"
        prepared(folder, UNITS)
        found = _measure_match(folder)
        command = [sys.executable, "-m", "hr_centra_pipeline_tests.bench.four_way", str(folder)]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        seconds, peak = float(told[0]), float(told[1])
        what = f"match, plan, exceptions of {UNITS:,} units again, peak {peak:.2f} GiB (<= 2)"
        return [*found, Measured(what, seconds, "of it the four-way match", found[0].ours, "-")]


if __name__ == "__main__":
    print(*recompute(Path(sys.argv[1])))
