"""One list of variables: what settings read, what the README explains, what the example for systemd has."""

from __future__ import annotations

import re
from pathlib import Path

from hr_centra_pipeline.core.environment_file import VARIABLES, example
from hr_centra_pipeline.core.kinds import OWNERS
from hr_centra_pipeline.core.settings import Settings

ROOT = Path(__file__).parents[2]
NAMES = {one.name for one in VARIABLES}


def test_the_example_for_systemd_is_the_list_of_variables() -> None:
    """Write it with: python -m hr_centra_pipeline.core.environment_file > deploy/hr-centra.env.example"""
    assert (ROOT / "deploy" / "hr-centra.env.example").read_text(encoding="utf-8") == example()


def test_every_variable_that_settings_read_is_in_the_list() -> None:
    source = (ROOT / "hr_centra_pipeline" / "core" / "settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r'"((?:HR_CENTRA|HAPPY_RETURNS|CENTRA)_[A-Z_]*[A-Z])"', source))
    assert "HR_CENTRA_PAYOUTS" in read
    assert read - NAMES == set()


def test_the_readme_s_table_has_each_variable_and_no_other() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("### Environment")[2].partition("\n\nSecrets come")[0]
    named: set[str] = set()
    for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        first = ""
        for name in re.findall(r"`([^`]+)`", row):
            if name.startswith("…"):
                named.add(first + name[1:])
            elif name.startswith("_"):
                named.add(first[: first.index("_HOST")] + name)
            else:
                first = name
                named.add(name)
    assert named - {"HR_CENTRA_NOW"} == NAMES


def test_what_is_empty_in_the_file_is_not_set() -> None:
    settings = Settings.from_environment({one.name: "" for one in VARIABLES if one.is_secret})
    assert not settings.has_events
    assert settings.alert_webhooks == {}
    assert {f"HR_CENTRA_ALERT_WEBHOOK_{team.upper()}" for team in OWNERS} <= NAMES
