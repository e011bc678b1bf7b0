from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from hr_centra_pipeline.cli import demo
from hr_centra_pipeline.cli.main import main
from hr_centra_pipeline.cli.sandbox import running
from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.sandbox.centra.store import CentraStore
from hr_centra_pipeline.sandbox.sandbox_clock import SandboxClock
from hr_centra_pipeline.sandbox.server import running_sandbox


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo lives; nothing is there yet."""
    monkeypatch.setenv("HR_CENTRA_HOME", str(tmp_path))
    return tmp_path / "demo"


def made_before(home: Path, *, version: int | None = None) -> None:
    """A demo was run here; ``version``: of the sandbox, unless it is this one."""
    store = CentraStore(home / "sandbox" / "centra.sqlite", SandboxClock(home / "sandbox" / "clock"))
    if version is not None:
        store.rows(f"pragma user_version = {version}")
    store.close()
    (home / "warehouse.duckdb").write_text("what was synced", encoding="utf-8")


def test_a_new_home_and_one_of_this_version_are_used_as_they_are(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.opened_home() == home
    made_before(home)
    assert demo.opened_home() == home
    assert (home / "warehouse.duckdb").read_text(encoding="utf-8") == "what was synced"
    assert capsys.readouterr() == ("", "")


def test_a_home_of_another_version_is_kept_aside_and_the_terminal_says_where(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for aside in ("demo.1", "demo.2"):
        made_before(home, version=1)
        assert demo.opened_home() == home
        assert not home.exists()
        assert (home.with_name(aside) / "warehouse.duckdb").read_text(encoding="utf-8") == "what was synced"
        (line,) = capsys.readouterr().err.splitlines()
        assert line == f"{home} was made by another version: it is kept as {aside}, and a new shop is opened."


def test_a_database_whose_sandbox_was_removed_is_kept_aside(home: Path) -> None:
    made_before(home)
    (home / "sandbox" / "centra.sqlite").unlink()
    demo.opened_home()
    assert not home.exists()
    assert (home.with_name("demo.1") / "warehouse.duckdb").exists()


def test_a_home_that_an_older_program_still_serves_is_left_alone(home: Path) -> None:
    with running_sandbox(home / "sandbox") as served:
        served.store.rows("pragma user_version = 1")
        with pytest.raises(RunFailed, match=r"still served by another version: stop it \(`make dev`\)"):
            demo.opened_home()
    assert home.exists()


@pytest.mark.parametrize(
    ("version", "problem"),
    [(1, "was made by another version of the sandbox: remove"), (None, "was begun and never finished: remove")],
)
def test_a_sandbox_that_can_not_go_on_says_so_in_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, version: int | None, problem: str
) -> None:
    made_before(home, version=version)
    if version is None:
        stopped_while_it_was_seeded(home / "sandbox")
    monkeypatch.setattr("sys.argv", ["hr-centra", "sandbox", "serve", "--home", str(home / "sandbox")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert problem in line
    assert line.endswith("and start again.")


def stopped_while_it_was_seeded(home: Path) -> None:
    from hr_centra_pipeline.sandbox.happy_returns.records import Records

    records = Records(home / "happy_returns.sqlite")
    records.keep("lived_until", "2026-09-01T00:00:00+00:00")
    records.close()


def test_a_shell_that_sources_the_demo_s_file_reaches_its_home_and_nobody_else_reads_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_sandbox(home / "sandbox"):
        note = running(home / "sandbox")
        assert note is not None
        with monkeypatch.context() as away:
            away.setattr("os.environ", os.environ.copy())
            demo.point_here(home, note)
            env = demo.write_env(home, note)
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    clean = {
        "PATH": os.environ["PATH"],
        "HR_CENTRA_DATABASE": "/elsewhere/warehouse.duckdb",
        "HR_CENTRA_MODE": "dry_run",
    }
    asked = (
        "from hr_centra_pipeline.core.settings import Settings; print(Settings.from_environment().model_dump_json())"
    )
    said = subprocess.run(
        ["sh", "-c", f'. "$0"; exec python -c "{asked}"', str(env)],
        env=clean,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    settings = json.loads(said)
    assert settings["home"] == str(home)
    assert settings["database"] == str(home / "warehouse.duckdb")
    assert settings["centra_graphql_url"] == note["graphql_url"]
    assert settings["mode"] == "live"
