"""``hr-centra doctor``: every finding with its fix, and an exit code."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hr_centra_pipeline.cli.screen import width
from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.kinds import OWNERS
from hr_centra_pipeline.core.policy import Policy, load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.oversight import delivery, doctor
from hr_centra_pipeline.oversight.findings import Finding, exit_code, guarded

_SIGNS = {"ok": ("✓", "green"), "note": ("·", "blue"), "warning": ("!", "yellow"), "error": ("✗", "red")}


def run_doctor(*, is_offline: bool, as_json: bool, every_setting: bool, test_alert: bool) -> int:
    """Look, print, answer the exit code."""
    findings = list(doctor.examine(os.environ, is_offline=is_offline))
    settings = (
        None
        if any(one.section == "settings" and "HR_CENTRA_MODE" in one.told for one in findings)
        else Settings.from_environment()
    )
    if settings is not None:
        findings += guarded("Dagster", lambda: _dagster(settings))
        if test_alert:
            findings += guarded("alerts", lambda: _test_alert(settings))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        _print(findings)
        if every_setting:
            _print_settings()
    return exit_code(findings)


def _dagster(settings: Settings) -> Any:
    # Imported here: Dagster takes seconds.
    from hr_centra_pipeline.orchestration import doctor as dagster_doctor

    return dagster_doctor.findings(settings)


def _test_alert(settings: Settings) -> Any:
    policy = load_policy(settings.policy_path).policy
    for team in OWNERS:
        for way in delivery.channels(settings, policy, team):
            text = f"hr-centra doctor tries the way to {team.replace('_', ' ')}; nothing is wrong ({clock.now():%H:%M} UTC)."
            yield from guarded("alerts", lambda way=way, text=text: _sent(way, text))  # type: ignore[misc]


def _sent(way: delivery.Channel, text: str) -> Any:
    way.send("Test alert", text)
    yield Finding("alerts", "ok", f"test alert delivered to {way.name}")


def _print(findings: list[Finding]) -> None:
    console = Console(width=min(width(), 118))
    section = ""
    for finding in findings:
        if finding.section != section:
            section = finding.section
            console.print(f"\n[bold]{section}[/]")
        sign, color = _SIGNS[finding.level]
        line = Text.assemble((f"  {sign} ", f"bold {color}"), finding.told)
        console.print(line, soft_wrap=False)
        if finding.fix:
            console.print(Text.assemble(("      → ", color), finding.fix))
    counts = {level: sum(one.level == level for one in findings) for level in ("error", "warning")}
    if counts["error"]:
        console.print(
            f"\n[bold red]{counts['error']} to mend[/]"
            + (f", {counts['warning']} warnings" if counts["warning"] else "")
        )
    elif counts["warning"]:
        console.print(f"\n[bold yellow]Nothing stands in the way of a sync; {counts['warning']} warnings[/]")
    else:
        console.print("\n[bold green]All is well[/]")


def _print_settings() -> None:
    settings = Settings.from_environment()
    policy: Policy | None = None
    given: Mapping[str, Any] = {}
    try:
        policy = load_policy(settings.policy_path).policy
        given = tomllib.loads(settings.policy_path.read_text(encoding="utf-8"))
    except ConfigurationError:
        pass
    table = Table(title="Settings", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in ("setting", "value", "from"):
        table.add_column(column, overflow="fold")
    for setting in doctor.settings_table(os.environ, policy, given):
        table.add_row(setting.name, setting.value, setting.source, style="dim" if setting.source == "default" else "")
    Console(width=min(width(), 118)).print("", table)
