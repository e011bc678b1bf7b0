"""Under which names one person is known: user id, name, and users of this machine, as ``people.toml`` in the home says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.setting_files import parsed_toml, read_setting_file
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.decisions.decision_store import Who
from hr_centra_pipeline.month_end.close import Recorder
from hr_centra_pipeline.push.approvals import Signature, machine_user

FILE_NAME = "people.toml"
ONLY_ON_PAGES = ("approve", "close", "reopen", "sign")
"""Kinds that ``[login] decisions_only_on_pages`` refuses on the command line."""


@dataclass(frozen=True)
class Names:
    """What the file says about who is who; nothing without the file."""

    only_on_pages: bool = False
    people: tuple[tuple[str, frozenset[str]], ...] = ()
    """User id, and every name of that person."""

    def of(self, *given: str) -> frozenset[str]:
        """All names of the people who have one of these names, and these."""
        wanted = {_folded(one) for one in given if one.strip()}
        found = {other for _, names in self.people if wanted & {_folded(one) for one in names} for other in names}
        return frozenset({*found, *(one for one in given if one.strip())})


def read(settings: Settings) -> Names:
    """The names in a home. What else the file says is for the pages, which check it.

    Raises:
        ConfigurationError: it cannot be read, or is not TOML.
    """
    path = settings.home / FILE_NAME
    try:
        content = parsed_toml(read_setting_file(path).decode("utf-8-sig"), str(path))
    except FileNotFoundError:
        return Names()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read ({error}).") from None
    login = content.get("login")
    people = content.get("people")
    return Names(
        only_on_pages=isinstance(login, dict) and login.get("decisions_only_on_pages") is True,
        people=tuple(_people(people)) if isinstance(people, dict) else (),
    )


def _people(people: dict[str, Any]) -> Iterator[tuple[str, frozenset[str]]]:
    for user_id, person in people.items():
        if isinstance(person, dict):
            users = person.get("machine_users")
            names = {user_id, person.get("name"), *(users if isinstance(users, list) else ())}
            yield user_id, frozenset(name for name in names if isinstance(name, str) and name.strip())


def from_shell(by: str) -> Who:
    """Who decides on the command line: a name that was typed, and the machine's user who typed it."""
    return Who(machine_user(), by, "shell")


def refuse_shell(settings: Settings, kind: str) -> None:
    """Refuse a kind of decision on the command line where ``people.toml`` asks for a login.

    Raises:
        ConfigurationError: says where to decide.
    """
    if kind in ONLY_ON_PAGES and read(settings).only_on_pages:
        raise ConfigurationError(
            f"{settings.home / FILE_NAME} says decisions_only_on_pages: decide this on {settings.pages_url}, logged in.",
            code="only_on_pages",
        )


def signature(settings: Settings, who: Who, why: str, at: datetime) -> Signature:
    """Whose decision it is, for what is kept beside it, and for four eyes."""
    return Signature(who.name, why, at, recorded_by=recorded_by(who), identities=identities(settings, who))


def recorder(settings: Settings, who: Who) -> Recorder:
    """The same for closes and signatures."""
    user_id = None if who.login == "shell" else who.user_id
    return Recorder(user_id, recorded_by(who), identities(settings, who))


def identities(settings: Settings, who: Who) -> frozenset[str]:
    """Every name of who decides. The machine's user of the command line is not one: many may type there."""
    given = (who.name,) if who.login == "shell" else (who.name, who.user_id)
    return read(settings).of(*given)


def recorded_by(who: Who) -> str:
    """The machine's user; or who was logged in, and how."""
    return who.user_id if who.login == "shell" else f"{who.user_id} ({who.login})"


def _folded(name: str) -> str:
    return name.strip().casefold()
