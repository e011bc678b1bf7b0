"""Matching and effects: which shipment line each unit is, what ought to be true in Centra and is not yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg

from hr_centra_pipeline.decisions import carry_out
from hr_centra_pipeline.effects.plan import plan
from hr_centra_pipeline.matching.match import match
from hr_centra_pipeline.orchestration.asset_steps import step
from hr_centra_pipeline.orchestration.asset_tables import declaration_checks, key, results, spec
from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.warehouse.tables import DERIVED

_MATCHED = "matching.matched_items"
_IN_PLAY = "matching.orders_in_play"
_NOBODY_LOST = "every_return_item_is_matched_or_says_why_not"
EFFECTS = tuple(name for name in DERIVED if name.startswith("effects."))


@step(
    "matching",
    specs=[
        spec(_IN_PLAY, "matching", "data"),
        spec(_MATCHED, "matching", "customer_service"),
    ],
    check_specs=[
        *declaration_checks([_IN_PLAY, _MATCHED]),
        dg.AssetCheckSpec(_NOBODY_LOST, asset=key(_MATCHED), description="Items in = matched + unmatched."),
    ],
)  # fmt: skip
def matching(context: Any, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """What is settled is left alone until something new touches its order; a match is frozen once an effect was sent."""
    with run.warehouse.transaction() as connection:
        report = match(connection, run.now)
        row = connection.execute("select count(*) from staging.return_items").fetchone()
    items = int(row[0]) if row else 0
    check = dg.AssetCheckResult(
        asset_key=key(_MATCHED), check_name=_NOBODY_LOST, passed=items == report.matched + report.unmatched,
        metadata={"items": items, "matched": report.matched, "unmatched": report.unmatched},
    )  # fmt: skip
    metadata = {"matched": report.matched, "unmatched": report.unmatched}
    yield from results(run.warehouse, [_IN_PLAY, _MATCHED], metadata, {_MATCHED: [check]}, is_brief=run.follows_events)


@step(
    "effects",
    specs=[spec(name, "effects", "finance") for name in EFFECTS],
    check_specs=declaration_checks(EFFECTS),
)
def effects(context: Any, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """Pending = desired - observed, by what the last push committed; and by what people have decided until now."""

    def plan_again() -> None:
        with run.warehouse.transaction() as connection:
            match(connection, run.now)  # a unit may be tied to another line
            plan(connection, run.now)

    with run.warehouse.transaction() as connection:
        plan(connection, run.now)
    metadata: dict[str, Any] = {}
    if run.sends:  # a backfill leaves decisions to the sync
        report = carry_out.in_a_sync(
            run.warehouse, run.settings, run.policy.sha256, run.now, run.run_id, replan=plan_again
        )
        if report.lines:
            metadata["decisions"] = dg.MetadataValue.text("\n".join(report.lines))
    yield from results(run.warehouse, EFFECTS, metadata, is_brief=run.follows_events)


ASSETS = [matching, effects]
