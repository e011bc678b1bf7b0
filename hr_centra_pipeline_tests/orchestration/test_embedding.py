"""Inside another deployment: its names, its executor and its resources stay its own, and our runs still take turns."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hr_centra_pipeline.core import processes
from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.orchestration import run_lock
from hr_centra_pipeline.orchestration.assets import effect_assets
from hr_centra_pipeline.orchestration.build import build_definitions
from hr_centra_pipeline.orchestration.embedding import Embedding
from hr_centra_pipeline.orchestration.run import HrCentra
from hr_centra_pipeline.warehouse import lock
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY, shop_scenario

# A deployment with a job, an executor and a resource of its own, one of whose assets has the name of a step of ours.
HOST = """
import sys
import dagster as dg
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration.build import build_definitions
from hr_centra_pipeline.orchestration.instance import prepare_dagster_home

class Theirs(dg.ConfigurableResource):
    word: str = "theirs"

@dg.asset
def push(run: Theirs) -> str:
    return run.word

@dg.asset(deps=[["returns", "staging", "return_items"]])
def report() -> None:
    pass

def definitions():
    own = dg.Definitions(
        assets=[push, report],
        jobs=[
            dg.define_asset_job("theirs", selection=["push"]),
            dg.define_asset_job(
                "both", selection=dg.AssetSelection.groups("returns_2_staging") | dg.AssetSelection.assets("report")
            ),
        ],
        resources={"run": Theirs()}, executor=dg.multiprocess_executor,
    )
    return dg.Definitions.merge(own, build_definitions(key_prefix="returns", name_prefix="returns_"))

def both():
    return definitions().resolve_job_def("both")

if __name__ == "__main__":
    prepare_dagster_home(Settings.from_environment())
    with dg.DagsterInstance.get() as instance:
        result = dg.execute_job(dg.reconstructable(both), instance)
        sys.exit(not result.success)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "policy.toml").write_text(EXAMPLE_POLICY.read_text(encoding="utf-8"), encoding="utf-8")
    for name, value in {
        "HR_CENTRA_HOME": str(tmp_path), "HAPPY_RETURNS_EXPORTS": str(tmp_path), "CENTRA_GRAPHQL_URL": "http://127.0.0.1:1",
        "CENTRA_TOKEN": "t", "CENTRA_ORDER_API_URL": "http://127.0.0.1:1", "CENTRA_ORDER_API_KEY": "k",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture(scope="module")
def host() -> dg.Definitions:
    scope: dict[str, object] = {"__name__": "host"}
    exec(HOST, scope)  # noqa: S102 - the text above
    merged = scope["definitions"]()  # type: ignore[operator]
    assert isinstance(merged, dg.Definitions)
    return merged


def test_merged_into_another_deployment_everything_keeps_its_name_and_its_executor(host: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(host)
    repository = host.get_repository_def()
    names = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    assert names == {
        "theirs",
        "both",
        "returns_sync",
        "returns_event_sync",
        "returns_month_end",
        "returns_backfill",
        "returns_carry_out_decisions",
    }
    watching: list[Any] = [*repository.schedule_defs, *repository.sensor_defs]
    assert all(one.name.startswith("returns_") for one in watching)
    assert host.resolve_job_def("theirs").executor_def.name == dg.multiprocess_executor.name
    assert host.resolve_job_def("returns_sync").executor_def.name == dg.in_process_executor.name
    theirs = {dg.AssetKey("push"), dg.AssetKey("report")}
    ours = set(host.resolve_asset_graph().get_all_asset_keys()) - theirs
    assert {key.path[0] for key in ours} == {"returns"}
    synced = set(host.resolve_job_def("returns_sync").asset_layer.executable_asset_keys)
    assert not synced & theirs


def test_the_host_s_own_job_runs_with_its_own_resource_whatever_it_is_called(host: dg.Definitions) -> None:
    with dg.instance_for_test() as instance:
        done = host.resolve_job_def("theirs").execute_in_process(instance=instance)
    assert done.output_for_node("push") == "theirs"


def test_two_stores_fit_in_one_deployment(home: Path) -> None:
    stores = [
        build_definitions(home=home / name, key_prefix=name, name_prefix=f"{name}_", resource_key=f"hr_centra_{name}")
        for name in ("se", "us")
    ]
    dg.Definitions.validate_loadable(dg.Definitions.merge(*stores))


def test_an_asset_that_is_materialized_alone_waits_for_the_lock_and_names_its_holder(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_lock, "RUN_WAIT_SECONDS", 0.1)
    matching = effect_assets.ASSETS[0].defined(Embedding())
    with lock.held(home / "sync.lock", "hr-centra month close"), dg.instance_for_test() as instance:
        done = dg.materialize([matching], resources={"hr_centra": HrCentra()}, instance=instance, raise_on_error=False)
    assert not done.success
    (failed,) = [event.step_failure_data for event in done.all_node_events if event.is_step_failure]
    assert "sync.lock is held by hr-centra month close" in str(failed.error)
    assert not (home / "warehouse.duckdb").exists()


# ---------------------------------------------------------------- turns of runs whose steps are processes


@pytest.fixture
def run_process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for a run: the parent of its steps."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def test_between_its_steps_a_run_keeps_others_out_and_its_steps_go_by_the_first_one(
    tmp_path: Path, run_process: subprocess.Popen[bytes]
) -> None:
    path, worker = tmp_path / "sync.lock", processes.named(run_process.pid)
    with lock.held(path, "run one", turn=lock.Turn("one", worker, {"now": "9"})):
        pass
    refusal = rf"held by run one \(pid {run_process.pid}"
    with pytest.raises(RunFailed, match=refusal), lock.held(path, "hr-centra forget", wait_seconds=0.2):
        pass
    other = lock.Turn("two", processes.this())
    with pytest.raises(RunFailed, match=refusal), lock.held(path, "run two", turn=other, is_over=lambda _: False):
        pass
    with lock.held(path, "run one", turn=lock.Turn("one", worker, {"now": "10"})) as turn:
        assert turn is not None
        assert turn.said == {"now": "9"}


@pytest.mark.parametrize("ends", ["its process was killed", "Dagster says so"])
def test_the_turn_of_a_run_is_over_when(tmp_path: Path, run_process: subprocess.Popen[bytes], ends: str) -> None:
    path = tmp_path / "sync.lock"
    with lock.held(path, "run one", turn=lock.Turn("one", processes.named(run_process.pid))):
        pass
    if ends == "its process was killed":
        run_process.kill()
        run_process.wait()
    other = lock.Turn("two", processes.this())
    with lock.held(path, "run two", turn=other, is_over=lambda run_id: ends == "Dagster says so" and run_id == "one"):
        pass
    with lock.held(path, "hr-centra forget"):
        pass  # the turn of a whole run ends with the block


@pytest.mark.slow
def test_two_runs_of_the_host_s_executor_with_a_process_per_step_never_interleave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shop_scenario(tmp_path, monkeypatch, returns=2, days=3) as scenario:
        script = tmp_path / "host.py"
        script.write_text(HOST, encoding="utf-8")
        scenario.sync()  # makes the database and the instance
        with dg.DagsterInstance.get() as instance:
            before = {run.run_id for run in instance.get_runs()}
        runs = [subprocess.Popen([sys.executable, str(script)], env=os.environ) for _ in range(2)]
        assert [run.wait(timeout=600) for run in runs] == [0, 0]
        spans: list[tuple[float, float]] = []
        with dg.DagsterInstance.get() as instance:
            for run in instance.get_runs():
                if run.run_id in before:
                    continue
                made = [
                    entry.timestamp
                    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
                    if entry.dagster_event is not None
                    and entry.dagster_event.asset_key is not None
                    and entry.dagster_event.asset_key.path[0] == "returns"
                ]
                spans.append((min(made), max(made)))
    (_, first_ended), (second_began, _) = sorted(spans)
    assert first_ended < second_began
