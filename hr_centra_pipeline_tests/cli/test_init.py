"""``hr-centra init``: nothing about money is guessed, nothing is overwritten, no secret is asked."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from hr_centra_pipeline.cli.init_command import ENVIRONMENT_FILE, init
from hr_centra_pipeline.cli.policy_draft import QUESTIONS
from hr_centra_pipeline.cli.where import read_env_file
from hr_centra_pipeline.core.environment_file import VARIABLES
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.push.guards import missing_guards

ALL = {one.name: one.like for one in QUESTIONS}


def run(home: Path, answers: dict[str, str], file: Path | None = None) -> None:
    init(home, answers_file=file, given=[f"{name}={answer}" for name, answer in answers.items()], asks=False)


def test_a_policy_with_every_answer_loads_and_states_all_guards(tmp_path: Path) -> None:
    run(tmp_path / "home", ALL)
    policy = load_policy(tmp_path / "home" / "policy.toml").policy
    assert missing_guards(policy) == []
    assert policy.pays_through == {"refund": "centra", "gift-card": "elsewhere"}
    assert {word: one.warehouse_id for word, one in policy.dispositions.items()} == {
        "sellable": 1, "damaged": 3, "missing": None,
    }  # fmt: skip
    assert set(policy.modes.model_dump().values()) == {"dry_run"}
    assert policy.gift_card.template is None


def test_without_answers_the_loader_refuses_each_question_by_name(tmp_path: Path) -> None:
    run(tmp_path / "home", {})
    with pytest.raises(ConfigurationError) as caught:
        load_policy(tmp_path / "home" / "policy.toml")
    lines = str(caught.value).splitlines()
    assert len(lines) == len(QUESTIONS)
    for question in QUESTIONS:
        assert any(f": {'.'.join(question.place)} is not answered yet: {question.asked}" in line for line in lines)


def test_a_question_is_answered_by_stating_its_setting_below_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run(home, {name: answer for name, answer in ALL.items() if name != "approval-above"})
    policy = home / "policy.toml"
    text = policy.read_text(encoding="utf-8")
    assert "# TO ANSWER approval_above: " in text
    policy.write_text(text.replace('# [approval_above]\n# EUR = "500"', '[approval_above]\nSEK = "5000"'), "utf-8")
    assert str(load_policy(policy).policy.approval_above["SEK"]) == "5000"


@pytest.mark.parametrize(
    ("name", "answer", "told"),
    [
        ("cutover", "2026-08-27", "timezone"),
        ("refunds", "paypal", "centra"),
        ("dispositions", "sellable", "write pairs"),
        ("dispositions", "sellable=main", "whole number"),
        ("fees", "EUR=4.95", "method:currency"),
        ("approval-above", "euro=500", "not a currency"),
        ("modes", "later", "off"),
        ("replacement-numbers", "1-20", "10,000"),
        ("surge-factor", "0.5", "greater than 1"),
        ("centra-url", "http://shop.centra.com/graphql", "in the clear"),
        ("exports", "sftp://user:secret@host/path", "holds a password"),
        ("centra-token", "abc", "never an answer"),
        ("colour", "red", "no such question"),
    ],
)
def test_a_wrong_answer_is_refused_at_once_and_nothing_is_written(
    tmp_path: Path, name: str, answer: str, told: str
) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        run(tmp_path / "home", {name: answer})
    assert told in str(caught.value)
    assert not (tmp_path / "home").exists()


def test_answers_come_from_a_file_and_an_option_wins(tmp_path: Path) -> None:
    file = tmp_path / "answers.toml"
    file.write_text("\n".join(f'{name} = "{answer}"' for name, answer in ALL.items()), encoding="utf-8")
    run(tmp_path / "home", {"refunds": "elsewhere"}, file)
    assert load_policy(tmp_path / "home" / "policy.toml").policy.pays_through["refund"] == "elsewhere"


def test_the_file_of_variables_is_its_owner_s_and_has_no_secret(tmp_path: Path) -> None:
    home = tmp_path / "a home"
    run(home, {"exports": "sftp://shop@files.example.com/out", "centra-url": "https://shop.centra.com/graphql"})
    file = home / ENVIRONMENT_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = read_env_file(file)
    settings = Settings.from_environment(found)
    assert (settings.home, settings.mode, settings.exports) == (home, "dry_run", "sftp://shop@files.example.com/out")
    secrets = {one.name for one in VARIABLES if one.is_secret}
    assert {found[name] for name in secrets} == {""}


def test_a_second_run_overwrites_nothing_and_says_what_exists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    run(home, ALL)
    (home / "policy.toml").write_text("mine", encoding="utf-8")
    (home / ENVIRONMENT_FILE).write_text("CENTRA_TOKEN=mine\n", encoding="utf-8")
    capsys.readouterr()
    run(home, {})
    assert (home / "policy.toml").read_text(encoding="utf-8") == "mine"
    assert (home / ENVIRONMENT_FILE).read_text(encoding="utf-8") == "CENTRA_TOKEN=mine\n"
    assert capsys.readouterr().out.count("left as it is") == 4
