"""What ``doctor`` finds: one line each, with its fix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.sources.centra.centra_contract import Row

Level = Literal["ok", "note", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """``fix``: what to do about it, in a sentence. ``is_configuration``: somebody has to change a setting (exit code 2).

    ``row``: of the contract with Centra, which is shown as a table.
    """

    section: str
    level: Level
    told: str
    fix: str = ""
    is_configuration: bool = False
    row: Row | None = None


def exit_code(findings: Iterable[Finding]) -> int:
    """0 without an error; 2 when a setting is wrong, 1 for any other error."""
    errors = [finding for finding in findings if finding.level == "error"]
    if not errors:
        return 0
    return 2 if any(finding.is_configuration for finding in errors) else 1


def guarded(section: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of one look; what stops it is a finding itself, so that the other looks go on."""
    try:
        yield from look()
    except ConfigurationError as error:
        yield from mistakes(section, error, _CORRECT)
    except RunFailed as error:
        yield Finding(section, "error", str(error), "Do what the line says, then run hr-centra doctor again.")


_CORRECT = "Correct the setting that the line names, then run hr-centra doctor again."


def mistakes(section: str, error: ConfigurationError, fix: str) -> Iterator[Finding]:
    """A line for each mistake of a configuration; what to do is said once, after the last."""
    lines = str(error).splitlines()
    for line in lines:
        yield Finding(section, "error", line, fix if line is lines[-1] else "", is_configuration=True)
