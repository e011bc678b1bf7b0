"""The tables of each month as they follow from a ``Year``: each as it stood at its close, which is how it has to stay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from hr_centra_pipeline_tests.truth.year import DAY, ZERO, Journey, Matter, Year, after, begin_of, month_of

Row = tuple[Any, ...]
Table = dict[Row, Row]
_BUCKETS = ((4, "0-3"), (8, "4-7"), (15, "8-14"), (31, "15-30"), (61, "31-60"), (91, "61-90"))


def posted(year: Year, at: datetime, known_at: datetime) -> str:
    """The month that something counts in: its own, or the first that was open when it became known."""
    month = month_of(at)
    while known_at > year.close_of(month):
        month = after(month)
    return month


def month_end(year: Year) -> Table:
    """(month, currency, component, is late) -> expected, Happy Returns, Centra; unexplained against each; returns; status."""
    sides: dict[Row, dict[str, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    for one in year.postings:
        if one.side in ("expected", "happy_returns", "centra") and one.known_at <= year.syncs[-1]:
            month = posted(year, one.at, one.known_at)
            sides[month, one.currency, one.component, month > month_of(one.at)][one.side] += one.amount
    left: dict[Row, dict[str, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    returns: dict[Row, set[str]] = defaultdict(set)
    for gap in year.gaps:
        for component, amount in zip(gap.components, gap.amounts, strict=True):
            key = (month_of(gap.at), gap.currency, component, False)
            left[key][gap.side] += amount
            returns[key].add(gap.return_id)
    return {
        key: (
            told["expected"], told["happy_returns"], told["centra"], left[key]["happy_returns"], left[key]["expected"],
            len(returns[key]), "late" if key[3] else "does_not_tie" if returns[key] else "ties",
        )
        for key, told in sides.items()
        if key[0] in year.names
    }  # fmt: skip


def providers(year: Year) -> Table:
    """(month, currency) -> what the providers booked, and what of it nobody explains."""
    found: dict[Row, list[Decimal]] = defaultdict(lambda: [ZERO, ZERO])
    for one in year.postings:
        if one.side == "provider" and month_of(one.at) in year.names:
            found[month_of(one.at), one.currency][0] += one.amount
    for gap in year.gaps:
        if gap.side == "provider" and month_of(gap.at) in year.names:
            found[month_of(gap.at), gap.currency][1] += sum(gap.amounts, ZERO)
    return {key: tuple(amounts) for key, amounts in found.items() if any(amounts)}


def _is_open_after(matter: Matter, month: str) -> bool:
    end = begin_of(after(month))
    return matter.opens_at < end and (matter.closes_at is None or matter.closes_at >= end)


def rollforward(year: Year) -> Table:
    """(month, kind, currency, owner) -> counts and amounts of opening, new, resolved, closing."""
    found: Table = {}
    lines = {(one.kind, one.currency, one.owner) for one in year.matters}
    for month in year.names:
        for kind, currency, owner in lines:
            mine = [one for one in year.matters if (one.kind, one.currency, one.owner) == (kind, currency, owner)]
            before = [one for one in mine if one.opens_at < begin_of(month) and not _is_over(one, begin_of(month))]
            new = [one for one in mine if month_of(one.opens_at) == month]
            resolved = [one for one in mine if one.closes_at is not None and month_of(one.closes_at) == month]
            left = [one for one in mine if _is_open_after(one, month)]
            if before or new or resolved or left:
                found[month, kind, currency, owner] = tuple(
                    value for some in (before, new, resolved, left) for value in (len(some), _sum(some))
                )
    return found


def _is_over(matter: Matter, moment: datetime) -> bool:
    return matter.closes_at is not None and matter.closes_at < moment


def _sum(matters: Iterable[Matter]) -> Decimal:
    return sum((one.amount for one in matters), ZERO)


def open_items(year: Year) -> Table:
    """(month, kind, return) -> currency, amount, owner, opened."""
    return {
        (month, one.kind, one.return_id): (one.currency, one.amount, one.owner, one.opens_at)
        for month in year.names
        for one in year.matters
        if _is_open_after(one, month)
    }


def liability(year: Year) -> Table:
    """(month, currency) -> opening, became refundable, credited, paid, closing; returns that are not settled."""
    found: Table = {}
    of_side = {"expected": 1, "paid": -1}
    currencies = {one.currency for one in year.postings}
    for month in year.names:
        for currency in currencies:
            mine = [
                (one, posted(year, one.at, one.known_at))
                for one in year.postings
                if one.currency == currency and one.known_at <= year.syncs[-1]
            ]
            if not any(of <= month and one.side in ("expected", "centra", "paid") for one, of in mine):
                continue

            def summed(side: str, within: Callable[[str], bool], mine: Any = mine) -> Decimal:
                return sum((one.amount for one, of in mine if one.side == side and within(of)), ZERO)

            balances: dict[str, Decimal] = defaultdict(lambda: ZERO)
            for one, of in mine:
                if of <= month:
                    balances[one.return_id] += of_side.get(one.side, 0) * one.amount
            opening = summed("expected", lambda of: of < month) - summed("paid", lambda of: of < month)  # noqa: B023
            this = [summed(side, lambda of: of == month) for side in ("expected", "centra", "paid")]  # noqa: B023
            found[month, currency] = (
                opening, *this, opening + this[0] - this[2], sum(balance != 0 for balance in balances.values())
            )  # fmt: skip
    return found


def goods_in_transit(year: Year) -> Table:
    """(month, stage, age bucket, currency) -> units and value; of them refunded before they arrived."""
    found: dict[Row, list[Any]] = defaultdict(lambda: [0, ZERO, 0, ZERO])
    for month in year.names:
        end = begin_of(after(month))
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
        (month, month_of(one.at), one.side, one.component, one.return_id): (one.currency, one.amount, True)
        for one in year.late
        if (month := posted(year, one.at, one.known_at)) in year.names
    }
