"""The worklist: exceptions by team, kind, state, assignee and name, a page at a time, with counts and money."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Self

from hr_centra_pipeline.core import page_addresses
from hr_centra_pipeline.core.exception_kinds import EXCEPTION_KINDS
from hr_centra_pipeline.core.kinds import OWNERS
from hr_centra_pipeline.pages.page_file import Row, rows
from hr_centra_pipeline.pages.paging import cursor_text, read_cursor
from hr_centra_pipeline.publishing.page_data import normalized_name
from hr_centra_pipeline.publishing.page_tables import EXCEPTION_STATES
from hr_centra_pipeline.publishing.sheet import FORMULA_STARTS

PAGE = 50
"""Exceptions on one page."""
MOST_IN_A_FILE = 20_000
"""Exceptions in one CSV file; its last line says so when there are more."""
_LONGEST = 200
NOBODY, ANYBODY = "-", "*"
"""As assignee: exceptions that nobody has, or that somebody has."""


@dataclass(frozen=True)
class Filter:
    """What is looked at; an empty text means all. A value that is not known counts as not given."""

    team: str = ""
    kind: str = ""
    state: str = "open"
    assignee: str = ""
    overdue: bool = False
    q: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Self:
        """What a query string asks for."""

        def known(name: str, words: Sequence[str], otherwise: str = "") -> str:
            return word if (word := given.get(name, "")) in words else otherwise

        return cls(
            team=known("team", OWNERS),
            kind=known("kind", tuple(EXCEPTION_KINDS)),
            state=known("state", EXCEPTION_STATES, "open"),
            assignee=given.get("assignee", "").strip()[:_LONGEST],
            overdue=given.get("overdue", "") in ("1", "yes", "on"),
            q=given.get("q", "").strip()[:_LONGEST],
        )

    def address(self, **other: str) -> str:
        """The page with this filter, these fields changed, or with more of the query string, such as ``after``."""
        changes = {name: value for name, value in other.items() if name in _FIELDS}
        changed = replace(self, **changes)  # type: ignore[arg-type]
        given = {
            "team": changed.team, "kind": changed.kind, "state": "" if changed.state == "open" else changed.state,
            "assignee": changed.assignee, "overdue": "1" if changed.overdue else "", "q": changed.q,
            **{name: value for name, value in other.items() if name not in _FIELDS},
        }  # fmt: skip
        return page_addresses.of_worklist(**given)

    def file_address(self) -> str:
        """The CSV file with this filter."""
        query = self.address().partition("?")[2]
        return f"{page_addresses.WORKLIST}.csv{'?' if query else ''}{query}"


_FIELDS = ("team", "kind", "state", "assignee", "overdue", "q")


@dataclass(frozen=True)
class Page:
    """One page of the worklist; ``after`` (``None``: this is the last) is the cursor of the next one."""

    exceptions: list[Row]
    after: str | None


@dataclass(frozen=True)
class Counts:
    """How many and how much of what a filter finds. Money by currency, since currencies do not add up."""

    exceptions: int
    overdue: int
    money: dict[str, Decimal]
    by_kind: dict[str, int]


@dataclass(frozen=True)
class Assigned:
    """Who has which exception, as the decisions say."""

    by_exception: Mapping[str, str]

    def ids_of(self, who: str) -> list[str]:
        """The exceptions of a person, or all that somebody has."""
        return [one for one, has in self.by_exception.items() if who == ANYBODY or has.casefold() == who.casefold()]


def page(
    connection: sqlite3.Connection, wanted: Filter, assigned: Assigned, *, after: str = "", most: int = PAGE
) -> Page:
    """The exceptions behind the cursor: overdue ones first, then by due time. A cursor that is not ours starts at the beginning."""
    condition, given = _condition(wanted, assigned)
    found: list[Row] = []
    for part, cursor in _parts(_cursor(after)):
        left = most + 1 - len(found)
        if left <= 0:
            break
        query = f"select * from exceptions where {condition} and {part} order by {_ORDER} limit $left"  # noqa: S608 - ours
        found += rows(connection, query, {**given, **cursor, "left": left})
    last = found[most - 1] if len(found) > most else None
    return Page(found[:most], None if last is None else _cursor_of(last))


_ORDER = "overdue desc, due_at, exception_id"


def _parts(cursor: tuple[int, str | None, str] | None) -> Iterator[tuple[str, dict[str, object]]]:
    """What is behind the cursor, in order, each a range of the index: same due time, later ones, those that are not overdue."""
    if cursor is None:
        yield "true", {}
        return
    overdue, due_at, exception_id = cursor
    at: dict[str, object] = {"c_overdue": overdue, "c_due": due_at, "c_id": exception_id}
    yield "overdue = $c_overdue and due_at is $c_due and exception_id > $c_id", at
    later = "due_at > $c_due" if due_at is not None else "due_at is not null"
    yield f"overdue = $c_overdue and {later}", at
    yield "overdue < $c_overdue", at


def _cursor_of(row: Row) -> str:
    return cursor_text(row["overdue"], row["due_at"], row["exception_id"])


def _cursor(text: str) -> tuple[int, str | None, str] | None:
    match read_cursor(text, 3):
        case [0 | 1 as overdue, str() | None as due_at, str() as exception_id]:
            return overdue, due_at, exception_id
    return None


def counts(connection: sqlite3.Connection, wanted: Filter, assigned: Assigned) -> Counts:
    """What the filter finds in all, by kind whatever kind it asks for. Counted beforehand as far as possible."""
    if wanted.q or wanted.assignee not in ("", NOBODY):
        found = _counted(connection, wanted, assigned)
    else:
        money = "overdue_amount" if wanted.overdue else "amount"
        query = f"""
            select kind, currency, {"overdue as exceptions" if wanted.overdue else "exceptions"}, overdue, {money} as amount
            from exception_counts where state = $state and (owner_team = $team or $team = '')
        """  # noqa: S608 - our own text
        found = [
            row | {"amount": Decimal(row["amount"])}
            for row in rows(connection, query, {"state": wanted.state, "team": wanted.team})
        ]
        if wanted.assignee == NOBODY:
            found += [
                row | {name: -row[name] for name in ("exceptions", "overdue", "amount")}
                for row in _counted(connection, replace(wanted, assignee=ANYBODY), assigned)
            ]
    by_kind: dict[str, int] = {}
    for row in found:
        by_kind[row["kind"]] = by_kind.get(row["kind"], 0) + row["exceptions"]
    of_kind = [row for row in found if wanted.kind in ("", row["kind"])]
    money_of: dict[str, Decimal] = {}
    for row in of_kind:
        if row["currency"] and row["amount"]:
            money_of[row["currency"]] = money_of.get(row["currency"], Decimal(0)) + row["amount"]
    return Counts(
        exceptions=sum(row["exceptions"] for row in of_kind),
        overdue=sum(row["overdue"] for row in of_kind),
        money=dict(sorted(money_of.items())),
        by_kind={kind: by_kind[kind] for kind in EXCEPTION_KINDS if by_kind.get(kind)},
    )


def _counted(connection: sqlite3.Connection, wanted: Filter, assigned: Assigned) -> list[Row]:
    """By kind and currency, whatever kind the filter asks for, by looking at each row that it finds."""
    condition, given = _condition(replace(wanted, kind=""), assigned)
    query = f"""
        select kind, coalesce(currency, '') as currency, count(*) as exceptions, sum(overdue) as overdue,
            sum(amount_sort) as ten_thousandths
        from exceptions where {condition} group by 1, 2
    """  # noqa: S608 - our own text
    return [row | {"amount": Decimal(row["ten_thousandths"] or 0) / 10_000} for row in rows(connection, query, given)]


def _condition(wanted: Filter, assigned: Assigned) -> tuple[str, dict[str, object]]:
    """The filter in SQL. Ids that were found elsewhere are looked up in the index, not compared with every row."""
    parts = ["state = $state"]
    given: dict[str, object] = {"state": wanted.state}
    if wanted.team:
        parts.append("owner_team = $team")
        given["team"] = wanted.team
    if wanted.kind:
        parts.append("kind = $kind")
        given["kind"] = wanted.kind
    if wanted.overdue:
        parts.append("overdue = 1")
    if wanted.assignee:
        among = "exception_id in (select value from json_each($assigned))"
        parts.append(f"not {among}" if wanted.assignee == NOBODY else among)
        given["assigned"] = json.dumps(assigned.ids_of(ANYBODY if wanted.assignee == NOBODY else wanted.assignee))
    if wanted.q:
        parts.append(
            """exception_id in (
                select exception_id from exceptions where return_id in (select return_id from names where name = $name)
                union all select exception_id from exceptions where order_number = $named
                union all select exception_id from exceptions where exception_id = upper($name)
            )"""
        )
        given["named"] = wanted.q.removeprefix("#")
        given["name"] = normalized_name(wanted.q)
    return " and ".join(parts), given


COLUMNS = (
    "exception_id", "state", "kind", "owner_team", "assignee", "severity", "return_id", "return_item_id", "order_number", "sku",
    "currency", "amount", "opened_at", "due_at", "overdue", "waiting_for", "detail", "next_step", "last_note", "last_decision",
    "noted_by", "noted_at",
)  # fmt: skip
"""Of the CSV file."""


def lines_of_file(connection: sqlite3.Connection, wanted: Filter, assigned: Assigned, pages_url: str) -> Iterator[str]:
    """The CSV file of a filter, in pieces; a text that a spreadsheet would take for a formula has an apostrophe in front."""
    yield _csv([[*COLUMNS, "link"]])
    after, left = "", MOST_IN_A_FILE
    while left > 0:
        part = page(connection, wanted, assigned, after=after, most=min(1_000, left))
        left -= len(part.exceptions)
        yield _csv(
            [
                *(
                    _plain(({"assignee": assigned.by_exception.get(row["exception_id"])} | row).get(name))
                    for name in COLUMNS
                ),
                pages_url + page_addresses.of_exception(row["exception_id"]),
            ]
            for row in part.exceptions
        )
        if part.after is None:
            return
        after = part.after
    yield _csv([[f"Only the first {MOST_IN_A_FILE} are in this file: filter by team or kind for the others."]])


def _plain(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _csv(lines: Iterable[Sequence[str]]) -> str:
    into = io.StringIO()
    csv.writer(into).writerows(lines)
    return into.getvalue()
