from __future__ import annotations

import json
import tomllib
from pathlib import Path

import dagster as dg
import pytest
import yaml

from hr_centra_pipeline.definitions import defs
from hr_centra_pipeline.orchestration.executor import in_process_behind_the_lock
from hr_centra_pipeline.orchestration.jobs import SYNC, hourly_sync
from hr_centra_pipeline.orchestration.tables import POOL
from hr_centra_pipeline.warehouse.tables import DERIVED

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("lineage.json")
GRAPH = defs.resolve_asset_graph()
KEYS = sorted(GRAPH.materializable_asset_keys)


def test_the_lineage_is_the_one_that_was_reviewed() -> None:
    """Write it anew with: python -m hr_centra_pipeline_tests.orchestration.test_definitions"""
    assert lineage() == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_the_code_location_loads_whole_with_its_jobs_and_sensors() -> None:
    dg.Definitions.validate_loadable(defs)


def lineage() -> dict[str, list[str]]:
    return {
        key.to_user_string(): sorted(parent.to_user_string() for parent in GRAPH.get(key).parent_keys) for key in KEYS
    }


def test_every_declared_table_is_an_asset_of_the_same_name() -> None:
    assert {tuple(name.split(".")) for name in DERIVED} <= {tuple(key.path) for key in KEYS}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.to_user_string())
def test_every_asset_has_owner_group_kinds_grain_and_the_pool(key: dg.AssetKey) -> None:
    node = GRAPH.get(key)
    assert node.owners
    assert node.group_name != "default"
    assert node.kinds
    assert node.description
    assert node.pools == {POOL}


@pytest.mark.parametrize(
    "key", [key for key in KEYS if ".".join(key.path) in DERIVED], ids=lambda key: key.to_user_string()
)
def test_every_declared_table_shows_its_columns_and_is_checked(key: dg.AssetKey) -> None:
    schema = GRAPH.get(key).metadata["dagster/column_schema"]
    assert [column.name for column in schema.columns] == list(DERIVED[".".join(key.path)].columns)
    assert any(check.asset_key == key for check in GRAPH.asset_check_keys)


def test_the_back_reads_without_a_lineage_edge_are_the_documented_ones() -> None:
    """Planning reads the ledger's last committed state; an edge would be a cycle."""
    ledger = dg.AssetKey(["push", "ledger"])
    readers = {dg.AssetKey(["matching", "matched_items"]), *(key for key in KEYS if key.path[0] == "effects")}
    for reader in readers:
        assert ledger not in GRAPH.get(reader).parent_keys
        assert "push.ledger" in (GRAPH.get(reader).assets_def.op.description or "")


def test_landing_is_partitioned_by_day_with_today_and_runs_a_range_as_one_run() -> None:
    landing = [GRAPH.get(key) for key in KEYS if key.path[0] == "landing"]
    assert landing
    for node in landing:
        assert isinstance(node.partitions_def, dg.DailyPartitionsDefinition)
        assert node.partitions_def.end_offset == 1
        assert node.backfill_policy == dg.BackfillPolicy.single_run()


def test_every_run_goes_through_the_lock_whoever_starts_it() -> None:
    assert defs.executor is in_process_behind_the_lock
    assert defs.resolve_job_def(SYNC.name).executor_def.name == in_process_behind_the_lock.name


def test_the_schedule_is_hourly_and_does_not_double_a_run() -> None:
    assert hourly_sync.cron_schedule == "7 * * * *"
    with dg.instance_for_test() as instance:
        context = dg.build_schedule_context(instance)
        request = hourly_sync(context)
        assert isinstance(request, dg.RunRequest)
        assert request.partition_key
        instance.create_run_for_job(defs.resolve_job_def(SYNC.name), status=dg.DagsterRunStatus.STARTED)
        assert isinstance(hourly_sync(context), dg.SkipReason)


def test_workspace_and_dg_name_the_same_module() -> None:
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (entry,) = workspace["load_from"]
    assert entry["python_module"]["module_name"] == "hr_centra_pipeline.definitions"
    assert project["tool"]["dg"]["project"]["code_location_target_module"] == "hr_centra_pipeline.definitions"


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(lineage(), indent=1) + "\n", encoding="utf-8")
