"""Rows in, rows out on one SQL model: an in-memory database with the tables that it reads, as its lineage lists them.

Tables that stay are made from their declarations; temporary ones by the models that make them, run on nothing. Each is made
once per process and model; a test puts its rows into them inside a transaction that is rolled back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import duckdb

from hr_centra_pipeline.core import keys, kinds, money
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.warehouse import models
from hr_centra_pipeline.warehouse.database import CONFIG, Connection, run_sql, sql_text
from hr_centra_pipeline.warehouse.models import Model
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline.warehouse.tables import DERIVED
from hr_centra_pipeline_tests import staged
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY

NOW = datetime(2026, 9, 20, 12, tzinfo=UTC)
EARLIER = datetime(2026, 9, 10, 12, tzinfo=UTC)
PARAMETERS: dict[str, Any] = {
    "now": NOW, "since": 0, "run": 1,
    "started_hours": 72, "again_hours": 24, "most_look_ups": 6, "look_back_days": 60, "oldest": NOW - timedelta(days=120),
    "window_from": None, "window_to": None,
    "sync_every_minutes": 60, "exports_every_hours": 36, "accepted_days": [],
}  # fmt: skip


class Rows:
    """The tables of one model, or of several that are run one after the other."""

    def __init__(self, connection: Connection, files: tuple[str, ...]) -> None:
        self.connection = connection
        self._files = files

    def put(self, table: str, **given: Any) -> None:
        """One row. What is not said has a plain value where the table needs one, else none."""
        if table in DERIVED:
            staged.put(self.connection, table, **given)
            return
        columns = [row[0] for row in self.connection.execute(f"select column_name from (describe {table})").fetchall()]
        assert not set(given) - set(columns), f"{table} has no column {', '.join(set(given) - set(columns))}"
        marks = ", ".join("?" * len(given))
        self.connection.execute(f"insert into {table} ({', '.join(given)}) values ({marks})", list(given.values()))

    def active(self, *orders: str) -> None:
        """The orders that are looked at."""
        for order in orders:
            self.put("matching.orders_in_play", order_number=order)

    def set(self, **parameters: Any) -> None:
        """Plain settings of the policy."""
        for name, value in parameters.items():
            self.connection.execute(f"update policy.parameters set {name} = ?", [value])

    def run(self, **parameters: Any) -> None:
        """Run the models."""
        for file in self._files:
            model = models.models()[file]
            run_sql(self.connection, model.package, file.rsplit("/", 1)[-1], {**PARAMETERS, **parameters})

    def all(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self.connection.execute(query).fetchall()


@contextmanager
def rows_of(*files: str) -> Iterator[Rows]:
    """The empty tables of these models (``effects/units.sql``), which run in this order."""
    connection = _tables_of(files)
    connection.execute("begin")
    try:
        yield Rows(connection, files)
    finally:
        connection.execute("rollback")


@cache
def _tables_of(files: tuple[str, ...]) -> Connection:
    connection = duckdb.connect(config={**CONFIG})
    connection.execute("set timezone = 'UTC'")
    for macros in (
        keys.SQL_MACROS, money.SQL_MACROS, kinds.SQL_MACROS, sql_text("hr_centra_pipeline.core", "facts.sql"),
    ):  # fmt: skip
        connection.execute(macros)
    made: set[str] = set()
    _make_table(connection, "staging.orders", made)  # a macro of the policy reads it
    write_policy(connection, load_policy(EXAMPLE_POLICY).policy, "live")
    for file in files:
        _make_what_it_reads(connection, models.models()[file], made)
        _run_on_nothing(connection, models.models()[file], made)
    return connection


def _make_what_it_reads(connection: Connection, model: Model, made: set[str]) -> None:
    for name in (*model.reads, *model.writes):
        if name in made or name.startswith("policy.") or _is_macro(name):
            continue
        if "." in name:
            _make_table(connection, name, made)
        else:
            _run_on_nothing(connection, models.models()[models.makers()[name]], made)


def _is_macro(name: str) -> bool:
    """A macro that is there since the database was opened."""
    maker = models.models().get(models.makers().get(name, ""))
    return maker is not None and maker.kind == "macro"


def _run_on_nothing(connection: Connection, model: Model, made: set[str]) -> None:
    if model.file in made:
        return
    made.add(model.file)
    _make_what_it_reads(connection, model, made)
    run_sql(connection, model.package, model.file.rsplit("/", 1)[-1], PARAMETERS)


def _make_table(connection: Connection, name: str, made: set[str]) -> None:
    if name in made:
        return
    made.add(name)
    connection.execute(f"create schema if not exists {name.split('.')[0]}")
    if name in DERIVED:
        connection.execute(DERIVED[name].ddl)
        return
    columns = ", ".join(f'"{column}" {kind}' for column, kind in _state_tables()[name])
    connection.execute(f"create table {name} ({columns})")


@cache
def _state_tables() -> dict[str, list[tuple[str, str]]]:
    """The columns of what migrations make, by table."""
    found: dict[str, list[tuple[str, str]]] = {}
    with duckdb.connect(str(staged.template()), read_only=True) as template:
        rows = template.execute(
            "select schema_name || '.' || table_name, column_name, data_type from duckdb_columns()"
            " where database_name = current_database() order by schema_name, table_name, column_index"
        ).fetchall()
    for table, column, kind in rows:
        found.setdefault(table, []).append((column, kind))
    return found
