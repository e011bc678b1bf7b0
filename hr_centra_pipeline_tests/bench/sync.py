"""The sync that finds nothing new, whole process, next to an empty Dagster job of the same size."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from hr_centra_pipeline.cli import sandbox
from hr_centra_pipeline_tests.bench.measured import Measured, in_turn

_ROUNDS = 5
_EMPTY = """
import sys
import dagster as dg

steps, assets, checks = (int(text) for text in sys.argv[1:])

def step(number):
    keys = [dg.AssetKey(["empty", f"{number}_{at}"]) for at in range(number, assets, steps)]
    mine = keys[:1] and [
        dg.AssetCheckSpec(f"check_{at}", asset=keys[at % len(keys)]) for at in range(number, checks, steps)
    ]

    @dg.multi_asset(
        name=f"step_{number}",
        specs=[dg.AssetSpec(key, deps=[["empty", f"{number - 1}_{number - 1}"]] if number else []) for key in keys],
        check_specs=mine, pool="duckdb",
    )
    def nothing():
        for key in keys:
            yield dg.MaterializeResult(asset_key=key, check_results=[
                dg.AssetCheckResult(asset_key=key, check_name=spec.name, passed=True)
                for spec in mine if spec.asset_key == key
            ])
    return nothing

defs = dg.Definitions(
    assets=[step(number) for number in range(steps)],
    jobs=[dg.define_asset_job("all", selection=dg.AssetSelection.all())],
)
with dg.DagsterInstance.get() as instance:
    assert defs.resolve_job_def("all").execute_in_process(instance=instance).success
"""


def measure() -> list[Measured]:
    """Seconds of `hr-centra sync` on the demo's shop when nothing is new, against the empty job."""
    steps, assets, checks = _size()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environment = {**os.environ, "HR_CENTRA_HOME": str(home / "data"), "DAGSTER_HOME": ""}
        environment.pop("DAGSTER_HOME")
        run = [sys.executable, "-m", "hr_centra_pipeline.cli.main"]
        subprocess.run([*run, "demo"], env=environment, check=True, stdout=subprocess.DEVNULL)
        demo = home / "data" / "demo"
        with sandbox.served(demo / "sandbox") as note:
            ours = {
                **environment, **sandbox.environment(note), "HR_CENTRA_HOME": str(demo), "HR_CENTRA_MODE": "live",
                "HR_CENTRA_NOW": f"@{note['clock_file']}",
            }  # fmt: skip
            empty_home = home / "empty"
            empty_home.mkdir()
            (empty_home / "dagster.yaml").write_text((demo / "dagster" / "dagster.yaml").read_text("utf-8"), "utf-8")
            empty = {**environment, "DAGSTER_HOME": str(empty_home)}
            size = [str(steps), str(assets), str(checks)]

            def sync() -> None:
                subprocess.run([*run, "sync"], env=ours, check=True, stdout=subprocess.DEVNULL)

            def nothing() -> None:
                subprocess.run([sys.executable, "-c", _EMPTY, *size], env=empty, check=True, capture_output=True)

            sync()
            nothing()
            seconds, other = in_turn(_ROUNDS, sync, nothing)
    label = f"empty job, {steps} steps, {assets} assets, {checks} checks"
    return [Measured("sync that finds nothing new", seconds, label, other, "<= 1.5")]


def _size() -> tuple[int, int, int]:
    """Steps, assets and checks of the real code location."""
    from hr_centra_pipeline.definitions import defs

    graph = defs.resolve_asset_graph()
    steps = len({node.assets_def.op.name for node in graph.asset_nodes})
    return steps, len(graph.materializable_asset_keys), len(graph.asset_check_keys)
