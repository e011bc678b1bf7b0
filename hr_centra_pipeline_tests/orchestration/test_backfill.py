from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.definitions import defs
from hr_centra_pipeline.orchestration import once, run_lock
from hr_centra_pipeline.orchestration.partitions import window_of
from hr_centra_pipeline.warehouse import lock
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY, ShopScenario, shop_scenario

FIRST, LAST = date(2026, 9, 4), date(2026, 9, 14)


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ShopScenario]:
    with shop_scenario(tmp_path, monkeypatch, returns=8, days=10) as opened:
        text = EXAMPLE_POLICY.read_text(encoding="utf-8")
        text = text.replace("cutover = 2026-08-27", "cutover = 2026-09-24") + "\n[centra]\nretry_wait_seconds = 0\n"
        (opened.home / "policy.toml").write_text(text, encoding="utf-8")
        yield opened


def backfill(scenario: ShopScenario) -> str:
    return once.backfill(defs, scenario.settings, FIRST, LAST)


@pytest.mark.slow
def test_a_backfill_lands_and_plans_beside_the_hourly_sync_and_sends_nothing(
    scenario: ShopScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In live mode, from the command line, while another process syncs (in dry run, so that whoever writes is the backfill)."""
    scenario.sandbox.sandbox.faults.arm({"kind": "delay", "target": "PullOrders", "seconds": 1, "times": 12})
    command = [
        sys.executable, "-m", "hr_centra_pipeline.cli.main", "backfill", "--from", str(FIRST), "--to", str(LAST),
    ]  # fmt: skip
    assert scenario.settings.mode == "live"
    process = subprocess.Popen(command, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    monkeypatch.setenv("HR_CENTRA_MODE", "dry_run")
    try:
        while not (scenario.settings.database.exists() and run_lock.is_held(scenario.settings.backfill_lock_path)):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.5)
        scenario.sync()
        assert process.poll() is None, "the backfill was over before the sync"
        output, _ = process.communicate(timeout=180)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert scenario.writes() == []
    created = [row["created_at"] for row in scenario.sandbox.store.rows("select created_at from orders")]
    in_range = [at for at in created if FIRST <= datetime.fromisoformat(at).astimezone(UTC).date() <= LAST]
    ((landed,),) = scenario.rows(
        "select count(distinct order_number) from landing.centra_orders where (payload ->> 'createdAt')::timestamptz"
        f" between '{FIRST}' and '{LAST}'::date + 1"
    )
    assert landed == len(in_range) > 5
    reasons = dict(scenario.rows("select reason, sum(effects) from operations.backfill_reports group by 1"))
    assert reasons["left to the hourly sync"] > 0
    assert sum(count for reason, count in reasons.items() if "before the cut-over" in reason) >= 3
    assert "A backfill never sends" in output
    assert "left to the hourly sync" in output
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs()
        assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
        (history,) = [run for run in runs if run.job_name == "backfill"]
        assert instance.get_materialized_partitions(dg.AssetKey(["operations", "backfill_reports"])) == {
            f"{FIRST + timedelta(days=number)}" for number in range((LAST - FIRST).days + 1)
        }
    assert history.tags["hr_centra/window/2026-09"] == "yes"


def test_a_second_backfill_is_refused_and_names_the_running_one(scenario: ShopScenario) -> None:
    with (
        lock.held(scenario.settings.backfill_lock_path, "hr-centra backfill"),
        pytest.raises(RunFailed, match=r"backfill\.lock is held by hr-centra backfill"),
    ):
        backfill(scenario)


def test_a_backfill_reads_whole_days_and_is_refused_without_any() -> None:
    days = {"dagster/asset_partition_range_start": "2026-09-01", "dagster/asset_partition_range_end": "2026-09-30"}
    assert window_of(days) == (datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC))
    for tags in ({}, {"dagster/partition": "2026-09"}):
        with pytest.raises(ConfigurationError, match="A backfill reads days"):
            window_of(tags)
