"""The kinds of rows: which of our columns each brings, and which of those a file must have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from hr_centra_pipeline.warehouse.declare import Table
from hr_centra_pipeline.warehouse.tables import happy_returns

KindName = Literal["returns", "items", "refunds", "shipments", "bags"]
KIND_NAMES: tuple[KindName, ...] = get_args(KindName)

# Ingest makes these itself; a file does not bring them.
_MADE = frozenset(
    {
        "source_time", "source_file", "source_line", "landed_batch", "disposition_at", "approval_withdrawn_at",
        "return_created_at", "return_status", "feeds", "customer_token", "return_item_id", "base_line_item_id",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """One kind of export. ``key``: columns of a row's business key, as landed."""

    name: KindName
    declared: Table
    key: tuple[str, ...]
    required: frozenset[str]

    @property
    def brought(self) -> dict[str, str]:
        """Our columns that a file can bring, with their DuckDB types. Values with closed lists are words."""
        return {name: sql for name, sql in self.declared.columns.items() if name not in _MADE}

    @property
    def known(self) -> frozenset[str]:
        """What a profile may map."""
        extra = {"updated_at"} | ({"customer_email"} if self.name == "returns" else set())
        return frozenset(self.brought) | extra

    @property
    def landed(self) -> dict[str, str]:
        """Columns of the landing table beside those that every kind has."""
        more = {"customer_token": "VARCHAR"} if self.name == "returns" else {}
        if self.name in ("items", "shipments"):
            more["return_item_id"] = "VARCHAR"
        if self.name == "items":
            more["base_line_item_id"] = "VARCHAR"
        return {**self.brought, **more}


KINDS: dict[KindName, Kind] = {
    "returns": Kind(
        "returns", happy_returns.RETURNS, ("return_id", "order_number"),
        frozenset({"return_id", "order_number", "refund_status"}),
    ),
    "items": Kind(
        "items", happy_returns.RETURN_ITEMS, ("return_item_id",),
        frozenset({"return_id", "order_number", "refund_type", "sku"}),
    ),
    "refunds": Kind(
        "refunds", happy_returns.REFUNDS, ("refund_id",),
        frozenset({"refund_id", "return_id", "order_number", "refund_type", "status", "total_refunded"}),
    ),
    "shipments": Kind(
        "shipments", happy_returns.RETURN_SHIPMENTS, ("shipment_id", "return_item_id"),
        frozenset({"shipment_id", "item_id"}),
    ),
    "bags": Kind(
        "bags", happy_returns.RETURN_BAGS, ("return_id", "bag_barcode"),
        frozenset({"return_id", "bag_barcode"}),
    ),
}  # fmt: skip
