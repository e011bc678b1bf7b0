"""``hr-centra init``: the home of a new shop, with a policy of answers and questions, and a file of variables without secrets."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import typer

from hr_centra_pipeline.cli.example_files import example
from hr_centra_pipeline.cli.policy_draft import QUESTIONS, draft, problem
from hr_centra_pipeline.cli.table import echo
from hr_centra_pipeline.core import addresses, file_permissions
from hr_centra_pipeline.core.environment_file import VARIABLES, environment_file
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.setting_files import parsed_toml, read_setting_file

ENVIRONMENT_FILE = "hr-centra.env"


@dataclass(frozen=True)
class _Address:
    """A question whose answer goes into the file of variables."""

    name: str
    variable: str
    asked: str
    like: str


_ADDRESSES = (
    _Address("exports", "HAPPY_RETURNS_EXPORTS", "Where are the export files of Happy Returns? (Empty: only webhooks)", "sftp://user@host/exports"),
    _Address("centra-url", "CENTRA_GRAPHQL_URL", "What is the address of Centra's Integration API?", "https://shop.centra.com/graphql"),
    _Address("order-api-url", "CENTRA_ORDER_API_URL", "What is the address of Centra's Order API?", "https://shop.centra.com/api/order-api"),
)  # fmt: skip
NAMES = (*(one.name for one in _ADDRESSES), *(one.name for one in QUESTIONS))


def init(home: Path, *, answers_file: Path | None, given: Sequence[str], asks: bool) -> None:
    """Write what is not there yet; what is there stays as it is.

    Raises:
        ConfigurationError: an answer is none, or names no question; nothing was written.
    """
    home = home.expanduser().resolve()
    answers = {**_of_file(answers_file), **_of_options(given)}
    for name, answer in answers.items():
        if (why := _problem(name, answer)) is not None:
            raise ConfigurationError(f"{name}: {why}")
    if asks and sys.stdin.isatty():
        _ask(answers)
    file_permissions.keep()
    home.mkdir(parents=True, exist_ok=True)
    profiles = home / "profiles"
    _told(profiles, is_new=not profiles.exists(), what="your own header profiles")
    profiles.mkdir(exist_ok=True)
    values = {one.variable: answers[one.name] for one in _ADDRESSES if one.name in answers}
    values |= {"HR_CENTRA_HOME": str(home), "HR_CENTRA_MODE": "dry_run"}
    policy, environment = home / "policy.toml", home / ENVIRONMENT_FILE
    is_new = _write(policy, draft(answers), "what this shop has decided")
    _write(environment, environment_file(values), "addresses and secrets, mode 0600")
    _write(
        home / "people.example.toml",
        example("data/people.example.toml").read_text("utf-8"),
        "who may do what on the pages",
    )
    open_questions = [one for one in QUESTIONS if one.name not in answers] if is_new else []
    if open_questions:
        echo(f"\n{len(open_questions)} questions are open in {policy}; search it for TO ANSWER:")
        for one in open_questions:
            echo(f"  {'.'.join(one.place)}: {one.asked}")
    secrets = ", ".join(one.name for one in VARIABLES if one.name in ("CENTRA_TOKEN", "CENTRA_ORDER_API_KEY"))
    echo(f"\nNext: put the secrets ({secrets}) into {environment} with an editor, then")
    echo(f"  hr-centra --env-file {environment} doctor")


def _of_options(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for one in given:
        name, sign, answer = one.partition("=")
        if not sign:
            raise ConfigurationError(f"--answer {one}: write NAME=ANSWER; the names are {', '.join(NAMES)}.")
        found[name.strip()] = answer.strip()
    return found


def _of_file(file: Path | None) -> dict[str, str]:
    """Answers as TOML: ``name = "answer"``."""
    if file is None:
        return {}
    try:
        text = read_setting_file(file).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise ConfigurationError(f"--answers {file}: cannot be read ({why}). Give a TOML file of answers.") from None
    content = parsed_toml(text, str(file))
    for name, answer in content.items():
        if not isinstance(answer, str):
            raise ConfigurationError(f'--answers {file}: {name}: write the answer as a text, {name} = "…".')
    return content


def _problem(name: str, answer: str) -> str | None:
    for question in QUESTIONS:
        if question.name == name:
            return problem(question, answer)
    for one in _ADDRESSES:
        if one.name == name:
            return _problem_of_address(one, answer)
    if re.search(r"token|secret|key|password", name):
        return f"secrets are never an answer: they go into {ENVIRONMENT_FILE}, with an editor"
    return f"there is no such question; there are {', '.join(NAMES)}"


def _problem_of_address(one: _Address, answer: str) -> str | None:
    if "\n" in answer or '"' in answer:
        return f"write an address like {one.like}"
    if (why := addresses.problem(answer)) is not None:
        return why
    parts = urlsplit(answer)
    if parts.password:
        return "it holds a password: write it without, and put the password into the file with an editor"
    if one.name == "exports":
        return None
    if parts.scheme == "https" or (parts.scheme == "http" and addresses.is_loopback(parts.hostname or "")):
        return None
    return f"write an address like {one.like}: the token must not travel in the clear"


def _ask(answers: dict[str, str]) -> None:
    """Every question without an answer; an empty one leaves it open."""
    echo("An empty answer leaves a question open. Secrets are not asked.")
    asked: Mapping[str, tuple[str, str]] = {
        **{one.name: (one.asked, one.like) for one in _ADDRESSES},
        **{one.name: (one.asked, one.like) for one in QUESTIONS},
    }
    for name, (question, like) in asked.items():
        while name not in answers:
            answer = typer.prompt(f"\n{question}\n  (like {like})\n{name}", default="", show_default=False).strip()
            if not answer:
                break
            if (why := _problem(name, answer)) is None:
                answers[name] = answer
            else:
                echo(f"  {why}", err=True)


def _write(file: Path, text: str, what: str) -> bool:
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        _told(file, is_new=False, what=what)
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    _told(file, is_new=True, what=what)
    return True


def _told(path: Path, *, is_new: bool, what: str) -> None:
    echo(f"{'written' if is_new else 'exists '}  {path}  ({what}{'' if is_new else '; left as it is'})")
