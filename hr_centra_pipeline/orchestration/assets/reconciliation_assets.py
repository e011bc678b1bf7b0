"""Reconciliation: which returns are in trouble, whose they are, how much it is; and what readers get."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import dagster as dg

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.month_end.fact_journal import remember
from hr_centra_pipeline.orchestration import markdown
from hr_centra_pipeline.orchestration.asset_steps import step
from hr_centra_pipeline.orchestration.asset_tables import (
    TOLD_ELSEWHERE,
    declaration_checks,
    deps,
    key,
    results,
    spec,
)
from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.publishing.page_data import write_pages
from hr_centra_pipeline.publishing.publish import SOURCES, publish
from hr_centra_pipeline.publishing.workbook_intake import take_workbooks
from hr_centra_pipeline.reconciliation.reconcile import reconcile
from hr_centra_pipeline.warehouse.database import Connection

_EXCEPTIONS = "reconciliation.exceptions"
TABLES = {
    _EXCEPTIONS: "finance",
    "reconciliation.dry_run_items": "data",
    "reconciliation.orphaned_returns": "customer_service",
    "reconciliation.refund_facts": "finance",
    "reconciliation.refund_match": "finance",
    "reconciliation.refund_mismatches": "finance",
    "reconciliation.tolerance_uses": "finance",
    "reconciliation.tax_readings": "finance",
    "reconciliation.systematic_cents": "finance",
    "reconciliation.payouts": "finance",
    "reconciliation.shadow": "finance",
    "reconciliation.shadow_verdict": "finance",
    "reconciliation.stock_gaps": "warehouse",
    "reconciliation.exchange_gaps": "customer_service",
    "reconciliation.unmapped_dispositions": "warehouse",
    "reconciliation.stalled_returns": "warehouse",
    "reconciliation.delays": "customer_service",
    "reconciliation.lateness": "warehouse",
    "reconciliation.settled_orders": "data",
    "reconciliation.feeds": "data",
    "reconciliation.feed_days": "data",
    "reconciliation.exception_events": "data",
    "month_end.fact_journal": "finance",
    "month_end.match_journal": "finance",
    "month_end.opening_position": "finance",
}
# Over all open exceptions, not only today's: a later run that is clean does not hide an older problem. They show the state;
# what is overdue, and whose it is, the standing alarms report.
_CHECKS = {
    "no_open_exception_is_an_error": (
        "severity = 'error'", dg.AssetCheckSeverity.ERROR, "Money or goods went wrong, or a due time has passed.",
    ),
    "no_open_exception_is_a_warning": ("severity = 'warning'", dg.AssetCheckSeverity.WARN, "Open, and within its due time."),
    "every_source_is_covered": (
        "kind = 'source_not_covered'", dg.AssetCheckSeverity.ERROR,
        "No file or pull is missing: otherwise nothing may be called clean.",
    ),
}  # fmt: skip
_PREVIEW = 20
_PAGES = ["published", "pages"]
_WRITTEN = "the_pages_were_written"


@step(
    "reconciliation",
    specs=[spec(name, "reconciliation", team) for name, team in TABLES.items()],
    check_specs=[
        *declaration_checks(list(TABLES)),
        *(dg.AssetCheckSpec(name, asset=key(_EXCEPTIONS), description=says) for name, (_, _, says) in _CHECKS.items()),
    ],
)
def reconciliation(context: Any, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """Key by key over all open items; an exception closes only by what proves it. Then what is new is entered in the journal."""
    workbooks = take_workbooks(run.warehouse, run.settings, run.now)
    with run.warehouse.transaction() as connection:
        report = reconcile(connection, run.now)
        entered = remember(connection, run.now, run.policy.sha256)
        failing = {
            name: _count(connection, f"select count(*) from {_EXCEPTIONS} where {condition}")  # noqa: S608 - our own words
            for name, (condition, _, _) in _CHECKS.items()
        }
        metadata = _metadata(connection, is_new=bool(report.opened or report.reopened or report.closed))
    metadata["entries in the journal"] = entered.entries
    if workbooks:
        told = [f"- {one.name}: {one.taken} notes taken" for one in workbooks]
        told += [f"- {one.name}: refused: {why}" for one in workbooks for why in one.refused]
        metadata["workbooks"] = dg.MetadataValue.text("\n".join(told))
    checks = [
        dg.AssetCheckResult(
            asset_key=key(_EXCEPTIONS), check_name=name, passed=not failing[name], severity=severity,
            metadata={"exceptions": failing[name], TOLD_ELSEWHERE: True},
        )
        for name, (_, severity, _) in _CHECKS.items()
    ]  # fmt: skip
    for result in results(run.warehouse, list(TABLES), {}, {_EXCEPTIONS: checks}):
        if result.asset_key == key(_EXCEPTIONS):
            result = result._replace(metadata={**(result.metadata or {}), **metadata})
        yield result


def _count(connection: Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _metadata(connection: Connection, *, is_new: bool) -> dict[str, Any]:
    """Open by kind, the most urgent ones, and (when something opened or closed) the picture of kinds and ages."""
    kinds = connection.execute(
        f"""
        select kind, any_value(owner_team), count(*), count(*) filter (where overdue), count(*) filter (where severity = 'error')
        from {_EXCEPTIONS} group by kind order by kind
        """  # noqa: S608 - our own name
    ).fetchall()
    rows = connection.execute(
        f"""
        select kind, severity, owner_team, culprit, coalesce(return_id, ''), coalesce(order_number, ''),
            coalesce(amount::varchar || ' ' || currency, ''), strftime(due_at, '%Y-%m-%d %H:%M'), detail
        from {_EXCEPTIONS} order by severity = 'error' desc, due_at, exception_id limit {_PREVIEW}
        """  # noqa: S608 - our own name
    ).fetchall()
    names = ("kind", "severity", "owner", "culprit", "return", "order", "amount", "due", "what is wrong")
    found: dict[str, Any] = {
        "open exceptions by kind": dg.MetadataValue.md(
            markdown.table(["kind", "owner", "open", "overdue", "errors"], kinds)
        ),
        "most urgent": dg.MetadataValue.table(
            records=[dg.TableRecord(dict(zip(names, row, strict=True))) for row in rows],
            schema=dg.TableSchema(columns=[dg.TableColumn(name) for name in names]),
        ),
    }
    if is_new and kinds:
        # Imported here: loading it takes longer than a sync that finds nothing new.
        from hr_centra_pipeline.publishing.charts import open_by_kind_and_age_png

        query = f"select kind, age_bucket, count(*) from {_EXCEPTIONS} group by all order by all"  # noqa: S608 - our own name
        counts = connection.execute(query).fetchall()
        items = [{"kind": kind, "age_bucket": age, "items": count} for kind, age, count in counts]
        picture = base64.b64encode(open_by_kind_and_age_png(items)).decode()
        found["open by kind and age"] = dg.MetadataValue.md(
            f"![open exceptions by kind and age](data:image/png;base64,{picture})"
        )
    return found


@step(
    "publishing",
    specs=[
        dg.AssetSpec(
            ["published", "tables"], deps=deps(*SOURCES.values()), group_name="publishing", owners=["team:data"],
            kinds={"parquet", "duckdb"},
            description="What readers get, replaced by rename: Parquet, published.duckdb, and history.duckdb once a day.",
        ),
        dg.AssetSpec(
            _PAGES, deps=deps(*SOURCES.values()), group_name="publishing", owners=["team:data"], kinds={"sqlite"},
            description="What the pages for the teams read: the returns that changed are written again, in one transaction.",
        ),
    ],
    check_specs=[
        dg.AssetCheckSpec(_WRITTEN, asset=_PAGES, description="Otherwise the pages show what the last sync has written.")
    ],
)  # fmt: skip
def publishing(context: Any, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """Readers never open the warehouse: one open reader would make the next sync fail."""
    publish(run.warehouse, run.settings, run.now, history_every=run.policy.policy.publishing.history_every)
    yield dg.MaterializeResult(
        asset_key=["published", "tables"], metadata={"path": dg.MetadataValue.path(str(run.settings.published))}
    )
    problem, metadata = None, {}
    try:
        metadata = asdict(write_pages(run.warehouse, run.settings, run.now, run.policy.sha256))
    except RunFailed as error:  # nothing else waits for the pages: the sync is done, and the next one writes them
        problem = str(error)
    check = dg.AssetCheckResult(
        asset_key=dg.AssetKey(_PAGES), check_name=_WRITTEN, passed=problem is None, severity=dg.AssetCheckSeverity.WARN,
        description=problem,
    )  # fmt: skip
    yield dg.MaterializeResult(asset_key=_PAGES, metadata=metadata, check_results=[check])


ASSETS = [reconciliation, publishing]
