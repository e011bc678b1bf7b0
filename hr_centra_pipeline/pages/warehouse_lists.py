"""What the warehouse expects, puts away and waits for."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from urllib.parse import urlsplit

from hr_centra_pipeline.pages.page_file import Row, one, rows
from hr_centra_pipeline.pages.paging import cursor_text, read_cursor

BOXES = 25
"""Boxes on one page."""
IN_A_BOX = 25
"""Units of a box that are listed where many boxes are."""
UNITS = 50
"""Units, or holds, on one page."""
MOST_PRINTED = 500
"""Units on one list to print; it says so when there are more."""


@dataclass(frozen=True)
class Part:
    """A part of a list, and the cursor of what comes next (``None``: nothing)."""

    rows: list[Row]
    after: str | None


def warehouses(connection: sqlite3.Connection) -> list[str]:
    """The names by which the lists can be filtered: Centra's warehouses, and where boxes go to."""
    query = """
        select warehouse as name from put_aways where warehouse is not null
        union select destination from arrivals where destination is not null order by name
    """
    return [row["name"] for row in rows(connection, query)]


def boxes(connection: sqlite3.Connection, warehouse: str, *, after: str = "", most: int = BOXES) -> Part:
    """Boxes, bags and parcels on their way, the one that is expected first at the top; each with its first units.

    ``after`` is a number of boxes that come before.
    """
    match read_cursor(after, 1):
        case [int() as skipped] if 0 <= skipped < 1_000_000:
            pass
        case _:
            skipped = 0
    found = rows(
        connection,
        """
        select shipment_id, bag, tracking, carrier, destination, count(*) as units, min(expected_by) as expected_by,
            max(sent_at) as sent_at, max(verdict = 'logistics_delay') as is_late
        from arrivals where destination = $warehouse or $warehouse = ''
        group by shipment_id, bag, tracking, carrier, destination
        order by min(expected_by) is null, min(expected_by), shipment_id, bag, tracking, carrier, destination
        limit $most offset $skipped
        """,
        {"warehouse": warehouse, "most": most + 1, "skipped": skipped},
    )
    query = """
        select * from arrivals
        where shipment_id is $shipment_id and bag is $bag and tracking is $tracking and carrier is $carrier
            and destination is $destination
        order by return_item_id limit $most
    """
    shown = [
        box | {"arrivals": rows(connection, query, {**{name: box[name] for name in _BOX}, "most": IN_A_BOX})}
        for box in found[:most]
    ]
    return Part(shown, cursor_text(skipped + most) if len(found) > most else None)


_BOX = ("shipment_id", "bag", "tracking", "carrier", "destination")


def arrivals(connection: sqlite3.Connection, warehouse: str, named: str, *, after: str = "", most: int = UNITS) -> Part:
    """Units on their way by unit id: to a warehouse, in one box, bag or parcel, or all of them."""
    last = (read_cursor(after, 1) or [""])[0]
    found = rows(
        connection,
        """
        select * from arrivals
        where (destination = $warehouse or $warehouse = '') and (lower($named) in (lower(shipment_id), lower(bag), lower(tracking))
            or $named = '') and return_item_id > $last
        order by return_item_id limit $most
        """,
        {"warehouse": warehouse, "named": named, "last": str(last), "most": most + 1},
    )
    return Part(found[:most], cursor_text(found[most - 1]["return_item_id"]) if len(found) > most else None)


def put_away_counts(connection: sqlite3.Connection, warehouse: str) -> list[Row]:
    """How many units go into each warehouse, and how many of these are booked; units without a movement have no warehouse."""
    query = """
        select warehouse, count(*) as units, sum(booked_at is not null) as booked, sum(movement = 'held') as held
        from put_aways where warehouse = $warehouse or $warehouse = '' group by warehouse order by warehouse is null, warehouse
    """
    return rows(connection, query, {"warehouse": warehouse})


def put_aways(connection: sqlite3.Connection, warehouse: str, *, after: str = "", most: int = UNITS) -> Part:
    """Units that arrived and have a grade, those that were graded last first."""
    match read_cursor(after, 2):
        case [str() as graded_at, str() as unit]:
            pass
        case _:
            graded_at, unit = "~", "~"
    found = rows(
        connection,
        """
        select * from put_aways
        where (warehouse = $warehouse or $warehouse = '') and (coalesce(graded_at, ''), return_item_id) < ($graded_at, $unit)
        order by coalesce(graded_at, '') desc, return_item_id desc limit $most
        """,
        {"warehouse": warehouse, "graded_at": graded_at, "unit": unit, "most": most + 1},
    )
    last = found[most - 1] if len(found) > most else None
    shown = [row | {"photo": https_or_none(row["photo"])} for row in found[:most]]
    return Part(shown, cursor_text(last["graded_at"] or "", last["return_item_id"]) if last else None)


def holds(connection: sqlite3.Connection, *, after: str = "", most: int = UNITS) -> Part:
    """Effects that are due and held back: those that end first at the top, then those that wait for a person."""
    match read_cursor(after, 2):
        case [str() as until, str() as key]:
            pass
        case _:
            until, key = "", ""
    found = rows(
        connection,
        """
        select * from holds where (coalesce(held_until, '~'), effect_key) > ($until, $key)
        order by coalesce(held_until, '~'), effect_key limit $most
        """,
        {"until": until, "key": key, "most": most + 1},
    )
    last = found[most - 1] if len(found) > most else None
    return Part(found[:most], cursor_text(last["held_until"] or "~", last["effect_key"]) if last else None)


def totals(connection: sqlite3.Connection, warehouse: str) -> Row:
    """How many units are on their way, how many of them late, and how many effects are held."""
    query = """
        select count(*) as arrivals, coalesce(sum(verdict = 'logistics_delay'), 0) as late, (select count(*) from holds) as holds
        from arrivals where destination = $warehouse or $warehouse = ''
    """
    return one(connection, query, {"warehouse": warehouse}) or {}


def https_or_none(address: str | None) -> str | None:
    """An address that a page may link to: https, with a host, and no login in it."""
    try:
        parts = urlsplit(address or "")
        is_fine = parts.scheme == "https" and bool(parts.hostname) and parts.username is None
    except ValueError:
        return None
    return address if is_fine else None
