"""State tables by numbered migrations, derived tables by their declarations."""

from __future__ import annotations

import duckdb

from hr_centra_pipeline.core import keys, kinds, money
from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.warehouse import backups, place, versions, watermarks
from hr_centra_pipeline.warehouse.database import Connection, Warehouse, sql_text
from hr_centra_pipeline.warehouse.tables import DERIVED
from hr_centra_pipeline.warehouse.tables.month_end_tables import CLOSES, PUBLISHED_AS

_SCHEMAS = ("staging", "matching", "effects", "reconciliation", "month_end", "policy", "operations")


def prepare(warehouse: Warehouse) -> None:
    """Bring a database to this program's version, then create the derived tables that do not exist.

    Each missing migration runs in one transaction, after a backup of the file beside it (``backups/``); its number need
    not be the highest, since branches number theirs in ranges. Derived tables are computed again after one. Hold the sync lock.

    Raises:
        RunFailed: the database was made by a newer program, or a migration cannot be done; then nothing was changed by it.
    """
    known = dict(versions.migrations())
    warehouse.migrates = True
    with warehouse.transaction() as connection:
        versions.refuse_others(connection, warehouse.path, may_be_older=True)
        done = versions.applied(connection)
    for number in sorted(set(known) - done):
        backup = backups.make(warehouse, number) if done else None
        try:
            with warehouse.transaction() as connection:
                _migrate(connection, number, known[number])
        except duckdb.Error as error:
            kept = f" The file as it was before: {backup}." if backup else ""
            raise RunFailed(
                f"{warehouse.path}: migration {number:04} failed and was rolled back: {str(error).splitlines()[0]}{kept}"
            ) from error
    with warehouse.transaction() as connection:
        ensure_derived(connection)
        mark = place.arrive(connection, warehouse.path) if place.TABLES_SINCE in known else None
    if mark:  # after the commit: a mark that is behind its database says nothing, one that is ahead of it does
        place.write_mark(warehouse.path, mark)


def _migrate(connection: Connection, number: int, sql: str) -> None:
    connection.execute("create schema if not exists meta")
    connection.execute(
        "create table if not exists meta.schema_versions (version integer not null, applied_at timestamptz)"
    )
    connection.execute(sql)
    connection.execute("insert into meta.schema_versions (version, applied_at) values (?, current_timestamp)", [number])
    connection.execute("delete from meta.derived_from")  # whatever derived tables were made with: they are stale now


def schema_version(connection: Connection) -> int:
    """The highest number of the migrations that were applied; 0 for an empty file."""
    return max(versions.applied(connection), default=0)


def ensure_derived(connection: Connection) -> None:
    """Create our SQL macros, and the derived tables that do not exist, with the views by which readers know some of them."""
    connection.execute(keys.SQL_MACROS)
    connection.execute(money.SQL_MACROS)
    connection.execute(kinds.SQL_MACROS)
    connection.execute(sql_text("hr_centra_pipeline.core", "facts.sql"))
    for schema in _SCHEMAS:
        connection.execute(f"create schema if not exists {schema}")
    rows = connection.execute(
        "select schema_name || '.' || table_name from duckdb_tables()"
        " union all select schema_name || '.' || view_name from duckdb_views() where not internal"
    ).fetchall()
    present = {name for (name,) in rows}
    for name, declared in DERIVED.items():
        if name not in present:  # to plan every one of them at every start would cost more
            connection.execute(declared.ddl)
    if CLOSES in present:
        for name, public in PUBLISHED_AS.items():
            if public not in present or name not in present:  # a view knows the columns that its table had
                connection.execute(f"create or replace view {public} as from {name}")


def drop_derived(connection: Connection) -> None:
    """Drop what can be recomputed (and the watermarks of its readers), then create it empty."""
    for name in DERIVED:
        connection.execute(f"drop table if exists {name}")
    watermarks.forget_all(connection)
    connection.execute("delete from meta.derived_from")
    ensure_derived(connection)
