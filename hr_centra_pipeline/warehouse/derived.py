"""Derived tables never go stale silently: other SQL or declarations, or another policy, and they are recomputed."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from pathlib import Path

from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.tables import DERIVED


@cache
def _our_sql() -> tuple[str, ...]:
    """The text of every SQL file of ours: what it computes changes with it."""
    root = Path(str(resources.files("hr_centra_pipeline")))
    return tuple(
        file.read_text(encoding="utf-8")
        for file in sorted(root.rglob("*.sql"))
        if file.parent.name != "migrations"
    )  # fmt: skip


def fingerprint(*made_with: str) -> str:
    """A hash of our SQL, the declarations, and what else the derived tables were made with."""
    parts = [*_our_sql(), *(declared.ddl for declared in DERIVED.values()), *made_with]
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def forget_stale(connection: Connection, *made_with: str) -> bool:
    """Drop every derived table (and its readers' watermarks) when it was made with something else; answers whether."""
    present = fingerprint(*made_with)
    row = connection.execute("select fingerprint from meta.derived_from where stage = 'all'").fetchone()
    if row is not None and row[0] == present:
        return False
    migrate.drop_derived(connection)
    connection.execute("insert into meta.derived_from values ('all', ?, current_timestamp)", [present])
    return row is not None
