"""The backfill of a range of days in one step: what both sides have of it, and the plan that follows, without sending."""

import logging
from collections.abc import Iterator
from typing import Any

import dagster as dg

from hr_centra_pipeline.core.words import effect_text
from hr_centra_pipeline.effects.plan import plan
from hr_centra_pipeline.matching.match import match
from hr_centra_pipeline.orchestration import failures, markdown
from hr_centra_pipeline.orchestration.asset_steps import step
from hr_centra_pipeline.orchestration.asset_tables import results, spec
from hr_centra_pipeline.orchestration.assets.partner_assets import ask_partner
from hr_centra_pipeline.orchestration.partitions import days_of
from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.orchestration.run_lock import BehindTheLock
from hr_centra_pipeline.sources.centra import history
from hr_centra_pipeline.sources.centra.centra_staging import refresh as refresh_centra
from hr_centra_pipeline.sources.centra.history import HistoryReport
from hr_centra_pipeline.sources.happy_returns.export_intake import IngestReport, ingest
from hr_centra_pipeline.sources.happy_returns.export_profiles import load_profiles
from hr_centra_pipeline.sources.happy_returns.export_staging import refresh as refresh_happy_returns
from hr_centra_pipeline.warehouse import models

_LOG = logging.getLogger(__name__)

REPORTS = "operations.backfill_reports"
READ_AGAIN = "hr_centra/again"
"""Tag of a backfill that reads again what an earlier one has read."""


def read_history(context: dg.AssetExecutionContext, run: Run, name: str) -> HistoryReport:
    """Read one object of Centra for a backfill's days, slice by slice; days that were read before are left out.

    Raises:
        RetryRequested: Centra could not be read for now.
        Failure: for good.
    """
    assert run.window is not None  # noqa: S101 - asked for backfills only
    with failures.permanent_unless_transient(context, run):
        return history.read(
            name, run.client, run.warehouse, run.policy.policy, run.now, *run.window,
            slice_=_behind_the_lock(run).slice_, again=READ_AGAIN in context.run.tags,
        )  # fmt: skip


def _behind_the_lock(run: Run) -> BehindTheLock:
    assert isinstance(run.warehouse, BehindTheLock)  # noqa: S101 - how the resource makes it for a backfill
    return run.warehouse


@step(
    "read_history",  # not as its job: names are unique in a code location
    specs=[
        spec(REPORTS, "oversight", "data", kinds=["graphql", "csv"]),
    ],
    reads_history=True,
    by="day",
)  # fmt: skip
def backfill(context: Any, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """Read a range of days, plan, say what is left. Sends nothing: only the hourly sync does.

    Lands, stages, matches and plans by the functions of the sync, behind its lock in short slices. One asset of its own, since
    Dagster keeps an event per asset and day.
    """
    warehouse, now = _behind_the_lock(run), run.now
    with failures.permanent_unless_transient(context, run):
        profiles = load_profiles(run.settings.home / "profiles")
        files = ingest(warehouse, run.settings.exports, profiles, now) if run.settings.exports else IngestReport()
    reports = [read_history(context, run, name) for name in history.WORK]
    with warehouse.slice_():
        refresh_happy_returns(warehouse, now)
    with failures.permanent_unless_transient(context, run):
        reports.append(
            history.read_named_orders(run.client, warehouse, run.policy.policy, now, slice_=warehouse.slice_)
        )
    asked = asked_partner(run, warehouse)
    _LOG.info("backfill: planning what was read …")
    first, last = days_of(context.run.tags) or (now.date(), now.date())
    with warehouse.slice_():
        refresh_centra(warehouse, now)
        with warehouse.transaction() as connection:
            match(connection, now)
            plan(connection, now)
        with warehouse.transaction() as connection:
            given = {"run_id": run.run_id, "from_day": first, "to_day": last, "now": now}
            models.run(connection, ["orchestration/assets/backfill.sql"], (), given)
            unsent = connection.fetchall()
    metadata: dict[str, Any] = {f"rows_read {report.object}": report.rows_read for report in reports}
    metadata |= {
        "files": files.files,
        **asked,
        "left_unsent": dg.MetadataValue.md(_as_markdown(unsent)),
        "effects_left": sum(row[2] for row in unsent),
    }
    yield from results(warehouse, [REPORTS], metadata)


def asked_partner(run: Run, warehouse: BehindTheLock) -> dict[str, Any]:
    """Look up at the partner API what is open or unknown of these days, as far as what was just read shows it."""
    if not run.settings.partner_api_key.get_secret_value():
        return {}
    with warehouse.slice_():
        refresh_centra(warehouse, run.now)
    report, problem = ask_partner(run)
    with warehouse.slice_():
        refresh_happy_returns(warehouse, run.now)
    counts = {} if report is None else {"look_ups": report.look_ups, "look_ups_left": report.waiting}
    return {**counts, **({"partner_api": str(problem)} if problem else {})}


def _as_markdown(unsent: list[tuple[Any, ...]]) -> str:
    return markdown.table(
        ["left unsent", "effects", "amount", "because"],
        [(effect_text(kind), count, f"{amount} {currency}", why) for kind, currency, count, amount, why in unsent],
    )


ASSETS = [backfill]
