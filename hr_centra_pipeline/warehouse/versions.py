"""Which migrations this program has, and which a database went through: they must be the same before anybody reads."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from pathlib import Path

import duckdb

from hr_centra_pipeline.core.errors import RunFailed

_PACKAGE = "hr_centra_pipeline.warehouse.migrations"


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """(number, SQL) of every migration that this program has, in order."""
    found = []
    for entry in resources.files(_PACKAGE).iterdir():
        if match := re.fullmatch(r"(\d{4})_\w+\.sql", entry.name):
            found.append((int(match[1]), entry.read_text(encoding="utf-8")))
    return tuple(sorted(found))


def applied(connection: duckdb.DuckDBPyConnection) -> set[int]:
    """Numbers of the migrations that a database went through; none for an empty file."""
    exists = connection.execute(
        "select 1 from information_schema.tables where table_schema = 'meta' and table_name = 'schema_versions'"
    ).fetchone()
    if not exists:
        return set()
    return {number for (number,) in connection.execute("select version from meta.schema_versions").fetchall()}


def refuse_others(connection: duckdb.DuckDBPyConnection, path: Path, *, may_be_older: bool) -> None:
    """Let a database of this program's version pass (or an empty one).

    Raises:
        RunFailed: a newer program made it; or an older one did, and the caller is not about to migrate it.
    """
    done, known = applied(connection), {number for number, _ in migrations()}
    if newer := done - known:
        raise RunFailed(
            f"{path} was made by a newer hr-centra (schema version {max(newer)}, this program knows {max(known)}): "
            "install that version again, or restore the backup that it made beside the file, in backups/."
        )
    if done and not may_be_older and (missing := known - done):
        raise RunFailed(
            f"{path} was made by an older hr-centra (schema versions {', '.join(map(str, sorted(missing)))} are missing): "
            "run `hr-centra sync` first, which makes a backup and brings it up to date."
        )
