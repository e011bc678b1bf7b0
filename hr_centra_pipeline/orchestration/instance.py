"""Dagster's own instance: its ``dagster.yaml`` for one machine, written where ``DAGSTER_HOME`` points."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

import yaml

from hr_centra_pipeline.core import file_permissions
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.settings import Settings

_PACKAGE = "hr_centra_pipeline.orchestration"
WORKSPACE = Path(__file__).with_name("workspace.yaml")
"""The workspace that a UI of this machine serves: our code location, by the name that runs of the command line have."""


def dagster_home(settings: Settings) -> Path:
    """Where Dagster's instance is (default ``$HR_CENTRA_HOME/dagster``), whether or not it is there yet.

    Raises:
        ConfigurationError: the path has a percent sign, which Dagster's SQLite storage takes for something else.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or settings.home / "dagster").resolve()
    if "%" in str(home):
        raise ConfigurationError(
            f"DAGSTER_HOME={home}: Dagster cannot keep its database in a path with a percent sign. Set DAGSTER_HOME to another"
            " folder, or move HR_CENTRA_HOME."
        )
    return home


def prepare_dagster_home(settings: Settings) -> Path:
    """Make ``DAGSTER_HOME`` absolute and give it a ``dagster.yaml`` if it has none.

    A ``dagster.yaml`` that is there already (see ``dagster.postgres.yaml`` beside this module) is left alone.

    Raises:
        ConfigurationError: as :func:`dagster_home`.
    """
    home = dagster_home(settings)
    home.mkdir(parents=True, exist_ok=True)
    file_permissions.close_to_others(home)  # runs and their logs
    os.environ["DAGSTER_HOME"] = str(home)
    file = home / "dagster.yaml"
    if not file.exists():
        file.write_text(resources.files(_PACKAGE).joinpath("dagster.sqlite.yaml").read_text("utf-8"), encoding="utf-8")
    return home


def has_no_records(file: Path) -> bool:
    """Whether the storage that ``dagster.yaml`` names has none of Dagster's tables yet: opening the instance would make them.

    Raises:
        ConfigurationError: Postgres cannot be reached, or refuses the login.
    """
    storage = (yaml.safe_load(file.read_text("utf-8")) or {}).get("storage") or {}
    given = (storage.get("postgres") or {}).get("postgres_db")
    if "sqlite" in storage:
        return not (file.parent / "history" / "runs.db").exists()
    if not given:
        return False
    import psycopg2  # only where Postgres is used

    def value(name: str) -> str:
        told = given.get(name, "")
        return os.environ.get(told["env"], "") if isinstance(told, dict) else str(told)

    try:
        connection = psycopg2.connect(
            host=value("hostname"), port=value("port") or "5432", dbname=value("db_name"), user=value("username"),
            password=value("password"), connect_timeout=10,
        )  # fmt: skip
    except psycopg2.OperationalError as error:
        raise ConfigurationError(
            f"{file}: Postgres: {str(error).strip().splitlines()[0]}. Correct the five DAGSTER_PG_ variables, or start Postgres."
        ) from None
    try:
        with connection.cursor() as cursor:
            cursor.execute("select to_regclass('runs') is null")
            row = cursor.fetchone()
    finally:
        connection.close()
    return bool(row and row[0])
