"""Happy Returns' own records: the latest state of each row, and what is still going to happen. Durable in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hr_centra_pipeline.sandbox.webhooks.outbox import connected

Row = dict[str, Any]

_SCHEMA = """
create table if not exists rows (
    kind text, key text, state text, updated_at text, changed integer, primary key (kind, key)
);
create table if not exists happenings (id integer primary key autoincrement, at text, body text);
create table if not exists files (name text primary key, written_at text);
create table if not exists facts (name text primary key, value text);
"""
_LOOK_UPS = """
create index if not exists rows_of_return on rows (json_extract(state, '$.return_id')) where kind in ('items', 'returns');
create index if not exists rows_of_order on rows (json_extract(state, '$.order_number')) where kind in ('items', 'returns');
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
        self._connection = connected(path)
        self._connection.executescript(_SCHEMA)

    @property
    def connection(self) -> sqlite3.Connection:
        """For what belongs into the same transactions."""
        return self._connection

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

    def change(self, kind: str, key: str, changes: Row, at: datetime) -> tuple[Row, Row]:
        """Change a row (or begin it): its time of change moves, and the next export brings it. Answers it before and after."""
        row = self._connection.execute("select state from rows where kind = ? and key = ?", [kind, key]).fetchone()
        before: Row = json.loads(row[0]) if row else {}
        state = {**before, **changes}
        self._connection.execute(
            "insert or replace into rows values (?, ?, ?, ?, 1)", [kind, key, json.dumps(state), _text(at)]
        )
        return before, state

    def changed(self, kind: str) -> list[tuple[Row, datetime]]:
        """Rows of a kind that no export has brought yet, with their times of change; they count as brought now."""
        found = self._connection.execute(
            "select state, updated_at from rows where kind = ? and changed order by updated_at, key", [kind]
        ).fetchall()
        self._connection.execute("update rows set changed = 0 where kind = ?", [kind])
        return [(json.loads(state), datetime.fromisoformat(at)) for state, at in found]

    # ---------------------------------------------------------------- looking

    def rows(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Row]:
        """Rows of any table as dictionaries."""
        cursor = self._connection.execute(sql, parameters)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]

    def has_table(self, name: str) -> bool:
        """Whether somebody needed this table before."""
        return bool(self.rows("select 1 as x from sqlite_master where name = ?", [name]))

    def find_units_by_return(self) -> None:
        """Make units quick to find; only what looks for them pays for it."""
        self._connection.executescript(_LOOK_UPS)

    def units_of(self, return_id: str) -> tuple[list[Row], dict[str, Row]]:
        """A return's units as they are now (``updated``: when), and its rows by the order number that they show."""
        found = self.rows(
            "select kind, state, updated_at from rows where kind in ('items', 'returns')"
            " and json_extract(state, '$.return_id') = ? order by kind, key",
            [return_id],
        )
        units = [{**json.loads(row["state"]), "updated": row["updated_at"]} for row in found if row["kind"] == "items"]
        states = [json.loads(row["state"]) for row in found if row["kind"] == "returns"]
        return units, {str(state.get("order_number")): state for state in states}

    def shipment(self, shipment_id: str) -> list[Row]:
        """The units of an outbound shipment."""
        found = self.rows(
            "select state from rows where kind = 'shipments' and key > ? and key < ? order by key",
            [f"{shipment_id}/", f"{shipment_id}0"],
        )
        return [json.loads(row["state"]) for row in found]

    def item_of(self, shipped: Row) -> tuple[Row, Row]:
        """The unit that a row of a shipment is about, and the row of its return."""
        found = self.rows("select state from rows where kind = 'items' and key = ?", [shipped.get("item_id")])
        item: Row = json.loads(found[0]["state"]) if found else {}
        _, returns = self.units_of(str(shipped.get("return_id")))
        return item, returns.get(str(shipped.get("order_number")), {})


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="seconds")
