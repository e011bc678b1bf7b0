"""Staging: the latest state of every return, unit, refund, order, shipment line, Return and stock change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg

from hr_centra_pipeline.orchestration.asset_steps import step
from hr_centra_pipeline.orchestration.asset_tables import declaration_checks, results, spec
from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.sources.centra.centra_staging import refresh as refresh_centra
from hr_centra_pipeline.sources.happy_returns.export_staging import refresh as refresh_happy_returns
from hr_centra_pipeline.sources.payouts.settlement_profiles import load_payout_profiles
from hr_centra_pipeline.sources.payouts.settlement_staging import refresh as refresh_payouts
from hr_centra_pipeline.warehouse import models

HAPPY_RETURNS = models.made_in("sources/happy_returns")
CENTRA = models.made_in("sources/centra")
PAYOUTS = "staging.payout_lines"


@step(
    "file_staging",
    specs=[
        *(spec(name, "staging", "data") for name in HAPPY_RETURNS),
        spec(PAYOUTS, "staging", "finance"),
    ],
    check_specs=declaration_checks([*HAPPY_RETURNS, PAYOUTS]),
)
def file_staging(context: Any, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """What came as files. Only what new landed rows touch is computed again."""
    refresh_happy_returns(run.warehouse, run.now)
    refresh_payouts(run.warehouse, run.now, load_payout_profiles(run.settings.home / "payout_profiles"))
    yield from results(run.warehouse, [*HAPPY_RETURNS, PAYOUTS], is_brief=run.follows_events)


@step(
    "centra_staging",
    specs=[spec(name, "staging", "data") for name in CENTRA],
    check_specs=declaration_checks(CENTRA),
)
def centra_staging(context: Any, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """Only what new landed objects touch is computed again."""
    refresh_centra(run.warehouse, run.now)
    yield from results(run.warehouse, CENTRA, is_brief=run.follows_events)


ASSETS = [file_staging, centra_staging]
