"""Landing of Centra's objects: one row per object as fetched, when it differs from the last one landed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from hr_centra_pipeline.sources.centra.centra_objects import Order, Return, Shipment, StatusMark, StockChange, Warehouse
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.made import makes

DELETED = hashlib.sha256(b"deleted").hexdigest()


@dataclass(frozen=True)
class Row:
    """One object to land. ``columns``: those beside key, hash, payload, fetched_at and batch."""

    key: str | int
    columns: Mapping[str, Any]
    payload: str
    content_sha256: str


@dataclass(frozen=True)
class Target:
    """A landing table and its key column."""

    table: str
    key: str


ORDERS = Target("landing.centra_orders", "order_number")
SHIPMENTS = Target("landing.centra_shipments", "shipment_id")
RETURNS = Target("landing.centra_returns", "centra_return_id")
STOCK_CHANGES = Target("landing.centra_stock_changes", "stock_change_id")
WAREHOUSES = Target("landing.centra_warehouses", "warehouse_id")
STATUS_MARKS = Target("landing.centra_status_marks", "mark")


def order_row(order: Order) -> Row:
    """The landing row of an order."""
    return _row(str(order.number), order, updated_at=order.updated_at)


def shipment_row(shipment: Shipment) -> Row:
    """The landing row of a shipment."""
    return _row(shipment.id, shipment, order_number=str(shipment.order.number), updated_at=shipment.updated_at)


def return_row(found: Return) -> Row:
    """The landing row of a Return."""
    number = str(found.order.number)
    return _row(found.id, found, order_number=number, is_deleted=False, created_at=found.created_at)


def stock_change_row(change: StockChange) -> Row:
    """The landing row of a stock change."""
    return _row(change.id, change, created_at=change.created_at)


def warehouse_row(warehouse: Warehouse) -> Row:
    """The landing row of a warehouse."""
    return _row(warehouse.id, warehouse)


def status_mark_row(mark: StatusMark) -> Row:
    """The landing row of our texts that an order or customer shows."""
    key = f"{mark.object_type} {mark.object_id}"
    return _row(key, mark, object_type=mark.object_type, object_id=mark.object_id)


def _row(key: str | int, node: BaseModel, **columns: Any) -> Row:
    payload = json.dumps(node.model_dump(mode="json", by_alias=True), sort_keys=True, ensure_ascii=False)
    return Row(key, columns, payload, hashlib.sha256(payload.encode()).hexdigest())


def changed(connection: Connection, target: Target, rows: Iterable[Row]) -> list[Row]:
    """Those whose content is not what was landed last; a key that is given twice counts once, by its last row."""
    wanted = {row.key: row for row in rows}
    if not wanted:
        return []
    landed = dict(
        connection.execute(
            f"select {target.key}, arg_max(content_sha256, batch) from {target.table}"  # noqa: S608 - our own names
            f" where {target.key} in (select unnest(?)) group by all",
            [list(wanted)],
        ).fetchall()
    )
    return [row for key, row in wanted.items() if landed.get(key) != row.content_sha256]


def land(
    connection: Connection, target: Target, rows: Iterable[Row], fetched_at: datetime, *, again: Collection[str] = ()
) -> int:
    """Append what changed under one new batch number; answers how many rows that were.

    ``again``: keys that are landed although nothing changed, to prove that they were read.
    """
    given = {row.key: row for row in rows}
    news = changed(connection, target, given.values())
    news += [row for key, row in given.items() if key in again and row not in news]
    if not news:
        return 0
    batch = watermarks.next_batch(connection)
    # One list per column: a page in one statement, not row by row.
    columns: dict[str, list[Any]] = {target.key: [row.key for row in news]}
    columns |= {name: [row.columns[name] for row in news] for name in news[0].columns}
    columns |= {"content_sha256": [row.content_sha256 for row in news], "payload": [row.payload for row in news]}
    connection.execute(
        f"insert into {target.table} ({', '.join(columns)}, fetched_at, batch)"
        f" select {', '.join(['unnest(?)'] * len(columns))}, ?, ?",
        [*columns.values(), fetched_at, batch],
    )
    return len(news)


def land_deleted(connection: Connection, return_ids: Sequence[int], fetched_at: datetime) -> int:
    """Append a row with ``is_deleted`` for each of these Returns, with what it was last; answers how many."""
    if not return_ids:
        return 0
    connection.execute(
        """
        insert into landing.centra_returns by name
        select
            centra_return_id, order_number, ? as content_sha256, payload, true as is_deleted, created_at,
            ?::timestamptz as fetched_at, ?::bigint as batch
        from landing.centra_returns
        where centra_return_id in (select unnest(?))
        qualify row_number() over (partition by centra_return_id order by batch desc) = 1
        """,
        [DELETED, fetched_at, watermarks.next_batch(connection), list(return_ids)],
    )
    return len(return_ids)


@makes("landing.centra_versions", "One row per version of Centra's app that was seen.", kind="source")
def note_version(connection: Connection, app_version: str | None, deprecated: Iterable[str], now: datetime) -> None:
    """Append what Centra says about itself and about the fields that we use, when it is not what it said last."""
    said = (app_version, sorted(deprecated))
    if app_version is None:
        return
    last = connection.execute(
        "select app_version, deprecated_fields from landing.centra_versions order by batch desc limit 1"
    ).fetchone()
    if last is None or (last[0], list(last[1])) != said:
        connection.execute(
            "insert into landing.centra_versions (app_version, deprecated_fields, fetched_at, batch)"
            " values (?, ?, ?, ?)",
            [*said, now, watermarks.next_batch(connection)],
        )
