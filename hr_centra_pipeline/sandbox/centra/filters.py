"""``where``, ``sort``, pages and cursors of Centra's lists, the same for every object."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from graphql import GraphQLError

from hr_centra_pipeline.sandbox.centra.centra_database import Database, Row, instant_text

# Not documented, assumption: behaviour.largest_page
MOST = 200


@dataclass(frozen=True)
class Source:
    """One listable object: the SQL that shows it, its key, its filters (name -> column of that SQL).

    ``is_of_a_store``: a token that is restricted to another store does not see it.
    """

    sql: str
    key: str
    columns: Mapping[str, str] = field(default_factory=dict)
    search: Sequence[str] = ()
    is_of_a_store: bool = False


def refuse(message: str) -> GraphQLError:
    """A query that Centra does not execute."""
    return GraphQLError(message, extensions={"category": "validation"})


def page(
    database: Database, source: Source, arguments: Mapping[str, Any], zone: ZoneInfo, store: int | None
) -> list[Row]:
    """``xs(where, sort, limit, page)``: pages by number; they shift when rows are added meanwhile."""
    limit, number = arguments.get("limit", 20), arguments.get("page", 1)
    check_limit(limit)
    if number < 1:
        raise refuse("page starts at 1")
    return every(database, source, arguments, zone, store)[(number - 1) * limit : number * limit]


def check_limit(limit: int) -> None:
    """Refuse a limit outside 1 to 200."""
    if not 1 <= limit <= MOST:
        raise refuse(f"limit must be between 1 and {MOST}")


def connection(
    database: Database, source: Source, arguments: Mapping[str, Any], zone: ZoneInfo, store: int | None
) -> Row:
    """``xConnection(where, sort, first|last, after|before)``: cursors stay where they are when rows are added."""
    first, last = arguments.get("first"), arguments.get("last")
    if first is not None and last is not None:
        raise refuse("give first or last, not both")
    size = first if first is not None else last if last is not None else 20
    check_limit(size)
    found = every(database, source, arguments, zone, store)
    name, descending = _order(source, arguments)

    def place(row: Row) -> tuple[Any, Any]:
        return (row[name], row[source.key])

    window = found
    if arguments.get("after"):
        edge = _decode(arguments["after"], found, place)
        window = [row for row in window if (place(row) < edge if descending else place(row) > edge)]
    if arguments.get("before"):
        edge = _decode(arguments["before"], found, place)
        window = [row for row in window if (place(row) > edge if descending else place(row) < edge)]
    shown = window[:size] if last is None else window[-size:]
    cursors = [_encode(place(row)) for row in shown]
    return {
        "total_count": len(found),
        "page_info": {
            "has_next_page": bool(shown) and shown[-1] is not found[-1],
            "has_previous_page": bool(shown) and shown[0] is not found[0],
            "start_cursor": cursors[0] if cursors else None,
            "end_cursor": cursors[-1] if cursors else None,
        },
        "edges": [{"cursor": cursor, "node": row} for cursor, row in zip(cursors, shown, strict=True)],
    }


def _encode(place: tuple[Any, Any]) -> str:
    return base64.urlsafe_b64encode(f"{place[0]}\x1f{place[1]}".encode()).decode()


def _decode(cursor: str, rows: Sequence[Row], place: Callable[[Row], tuple[Any, Any]]) -> tuple[Any, Any]:
    try:
        value, key = base64.urlsafe_b64decode(cursor.encode()).decode().split("\x1f")
    except ValueError:
        raise refuse("invalid cursor") from None
    if not rows:
        return value, key
    sample = place(rows[0])
    return type(sample[0])(value), type(sample[1])(key)


def _order(source: Source, arguments: Mapping[str, Any]) -> tuple[str, bool]:
    asked = (arguments.get("sort") or [f"{source.key}_ASC"])[0]
    name, _, direction = str(asked).rpartition("_")
    return source.columns.get(name, name), direction == "DESC"


def every(
    database: Database, source: Source, arguments: Mapping[str, Any], zone: ZoneInfo, store: int | None
) -> list[Row]:
    """All that ``where`` lets through, sorted."""
    conditions, values = _conditions(source, arguments.get("where") or {}, zone)
    if store is not None and source.is_of_a_store:
        conditions.append("store_id = ?")
        values.append(store)
    name, descending = _order(source, arguments)
    way = "desc" if descending else "asc"
    where = " and ".join(conditions) or "1"
    sql = f"select * from ({source.sql}) where {where} order by {name} {way}, {source.key} {way}"  # noqa: S608 - our own names
    return database.rows(sql, values)


def _conditions(source: Source, where: Mapping[str, Any], zone: ZoneInfo) -> tuple[list[str], list[Any]]:
    negated, conditions, values = set(where.get("negate") or ()), [], []
    for name, wanted in where.items():
        if name == "negate" or wanted is None:
            continue
        if name == "notNull":
            conditions += [f"{source.columns[column]} is not null" for column in wanted]
            continue
        if name == "search":
            conditions.append("(" + " or ".join(f"{column} like ? escape '|'" for column in source.search) + ")")
            values += [f"%{_literal(wanted)}%"] * len(source.search)
            continue
        if name not in source.columns:
            raise refuse(f"filter {name} is not simulated")
        condition, more = _condition(source.columns[name], wanted, zone)
        conditions.append(f"not ({condition})" if name in negated else condition)
        values += more
    return conditions, values


def _condition(column: str, wanted: Any, zone: ZoneInfo) -> tuple[str, list[Any]]:
    if isinstance(wanted, Mapping) and ("from" in wanted or "to" in wanted):
        parts, values = [], []
        for end, sign in (("from", ">="), ("to", "<=")):
            if wanted.get(end):
                parts.append(f"{column} {sign} ?")
                values.append(instant_text(in_zone(wanted[end], zone)))
        return " and ".join(parts), values
    if isinstance(wanted, Mapping):
        if len(wanted) != 1:
            raise refuse("give exactly one of equals, contains, startsWith")
        (way, text), *_ = wanted.items()
        if way == "equals":
            return f"{column} = ?", [text]
        pattern = f"%{_literal(text)}%" if way == "contains" else f"{_literal(text)}%"
        return f"{column} like ? escape '|'", [pattern]
    if isinstance(wanted, list):
        return f"{column} in ({', '.join('?' * len(wanted))})", list(wanted)
    return f"{column} = ?", [int(wanted) if isinstance(wanted, bool) else wanted]


def _literal(text: str) -> str:
    """A text that is not a pattern."""
    return text.replace("|", "||").replace("%", "|%").replace("_", "|_")


def in_zone(instant: datetime, zone: ZoneInfo) -> datetime:
    """An instant without offset is the shop's local time."""
    return instant if instant.tzinfo else instant.replace(tzinfo=zone)
