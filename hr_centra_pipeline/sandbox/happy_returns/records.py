"""Happy Returns' own records: the latest state of each row, and what is still going to happen. Durable in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Row = dict[str, Any]

_SCHEMA = """
create table if not exists rows (
    kind text, key text, state text, updated_at text, changed integer, primary key (kind, key)
);
create table if not exists happenings (id integer primary key autoincrement, at text, body text);
create table if not exists files (name text primary key, written_at text);
create table if not exists facts (name text primary key, value text);
"""


@dataclass(frozen=True)
class Happening:
    """Something that is going to happen: a change of a row, something that a person does in Centra, or a file."""

    at: datetime
    what: str
    arguments: Row


class Records:
    """One file. Every step of the simulation is one transaction: a kill leaves the step before or after it."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def begin(self) -> None:
        """Start a step."""
        self._connection.execute("begin immediate")

    def commit(self) -> None:
        """End a step."""
        self._connection.execute("commit")

    def fact(self, name: str) -> str | None:
        """A kept fact."""
        row = self._connection.execute("select value from facts where name = ?", [name]).fetchone()
        return row[0] if row else None

    def keep(self, name: str, value: str) -> None:
        """Keep a fact."""
        self._connection.execute("insert or replace into facts values (?, ?)", [name, value])

    def plan(self, happenings: Iterable[Happening]) -> None:
        """Put what is going to happen on the list."""
        self._connection.executemany(
            "insert into happenings (at, body) values (?, ?)",
            [(_text(one.at), json.dumps({"what": one.what, **one.arguments})) for one in happenings],
        )

    def take_due(self, until: datetime) -> list[tuple[datetime, str, Row]]:
        """What happens until then, in order; it is taken off the list."""
        found = self._connection.execute(
            "select id, at, body from happenings where at <= ? order by at, id", [_text(until)]
        ).fetchall()
        self._connection.executemany("delete from happenings where id = ?", [(row[0],) for row in found])
        taken = []
        for _, at, body in found:
            arguments = json.loads(body)
            taken.append((datetime.fromisoformat(at), arguments.pop("what"), arguments))
        return taken

    def change(self, kind: str, key: str, changes: Row, at: datetime) -> None:
        """Change a row (or begin it): its time of change moves, and the next export brings it."""
        row = self._connection.execute("select state from rows where kind = ? and key = ?", [kind, key]).fetchone()
        state = {**(json.loads(row[0]) if row else {}), **changes}
        self._connection.execute(
            "insert or replace into rows values (?, ?, ?, ?, 1)", [kind, key, json.dumps(state), _text(at)]
        )

    def changed(self, kind: str) -> list[tuple[Row, datetime]]:
        """Rows of a kind that no export has brought yet, with their times of change; they count as brought now."""
        found = self._connection.execute(
            "select state, updated_at from rows where kind = ? and changed order by updated_at, key", [kind]
        ).fetchall()
        self._connection.execute("update rows set changed = 0 where kind = ?", [kind])
        return [(json.loads(state), datetime.fromisoformat(at)) for state, at in found]


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="seconds")
