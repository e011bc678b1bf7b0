"""Which shop a command works on: the one of the environment, of a file of variables, of the demo or of the training."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import typer

from hr_centra_pipeline.cli.table import echo
from hr_centra_pipeline.core.errors import ConfigurationError

PREFIXES = ("HR_CENTRA_", "HAPPY_RETURNS_", "CENTRA_")
"""What our variables begin with."""
_SECRET = ("TOKEN", "KEY", "SECRET", "PASSWORD", "SMTP_URL", "WEBHOOK")
_MOST_BYTES = 1 << 20
# They call the vendors: the sandbox is served meanwhile.
_CALL_VENDORS = frozenset({"sync", "backfill", "compare", "doctor", "rebuild-ledger", "rebind"})


def work_on(context: typer.Context, *, env_file: Path | None, demo: bool, training: bool) -> None:
    """Set the variables of this process before the command runs.

    Raises:
        ConfigurationError: more than one shop is named, the file is wrong, or there is no such shop yet.
    """
    if demo + training + (env_file is not None) > 1:
        raise ConfigurationError("Give one of --env-file, --demo and --training: each names a shop of its own.")
    if env_file is not None:
        _take_over(read_env_file(env_file), env_file)
        return
    name = "demo" if demo else "training"
    home = sandbox_home(name)
    if not (home / "sandbox" / "sandbox.json").exists():
        first = "hr-centra demo" if demo else "hr-centra train start"
        raise ConfigurationError(f"{home}: there is no {name} shop yet; run `{first}` first.")
    _work_on_sandbox(context, home)


def sandbox_home(name: str) -> Path:
    """Where the shop of the demo, or of the training, is: the same place from any folder, apart from a real shop's data.

    Below ``HR_CENTRA_HOME`` where that is set; else in the checkout's ``data``, or in the user's data folder for an
    installed package.
    """
    given = os.environ.get("HR_CENTRA_HOME")
    if given:
        home = Path(given).resolve()
        # A shell that has sourced the shop's own file names it already.
        return home if home.name == name and (home / "sandbox").is_dir() else home / name
    checkout = Path(__file__).parents[2]
    if (checkout / "pyproject.toml").is_file():
        return checkout / "data" / name
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "hr-centra" / name


def _work_on_sandbox(context: typer.Context, home: Path) -> None:
    # Imported here: an environment file needs nothing of it.
    from hr_centra_pipeline.cli import sandbox
    from hr_centra_pipeline.cli.demo import point_here

    if context.invoked_subcommand in _CALL_VENDORS:
        note: dict[str, Any] = context.with_resource(sandbox.served(home / "sandbox"))
    else:
        # What is read only needs no vendor: the addresses may be those of a sandbox that was stopped.
        note = json.loads((home / "sandbox" / "sandbox.json").read_text(encoding="utf-8"))
    point_here(home, note)


# ---------------------------------------------------------------- files of variables


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of a file: one ``KEY=VALUE`` a line, as systemd and Docker read it; values may be quoted.

    Raises:
        ConfigurationError: it cannot be read, or a line is none; the message names the line, never its content.
    """
    # Imported here: few commands are given a file.
    from dotenv.parser import parse_stream

    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ConfigurationError(f"--env-file {path}: larger than 1 MB; it is not a file of variables.")
        with path.open(encoding="utf-8-sig", newline=None) as text:
            lines = list(parse_stream(text))
    except UnicodeDecodeError:
        raise ConfigurationError(f"--env-file {path}: is not UTF-8 text.") from None
    except OSError as error:
        raise ConfigurationError(f"--env-file {path}: cannot be read ({error.strerror}).") from None
    found: dict[str, str] = {}
    for line in lines:
        number = line.original.line + len(line.original.string) - len(line.original.string.lstrip("\n"))
        if line.error or (line.key is not None and (line.value is None or not line.key.isidentifier())):
            raise ConfigurationError(
                f"--env-file {path}, line {number}: write KEY=VALUE; a value with # or quotes in quotes."
            )
        if line.key is None or line.value is None:
            continue  # a comment, or empty
        if line.key in found:
            raise ConfigurationError(f"--env-file {path}, line {number}: {line.key} is set a second time.")
        if "\n" in line.value or "\0" in line.value:
            raise ConfigurationError(
                f"--env-file {path}, line {number}: a quote that opens on this line does not close on it."
            )
        found[line.key] = line.value
    _warn_of_readers(path, found)
    return found


def _warn_of_readers(path: Path, found: dict[str, str]) -> None:
    has_secret = any(value and any(part in key for part in _SECRET) for key, value in found.items())
    if has_secret and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        echo(f"--env-file {path}: holds secrets and others may read it: chmod 600 {path}", err=True)


def _take_over(found: dict[str, str], path: Path) -> None:
    """Set what is not set. As with systemd-run, Docker and dotenv the environment wins, and each difference is said."""
    kept = [key for key, value in found.items() if os.environ.get(key, value) != value]
    for key, value in found.items():
        os.environ.setdefault(key, value)
    if kept:
        echo(f"Already set in the environment, so not taken from {path}: {', '.join(kept)}", err=True)
