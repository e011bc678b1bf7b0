"""Landing: what the sources brought, as it came; and what was refused."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from hr_centra_pipeline.core.errors import ConfigurationError, Unreachable
from hr_centra_pipeline.orchestration import failures
from hr_centra_pipeline.orchestration.assets.backfill import read_history
from hr_centra_pipeline.orchestration.partitions import DAILY, SINGLE_RUN
from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.orchestration.tables import POOL, key, results, spec
from hr_centra_pipeline.sources.centra import pull
from hr_centra_pipeline.sources.happy_returns.ingest import IngestReport, ingest
from hr_centra_pipeline.sources.happy_returns.profiles import load_profiles

_ROWS = "landing.happy_returns_rows"
_ADDS_UP = "rows_read_are_landed_rejected_or_repeated"
_READABLE = "the_place_of_the_exports_could_be_read"
_COMPLETE = "the_pull_came_to_its_end"


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
            _READABLE, asset=key(_ROWS), description="Folder or address in HAPPY_RETURNS_EXPORTS; if not, nothing new is known."
        ),
    ],
    partitions_def=DAILY,
    backfill_policy=SINGLE_RUN,
    pool=POOL,
)  # fmt: skip
def happy_returns_exports(context: dg.AssetExecutionContext, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """All new export files, whatever the partition: a partition is the day on which rows were received."""
    problem: Unreachable | None = None
    report = IngestReport()
    try:
        profiles = load_profiles(run.settings.home / "profiles")
        report = ingest(run.warehouse, run.settings.exports, profiles, run.now)
    except Unreachable as error:
        failures.try_again(context, run, error)
        problem = error  # the rest goes on: what was planned before may be due now
    except ConfigurationError as error:
        failures.stop_if_misconfigured(context, error)
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
        dg.AssetCheckResult(
            asset_key=key(_ROWS), check_name=_READABLE, passed=problem is None,
            description=str(problem) if problem else None,
            metadata=failures.told(problem) if problem else {},
        ),
    ]  # fmt: skip
    yield from results(run.warehouse, [_ROWS, "quarantine.rejected_rows"], _plain(report), {_ROWS: checks})


def _plain(report: Any) -> dict[str, Any]:
    """A report's whole numbers, as metadata."""
    return {name: value for name, value in vars(report).items() if isinstance(value, int)}


Pull = Callable[..., pull.PullReport]


def _centra(name: str, grain: str, *pulls: Pull, after_items: bool, history: str | None = None) -> dg.AssetsDefinition:
    """One pull of Centra as an asset. What open return items ask for is only known after staging.

    ``history``: what a backfill reads of it by creation; the others are read as they stand now.
    """
    table = f"landing.{name}"
    deps = ["staging.return_items"] if after_items else []

    @dg.multi_asset(
        name=name,
        specs=[spec(table, "landing", "data", deps, grain=grain, kinds=["graphql"])],
        check_specs=[
            dg.AssetCheckSpec(
                _COMPLETE, asset=key(table),
                description="A pull that was cut short covers nothing: what it did not show is not gone.",
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
                failures.stop_if_misconfigured(context, report.error)
                failures.try_again(context, run, report.error)
            metadata: dict[str, Any] = {
                "rows_read": sum(report.rows_read for report in reports),
                "rows_landed": sum(report.rows_landed for report in reports),
            }
        else:
            reports = []
            metadata = (
                _plain(read_history(context, run, history)) if history else {"note": "a backfill leaves it to the sync"}
            )
        problems = "; ".join(report.problem for report in reports if report.problem)
        errors = [report.error for report in reports if report.error]
        check = dg.AssetCheckResult(
            asset_key=key(table), check_name=_COMPLETE, passed=not problems, description=problems or None,
            metadata=failures.told(errors[0]) if errors else {},
        )  # fmt: skip
        yield from results(run.warehouse, [table], metadata, {table: [check]})

    return pulled


ASSETS = [
    happy_returns_exports,
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
]  # fmt: skip
