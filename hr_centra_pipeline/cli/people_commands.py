"""``hr-centra people``: who may do what on the pages, and their passwords. A password is typed or piped, never an argument."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box

from hr_centra_pipeline.cli.command_groups import examples
from hr_centra_pipeline.cli.table import DataConsole, DataTable, echo, echo_json
from hr_centra_pipeline.core.errors import ConfigurationError

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

    from hr_centra_pipeline.pages.people_file import People

app = typer.Typer(no_args_is_help=True, help="People of the pages: who they are, their teams, rights and passwords.")

_Id = Annotated[str, typer.Argument(metavar="PERSON", help="E-mail address or user name.")]
_LONGEST_PASSWORD_LINE = 2_000


@app.command(epilog=examples("hr-centra people add anna@example.com --name 'Anna Berg' --team finance --may close"))
def add(
    person: _Id,
    name: Annotated[str, typer.Option(help="As shown on the pages; default: the id.")] = "",
    team: Annotated[list[str] | None, typer.Option(help="finance, warehouse, customer_service or data.")] = None,
    may: Annotated[
        list[str] | None,
        typer.Option(
            help="decide (approve, adopt, tie …) or close (close, sign, upload). Looking, notes and assigning need none."
        ),
    ] = None,
) -> None:
    """Add somebody; with `by = "passwords"` their password is asked for, or read from standard input."""
    from hr_centra_pipeline.pages.people_file import edited, load_people, problem_of_id

    path, given = _file(), person.strip()
    if (wrong := problem_of_id(given)) is not None:
        raise ConfigurationError(f"{given!r} {wrong}.")
    people = load_people(path)
    if people is not None and people.find(given) is not None:
        raise ConfigurationError(f"{given} is listed already. A new password: `hr-centra people password {given}`.")
    entry: dict[str, object] = {}
    if name:
        entry["name"] = name
    entry |= {"teams": team or [], "may": may or []}
    if people is None or people.login.by == "passwords":
        entry["password"] = _hashed()
    with edited(path) as document:
        if people is None:
            document["login"] = {"by": "passwords"}
        document.setdefault("people", {})[given] = entry
    echo(f"{given} was added to {path}.")


@app.command(epilog=examples("hr-centra people password anna@example.com"))
def password(person: _Id) -> None:
    """Set a person's password; their sessions end. It is asked for, or read from standard input."""
    from hr_centra_pipeline.pages.people_file import edited

    path, people = _opened()
    key = _key(people, person)
    hashed = _hashed()
    with edited(path) as document:
        _entry(document, key)["password"] = hashed
    echo(f"The password of {key} was set.")


@app.command(epilog=examples("hr-centra people remove anna@example.com"))
def remove(person: _Id) -> None:
    """Remove somebody; their sessions end. What they decided stays recorded."""
    from hr_centra_pipeline.pages.people_file import edited

    path, people = _opened()
    key = _key(people, person)
    with edited(path) as document:
        del document["people"][key]
    echo(f"{key} was removed from {path}.")


@app.command(name="list", epilog=examples("hr-centra people list"))
def list_(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Who is listed, with teams and rights."""
    path, people = _opened()
    if as_json:
        listed = [
            {"person": key, "name": one.name, "teams": one.teams, "may": one.may, "has_password": bool(one.password)}
            for key, one in people.people.items()
        ]
        echo_json(listed)
        return
    if not people.people:
        echo(f"{path} lists nobody.")
        return
    table = DataTable("person", "name", "teams", "may", "password", box=box.SIMPLE_HEAD, pad_edge=False)
    for key, one in people.people.items():
        table.add_row(
            key,
            one.name,
            ", ".join(one.teams),
            ", ".join(["look", "note", "assign", *one.may]),
            "set" if one.password else "–",
        )
    DataConsole().print(table)


def _file() -> Path:
    from hr_centra_pipeline.core.settings import Settings
    from hr_centra_pipeline.pages.people_file import FILE

    home = Settings.from_environment().home
    if not home.is_dir():
        raise ConfigurationError(f"{home}: there is no such folder; HR_CENTRA_HOME names the home.")
    return home / FILE


def _opened() -> tuple[Path, People]:
    from hr_centra_pipeline.pages.people_file import load_people

    path = _file()
    people = load_people(path)
    if people is None:
        raise ConfigurationError(f"{path} does not exist yet: `hr-centra people add` makes it.")
    return path, people


def _key(people: People, person: str) -> str:
    """How somebody is written in the file."""
    from hr_centra_pipeline.pages.people_file import user_id

    found = next((key for key in people.people if user_id(key) == user_id(person)), None)
    if found is None:
        raise ConfigurationError(f"{person} is not listed; `hr-centra people list` shows who is.")
    return found


def _entry(document: TOMLDocument, key: str) -> dict[str, object]:
    found: dict[str, object] = document["people"][key]
    return found


def _hashed() -> str:
    """A password's hash, asked for twice on a terminal, or the first line of standard input."""
    from hr_centra_pipeline.pages.login import hash_of

    if sys.stdin.isatty():
        given = getpass.getpass("Password (12 characters or more): ")
        if getpass.getpass("Again: ") != given:
            raise ConfigurationError("The two differ; nothing was changed.")
    else:
        given = sys.stdin.readline(_LONGEST_PASSWORD_LINE).rstrip("\r\n")
    return hash_of(given)
