"""The pack of one month out of 24: on a long history next to a short one, whole process, with its peak memory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.effects.plan import plan
from hr_centra_pipeline.matching.match import match
from hr_centra_pipeline.month_end.fact_journal import remember
from hr_centra_pipeline.push.record import record_plan
from hr_centra_pipeline.reconciliation.reconcile import reconcile
from hr_centra_pipeline.sources.centra import centra_staging as centra_staging
from hr_centra_pipeline.sources.happy_returns import export_staging as happy_returns_staging
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline.warehouse.derived import forget_stale
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests.bench.history import ENDS, land_history
from hr_centra_pipeline_tests.bench.measured import Measured, in_turn, peak_of
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY

SHORT, LONG = 100_000, 1_000_000
_ROUNDS = 2
NOW = datetime(2026, 8, 3, 12, tzinfo=UTC)
MONTH = f"{ENDS - timedelta(days=1):%Y-%m}"


def prepared(folder: Path, units: int) -> dict[str, str]:
    """A home whose history was taken in and reconciled; answers the environment that points there."""
    folder.mkdir(parents=True)
    policy = re.sub(r"(?m)^cutover = .*$", "cutover = 2020-01-01T00:00:00Z", EXAMPLE_POLICY.read_text("utf-8"))
    (folder / "policy.toml").write_text(policy, encoding="utf-8")
    loaded = load_policy(folder / "policy.toml")
    warehouse = Warehouse(folder / "warehouse.duckdb")
    with warehouse.kept_open():
        migrate.prepare(warehouse)
        with warehouse.transaction() as connection:
            forget_stale(connection, loaded.sha256)
            write_policy(connection, loaded.policy, "dry_run")
            land_history(connection, units, NOW)
        happy_returns_staging.refresh(warehouse, NOW)
        centra_staging.refresh(warehouse, NOW)
        with warehouse.transaction() as connection:
            match(connection, NOW)
            plan(connection, NOW)
            record_plan(connection, NOW)
        with warehouse.transaction() as connection:
            reconcile(connection, NOW)
            remember(connection, NOW, loaded.sha256)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HR_CENTRA_", "DAGSTER_"))}
    return {**kept, "HR_CENTRA_HOME": str(folder), "HR_CENTRA_NOW": NOW.isoformat()}


def export(environment: dict[str, str]) -> None:
    """The command, as finance gives it."""
    command = [sys.executable, "-m", "hr_centra_pipeline.cli.main", "export", "--month", MONTH]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def measure() -> list[Measured]:
    """Seconds of the pack of a month after 1,000,000 units in 24 months, next to one after 100,000."""
    with tempfile.TemporaryDirectory() as name:
        homes = {units: prepared(Path(name) / str(units), units) for units in (SHORT, LONG)}
        peak = peak_of("hr_centra_pipeline.cli.main", "export", "--month", MONTH, environment=homes[LONG])
        seconds, other = in_turn(_ROUNDS, lambda: export(homes[LONG]), lambda: export(homes[SHORT]))
    what = f"pack of one month of 24, {LONG:,} units, peak {peak:.2f} GiB (<= 2)"
    return [Measured(what, seconds, f"{SHORT:,} units", other, "<= 10")]
