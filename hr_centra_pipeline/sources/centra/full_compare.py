"""The full compare with Centra, key by key: what was edited, deleted or missed without a trace that the increments follow.

Every object of the history is read again once a week, month of creation by month of creation, a few of them in each run, so
that a run stays short and the quota is shared with the shop's other integrations.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sources.centra import centra_landing
from hr_centra_pipeline.sources.centra.centra_landing import Row, Target
from hr_centra_pipeline.sources.centra.centra_objects import Order, Return, Shipment, StockChange
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.judged import identity
from hr_centra_pipeline.sources.centra.pull import CHANGE_LINES, consumer, with_all_lines
from hr_centra_pipeline.sources.centra.pull_progress import Pull, Raw, recorded, text_of
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.made import makes


@dataclass(frozen=True)
class CompareReport:
    """``slices``: months of an object that were read again; the differences by kind; ``problem``: what stopped it."""

    slices: int
    objects: int
    edited: int
    missed: int
    deleted: int
    problem: str | None


@dataclass(frozen=True)
class _Compared:
    """One object of Centra: how it is read and landed. ``created``: SQL of when an object was made, from its landed row."""

    name: str
    operation: str
    connection: str
    target: Target
    model: Any
    row: Callable[[Any], Row]
    created: str
    order_number: str
    follows_changes: bool  # it has an updatedAt that the increments go by


_OBJECTS = (
    _Compared(
        "returns", "PullReturns", "returnConnection", centra_landing.RETURNS, Return, centra_landing.return_row, "created_at",
        "order_number", follows_changes=False,
    ),
    _Compared(
        "stock_changes", "PullStockChanges", "stockChangeConnection", centra_landing.STOCK_CHANGES, StockChange,
        centra_landing.stock_change_row, "created_at", "null", follows_changes=False,
    ),
    _Compared(
        "orders", "PullOrders", "orderConnection", centra_landing.ORDERS, Order, centra_landing.order_row,
        "(payload ->> 'createdAt')::timestamptz", "order_number", follows_changes=True,
    ),
    _Compared(
        "shipments", "PullShipments", "shipmentConnection", centra_landing.SHIPMENTS, Shipment, centra_landing.shipment_row,
        "(payload ->> 'createdAt')::timestamptz", "order_number", follows_changes=True,
    ),
)  # fmt: skip


@makes(
    "landing.centra_differences",
    "One row per object of Centra that was silently edited, deleted or missed, as the full compare found it.",
    reads=(
        "landing.centra_orders",
        "landing.centra_shipments",
        "landing.centra_returns",
        "landing.centra_stock_changes",
        "landing.centra_pulls",
    ),
    kind="source",
)
def compare_with_centra(
    client: CentraClient, warehouse: Warehouse, policy: Policy, now: datetime, *, everything: bool = False
) -> CompareReport:
    """Read again what is due, up to ``centra.compare_pages`` pages, and land what differs; ``everything``: all, now.

    Run it after the increments: what they follow is not a difference. Each is noted in ``landing.centra_differences``.
    """
    slices = objects = 0
    problems: list[str] = []
    with warehouse.transaction() as connection:
        before = _counts(connection)
        due = _due(connection, policy, now, everything=everything)
    budget = policy.centra.compare_pages * policy.centra.page_size
    for one, begin, end in due:
        if objects >= budget and not everything:
            break
        pull = Pull(f"compare {one.name}", client, warehouse, policy, now, window_from=begin)

        def work(pull: Pull, one: _Compared = one, end: datetime = end) -> None:
            _compare(pull, one, end)

        report = recorded(pull, work)
        slices += 1
        objects += report.rows_read
        if report.problem:
            problems.append(report.problem)
            break
    with warehouse.transaction() as connection:
        after = _counts(connection)
    found = {kind: after.get(kind, 0) - before.get(kind, 0) for kind in ("edited", "missed", "deleted")}
    return CompareReport(slices, objects, problem="; ".join(problems) or None, **found)


def _counts(connection: Connection) -> dict[str, int]:
    return dict(
        connection.execute("select difference, count(*) from landing.centra_differences group by all").fetchall()
    )


def _due(
    connection: Connection, policy: Policy, now: datetime, *, everything: bool
) -> list[tuple[_Compared, datetime, datetime]]:
    """(object, begin, end) of the months that were not read for a week, those longest ago first."""
    read = {
        (name, begin): at
        for name, begin, at in connection.execute(
            "select object, window_from, max(fetched_at) from landing.centra_pulls where is_complete group by all"
        ).fetchall()
    }
    first = dict(
        connection.execute(
            "select object, min(fetched_at) from landing.centra_pulls where is_complete group by all"
        ).fetchall()
    )
    age = timedelta(days=policy.centra.compare_days)
    found = []
    for one in _OBJECTS:
        if one.name not in first:
            continue  # nothing was read yet
        for begin, end in _months(now - timedelta(days=policy.centra.history_days), now):
            last = max(first[one.name], read.get((f"compare {one.name}", begin), first[one.name]))
            if everything or last <= now - age:
                found.append((last, one, begin, end))
    return [(one, begin, end) for _, one, begin, end in sorted(found, key=lambda slice_: (slice_[0], slice_[2]))]


def _months(since: datetime, until: datetime) -> Iterable[tuple[datetime, datetime]]:
    begin = datetime(since.year, since.month, 1, tzinfo=UTC)
    while begin < until:
        end = datetime(begin.year + begin.month // 12, begin.month % 12 + 1, 1, tzinfo=UTC)
        yield begin, end
        begin = end


def _compare(pull: Pull, one: _Compared, end: datetime) -> None:
    """One month of one object, page by page."""
    begin = pull.window_from
    assert begin is not None  # noqa: S101 - the caller gave it
    where: Raw = {"createdAt": {"from": text_of(begin), "to": text_of(end)}}
    variables: dict[str, Any] = {"where": where}
    if one.name == "stock_changes":
        variables["lines"] = CHANGE_LINES
    shown: set[str] = set()
    for raws in pull.client.pages(one.operation, variables, one.connection, pull.page_size):
        is_stock = one.name == "stock_changes"
        nodes = [with_all_lines(pull.client, raw) for raw in raws] if is_stock else consumer(raws)
        shown |= {str(identity(raw, "number" if one.name == "orders" else "id")) for raw in raws}
        rows = [one.row(node) for node in pull.fitting(one.model, nodes)]
        with pull.warehouse.transaction() as connection:
            _note_changed(connection, one, rows, pull.now)
            pull.rows_landed += centra_landing.land(connection, one.target, rows, pull.now)
    if str(None) in shown:
        return  # one of them cannot be read, so that nobody knows which ones are not there
    _find_deleted(pull, one, begin, end, shown)
    pull.newest = min(end, pull.now)


def _note_changed(connection: Connection, one: _Compared, rows: Sequence[Row], now: datetime) -> None:
    """Note the rows that differ from what was landed last, unless the increments would have shown it."""
    batch: int | None = None
    for row in centra_landing.changed(connection, one.target, rows):
        before = connection.execute(
            f"select payload, content_sha256 from {one.target.table} where {one.target.key} = ?"  # noqa: S608 - our own names
            " order by batch desc limit 1",
            [row.key],
        ).fetchone()
        old, new = json.loads(before[0]) if before and before[0] else {}, json.loads(row.payload)
        if before and one.follows_changes and old.get("updatedAt") != new.get("updatedAt"):
            continue  # changed since the increment ran
        fields = sorted(name for name in {*old, *new} if old.get(name) != new.get(name)) if before else None
        batch = batch or watermarks.next_batch(connection)
        connection.execute(
            "insert into landing.centra_differences"
            " (object, object_key, order_number, difference, fields, created_at, found_at, batch)"
            " values (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                one.name, str(row.key), _number(new), "edited" if before else "missed", fields, new.get("createdAt"), now,
                batch,
            ],
        )  # fmt: skip


def _number(payload: dict[str, Any]) -> str | None:
    number = (payload.get("order") or payload).get("number")
    return str(number) if number is not None else None


def _find_deleted(pull: Pull, one: _Compared, begin: datetime, end: datetime, shown: set[str]) -> None:
    """What was landed of the month and is not there any more. Returns are asked for by id once more."""
    with pull.warehouse.transaction() as connection:
        gone = [
            (key, number, created)
            for key, number, created in connection.execute(
                f"""
                with latest_rows as (
                    select * from {one.target.table}
                    qualify row_number() over (partition by {one.target.key} order by batch desc) = 1
                )

                select {one.target.key}, {one.order_number}, {one.created} from latest_rows
                where {one.created} >= $begin and {one.created} < $end
                    and {"not is_deleted" if one.name == "returns" else "true"}
                    and {one.target.key}::varchar not in (
                        select object_key from landing.centra_differences where object = $object and difference = 'deleted'
                    )
                order by 1
                """,  # noqa: S608 - our own names
                {"begin": begin, "end": end, "object": one.name},
            ).fetchall()
            if str(key) not in shown
        ]
    if not gone:
        return
    if one.name == "returns":
        gone = [row for row in gone if not _is_there(pull, int(row[0]))]
    with pull.warehouse.transaction() as connection:
        batch = watermarks.next_batch(connection)
        for key, number, created in gone:
            connection.execute(
                "insert into landing.centra_differences"
                " (object, object_key, order_number, difference, fields, created_at, found_at, batch)"
                " values (?, ?, ?, 'deleted', null, ?, ?, ?)",
                [one.name, str(key), number, created, pull.now, batch],
            )
        if one.name == "returns":
            pull.rows_landed += centra_landing.land_deleted(connection, [int(row[0]) for row in gone], pull.now)


def _is_there(pull: Pull, return_id: int) -> bool:
    pages = pull.client.pages("PullReturns", {"where": {"id": [return_id]}}, "returnConnection", pull.page_size)
    return any(raws for raws in pages)
