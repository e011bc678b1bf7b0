"""``hr-centra doctor``: every finding with its fix, and an exit code."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.text import Text

from hr_centra_pipeline.cli import trouble_commands
from hr_centra_pipeline.cli.screen import width
from hr_centra_pipeline.cli.table import DataConsole, DataTable, echo
from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.core.kinds import OWNERS
from hr_centra_pipeline.core.policy import Policy, load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.oversight import contract, delivery, doctor, going_live
from hr_centra_pipeline.oversight.findings import Finding, exit_code, guarded
from hr_centra_pipeline.sources.centra.client import CentraClient

_SIGNS = {"ok": ("✓", "green"), "note": ("·", "blue"), "warning": ("!", "yellow"), "error": ("✗", "red")}


def run_doctor(
    *,
    is_offline: bool,
    as_json: bool,
    every_setting: bool,
    whole_contract: bool,
    test_alert: bool,
    schema: Path | None = None,
    write_schema: Path | None = None,
) -> int:
    """Look, print, answer the exit code."""
    findings = list(doctor.examine(os.environ, is_offline=is_offline, saved_schema=schema))
    settings = (
        None
        if any(one.section == "settings" and "HR_CENTRA_MODE" in one.told for one in findings)
        else Settings.from_environment()
    )
    if settings is not None:
        findings += guarded("Dagster", lambda: _dagster(settings))
        if test_alert:
            findings += guarded("alerts", lambda: _test_alert(settings))
        if write_schema is not None:
            findings += guarded(contract.SECTION, lambda: _written(settings, write_schema))
        findings += list(going_live.findings(settings, findings, is_offline=is_offline))
    if as_json:
        echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        _print(findings)
        if whole_contract:
            _print_contract(findings)
        if every_setting:
            _print_settings()
    return exit_code(findings)


def _written(settings: Settings, file: Path) -> Iterator[Finding]:
    settings.required("centra_graphql_url", "centra_token")
    types = contract.save_schema(CentraClient(settings.centra_graphql_url, settings.centra_token), file)
    yield Finding(contract.SECTION, "ok", f"{types} types of this Centra's schema written to {file}")


def _dagster(settings: Settings) -> Any:
    # Imported here: Dagster takes seconds.
    from hr_centra_pipeline.orchestration import instance_doctor as dagster_doctor

    try:
        yield from dagster_doctor.findings(settings)
    except (ConfigurationError, RunFailed):
        raise
    except Exception as error:
        if (line := trouble_commands.told(error)) is None:
            raise
        yield Finding("Dagster", "error", line, "Do what the line says, then run hr-centra doctor again.")


def _test_alert(settings: Settings) -> Any:
    policy = load_policy(settings.policy_path).policy
    for team in OWNERS:
        for way in delivery.channels(settings, policy, team):
            text = f"hr-centra doctor tests the channel to {team.replace('_', ' ')}; nothing is wrong ({clock.now():%H:%M} UTC)."
            yield from guarded("alerts", lambda way=way, text=text: _sent(way, text))  # type: ignore[misc]


def _sent(way: delivery.Channel, text: str) -> Any:
    way.send("Test alert", text)
    yield Finding("alerts", "ok", f"test alert delivered to {way.name}")


def _print(findings: list[Finding]) -> None:
    console = DataConsole(width=min(width(), 118))
    for section in dict.fromkeys(finding.section for finding in findings):
        console.print(Text(f"\n{section}", "bold"))
        of_section = [finding for finding in findings if finding.section == section]
        if differences := [finding for finding in of_section if _is_difference(finding)]:
            console.print(_differences(differences))
        for finding in of_section:
            if _is_line(finding):
                _print_line(console, finding)
    counts = {level: sum(one.level == level for one in findings) for level in ("error", "warning")}
    if counts["error"]:
        console.print(
            Text.assemble(
                (f"\n{counts['error']} to fix", "bold red"),
                f", {counts['warning']} warnings" if counts["warning"] else "",
            )
        )
    elif counts["warning"]:
        console.print(Text(f"\nReady to sync; {counts['warning']} warnings", "bold yellow"))
    else:
        console.print(Text("\nEverything is in order", "bold green"))


def _print_line(console: Console, finding: Finding) -> None:
    sign, color = _SIGNS[finding.level]
    console.print(Text.assemble((f"  {sign} ", f"bold {color}"), finding.told), soft_wrap=False)
    if finding.fix:
        console.print(Text.assemble(("      → ", color), finding.fix))


def _is_line(finding: Finding) -> bool:
    """Of the contract only what was seen of Centra's behaviour: the rest is counted, and shown whole on demand."""
    row = finding.row
    return row is None or row.kind == "schema" or (row.kind == "behaviour" and row.verdict == "as_assumed")


def _is_difference(finding: Finding) -> bool:
    return finding.row is not None and finding.row.verdict == "differs"


def _differences(findings: list[Finding]) -> DataTable:
    """What differs in this Centra."""
    table = DataTable(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
    for column, ratio in (("", 1), ("differs", 14), ("expected", 7), ("this Centra has", 10), ("what to do", 18)):
        table.add_column(column, overflow="fold", ratio=ratio)
    for finding in findings:
        assert finding.row is not None  # noqa: S101 - sorted out before
        sign, color = _SIGNS[finding.level]
        row = finding.row
        needed_by = f"\n{', '.join(row.operations)}" if row.operations else ""
        table.add_row(
            Text(sign, f"bold {color}"), Text.assemble(row.coordinate, (needed_by, "dim")), row.expected,
            row.found, row.remedy,
        )  # fmt: skip
    return table


def _print_contract(findings: list[Finding]) -> None:
    table = DataTable(
        title="All that hr-centra relies on",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for column in ("", "what", "known from", "expected", "this Centra"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        if (row := finding.row) is not None:
            sign, color = _SIGNS[finding.level]
            found = "cannot be seen" if row.verdict == "cannot_be_seen" else row.found
            table.add_row(Text(sign, f"bold {color}"), row.coordinate, row.basis, row.expected, found)
    DataConsole(width=min(width(), 118)).print("", table)


def _print_settings() -> None:
    settings = Settings.from_environment()
    policy: Policy | None = None
    given: Mapping[str, Any] = {}
    try:
        policy = load_policy(settings.policy_path).policy
        given = tomllib.loads(settings.policy_path.read_text(encoding="utf-8-sig"))
    except ConfigurationError:
        pass
    table = DataTable(title="Settings", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in ("setting", "value", "from"):
        table.add_column(column, overflow="fold")
    for setting in doctor.settings_table(os.environ, policy, given):
        table.add_row(setting.name, setting.value, setting.source, style="dim" if setting.source == "default" else "")
    DataConsole(width=min(width(), 118)).print("", table)
