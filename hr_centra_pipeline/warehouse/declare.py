"""How a table is declared: plain columns, from which DDL, bulk predicates, Dagster's column schema and a pandera schema are made.

Nothing heavy is imported to declare a table: pandas and pandera only when a frame is validated (``warehouse/frames.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hr_centra_pipeline.core.money import SQL_TYPE, SUM_TYPE


@dataclass(frozen=True)
class Column:
    """One column: its DuckDB type, whether it may be null, what its values have to be, and what it means."""

    sql: str
    description: str
    nullable: bool = False
    values: tuple[str, ...] | None = None
    """The closed list of its values."""
    pattern: str | None = None
    """A regular expression that the whole text matches."""
    at_least: int | None = None
    """Its smallest value."""

    def predicates(self, name: str) -> list[tuple[str, str]]:
        """(reason, SQL that is true for a row that breaks it), for a column of this name."""
        found: list[tuple[str, str]] = []
        if not self.nullable:
            found.append(("is missing", f"{name} is null"))
        if self.values is not None:
            found.append(
                (f"is none of {', '.join(self.values)}", f"{name} not in ({', '.join(map(_quoted, self.values))})")
            )
        if self.at_least is not None:
            found.append((f"is below {self.at_least}", f"{name} < {self.at_least}"))
        if self.pattern is not None:
            whole_text = f"(?:{self.pattern})$"
            found.append((f"does not look like {whole_text}", f"not regexp_full_match({name}, {_quoted(whole_text)})"))
        return found


def text(
    description: str, *, null: bool = False, values: Sequence[str] | None = None, pattern: str | None = None
) -> Column:
    """A text column; ``values`` closes the list, ``pattern`` is a regular expression that the whole text matches."""
    return Column("VARCHAR", description, null, None if values is None else tuple(values), pattern)


def money(description: str, *, null: bool = False, at_least: int | None = None) -> Column:
    """An exact amount; a currency column is beside it."""
    return Column(SQL_TYPE, description, null, at_least=at_least)


def total(description: str, *, null: bool = False) -> Column:
    """A sum of a month's amounts, in any currency."""
    return Column(SUM_TYPE, description, null)


def whole(description: str, *, null: bool = False, at_least: int | None = None) -> Column:
    """A whole number."""
    return Column("BIGINT", description, null, at_least=at_least)


def instant(description: str, *, null: bool = False) -> Column:
    """A point in time, UTC."""
    return Column("TIMESTAMPTZ", description, null)


def day(description: str, *, null: bool = False) -> Column:
    """A UTC day."""
    return Column("DATE", description, null)


def flag(description: str, *, null: bool = False) -> Column:
    """True or false."""
    return Column("BOOLEAN", description, null)


def texts(description: str) -> Column:
    """A list of texts."""
    return Column("VARCHAR[]", description, True)


@dataclass(frozen=True)
class Table:
    """One declared table: ``schema.table``, its grain in a sentence, its key, its columns in order."""

    name: str
    grain: str
    declared: Mapping[str, Column]
    key: tuple[str, ...]

    @property
    def columns(self) -> dict[str, str]:
        """Column name to DuckDB type, in order."""
        return {name: column.sql for name, column in self.declared.items()}

    @property
    def ddl(self) -> str:
        """``create table if not exists``, with ``not null`` where declared."""
        lines = [
            f"{name} {column.sql}{'' if column.nullable else ' not null'}" for name, column in self.declared.items()
        ]
        return f"create table if not exists {self.name} (\n    " + ",\n    ".join(lines) + "\n)"

    def predicates(self) -> list[tuple[str, str, str]]:
        """(column, reason, SQL that is true for a row that breaks it), from nullability, closed lists and limits."""
        return [
            (name, reason, broken)
            for name, column in self.declared.items()
            for reason, broken in column.predicates(name)
        ]


def table(name: str, grain: str, key: Sequence[str], columns: Mapping[str, Column]) -> Table:
    """Declare a table."""
    return Table(name, grain, dict(columns), tuple(key))


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
