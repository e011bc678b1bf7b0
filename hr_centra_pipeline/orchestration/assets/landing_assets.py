"""Landing: what the sources brought, as it came; and what was refused."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg

from hr_centra_pipeline.core.errors import ConfigurationError, Unreachable
from hr_centra_pipeline.inbox.inbox_store import Inbox
from hr_centra_pipeline.inbox.signatures import EVENT_PROFILES
from hr_centra_pipeline.orchestration import failures
from hr_centra_pipeline.orchestration.asset_steps import Step, step
from hr_centra_pipeline.orchestration.asset_tables import key, results, spec
from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.sources.centra import named_pulls, pull
from hr_centra_pipeline.sources.centra.full_compare import compare_with_centra
from hr_centra_pipeline.sources.happy_returns.event_intake import EventReport, take_events
from hr_centra_pipeline.sources.happy_returns.event_reading import load_event_profile
from hr_centra_pipeline.sources.happy_returns.export_intake import IngestReport, ingest
from hr_centra_pipeline.sources.happy_returns.export_profiles import load_profiles
from hr_centra_pipeline.sources.happy_returns.inbox_days import note_inbox_days
from hr_centra_pipeline.sources.happy_returns.row_landing import expect_retailer
from hr_centra_pipeline.sources.payouts.settlement_intake import PayoutReport, ingest_payouts
from hr_centra_pipeline.sources.payouts.settlement_profiles import load_payout_profiles

Report = TypeVar("Report", IngestReport, EventReport, PayoutReport)

_ROWS = "landing.happy_returns_rows"
_LANDED = (
    _ROWS, "landing.happy_returns_returns", "landing.happy_returns_items", "landing.happy_returns_refunds",
    "landing.happy_returns_shipments", "landing.files",
)  # fmt: skip
_EVENTS = "landing.events"
_BAGS = "landing.happy_returns_bags"
_LOOKS = "landing.inbox_looks"
_INBOX_DAYS = "landing.inbox_days"
_ADDS_UP = "rows_read_are_landed_rejected_or_repeated"
_PAYOUTS = "landing.payout_lines"
_PAYOUT_FILES = "landing.payout_files"
_ITS_TOTAL = "every_file_adds_up_to_its_own_total"
_DIFFERENCES = "landing.centra_differences"
_PULLS = "landing.centra_pulls"
"""Written by every pull; told here, since the compare is the last of them."""
_READABLE = "the_exports_were_readable"
_INBOX_READABLE = "the_inbox_was_readable"
_PAYOUTS_READABLE = "settlement_files_were_readable"
_COMPLETE = "the_pull_was_completed"


@step(
    "happy_returns_exports",
    specs=[
        *(spec(name, "landing", "data", kinds=["csv"]) for name in _LANDED),
        spec("quarantine.rejected_rows", "landing", "data"),
    ],
    check_specs=[
        dg.AssetCheckSpec(
            _ADDS_UP, asset=key(_ROWS), description="For every file: rows read = landed + rejected + repeated."
        ),
        dg.AssetCheckSpec(
            _READABLE, asset=key(_ROWS), description="HAPPY_RETURNS_EXPORTS could be read; if not, nothing new is known."
        ),
    ],
)  # fmt: skip
def happy_returns_exports(context: Any, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """All new export files, whatever the partition: a partition is the day on which rows were received."""

    def take() -> IngestReport:
        if not run.settings.exports:
            return IngestReport()  # webhooks bring the returns
        profiles = load_profiles(run.settings.home / "profiles")
        expect_retailer(run.warehouse, run.settings.retailer_id, run.now)
        return ingest(run.warehouse, run.settings.exports, profiles, run.now)

    report, readable = _taken(context, run, take, IngestReport(), key(_ROWS), _READABLE)
    checks = [_adds_up(run, _ROWS, "landing.files", "files"), readable]
    yield from results(run.warehouse, [*_LANDED, "quarantine.rejected_rows"], _plain(report), {_ROWS: checks})


def _adds_up(run: Run, asset: str, log: str, what: str) -> dg.AssetCheckResult:
    """Whether each row of a log has as many rows landed, rejected and repeated as it has read."""
    with run.warehouse.transaction() as connection:
        row = connection.execute(
            f"select count(*) from {log} where rows_read <> rows_landed + rows_rejected + rows_repeated"  # noqa: S608
        ).fetchone()
    wrong = int(row[0]) if row else 0
    return dg.AssetCheckResult(
        asset_key=key(asset), check_name=_ADDS_UP, passed=not wrong, metadata={what: wrong},
        description=f"{wrong} {what} do not add up: see {log}." if wrong else None,
    )  # fmt: skip


@step(
    "happy_returns_events",
    specs=[spec(name, "landing", "data", kinds=["json"]) for name in (_EVENTS, _BAGS, _LOOKS, _INBOX_DAYS)],
    check_specs=[
        dg.AssetCheckSpec(
            _ADDS_UP, asset=key(_EVENTS), description="For every delivery: rows read = landed + rejected + repeated."
        ),
        dg.AssetCheckSpec(
            _INBOX_READABLE, asset=key(_EVENTS),
            description="HR_CENTRA_INBOX could be read, if webhooks are received; if not, what they brought is not known.",
        ),
    ],
)  # fmt: skip
def happy_returns_events(context: Any, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """All webhook deliveries that wait in the inbox. Nothing, as long as none are received."""

    def take() -> EventReport:
        settings = run.settings
        inbox = Inbox.open(settings.inbox)
        try:
            is_there = "://" in settings.inbox or Path(settings.inbox).exists()
            if is_there:
                note_inbox_days(run.warehouse, inbox, run.now)
            if not settings.has_events and not (is_there and inbox.waiting("happy_returns").count):
                return EventReport()
            profile = load_event_profile(settings.home / EVENT_PROFILES)
            expect_retailer(run.warehouse, settings.retailer_id, run.now)
            return take_events(run.warehouse, inbox, profile, run.now, is_only_feed=not settings.exports)
        finally:
            inbox.close()

    report, readable = _taken(context, run, take, EventReport(), key(_EVENTS), _INBOX_READABLE)
    checks = [_adds_up(run, _EVENTS, _EVENTS, "deliveries"), readable]
    tables = [_EVENTS, _BAGS, _LOOKS, _INBOX_DAYS]
    yield from results(run.warehouse, tables, _plain(report), {_EVENTS: checks}, is_brief=run.follows_events)


@step(
    "payout_files",
    specs=[spec(name, "landing", "finance", kinds=["csv"]) for name in (_PAYOUTS, _PAYOUT_FILES)],
    check_specs=[
        dg.AssetCheckSpec(
            _ITS_TOTAL, asset=key(_PAYOUTS),
            description="The latest delivery of every settlement file adds up to its own total (else nothing of it is landed).",
        ),
        dg.AssetCheckSpec(
            _PAYOUTS_READABLE, asset=key(_PAYOUTS), description="Folder or address in HR_CENTRA_PAYOUTS, if any."
        ),
    ],
)  # fmt: skip
def payout_files(context: Any, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """All new settlement files. Without an address payouts are not covered, which the reconciliation says."""

    def take() -> PayoutReport:
        profiles = load_payout_profiles(run.settings.home / "payout_profiles")
        return ingest_payouts(run.warehouse, run.settings.payouts, profiles, run.now)

    report, readable = _taken(context, run, take, PayoutReport(), key(_PAYOUTS), _PAYOUTS_READABLE)
    with run.warehouse.transaction() as connection:
        refused = connection.execute(
            """
            select source_file, problem from (
                select * from landing.payout_files qualify row_number() over (partition by source_file order by batch desc) = 1
            ) where problem is not null order by source_file
            """
        ).fetchall()
    checks = [
        dg.AssetCheckResult(
            asset_key=key(_PAYOUTS), check_name=_ITS_TOTAL, passed=not refused, severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(f"{name}: {problem}" for name, problem in refused) or None,
        ),
        readable,
    ]  # fmt: skip
    yield from results(run.warehouse, [_PAYOUTS, _PAYOUT_FILES], _plain(report), {_PAYOUTS: checks})


def _taken(
    context: dg.AssetExecutionContext,
    run: Run,
    take: Callable[[], Report],
    nothing: Report,
    asset: dg.AssetKey,
    check: str,
) -> tuple[Report, dg.AssetCheckResult]:
    """Take files from a place that may be out of reach: the report (``nothing`` of it then), and the check that says so.

    The rest of the run goes on without them: what was planned before may be due now.
    """
    problem: Unreachable | None = None
    report = nothing
    try:
        report = take()
    except Unreachable as error:
        failures.try_again(context, run, error)
        problem = error
    except ConfigurationError as error:
        failures.stop_if_misconfigured(context, error)
    return report, dg.AssetCheckResult(
        asset_key=asset, check_name=check, passed=problem is None, description=str(problem) if problem else None,
        metadata=failures.told(problem) if problem else {},
    )  # fmt: skip


def _plain(report: Any) -> dict[str, Any]:
    """A report's whole numbers, as metadata."""
    return {name: value for name, value in vars(report).items() if isinstance(value, int)}


Pull = Callable[..., pull.PullReport]
NamedPull = Callable[[named_pulls.Follow], pull.PullReport]


def _centra(name: str, *pulls: Pull, named: NamedPull | None = None, stops: bool = True) -> Step:
    """One pull of Centra as an asset.

    ``named``: what is pulled by name because of events, after the others, or in place of them in a run that follows events.
    ``stops``: without the permission for it nothing is sent; else the rest goes on.
    """
    table = f"landing.{name}"

    @step(
        name,
        specs=[spec(table, "landing", "data", kinds=["graphql"])],
        check_specs=[
            dg.AssetCheckSpec(
                _COMPLETE, asset=key(table),
                description="A pull that did not complete covers nothing: what it did not show is not gone.",
            )
        ],
    )  # fmt: skip
    def pulled(context: Any, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
        windows = () if run.follows_events else pulls
        reports = [one(run.client, run.warehouse, run.policy.policy, run.now) for one in windows]
        if named is not None:
            follow = named_pulls.Follow(
                run.client, run.warehouse, run.policy.policy, run.now, touches=run.follows_events
            )
            reports.append(named(follow))
        for report in reports:
            if stops:
                failures.stop_if_misconfigured(context, report.error)
            failures.try_again(context, run, report.error)
        metadata: dict[str, Any] = {
            "rows_read": sum(report.rows_read for report in reports),
            "rows_landed": sum(report.rows_landed for report in reports),
        }
        problems = "; ".join(report.problem for report in reports if report.problem)
        errors = [report.error for report in reports if report.error]
        check = dg.AssetCheckResult(
            asset_key=key(table), check_name=_COMPLETE, passed=not problems, description=problems or None,
            metadata=failures.told(errors[0]) if errors else {},
        )  # fmt: skip
        yield from results(run.warehouse, [table], metadata, {table: [check]}, is_brief=run.follows_events)

    return pulled


@step(
    "full_compare",
    specs=[spec(name, "landing", "data", kinds=["graphql"]) for name in (_DIFFERENCES, _PULLS)],
)  # fmt: skip
def full_compare(context: Any, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """A few months of the history in each run, all of it within a week: silent edits leave no trace that increments follow."""
    metadata = _plain(compare_with_centra(run.client, run.warehouse, run.policy.policy, run.now))
    yield from results(run.warehouse, [_DIFFERENCES, _PULLS], metadata)


NAMED = [
    _centra("centra_stock_changes", pull.pull_stock_changes, named=named_pulls.stock_changes),
    _centra("centra_orders", pull.pull_orders, pull.pull_named_orders, named=named_pulls.orders),
    _centra("centra_shipments", pull.pull_shipments, named=named_pulls.shipments),
    _centra("centra_returns", pull.pull_returns, named=named_pulls.returns),
    _centra("centra_replacement_stock", pull.pull_replacement_stock, named=named_pulls.replacement_stock),
]
"""Those of which events name objects."""

ASSETS = [
    happy_returns_exports,
    happy_returns_events,
    payout_files,
    _centra("centra_warehouses", pull.pull_warehouses),
    *NAMED,
    _centra("centra_status_marks", pull.pull_status_marks, stops=False),
    full_compare,
]
