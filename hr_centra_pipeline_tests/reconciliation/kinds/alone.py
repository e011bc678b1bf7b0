"""One kind of exception alone: a bare database with the tables and macros that its file names, rows in, rows out."""

from __future__ import annotations

import re
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from hr_centra_pipeline.core import exception_kinds
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.reconciliation.reconcile import find, settle
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY
from hr_centra_pipeline_tests.staged import template

NOW = datetime(2026, 9, 20, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class Catalog(NamedTuple):
    """What a file may name: tables with their columns and types, and macros with how each is created."""

    tables: dict[str, dict[str, str]]
    macros: dict[str, str]
    heads: list[tuple[Any, ...]]


@cache
def catalog() -> Catalog:
    """Of an empty database that was reconciled once, so that the temporary tables of the steps are there, too."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(template(), Path(folder) / "warehouse.duckdb")
        with Warehouse(Path(folder) / "warehouse.duckdb").transaction() as connection:
            write_policy(connection, load_policy(EXAMPLE_POLICY).policy, "live")
            find(connection, NOW)
            settle(connection, NOW, 1)
            tables: dict[str, dict[str, str]] = {}
            for schema, table, column, of_type in connection.execute(
                "select schema_name, table_name, column_name, data_type from duckdb_columns() where not internal"
                " order by table_oid, column_index"
            ).fetchall():
                tables.setdefault(table if schema == "main" else f"{schema}.{table}", {})[column] = of_type
            macros = {
                name if schema == "main" else f"{schema}.{name}": f"({', '.join(parameters)}) as {definition}"
                for schema, name, parameters, definition in connection.execute(
                    "select schema_name, function_name, parameters, macro_definition from duckdb_functions()"
                    " where function_type = 'macro' and not internal"
                ).fetchall()
            }
            heads = connection.execute("from policy.exception_kinds").fetchall()
    return Catalog(tables, macros, heads)


class Alone:
    """A kind by its name, in a database of its own."""

    def __init__(self, kind: str, files: Traversable | None = None) -> None:
        self.kind = kind
        self._text = (files or exception_kinds.folder()).joinpath(f"{kind}.sql").read_text(encoding="utf-8")
        self._connection = duckdb.connect(config={"threads": 1})
        self._connection.execute("set timezone = 'UTC'")
        self._columns: dict[str, dict[str, str]] = {}
        self._macros: set[str] = set()
        self._create(self._text)
        self._table("findings")
        self._table("unseen")

    def put(self, table: str, *rows: dict[str, Any], **row: Any) -> None:
        """Rows of a table that the kind reads; what is not said is null."""
        assert table in self._columns, f"{self.kind}.sql does not read {table}"
        for one in [*rows, *([row] if row else [])]:
            values = ", ".join(f"${name}::{self._columns[table][name]}" for name in one)
            columns = ", ".join(f'"{name}"' for name in one)
            self._connection.execute(f"insert into {table} ({columns}) values ({values})", one)

    def opened(self, *columns: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """What the kind finds in these rows: each column that is named of its findings, in their order."""
        given = {"now": NOW, "since": 0, **parameters}
        for statement in self._connection.extract_statements(exception_kinds.sql_of(self._text)):
            self._connection.execute(statement, {name: given[name] for name in statement.named_parameters})
        found = self._connection.execute("select distinct kind, subject from findings").fetchall()
        subjects = exception_kinds.load()[self.kind].subjects if self.kind in exception_kinds.EXCEPTION_KINDS else None
        assert all(kind == self.kind and (subjects is None or subject in subjects) for kind, subject in found)
        return self._connection.execute(f"select {', '.join(columns)} from findings order by all").fetchall()

    def was_open(self, exception_id: str = "EX-1", **columns: Any) -> None:
        """An exception of the kind that is not found any more; a proof is reported as its code and sentence."""
        self.put("unseen", exception_id=exception_id, kind=self.kind, **columns)

    def closed(self) -> dict[str, str]:
        """The sentence that proves that it is over, by exception; what nothing closes is not there."""
        rows = self._connection.execute(
            f"select exception_id, proof.code, proof.sentence from ({exception_kinds.closing_of(self._text)})"
            " where proof is not null"
        ).fetchall()
        assert len({exception_id for exception_id, _, _ in rows}) == len(rows), "one proof is enough"
        assert all(code for _, code, _ in rows)
        return {exception_id: sentence for exception_id, _, sentence in rows}

    def _create(self, text: str) -> None:
        text = text.replace('"', "")
        for name, definition in catalog().macros.items():
            if name not in self._macros and re.search(rf"(?<![\w.]){re.escape(name)}\(", text):
                self._macros.add(name)
                self._create(definition)
                self._schema(name)
                self._connection.execute(f"create macro {name}{definition}")
        for name in catalog().tables:
            if re.search(rf"(?<![\w.]){re.escape(name)}\b(?!\.sql)", text):
                self._table(name)

    def _table(self, name: str) -> None:
        if name in self._columns:
            return
        self._columns[name] = catalog().tables[name]
        self._schema(name)
        columns = ", ".join(f'"{column}" {of_type}' for column, of_type in self._columns[name].items())
        self._connection.execute(f"create table {name} ({columns})")
        if name == "policy.exception_kinds":  # what the heads say is no row of a test
            rows = catalog().heads
            marks = ", ".join("?" * len(rows[0]))
            self._connection.executemany(f"insert into {name} values ({marks})", rows)

    def _schema(self, name: str) -> None:
        if "." in name:
            self._connection.execute(f"create schema if not exists {name.partition('.')[0]}")


def proof(code: str, sentence: str) -> dict[str, str]:
    """As a step hands it on."""
    return {"code": code, "sentence": sentence}
