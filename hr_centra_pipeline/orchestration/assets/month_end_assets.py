"""Month end: a month's tables and its pack, one partition per month; a range of months is one run."""

# No "from __future__ import annotations": Dagster reads the type of `context` itself.
import base64
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import dagster as dg

from hr_centra_pipeline.core import months, page_addresses
from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.core.money import minor_units
from hr_centra_pipeline.month_end import due
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
from hr_centra_pipeline.publishing import charts
from hr_centra_pipeline.publishing.content import Content, workbook_key
from hr_centra_pipeline.publishing.pack import PACKED, Pack, export_month
from hr_centra_pipeline.publishing.page_data import write_months
from hr_centra_pipeline.publishing.publish import publish
from hr_centra_pipeline.publishing.workbook import rollforward_rows, summary_rows
from hr_centra_pipeline.warehouse.tables.month_end_tables import MONTHLY as TABLES

NAMES = [declared.name for declared in TABLES.values()]
_PACK = dg.AssetKey(["exports", "month_pack"])
_MONTH_END, _ROLLFORWARD, _CONTROL = (
    "month_end.month_end", "month_end.rollforward", "month_end.control_totals",
)  # fmt: skip
_TIES, _COVERED, _FOOTS = "every_row_of_the_month_ties", "every_source_covers_the_month", "opening_and_closing_tie"
_SHOWN = 12


@step(
    "month_tables",  # the job has the name month_end
    specs=[
        *[spec(name, "month_end", "finance") for name in NAMES],
        dg.AssetSpec(
            _PACK, deps=deps(*PACKED), group_name="month_end", owners=["team:finance"], kinds={"excel", "csv", "parquet"},
            description="One pack per month: workbook of twelve sheets, summary page with charts, CSV and Parquet, manifest.",
        ),
    ],
    check_specs=[
        *declaration_checks(NAMES),
        dg.AssetCheckSpec(
            _FOOTS, asset=key(_ROLLFORWARD),
            description="Opening = last closing, closing = open items, to the cent; also against the frozen tables.",
        ),
        dg.AssetCheckSpec(_TIES, asset=key(_MONTH_END), description="No unexplained difference is left between any two sides."),
        dg.AssetCheckSpec(_COVERED, asset=key(_CONTROL), description="No day, file or pull is missing from the month."),
    ],
    by="month",
)  # fmt: skip
def month_end(context: Any, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """Reads the journal and the history, which the sync keeps. A closed month's rows are the frozen ones."""
    packs: list[Pack] = []
    for partition in context.partition_keys:
        month = partition
        with run.warehouse.transaction() as connection:
            due.require_synced(connection, run.policy.sha256)
        pack = export_month(run.warehouse, run.settings, month, run.now, run.policy.sha256)
        with run.warehouse.transaction() as connection:
            due.was_made(connection, month, run.now)
            content = Content(connection, pack.report, run.now, run.policy.sha256, workbook_key(connection))
            shown = _shown(content, pack, run.settings.pages_url)
        packs.append(pack)
        for name, metadata in shown.items():
            # A range of months is one step: each month keeps its own figures.
            context.add_asset_metadata(metadata, asset_key=run.placed(name), partition_key=partition)
    publish(run.warehouse, run.settings, run.now, history_every=run.policy.policy.publishing.history_every)
    try:
        write_months(run.warehouse, run.settings, run.now)
    except RunFailed as error:  # the months are made: only the pages show them as they were until the next sync
        context.log.warning(str(error))
    yield from results(run.warehouse, NAMES, checks=_checks(packs, run.now))
    yield dg.MaterializeResult(asset_key=_PACK)


def _shown(content: Content, pack: Pack, pages_url: str) -> dict[dg.AssetKey, dict[str, Any]]:
    """What the UI shows of a month, by asset."""
    told: dict[str, Any] = {
        "download": dg.MetadataValue.url(f"{pages_url}{page_addresses.of_month(content.month)}"),
        "status of its figures": content.status, "standing": pack.standing, "open items": pack.report.open_items,
        "open only because nothing was sent": pack.report.dry_run_items,
        "late items": pack.report.late_items,
    }  # fmt: skip
    summary, rolled, picture = (dg.MetadataValue.md(draw(content)) for draw in (_summary, _rolled, _picture))
    shown = {key(name): dict(told) for name in NAMES}
    shown[key(_MONTH_END)] |= {"totals": summary}
    shown[key(_ROLLFORWARD)] |= {"totals": rolled, "bridge": picture}
    shown[_PACK] = {
        **told, "files": len(pack.files), "folder": dg.MetadataValue.path(str(pack.folder)), "totals": summary,
        "roll-forward": rolled, "bridge": picture,
    }  # fmt: skip
    return shown


def _checks(packs: list[Pack], now: datetime) -> dict[str, list[dg.AssetCheckResult]]:
    breaks = [text for pack in packs for text in pack.report.breaks]
    untied = {pack.report.month: count for pack in packs if (count := pack.report.statuses.get("does_not_tie"))}
    uncovered = [pack.report.month for pack in packs if pack.report.statuses.get("not_covered")]
    return {
        _ROLLFORWARD: [
            dg.AssetCheckResult(
                asset_key=key(_ROLLFORWARD), check_name=_FOOTS, passed=not breaks, description=" ".join(breaks) or None
            )
        ],
        _MONTH_END: [
            dg.AssetCheckResult(
                asset_key=key(_MONTH_END), check_name=_TIES, passed=not untied, severity=dg.AssetCheckSeverity.WARN,
                metadata={"rows": sum(untied.values()), "months": ", ".join(untied) or "none", **_told(untied, now)},
            )
        ],
        _CONTROL: [
            dg.AssetCheckResult(
                asset_key=key(_CONTROL), check_name=_COVERED, passed=not uncovered, severity=dg.AssetCheckSeverity.WARN,
                metadata={"months that are not covered": ", ".join(uncovered) or "none", **_told(uncovered, now)},
            )
        ],
    }  # fmt: skip


def _told(failing: Iterable[str], now: datetime) -> dict[str, bool]:
    """Nobody is woken for a month that is not over."""
    return {} if any(months.end(month) <= now for month in failing) else {TOLD_ELSEWHERE: True}


def _summary(content: Content) -> str:
    """Totals by currency, and which components do not tie: short enough for the UI to show it in place."""
    names = ("happy_returns_amount", "centra_amount", "difference", "unexplained_amount")
    amounts = [name.removesuffix("_amount").replace("_", " ") for name in names]
    rows: list[list[str]] = []
    statuses: dict[str, list[str]] = {}  # of a currency's components: status -> components
    for row in summary_rows(content):
        if not row.get("_total"):
            statuses.setdefault(str(row.get("status") or "ties"), []).append(str(row["component"]))
            continue
        told = [f"{', '.join(parts)}: {status}" for status, parts in sorted(statuses.items()) if status != "ties"]
        if len(statuses) == 1:
            told = [f"all: {next(iter(statuses))}"]
        digits = minor_units(row["currency"])
        rows.append([row["currency"], *(f"{row.get(name) or 0:,.{digits}f}" for name in names), "; ".join(told)])
        statuses = {}
    return markdown.table(["currency", *amounts, "components"], rows, right=amounts)


def _rolled(content: Content) -> str:
    rows = [row for row in rollforward_rows(content) if row["kind"] != "before_cutover"]
    counts = ["opening", "new", "resolved", "reclassified", "closing"]
    lines = [[row["kind"], row["currency"], *(row[f"{name}_count"] for name in counts)] for row in rows[:_SHOWN]]
    if len(rows) > _SHOWN:
        lines.append([f"… {len(rows) - _SHOWN} more", *[None] * (len(counts) + 1)])
    return markdown.table(["kind", "currency", *counts], lines, right=counts)


def _picture(content: Content) -> str:
    picture = base64.b64encode(charts.rollforward_bridge_png(content)).decode()
    return f"![opening, new, resolved, closing](data:image/png;base64,{picture})"


ASSETS = [month_end]
