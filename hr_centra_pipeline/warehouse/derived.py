"""Derived tables never go stale silently: other code, declarations or another policy, and they are recomputed from landing."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import duckdb

import hr_centra_pipeline
from hr_centra_pipeline.warehouse import migrate, models
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.tables import DERIVED

_CODE = (".py", ".toml")


def fingerprint(*made_with: str) -> str:
    """A hash of the declarations, of all our code that can take part, of DuckDB, and of what else the tables were made with."""
    parts = [declared.ddl for declared in DERIVED.values()] + [_code_of_this_program(), *made_with]
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


@cache
def _code_of_this_program() -> str:
    return code_of(Path(hr_centra_pipeline.__file__).parent)


def code_of(package: Path) -> str:
    """A hash of the code below a package that can take part in a derived table, and of the DuckDB that computes it.

    Those are the SQL files from which a derived table comes, by the lineage, and what the packages that make these tables say
    in Python (macros, keys, words, typing). Entry points and readers (command line, assets, what is published) and the sandbox take
    no part.
    """
    found = hashlib.sha256(duckdb.__version__.encode())
    for file in [*_python_files(package), *(package / name for name in sql_files())]:
        found.update(f"\x1e{file.relative_to(package).as_posix()}\x1f".encode() + file.read_bytes())
    return found.hexdigest()


@cache
def _behind() -> frozenset[str]:
    return models.files_behind(DERIVED)


def sql_files() -> list[str]:
    """The SQL files from which a derived table comes."""
    return sorted(name for name in _behind() if name.endswith(".sql"))


def packages() -> list[str]:
    """The packages that make what derived tables come from, and ``core``, which all of them import."""
    return sorted({"core", *(name.split("/", 1)[0] for name in _behind())})


def _python_files(package: Path) -> list[Path]:
    return [file for name in packages() for file in sorted((package / name).rglob("*")) if file.suffix in _CODE]


def is_current(connection: Connection, *made_with: str) -> bool:
    """Whether the derived tables were made by this program, with this."""
    return _last_fingerprint(connection) == fingerprint(*made_with)


def forget_stale(connection: Connection, *made_with: str) -> bool:
    """Drop every derived table (and its readers' watermarks) when it was made with something else; answers whether."""
    last, present = _last_fingerprint(connection), fingerprint(*made_with)
    if last == present:
        return False
    migrate.drop_derived(connection)
    connection.execute(
        "insert into meta.derived_from (stage, fingerprint, updated_at) values ('all', ?, current_timestamp)", [present]
    )
    return last is not None


def _last_fingerprint(connection: Connection) -> str | None:
    row = connection.execute("select fingerprint from meta.derived_from where stage = 'all'").fetchone()
    return None if row is None else str(row[0])
