"""Who may do what on the pages: ``people.toml`` in the home, which only its owner can read."""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from tomlkit.exceptions import TOMLKitError

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.kinds import OWNERS
from hr_centra_pipeline.core.setting_files import mistakes_in, parsed_toml, read_setting_file

FILE = "people.toml"
Way = Literal["proxy", "passwords", "link"]
"""How somebody logged in: by the login of a proxy in front, with a password, or with the link on the terminal."""
Right = Literal["decide", "close"]
"""``decide``: approve, adopt, tie, raise, reorder, pay instead. ``close``: close, reopen and sign a month, upload files."""
RIGHTS: tuple[Right, ...] = ("decide", "close")
_MOST_PEOPLE = 1_000
_Address = Annotated[str, Field(max_length=64)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LoginSettings(_Strict):
    """``[login]``."""

    by: Way
    trusted_proxies: list[_Address] = Field(default=["127.0.0.1", "::1"], max_length=32)
    user_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] = "X-Forwarded-Email"
    idle_hours: Annotated[int, Field(ge=1, le=24)] = 8
    absolute_hours: Annotated[int, Field(ge=1, le=72)] = 12
    decisions_only_on_pages: bool = False
    """Approving, closing, reopening and signing is refused on the command line."""

    @model_validator(mode="after")
    def _addresses(self) -> Self:
        for address in self.trusted_proxies:
            try:
                ipaddress.ip_address(address)
            except ValueError:
                raise ValueError(f"trusted_proxies: {address!r} is not an IP address such as 127.0.0.1") from None
        if self.idle_hours > self.absolute_hours:
            raise ValueError("idle_hours is more than absolute_hours")
        return self


class Person(_Strict):
    """``[people."anna@example.com"]``."""

    name: Annotated[str, Field(min_length=1, max_length=100)] = ""
    teams: list[str] = Field(default=[], max_length=8)
    may: list[Right] = Field(default=[], max_length=len(RIGHTS))
    password: Annotated[str, Field(max_length=300, repr=False)] = ""
    machine_users: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(default=[], max_length=8)
    """Users of this machine that are this person: what they planned, the person does not approve."""

    @model_validator(mode="after")
    def _known_teams(self) -> Self:
        for team in self.teams:
            if team not in OWNERS:
                raise ValueError(f"teams: {team!r} is not a team; the teams are {', '.join(OWNERS)}")
        if self.password and not self.password.startswith("$argon2id$"):
            raise ValueError("password: is not a hash; set it with `hr-centra people password`")
        return self


class People(_Strict):
    """The file."""

    login: LoginSettings
    people: dict[str, Person] = Field(default={}, max_length=_MOST_PEOPLE)

    @model_validator(mode="after")
    def _ids(self) -> Self:
        if len({user_id(one) for one in self.people}) < len(self.people):
            raise ValueError("people: two ids differ only in capitals; they would be the same person")
        for one in self.people:
            if (wrong := problem_of_id(one)) is not None:
                raise ValueError(f"people: {one!r} {wrong}")
        return self

    def find(self, given: str) -> Person | None:
        """Somebody by e-mail address or user name, whatever its capitals."""
        wanted = user_id(given)
        return next((person for name, person in self.people.items() if user_id(name) == wanted), None)


def user_id(given: str) -> str:
    """The one spelling of an e-mail address or user name: what is recorded, and compared where four eyes are asked for."""
    return given.strip().casefold()


def problem_of_id(given: str) -> str | None:
    """Why a text cannot be the id of a person; ``None``: it can."""
    if not 1 <= len(given) <= 200:
        return "is not an id: 1 to 200 characters"
    if given != given.strip() or not given.isprintable() or any(sign in given for sign in "<>\"'`\\,;"):
        return "is not an id: write an e-mail address or a user name"
    return None


def load_people(path: Path) -> People | None:
    """The file; ``None`` when there is none.

    Raises:
        ConfigurationError: others can read it, or it has a mistake; names each place.
    """
    try:
        mode = path.stat().st_mode
        raw = read_setting_file(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}.") from None
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigurationError(f"{path}: others can read it, and it holds hashes of passwords: `chmod 600 {path}`.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: is not UTF-8 text.") from None
    return checked(parsed_toml(text, str(path)), str(path))


def checked(content: Mapping[str, object], place: str) -> People:
    """The settings of a parsed file.

    Raises:
        ConfigurationError: a line for each mistake.
    """
    try:
        return People.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError(
            "\n".join(
                f"{place}: {'.'.join(map(str, where)) or 'the file'}: {what}." for where, what in mistakes_in(error)
            )
        ) from None


@contextmanager
def edited(path: Path) -> Iterator[tomlkit.TOMLDocument]:
    """The file to change, comments and all; what is left behind is written, for its owner only, if it is valid.

    Raises:
        ConfigurationError: it has a mistake, before or after.
    """
    load_people(path)
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
    except TOMLKitError as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}.") from None
    yield document
    text = tomlkit.dumps(document)
    checked(parsed_toml(text, str(path)), str(path))
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    beside.touch(mode=0o600, exist_ok=False)
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


@dataclass
class PeopleFile:
    """``people.toml`` while the site runs: read again when it was changed. One with a mistake changes nothing."""

    path: Path
    people: People | None
    seen: tuple[int, int, int] | None = None
    problem: str | None = None

    @classmethod
    def opened(cls, path: Path) -> Self:
        """Raises:
        ConfigurationError: it has a mistake.
        """
        seen = _state(path)
        return cls(path, load_people(path), seen)

    def now(self) -> People | None:
        """What holds now; ``problem`` says what is wrong with a newer file that is not used."""
        seen = _state(self.path)
        if seen != self.seen:
            self.seen = seen
            try:
                found = load_people(self.path)
            except ConfigurationError as error:
                self.problem = str(error)
                return self.people
            if (found and found.login) == (self.people and self.people.login):
                self.people, self.problem = found, None
            else:
                self.problem = f"{self.path}: [login] was changed; restart `hr-centra pages` to use it."
        return self.people


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
