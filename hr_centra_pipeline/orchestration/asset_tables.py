"""How a declared table becomes an asset: grain, owner, column schema, row count, and a check of its declaration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Any

import dagster as dg

from hr_centra_pipeline.warehouse import models
from hr_centra_pipeline.warehouse.checks import broken_rows
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.declare import Table
from hr_centra_pipeline.warehouse.tables import DERIVED

INPUTS = "inputs"
"""Group of what is read and made by no run: the settings of the policy, and what people decided."""
_GROUP_OF = {
    "meta": "landing", "landing": "landing", "push": "push", "reconciliation": "reconciliation", "month_end": "month_end",
}  # fmt: skip
# State that SQL makes: nothing declares it.
_GRAINS = {
    "operations.backfill_reports": "One row per backfill, kind of effect, currency and reason: what it left for the hourly sync "
    "or for people.",
    "reconciliation.exception_events": "One row per event of an exception: opened, changed, assigned, closed, reopened.",
    "month_end.fact_journal": "One row per refund fact as it was entered or reversed, with the run that did.",
    "month_end.match_journal": "One row per verdict of the refund match as it was entered or replaced, with the run that did.",
    "month_end.opening_position": "One row per return from before the cut-over that was open when the pipeline began.",
}
# Columns of state that people read in the UI; migrations make it, and say nothing about them.
_COLUMNS = {
    "push.ledger": {
        "effect_key": "HR and 13 characters, made of business ids only; written into Centra with the effect",
        "effect_kind": "what it does: a credit note, a stock movement (inventory_adjustment), an exchange order, …",
        "packet_key": "packet that it was last sent in (null: never sent, or not by us)",
        "return_id": "its return",
        "return_item_id": "its unit (null: it belongs to the whole return on that order)",
        "order_number": "order number",
        "shipment_line_id": "Centra's shipped piece that the unit was matched with",
        "warehouse_id": "of a stock movement: where the unit goes",
        "currency": "ISO 4217, the order's",
        "amount": "money or goods that it is worth: as planned, then as refunded",
        "state": "planned, sending, unknown (in doubt), confirmed, rejected or withdrawn",
        "centra_id": "the Return, stock change, order or customer that shows it in Centra",
        "is_foreign": "made in Centra by others, and counted as given",
        "input_sha256": "of what it was decided from: a rejected one is sent again only when this changes",
        "reason": "why it waits, was refused or is left, in words",
        "travels_alone": "it is sent in a packet of its own, since the packet that it was in was refused",
        "planned_at": "when it was planned first",
        "updated_at": "when its state or reason changed last",
        "first_sent_at": "when it was sent first",
        "confirmed_at": "when Centra confirmed or showed it",
        "asked_batch": "batch since which a person has to confirm it, since only settings changed (null: nobody is asked)",
        "decided_sha256": "of payer, amount and target as they were decided last without a question",
        "asks_payer": "the question is who pays",
        "reason_code": "the reason as a code (docs/reasons.md)",
    },
}
CHECK = "every_row_meets_its_declaration"
TEAM, LINES, TOLD_ELSEWHERE = "owner_team", "troubles", "told_elsewhere"
# Of a check that lists troubles: what the list is about, whatever its words and order; how many; the first with their pages.
IDENTITY, FOUND, PAGES = "identity", "found", "pages"
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


def spec(name: str, group: str, team: str, *, kinds: Sequence[str] = ()) -> dg.AssetSpec:
    """The asset of one table: what it is made from is what its SQL reads, or what the function says that makes it."""
    declared = DERIVED.get(name)
    metadata: dict[str, Any] = {}
    if declared is not None:
        metadata["dagster/column_schema"] = _column_schema(declared)
    return dg.AssetSpec(
        key(name),
        deps=upstream(name),
        description=_description(name),
        group_name=group,
        owners=[f"team:{team}"],
        kinds={"duckdb", *kinds},
        metadata={**metadata, **_loops(name), "dagster/table_name": name},
    )


def upstream(*names: str) -> list[dg.AssetDep]:
    """What tables are made from, as the lineage of the SQL has it."""
    return deps(*sorted({one for name in names for one in models.lineage(name).upstream}))


def deps(*names: str) -> list[dg.AssetDep]:
    """Dependencies on tables."""
    return [dg.AssetDep(key(name)) for name in names]


def external(assets: Iterable[dg.AssetSpec]) -> list[dg.AssetSpec]:
    """Whatever is read by these assets, directly or through each other, and is none of them.

    The settings of the policy and what people decided are a group of their own; what a step keeps beside its tables is
    in the group of that step.
    """
    specs = list(assets)
    made = {".".join(spec.key.path) for spec in specs}
    left = [".".join(dep.asset_key.path) for spec in specs for dep in spec.deps]
    found: dict[str, dg.AssetSpec] = {}
    while left:
        name = left.pop()
        if name not in made and name not in found:
            found[name] = _external(name)
            left += models.lineage(name).upstream
    return [found[name] for name in sorted(found)]


def _external(name: str) -> dg.AssetSpec:
    table = models.python_tables()[name]
    is_given = table.is_readable_everywhere
    return dg.AssetSpec(
        key(name),
        deps=upstream(name),
        description=_description(name),
        group_name=INPUTS if is_given else _GROUP_OF.get(name.split(".", 1)[0], INPUTS),
        owners=["team:data"],
        kinds={"duckdb", *(["toml"] if table.kind == "policy" else [])},
        metadata={"dagster/table_name": name, "made by": table.file, **_loops(name)},
    )


def _description(name: str) -> str:
    """Its grain; and what it reads as the last run left it, which no edge shows."""
    loops = models.lineage(name).loops
    told = "".join(f"\n- `{read}`: {reason}" for read, reason in loops.items())
    return _grain(name) + (f"\n\nReads as the last run left it:\n{told}" if told else "")


def _grain(name: str) -> str:
    if name in DERIVED:
        return DERIVED[name].grain
    python = models.python_tables().get(name)
    return python.grain if python else _GRAINS[name]


def _loops(name: str) -> dict[str, Any]:
    loops = models.lineage(name).loops
    return {"reads as the last run left it": dg.MetadataValue.json(dict(loops))} if loops else {}


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
    *,
    is_brief: bool = False,
) -> Iterator[dg.MaterializeResult[Any]]:
    """One result per table: its row count, first rows, columns, what the step reports, and whether its declaration holds.

    ``is_brief``: without rows and columns, which Dagster would keep of every run of a day.

    A table comes after those that it is made from, as Dagster demands of the assets of one step.
    """
    made_from = {name: sorted(set(models.lineage(name).upstream) & set(names)) for name in names}
    names = list(TopologicalSorter(made_from).static_order())
    with warehouse.transaction() as connection:
        counted = {
            name: broken_rows(connection, DERIVED[name]) if name in DERIVED else (_count(connection, name), {})
            for name in names
        }
        shown = {name: {} if is_brief else preview(connection, name) for name in names}
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
    """The last few rows of a table as metadata, and its columns where no declaration lists them."""
    described = connection.execute(f"describe {name}").fetchall()
    names = [column for column, *_ in described if column not in _NOT_SHOWN]
    texts = ", ".join(f'left("{column}"::varchar, {_SHOWN_CHARACTERS}) as "{column}"' for column in names)
    rows = connection.execute(f"select {texts} from {name} limit {_SHOWN_ROWS}").fetchall()  # noqa: S608 - our own names
    table = dg.MetadataValue.table(
        records=[dg.TableRecord(dict(zip(names, (value or "" for value in row), strict=True))) for row in rows],
        schema=dg.TableSchema(columns=[dg.TableColumn(column) for column in names]),
    )
    found: dict[str, Any] = {"some rows": table}
    if name not in DERIVED:
        found["dagster/column_schema"] = dg.TableSchema(
            columns=[
                dg.TableColumn(
                    column,
                    sql,
                    _COLUMNS.get(name, {}).get(column),
                    dg.TableColumnConstraints(nullable=nullable == "YES"),
                )
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
