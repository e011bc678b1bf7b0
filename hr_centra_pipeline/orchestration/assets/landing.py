"""Landing: what the sources brought, as it came; and what was refused."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import dagster as dg

from hr_centra_pipeline.core.errors import ConfigurationError, Unreachable
from hr_centra_pipeline.orchestration import failures
from hr_centra_pipeline.orchestration.assets.backfill import read_history
from hr_centra_pipeline.orchestration.partitions import DAILY, SINGLE_RUN
from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.orchestration.tables import POOL, key, results, spec
from hr_centra_pipeline.sources.centra import pull
from hr_centra_pipeline.sources.centra.compare import compare_with_centra
from hr_centra_pipeline.sources.happy_returns.ingest import IngestReport, ingest
from hr_centra_pipeline.sources.happy_returns.profiles import load_profiles
from hr_centra_pipeline.sources.payouts.ingest import PayoutReport, ingest_payouts
from hr_centra_pipeline.sources.payouts.profiles import load_payout_profiles

Report = TypeVar("Report", IngestReport, PayoutReport)

_ROWS = "landing.happy_returns_rows"
_ADDS_UP = "rows_read_are_landed_rejected_or_repeated"
_PAYOUTS = "landing.payout_lines"
_ITS_TOTAL = "every_file_adds_up_to_its_own_total"
_READABLE = "the_exports_were_readable"
_PAYOUTS_READABLE = "settlement_files_were_readable"
_COMPLETE = "the_pull_was_completed"


@dg.multi_asset(
    name="happy_returns_exports",
    specs=[
        spec(
            _ROWS, "landing", "data", [], kinds=["csv"],
            grain="One row per row of an export file, append-only: file, line, hash, source time.",
        ),
        spec(
            "quarantine.rejected_rows", "landing", "data", [],
            grain="One row per rejected row of an export file (without a line: the whole file), with its reason.",
        ),
    ],
    check_specs=[
        dg.AssetCheckSpec(
            _ADDS_UP, asset=key(_ROWS), description="For every file: rows read = landed + rejected + repeated."
        ),
        dg.AssetCheckSpec(
            _READABLE, asset=key(_ROWS), description="HAPPY_RETURNS_EXPORTS could be read; if not, nothing new is known."
        ),
    ],
    partitions_def=DAILY,
    backfill_policy=SINGLE_RUN,
    pool=POOL,
)  # fmt: skip
def happy_returns_exports(context: dg.AssetExecutionContext, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """All new export files, whatever the partition: a partition is the day on which rows were received."""

    def take() -> IngestReport:
        profiles = load_profiles(run.settings.home / "profiles")
        return ingest(run.warehouse, run.settings.exports, profiles, run.now)

    report, readable = _taken(context, run, take, IngestReport(), key(_ROWS), _READABLE)
    with run.warehouse.transaction() as connection:
        row = connection.execute(
            "select count(*) from landing.files where rows_read <> rows_landed + rows_rejected + rows_repeated"
        ).fetchone()
    wrong = int(row[0]) if row else 0
    checks = [
        dg.AssetCheckResult(
            asset_key=key(_ROWS), check_name=_ADDS_UP, passed=not wrong, metadata={"files": wrong},
            description=f"{wrong} files do not add up: see landing.files." if wrong else None,
        ),
        readable,
    ]  # fmt: skip
    yield from results(run.warehouse, [_ROWS, "quarantine.rejected_rows"], _plain(report), {_ROWS: checks})


@dg.multi_asset(
    name="payout_files",
    specs=[
        spec(
            _PAYOUTS, "landing", "finance", [], kinds=["csv"],
            grain="One row per line of a payment provider's settlement file, append-only.",
        )
    ],
    check_specs=[
        dg.AssetCheckSpec(
            _ITS_TOTAL, asset=key(_PAYOUTS),
            description="The latest delivery of every settlement file adds up to its own total (else nothing of it is landed).",
        ),
        dg.AssetCheckSpec(
            _PAYOUTS_READABLE, asset=key(_PAYOUTS), description="Folder or address in HR_CENTRA_PAYOUTS, if any."
        ),
    ],
    partitions_def=DAILY,
    backfill_policy=SINGLE_RUN,
    pool=POOL,
)  # fmt: skip
def payout_files(context: dg.AssetExecutionContext, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
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
    yield from results(run.warehouse, [_PAYOUTS], _plain(report), {_PAYOUTS: checks})


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


def _centra(
    name: str, grain: str, *pulls: Pull, after_items: bool, after: Sequence[str] = (), history: str | None = None,
    stops: bool = True,
) -> dg.AssetsDefinition:  # fmt: skip
    """One pull of Centra as an asset. What open return items ask for is only known after staging.

    ``history``: what a backfill reads of it by creation; the others are read as they are now. ``stops``: without the
    permission for it nothing is sent; else the rest goes on.
    """
    table = f"landing.{name}"
    deps = [*(["staging.return_items"] if after_items else []), *after]

    @dg.multi_asset(
        name=name,
        specs=[spec(table, "landing", "data", deps, grain=grain, kinds=["graphql"])],
        check_specs=[
            dg.AssetCheckSpec(
                _COMPLETE, asset=key(table),
                description="A pull that did not complete covers nothing: what it did not show is not gone.",
            )
        ],
        partitions_def=DAILY,
        backfill_policy=SINGLE_RUN,
        pool=POOL,
    )  # fmt: skip
    def pulled(context: dg.AssetExecutionContext, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
        if run.window is None:
            reports = [one(run.client, run.warehouse, run.policy.policy, run.now) for one in pulls]
            for report in reports:
                if stops:
                    failures.stop_if_misconfigured(context, report.error)
                failures.try_again(context, run, report.error)
            metadata: dict[str, Any] = {
                "rows_read": sum(report.rows_read for report in reports),
                "rows_landed": sum(report.rows_landed for report in reports),
            }
        else:
            reports = []
            metadata = (
                _plain(read_history(context, run, history)) if history else {"note": "left to the sync by a backfill"}
            )
        problems = "; ".join(report.problem for report in reports if report.problem)
        errors = [report.error for report in reports if report.error]
        check = dg.AssetCheckResult(
            asset_key=key(table), check_name=_COMPLETE, passed=not problems, description=problems or None,
            metadata=failures.told(errors[0]) if errors else {},
        )  # fmt: skip
        yield from results(run.warehouse, [table], metadata, {table: [check]})

    return pulled


@dg.multi_asset(
    name="full_compare",
    specs=[
        spec(
            "landing.centra_differences", "landing", "data",
            [f"landing.{name}" for name in ("centra_orders", "centra_shipments", "centra_returns", "centra_stock_changes")],
            kinds=["graphql"],
            grain="One row per object of Centra that was silently edited, deleted or missed, as the full compare found it.",
        )
    ],
    partitions_def=DAILY,
    backfill_policy=SINGLE_RUN,
    pool=POOL,
)  # fmt: skip
def full_compare(run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """A few months of the history in each run, all of it within a week: silent edits leave no trace that increments follow."""
    metadata: dict[str, Any] = {"note": "left to the sync by a backfill"}
    if run.window is None:
        metadata = _plain(compare_with_centra(run.client, run.warehouse, run.policy.policy, run.now))
    yield from results(run.warehouse, ["landing.centra_differences"], metadata)


ASSETS = [
    happy_returns_exports,
    payout_files,
    _centra(
        "centra_warehouses", "One row per warehouse as fetched, when it changed.", pull.pull_warehouses, after_items=False
    ),
    _centra(
        "centra_stock_changes", "One row per stock change as fetched.", pull.pull_stock_changes, after_items=False,
        history="stock_changes",
    ),
    _centra(
        "centra_orders",
        "One row per order as fetched, when it changed; orders that open return items name are fetched by number.",
        pull.pull_orders, pull.pull_named_orders, after_items=True, history="orders",
    ),
    _centra(
        "centra_shipments", "One row per shipment as fetched, when it changed.", pull.pull_shipments, after_items=True
    ),
    _centra(
        "centra_returns", "One row per Return as fetched, when it changed or was deleted.", pull.pull_returns,
        after_items=True, history="returns",
    ),
    _centra(
        "centra_replacement_stock", "One row per SKU that an open exchange asks for, as fetched.",
        pull.pull_replacement_stock, after_items=True,
    ),
    _centra(
        "centra_status_marks",
        "One row per order or customer and our texts on it, as fetched, where the policy writes a return's state there.",
        pull.pull_status_marks, after_items=True, after=["landing.centra_orders"], stops=False,
    ),
    full_compare,
]  # fmt: skip
