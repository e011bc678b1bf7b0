"""Reconciliation: which returns are in trouble, whose they are, how much it is; and what readers get."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg

from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.orchestration.tables import POOL, declaration_checks, keys, results, spec
from hr_centra_pipeline.publishing.exports import export_month
from hr_centra_pipeline.publishing.publish import publish
from hr_centra_pipeline.reconciliation.reconcile import reconcile

_EXCEPTIONS = "reconciliation.exceptions"
TABLES = {
    _EXCEPTIONS: "finance",
    "reconciliation.orphaned_returns": "customer_service",
    "reconciliation.refund_facts": "finance",
    "reconciliation.refund_match": "finance",
    "reconciliation.refund_mismatches": "finance",
    "reconciliation.stock_gaps": "warehouse",
    "reconciliation.exchange_gaps": "customer_service",
    "reconciliation.unmapped_dispositions": "warehouse",
    "reconciliation.stalled_returns": "warehouse",
    "reconciliation.settled_orders": "data",
}
_READS = [
    "effects.units", "matching.matched_items", "push.ledger", "staging.refunds", "staging.refund_units",
    "staging.centra_returns", "staging.centra_return_lines", "staging.payment_entries", "staging.orders",
    "staging.order_lines", "quarantine.rejected_rows",
]  # fmt: skip


@dg.multi_asset(
    name="reconciliation",
    specs=[spec(name, "reconciliation", team, _READS) for name, team in TABLES.items()],
    check_specs=declaration_checks(list(TABLES)),
    pool=POOL,
)
def reconciliation(run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """Key by key over all open items; an exception closes only by what proves it."""
    with run.warehouse.transaction() as connection:
        reconcile(connection, run.now)
        rows = connection.execute(
            f"select kind, count(*), count(*) filter (where overdue) from {_EXCEPTIONS} group by kind order by kind"  # noqa: S608 - our own name
        ).fetchall()
    lines = [
        "| kind | open | overdue |",
        "|---|---|---|",
        *(f"| {kind} | {open_} | {late} |" for kind, open_, late in rows),
    ]
    metadata = {"open exceptions by kind": dg.MetadataValue.md("\n".join(lines))}
    yield from results(run.warehouse, list(TABLES), metadata)


@dg.multi_asset(
    name="publishing",
    specs=[
        dg.AssetSpec(
            ["published", "tables"], deps=keys(*TABLES), group_name="publishing", owners=["team:data"],
            kinds={"parquet", "duckdb"},
            description="Every table as Parquet and one published.duckdb, replaced by rename: what readers read.",
        ),
        dg.AssetSpec(
            ["exports", "reconciliation_csv"], deps=keys(*TABLES), group_name="publishing", owners=["team:finance"],
            kinds={"csv"}, description="One CSV per reconciliation table, in a folder per month.",
        ),
    ],
    pool=POOL,
)  # fmt: skip
def publishing(run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """Readers never open the warehouse: one open reader would make the next sync fail."""
    publish(run.warehouse, run.settings, run.now)
    yield dg.MaterializeResult(
        asset_key=["published", "tables"], metadata={"path": dg.MetadataValue.path(str(run.settings.published))}
    )
    files = export_month(run.warehouse, run.settings, f"{run.now:%Y-%m}")
    yield dg.MaterializeResult(
        asset_key=["exports", "reconciliation_csv"],
        metadata={"files": len(files), "path": dg.MetadataValue.path(str(files[0].parent if files else ""))},
    )


ASSETS = [reconciliation, publishing]
