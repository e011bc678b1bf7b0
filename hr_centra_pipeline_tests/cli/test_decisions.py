from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hr_centra_pipeline.cli import decisions
from hr_centra_pipeline.cli.main import app
from hr_centra_pipeline.cli.month import run_export
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.decisions.decision_kinds import TieForm
from hr_centra_pipeline.push import approvals
from hr_centra_pipeline.push.approvals import Signature
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY
from hr_centra_pipeline_tests.staged import put, template

SIGNATURE = Signature("bo", "seen", datetime(2026, 9, 1, 12, tzinfo=UTC))

_LINE = "--line needs --unit, once or more: the units that belong to that line."
_BOTH = f"{_LINE} --unrelated does not go with --line."
_EITHER = "Give either --unit, once or more, for the units that the {} was for, or --unrelated, not both."


@pytest.mark.parametrize(
    ("kind", "units", "unrelated", "message"),
    [
        ("line", [], True, _BOTH),
        ("line", ["IT-1"], True, _BOTH),
        ("line", [], False, _LINE),
        ("order", [], False, "--order needs --unit, once or more: the units that the order replaces."),
        ("money", [], True, "--money goes with neither --unit nor --unrelated: write `hr-centra tie UNIT --money`."),
        ("release", ["IT-1"], False, "--release goes with neither --unit nor --unrelated: write `hr-centra tie UNIT --release`."),
        ("refund", [], False, _EITHER.format("refund")),
        ("return", ["IT-1"], True, _EITHER.format("Return")),
    ],
)  # fmt: skip
def test_options_of_a_tie_that_do_not_go_together_are_named(
    kind: TieForm, units: list[str], unrelated: bool, message: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        decisions.tie("77", units, kind=kind, unrelated=unrelated, by="finance", why="seen")
    assert str(refused.value) == message


@pytest.mark.parametrize("units", [["IT-1", "IT-1"], ["IT-1=10", "IT-1=20"], ["IT-2", "IT-1=10", "IT-1"]])
def test_the_same_unit_named_twice_is_refused_whatever_its_amounts(units: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="name each unit once"):
        decisions.tie("77", units, kind="refund", unrelated=False, by="finance", why="seen")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    shutil.copyfile(template(), tmp_path / "warehouse.duckdb")
    with Warehouse(tmp_path / "warehouse.duckdb").transaction() as opened:
        write_policy(opened, load_policy(EXAMPLE_POLICY).policy, "live")
        yield opened


def test_a_unit_that_nobody_knows_is_said_before_who_may_decide(connection: Connection) -> None:
    for decide in (approvals.order_again, approvals.pay_instead):
        with pytest.raises(ConfigurationError, match="NOPE: there is no unit with that id"):
            decide(connection, SIGNATURE, "NOPE")


def test_a_policy_without_its_author_leaves_open_who_may_decide(connection: Connection) -> None:
    connection.execute(
        "insert into push.pushes (push_id, mode, started_at, real_started_at) values ('1', 'live', now(), now())"
    )
    with pytest.raises(ConfigurationError, match="who may decide this: set changed_by"):
        approvals.refuse_own_work(connection, SIGNATURE)


def test_a_return_that_is_adopted_a_second_time_was_adopted_already(connection: Connection) -> None:
    put(connection, "staging.returns", return_id="RT-1", express_code="HR1")
    approvals.adopt(connection, SIGNATURE, "RT-1")
    with pytest.raises(ConfigurationError, match="HR1: bo adopted it on 2026-09-01 already"):
        approvals.adopt(connection, Signature("eve", "seen", SIGNATURE.at), "HR1")
    assert connection.execute("select adopted_by from push.adoptions").fetchall() == [("bo",)]


def test_a_month_as_of_a_day_in_the_future_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HR_CENTRA_NOW", "2026-10-01T12:00:00Z")
    with pytest.raises(ConfigurationError, match="--as-of 2026-10-02: that day is in the future; today is 2026-10-01"):
        run_export("2026-09", "2026-10-02")


@pytest.mark.parametrize(
    "arguments",
    [
        ["sandbox", "advance", "--hours", "-3"], ["sandbox", "serve", "--returns", "-1"],
        ["pages", "--port", "99999"], ["dev", "--port", "0"],
    ],
)  # fmt: skip
def test_a_number_out_of_its_range_is_a_mistake_of_usage(arguments: list[str]) -> None:
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 2
    assert f"'{arguments[-2]}'" in found.output
