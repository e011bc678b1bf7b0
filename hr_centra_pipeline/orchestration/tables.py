"""How a declared table becomes an asset: grain, owner, column schema, row count, and a check of its declaration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from hr_centra_pipeline.warehouse.checks import broken_rows
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.declare import Table
from hr_centra_pipeline.warehouse.tables import DERIVED

POOL = "duckdb"
CHECK = "every_row_meets_its_declaration"
TEAM, LINES, TOLD_ELSEWHERE = "owner_team", "troubles", "told_elsewhere"
"""Metadata of a check that alerts read: whose it is, what exactly is wrong, and that it raises no alert of its own."""

_SHOWN_ROWS = 5
_SHOWN_CHARACTERS = 60
_NOT_SHOWN = frozenset({"payload", "request", "response", "raw_text"})  # long, or with who knows what in it


def key(name: str) -> dg.AssetKey:
    """``schema.table`` as an asset key."""
    return dg.AssetKey(name.split("."))


def keys(*names: str) -> list[dg.AssetKey]:
    """Several of them."""
    return [key(name) for name in names]


def spec(
    name: str, group: str, team: str, deps: Sequence[str], *, grain: str = "", kinds: Sequence[str] = ()
) -> dg.AssetSpec:
    """The asset of one table. ``grain`` only for tables that are not declared (state)."""
    declared = DERIVED.get(name)
    metadata: dict[str, Any] = {}
    if declared is not None:
        metadata["dagster/column_schema"] = _column_schema(declared)
    return dg.AssetSpec(
        key(name),
        deps=[key(dep) for dep in deps],
        description=grain or (declared.grain if declared else ""),
        group_name=group,
        owners=[f"team:{team}"],
        kinds={"duckdb", *kinds},
        metadata={**metadata, "dagster/table_name": name},
    )


def declaration_checks(names: Sequence[str]) -> list[dg.AssetCheckSpec]:
    """One check per declared table, run inside its asset's own step."""
    return [
        dg.AssetCheckSpec(CHECK, asset=key(name), description="Types, allowed values, missing values and keys hold.")
        for name in names
        if name in DERIVED
    ]


def results(
    warehouse: Warehouse,
    names: Sequence[str],
    metadata: Mapping[str, Any] | None = None,
    checks: Mapping[str, Sequence[dg.AssetCheckResult]] | None = None,
) -> Iterator[dg.MaterializeResult[Any]]:
    """One result per table: its row count, first rows, columns, what the step reports, and whether its declaration holds."""
    with warehouse.transaction() as connection:
        counted = {
            name: broken_rows(connection, DERIVED[name]) if name in DERIVED else (_count(connection, name), {})
            for name in names
        }
        shown = {name: preview(connection, name) for name in names}
    for name, (rows, broken) in counted.items():
        found = [*(checks or {}).get(name, ())]
        if name in DERIVED:
            found.append(
                dg.AssetCheckResult(
                    asset_key=key(name), check_name=CHECK, passed=not broken, metadata={"rows": rows, **broken},
                    description="; ".join(f"{count} rows: {reason}" for reason, count in broken.items()) or None,
                )
            )  # fmt: skip
        about = {"dagster/row_count": rows, **(metadata or {}), **shown[name]}
        yield dg.MaterializeResult(asset_key=key(name), metadata=about, check_results=found)


def _count(connection: Connection, name: str) -> int:
    row = connection.execute(f"select count(*) from {name}").fetchone()  # noqa: S608 - our own names
    return int(row[0]) if row else 0


def preview(connection: Connection, name: str) -> dict[str, Any]:
    """The last few rows of a table as metadata, and its columns where no declaration tells them."""
    described = connection.execute(f"describe {name}").fetchall()
    columns = [(column, sql) for column, sql, *_ in described if column not in _NOT_SHOWN]
    texts = ", ".join(f"left({column}::varchar, {_SHOWN_CHARACTERS}) as {column}" for column, _ in columns)
    rows = connection.execute(f"select {texts} from {name} limit {_SHOWN_ROWS}").fetchall()  # noqa: S608 - our own names
    names = [column.strip('"') for column, _ in columns]
    table = dg.MetadataValue.table(
        records=[dg.TableRecord(dict(zip(names, (value or "" for value in row), strict=True))) for row in rows],
        schema=dg.TableSchema(columns=[dg.TableColumn(column) for column in names]),
    )
    found: dict[str, Any] = {"some rows": table}
    if name not in DERIVED:
        found["dagster/column_schema"] = dg.TableSchema(
            columns=[
                dg.TableColumn(column, sql, constraints=dg.TableColumnConstraints(nullable=nullable == "YES"))
                for column, sql, nullable, *_ in described
            ]
        )
    return found


def _column_schema(declared: Table) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column_name, column.sql, description=column.description,
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column_name, column in declared.declared.items()
        ]
    )  # fmt: skip
