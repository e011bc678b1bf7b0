"""Pulls of objects that Centra's hints name, and of orders of units that Happy Returns' events touched.

Beside the pulls of the hourly sync, which they never take the place of: they have no window, move no watermark of theirs, and
are recorded under names of their own (``event_orders``, …), so that the coverage of the polls stays what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sources.centra import centra_landing, hints
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.hints import Named
from hr_centra_pipeline.sources.centra.pull import (
    batches,
    free_stock_of,
    is_order_number,
    land_orders,
    land_returns,
    land_shipments,
    land_stock_changes,
    name_orders,
    order_pages,
    replacement_skus,
    unknown_orders,
)
from hr_centra_pipeline.sources.centra.pull_progress import (
    NAMED_PREFIX,
    Pull,
    PullReport,
    keep_unreadable,
    recorded,
)
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection, Warehouse

_MISSING = "Centra shows none to us"  # deleted, of wholesale, or of another store
_ORDERS, _SHIPMENTS, _RETURNS = "orders", "shipments", "returns"  # parts of the watermark of touched units


@dataclass(frozen=True)
class Follow:
    """What a run of named pulls is about. ``touches``: also the orders of units that events touched (no hourly sync)."""

    client: CentraClient
    warehouse: Warehouse
    policy: Policy
    now: datetime
    touches: bool


@dataclass
class _Task:
    """One named pull under way: what it asks for, and what it has to remember once all of it was read."""

    follow: Follow
    named: Named
    touched: Sequence[str]
    batch: int
    done: dict[str, list[int]] = field(default_factory=dict)
    missing: dict[str, list[int]] = field(default_factory=dict)


def orders(follow: Follow) -> PullReport:
    """Orders of hints, of payments, and of touched units, with their shipments; and those that were never landed.

    Of an order that a hint names, the Returns too, if there are any: what changed on it may be one of them.
    """

    def work(pull: Pull, task: _Task) -> None:
        ids = task.named.of(hints.ORDER)
        with pull.warehouse.transaction() as connection:
            unknown = unknown_orders(connection, pull.now, pull.policy) if follow.touches else []
        shown = name_orders(pull, unknown)
        asked = {number for number, _ in unknown}
        numbers = dict.fromkeys([*map(str, ids), *task.named.payment_orders, *task.touched])
        shown |= _named_orders(pull, [one for one in numbers if one not in asked and is_order_number(one)])
        _settle_hints(pull, task, hints.ORDER, ids, shown)
        task.done[hints.PAYMENT] = list(task.named.of(hints.PAYMENT))
        with pull.warehouse.transaction() as connection:
            known = _with_returns(connection, [*map(str, ids), *task.named.payment_orders])
        _returns_on(pull, known, [], set())

    return _pulled(follow, _ORDERS, (hints.ORDER, hints.PAYMENT), work)


def shipments(follow: Follow) -> PullReport:
    """Shipments of hints, and those of touched orders."""

    def work(pull: Pull, task: _Task) -> None:
        ids = task.named.of(hints.SHIPMENT)
        shown: set[int] = set()
        for some in batches(ids, pull.page_size):
            shown |= {shipment.id for shipment in land_shipments(pull, {"id": some})}
        for some_orders in batches(_order_ids(pull, task.touched), pull.page_size):
            for _ in land_shipments(pull, {"orderId": some_orders}):
                pass
        _settle_hints(pull, task, hints.SHIPMENT, ids, shown)

    return _pulled(follow, _SHIPMENTS, (hints.SHIPMENT,), work)


def returns(follow: Follow) -> PullReport:
    """Returns of hints, and those of touched orders; one that is gone is deleted.

    The order of a Return comes along: its payments and returned quantities changed with it.
    """

    def work(pull: Pull, task: _Task) -> None:
        ids = task.named.of(hints.RETURN)
        shown: set[int | None] = set()
        for some in batches(ids, pull.page_size):
            shown |= land_returns(pull, {"id": some})
        _returns_on(pull, task.touched, ids, shown)
        _settle_hints(pull, task, hints.RETURN, ids, shown)
        if follow.touches:
            with pull.warehouse.transaction() as connection:
                more = [one for one in _orders_of(connection, ids) if one not in task.touched]
            _named_orders(pull, more)

    return _pulled(follow, _RETURNS, (hints.RETURN,), work)


def _returns_on(pull: Pull, numbers: Sequence[str], ids: Sequence[int], shown: set[int | None]) -> None:
    """Land the Returns on some orders. Landed ones on them, or with these ids, that Centra does not show are deleted.

    ``shown``: those that it has shown so far; asked for by id are ``ids``.
    """
    for some in batches([int(number) for number in numbers if is_order_number(number)], pull.page_size):
        shown |= land_returns(pull, {"orderNumber": some})
    with pull.warehouse.transaction() as connection:
        doubtful = [one for one in _landed_returns(connection, ids, numbers) if one not in shown]
    for some in batches([one for one in doubtful if one not in ids], pull.page_size):
        shown |= land_returns(pull, {"id": some})
    if None in shown:
        return  # one of them is there, and cannot be read: which one is not known
    with pull.warehouse.transaction() as connection:
        gone = [one for one in doubtful if one not in shown]
        pull.rows_landed += centra_landing.land_deleted(connection, gone, pull.now)


def stock_changes(follow: Follow) -> PullReport:
    """Stock changes of hints."""

    def work(pull: Pull, task: _Task) -> None:
        ids = task.named.of(hints.STOCK_CHANGE)
        for some in batches(ids, pull.page_size):
            land_stock_changes(pull, {"id": some}, is_window=False)
        task.done[hints.STOCK_CHANGE] = list(ids)

    return _pulled(follow, "stock_changes", (hints.STOCK_CHANGE,), work)


def replacement_stock(follow: Follow) -> PullReport:
    """What is free of the SKUs that open exchanges of touched units ask for."""

    def work(pull: Pull, task: _Task) -> None:
        with pull.warehouse.transaction() as connection:
            wanted = replacement_skus(connection, task.touched)
        free_stock_of(pull, wanted)

    return _pulled(follow, "replacement_stock", (), work)


# ---------------------------------------------------------------- one pull


def _pulled(follow: Follow, name: str, of: Collection[str], work: Callable[[Pull, _Task], None]) -> PullReport:
    """Do one named pull, if anything is named; then note what was dealt with. What failed is named again by the next run."""
    with follow.warehouse.transaction() as connection:
        named = hints.named(connection)
        touched = _touched_orders(connection, name) if follow.touches else []
        batch = watermarks.newest_batch(connection) if follow.touches else watermarks.NOTHING
    is_asked = bool(touched) or any(named.of(one) for one in of)
    if not is_asked and not (follow.touches and name == _ORDERS):
        return PullReport(NAMED_PREFIX + name, 0, 0, True, None)
    task = _Task(follow, named, touched, batch)
    pull = Pull(NAMED_PREFIX + name, follow.client, follow.warehouse, follow.policy, follow.now)
    report = recorded(pull, lambda pull: work(pull, task), only_if_read=True)
    if report.error is not None:
        return report
    with follow.warehouse.transaction() as connection:
        for object_type, ids in task.done.items():
            hints.mark_pulled(connection, object_type, ids, named.batch, follow.now)
        for object_type, ids in task.missing.items():
            hints.mark_pulled(connection, object_type, ids, named.batch, follow.now, _MISSING)
        keep_unreadable(connection, pull)
        if follow.touches and report.complete:
            watermarks.write(connection, watermarks.NAMED, batch, follow.now, part=name)
    return report


def _settle_hints(pull: Pull, task: _Task, object_type: str, ids: Sequence[int], shown: Collection[int | None]) -> None:
    """Note which hints are dealt with. An object that does not fit its model is left to the polls, which ask until it does; one
    whose id cannot be read may be any that was not shown.
    """
    task.done[object_type] = [one for one in ids if one in shown or one in pull.unreadable]
    if not pull.has_nameless:
        task.missing[object_type] = [one for one in ids if one not in task.done[object_type]]


def _named_orders(pull: Pull, numbers: Sequence[str]) -> set[int]:
    """Land orders by number, with their shipments; answers those that Centra showed."""
    shown: set[int] = set()
    for some in batches([int(number) for number in numbers], pull.page_size):
        for page in order_pages(pull, {"number": some}):
            land_orders(pull, page)
            shown |= {order.number for order in page}
    return shown


# ---------------------------------------------------------------- what is named


def _touched_orders(connection: Connection, part: str) -> list[str]:
    """Orders of units of which Happy Returns said something that neither this part nor the polls have followed yet."""
    mine = watermarks.parts(connection, watermarks.NAMED).get(part)
    rows = connection.execute(
        """
        with
        last_poll as (
            select max(batch) as batch from landing.centra_pulls where "object" = 'returns' and is_complete
        ),

        since as (select greatest($mine::bigint, coalesce((select batch from last_poll), -1)) as batch)

        select distinct order_number
        from (
            select items.order_number
            from staging.return_items as items
            join (
                select return_item_id from landing.happy_returns_items where batch > (select batch from since)
                union
                select return_item_id from landing.happy_returns_shipments where batch > (select batch from since)
            ) as landed using (return_item_id)
            union
            select returns.order_number
            from staging.returns as returns
            join (
                select distinct return_id from landing.happy_returns_returns where batch > (select batch from since)
            ) as landed using (return_id)
        )
        where order_number is not null
        order by order_number
        """,
        {"mine": mine.batch if mine else watermarks.NOTHING},
    ).fetchall()
    return [number for (number,) in rows]


def _order_ids(pull: Pull, numbers: Sequence[str]) -> list[str]:
    """Centra's ids of landed orders."""
    with pull.warehouse.transaction() as connection:
        rows = connection.execute(
            """
            select arg_max(payload ->> '$.id', batch) from landing.centra_orders
            where order_number in (select unnest(?::varchar[])) group by order_number order by order_number
            """,
            [list(numbers)],
        ).fetchall()
    return [order_id for (order_id,) in rows if order_id]


def _with_returns(connection: Connection, numbers: Sequence[str]) -> list[str]:
    """Those of some orders of which either side knows a return."""
    rows = connection.execute(
        """
        select order_number from (select unnest(?::varchar[]) as order_number) as asked
        where order_number in (select order_number from staging.return_items)
            or order_number in (select order_number from landing.centra_returns)
        order by order_number
        """,
        [list(numbers)],
    ).fetchall()
    return [number for (number,) in rows]


def _landed_returns(connection: Connection, ids: Sequence[int], numbers: Sequence[str]) -> list[int]:
    """Returns with these ids, or on these orders, that were landed and are not known to be deleted."""
    rows = connection.execute(
        """
        with latest_returns as (
            select centra_return_id, order_number, is_deleted from landing.centra_returns
            where centra_return_id in (select unnest($ids::bigint[]))
                or order_number in (select unnest($numbers::varchar[]))
            qualify row_number() over (partition by centra_return_id order by batch desc) = 1
        )

        select centra_return_id from latest_returns where not is_deleted order by centra_return_id
        """,
        {"ids": list(ids), "numbers": list(numbers)},
    ).fetchall()
    return [return_id for (return_id,) in rows]


def _orders_of(connection: Connection, ids: Sequence[int]) -> list[str]:
    """The orders of landed Returns."""
    rows = connection.execute(
        "select distinct order_number from landing.centra_returns"
        " where centra_return_id in (select unnest(?::bigint[])) order by order_number",
        [list(ids)],
    ).fetchall()
    return [number for (number,) in rows]
