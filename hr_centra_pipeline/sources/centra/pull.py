"""What is pulled from Centra and when it is read again. Each function does one pull and reports on it.

Connections are paged by cursor in the order of their key: what changes meanwhile is read again by the next pull.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Literal, TypeVar

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sources.centra import centra_landing
from hr_centra_pipeline.sources.centra.centra_errors import Permanent
from hr_centra_pipeline.sources.centra.centra_objects import (
    MarkedCustomer,
    MarkedOrder,
    Order,
    Return,
    Shipment,
    SizeStock,
    StatusMark,
    StockChange,
)
from hr_centra_pipeline.sources.centra.centra_objects import Warehouse as CentraWarehouse
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.judged import Unreadable, identity, nodes_of
from hr_centra_pipeline.sources.centra.pull_progress import Pull, PullReport, Raw, recorded, text_of
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.made import makes

__all__ = [
    "CHANGE_LINES", "PullReport", "consumer",
    "pull_named_orders", "pull_orders", "pull_replacement_stock", "pull_returns", "pull_shipments", "pull_status_marks",
    "pull_stock_changes", "pull_warehouses", "with_all_lines",
]  # fmt: skip

Key = TypeVar("Key", int, str)

_LIST_LIMIT = 200  # the most that Centra's lists give at once
_MOST_LISTS = 2000  # pages by number: a hundred thousand lines, more than a stock change can have
CHANGE_LINES = 50  # of a stock change, with its page: the rest of a long one is read by itself
_SKUS_AT_ONCE = 50
_ASK_AGAIN = timedelta(hours=1)
_LARGEST_NUMBER = 2**31 - 1  # a GraphQL Int


def pull_orders(client: CentraClient, warehouse: Warehouse, policy: Policy, now: datetime) -> PullReport:
    """Orders by Centra's own ``updatedAt``; whatever order is new or changed is read with its shipments."""

    def work(pull: Pull) -> None:
        for page in order_pages(pull, {"updatedAt": {"from": text_of(pull.since())}}):
            land_orders(pull, page)
            for order in page:
                pull.saw(order.updated_at)
        for numbers in batches(pull.ask_again(), pull.page_size):
            for page in order_pages(pull, {"number": numbers}):
                land_orders(pull, page)

    return recorded(Pull("orders", client, warehouse, policy, now), work)


@makes(
    "landing.centra_orders",
    "One row per order as fetched, when it changed; orders that open return items name are fetched by number.",
    reads=("staging.return_items", "landing.centra_hints"),
    loops={
        "landing.centra_pulls": "a pull starts where the last one ended",
        "landing.centra_absent_orders": "an order that Centra did not know is asked for again, but not each time",
    },
    kind="source",
)
def pull_named_orders(client: CentraClient, warehouse: Warehouse, policy: Policy, now: datetime) -> PullReport:
    """Orders that return items name and that were not landed, by number, with their shipments.

    Only Centra's "no such order" proves that there is none; while an item is open it is asked again, once an hour.
    """

    def work(pull: Pull) -> None:
        with warehouse.transaction() as connection:
            unknown = unknown_orders(connection, now, policy)
        name_orders(pull, unknown)

    return recorded(Pull("named_orders", client, warehouse, policy, now), work)


@makes(
    "landing.centra_shipments",
    "One row per shipment as fetched, when it changed.",
    reads=("staging.return_items", "landing.centra_hints"),
    loops={"landing.centra_pulls": "a pull starts where the last one ended"},
    kind="source",
)
def pull_shipments(client: CentraClient, warehouse: Warehouse, policy: Policy, now: datetime) -> PullReport:
    """Shipments by Centra's own ``updatedAt``: whether one touches its order's is not documented."""

    def work(pull: Pull) -> None:
        for shipment in land_shipments(pull, {"updatedAt": {"from": text_of(pull.since())}}):
            pull.saw(shipment.updated_at)
        for ids in batches(pull.ask_again(), pull.page_size):
            for _ in land_shipments(pull, {"id": ids}):
                pass

    return recorded(Pull("shipments", client, warehouse, policy, now), work)


@makes(
    "landing.centra_returns",
    "One row per Return as fetched, when it changed or was deleted.",
    reads=("staging.return_items", "landing.centra_hints"),
    loops={
        "landing.centra_pulls": "a pull starts where the last one ended",
        "staging.centra_returns": "a Return that the last staging shows as finished is not fetched again",
        "staging.payment_entries": "a Return that the last staging shows as finished is not fetched again",
    },
    kind="source",
)
def pull_returns(client: CentraClient, warehouse: Warehouse, policy: Policy, now: datetime) -> PullReport:
    """Returns: those made in the window, those of orders with open return items, and by id those still under way.

    Centra reports neither that a Return changed nor that it is gone: what was landed and is in none of the lists is
    asked for by id, and is deleted when Centra does not know it any more.
    """

    def work(pull: Pull) -> None:
        window = now - timedelta(days=policy.centra.returns_window_days)
        pull.window_from = since = min(pull.since(), window)
        with warehouse.transaction() as connection:
            open_orders = [number for number in _open_orders(connection, now, policy) if is_order_number(number)]
        shown = land_returns(pull, {"createdAt": {"from": text_of(since)}}, is_window=True)
        for numbers in batches(open_orders, pull.page_size):
            shown |= land_returns(pull, {"orderNumber": [int(number) for number in numbers]})
        with warehouse.transaction() as connection:
            doubtful = _returns_to_ask_for(connection, since, open_orders, shown)
        doubtful += [one for one in pull.ask_again() if one not in shown and one not in doubtful]
        for ids in batches(doubtful, pull.page_size):
            found = land_returns(pull, {"id": ids})
            if None in found:
                continue  # one of them is there, and cannot be read: which one is not known
            gone = sorted(set(ids) - found)
            with warehouse.transaction() as connection:
                pull.rows_landed += centra_landing.land_deleted(connection, gone, now)

    return recorded(Pull("returns", client, warehouse, policy, now), work)


@makes(
    "landing.centra_stock_changes",
    "One row per stock change as fetched.",
    reads=("landing.centra_hints",),
    loops={"landing.centra_pulls": "a pull starts where the last one ended"},
    kind="source",
)
def pull_stock_changes(client: CentraClient, warehouse: Warehouse, policy: Policy, now: datetime) -> PullReport:
    """Stock changes by Centra's own ``createdAt``, each with all of its lines."""

    def work(pull: Pull) -> None:
        land_stock_changes(pull, {"createdAt": {"from": text_of(pull.since())}})
        for ids in batches(pull.ask_again(), pull.page_size):
            land_stock_changes(pull, {"id": ids}, is_window=False)

    return recorded(Pull("stock_changes", client, warehouse, policy, now), work)


@makes("landing.centra_warehouses", "One row per warehouse as fetched, when it changed.", kind="source")
def pull_warehouses(client: CentraClient, warehouse: Warehouse, policy: Policy, now: datetime) -> PullReport:
    """Every warehouse."""

    def work(pull: Pull) -> None:
        known: set[int | None] = set()
        for number in range(1, _MOST_LISTS + 1):
            raws = client.objects("PullWarehouses", {"limit": _LIST_LIMIT, "page": number}, "warehouses")
            page = pull.fitting(CentraWarehouse, raws)
            pull.land(centra_landing.WAREHOUSES, [centra_landing.warehouse_row(found) for found in page])
            if len(raws) < _LIST_LIMIT:
                return
            if known.issuperset(ids := {identity(raw) for raw in raws}):
                break
            known |= ids
        raise Permanent(f"page {number} of the warehouses shows none that is new: no end", operation="PullWarehouses")

    return recorded(Pull("warehouses", client, warehouse, policy, now), work)


@makes(
    "landing.centra_replacement_stock",
    "One row per SKU that an open exchange asks for, as fetched.",
    reads=("staging.return_items", "push.exchange_decisions"),
    loops={"push.ledger": "an exchange is open until an earlier push has confirmed its replacement"},
    kind="source",
)
def pull_replacement_stock(client: CentraClient, warehouse: Warehouse, policy: Policy, now: datetime) -> PullReport:
    """What is free of every SKU that an open exchange asks for; a SKU that Centra does not know has none."""

    def work(pull: Pull) -> None:
        with warehouse.transaction() as connection:
            wanted = replacement_skus(connection)
        free_stock_of(pull, wanted)

    return recorded(Pull("replacement_stock", client, warehouse, policy, now), work)


@makes(
    "landing.centra_status_marks",
    "One row per order or customer and our texts on it, as fetched, where the policy writes a return's state there.",
    reads=("staging.return_items", "landing.centra_orders"),
    loops={"push.ledger": "what an earlier push has written is looked for once"},
    kind="source",
)
def pull_status_marks(client: CentraClient, warehouse: Warehouse, policy: Policy, now: datetime) -> PullReport:
    """Our texts that the orders with open return items and their customers show, where the policy writes it there.

    Only our own lines and our own attribute are kept. Centra does not say which of them have changed, so all are read again.
    """

    def work(pull: Pull) -> None:
        kinds = policy.status.effect_kinds
        if kinds == ("status_update",):
            return  # the orders' own comments come with the orders
        with warehouse.transaction() as connection:
            orders = [int(number) for number in _open_orders(connection, now, policy) if is_order_number(number)]
            customers = _customers_of(connection, orders)
            written = _written_since_read(connection)
        if "order_attribute" in kinds:
            for numbers in batches(orders, pull.page_size):
                raws = client.objects("ReadOrderAttributes", {"number": numbers, "limit": len(numbers)}, "orders")
                _land_marks(pull, "order", numbers, MarkedOrder, raws, written)
        for kind, operation in (
            ("customer_note", "ReadCustomerComments"),
            ("customer_attribute", "ReadCustomerAttributes"),
        ):
            for ids in batches(customers if kind in kinds else [], pull.page_size):
                raws = client.objects(operation, {"id": ids, "limit": len(ids)}, "customers")
                _land_marks(pull, "customer", ids, MarkedCustomer, raws, written)

    return recorded(Pull("status_marks", client, warehouse, policy, now), work)


# ---------------------------------------------------------------- orders and shipments


def consumer(raws: Iterable[Raw]) -> list[Raw]:
    """Without wholesale: its orders, shipments and returns are other types. What does not say what it is has to fit."""
    return [raw for raw in raws if not str(raw.get("__typename")).startswith("Wholesale")]


def order_pages(pull: Pull, where: Raw) -> Iterator[list[Order]]:
    """Consumer orders that fit, page by page."""
    for raws in pull.client.pages("PullOrders", {"where": where}, "orderConnection", pull.page_size):
        yield pull.fitting(Order, consumer(raws), is_own=True)


def land_shipments(pull: Pull, where: Raw) -> Iterator[Shipment]:
    """Land the shipments of one list; those that fit."""
    for raws in pull.client.pages("PullShipments", {"where": where}, "shipmentConnection", pull.page_size):
        page = pull.fitting(Shipment, consumer(raws), is_own=True)
        pull.land(centra_landing.SHIPMENTS, [centra_landing.shipment_row(shipment) for shipment in page])
        yield from page


def land_orders(pull: Pull, orders: Sequence[Order]) -> None:
    """Land a page. Shipments first: an order that was landed is not asked for by number again."""
    with pull.warehouse.transaction() as connection:
        news = {
            row.key
            for row in centra_landing.changed(connection, centra_landing.ORDERS, map(centra_landing.order_row, orders))
        }
    if not news:
        return
    where = {"orderId": [order.id for order in orders if str(order.number) in news]}
    unread: set[str] = set()  # orders of which a shipment could not be read
    for raws in pull.client.pages("PullShipments", {"where": where}, "shipmentConnection", pull.page_size):
        given = consumer(raws)
        page = pull.fitting(Shipment, given, is_own=None)
        pull.land(centra_landing.SHIPMENTS, [centra_landing.shipment_row(shipment) for shipment in page])
        fitting = {shipment.id for shipment in page}
        unread |= {_number_of_order(raw) for raw in given if raw.get("id") not in fitting}
    for number in unread:
        if number:
            pull.unreadable[int(number)] = "a shipment of it does not fit"
        else:
            pull.has_nameless = True
    if "" not in unread:
        whole = [order for order in orders if str(order.number) not in unread]
        pull.land(centra_landing.ORDERS, [centra_landing.order_row(order) for order in whole])


def _number_of_order(raw: Raw) -> str:
    """The order of a shipment that does not fit; empty when even that cannot be read."""
    order = raw.get("order")
    number = order.get("number") if isinstance(order, Mapping) else None
    return str(number) if isinstance(number, int) else ""


@makes(
    "landing.centra_absent_orders",
    "One row per order that return items name and Centra does not have.",
    reads=("staging.return_items",),
    kind="source",
)
def name_orders(pull: Pull, wanted: Sequence[tuple[str, bool]]) -> set[int]:
    """Ask for orders by number, each with whether it was asked before; note those that Centra does not know, answer the others."""
    askable = [number for number, _ in wanted if is_order_number(number)]
    # Centra's numbers are whole: anything else cannot be one of its orders. Asking would be refused; said once.
    absent = [number for number, was_asked in wanted if not was_asked and not is_order_number(number)]
    known: set[int] = set()
    for numbers in batches(askable, pull.page_size):
        shown: set[str] = set()
        problems = len(pull.problems)
        for page in order_pages(pull, {"number": [int(number) for number in numbers]}):
            land_orders(pull, page)
            shown |= {str(order.number) for order in page}
        if len(pull.problems) == problems:
            absent += [number for number in numbers if number not in shown]
        known |= {int(number) for number in shown}
    if absent:
        with pull.warehouse.transaction() as connection:
            batch = watermarks.next_batch(connection)
            connection.executemany(
                "insert into landing.centra_absent_orders (order_number, fetched_at, batch) values (?, ?, ?)",
                [(number, pull.now, batch) for number in absent],
            )
    return known


def is_order_number(text: str) -> bool:
    """Whether a text can be the number of one of Centra's orders."""
    return text.isascii() and text.isdecimal() and str(int(text)) == text and 0 < int(text) <= _LARGEST_NUMBER


def unknown_orders(connection: Connection, now: datetime, policy: Policy) -> list[tuple[str, bool]]:
    """Order numbers that return items name and that were never landed, each with whether it was asked for before.

    Those known to be absent only while an item is open on them, and not within the last hour.
    """
    rows = connection.execute(
        """
        select order_number, max(absent.fetched_at) as absent_at
        from (select distinct order_number from staging.return_items)
        anti join landing.centra_orders using (order_number)
        left join landing.centra_absent_orders as absent using (order_number)
        group by order_number
        order by order_number
        """
    ).fetchall()
    is_open = set(_open_orders(connection, now, policy))
    return [
        (number, absent_at is not None)
        for number, absent_at in rows
        if absent_at is None or (number in is_open and absent_at <= now - _ASK_AGAIN)
    ]


def _open_orders(connection: Connection, now: datetime, policy: Policy) -> list[str]:
    """Order numbers with return items that may still get an effect, or got one within the window."""
    rows = connection.execute(
        """
        select distinct order_number from staging.return_items
        where
            (refunded_at is null or refunded_at > ?)
            and (coalesce(return_status, '') not in ('expired', 'failed') or source_time > ?)
            and source_time > ?
        order by order_number
        """,
        [
            now - timedelta(days=policy.centra.returns_window_days),
            now - timedelta(days=policy.centra.returns_window_days),
            now - timedelta(days=policy.centra.history_days),
        ],
    ).fetchall()
    return [number for (number,) in rows]


# ---------------------------------------------------------------- Returns


def land_returns(pull: Pull, where: Raw, *, is_window: bool = False) -> set[int | None]:
    """Land the Returns of one list; answers the ids that Centra showed, those that do not fit included.

    ``None`` among them: one whose id cannot be read.
    """
    shown: set[int | None] = set()
    for raws in pull.client.pages("PullReturns", {"where": where}, "returnConnection", pull.page_size):
        shown |= {identity(raw) for raw in raws}
        page = pull.fitting(Return, consumer(raws), is_own=True)
        pull.land(centra_landing.RETURNS, [centra_landing.return_row(found) for found in page])
        for found in page if is_window else []:
            pull.saw(found.created_at)
    return shown


def _returns_to_ask_for(
    connection: Connection, since: datetime, open_orders: Sequence[str], shown: Collection[int | None]
) -> list[int]:
    """Landed, not known to be deleted, not shown just now: those that should have been, and those still under way."""
    rows = connection.execute(
        """
        with
        -- one row per Return: as landed last
        latest_returns as (
            select centra_return_id, order_number, is_deleted, created_at from landing.centra_returns
            qualify row_number() over (partition by centra_return_id order by batch desc) = 1
        ),

        -- one row per Return that the last staging shows as finished: completed, and every payment on it answered
        finished_returns as (
            select centra_return_id from staging.centra_returns
            where is_completed and centra_return_id not in (
                select centra_return_id from staging.payment_entries
                where centra_return_id is not null and (money is null or is_refund_open(money))
            )
        )

        select centra_return_id from latest_returns
        where
            not is_deleted
            and centra_return_id not in (select unnest(?::bigint[]))
            and (
                created_at >= ?
                or order_number in (select unnest(?::varchar[]))
                or centra_return_id not in (from finished_returns)
            )
        order by centra_return_id
        """,
        [[one for one in shown if one is not None], since, list(open_orders)],
    ).fetchall()
    return [return_id for (return_id,) in rows]


# ---------------------------------------------------------------- stock


def land_stock_changes(pull: Pull, where: Raw, *, is_window: bool = True) -> None:
    """Land the stock changes of one list, each with all of its lines."""
    variables = {"where": where, "lines": CHANGE_LINES}
    for raws in pull.client.pages("PullStockChanges", variables, "stockChangeConnection", pull.page_size):
        page = pull.fitting(StockChange, [with_all_lines(pull.client, raw) for raw in raws], is_own=True)
        pull.land(centra_landing.STOCK_CHANGES, [centra_landing.stock_change_row(change) for change in page])
        for change in page if is_window else []:
            pull.saw(change.created_at)


def with_all_lines(client: CentraClient, raw: Raw) -> Raw:
    """A stock change with the lines beyond its first page: they never change, so that page numbers hold.

    Without any when they are not a list, or do not end: so it does not fit, and is refused by name.
    """
    lines, more, number = raw.get("lines"), raw.get("lines"), 1
    known: set[int | None] = set()
    while isinstance(lines, list) and isinstance(more, list) and len(more) == CHANGE_LINES:
        ids = {identity(line) if isinstance(line, Mapping) else None for line in more}
        if ids <= known or number == _MOST_LISTS:
            return {**raw, "lines": None}
        known |= ids
        number += 1
        variables = {"id": [raw.get("id")], "lines": CHANGE_LINES, "page": number}
        answer = client.execute("PullStockChangeLines", variables)
        try:
            nodes = nodes_of(answer.data.get("stockChangeConnection"))
        except Unreadable:
            return {**raw, "lines": None}
        more = nodes[0].get("lines") if nodes else []
        lines = [*lines, *more] if isinstance(more, list) else None
    return {**raw, "lines": lines}


def free_stock_of(pull: Pull, wanted: Sequence[str]) -> None:
    """Land what is free of these SKUs."""
    for skus in batches(wanted, _SKUS_AT_ONCE):
        raws = pull.client.objects("PullReplacementStock", {"sku": skus, "limit": _LIST_LIMIT}, "productSizes")
        if len(raws) >= _LIST_LIMIT:
            problem = f"{len(raws)} sizes for {len(skus)} SKUs: the list may go on. Make SKUs unique in Centra."
            raise Permanent(problem, operation="PullReplacementStock")
        problems = len(pull.problems)
        sizes = pull.fitting(SizeStock, raws)
        if len(pull.problems) == problems:
            _land_free_stock(pull, skus, sizes)


def replacement_skus(connection: Connection, orders: Sequence[str] | None = None) -> list[str]:
    """SKUs that open exchanges ask for; ``orders``: of units on these alone."""
    rows = connection.execute(
        """
        -- Until the ledger has its replacement as confirmed, an exchange is open, whatever Happy Returns says of it; and again
        -- when a person wants a canceled one ordered again.
        with repeated_orders as (
            select return_item_id, count(*) as times from push.exchange_decisions where decision = 'order_again' group by all
        )

        select distinct exchange_sku from staging.return_items
        anti join (
            select return_item_id from push.ledger left join repeated_orders using (return_item_id)
            where effect_kind = 'exchange_order' and state = 'confirmed'
            group by return_item_id having count(*) > coalesce(any_value(repeated_orders.times), 0)
        ) as exchanged using (return_item_id)
        where
            refund_type = 'exchange' and exchange_sku is not null
            and ($is_every or order_number in (select unnest($orders::varchar[])))
        order by exchange_sku
        """,
        {"is_every": orders is None, "orders": list(orders or ())},
    ).fetchall()
    return [sku for (sku,) in rows]


def _land_free_stock(pull: Pull, skus: Sequence[str], sizes: Sequence[SizeStock]) -> None:
    found = []
    for sku in skus:
        of_sku = [size for size in sizes if size.sku == sku]
        free = sum(stock.free_to_allocate_quantity for size in of_sku for stock in size.stock)
        found.append((sku, min((size.id for size in of_sku), default=None), free))
    with pull.warehouse.transaction() as connection:
        landed = {
            sku: (size_id, free)
            for sku, size_id, free in connection.execute(
                """
                select sku, product_size_id, free_quantity from landing.centra_replacement_stock
                where sku in (select unnest(?)) qualify row_number() over (partition by sku order by batch desc) = 1
                """,
                [list(skus)],
            ).fetchall()
        }
        news = [row for row in found if landed.get(row[0]) != row[1:]]
        if news:
            batch = watermarks.next_batch(connection)
            connection.executemany(
                "insert into landing.centra_replacement_stock"
                " (sku, product_size_id, free_quantity, fetched_at, batch)"
                " values (?, ?, ?, ?, ?)",
                [(*row, pull.now, batch) for row in news],
            )
    pull.rows_landed += len(news)


# ---------------------------------------------------------------- where a return's state is written


def _customers_of(connection: Connection, orders: Sequence[int]) -> list[int]:
    """The customers of landed orders."""
    rows = connection.execute(
        """
        with latest_orders as (
            select payload ->> '$.customer.id' as customer_id from landing.centra_orders
            where order_number in (select unnest(?::varchar[]))
            qualify row_number() over (partition by order_number order by batch desc) = 1
        )

        select distinct customer_id::bigint from latest_orders where customer_id is not null order by all
        """,
        [[str(number) for number in orders]],
    ).fetchall()
    return [customer_id for (customer_id,) in rows]


def _written_since_read(connection: Connection) -> frozenset[str]:
    """Keys of marks that were written since they were landed last: whether they are there has to be seen once."""
    rows = connection.execute(
        """
        with written_marks as (
            select
                case when effect_kind = 'order_attribute' then 'order ' else 'customer ' end || centra_id as mark,
                max(updated_at) as updated_at
            from push.ledger
            where effect_kind in ('order_attribute', 'customer_note', 'customer_attribute') and state = 'confirmed'
            group by all
        )

        select mark from written_marks
        where updated_at >= coalesce(
            (select max(fetched_at) from landing.centra_status_marks as landed where landed.mark = written_marks.mark),
            '-infinity'::timestamptz
        )
        """
    ).fetchall()
    return frozenset(mark for (mark,) in rows)


def _land_marks(
    pull: Pull,
    object_type: Literal["order", "customer"],
    asked: Sequence[int],
    model: type[MarkedOrder] | type[MarkedCustomer],
    raws: Sequence[Raw],
    written: Collection[str],
) -> None:
    """Land what is ours of each object; nothing of one that Centra does not show any more."""
    status = pull.policy.status
    problems = len(pull.problems)
    marks = [found.mark(status.attribute_type, status.attribute_element) for found in pull.fitting(model, raws)]
    shown = {identity(raw, "number" if object_type == "order" else "id") for raw in raws}
    if len(pull.problems) == problems:  # else what is not shown may be what cannot be read
        marks += [StatusMark(object_type=object_type, object_id=str(one)) for one in asked if one not in shown]
    pull.land(centra_landing.STATUS_MARKS, [centra_landing.status_mark_row(mark) for mark in marks], again=written)


def batches(values: Sequence[Key], size: int) -> Iterator[list[Key]]:
    """Keys that are asked for together."""
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch
