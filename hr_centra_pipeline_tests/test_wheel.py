"""The wheel: what somebody has who installs it without the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    uv, folder = Path(sys.executable).with_name("uv"), tmp_path_factory.mktemp("wheel")
    if not uv.exists():
        pytest.skip("uv is not beside this Python")
    command = [str(uv), "build", "--wheel", "--quiet", "--out-dir", str(folder), str(ROOT)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for offline in (["--offline"], []):  # what the build needs is in the cache since the editable install
        if subprocess.run([*command, *offline], env=environment, capture_output=True, check=False).returncode == 0:
            break
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel)


def test_the_wheel_has_the_example_policy_the_profiles_and_the_manuals_and_no_tests(built: zipfile.ZipFile) -> None:
    names = set(built.namelist())
    assert [name for name in names if "_tests/" in name or "/test_" in name] == []
    assert {
        "hr_centra_pipeline/data/policy.example.toml", "hr_centra_pipeline/data/profiles/default.toml",
        "hr_centra_pipeline/docs/operations.md", "hr_centra_pipeline/docs/month-end.md",
    } <= names  # fmt: skip


def test_the_wheel_has_every_file_of_the_package(built: zipfile.ZipFile) -> None:
    inside = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "hr_centra_pipeline").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert inside - set(built.namelist()) == set()


def test_the_wheel_has_the_version_that_the_command_line_shows(built: zipfile.ZipFile) -> None:
    version = metadata.version("hr-centra-pipeline")
    assert f"hr_centra_pipeline-{version}.dist-info/METADATA" in built.namelist()
    shown = subprocess.run(
        [sys.executable, "-m", "hr_centra_pipeline.cli.main", "--version"], capture_output=True, text=True, check=True
    )
    assert shown.stdout == f"hr-centra {version}\n"
