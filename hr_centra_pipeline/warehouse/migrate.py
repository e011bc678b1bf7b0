"""State tables by numbered migrations, derived tables by their declarations."""

from __future__ import annotations

import re
from importlib import resources

from hr_centra_pipeline.core import keys, money
from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.tables import DERIVED

_PACKAGE = "hr_centra_pipeline.warehouse.migrations"
_SCHEMAS = ("staging", "matching", "effects", "reconciliation", "policy")


def migrations() -> list[tuple[int, str]]:
    """(number, SQL) of every migration that this program has, in order."""
    found = []
    for entry in resources.files(_PACKAGE).iterdir():
        if match := re.fullmatch(r"(\d{4})_\w+\.sql", entry.name):
            found.append((int(match[1]), entry.read_text(encoding="utf-8")))
    return sorted(found)


def prepare(warehouse: Warehouse) -> None:
    """Bring a database to this program's version: each missing migration in one transaction, then derived tables.

    Raises:
        RunFailed: the database was made by a newer program.
    """
    known = migrations()
    newest = known[-1][0]
    with warehouse.transaction() as connection:
        version = schema_version(connection)
        if version > newest:
            raise RunFailed(
                f"{warehouse.path} has schema version {version}, this program knows {newest}: install a newer one."
            )
        applied = {row[0] for row in connection.execute("select version from meta.schema_versions").fetchall()}
        for number, sql in known:
            if number not in applied:  # numbers are given out in ranges: a lower one may come later
                connection.execute(sql)
                connection.execute("insert into meta.schema_versions values (?, current_timestamp)", [number])
        ensure_derived(connection)


def schema_version(connection: Connection) -> int:
    """Number of the last migration that was applied; 0 for an empty file."""
    connection.execute("create schema if not exists meta")
    connection.execute(
        "create table if not exists meta.schema_versions (version integer not null, applied_at timestamptz)"
    )
    row = connection.execute("select coalesce(max(version), 0) from meta.schema_versions").fetchone()
    return int(row[0]) if row else 0


def ensure_derived(connection: Connection) -> None:
    """Create our SQL macros, and the derived tables that do not exist."""
    connection.execute(keys.SQL_MACROS)
    connection.execute(money.SQL_MACROS)
    for schema in _SCHEMAS:
        connection.execute(f"create schema if not exists {schema}")
    for declared in DERIVED.values():
        connection.execute(declared.ddl)


def drop_derived(connection: Connection) -> None:
    """Drop what can be recomputed (and the watermarks of its readers), then create it empty."""
    for name in DERIVED:
        connection.execute(f"drop table if exists {name}")
    connection.execute("delete from meta.watermarks")
    connection.execute("delete from meta.derived_from")
    ensure_derived(connection)
