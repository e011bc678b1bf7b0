"""``doctor`` changes nothing: no file is made, none is written, on a home that is not there, is new, or is in use."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
import pytest

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration import instance_doctor
from hr_centra_pipeline.orchestration.instance import prepare_dagster_home
from hr_centra_pipeline.oversight.doctor import examine
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY


def tree(home: Path) -> dict[str, tuple[int, int] | None]:
    """Each file with its size and the time at which it was written, and each folder."""
    return {
        str(path.relative_to(home)): None if path.is_dir() else (path.stat().st_size, path.stat().st_mtime_ns)
        for path in home.rglob("*")
    }


def look(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every look that needs no vendor; answers what was found."""
    environment = {"HR_CENTRA_HOME": str(home), "HAPPY_RETURNS_EXPORTS": str(home / "exports")}
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    found = list(examine(environment, is_offline=True))
    found += list(instance_doctor.findings(Settings.from_environment(environment)))
    return [f"{one.section}: {one.told}" for one in found]


def test_a_home_that_is_not_there_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = look(tmp_path / "home", monkeypatch)
    assert list(tmp_path.iterdir()) == []
    assert any(line.startswith("Dagster: ") and "has no dagster.yaml yet" in line for line in told)


def test_a_home_that_is_in_use_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "policy.toml").write_text(EXAMPLE_POLICY.read_text(encoding="utf-8"), encoding="utf-8")
    migrate.prepare(Warehouse(home / "warehouse.duckdb"))
    settings = Settings.from_environment({"HR_CENTRA_HOME": str(home)})
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    prepare_dagster_home(settings)
    monkeypatch.setenv("DAGSTER_HOME", os.environ["DAGSTER_HOME"])
    before = tree(home)
    assert any("holds no records of runs yet" in line for line in look(home, monkeypatch))
    assert tree(home) == before
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    with dg.DagsterInstance.get():  # as the first sync does
        pass
    before = tree(home)
    told = look(home, monkeypatch)
    assert any(line.startswith("database: schema version") for line in told)
    assert tree(home) == before
