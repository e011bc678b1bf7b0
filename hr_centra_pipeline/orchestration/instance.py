"""Dagster's own instance: its ``dagster.yaml`` for one machine, written where ``DAGSTER_HOME`` points."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from hr_centra_pipeline.core import file_permissions
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.settings import Settings

_PACKAGE = "hr_centra_pipeline.orchestration"
WORKSPACE = Path(__file__).with_name("workspace.yaml")
"""The workspace that a UI of this machine serves: our code location, by the name that runs of the command line have."""


def prepare_dagster_home(settings: Settings) -> Path:
    """Make ``DAGSTER_HOME`` absolute (default ``$HR_CENTRA_HOME/dagster``) and give it a ``dagster.yaml`` if it has none.

    A ``dagster.yaml`` that is there already (see ``dagster.postgres.yaml`` beside this module) is left alone.

    Raises:
        ConfigurationError: the path has a percent sign, which Dagster's SQLite storage takes for something else.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or settings.home / "dagster").resolve()
    if "%" in str(home):
        raise ConfigurationError(
            f"DAGSTER_HOME={home}: Dagster cannot keep its database in a path with a percent sign. Set DAGSTER_HOME to another"
            " folder, or move HR_CENTRA_HOME."
        )
    home.mkdir(parents=True, exist_ok=True)
    file_permissions.close_to_others(home)  # runs and their logs
    os.environ["DAGSTER_HOME"] = str(home)
    file = home / "dagster.yaml"
    if not file.exists():
        file.write_text(resources.files(_PACKAGE).joinpath("dagster.sqlite.yaml").read_text("utf-8"), encoding="utf-8")
    return home
