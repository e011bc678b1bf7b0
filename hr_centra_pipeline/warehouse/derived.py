"""Derived tables never go stale silently: other declarations or another policy, and they are recomputed from landing."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import hr_centra_pipeline
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.tables import DERIVED


def fingerprint(*made_with: str) -> str:
    """A hash of the declarations, of every SQL file of ours, and of what else the derived tables were made with."""
    parts = [declared.ddl for declared in DERIVED.values()] + _sql_texts() + list(made_with)
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


@cache
def _sql_texts() -> list[str]:
    package = Path(hr_centra_pipeline.__file__).parent
    return [file.read_text(encoding="utf-8") for file in sorted(package.rglob("*.sql"))]


def forget_stale(connection: Connection, *made_with: str) -> bool:
    """Drop every derived table (and its readers' watermarks) when it was made with something else; answers whether."""
    present = fingerprint(*made_with)
    row = connection.execute("select fingerprint from meta.derived_from where stage = 'all'").fetchone()
    if row is not None and row[0] == present:
        return False
    migrate.drop_derived(connection)
    connection.execute("insert into meta.derived_from values ('all', ?, current_timestamp)", [present])
    return row is not None
