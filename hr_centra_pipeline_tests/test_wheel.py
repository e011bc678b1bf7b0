"""The wheel: what somebody has who installs it without the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from hr_centra_pipeline.cli import example_files

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


@pytest.fixture(scope="module")
def installed(built: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files alone, in a folder that is no checkout."""
    folder = tmp_path_factory.mktemp("installed")
    built.extractall(folder)
    return folder


def hr_centra(installed: Path, here: Path, *arguments: str) -> str:
    """A command of the installed package, from an empty folder with an empty environment; what it prints."""
    (here / "user").mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed), "HOME": str(here / "user")}
    command = [sys.executable, "-m", "hr_centra_pipeline.cli.main", *arguments]
    ran = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def files_of(folder: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_has_the_examples_the_manuals_and_the_unit_files_and_no_tests(built: zipfile.ZipFile) -> None:
    names = set(built.namelist())
    assert [name for name in names if "_tests/" in name or "/test_" in name] == []
    wanted = {"data/policy.example.toml", "data/people.example.toml"} | files_of("data/profiles")
    wanted |= files_of("deploy") | files_of("docs")
    assert {f"hr_centra_pipeline/{name}" for name in wanted} - names == set()


def test_the_wheel_has_every_file_of_the_package(built: zipfile.ZipFile) -> None:
    assert files_of("hr_centra_pipeline") - set(built.namelist()) == set()


def test_the_installed_package_copies_its_examples_out_and_overwrites_nothing(installed: Path, tmp_path: Path) -> None:
    there = tmp_path / "examples" / "data" / "policy.example.toml"
    assert "files copied to examples" in hr_centra(installed, tmp_path, "examples", "--to", "examples")
    assert there.read_bytes() == (ROOT / "data" / "policy.example.toml").read_bytes()
    assert (tmp_path / "examples" / "deploy" / "nginx" / "hr-centra.conf").is_file()
    there.write_text("mine", encoding="utf-8")
    assert example_files.names()
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path)
        example_files.show_examples(Path("examples"))
    assert there.read_text(encoding="utf-8") == "mine"


@pytest.mark.slow
def test_the_whole_demo_runs_from_the_wheel_alone_and_keeps_its_shop_with_the_user(
    installed: Path, tmp_path: Path
) -> None:
    assert "Open exceptions" in hr_centra(installed, tmp_path, "demo")
    assert (tmp_path / "user" / ".local" / "share" / "hr-centra" / "demo" / "warehouse.duckdb").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["user"], "nothing where it was started"
    assert not list(installed.rglob("*.duckdb"))


def test_the_wheel_has_the_version_that_the_command_line_shows(built: zipfile.ZipFile) -> None:
    version = metadata.version("hr-centra-pipeline")
    assert f"hr_centra_pipeline-{version}.dist-info/METADATA" in built.namelist()
    shown = subprocess.run(
        [sys.executable, "-m", "hr_centra_pipeline.cli.main", "--version"], capture_output=True, text=True, check=True
    )
    assert shown.stdout == f"hr-centra {version}\n"
