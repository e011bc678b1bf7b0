"""Closed months' tables, kept row by row as they were, with the hashes that signatures cover."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import chain

from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.declare import Table
from hr_centra_pipeline.warehouse.made import makes
from hr_centra_pipeline.warehouse.tables.month_end_tables import MONTHLY

# What a close covers. Late items change afterwards, that is their purpose.
COVERED = {name: declared for name, declared in MONTHLY.items() if name != "late_items"}
# Lists that months closed by an earlier version do not have: empty, they are left out of the hash, so that those hashes still hold.
_LATER = frozenset({"open_in_dry_run"})


@makes("month_end.closed_rows", "One row per row of a closed month's tables, as it was closed.", kind="people")
def freeze(connection: Connection, month: str, run_number: int) -> tuple[str, str]:
    """Keep the month's rows as they are now; answers the hash of their content and that of their sources.

    No personal column is among them: the tables have none, and a test says so.
    """
    for name, declared in COVERED.items():
        connection.execute(
            f"""
            insert into month_end.closed_rows
            select
                ? as run_number, month, ? as table_name, row_number() over (order by {_key(declared)}) as row_number,
                to_json(struct_pack({_texts(declared)})) as content
            from {declared.name} where month = ?
            """,  # noqa: S608 - our own names
            [run_number, name, month],
        )
    return content_hash(connection, run_number), content_hash(connection, run_number, "control_totals")


def content_hash(connection: Connection, run_number: int, *names: str) -> str:
    """Hash of what a close froze: of all tables, or of those that are named."""
    digest = hashlib.sha256()
    for name in names or sorted(COVERED):
        rows = _kept(connection, run_number, name)
        first = next(rows, None)
        if first is None and name in _LATER:
            continue
        digest.update(f"{name}\n".encode())
        for (row,) in chain([] if first is None else [first], rows):
            digest.update(f"{row}\n".encode())
    return digest.hexdigest()


def put_back(connection: Connection) -> None:
    """Replace what was computed for closed months by what was frozen; reads the temporary table ``valid_closes``.

    Tables of all months get the rows of each closed month, lists those of the month that is asked for.
    """
    for name, declared in COVERED.items():
        columns = ", ".join(
            f"(content ->> '{column}')::{sql_type} as {column}" for column, sql_type in declared.columns.items()
        )
        is_there = f"select month from {declared.name} union select month from report_period"  # noqa: S608 - our own names
        connection.execute(
            f"""
            create or replace temp table frozen_rows as
            select {columns}
            from month_end.closed_rows
            where run_number in (select run_number from valid_closes where month in ({is_there})) and table_name = ?
            """,  # noqa: S608
            [name],
        )
        connection.execute(
            f"delete from {declared.name} where month in (select month from valid_closes)"  # noqa: S608
        )
        connection.execute(f"insert into {declared.name} by name from frozen_rows")


def _kept(connection: Connection, run_number: int, table_name: str) -> Iterator[tuple[str]]:
    cursor = connection.execute(
        "select content::varchar from month_end.closed_rows where run_number = ? and table_name = ? order by row_number",
        [run_number, table_name],
    )
    while rows := cursor.fetchmany(10_000):
        yield from rows


def _key(declared: Table) -> str:
    return ", ".join(f"{column} nulls first" for column in declared.key)


def _texts(declared: Table) -> str:
    """Every column as text: amounts with their four decimals, times in UTC. JSON numbers would not be exact."""
    return ", ".join(f"{column} := {column}::varchar" for column in declared.columns)
