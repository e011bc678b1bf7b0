"""What the screens say about the figures they show: as of when, of what, and how to go on."""

from __future__ import annotations

import io
import json
import re
import shutil
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from hr_centra_pipeline.cli import demo, exceptions, lineage, plan_command, screen
from hr_centra_pipeline.cli.exceptions import show_exceptions
from hr_centra_pipeline.cli.lineage import show_lineage
from hr_centra_pipeline.cli.screen import Left
from hr_centra_pipeline.cli.table import DataConsole, DataTable
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.push.preview import Preview
from hr_centra_pipeline.warehouse import derived
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline.warehouse.tables import DERIVED
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY
from hr_centra_pipeline_tests.staged import put, template

AT = datetime(2026, 10, 1, 12, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copyfile(template(), tmp_path / "warehouse.duckdb")
    monkeypatch.setenv("HR_CENTRA_HOME", str(tmp_path))
    return tmp_path


def _planned_with(home: Path, sha256: str) -> Warehouse:
    warehouse = Warehouse(home / "warehouse.duckdb")
    with warehouse.transaction() as connection:
        connection.execute(
            "insert into meta.derived_from values ('all', ?, current_timestamp)", [derived.fingerprint(sha256)]
        )
        connection.execute(
            "insert into month_end.journal_runs values (1, ?, 0, '0.1.0', 'an older one'), (2, ?, 0, '0.1.0', ?)",
            [AT, AT, sha256],
        )
        connection.execute(
            "insert into push.pushes (push_id, mode, started_at, real_started_at) values ('1', 'dry_run', ?, ?)",
            [AT, AT],
        )
    return warehouse


def test_a_plan_that_an_edited_policy_did_not_make_says_so(home: Path) -> None:
    warehouse = _planned_with(home, "as planned")
    with warehouse.transaction() as connection:
        same, edited = (
            plan_command._standing(connection, Settings.from_environment(), sha) for sha in ("as planned", "edited")
        )
    assert same.warnings == []
    assert edited.warnings == [
        "As of the last sync at 2026-10-01 12:00 UTC; the policy has changed since: run `hr-centra sync`."
    ]
    said = json.loads(plan_command._json(Preview([], []), load_policy(EXAMPLE_POLICY).policy, edited))
    assert said["as_of"].startswith("2026-10-01 12:00")
    assert said["out_of_date"] == edited.out_of_date


def test_a_plan_and_the_screen_of_a_sync_name_the_kill_switch(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    warehouse = _planned_with(home, "as planned")
    for is_on in (False, True):
        if is_on:
            (home / "STOP").touch()
        with warehouse.transaction() as connection:
            standing = plan_command._standing(connection, Settings.from_environment(), "as planned")
        plan_command._print(Preview([], []), load_policy(EXAMPLE_POLICY).policy, standing, every=False)
        assert (f"{home}/STOP" in re.sub(r"\s", "", capsys.readouterr().out)) is is_on
        screen.show_result(Settings.from_environment())
        assert (f"{home}/STOP" in re.sub(r"\s", "", capsys.readouterr().out)) is is_on


def test_a_file_that_is_read_again_is_counted_once_as_it_is_now(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readings = [
        ("a.csv", "1", 10, 6, 2, 2, 1), ("b.csv", "2", 3, 3, 0, 0, 2),
        ("a.csv", "1", 10, 0, 8, 2, 3), ("b.csv", "2", 3, 0, 3, 0, 4),
        ("a.csv", "1", 10, 1, 8, 1, 5),
    ]  # fmt: skip
    with Warehouse(home / "warehouse.duckdb").transaction() as connection:
        connection.executemany(
            "insert into landing.files (source_file, file_sha256, rows_read, rows_landed, rows_repeated, rows_rejected, batch,"
            f" byte_size, received_at) values (?, ?, ?, ?, ?, ?, ?, 1, '{AT.isoformat()}')",
            readings,
        )
    screen.show_result(Settings.from_environment())
    assert "2 export files: 13 rows = 10 landed + 2 repeated + 1 quarantined" in " ".join(
        capsys.readouterr().out.split()
    )


def test_what_a_demo_leaves_is_worded_by_what_it_waits_for() -> None:
    assert demo._told(Left(0, 0)) == ""
    assert "3 effects are waiting: 3 until they are due." in demo._told(Left(3, 0))
    assert "17 effects are waiting: 3 until they are due, 14 for a person" in demo._told(Left(3, 14))


def test_an_id_is_whole_in_a_narrow_table() -> None:
    key = "HRJMMNKSHV35VIHJMMNKSHV35VIH"
    table = DataTable("effect", "why it waits")
    table.add_row(key, "waits for approval: it is above approval_above.EUR")
    console = DataConsole(width=30, file=(out := io.StringIO()))
    console.print(table)
    cells = [line.split("│")[1].strip() for line in out.getvalue().splitlines() if line.startswith("│")]
    assert "".join(cells) == key


def _published(home: Path) -> None:
    (home / "published").mkdir()
    connection = duckdb.connect(home / "published" / "published.duckdb")
    connection.execute("create schema reconciliation; create schema meta")
    connection.execute(DERIVED["reconciliation.exceptions"].ddl)
    connection.execute(f"create table meta.published as select '{AT.isoformat()}'::timestamptz as as_of")
    for number, (owner, overdue) in enumerate([("finance", False), ("warehouse", True), ("finance", True)]):
        put(
            connection, "reconciliation.exceptions", exception_id=f"EX{number}", kind="refund_mismatch_fee", owner_team=owner,
            return_id=f"RT-{number}", return_item_id=f"IT-{number}", overdue=overdue,
        )  # fmt: skip
    connection.close()


@pytest.mark.parametrize(
    ("wide", "left_out"),
    [(60, ["owner", "unit", "order", "amount"]), (80, ["owner", "unit", "order"]), (100, ["owner"]), (118, [])],
)
def test_a_narrow_list_of_exceptions_breaks_nothing_and_says_what_is_left_out(wide: int, left_out: list[str]) -> None:
    row = {
        "kind": "return_without_stock_movement", "owner_team": "customer_service", "return_id": "RT-000146",
        "return_item_id": "IT-000205", "order_number": "1325", "amount": Decimal("12277.31"), "currency": "EUR", "due_at": AT,
        "overdue": True,
    }  # fmt: skip
    found, missing = exceptions._table([row, {**row, "return_id": None, "overdue": False}], wide)
    console = DataConsole(width=1_000, file=(out := io.StringIO()))
    console.print(found)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert missing == left_out
    assert max(map(len, lines)) <= max(wide, 65)
    one, other = (line for line in lines if "return_without_stock_movement" in line)
    assert re.search(rf"RT-000146 .*{AT:%Y-%m-%d} overdue$", one)
    assert ("1325" in other, other.endswith(f"{AT:%Y-%m-%d}")) == (True, True)


def test_the_lineage_of_a_name_that_readers_know_is_that_of_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("month_end.open_items", "reconciliation.open_items", "month_end/open_items"):
        show_lineage(name, as_json=True)
        assert json.loads(capsys.readouterr().out)["table"] == "month_end.open_items"
    with pytest.raises(ConfigurationError, match="a copy of every published table"):
        show_lineage("published/tables", as_json=True)


def test_a_way_that_goes_on_from_another_s_is_shown_from_there() -> None:
    ways = {"a": ["x", "y"], "b": ["x", "y", "z"], "c": ["x"], "d": ["x", "y"]}
    assert lineage._ways(ways) == {"a": "x ← y", "b": "as a ← z", "c": "x", "d": "as a"}


def test_the_list_of_exceptions_names_returns_and_units_the_most_urgent_first(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigurationError, match="run `hr-centra sync` first"):
        show_exceptions(None)
    _published(home)
    show_exceptions(None)
    out = capsys.readouterr().out
    assert re.findall(r"RT-\d +IT-\d", out) == [f"RT-{number}     IT-{number}" for number in (1, 2, 0)]
    show_exceptions("finance", as_json=True)
    assert [one["return_id"] for one in json.loads(capsys.readouterr().out)] == ["RT-2", "RT-0"]
    with pytest.raises(ConfigurationError, match="--team bo: one of"):
        show_exceptions("bo")
