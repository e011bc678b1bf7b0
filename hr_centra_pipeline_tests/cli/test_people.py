from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hr_centra_pipeline.cli.main import app
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.pages.login import is_password
from hr_centra_pipeline.pages.people_file import load_people

PASSWORD = "correct horse battery staple"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HR_CENTRA_HOME", str(tmp_path))
    return tmp_path


def people(*arguments: str, typed: str = "") -> str:
    done = CliRunner().invoke(app, ["people", *arguments], input=typed)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_people_are_added_changed_and_removed_and_the_files_comments_stay(home: Path) -> None:
    people("add", "anna@example.com", "--name", "Anna", "--team", "finance", "--may", "close", typed=f"{PASSWORD}\n")
    path = home / "people.toml"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("# who may do what\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert "set" not in people("password", "ANNA@example.com", typed="another password of hers\n").replace(
        "was set", ""
    )
    found = load_people(path)
    assert found is not None
    anna = found.people["anna@example.com"]
    assert (anna.name, anna.teams, anna.may) == ("Anna", ["finance"], ["close"])
    assert is_password(anna.password, "another password of hers")
    assert not is_password(anna.password, PASSWORD)
    listed = people("list")
    assert "anna@example.com" in listed
    assert "argon2" not in listed
    people("remove", "anna@example.com")
    found = load_people(path)
    assert found is not None
    assert found.people == {}
    assert path.read_text(encoding="utf-8").startswith("# who may do what\n")


@pytest.mark.parametrize(
    ("arguments", "typed", "said"),
    [
        (["add", "anna"], "short\n", "12 characters"),
        (["add", "a<b>"], f"{PASSWORD}\n", "is not an id"),
        (["add", "anna", "--team", "sales"], f"{PASSWORD}\n", "is not a team"),
        (["add", "anna", "--may", "everything"], f"{PASSWORD}\n", "may"),
        (["password", "nobody"], f"{PASSWORD}\n", "does not exist yet"),
        (["list"], "", "does not exist yet"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(home: Path, arguments: list[str], typed: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        people(*arguments, typed=typed)
    assert not (home / "people.toml").exists()
