from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hr_centra_pipeline.cli.main import app
from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.push.approvals import machine_user
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline.warehouse.derived import forget_stale
from hr_centra_pipeline_tests.month_end.ledger_fixture import open_ledger, utc

MONTH = "2026-03"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose last sync was on the second of April, with a clean March."""
    with open_ledger(tmp_path) as ledger:
        forget_stale(ledger.connection, load_policy(tmp_path / "policy.toml").sha256)
        watermarks.write(ledger.connection, watermarks.MATCHING, 0, utc("2026-04-02"))
        ledger.pulled("2026-04-02")
        ledger.three_sides("100", "2026-03-10")
        ledger.learn("2026-04-02")
    for name, value in {"HR_CENTRA_HOME": str(tmp_path), "HR_CENTRA_NOW": "2026-04-05T12:00:00Z"}.items():
        monkeypatch.setenv(name, value)
    for name in ("HR_CENTRA_DATABASE", "HR_CENTRA_POLICY", "HR_CENTRA_MODE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def command(*arguments: str) -> str:
    """Run a command; our own errors are raised."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def manifest(home: Path, month: str = MONTH) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((home / "exports" / month / "manifest.json").read_text("utf-8"))
    return found


def test_a_month_is_exported_closed_signed_by_two_people_and_opened_again(home: Path) -> None:
    assert "1 ties; 0 open items; standing: open" in command("export", "--month", MONTH)
    assert manifest(home)["standing"] == "open"
    assert "is closed by Pia" in command("close", "--month", MONTH, "--by", "Pia")
    command("sign", "--month", MONTH, "--as", "preparer", "--by", "Pia")
    assert "has signed 2026-03 as reviewer" in command("sign", "--month", MONTH, "--as", "reviewer", "--by", "Rune")
    assert manifest(home)["standing"] == "certified"
    assert manifest(home)["signed_by"] == {
        "preparer": f"Pia, typed by shell user {machine_user()}",
        "reviewer": f"Rune, typed by shell user {machine_user()}",
    }
    assert "signatures are void" in command(
        "close", "--month", MONTH, "--reopen", "--by", "Ada", "--why", "a late Return"
    )
    assert manifest(home)["standing"] == "open"


def test_the_same_person_cannot_sign_twice(home: Path) -> None:
    command("close", "--month", MONTH, "--by", "Pia")
    command("sign", "--month", MONTH, "--as", "preparer", "--by", "Pia")
    with pytest.raises(RunFailed, match="another person has to review it"):
        command("sign", "--month", MONTH, "--as", "reviewer", "--by", "PIA")


def test_a_month_as_it_was_on_a_day_is_in_a_folder_of_its_own(home: Path) -> None:
    command("export", "--month", MONTH, "--as-of", "2026-03-12")
    found = json.loads((home / "exports" / MONTH / "as-of-2026-03-12" / "manifest.json").read_text("utf-8"))
    assert found["cut_off"].startswith("2026-03-12")
    assert not (home / "exports" / MONTH / "manifest.json").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (["export", "--month", "2026-3"], ConfigurationError, "write year and month like 2026-09"),
        (["export", "--month", MONTH, "--as-of", "yesterday"], ConfigurationError, "write a day like"),
        (["export", "--month", "2026-07"], RunFailed, "has not begun"),
        (["close", "--month", "2026-04", "--by", "Pia"], RunFailed, "is not over"),
        (["close", "--month", MONTH, "--by", " "], RunFailed, "--by is empty"),
        (["close", "--month", MONTH, "--reopen", "--by", "Pia", "--why", "x"], RunFailed, "is not closed"),
        (["sign", "--month", MONTH, "--as", "preparer", "--by", "Pia"], RunFailed, "is not closed"),
        (["pages", "--host", "192.0.2.1"], ConfigurationError, "HR_CENTRA_PAGES_URL"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_way_out(
    home: Path, arguments: list[str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        command(*arguments)


def test_after_a_change_of_the_policy_a_sync_has_to_come_first(home: Path) -> None:
    with (home / "policy.toml").open("a", encoding="utf-8") as file:
        file.write("\n# another one\n")
    with pytest.raises(RunFailed, match="run `hr-centra sync` first"):
        command("close", "--month", MONTH, "--by", "Pia")


def test_without_a_database_the_way_to_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HR_CENTRA_HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match="run `hr-centra sync` first"):
        command("export", "--month", MONTH)


def test_a_warehouse_that_a_command_has_left_can_be_opened_by_the_next(home: Path) -> None:
    command("export", "--month", MONTH)
    with Warehouse(home / "warehouse.duckdb").transaction() as connection:
        (count,) = connection.execute("select count(*) from month_end.month_end").fetchone() or (0,)
    assert count > 0
