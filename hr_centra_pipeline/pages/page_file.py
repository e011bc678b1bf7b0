"""``published/pages.sqlite`` as the pages read it: by short connections that can only read, each a snapshot of one publication."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.publishing import page_tables
from hr_centra_pipeline.publishing.page_tables import PAGES_DATABASE

Row = dict[str, Any]
"""A row of the file, by column; amounts and times as the file keeps them, as text."""


class NothingPublished(ConfigurationError):
    """There is no publication that this program reads: none yet, or one of another version."""


@contextmanager
def reading(published: Path) -> Iterator[sqlite3.Connection]:
    """A snapshot of the publication in the folder ``published``: what is read within belongs together.

    Raises:
        NothingPublished: there is none, or it is of another version; a sync writes one.
    """
    path = published / PAGES_DATABASE
    if not path.is_file():
        raise NothingPublished("Nothing was published yet: run `hr-centra sync`.")
    with closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5, isolation_level=None)
    ) as connection:
        connection.row_factory = _row
        connection.execute("pragma query_only = on")
        connection.execute("begin")
        version = connection.execute("pragma user_version").fetchone()["user_version"]
        if version != page_tables.VERSION:
            raise NothingPublished("What was published is of another version of the program: run `hr-centra sync`.")
        yield connection


def publication(connection: sqlite3.Connection) -> Row:
    """When and by what the file was written.

    Raises:
        NothingPublished: it was made, and never written.
    """
    found = one(connection, "select * from publication")
    if found is None:
        raise NothingPublished("Nothing was published yet: run `hr-centra sync`.")
    return found


def rows(connection: sqlite3.Connection, query: str, given: Mapping[str, object] | None = None) -> list[Row]:
    """What a query answers."""
    found: list[Row] = connection.execute(query, dict(given or {})).fetchall()
    return found


def one(connection: sqlite3.Connection, query: str, given: Mapping[str, object] | None = None) -> Row | None:
    """The first row of a query."""
    found: Row | None = connection.execute(query, dict(given or {})).fetchone()
    return found


def parsed(row: Row, *names: str) -> Row:
    """The row, with the JSON of these columns read; one that is null is an empty list."""
    return row | {name: json.loads(row[name]) if row[name] else [] for name in names}


def _row(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> Row:
    return {column[0]: value for column, value in zip(cursor.description, values, strict=True)}
