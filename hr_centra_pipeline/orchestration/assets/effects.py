"""Matching and effects: which shipment line each unit is, what ought to be true in Centra and is not yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg

from hr_centra_pipeline.effects.plan import plan
from hr_centra_pipeline.matching.match import match
from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.orchestration.tables import POOL, declaration_checks, key, results, spec

_MATCHED = "matching.matched_items"
_IN_PLAY = "matching.orders_in_play"
_NOBODY_LOST = "every_return_item_is_matched_or_says_why_not"
_READS = ["matching.matched_items", "staging.return_items", "staging.returns", "staging.orders"]
EFFECTS = {
    "effects.units": ["matching.matched_items", "staging.return_items"],
    "effects.observed": [
        "staging.return_items", "staging.centra_returns", "staging.stock_changes", "staging.orders", "staging.status_marks",
    ],
    "effects.replacements": [
        "matching.matched_items", "staging.return_items", "staging.orders", "staging.order_lines", "staging.shipments",
        "staging.shipment_lines", "staging.centra_returns", "staging.payment_entries",
    ],
    "effects.value_given_back": [
        "matching.matched_items", "staging.return_items", "staging.centra_returns", "staging.payment_entries",
        "staging.refunds", "staging.refund_units", "staging.orders", "staging.payout_lines",
    ],
    "effects.chargebacks": [
        "matching.matched_items", "staging.payout_lines", "staging.payment_entries", "staging.orders", "effects.value_given_back",
    ],
    "effects.pending_credit_notes": [
        *_READS, "staging.refunds", "staging.refund_units", "staging.centra_returns", "staging.payment_entries",
        "effects.replacements", "effects.value_given_back", "effects.chargebacks", "staging.bundles",
    ],
    "effects.pending_inventory_adjustments": [*_READS, "staging.centra_returns", "staging.stock_changes"],
    "effects.pending_exchange_orders": [
        *_READS, "staging.replacement_stock", "staging.centra_returns", "effects.replacements", "effects.value_given_back",
        "effects.chargebacks",
        "effects.pending_credit_notes", "staging.bundles",
    ],
    "effects.pending_status_updates": [
        "staging.returns", "staging.return_items", "staging.orders", "staging.status_marks",
    ],
}  # fmt: skip


@dg.multi_asset(
    name="matching",
    specs=[
        spec(_IN_PLAY, "matching", "data", ["staging.return_items", "staging.orders"]),
        spec(
            _MATCHED, "matching", "customer_service",
            [
                "staging.return_items", "staging.refunds", "staging.refund_units", "staging.orders", "staging.order_lines",
                "staging.shipments", "staging.shipment_lines", "staging.centra_returns", "staging.centra_return_lines",
                "staging.bundles", _IN_PLAY,
            ],
        ),
    ],
    check_specs=[
        *declaration_checks([_IN_PLAY, _MATCHED]),
        dg.AssetCheckSpec(_NOBODY_LOST, asset=key(_MATCHED), description="Items in = matched + unmatched."),
    ],
    pool=POOL,
)  # fmt: skip
def matching(run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """Reads push.ledger and reconciliation.settled_orders as last committed, without a lineage edge.

    A match is frozen once an effect was sent; what is settled is left alone until something new touches its order.
    """
    with run.warehouse.transaction() as connection:
        report = match(connection, run.now)
        row = connection.execute("select count(*) from staging.return_items").fetchone()
    items = int(row[0]) if row else 0
    check = dg.AssetCheckResult(
        asset_key=key(_MATCHED), check_name=_NOBODY_LOST, passed=items == report.matched + report.unmatched,
        metadata={"items": items, "matched": report.matched, "unmatched": report.unmatched},
    )  # fmt: skip
    metadata = {"matched": report.matched, "unmatched": report.unmatched}
    yield from results(run.warehouse, [_IN_PLAY, _MATCHED], metadata, {_MATCHED: [check]})


@dg.multi_asset(
    name="effects",
    specs=[spec(name, "effects", "finance", reads) for name, reads in EFFECTS.items()],
    check_specs=declaration_checks(list(EFFECTS)),
    pool=POOL,
)
def effects(run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """Pending = desired - observed. Reads push.ledger's last committed state, without a lineage edge."""
    with run.warehouse.transaction() as connection:
        plan(connection, run.now)
    yield from results(run.warehouse, list(EFFECTS))


ASSETS = [matching, effects]
