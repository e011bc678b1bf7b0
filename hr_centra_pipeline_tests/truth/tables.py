"""The tables of each month as they follow from a ``Year``: each as it was at its close, which is how it has to stay."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.core import months
from hr_centra_pipeline_tests.truth.year import DAY, ZERO, Journey, Matter, Posting, Year

Row = tuple[Any, ...]
Table = dict[Row, Row]
_OWED = {"expected": 1, "instead": 1, "centra": 0, "paid": -1, "failed": 1}  # what each does to the money that is owed
_BUCKETS = ((4, "0-3"), (8, "4-7"), (15, "8-14"), (31, "15-30"), (61, "31-60"), (91, "61-90"))


def posted(year: Year, at: datetime, known_at: datetime) -> str:
    """The month that something counts in: its own, or the first that was open when it became known."""
    month = months.of(at)
    while known_at > year.close_of(month):
        month = months.following(month)
    return month


def month_end(year: Year) -> Table:
    """(month, currency, component, is late) -> expected, Happy Returns, Centra; unexplained against each; returns; status."""
    sides: dict[Row, dict[str, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    for one in year.postings:
        if one.side in ("expected", "happy_returns", "centra") and one.known_at <= year.syncs[-1]:
            month = posted(year, one.at, one.known_at)
            sides[month, one.currency, one.component, month > months.of(one.at)][one.side] += one.amount
    left: dict[Row, dict[str, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    returns: dict[Row, set[str]] = defaultdict(set)
    for gap in year.gaps:
        for component, amount in zip(gap.components, gap.amounts, strict=True):
            month = posted(year, gap.at, gap.known_at)
            key = (month, gap.currency, component, month > months.of(gap.at))
            left[key][gap.side] += amount
            returns[key].add(gap.return_id)
    return {
        key: (
            told["expected"], told["happy_returns"], told["centra"], left[key]["happy_returns"], left[key]["expected"],
            len(returns[key]), "late" if key[3] else "does_not_tie" if returns[key] else "ties",
        )
        for key, told in sides.items()
        if key[0] in year.names and any(told.values())
    }  # fmt: skip


def providers(year: Year) -> Table:
    """(month, currency) -> what the providers booked, and what of it nobody explains."""
    found: dict[Row, list[Decimal]] = defaultdict(lambda: [ZERO, ZERO])
    for one in year.postings:
        if one.side == "provider" and months.of(one.at) in year.names:
            found[months.of(one.at), one.currency][0] += one.amount
    for gap in year.gaps:
        if gap.side == "provider" and months.of(gap.at) in year.names:
            found[months.of(gap.at), gap.currency][1] += sum(gap.amounts, ZERO)
    return {key: tuple(amounts) for key, amounts in found.items() if any(amounts)}


def _months_of(year: Year, matter: Matter) -> tuple[str, str]:
    """In which months it opens and closes: in none, ``z``."""
    opens = posted(year, matter.opens_at, matter.known_at)
    return opens, "z" if matter.closes_at is None else months.of(matter.closes_at)


def rollforward(year: Year) -> Table:
    """(month, kind, currency, owner) -> counts and amounts of opening, new, resolved, closing."""
    lines: dict[Row, list[Matter]] = defaultdict(list)
    for one in year.matters:
        lines[one.kind, one.currency, one.owner].append(one)
    found: Table = {}
    for month in year.names:
        for line, mine in lines.items():
            parts: tuple[list[Decimal], ...] = ([], [], [], [])
            for one in mine:
                opens, closes = _months_of(year, one)
                held = (opens < month <= closes, opens == month, closes == month, opens <= month < closes)
                for part, is_in in zip(parts, held, strict=True):
                    part += [one.amount] if is_in else []
            if any(parts):
                found[month, *line] = tuple(value for part in parts for value in (len(part), sum(part, ZERO)))
    return found


def open_items(year: Year) -> Table:
    """(month, kind, return) -> currency, amount, owner, opened."""
    return {
        (month, one.kind, one.return_id): (one.currency, one.amount, one.owner, one.opens_at)
        for month in year.names
        for one in year.matters
        for opens, closes in [_months_of(year, one)]
        if opens <= month < closes
    }


def liability(year: Year) -> Table:
    """(month, currency) -> opening, became refundable, credited, paid, failed, closing; returns that are not settled."""
    moved: dict[str, list[tuple[str, Posting]]] = defaultdict(list)
    for one in year.postings:
        if one.side in _OWED and one.component != "exchange" and one.known_at <= year.syncs[-1]:
            moved[one.currency].append((posted(year, one.at, one.known_at), one))
    found: Table = {}
    for month in year.names:
        for currency, mine in moved.items():
            sums: dict[Row, Decimal] = defaultdict(lambda: ZERO)  # (side, in this month or before)
            balances: dict[str, Decimal] = defaultdict(lambda: ZERO)
            for of, one in mine:
                if of <= month:
                    sums[one.side, of == month] += one.amount
                    balances[one.return_id] += _OWED[one.side] * one.amount
            if not balances:
                continue
            opening = sum((_OWED[side] * amount for (side, is_now), amount in sums.items() if not is_now), ZERO)
            expected, instead, credited, paid, failed = (sums[side, True] for side in _OWED)
            due, credited = expected + instead, credited + instead
            unsettled = sum(balance != 0 for balance in balances.values())
            found[month, currency] = (opening, due, credited, paid, failed, opening + due - paid + failed, unsettled)
    return found


def goods_in_transit(year: Year) -> Table:
    """(month, stage, age bucket, currency) -> units and value; of them refunded before they arrived."""
    found: dict[Row, list[Any]] = defaultdict(lambda: [0, ZERO, 0, ZERO])
    for month in year.names:
        end = months.end(month)
        for unit in year.journeys:
            since = min(unit.handed_over, unit.credited or unit.handed_over)
            if since >= end or (unit.booked is not None and unit.booked < end):
                continue
            days = (end - since) // DAY
            bucket = next((name for limit, name in _BUCKETS if days < limit), "over 90")
            stage = _stage(unit, end)
            row = found[month, stage, bucket, unit.currency]
            row[0] += 1
            row[1] += unit.value
            if unit.credited is not None and unit.credited < end and stage != "arrived_not_booked":
                row[2] += 1
                row[3] += unit.value
    return {key: tuple(row) for key, row in found.items()}


def _stage(unit: Journey, end: datetime) -> str:
    def by(moment: datetime | None) -> bool:
        return moment is not None and moment < end

    if by(unit.arrived):
        return "arrived_not_booked"
    if by(unit.departed):
        return "outbound"
    if by(unit.hub):
        return "at_hub"
    if unit.method == "return-bar" and by(unit.handed_over):
        return "at_bar"
    return "on_its_way" if by(unit.handed_over) else "not_handed_over"


def late_items(year: Year) -> Table:
    """(month, of month, side, component, return) -> effect, whether it is beyond the tolerance."""
    return {
        (month, months.of(one.at), one.side, one.component, one.return_id): (one.currency, one.amount, True)
        for one in year.late
        if (month := posted(year, one.at, one.known_at)) in year.names
    }


def month_exchanges(year: Year) -> Table:
    """(month, return) -> currency, price, approved; is it ordered, shipped, the money given instead, the unit back."""
    found: Table = {}
    for month in year.names:
        end = months.end(month)
        for one in year.exchanges:
            ordered, shipped, settled, booked = (
                moment is not None and moment < end for moment in (one.ordered, one.shipped, one.settled, one.booked)
            )
            is_finished = booked and (settled or shipped)
            if one.approved < end and (months.of(one.approved) == month or not is_finished):
                found[month, one.return_id] = (one.currency, one.price, one.approved, ordered, shipped, settled, booked)
    return found
