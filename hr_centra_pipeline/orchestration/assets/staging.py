"""Staging: the latest state of every return, unit, refund, order, shipment line, Return and stock change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg

from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.orchestration.tables import POOL, declaration_checks, results, spec
from hr_centra_pipeline.sources.centra.staging import refresh as refresh_centra
from hr_centra_pipeline.sources.happy_returns.staging import refresh as refresh_happy_returns
from hr_centra_pipeline.sources.payouts.profiles import load_payout_profiles
from hr_centra_pipeline.sources.payouts.staging import refresh as refresh_payouts

HAPPY_RETURNS = [
    "staging.returns", "staging.return_items", "staging.return_item_events", "staging.refunds", "staging.refund_units",
    "staging.return_shipments",
]  # fmt: skip
CENTRA = {
    "staging.orders": "landing.centra_orders",
    "staging.order_lines": "landing.centra_orders",
    "staging.bundles": "landing.centra_orders",
    "staging.payment_entries": "landing.centra_orders",
    "staging.shipments": "landing.centra_shipments",
    "staging.shipment_lines": "landing.centra_shipments",
    "staging.centra_returns": "landing.centra_returns",
    "staging.centra_return_lines": "landing.centra_returns",
    "staging.stock_changes": "landing.centra_stock_changes",
    "staging.warehouses": "landing.centra_warehouses",
    "staging.replacement_stock": "landing.centra_replacement_stock",
    "staging.status_marks": "landing.centra_status_marks",
}


PAYOUTS = "staging.payout_lines"


@dg.multi_asset(
    name="file_staging",
    specs=[
        *(spec(name, "staging", "data", ["landing.happy_returns_rows"]) for name in HAPPY_RETURNS),
        spec(PAYOUTS, "staging", "finance", ["landing.payout_lines"]),
    ],
    check_specs=declaration_checks([*HAPPY_RETURNS, PAYOUTS]),
    pool=POOL,
)
def file_staging(run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """What came as files. Only what new landed rows touch is computed again."""
    refresh_happy_returns(run.warehouse, run.now)
    refresh_payouts(run.warehouse, run.now, load_payout_profiles(run.settings.home / "payout_profiles"))
    yield from results(run.warehouse, [*HAPPY_RETURNS, PAYOUTS])


@dg.multi_asset(
    name="centra_staging",
    specs=[spec(name, "staging", "data", [landed, "landing.centra_differences"]) for name, landed in CENTRA.items()],
    check_specs=declaration_checks(list(CENTRA)),
    pool=POOL,
)
def centra_staging(run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """Only what new landed objects touch is computed again."""
    refresh_centra(run.warehouse, run.now)
    yield from results(run.warehouse, list(CENTRA))


ASSETS = [file_staging, centra_staging]
