"""Push: what is pending is sent to Centra, each effect at most once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg

from hr_centra_pipeline.orchestration.asset_steps import step
from hr_centra_pipeline.orchestration.asset_tables import results, spec
from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.push.record import record_plan
from hr_centra_pipeline.push.sender import push

TABLES = ("push.ledger", "push.packets", "push.attempts")


@step(
    "push",
    specs=[spec(name, "push", "finance", kinds=["graphql"]) for name in TABLES],
)
def push_effects(context: Any, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """Dry run by default: then nothing is written, and the plan stays planned."""
    with run.warehouse.transaction() as connection:
        record_plan(connection, run.now)
    report = push(
        run.warehouse, run.client, run.order_api, run.policy.policy, run.settings, run.now,
        follows_events=run.follows_events,
    )  # fmt: skip
    yield from results(
        run.warehouse, TABLES, {"mode": run.settings.mode, **report.metadata()}, is_brief=run.follows_events
    )


ASSETS = [push_effects]
