"""How a table is declared: one pandera schema, from which DDL, bulk predicates and Dagster's column schema are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pandera.pandas as pa

from hr_centra_pipeline.core.money import SQL_TYPE, SUM_TYPE

_INSTANT = pd.DatetimeTZDtype(unit="us", tz="UTC")


def text(
    description: str, *, null: bool = False, values: Sequence[str] | None = None, pattern: str | None = None
) -> pa.Column:
    """A text column; ``values`` closes the list, ``pattern`` is a regular expression that the whole text matches."""
    checks = [pa.Check.isin(list(values))] if values is not None else []
    if pattern is not None:
        checks.append(pa.Check.str_matches(f"(?:{pattern})$"))  # pandera matches at the start only
    return pa.Column(
        "string",
        checks,
        nullable=null,
        description=description,
        metadata={"sql": "VARCHAR"},
    )


def money(description: str, *, null: bool = False, at_least: int | None = None) -> pa.Column:
    """An exact amount; a currency column stands beside it."""
    checks = [] if at_least is None else [pa.Check.ge(at_least)]
    return pa.Column(object, checks, nullable=null, description=description, metadata={"sql": SQL_TYPE})


def total(description: str, *, null: bool = False) -> pa.Column:
    """A sum of a month's amounts, in any currency."""
    return pa.Column(object, nullable=null, description=description, metadata={"sql": SUM_TYPE})


def whole(description: str, *, null: bool = False, at_least: int | None = None) -> pa.Column:
    """A whole number."""
    checks = [] if at_least is None else [pa.Check.ge(at_least)]
    return pa.Column("Int64", checks, nullable=null, description=description, metadata={"sql": "BIGINT"})


def instant(description: str, *, null: bool = False) -> pa.Column:
    """A point in time, UTC."""
    return pa.Column(_INSTANT, nullable=null, description=description, metadata={"sql": "TIMESTAMPTZ"})


def day(description: str, *, null: bool = False) -> pa.Column:
    """A UTC day."""
    return pa.Column("object", nullable=null, description=description, metadata={"sql": "DATE"})


def flag(description: str, *, null: bool = False) -> pa.Column:
    """True or false."""
    return pa.Column("boolean", nullable=null, description=description, metadata={"sql": "BOOLEAN"})


def texts(description: str) -> pa.Column:
    """A list of texts."""
    return pa.Column("object", nullable=True, description=description, metadata={"sql": "VARCHAR[]"})


@dataclass(frozen=True)
class Table:
    """One declared table: ``schema.table``, its grain in a sentence, its key, its columns."""

    name: str
    grain: str
    schema: pa.DataFrameSchema
    key: tuple[str, ...]

    @property
    def columns(self) -> dict[str, str]:
        """Column name to DuckDB type, in order."""
        return {name: column.metadata["sql"] for name, column in self.schema.columns.items()}

    @property
    def ddl(self) -> str:
        """``create table if not exists``, with ``not null`` where declared."""
        lines = [
            f"{name} {column.metadata['sql']}{'' if column.nullable else ' not null'}"
            for name, column in self.schema.columns.items()
        ]
        return f"create table if not exists {self.name} (\n    " + ",\n    ".join(lines) + "\n)"

    def predicates(self) -> list[tuple[str, str, str]]:
        """(column, reason, SQL that is true for a row that breaks it), from the schema's nullability and checks."""
        found: list[tuple[str, str, str]] = []
        for name, column in self.schema.columns.items():
            if not column.nullable:
                found.append((name, "is missing", f"{name} is null"))
            for check in column.checks:
                found.append((name, *_sql_of(name, check)))
        return found


def table(name: str, grain: str, key: Sequence[str], columns: dict[str, pa.Column]) -> Table:
    """Declare a table."""
    schema = pa.DataFrameSchema(columns, unique=list(key), strict=True, name=name, description=grain)
    return Table(name, grain, schema, tuple(key))


def _sql_of(name: str, check: pa.Check) -> tuple[str, str]:
    statistics: dict[str, Any] = check.statistics or {}
    match check.name:
        case "isin":
            allowed = list(statistics["allowed_values"])
            quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in allowed)
            return f"is none of {', '.join(allowed)}", f"{name} not in ({quoted})"
        case "greater_than_or_equal_to":
            return f"is below {statistics['min_value']}", f"{name} < {statistics['min_value']}"
        case "str_matches":
            raw = statistics["pattern"]
            pattern = getattr(raw, "pattern", raw).replace("'", "''")
            return f"does not look like {pattern}", f"not regexp_full_match({name}, '{pattern}')"
        case _:
            raise ValueError(f"{name}: no SQL predicate is known for the check {check.name}")
