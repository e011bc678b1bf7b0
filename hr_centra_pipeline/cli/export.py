"""``hr-centra export``: a month's reconciliation tables as CSV."""

from __future__ import annotations

import re

import typer

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.publishing.exports import export_month
from hr_centra_pipeline.warehouse import lock
from hr_centra_pipeline.warehouse.database import Warehouse


def export_month_now(month: str) -> None:
    """Write the files and name them.

    Raises:
        ConfigurationError: the month is misspelt, or there is no database yet.
        RunFailed: a sync is under way and did not end within 30 seconds.
    """
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month):
        raise ConfigurationError(f"--month {month}: write year and month like 2026-09.")
    settings = Settings.from_environment()
    if not settings.database.exists():
        raise ConfigurationError(f"{settings.database}: there is no database yet; run `hr-centra sync` first.")
    with lock.held(settings.lock_path, f"hr-centra export --month {month}", wait_seconds=30):
        files = export_month(Warehouse(settings.database), settings, month)
    for file in files:
        typer.echo(str(file))
