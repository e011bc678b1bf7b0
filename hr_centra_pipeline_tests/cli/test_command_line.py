"""The command line as a whole: its help, and the options that every command has."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hr_centra_pipeline.cli import main, where
from hr_centra_pipeline.cli.command_groups import in_front
from hr_centra_pipeline.core.errors import ConfigurationError

RUNNER = CliRunner()
GROUPS = {main.RUN, main.LOOK, main.DECIDE, main.MONTH, main.SET_UP, main.SAFE, main.LEARN}


def walked(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each command with its path, groups included."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from walked(command, (*path, name))


COMMANDS = dict(walked(typer.main.get_command(main.app)))
LEAVES = {path: command for path, command in COMMANDS.items() if not hasattr(command, "commands")}


@pytest.fixture(autouse=True)
def own_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a command sets in its environment ends with the test."""
    monkeypatch.setattr("os.environ", os.environ.copy())
    for name in [name for name in os.environ if name.startswith(where.PREFIXES)]:
        del os.environ[name]


@pytest.mark.parametrize("path", [path for path in COMMANDS if len(path) == 1], ids=" ".join)
def test_each_command_is_in_a_group_of_the_help(path: tuple[str, ...]) -> None:
    assert COMMANDS[path].rich_help_panel in GROUPS


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_each_command_has_help_for_h_with_examples_that_it_takes(path: tuple[str, ...]) -> None:
    shown = RUNNER.invoke(main.app, [*path, "-h"])
    assert shown.exit_code == 0
    examples = re.findall(r"(?m)^  (hr-centra .*)$", LEAVES[path].epilog or "")
    assert examples, f"hr-centra {' '.join(path)} has no example in its help"
    mine = [shlex.split(one)[1:] for one in examples]
    assert any(tuple(one[: len(path)]) == path for one in mine)
    for one in mine:
        parsed(one)


def parsed(arguments: list[str]) -> None:
    """The arguments are what the command takes; it does not run."""
    *path, rest = split(in_front(arguments))
    LEAVES[tuple(path[0])].make_context("example", rest)


def split(arguments: list[str]) -> tuple[tuple[str, ...], list[str]]:
    while arguments and arguments[0].startswith("--"):
        arguments = arguments[2:] if arguments[0] == "--env-file" else arguments[1:]
    length = next(size for size in (2, 1) if tuple(arguments[:size]) in LEAVES)
    return tuple(arguments[:length]), arguments[length:]


def test_without_a_command_the_help_is_shown() -> None:
    for bare in ([], ["inbox"], ["sandbox"]):
        shown = RUNNER.invoke(main.app, bare)
        assert "Usage:" in shown.output
        assert shown.exit_code == 2


def test_completion_can_be_installed_and_shown() -> None:
    shown = RUNNER.invoke(main.app, ["--help"]).output
    assert "--install-completion" in shown
    assert "--show-completion" in shown


# ---------------------------------------------------------------- options of every command


@pytest.mark.parametrize(
    ("typed", "parsed"),
    [
        (["plan", "--demo"], ["--demo", "plan"]),
        (["--demo", "plan", "--all"], ["--demo", "plan", "--all"]),
        (["inbox", "list", "--env-file", "e", "--most", "3"], ["--env-file", "e", "inbox", "list", "--most", "3"]),
        (["plan", "--env-file=e"], ["--env-file=e", "plan"]),
        (["plan", "--env-file"], ["--env-file", "plan"]),
        (["explain", "--", "--demo"], ["explain", "--", "--demo"]),
    ],
)
def test_options_of_every_command_are_taken_before_and_after_its_name(typed: list[str], parsed: list[str]) -> None:
    assert in_front(typed) == parsed


def written(folder: Path, text: str) -> Path:
    path = folder / "env"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def test_a_file_of_variables_is_read_and_what_is_set_already_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.environ["HR_CENTRA_MODE"] = "dry_run"
    file = written(
        tmp_path,
        f"# a shop\n\nHR_CENTRA_HOME={tmp_path}\nexport CENTRA_TOKEN='a # b'\nHR_CENTRA_MODE=live\nHR_CENTRA_UI_URL=\n",
    )
    where._take_over(where.read_env_file(file), file)
    assert os.environ["HR_CENTRA_HOME"] == str(tmp_path)
    assert os.environ["CENTRA_TOKEN"] == "a # b"
    assert os.environ["HR_CENTRA_MODE"] == "dry_run"
    assert capsys.readouterr().err == f"Already set in the environment, so not taken from {file}: HR_CENTRA_MODE\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\n\nCENTRA_TOKEN s3cret\n", r"line 3: write KEY=VALUE"),
        ("CENTRA_TOKEN\n", r"line 1: write KEY=VALUE"),
        ("A=1\nA=2\n", r"line 2: A is set a second time"),
        ('A="1\nB=2"\n', r"line 1: a quote that opens on this line does not close on it"),
        ("A='s3cret\n", r"line 1: write KEY=VALUE"),
        ("not-a-name=s3cret\n", r"line 1: write KEY=VALUE"),
    ],
)
def test_a_line_that_sets_nothing_is_refused_by_its_number_and_not_shown(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        where.read_env_file(written(tmp_path, text))
    assert "s3cret" not in str(refused.value)


def test_a_file_that_is_missing_binary_or_huge_is_refused_in_one_line(tmp_path: Path) -> None:
    binary, huge = tmp_path / "binary", tmp_path / "huge"
    binary.write_bytes(b"\xff\xfe\x00")
    huge.write_bytes(b"A" * ((1 << 20) + 1))
    for path, words in (
        (tmp_path / "none", "No such file"),
        (tmp_path, "directory"),
        (binary, "UTF-8"),
        (huge, "1 MB"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            where.read_env_file(path)


def test_secrets_that_others_may_read_are_warned_of_without_being_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, "CENTRA_TOKEN=s3cret\n")
    where.read_env_file(file)
    assert capsys.readouterr().err == ""
    file.chmod(0o640)
    where.read_env_file(file)
    assert capsys.readouterr().err == f"--env-file {file}: holds secrets and others may read it: chmod 600 {file}\n"


def test_only_one_shop_can_be_named_and_one_that_is_not_there_says_how_it_is_made(tmp_path: Path) -> None:
    os.environ["HR_CENTRA_HOME"] = str(tmp_path)
    for arguments, message in (
        (["plan", "--demo", "--training"], "Give one of --env-file, --demo and --training"),
        (["plan", "--demo"], f"{tmp_path / 'demo'}: there is no demo shop yet; run `hr-centra demo` first."),
    ):
        refused = RUNNER.invoke(main.app, arguments)
        assert isinstance(refused.exception, ConfigurationError)
        assert message in str(refused.exception)


def test_the_demo_is_at_the_same_place_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    monkeypatch.chdir(tmp_path)
    assert where.sandbox_home("demo") == root / "data" / "demo"
    monkeypatch.setattr(where, "__file__", str(tmp_path / "site-packages" / "hr_centra_pipeline" / "cli" / "where.py"))
    os.environ["XDG_DATA_HOME"] = str(tmp_path / "share")
    assert where.sandbox_home("demo") == tmp_path / "share" / "hr-centra" / "demo"
    os.environ["HR_CENTRA_HOME"] = str(tmp_path / "mine")
    assert where.sandbox_home("demo") == tmp_path / "mine" / "demo"
    (tmp_path / "mine" / "demo" / "sandbox").mkdir(parents=True)
    os.environ["HR_CENTRA_HOME"] = str(tmp_path / "mine" / "demo")  # as in a shell that sourced its file
    assert where.sandbox_home("demo") == tmp_path / "mine" / "demo"


def test_on_the_demo_nothing_of_a_real_shop_is_left_in_the_environment(tmp_path: Path) -> None:
    from hr_centra_pipeline.cli import demo

    os.environ.update(HR_CENTRA_INBOX="postgresql://real/inbox", HR_CENTRA_ALERT_WEBHOOK="https://hooks.example/real")
    note = dict.fromkeys(
        ("graphql_url", "token", "order_api_url", "order_api_key", "exports", "payouts", "clock_file"), "sandbox"
    )
    settings = demo.point_here(tmp_path / "demo", note)
    assert settings.inbox == str(tmp_path / "demo" / "inbox.sqlite")
    assert not settings.alert_webhooks
    assert settings.mode == "live"


# ---------------------------------------------------------------- tables as JSON

PRINTS_A_TABLE = re.compile(r"DataTable\(|show_result\(")
NO_JSON = {("demo",)}
"""It ends on a screen, for people; `status --demo --json` has the figures."""


def prints_a_table(command: Any) -> bool:
    """Whether the code of a command, or of a module of the command line that it names, prints one."""
    callback = inspect.unwrap(command.callback)
    source = inspect.getsource(callback)
    if callback.__module__ != main.__name__:  # its own functions, in the same module
        called = [getattr(sys.modules[callback.__module__], name, None) for name in re.findall(r"\b(_\w+)\(", source)]
        source += "".join(inspect.getsource(one) for one in called if inspect.isfunction(one))
        return bool(PRINTS_A_TABLE.search(source))
    named = re.findall(r"from hr_centra_pipeline\.cli\.(\w+) import|from hr_centra_pipeline\.cli import (\w+)", source)
    folder = Path(main.__file__).parent
    return any(PRINTS_A_TABLE.search((folder / f"{one or other}.py").read_text("utf-8")) for one, other in named)


def test_wherever_a_table_is_printed_it_can_be_had_as_json() -> None:
    with_table = {path for path, command in LEAVES.items() if path[0] != "sandbox" and prints_a_table(command)}
    with_json = {path for path, command in LEAVES.items() if any("--json" in one.opts for one in command.params)}
    decisions = {("raise",), ("adopt",), ("tie",), ("reorder",), ("pay-instead",)}  # in one module with `approve`
    assert ("sync",) in with_table
    assert ("inbox", "list") in with_table
    assert with_table - with_json == NO_JSON | decisions
