"""What the pages read: the file for 100,000 returns from scratch, next to what is written when 100 of them changed."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.effects.plan import plan
from hr_centra_pipeline.matching.match import match
from hr_centra_pipeline.publishing.page_data import PagesReport, write_pages
from hr_centra_pipeline.publishing.page_tables import PAGES_DATABASE
from hr_centra_pipeline.push.record import record_plan
from hr_centra_pipeline.reconciliation.reconcile import reconcile
from hr_centra_pipeline.sources.happy_returns import export_staging as happy_returns_staging
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.bench.measured import Measured
from hr_centra_pipeline_tests.bench.month_end import NOW, prepared

RETURNS, CHANGED = 100_000, 100


def _written(warehouse: Warehouse, settings: Settings) -> tuple[PagesReport, float]:
    start = time.perf_counter()
    report = write_pages(warehouse, settings, NOW, "")
    return report, time.perf_counter() - start


def _change(warehouse: Warehouse) -> None:
    """One unit of each of so many returns is graded otherwise, and a sync takes it over."""
    with warehouse.transaction() as connection:
        connection.execute(
            """
            insert into landing.happy_returns_items by name
            select * replace (
                'worn' as condition, md5(row_sha256) as row_sha256, source_time + interval 1 hour as source_time, $batch as batch
            )
            from landing.happy_returns_items where item_id in (select 'IT-' || i * 7 || '-0' from range($changed) as numbers(i))
            """,
            {"batch": watermarks.newest_batch(connection), "changed": CHANGED},
        )
    happy_returns_staging.refresh(warehouse, NOW)
    with warehouse.transaction() as connection:
        match(connection, NOW)
        plan(connection, NOW)
        record_plan(connection, NOW)
        reconcile(connection, NOW)


def measure() -> list[Measured]:
    """Seconds for everything, for a few returns, and for none."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        environment = prepared(home, 2 * RETURNS)
        settings = Settings.from_environment(environment)
        warehouse = Warehouse(settings.database)
        with warehouse.kept_open():
            report, everything = _written(warehouse, settings)
            assert (report.written, report.is_whole) == (RETURNS, True)
            size = (settings.published / PAGES_DATABASE).stat().st_size / 1e6
            nothing, no_time = _written(warehouse, settings)
            assert (nothing.written, nothing.is_whole) == (0, False)
            _change(warehouse)
            some, few = _written(warehouse, settings)
            assert (some.written, some.is_whole) == (CHANGED, False)
    what = (
        f"pages: {RETURNS:,} returns, {size:.0f} MB; none of {nothing.looked_at:,} looked at changed: {no_time:.1f} s"
    )
    return [
        Measured(f"pages: {CHANGED} of {some.looked_at:,} returns looked at changed", few, what, everything, "<= 0.1")
    ]
