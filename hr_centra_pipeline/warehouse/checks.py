"""Does a table hold what its declaration says? Predicates generated from it, counted in bulk inside DuckDB."""

from __future__ import annotations

from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.declare import Table


def broken_rows(connection: Connection, table: Table) -> tuple[int, dict[str, int]]:
    """(rows, {what is broken: rows that break it}); repeated keys count every row beyond the first."""
    predicates = table.predicates()
    counts = ", ".join(f"count(*) filter (where {predicate})" for _, _, predicate in predicates) or "0"
    key = ", ".join(table.key)
    # Hashes are counted much faster than texts. Only when two are the same it is worth looking whether their keys are.
    row = connection.execute(
        f"select count(*), count(*) - count(distinct hash({key})), {counts} from {table.name}"  # noqa: S608 - our own names
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate answers one row
    repeated = row[1]
    if repeated:
        exact = connection.execute(
            f"select count(*) - count(distinct ({key})) from {table.name}"  # noqa: S608 - our own names
        ).fetchone()
        repeated = exact[0] if exact else 0
    broken = {f"{column} {reason}": row[position + 2] for position, (column, reason, _) in enumerate(predicates)}
    broken[f"{key} is repeated"] = repeated
    return int(row[0]), {reason: count for reason, count in broken.items() if count}
