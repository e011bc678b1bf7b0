"""``doctor`` ends with where a shop is on the path to live: each step by what is there, and the one next command."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from hr_centra_pipeline.cli.init_command import init
from hr_centra_pipeline.cli.policy_draft import QUESTIONS
from hr_centra_pipeline.core.policy import Modes
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.oversight.doctor import examine
from hr_centra_pipeline.oversight.findings import Finding
from hr_centra_pipeline.oversight.going_live import findings
from hr_centra_pipeline.publishing.publish import DATABASE

PAGE = Path(__file__).parents[2] / "docs" / "going-live.md"


def path(environment: dict[str, str]) -> tuple[dict[str, Finding], str]:
    """Each step by its name, and the next command."""
    found = list(examine(environment, is_offline=True))
    steps = list(findings(Settings.from_environment(environment), found, is_offline=True))
    (command,) = [one.fix for one in steps if one.fix] or [""]
    return {
        one.told.partition(": ")[0] if not one.told.startswith("9") else one.told.rpartition(": ")[0]: one
        for one in steps
    }, command


def test_the_path_begins_with_init_and_goes_on_step_by_step(tmp_path: Path) -> None:
    home = tmp_path / "home"
    environment = {"HR_CENTRA_HOME": str(home), "HAPPY_RETURNS_EXPORTS": str(home / "exports")}
    _, command = path(environment)
    assert command == f"Next: hr-centra init --home {home}"
    init(home, answers_file=None, given=[], asks=False)
    steps, command = path(environment)
    assert steps["2 policy"].told == f"2 policy: {len(QUESTIONS)} lines to correct or answer"
    assert command.startswith("Next: edit ")
    (home / "policy.toml").unlink()
    init(home, answers_file=None, given=[f"{one.name}={one.like}" for one in QUESTIONS], asks=False)
    assert path(environment)[1].startswith("Next: set HAPPY_RETURNS_EXPORTS")
    (home / "exports").mkdir()
    (home / "exports" / "returns-20260930.csv").write_text("Retoure,Nr,Stand der Dinge\nR1,1,offen\n", encoding="utf-8")
    steps, command = path(environment)
    assert steps["4 header profile"].told.endswith("files of no kind are recognised; 1 other layouts are not")
    assert command == "Next: hr-centra profile FILE --write"
    (home / "exports" / "returns-20260930.csv").write_text(
        "return_id,order_number,sku,refund_type\nR1,1001,A-1,refund\n", encoding="utf-8"
    )
    assert path(environment)[1].startswith("Next: put CENTRA_TOKEN")


def test_each_effect_type_is_shown_with_the_mode_that_applies(tmp_path: Path) -> None:
    home = tmp_path / "home"
    answers = {one.name: one.like for one in QUESTIONS} | {"modes": "credit_note=live,inventory_adjustment=dry_run"}
    init(home, answers_file=None, given=[f"{name}={answer}" for name, answer in answers.items()], asks=False)
    environment = {"HR_CENTRA_HOME": str(home)}
    steps, _ = path(environment)
    assert {steps[f"9 live: {name}"].told for name in Modes.model_fields} == {
        f"9 live: {name}: dry_run" for name in Modes.model_fields
    }
    steps, _ = path({**environment, "HR_CENTRA_MODE": "live"})
    assert (steps["9 live: credit_note"].told, steps["9 live: credit_note"].level) == (
        "9 live: credit_note: live",
        "ok",
    )
    assert steps["9 live: inventory_adjustment"].told == "9 live: inventory_adjustment: dry_run"


@pytest.mark.parametrize(("passed", "told"), [(True, "ready to go live"), (False, "not yet: days: 3 of 14")])
def test_the_shadow_report_is_the_one_that_was_published(tmp_path: Path, *, passed: bool, told: str) -> None:
    settings = Settings.from_environment({"HR_CENTRA_HOME": str(tmp_path)})
    settings.published.mkdir()
    with duckdb.connect(settings.published / DATABASE) as connection:
        connection.execute("create schema meta; create schema reconciliation")
        connection.execute("create table meta.published as select ?::timestamptz as as_of", [datetime.now(UTC)])
        connection.execute(
            "create table reconciliation.shadow_verdict as"
            " select 1 as place, 'days' as criterion, '14' as required, '3' as found, ? as passed",
            [passed],
        )
    (step,) = [one for one in findings(settings, [], is_offline=True) if one.told.startswith("8 shadow")]
    assert (step.told, step.level) == (f"8 shadow: {told}", "ok" if passed else "note")


def test_the_page_has_each_step_of_the_path_by_its_number(tmp_path: Path) -> None:
    headings = re.findall(r"^## (\d) ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    settings = Settings.from_environment({"HR_CENTRA_HOME": str(tmp_path)})
    numbers = {one.told[0] for one in findings(settings, [], is_offline=True)} | {"9"}
    assert set(headings) == numbers
