"""Push: what is pending is sent to Centra, each effect at most once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg

from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.orchestration.tables import POOL, results, spec
from hr_centra_pipeline.push.record import record_plan
from hr_centra_pipeline.push.sender import push

_PENDING = [
    "effects.pending_credit_notes", "effects.pending_inventory_adjustments", "effects.pending_exchange_orders",
    "effects.pending_status_updates", "effects.observed", "operations.contract",
]  # fmt: skip
GRAINS = {
    "push.ledger": "One row per effect and its state.",
    "push.packets": "One row per packet: what was sent together, and its step.",
    "push.attempts": "One row per call to Centra, kept permanently.",
}


@dg.multi_asset(
    name="push",
    specs=[spec(name, "push", "finance", _PENDING, grain=grain, kinds=["graphql"]) for name, grain in GRAINS.items()],
    pool=POOL,
)
def push_effects(run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """Dry run by default: then nothing is written, and the plan stays planned."""
    with run.warehouse.transaction() as connection:
        record_plan(connection, run.now)
    report = push(run.warehouse, run.client, run.order_api, run.policy.policy, run.settings, run.now)
    yield from results(run.warehouse, list(GRAINS), {"mode": run.settings.mode, **report.metadata()})


ASSETS = [push_effects]
