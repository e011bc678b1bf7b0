"""Exit codes as the README has them: 0 done; 1 it failed, or cannot be done now; 2 a setting, an option or a name is wrong."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from hr_centra_pipeline.cli.main import main
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY
from hr_centra_pipeline_tests.staged import template


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with an empty database and the example policy."""
    monkeypatch.setattr("os.environ", os.environ.copy())
    for name in [one for one in os.environ if one.startswith(("HR_CENTRA_", "HAPPY_RETURNS_", "CENTRA_", "DAGSTER_"))]:
        del os.environ[name]
    os.environ["HR_CENTRA_HOME"] = str(tmp_path)
    shutil.copyfile(template(), tmp_path / "warehouse.duckdb")
    shutil.copyfile(EXAMPLE_POLICY, tmp_path / "policy.toml")
    return tmp_path


@pytest.fixture
def synced(home: Path) -> Path:
    """A home on which a run has begun."""
    with Warehouse(home / "warehouse.duckdb").transaction() as connection:
        write_policy(connection, load_policy(home / "policy.toml").policy, "live")
    return home


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["hr-centra", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    "arguments", [("--version",), ("plan", "-h"), ("plan",), ("approve",), ("inbox", "list"), ("plan", "--json")]
)
def test_what_is_done_ends_with_0(
    synced: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert ended(monkeypatch, *arguments) == 0
    assert capsys.readouterr().err == ""


WRONG = {
    "an option that there is not": (("plan", "--every"), {}, "No such option"),
    "a command that there is not": (("plans",), {}, "No such command"),
    "a number out of range": (("dev", "--port", "0"), {}, "--port"),
    "a mode that there is not": (("plan",), {"HR_CENTRA_MODE": "on"}, "HR_CENTRA_MODE='on'"),
    "a clock that is none": (("inbox", "counts"), {"HR_CENTRA_NOW": "noon"}, "HR_CENTRA_NOW"),
    "a home without a database": (("plan",), {"HR_CENTRA_DATABASE": "/nowhere/w.duckdb"}, "run `hr-centra sync` first"),
    "a database that no run has begun on": (("plan",), {}, "no sync has run on it yet"),
    "a database without a plan": (("approve",), {}, "no sync has run on it yet"),
    "a policy that is not there": (("plan",), {"HR_CENTRA_POLICY": "/nowhere/p.toml"}, "/nowhere/p.toml"),
    "a team that there is not": (("exceptions", "--team", "bo"), {}, "--team bo: one of"),
    "a kind that there is not": (("exceptions", "--kind", "bo"), {}, "--kind bo: no such kind"),
    "a return that nobody knows": (("explain", "RT-NONE"), {}, "RT-NONE"),
    "a table that there is not": (("lineage", "no.table"), {}, "no.table"),
    "a month that is none": (("export", "--month", "2026-13"), {}, "2026-13"),
    "a decision without a name": (("adopt", "RT-1"), {}, "--by and --why"),
    "variables that are not set": (("sync",), {}, "CENTRA_TOKEN"),
    "a day that is none": (("backfill", "--from", "x", "--to", "y"), {}, "--from x"),
    "a file of variables that is not there": (("plan", "--env-file", "/nowhere/env"), {}, "/nowhere/env"),
    "a demo that was never run": (("plan", "--demo"), {}, "run `hr-centra demo` first"),
    "a delivery that nobody knows": (("inbox", "show", "none"), {}, "none: no delivery has this id"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_in_what_was_typed_or_set_ends_with_2(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    arguments, variables, words = WRONG[case]
    os.environ.update(variables)
    assert ended(monkeypatch, *arguments) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said


def damage_database(home: Path) -> None:
    (home / "warehouse.duckdb").write_bytes(b"not a database" * 500)


def damage_inbox(home: Path) -> None:
    (home / "inbox.sqlite").write_bytes(b"not a database" * 500)


def damage_pages(home: Path) -> None:
    (home / "published").mkdir()
    (home / "published" / "pages.sqlite").write_bytes(b"not a database" * 500)


def unfinished_pages(home: Path) -> None:
    (home / "published").mkdir()
    sqlite3.connect(home / "published" / "pages.sqlite").close()


FAILED = {
    "a damaged database": (damage_database, ("plan",), "warehouse.duckdb"),
    "a damaged inbox": (damage_inbox, ("inbox", "list"), "inbox.sqlite"),
    "a damaged published file": (damage_pages, ("status",), "pages.sqlite"),
    "an unfinished published file": (unfinished_pages, ("status",), "pages.sqlite"),
    "a month before the first sync": (lambda home: None, ("close", "--month", "2026-01", "--by", "Pia"), "sync"),
    "a sandbox that is not served": (lambda home: None, ("sandbox", "advance", "--home", "nowhere"), "No sandbox is served"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILED)
def test_what_cannot_be_done_now_ends_with_1(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    prepare, arguments, words = FAILED[case]
    prepare(home)
    assert ended(monkeypatch, *arguments) == 1
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said


def test_before_the_first_sync_the_status_ends_with_1_and_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, "status") == 1
    assert "nothing was published yet" in capsys.readouterr().out
