"""One unit, several feeds: files, events and the partner API write of the same units, with or without ids and places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from hr_centra_pipeline.sources.happy_returns.identity import NO_PLACE
from hr_centra_pipeline.warehouse.database import Connection

OTHER_FEED = "other_feed"
"""The word of a row that is set aside because of a unit that another feed reports."""
_MAY_BE = "may be a unit that another feed reports: "
"""Why a row of an event is set aside until another feed knows more of its return."""


@dataclass
class Unit:
    """A unit that was landed, or that the rows at hand are about. ``sayings``: what each of its rows says happened."""

    return_item_id: str | None
    item_ids: set[str] = field(default_factory=set)
    lines: set[str] = field(default_factory=set)
    offsets: set[int] = field(default_factory=set)
    skus: set[str] = field(default_factory=set)
    upcs: set[str] = field(default_factory=set)
    feeds: set[str] = field(default_factory=set)
    approved_at: datetime | None = None
    rows: list[int] = field(default_factory=list)
    sayings: set[str] = field(default_factory=set)

    @property
    def order(self) -> tuple[int, str]:
        """By place on its line, then by id."""
        return (min(self.offsets, default=0), min(self.item_ids, default=self.return_item_id or ""))

    def is_at_the_place_of(self, other: Unit) -> bool:
        """Both say the same line and the same unit of it."""
        return bool(self.lines & other.lines and self.offsets & other.offsets)

    def may_be(self, other: Unit) -> bool:
        """By line, place and product; not by id."""
        if self.lines and other.lines:
            return bool(self.lines & other.lines) and (
                not self.offsets or not other.offsets or bool(self.offsets & other.offsets)
            )
        if self.skus and other.skus:
            return bool(self.skus & other.skus)
        if self.upcs and other.upcs:
            return bool(self.upcs & other.upcs)
        return True


def match_across_feeds(connection: Connection, feed: str) -> None:
    """Rows of ``identified`` that would make a new unit are those of a unit of another feed where they can be.

    A row of an event or answer that may be one of several such units is set aside by name. Rows of files take over what
    others made, and are never set aside. Rows of one feed are distinguished as ``identity`` does.
    """
    is_partial = feed != "files"
    if not is_partial and not _exists(connection, "from landing.happy_returns_items where feed <> 'files'"):
        return
    connection.execute(
        """
        create or replace temp table unmatched as
        select source_line, return_id, order_number
        from identified
        where (problem is null or return_item_id is null and problem.reason = $no_place)
            and return_id is not null and order_number is not null
            and (return_item_id is null or return_item_id not in (
                select return_item_id from landing.happy_returns_items
                where return_item_id in (select return_item_id from identified)
            ))
        """,
        {"no_place": NO_PLACE},
    )
    if not is_partial:
        connection.execute(
            """
            delete from unmatched where (return_id, order_number) not in (
                select (return_id, order_number) from landing.happy_returns_items where feed <> 'files'
            )
            """
        )
    if not _exists(connection, "from unmatched"):
        return
    known = _known_units(connection)
    ids_agree: bool | None = None
    found: list[tuple[int, str | None, int | None, str | None]] = []
    for pair, new, taken in _new_units(connection):
        others = [one for one in known.get(pair, []) if one.return_item_id not in taken]
        named = [one for one in known.get(pair, []) if one.return_item_id in taken]
        if not is_partial:
            found += _taken_over(new, [one for one in others if "files" not in one.feeds])
            continue
        if ids_agree is None and any(one.item_ids for one in new) and any(one.item_ids for one in others):
            ids_agree = _ids_agree(connection, feed)
        found += _matched(new, others, named, feed, ids_agree=bool(ids_agree))
    _write(connection, found)


def _exists(connection: Connection, query: str) -> bool:
    row = connection.execute(f"select exists ({query})").fetchone()
    return bool(row and row[0])


def _ids_agree(connection: Connection, feed: str) -> bool:
    """This feed and another have called a unit by the same id: a unit of another id is another unit."""
    row = connection.execute(
        """
        select exists (
            select 1 from landing.happy_returns_items as mine
            semi join (select item_id from landing.happy_returns_items where feed <> $feed and item_id is not null) as theirs
                using (item_id)
            where mine.feed = $feed
        )
        """,
        {"feed": feed},
    ).fetchone()
    return bool(row and row[0])


Pair = tuple[str, str]


def _known_units(connection: Connection) -> dict[Pair, list[Unit]]:
    """By return and order: the units that were landed."""
    known: dict[Pair, list[Unit]] = defaultdict(list)
    for return_id, order_number, unit, ids, lines, offsets, skus, upcs, feeds, approved_at in connection.execute(
        """
        select
            return_id, order_number, return_item_id,
            list(distinct item_id) filter (where item_id is not null),
            list(distinct base_line_item_id) filter (where base_line_item_id is not null),
            list(distinct unit_offset) filter (where unit_offset is not null and base_line_item_id is not null),
            list(distinct sku) filter (where sku is not null), list(distinct upc) filter (where upc is not null),
            list(distinct feed), max(approved_at)
        from landing.happy_returns_items
        semi join unmatched using (return_id, order_number)
        group by all
        """
    ).fetchall():
        known[return_id, order_number].append(
            Unit(
                unit, set(ids or ()), set(lines or ()), set(offsets or ()), set(skus or ()), set(upcs or ()),
                set(feeds), approved_at,
            )
        )  # fmt: skip
    return known


def _new_units(connection: Connection) -> Iterator[tuple[Pair, list[Unit], set[str]]]:
    """By return and order: the units that would be new, and the known ones that these rows name."""
    taken: dict[Pair, set[str]] = defaultdict(set)
    new: dict[Pair, dict[object, Unit]] = defaultdict(dict)
    for row in connection.execute(
        """
        select
            identified.return_id, identified.order_number, identified.return_item_id, unmatched.source_line is not null,
            source_line, lines.item_id, lines.base_line_item_id, lines.unit_offset, lines.sku, lines.upc,
            lines.approved_at,
            concat_ws(
                ' ', lines.refund_type, lines.received_at, lines.approved_at, lines.refunded_at, lines.disposition, lines.condition
            )
        from identified
        join lines using (source_line)
        left join unmatched using (source_line)
        where (identified.return_id, identified.order_number) in (select (return_id, order_number) from unmatched)
        order by source_line
        """
    ).fetchall():
        return_id, order_number, unit, is_new, line, item_id, base, offset, sku, upc, approved_at, said = row
        pair = (return_id, order_number)
        if not is_new:
            if unit is not None:
                taken[pair].add(unit)
            continue
        key = unit or (line,)  # without a place each row is looked at alone
        one = new[pair].setdefault(key, Unit(unit))
        one.rows.append(line)
        one.sayings.add(said)
        for values, value in (
            (one.item_ids, item_id), (one.lines, base), (one.offsets, offset if base else None), (one.skus, sku), (one.upcs, upc),
        ):  # fmt: skip
            if value is not None:
                values.add(value)
        one.approved_at = approved_at or one.approved_at
    for pair, units in new.items():
        yield pair, list(units.values()), taken[pair]


def _taken_over(
    new: Sequence[Unit], others: Sequence[Unit]
) -> Iterator[tuple[int, str | None, int | None, str | None]]:
    """Units that only events or answers know are taken over by rows of files, one by one; the most alike first."""
    free = list(new)
    for other in sorted(others, key=lambda one: one.order):
        fitting = [
            one
            for one in free
            if one.may_be(other)
            and (not one.item_ids or not other.item_ids or one.is_at_the_place_of(other))
            and (one.return_item_id is not None or sum(mate.may_be(other) for mate in free) == 1)
        ]
        if not fitting:
            continue
        best = min(
            fitting,
            key=lambda one: (
                not one.is_at_the_place_of(other),
                one.approved_at != other.approved_at,
                (one.approved_at is None) != (other.approved_at is None),
                one.order,
            ),
        )
        free.remove(best)
        yield from ((line, other.return_item_id, None, None) for line in best.rows)


def _matched(
    new: Sequence[Unit], others: Sequence[Unit], named: Sequence[Unit], feed: str, *, ids_agree: bool
) -> Iterator[tuple[int, str | None, int | None, str | None]]:
    """Of an event or answer: the unit of each row, the place of one that is alone on its line, or why it is set aside."""

    def candidates(one: Unit) -> list[Unit]:
        found = []
        for other in others:
            if not one.may_be(other) or (one.item_ids and feed in other.feeds):
                continue
            has_other_id = bool(one.item_ids and other.item_ids)
            if has_other_id and ids_agree and not one.is_at_the_place_of(other):
                continue
            found.append(other)
        return sorted(found, key=lambda other: other.order)

    fitting = {id(one): candidates(one) for one in new}
    free = {id(other): other for other in others}
    for one in sorted(new, key=lambda one: one.order):
        found = [other for other in fitting[id(one)] if id(other) in free]
        rivals = [mate for mate in new if any(other in fitting[id(mate)] for other in fitting[id(one)])]
        if not fitting[id(one)]:
            alone = sum(mate.may_be(one) for mate in (*new, *named)) == 1
            if one.return_item_id is None and alone:
                yield from ((line, None, 0, None) for line in one.rows)
            continue
        same = (len(rivals) == 1 and len(found) == 1) or (
            len(rivals) >= len(fitting[id(one)]) and len({said for mate in rivals for said in mate.sayings}) == 1
            and all(mate.approved_at for mate in rivals)
        )  # fmt: skip
        if not same or any(one.item_ids and other.item_ids for other in fitting[id(one)]):
            names = ", ".join(str(other.return_item_id) for other in fitting[id(one)][:5])
            yield from ((line, None, None, _MAY_BE + names) for line in one.rows)
        elif found:
            del free[id(found[0])]
            yield from ((line, found[0].return_item_id, None, None) for line in one.rows)


def _write(connection: Connection, found: Sequence[tuple[int, str | None, int | None, str | None]]) -> None:
    if not found:
        return
    connection.execute(
        """
        update identified set
            return_item_id = coalesce(matched.return_item_id, identified.return_item_id, case when matched.place is not null then
                'unit-' || substr(sha256(concat_ws(
                    chr(31), lines.return_id, lines.order_number, coalesce(lines.base_line_item_id, lines.sku, lines.upc),
                    matched.place::varchar
                )), 1, 20)
            end),
            unit_offset = coalesce(identified.unit_offset, matched.place),
            problem = case when matched.reason is not null
                then struct_pack(column_name := 'item_id', reason := matched.reason, word := $other_feed) end
        from (
            select
                unnest($lines::bigint[]) as source_line, unnest($units::varchar[]) as return_item_id,
                unnest($places::bigint[]) as place, unnest($reasons::varchar[]) as reason
        ) as matched
        join lines using (source_line)
        where identified.source_line = matched.source_line
            and coalesce(lines.base_line_item_id, lines.sku, lines.upc, matched.return_item_id, matched.reason) is not null
        """,
        {
            "lines": [one[0] for one in found], "units": [one[1] for one in found],
            "places": [one[2] for one in found], "reasons": [one[3] for one in found], "other_feed": OTHER_FEED,
        },
    )  # fmt: skip
