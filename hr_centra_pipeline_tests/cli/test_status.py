"""``hr-centra status``: one screen from what was published and from Dagster's own records."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hr_centra_pipeline.cli import status_command as status
from hr_centra_pipeline.cli.dagster_store import dagster_state
from hr_centra_pipeline.cli.main import app
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline_tests.pages.page_fixture import fill
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY

RUN = "a1b2c3d4-0000-0000-0000-000000000000"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("HR_CENTRA_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HR_CENTRA_HOME", str(tmp_path))
    (tmp_path / "policy.toml").write_text(EXAMPLE_POLICY.read_text("utf-8"), encoding="utf-8")
    return tmp_path


def published(home: Path, **how: int) -> None:
    (home / "published").mkdir()
    fill(home / "published" / "pages.sqlite", **how)


def ran(home: Path, outcome: str, *, said: str = "", job: str = "sync", started: float = 1796079183.9) -> None:
    """As Dagster's SQLite storage keeps it."""
    folder = home / "dagster" / "history"
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "runs.db")) as connection, connection:
        connection.execute(
            "create table if not exists runs (id integer primary key, run_id text, pipeline_name text, status text,"
            " start_time float, end_time float)"
        )
        connection.execute("create table if not exists daemon_heartbeats (timestamp timestamp)")
        connection.execute(
            "insert into runs (run_id, pipeline_name, status, start_time, end_time) values (?, ?, ?, ?, ?)",
            [RUN, job, outcome, started, started + 10.5],
        )
    if said:
        error = {
            "message": "DagsterExecutionStepExecutionError: …",
            "cause": {"message": f"RunFailed: {said}\n", "cause": None},
        }
        with closing(sqlite3.connect(folder / "runs" / f"{RUN}.db")) as connection, connection:
            connection.execute("create table event_logs (id integer primary key, event text, dagster_event_type text)")
            connection.execute(
                "insert into event_logs (event, dagster_event_type) values (?, 'STEP_FAILURE')",
                [json.dumps({"dagster_event": {"event_specific_data": {"error": error}}})],
            )


def shown(*arguments: str) -> tuple[str, int]:
    found = CliRunner().invoke(app, ["status", *arguments])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.output, found.exit_code


def as_json() -> dict[str, Any]:
    return dict(json.loads(shown("--json")[0]))


def test_before_the_first_sync_it_says_how_to_begin(home: Path) -> None:
    text, code = shown()
    assert code == 1
    assert "no run is recorded here" in text
    assert "Run `hr-centra sync`: nothing was published yet" in text


def test_after_a_sync_it_shows_each_part_and_ends_with_0(home: Path) -> None:
    published(home, returns=40, exceptions=30)
    ran(home, "SUCCESS")
    text, code = shown()
    assert code == 0
    for words in ("done, 2026-11-30", "took 10 s", "credit notes: dry run", "customer service", "Waiting to be sent",
                  "Health", "Months", "more are open only because nothing is sent in a dry run", "Next"):  # fmt: skip
        assert words in text
    assert max(map(len, text.splitlines())) <= 118


def test_its_counts_are_those_of_the_published_list(home: Path) -> None:
    published(home, returns=40, exceptions=30)
    with closing(sqlite3.connect(home / "published" / "pages.sqlite")) as connection:
        expected = connection.execute(
            "select owner_team, count(*), sum(overdue) from exceptions where state = 'open' group by owner_team"
        ).fetchall()
        (dry_run,) = connection.execute("select count(*) from exceptions where state = 'dry_run'").fetchone()
    found = as_json()
    teams = {one["owner_team"] for one in found["exceptions"]}
    counted = [
        (
            team,
            sum(one["open"] for one in found["exceptions"] if one["owner_team"] == team),
            sum(one["overdue"] for one in found["exceptions"] if one["owner_team"] == team),
        )
        for team in sorted(teams)
    ]
    assert counted == sorted(expected)
    assert found["dry_run_only"] == dry_run > 0


def test_a_failed_sync_ends_with_1_and_shows_what_its_step_said(home: Path) -> None:
    published(home)
    ran(home, "FAILURE", said="Centra answers 401: the token is wrong")
    text, code = shown()
    assert code == 1
    assert "failed, 2026-11-30" in text
    assert "Centra answers 401: the token is wrong (run a1b2c3d4)" in text
    assert "Correct what the failed step says" in text


def test_the_later_of_a_sync_and_one_by_events_is_the_last(home: Path) -> None:
    published(home)
    ran(home, "SUCCESS")
    ran(home, "SUCCESS", job="event_sync", started=1796079999.0)
    assert as_json()["last_sync"]["job"] == "event_sync"


def test_the_kill_switch_is_the_next_step(home: Path) -> None:
    published(home)
    with closing(sqlite3.connect(home / "published" / "pages.sqlite")) as connection, connection:
        connection.execute("update health set level = 'ok'")
    (home / "STOP").touch()
    found = as_json()
    assert found["stopped"] == found["next_step"]
    assert "STOP is on: nothing is sent" in found["next_step"]


def test_dagster_s_records_elsewhere_or_torn_are_no_failure(home: Path) -> None:
    settings = Settings.from_environment()
    assert dagster_state(settings) is None
    (home / "dagster" / "history").mkdir(parents=True)
    (home / "dagster" / "history" / "runs.db").write_bytes(b"torn" * 1000)
    assert dagster_state(settings) is None
    assert status.collected(settings)["schedule"]["is_on"] is None
