"""The export files: full-state rows of what changed, in the default columns. Written beside and renamed, never half."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

Row = dict[str, Any]

COLUMNS: dict[str, tuple[str, ...]] = {
    "returns": (
        "return_id", "order_number", "express_code", "refund_status", "customer_email", "items_approved",
        "return_method", "created_at", "last_approved_at", "external_rma_id", "order_id", "retailer_id", "items_total",
        "items_received", "started_at", "dropped_off_at", "expired_at", "time_zone", "updated_at",
    ),
    "items": (
        "return_id", "order_number", "order_id", "order_line_item_id", "sku", "upc", "product_variant_id",
        "label_barcode", "product_name", "purchased_at", "email", "external_rma_id", "item_id", "express_code",
        "return_reason_id", "return_reason", "category_id", "refund_type", "one_click_exchange", "exchange_sku",
        "dropoff_method", "received_channel", "drop_off_location", "location_metro", "country", "received_at",
        "approved_at", "refunded_at", "condition", "inspection_outcome", "disposition", "bag_barcode", "unit_offset",
        "line_quantity", "base_line_item_id", "hub_received_at", "warehouse_received_at", "updated_at",
    ),
    "refunds": (
        "refund_id", "return_id", "order_number", "refund_type", "issued_at", "status", "currency", "item_subtotal",
        "discount", "tax", "shipping_refund", "processing_fee", "fee_basis", "total_refunded",
        "exchange_order_number", "price_difference", "gift_card_id", "failure_reason", "item_ids", "updated_at",
    ),
    "shipments": (
        "shipment_id", "item_id", "return_id", "express_code", "order_number", "order_line_item_id", "sku", "upc",
        "product_name", "carrier", "tracking", "inspection_outcome", "departed_at", "destination_address_id",
        "bag_barcodes", "updated_at",
    ),
}  # fmt: skip
_COMPRESSED = {"refunds"}
_LINES = {"shipments"}


def shown(instant: datetime, offset_hours: int) -> str:
    """An instant as a row shows it: UTC as ``Z``, else with its offset."""
    if not offset_hours:
        return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return instant.astimezone(timezone(timedelta(hours=offset_hours))).isoformat(timespec="seconds")


def content(kind: str, rows: Sequence[Row]) -> tuple[str, bytes]:
    """(ending of the name, bytes) of an export: CSV, compressed CSV, or JSON lines."""
    if kind in _LINES:
        text = "".join(json.dumps({name: row.get(name) for name in COLUMNS[kind]}) + "\n" for row in rows)
        return "jsonl", text.encode()
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS[kind], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in row.items()} for row in rows)
    plain = buffer.getvalue().encode()
    return ("csv.gz", gzip.compress(plain, mtime=0)) if kind in _COMPRESSED else ("csv", plain)


def write(folder: Path, name: str, data: bytes, at: datetime) -> None:
    """Put a file there in one step, dated by the shop's clock."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".{name}.part"
    fresh.write_bytes(data)
    os.utime(fresh, (at.timestamp(), at.timestamp()))
    fresh.rename(folder / name)
