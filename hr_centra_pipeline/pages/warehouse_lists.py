"""What the warehouse expects, puts away and waits for."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from hr_centra_pipeline.pages.page_file import Row, one, rows
from hr_centra_pipeline.pages.paging import cursor_text, read_cursor

BOXES = 25
"""Boxes on one page."""
IN_A_BOX = 25
LISTED = 75
"""Units of one box, and of all of them, that are listed where many boxes are."""
NO_BOX = "-"
"""As the number of a box: units that are in no box, bag or parcel."""
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
        f"""
        select shipment_id, {_PARCEL} as parcel, {_BAG} as loose_bag, destination, min(carrier) as carrier, sum(units) as units,
            min(expected_by) as expected_by, max(sent_at) as sent_at, max(is_late) as is_late
        from (
            -- In the order of its index, so that nothing is sorted.
            select destination, shipment_id, tracking, bag, min(carrier) as carrier, count(*) as units,
                min(expected_by) as expected_by, max(sent_at) as sent_at, max(verdict = 'logistics_delay') as is_late
            from arrivals where destination = $warehouse or $warehouse = ''
            group by destination, shipment_id, tracking, bag
        )
        group by shipment_id, 2, 3, destination
        order by min(expected_by) is null, min(expected_by), shipment_id, 2, 3, destination
        limit $most offset $skipped
        """,  # noqa: S608 - our own text
        {"warehouse": warehouse, "most": most + 1, "skipped": skipped},
    )
    query = f"""
        select * from arrivals
        where shipment_id is $shipment_id and {_PARCEL} is $parcel and {_BAG} is $loose_bag and destination is $destination
        order by return_item_id limit $most
    """  # noqa: S608 - our own text
    left = LISTED
    for box in found[:most]:
        box["arrivals"] = rows(connection, query, {**{name: box[name] for name in _BOX}, "most": min(IN_A_BOX, left)})
        left -= len(box["arrivals"])
    return Part(found[:most], cursor_text(skipped + most) if len(found) > most else None)


# A unit is in a box; if not, in a parcel of its own; if not, in a bag.
_PARCEL = "case when shipment_id is null then tracking end"
_BAG = "case when shipment_id is null and tracking is null then bag end"
_BOX = ("shipment_id", "parcel", "loose_bag", "destination")


def arrivals(connection: sqlite3.Connection, warehouse: str, named: str, *, after: str = "", most: int = UNITS) -> Part:
    """Units on their way by unit id: to a warehouse, in one box, bag or parcel, or all of them."""
    last = (read_cursor(after, 1) or [""])[0]
    in_box = "true"
    if named == NO_BOX:
        in_box = "shipment_id is null and bag is null and tracking is null"
    elif named:
        in_box = " or ".join(f"{name} in ($named, upper($named))" for name in ("shipment_id", "bag", "tracking"))
    found = rows(
        connection,
        f"""
        select * from arrivals where (destination = $warehouse or $warehouse = '') and ({in_box}) and return_item_id > $last
        order by return_item_id limit $most
        """,  # noqa: S608 - our own text
        {"warehouse": warehouse, "named": named, "last": str(last), "most": most + 1},
    )
    return Part(found[:most], cursor_text(found[most - 1]["return_item_id"]) if len(found) > most else None)


def put_away_counts(connection: sqlite3.Connection, warehouse: str) -> list[Row]:
    """How many units go into each warehouse, and how many of these are booked; units without a movement have no warehouse."""
    query = """
        select warehouse, count(*) as units, sum(booked_at is not null) as booked, sum(movement in ('held', 'blocked')) as held
        from put_aways where warehouse = $warehouse or $warehouse = '' group by warehouse order by warehouse is null, warehouse
    """
    return rows(connection, query, {"warehouse": warehouse})


def put_aways(connection: sqlite3.Connection, warehouse: str, *, after: str = "", most: int = UNITS) -> Part:
    """Units that arrived and have a grade: those that were graded last first, those without a time of it at the end."""
    match read_cursor(after, 2):
        case [str() as graded_at, str() as unit]:
            ranges = ["(graded_at, return_item_id) < ($graded_at, $unit)", "graded_at is null"]
        case [None, str() as unit]:
            ranges, graded_at = ["graded_at is null and return_item_id < $unit"], ""
        case _:
            ranges, graded_at, unit = ["true"], "", ""
    of_warehouse = "warehouse = $warehouse and" if warehouse else ""
    given = {"warehouse": warehouse, "graded_at": graded_at, "unit": unit}
    found: list[Row] = []
    for behind in ranges:
        query = f"""
            select * from put_aways where {of_warehouse} {behind}
            order by graded_at desc, return_item_id desc limit $left
        """  # noqa: S608 - our own text
        found += rows(connection, query, {**given, "left": most + 1 - len(found)})
    last = found[most - 1] if len(found) > most else None
    return Part(found[:most], cursor_text(last["graded_at"], last["return_item_id"]) if last else None)


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
