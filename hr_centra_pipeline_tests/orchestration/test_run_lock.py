from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration import run_lock
from hr_centra_pipeline.orchestration.instance import prepare_dagster_home

# A run whose only step takes its turn as ours do, in a pool, and hangs.
HANGING = """
import os, sys, time
import dagster as dg
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration import run_lock
from hr_centra_pipeline.orchestration.instance import prepare_dagster_home

@dg.asset(pool="duckdb")
def hangs(context: dg.AssetExecutionContext):
    run_lock.tag_run(context.instance, context.run, {})
    with run_lock.turn(Settings.from_environment().lock_path, context.instance, context.run, {}):
        print("hanging", flush=True)
        time.sleep(float(sys.argv[1]))

def job():
    return dg.Definitions(
        assets=[hangs], jobs=[dg.define_asset_job("job", selection="*", executor_def=dg.in_process_executor)]
    ).resolve_job_def("job")

if __name__ == "__main__":
    prepare_dagster_home(Settings.from_environment())
    with dg.DagsterInstance.get() as instance:
        result = dg.execute_job(dg.reconstructable(job), instance)
        print("success" if result.success else "failure", flush=True)
"""


def start(home: Path, seconds: float) -> subprocess.Popen[str]:
    environment = {**os.environ, "HR_CENTRA_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}
    script = home / "hanging.py"
    script.write_text(HANGING, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, str(script), str(seconds)], env=environment, stdout=subprocess.PIPE, text=True
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HR_CENTRA_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    return tmp_path


def test_a_killed_run_frees_lock_and_pool_slot_and_the_next_one_starts_at_once(home: Path) -> None:
    killed = start(home, 600)
    assert killed.stdout is not None
    assert killed.stdout.readline().strip() == "hanging"
    lock_path = home / "sync.lock"
    assert run_lock.is_held(lock_path)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not run_lock.is_held(lock_path)
    following = start(home, 0)
    assert following.stdout is not None
    assert following.stdout.read().split() == ["hanging", "success"]
    with dg.DagsterInstance.get() as instance:
        statuses = [run.status for run in instance.get_runs()]
        slots = instance.event_log_storage.get_concurrency_info("duckdb")
    assert set(statuses) == {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS}
    assert slots.active_slot_count == 0


def test_who_comes_second_learns_who_holds_the_lock(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = start(home, 600)
    assert first.stdout is not None
    assert first.stdout.readline().strip() == "hanging"
    with (
        pytest.raises(RunFailed, match=rf"held by run \w+ \(pid {first.pid}"),
        run_lock.held(home / "sync.lock", "test", wait_seconds=0.2),
    ):
        pass
    first.kill()
    first.wait()


def test_the_dagster_home_is_made_absolute_and_an_own_file_is_left_alone(home: Path) -> None:
    settings = Settings.from_environment()
    folder = prepare_dagster_home(settings)
    assert folder.is_absolute()
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    prepare_dagster_home(settings)
    assert (folder / "dagster.yaml").read_text(encoding="utf-8") == "telemetry: {enabled: false}\n"


def test_the_shipped_instance_loads_and_sends_no_telemetry(home: Path) -> None:
    prepare_dagster_home(Settings.from_environment())
    with dg.DagsterInstance.get() as instance:
        assert instance.telemetry_enabled is False
        assert instance.run_retries_enabled
