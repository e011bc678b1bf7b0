"""``hr-centra demo``: a believable shop, synced until nothing is pending."""

from __future__ import annotations

import itertools
import logging
import os
import re
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path

from hr_centra_pipeline.cli import demo_events, sandbox
from hr_centra_pipeline.cli.example_files import example
from hr_centra_pipeline.cli.progress_bar import progress
from hr_centra_pipeline.cli.screen import Left, left_to_send, sent_so_far, show_footer, show_result
from hr_centra_pipeline.cli.sync import run_sync
from hr_centra_pipeline.cli.table import echo
from hr_centra_pipeline.cli.where import PREFIXES, sandbox_home
from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.warehouse import lock, migrate
from hr_centra_pipeline.warehouse.database import Warehouse

HOURS = 48
_MOST_SYNCS = 5
_WAIT = r"(?m)^# amount_wait_hours = 24 "
_OURS = ("HR_CENTRA_HOME", "HR_CENTRA_MODE", "DAGSTER_HOME")


def demo_home() -> Path:
    """Where the demo's shop is."""
    return sandbox_home("demo")


def opened_home() -> Path:
    """The demo's home; one that this version can not go on with is moved aside, and the terminal says so.

    Raises:
        RunFailed: its sandbox is being served by an older program.
    """
    home = demo_home()
    begun = any((home / name).exists() for name in ("warehouse.duckdb", "sandbox/centra.sqlite"))
    # A database without its sandbox is about a Centra that is gone.
    if not begun or sandbox.is_usable(home / "sandbox"):
        return home
    if sandbox.running(home / "sandbox") is not None:
        raise RunFailed(
            f"{home / 'sandbox'} is still served by another version: stop it (`make dev`), then run this again."
        )
    aside = next(
        place for number in itertools.count(1) if not (place := home.with_name(f"{home.name}.{number}")).exists()
    )
    home.rename(aside)
    echo(f"{home} was made by another version: it is kept as {aside.name}, and a new shop is opened.", err=True)
    return home


def point_here(home: Path, note: dict[str, str]) -> Settings:
    """Point this process to the demo's home and sandbox, in live mode: nothing but the sandbox can be reached."""
    for variable in [name for name in os.environ if name.startswith(PREFIXES)]:
        del os.environ[variable]  # a real shop's inbox, channels for alerts, secrets
    os.environ.update(sandbox.environment(note))
    os.environ["HR_CENTRA_HOME"] = str(home)
    os.environ["HR_CENTRA_MODE"] = "live"
    os.environ["DAGSTER_HOME"] = str(home / "dagster")
    policy = home / "policy.toml"
    if not policy.exists():
        home.mkdir(parents=True, exist_ok=True)
        policy.write_text(_policy(), encoding="utf-8")
    return Settings.from_environment()


def write_env(home: Path, note: dict[str, str]) -> Path:
    """The file that a shell sources to run commands on the demo's shop: what ``point_here`` set, for its owner only."""
    path = home / "env"
    lines = [f"export {name}={shlex.quote(os.environ[name])}\n" for name in (*sandbox.environment(note), *_OURS)]
    lines.append("unset HR_CENTRA_DATABASE HR_CENTRA_POLICY HR_CENTRA_INBOX\n")
    # In their own shell the command is found although nobody activated the environment that it is installed in.
    lines.append(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"\n')
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as text:
        text.writelines(lines)
    return path


def _from_here(path: Path) -> str:
    """As one types it in the folder that one is in."""
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def _policy() -> str:
    """The example, except that a refund does not wait for Happy Returns' row of it: that comes hours after the webhook."""
    text = example("data/policy.example.toml").read_text(encoding="utf-8")
    for pattern, setting in ((r"(?m)^# \[components\]$", "[components]"), (_WAIT, "amount_wait_hours = 0 ")):
        text, _ = re.subn(pattern, setting, text)
    return text


def _log_to(path: Path) -> None:
    """Warnings about planted problems, which would be printed above the screen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger("hr_centra_pipeline").addHandler(handler)


def _told(left: Left) -> str:
    told = []
    if left.for_their_time:
        told.append(f"{left.for_their_time} until they are due")
    if left.for_something_else:
        told.append(f"{left.for_something_else} for a person, stock or another reason that `hr-centra plan` names")
    count = left.for_their_time + left.for_something_else
    return f"{count} effects are waiting: {', '.join(told)}.\n" if told else ""


def run_demo() -> None:
    """Sync the shop's past, let two days pass, sync again, and follow one return by events; a later run only looks whether
    anything is pending.
    """
    home = opened_home()
    _log_to(home / "demo.log")
    is_new = not (home / "warehouse.duckdb").exists()
    with ExitStack() as stack:
        with progress("Opening the shop: 45 days of orders and returns …") as status:
            note = stack.enter_context(sandbox.served(home / "sandbox"))
            settings = point_here(home, note)
            env = write_env(home, note)
            if not is_new:  # it may be a home of an older program
                with lock.held(settings.lock_path, "hr-centra demo"):
                    migrate.prepare(Warehouse(settings.database))
            before = sent_so_far(settings)
            if is_new:
                status.update("First sync: everything that happened until now …")
                run_sync()
                status.update("Second sync: what follows from what was just sent …")
                run_sync()
                status.update(f"{HOURS} hours pass: goods travel, people act, new export files appear …")
                sandbox.let_pass(note, HOURS)
            for number in range(1, _MOST_SYNCS + 1):
                status.update(f"Sync {number}: what is new, and what Centra shows since the last one …")
                known = sent_so_far(settings)
                run_sync()
                if sent_so_far(settings) == known:
                    break
        left = left_to_send(settings)
        news = sent_so_far(settings) != before
        show_result(settings, before=before)
        if not demo_events.was_shown(settings):
            with progress("One more return is scanned, and its webhook received …"):
                steps = demo_events.one_return(settings, note)
            demo_events.show(steps)
            echo("")
    footer = "" if news else "Nothing was due, and nothing was sent.\n"
    footer += _told(left)
    footer += "The Dagster UI on this shop: make dev, then http://127.0.0.1:3000\n"
    footer += "The pages for the teams on this shop: hr-centra pages --demo\n"
    footer += f"Commands on this shop: hr-centra exceptions --demo, explain RETURN --demo, plan --demo; or . {_from_here(env)}\n"
    footer += f"The problems in this shop are planted; they are listed in {home / 'sandbox' / 'truth.jsonl'}\n"
    footer += f"What was refused and why: {home / 'demo.log'}"
    show_footer(settings, footer)
