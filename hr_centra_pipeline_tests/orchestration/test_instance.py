"""The instance configurations that ship: embedded, and Postgres with a server that is restarted in the middle of a run."""

from __future__ import annotations

import threading
import time
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from hr_centra_pipeline.core import processes
from hr_centra_pipeline.core.keys import effect_keys_in
from hr_centra_pipeline.definitions import defs
from hr_centra_pipeline.orchestration import run_lock
from hr_centra_pipeline.orchestration.jobs import SCHEDULE
from hr_centra_pipeline.orchestration.partitions import SYNC_JOB
from hr_centra_pipeline_tests.postgres import Postgres, binaries, running_postgres
from hr_centra_pipeline_tests.shops import ShopScenario, shop_scenario

SHIPPED = {
    name: resources.files("hr_centra_pipeline.orchestration").joinpath(f"dagster.{name}.yaml").read_text("utf-8")
    for name in ("sqlite", "postgres")
}


@pytest.mark.parametrize("name", SHIPPED)
def test_each_shipped_instance_has_what_running_for_months_needs(name: str) -> None:
    settings: dict[str, Any] = yaml.safe_load(SHIPPED[name])
    assert settings["telemetry"] == {"enabled": False}
    assert settings["run_retries"] == {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False}
    assert settings["run_monitoring"]["max_runtime_seconds"] < 3600
    assert settings["run_monitoring"]["free_slots_after_run_end_seconds"] > 0
    assert settings["concurrency"]["pools"] == {"default_limit": 2, "granularity": "op"}
    assert settings["concurrency"]["runs"]["tag_concurrency_limits"][0] == {
        "key": "hr_centra/job", "value": {"applyLimitPerUniqueValue": True}, "limit": 1,
    }  # fmt: skip
    assert settings["retention"]["sensor"]["purge_after_days"]["skipped"] == 7
    assert settings["scheduler"]["config"]["max_catchup_runs"] == 1


def test_the_two_differ_in_their_storage_only() -> None:
    embedded, postgres = (yaml.safe_load(text) for text in SHIPPED.values())
    assert embedded.pop("storage") != postgres.pop("storage")
    assert embedded == postgres


def test_the_address_of_postgres_names_its_driver_and_comes_from_the_environment() -> None:
    """SQLAlchemy 2.1 would look for psycopg 3, which dagster-postgres does not bring."""
    given = yaml.safe_load(SHIPPED["postgres"])["storage"]["postgres"]["postgres_db"]
    assert given.pop("scheme") == "postgresql+psycopg2"
    assert {tuple(value) for value in given.values()} == {("env",)}


def restarts_when(scenario: ShopScenario, operation: str, server: Postgres) -> threading.Thread:
    """Restart Postgres once, as soon as Centra was asked something."""

    def wait() -> None:
        while operation not in [name for entry in scenario.sandbox.sandbox.log for name in entry["operations"]]:
            time.sleep(0.01)
        server.restart()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.slow
@pytest.mark.skipif(binaries() is None, reason="PostgreSQL is not installed (apt-get install postgresql)")
def test_on_postgres_a_tick_becomes_a_run_with_checks_and_a_restart_in_the_middle_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        running_postgres() as server,
        shop_scenario(tmp_path, monkeypatch, returns=4, days=5) as scenario,
    ):
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        (scenario.home / "dagster").mkdir()
        (scenario.home / "dagster" / "dagster.yaml").write_text(SHIPPED["postgres"], encoding="utf-8")
        with dg.DagsterInstance.get() as instance:
            assert type(instance.event_log_storage).__name__ == "PostgresEventLogStorage"
            request = defs.resolve_schedule_def(SCHEDULE)(dg.build_schedule_context(instance))
            assert isinstance(request, dg.RunRequest)
            restart = restarts_when(scenario, "PullReturns", server)
            first = defs.resolve_job_def(SYNC_JOB).execute_in_process(
                instance=instance, raise_on_error=False,
                tags={run_lock.PROCESS_TAG: processes.this()},
            )  # fmt: skip
            restart.join(timeout=30)
            assert not restart.is_alive()
            kept = instance.all_logs(first.run_id)
            assert len(kept) > 200  # events of before and after
            checks = [
                entry.dagster_event.asset_check_evaluation_data
                for entry in instance.all_logs(first.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
                if entry.dagster_event is not None
            ]
            assert {check.check_name for check in checks} >= {
                "the_pull_was_completed",
                "every_landed_key_is_staged_once",
            }
            scenario.sync()
            statuses = Counter(run.status for run in instance.get_runs())
            assert not set(statuses) - {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}
            assert instance.event_log_storage.get_concurrency_info("duckdb").active_slot_count == 0
        ledger = scenario.sandbox.store.records()
        texts = [row["comment"] for row in (*ledger["returns"], *ledger["stock_changes"])]
        written = Counter(key for text in texts for key in effect_keys_in(text))
        assert written
        assert set(written.values()) == {1}
        assert scenario.rows("select count(*) from push.ledger where state in ('sending', 'unknown')") == [(0,)]
