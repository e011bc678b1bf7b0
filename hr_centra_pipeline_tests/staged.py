"""An empty database to copy, and hand-made rows of declared tables: what a test does not say has a plain value."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from hr_centra_pipeline.core.words import CentraWords
from hr_centra_pipeline.warehouse.database import Connection, Warehouse, run_sql
from hr_centra_pipeline.warehouse.migrate import prepare
from hr_centra_pipeline.warehouse.tables import DERIVED

DAY = datetime(2026, 9, 1, 12, tzinfo=UTC)
_PLAIN: dict[str, Any] = {
    "VARCHAR": "-", "BIGINT": 1, "DECIMAL(18,4)": Decimal(0), "TIMESTAMPTZ": DAY, "BOOLEAN": False, "VARCHAR[]": [],
}  # fmt: skip


@cache
def template() -> Path:
    """An empty database of this program, made once per process and copied. It does not know yet where it is."""
    folder = Path(tempfile.mkdtemp(prefix="hr-centra-template-"))
    warehouse = Warehouse(folder / "warehouse.duckdb")
    prepare(warehouse)
    with warehouse.transaction() as connection:
        connection.execute("delete from meta.place")
    warehouse.fold_log_in()
    return folder / "warehouse.duckdb"


def prepare_a_copy(warehouse: Warehouse) -> None:
    """As ``migrate.prepare``, where a new database is a copy of the template: that takes a tenth of the time."""
    if not warehouse.path.exists():
        warehouse.path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(template(), warehouse.path)
    prepare(warehouse)


def put(connection: Connection, table: str, **given: Any) -> None:
    """One row of a derived table; what Centra's words mean is filled in by the map of words, as staging does."""
    declared = DERIVED[table]
    given = {**_meanings(table, given), **given}
    row = {
        name: given.pop(name, None if column.nullable else _PLAIN[column.sql])
        for name, column in declared.declared.items()
    }
    assert not given, f"{table} has no column {', '.join(given)}"
    marks = ", ".join("?" * len(row))
    connection.execute(f"insert into {table} ({', '.join(row)}) values ({marks})", list(row.values()))


def _meanings(table: str, given: dict[str, Any]) -> dict[str, Any]:
    words = CentraWords()
    match table:
        case "staging.payment_entries":
            did = words.payment(given["entry_type"], given["status"])
            return {"money": did.money, "instrument": did.instrument, "is_refund": did.is_refund} if did else {}
        case "staging.centra_returns" if "status" in given:
            meaning = words.return_status.meaning_of(given["status"])
            return {"is_completed": meaning and meaning == "completed"}
        case "staging.orders" if "status" in given:
            meaning = words.order_status.meaning_of(given["status"])
            return {"is_cancelled": meaning and meaning == "cancelled"}
    return {}


def pair_payments(connection: Connection) -> None:
    """Pair requests with their answers, as staging does."""
    connection.execute(
        "create or replace temp table paying_orders as select distinct order_number from staging.payment_entries"
    )
    run_sql(connection, "hr_centra_pipeline.sources.centra", "payments.sql")


def order(connection: Connection, number: str, *lines: tuple[str, str, int], price: str = "100", **given: Any) -> None:
    """An order that was shipped whole in one shipment: lines of (line id, SKU, pieces), each piece at ``price``.

    Its shipment has the order's number as id, its lines those of the order.
    """
    put(connection, "staging.orders", **{"order_number": number, "currency": "EUR", "captured": 1000, **given})
    for line, sku, quantity in lines:
        put(
            connection, "staging.order_lines", order_line_id=line, order_number=number, sku=sku, is_product=True,
            quantity=quantity, unit_price=price, tax_percent=25,
        )  # fmt: skip
    shipment(
        connection, int(number), number, *((int(line), line, quantity) for line, _, quantity in lines), price=price
    )


def shipment(
    connection: Connection, shipment_id: int, number: str, *lines: tuple[int, str, int], price: str = "100",
    at: datetime = DAY, is_shipped: bool = True,
) -> None:  # fmt: skip
    """A shipment: lines of (shipment line id, order line id, pieces)."""
    put(
        connection, "staging.shipments", shipment_id=shipment_id, order_number=number, is_shipped=is_shipped,
        shipped_at=at if is_shipped else None,
    )  # fmt: skip
    for line, order_line, quantity in lines:
        put(
            connection, "staging.shipment_lines", shipment_line_id=line, shipment_id=shipment_id, order_number=number,
            order_line_id=order_line, quantity=quantity, unit_price=price, unit_tax=Decimal(price) / 5, currency="EUR",
        )  # fmt: skip


def unit(connection: Connection, item: str, number: str, **given: Any) -> None:
    """A return unit; its return is ``R-<item>`` unless said."""
    put(
        connection, "staging.return_items",
        **{
            "return_item_id": item, "return_id": f"R-{item}", "order_number": number, "refund_type": "refund",
            "dropoff_method": "return-bar", "return_created_at": DAY, **given,
        },
    )  # fmt: skip
