"""Month end: a month's tables and its pack, one partition per month; a range of months is one run."""

# No "from __future__ import annotations": Dagster reads the type of `context` itself.
import base64
from collections.abc import Iterator
from typing import Any

import dagster as dg

from hr_centra_pipeline.month_end import due
from hr_centra_pipeline.orchestration.partitions import MONTHLY, SINGLE_RUN
from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.orchestration.tables import POOL, declaration_checks, key, keys, results, spec
from hr_centra_pipeline.publishing import charts
from hr_centra_pipeline.publishing.content import Content, workbook_key
from hr_centra_pipeline.publishing.pack import Pack, export_month
from hr_centra_pipeline.publishing.publish import publish
from hr_centra_pipeline.publishing.workbook import rollforward_rows, summary_rows
from hr_centra_pipeline.warehouse.tables.month_end import MONTHLY as TABLES

NAMES = [declared.name for declared in TABLES.values()]
_PACK = dg.AssetKey(["exports", "month_pack"])
_MONTH_END, _ROLLFORWARD, _CONTROL = (
    "reconciliation.month_end", "reconciliation.rollforward", "reconciliation.control_totals",
)  # fmt: skip
_READS = ["reconciliation.exceptions", "reconciliation.refund_facts", "reconciliation.refund_match"]
_TIES, _COVERED, _FOOTS = "every_row_of_the_month_ties", "every_source_covers_the_month", "opening_and_closing_tie"
_SHOWN = 12


@dg.multi_asset(
    name="month_end",
    specs=[
        *[spec(name, "month_end", "finance", _READS) for name in NAMES],
        dg.AssetSpec(
            _PACK, deps=keys(*NAMES), group_name="month_end", owners=["team:finance"], kinds={"excel", "csv", "parquet"},
            description="One pack per month: workbook of twelve sheets, summary page with charts, CSV and Parquet, manifest.",
        ),
    ],
    check_specs=[
        *declaration_checks(NAMES),
        dg.AssetCheckSpec(
            _FOOTS, asset=key(_ROLLFORWARD),
            description="Opening = last closing, closing = what is open, to the cent; also against what was frozen.",
        ),
        dg.AssetCheckSpec(_TIES, asset=key(_MONTH_END), description="No return is left unexplained, between any two sides."),
        dg.AssetCheckSpec(_COVERED, asset=key(_CONTROL), description="No day, file or pull is missing from the month."),
    ],
    partitions_def=MONTHLY,
    backfill_policy=SINGLE_RUN,
    pool=POOL,
)  # fmt: skip
def month_end(context: dg.AssetExecutionContext, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """Reads the journal and the history, which the sync keeps. A closed month's rows are the frozen ones."""
    packs: list[Pack] = []
    for partition in context.partition_keys:
        month = partition[:7]
        with run.warehouse.transaction() as connection:
            due.require_synced(connection, run.policy.sha256)
        packs.append(export_month(run.warehouse, run.settings, month, run.now, run.policy.sha256))
        with run.warehouse.transaction() as connection:
            due.was_made(connection, month, run.now)
    publish(run.warehouse, run.settings, run.now)
    last = packs[-1]
    breaks = [text for pack in packs for text in pack.report.breaks]
    untied = {pack.report.month: count for pack in packs if (count := pack.report.statuses.get("does_not_tie"))}
    uncovered = [pack.report.month for pack in packs if pack.report.statuses.get("not_covered")]
    with run.warehouse.transaction() as connection:
        content = Content(connection, last.report, run.now, run.policy.sha256, workbook_key(connection))
        shown = {
            _MONTH_END: {"preview": dg.MetadataValue.md(_summary(content))},
            _ROLLFORWARD: {
                "preview": dg.MetadataValue.md(_rolled(content)), "bridge": dg.MetadataValue.md(_picture(content)),
            },
        }  # fmt: skip
    checks = {
        _ROLLFORWARD: [
            dg.AssetCheckResult(
                asset_key=key(_ROLLFORWARD), check_name=_FOOTS, passed=not breaks, description=" ".join(breaks) or None
            )
        ],
        _MONTH_END: [
            dg.AssetCheckResult(
                asset_key=key(_MONTH_END), check_name=_TIES, passed=not untied, severity=dg.AssetCheckSeverity.WARN,
                metadata={"rows that do not tie": sum(untied.values()), "months": ", ".join(untied) or "none"},
            )
        ],
        _CONTROL: [
            dg.AssetCheckResult(
                asset_key=key(_CONTROL), check_name=_COVERED, passed=not uncovered, severity=dg.AssetCheckSeverity.WARN,
                metadata={"months that are not covered": ", ".join(uncovered) or "none"},
            )
        ],
    }  # fmt: skip
    told: dict[str, Any] = {
        "month": last.report.month, "standing": last.standing, "open items": last.report.open_items,
        "late items": last.report.late_items,
        "download": dg.MetadataValue.url(f"{run.settings.downloads_url}/{last.report.month}/"),
    }  # fmt: skip
    for result in results(run.warehouse, NAMES, told, checks):
        assert isinstance(result.asset_key, dg.AssetKey)  # noqa: S101 - results names every one
        extra = shown.get(".".join(result.asset_key.path), {})
        yield result._replace(metadata={**(result.metadata or {}), **extra})
    yield dg.MaterializeResult(
        asset_key=_PACK,
        metadata={
            **told, "files": len(last.files), "folder": dg.MetadataValue.path(str(last.folder)),
            "months": ", ".join(pack.report.month for pack in packs), "summary": shown[_MONTH_END]["preview"],
            "roll-forward": shown[_ROLLFORWARD]["bridge"],
        },
    )  # fmt: skip


def _summary(content: Content) -> str:
    names = ("happy_returns_amount", "centra_amount", "difference", "unexplained_amount")
    lines = [f"| currency | component | {' | '.join(name.replace('_', ' ') for name in names)} | status |"]
    lines.append("|---|---|--:|--:|--:|--:|---|")
    for row in summary_rows(content):
        amounts = " | ".join(f"{row.get(name) or 0:,.2f}" for name in names)
        lines.append(f"| {row['currency']} | {row['component']} | {amounts} | {row.get('status', '')} |")
    return "\n".join(lines)


def _rolled(content: Content) -> str:
    rows = [row for row in rollforward_rows(content) if row["kind"] != "before_cutover"]
    lines = ["| kind | currency | opening | new | resolved | reclassified | closing |", "|---|---|--:|--:|--:|--:|--:|"]
    lines += [
        f"| {row['kind']} | {row['currency'] or ''} | {row['opening_count']} | {row['new_count']} | {row['resolved_count']} "
        f"| {row['reclassified_count']} | {row['closing_count']} |"
        for row in rows[:_SHOWN]
    ]
    if len(rows) > _SHOWN:
        lines.append(f"| … {len(rows) - _SHOWN} more | | | | | | |")
    return "\n".join(lines)


def _picture(content: Content) -> str:
    picture = base64.b64encode(charts.rollforward_bridge_png(content)).decode()
    return f"![opening, new, resolved, closing](data:image/png;base64,{picture})"


ASSETS = [month_end]
