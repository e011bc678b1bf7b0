"""Living a ``Year`` with the pipeline beside it, and reading its tables in the shape of ``tables``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.month_end import close as closing
from hr_centra_pipeline.month_end import compute
from hr_centra_pipeline.sandbox.server import SandboxSettings, running_sandbox
from hr_centra_pipeline.sandbox.shop.shop import Shop
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY, WITH_GIFT_CARDS, ShopScenario, pointed_at
from hr_centra_pipeline_tests.truth import tables
from hr_centra_pipeline_tests.truth.tables import Table
from hr_centra_pipeline_tests.truth.year import START, Year

_POLICY = """
[lateness]
learn = false

[coverage]
exports_every_hours = 0
"""

COMPARED: dict[str, tuple[Callable[[Year], Table], int, str]] = {
    "month_end": (
        tables.month_end, 4,
        """
        select month, currency, component, status = 'late', expected_amount, happy_returns_amount, centra_amount,
            unexplained_amount, expected_unexplained_amount, unexplained_count, status
        from month_end.month_end
        where expected_amount <> 0 or happy_returns_amount <> 0 or centra_amount <> 0 -- the providers are compared below
        """,
    ),
    "month_end of the providers": (
        tables.providers, 2,
        """
        select month, currency, sum(provider_amount) as booked, sum(provider_unexplained_amount) as unexplained
        from month_end.month_end group by all having booked <> 0 or unexplained <> 0
        """,
    ),
    "rollforward": (
        tables.rollforward, 4,
        """
        select month, kind, currency, owner_team, opening_count, opening_amount, new_count, new_amount,
            resolved_count, resolved_amount, closing_count, closing_amount
        from month_end.rollforward
        """,
    ),
    "open_items": (
        tables.open_items, 3,
        "select month, kind, return_id, currency, coalesce(amount, 0), owner_team, opened_at from month_end.open_items",
    ),
    "refund_liability": (
        tables.liability, 2,
        """
        select month, currency, opening_amount, became_refundable_amount, credited_amount, paid_amount,
            failed_amount, closing_amount, closing_count
        from month_end.refund_liability
        """,
    ),
    "goods_in_transit": (
        tables.goods_in_transit, 4,
        """
        select month, stage, age_bucket, currency, units, selling_value, refunded_units, refunded_value
        from month_end.goods_in_transit
        """,
    ),
    "month_exchanges": (
        tables.month_exchanges, 2,
        """
        select month, return_id, currency, unit_price, approved_at, replacement_order_number is not null, is_shipped,
            is_refunded, is_back
        from month_end.month_exchanges
        """,
    ),
    "late_items": (
        tables.late_items, 5,
        """
        select month, of_month, source, component, return_id, currency, sum(effect), bool_or(is_beyond_tolerance)
        from month_end.late_items group by all -- a fact that changed is taken back and told again
        """,
    ),
}  # fmt: skip


def live(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, seed: int, months: int
) -> tuple[Year, dict[str, list[str]], int]:
    """Sync by sync, close by close; answers the year, what differs in each table (in words), and the rows that were compared."""
    home = folder / "data"
    home.mkdir(parents=True)
    text = EXAMPLE_POLICY.read_text(encoding="utf-8").replace("2026-08-27T00:00:00Z", f"{START:%Y-%m-%dT%H:%M:%SZ}")
    (home / "policy.toml").write_text(text + _POLICY, encoding="utf-8")
    settings = SandboxSettings(plan="enterprise", speed=1000, centra=WITH_GIFT_CARDS)
    with running_sandbox(folder / "sandbox", settings) as sandbox:
        shop = Shop(sandbox.sandbox.home, sandbox.store, sandbox.clock)
        year = Year(shop, seed, months)
        scenario = pointed_at(ShopScenario(sandbox, shop, home), monkeypatch)
        at_close: dict[str, dict[str, Table]] = {}
        for moment in year.syncs:
            shop.live_until(moment)
            scenario.sync_stages()
            for month in year.names:
                if year.close_of(month) == moment:
                    _close(scenario, month)
                    at_close[month] = _rows_of(scenario, month)
        _compute(scenario, year.after_all)
        differing, compared = compare(scenario, year)
        for month, rows in at_close.items():
            now = _rows_of(scenario, month)
            for table in rows:
                if rows[table] != now[table]:
                    differing.setdefault(table, []).append(f"{month} is not what it was at its close")
        return year, differing, compared


def _close(scenario: ShopScenario, month: str) -> None:
    loaded, now = load_policy(scenario.settings.policy_path), clock.now()
    with scenario.warehouse.transaction() as connection:
        closing.close(connection, month, now, by="Pia Lind", policy_sha256=loaded.sha256, accept="the year goes on")
        closing.sign(connection, month, now, role="preparer", by="Pia Lind")
        closing.sign(connection, month, now, role="reviewer", by="Rune Berg")


def _compute(scenario: ShopScenario, month: str) -> None:
    with scenario.warehouse.transaction() as connection:
        report = compute.compute(connection, month, clock.now())
        assert report.breaks == []


def _rows_of(scenario: ShopScenario, month: str) -> dict[str, Table]:
    return {
        name: {key: row for key, row in read(scenario, query, keys).items() if key[0] == month}
        for name, (_, keys, query) in COMPARED.items()
    }


def read(scenario: ShopScenario, query: str, keys: int) -> Table:
    rows = scenario.rows(query)
    found = {row[:keys]: row[keys:] for row in rows}
    assert len(found) == len(rows), f"twice: {query}"
    return found


def compare(scenario: ShopScenario, year: Year) -> tuple[dict[str, list[str]], int]:
    """What each table says and what follows from the year, row by row."""
    differing: dict[str, list[str]] = {}
    compared = 0
    for name, (of_year, keys, query) in COMPARED.items():
        right = of_year(year)
        found = {key: row for key, row in read(scenario, query, keys).items() if key[0] in year.names}
        compared += len(right)
        for key in sorted(right.keys() | found.keys(), key=str):
            if right.get(key) != found.get(key):
                differing.setdefault(name, []).append(
                    f"{key}: right {_text(right.get(key))}, found {_text(found.get(key))}"
                )
    return differing, compared


def _text(row: tuple[Any, ...] | None) -> str:
    return "nothing" if row is None else ", ".join(f"{value}" for value in row)
