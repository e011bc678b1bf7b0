from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from hr_centra_pipeline.definitions import defs
from hr_centra_pipeline.orchestration.build import build_definitions
from hr_centra_pipeline.orchestration.embedding import Embedding
from hr_centra_pipeline.orchestration.jobs import SCHEDULE
from hr_centra_pipeline.orchestration.partitions import SYNC_JOB, more_tags
from hr_centra_pipeline.orchestration.presentation import FLOW, group_in_flow
from hr_centra_pipeline.oversight.watch import RULES
from hr_centra_pipeline.warehouse.tables import DERIVED
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("definitions.json")
GRAPH = defs.resolve_asset_graph()
KEYS = sorted(GRAPH.materializable_asset_keys)


def test_the_graph_is_the_one_that_was_reviewed() -> None:
    """Write it again with: python -m hr_centra_pipeline_tests.orchestration.test_definitions"""
    assert snapshot() == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_the_code_location_loads_whole_with_its_jobs_and_sensors() -> None:
    dg.Definitions.validate_loadable(defs)


def snapshot() -> dict[str, Any]:
    """Everything that a person sees of the code location: a change of it is a diff to look at."""
    repository = defs.get_repository_def()
    checks = sorted(GRAPH.asset_check_keys, key=lambda one: one.to_user_string())
    return {
        "assets": {
            key.to_user_string(): {
                "group": GRAPH.get(key).group_name,
                "owners": sorted(GRAPH.get(key).owners),
                "kinds": sorted(GRAPH.get(key).kinds),
                "step": GRAPH.get(key).assets_def.op.name,
                "partitioned": GRAPH.get(key).is_partitioned,
                "fresh within hours": _hours(GRAPH.get(key)),
                "after": sorted(parent.to_user_string() for parent in GRAPH.get(key).parent_keys),
                "as the last run left it": sorted(_loops(GRAPH.get(key))),
            }
            for key in KEYS
        },
        "external": {
            key.to_user_string(): {
                "group": GRAPH.get(key).group_name,
                "after": sorted(parent.to_user_string() for parent in GRAPH.get(key).parent_keys),
            }
            for key in sorted(GRAPH.external_asset_keys)
        },
        "checks": {check.to_user_string(): _explained(check) for check in checks},
        "jobs": {
            job.name: {
                "description": job.description,
                "tags": dict(job.tags),
                "steps": sorted(node.name for node in job.graph.nodes),
            }
            for job in repository.get_all_jobs()
            if not job.name.startswith("__")
        },
        "schedules": {one.name: [one.cron_schedule, one.job_name] for one in repository.schedule_defs},
        "sensors": {one.name: one.description for one in repository.sensor_defs},
    }


def _explained(check: dg.AssetCheckKey) -> str | None:
    spec: Any = GRAPH.get_check_spec(check)
    return str(spec.description) if spec.description else None


def _loops(node: Any) -> dict[str, str]:
    marked = node.metadata.get("reads as the last run left it")
    return dict(marked.value) if marked else {}


def _hours(node: Any) -> float | None:
    policy = node.freshness_policy_or_from_metadata
    return policy.fail_window.to_timedelta().total_seconds() / 3600 if policy else None


def test_the_code_location_loads_in_a_fresh_interpreter_without_any_variable_set() -> None:
    code = (
        "import dagster as dg; from hr_centra_pipeline.definitions import defs; dg.Definitions.validate_loadable(defs)"
    )
    bare = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HR_", "CENTRA_", "HAPPY_", "DAGSTER_"))
    }
    done = subprocess.run([sys.executable, "-c", code], env=bare, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_groups_are_in_the_order_of_the_flow() -> None:
    groups = sorted({str(GRAPH.get(key).group_name) for key in GRAPH.get_all_asset_keys()})
    assert [group.split("_", 1)[1] for group in groups] == list(FLOW)


@pytest.mark.parametrize("check", sorted(GRAPH.asset_check_keys, key=str), ids=lambda check: check.to_user_string())
def test_every_check_is_a_sentence_with_an_explanation(check: dg.AssetCheckKey) -> None:
    assert len(check.name.split("_")) >= 4
    assert _explained(check)


def test_every_standing_alarm_is_a_check_of_a_table_that_exists() -> None:
    names = {check.name for check in GRAPH.asset_check_keys}
    assert set(RULES) <= names
    assert {rule.table for rule in RULES.values()} <= {".".join(key.path) for key in KEYS}


def test_what_finance_and_warehouse_rely_on_has_to_be_fresh() -> None:
    for key in KEYS:
        if GRAPH.get(key).group_name in map(group_in_flow, ("push", "reconciliation", "publishing")):
            assert _hours(GRAPH.get(key)) == 3


def test_every_job_schedule_and_sensor_says_what_it_is_for() -> None:
    repository = defs.get_repository_def()
    watching: list[Any] = [*repository.schedule_defs, *repository.sensor_defs]
    assert all(one.description for one in watching)
    assert all(job.description for job in repository.get_all_jobs() if not job.name.startswith("__"))


def test_runs_are_found_by_the_month_of_returns_that_they_are_about() -> None:
    now = datetime(2026, 10, 2, 12, tzinfo=UTC)
    assert more_tags({"hr_centra/job": "sync"}, now, is_backfill=False) == {"hr_centra/window/2026-10": "yes"}
    history = {"dagster/asset_partition_range_start": "2026-08-30", "dagster/asset_partition_range_end": "2026-10-01"}
    assert more_tags(history, now, is_backfill=True) == {
        **{f"hr_centra/window/2026-{month}": "yes" for month in ("08", "09", "10")}, "dagster/max_runtime": "604800",
    }  # fmt: skip


def test_every_declared_table_is_an_asset_of_the_same_name() -> None:
    assert {tuple(name.split(".")) for name in DERIVED} <= {tuple(key.path) for key in KEYS}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.to_user_string())
def test_every_asset_has_owner_group_kinds_and_grain_and_no_pool(key: dg.AssetKey) -> None:
    node = GRAPH.get(key)
    assert node.owners
    assert node.group_name != "default"
    assert node.kinds
    assert node.description
    assert not node.pools  # a step that waits for its turn would keep the slot that the run before it needs


@pytest.mark.parametrize(
    "key", [key for key in KEYS if ".".join(key.path) in DERIVED], ids=lambda key: key.to_user_string()
)
def test_every_declared_table_shows_its_columns_and_is_checked(key: dg.AssetKey) -> None:
    schema = GRAPH.get(key).metadata["dagster/column_schema"]
    assert [column.name for column in schema.columns] == list(DERIVED[".".join(key.path)].columns)
    assert any(check.asset_key == key for check in GRAPH.asset_check_keys)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.to_user_string())
def test_every_asset_has_a_code_version_and_links_to_files_that_exist(key: dg.AssetKey) -> None:
    assert GRAPH.get(key).code_version
    references = GRAPH.get(key).metadata["dagster/code_references"].code_references
    assert all(Path(one.file_path).is_file() for one in references)


def test_a_code_version_is_that_of_the_table_s_own_sql() -> None:
    linked = GRAPH.get(dg.AssetKey(["effects", "pending_credit_notes"])).metadata["dagster/code_references"]
    labels = {one.label for one in linked.code_references}
    assert "effects/credit_notes.sql" in labels
    assert not any(label.startswith(("reconciliation/", "sources/")) for label in labels)


def test_a_sync_needs_no_partition_and_a_range_of_days_or_months_is_one_run() -> None:
    by_day = {key.to_user_string() for key in KEYS if isinstance(partitions_of(key), dg.DailyPartitionsDefinition)}
    assert by_day == {"operations/backfill_reports"}
    assert {key.path[0] for key in KEYS if isinstance(partitions_of(key), dg.MonthlyPartitionsDefinition)} == {
        "month_end", "exports",
    }  # fmt: skip
    for key in KEYS:
        if definition := partitions_of(key):
            assert definition.end_offset == 1
            assert GRAPH.get(key).backfill_policy == dg.BackfillPolicy.single_run()
    assert defs.resolve_job_def(SYNC_JOB).partitions_def is None


def partitions_of(key: dg.AssetKey) -> Any:
    return GRAPH.get(key).partitions_def


def embedding(home: Path, policy: str | None) -> Embedding:
    if policy is not None:
        (home / "policy.toml").write_text(policy, encoding="utf-8")
    return Embedding(given={"HR_CENTRA_HOME": str(home), "HR_CENTRA_POLICY": str(home / "policy.toml")})


def test_days_and_months_begin_where_the_first_pull_does_or_where_the_policy_says(tmp_path: Path) -> None:
    example = EXAMPLE_POLICY.read_text(encoding="utf-8")
    assert embedding(tmp_path, example).partitions("day").get_first_partition_key() == "2026-04-01"
    earlier = embedding(tmp_path, f"{example}\n[backfill]\nfirst_day = 2024-02-10\n")
    assert earlier.partitions("day").get_first_partition_key() == "2024-02-10"
    assert earlier.partitions("month").get_first_partition_key() == "2024-02"


def test_without_a_policy_the_code_location_loads_and_with_a_broken_one_it_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    a_year_ago = f"{datetime.now(UTC).year - 1}-01-01"
    assert embedding(tmp_path, None).partitions("day").get_first_partition_key() == a_year_ago
    assert not caplog.records
    assert embedding(tmp_path, "cutover = yesterday").partitions("day").get_first_partition_key() == a_year_ago
    (said,) = caplog.messages
    assert "policy.toml" in said
    assert "Traceback" not in caplog.text


def test_our_jobs_run_in_one_process_and_no_executor_is_forced_on_another_deployment() -> None:
    assert build_definitions().executor is None
    assert defs.resolve_job_def(SYNC_JOB).executor_def.name == dg.in_process_executor.name


def test_the_schedule_is_hourly_and_does_not_double_a_run() -> None:
    hourly_sync = defs.resolve_schedule_def(SCHEDULE)
    assert hourly_sync.cron_schedule == "7 * * * *"
    with dg.instance_for_test() as instance:
        context = dg.build_schedule_context(instance)
        request = hourly_sync(context)
        assert isinstance(request, dg.RunRequest)
        assert request.partition_key is None
        instance.create_run_for_job(defs.resolve_job_def(SYNC_JOB), status=dg.DagsterRunStatus.STARTED)
        assert isinstance(hourly_sync(context), dg.SkipReason)


def test_workspace_and_dg_name_the_same_module() -> None:
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (entry,) = workspace["load_from"]
    assert entry["python_module"]["module_name"] == "hr_centra_pipeline.definitions"
    assert project["tool"]["dg"]["project"]["code_location_target_module"] == "hr_centra_pipeline.definitions"


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(snapshot(), indent=1) + "\n", encoding="utf-8")
