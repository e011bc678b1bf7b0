"""Does a table hold what its declaration says? Predicates generated from it, counted in bulk inside DuckDB."""

from __future__ import annotations

from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.declare import Table


def broken_rows(connection: Connection, table: Table) -> tuple[int, dict[str, int]]:
    """(rows, {what is broken: rows that break it}); repeated keys count every row beyond the first."""
    predicates = table.predicates()
    counts = ", ".join(f"count(*) filter (where {predicate})" for _, _, predicate in predicates) or "0"
    key = ", ".join(table.key)
    row = connection.execute(
        f"select count(*), count(*) - count(distinct ({key})), {counts} from {table.name}"  # noqa: S608 - our own names
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate answers one row
    broken = {f"{column} {reason}": row[position + 2] for position, (column, reason, _) in enumerate(predicates)}
    broken[f"{key} is repeated"] = row[1]
    return int(row[0]), {reason: count for reason, count in broken.items() if count}
