"""The whole Centra as one object: what the API, the simulated shop and the tests act on."""

from __future__ import annotations

from typing import Any

from hr_centra_pipeline.sandbox.centra import postal_addresses
from hr_centra_pipeline.sandbox.centra.bundles import NewPart
from hr_centra_pipeline.sandbox.centra.centra_database import GIFT_CARD_BY_EMAIL, CentraRefusal, CentraSettings
from hr_centra_pipeline.sandbox.centra.orders import NewLine, NewOrder, PlacedOrder
from hr_centra_pipeline.sandbox.centra.return_desk import FROM_SHIPMENT, NewReturn
from hr_centra_pipeline.sandbox.centra.stock_room import Moved
from hr_centra_pipeline.sandbox.centra.word_desk import WordDesk

__all__ = [
    "FROM_SHIPMENT", "GIFT_CARD_BY_EMAIL", "CentraRefusal", "CentraSettings", "CentraStore",
    "Moved", "NewLine", "NewOrder", "NewPart", "NewReturn",
    "PlacedOrder",
]  # fmt: skip


class CentraStore(WordDesk):
    """Products, stock, orders, shipments, returns and payments of one shop."""

    def records(self) -> dict[str, Any]:
        """Everything that tests compare, as plain values: amounts as text."""
        returns = []
        for row in self.rows("select * from returns order by id"):
            totals = self.totals_of(row["id"])
            payments = self.rows("select * from payments where return_id = ? order by id", [row["id"]])
            returns.append(
                {
                    "id": row["id"],
                    "order_number": row["order_number"],
                    "shipment_id": row["shipment_id"],
                    "status": row["status"],
                    "created_from": row["created_from"],
                    "comment": row["comment"],
                    "lines": {line["shipment_line_id"]: line["quantity"] for line in self.return_lines(row["id"])},
                    "grand_total": str(totals.grand_total),
                    "payments": [[entry["entry_type"], entry["status"], str(entry["value"])] for entry in payments],
                }
            )
        return {
            "orders": [
                {
                    "number": row["number"], "status": row["status"], "currency": row["currency"],
                    "is_internal": row["is_internal"], "internal_comment": row["internal_comment"],
                    "origin": [row["origin_type"], row["origin_id"]], "market_id": row["market_id"],
                    "pricelist_id": row["pricelist_id"], "total": str(self.order_total(row)),
                    "address": postal_addresses.read(row["address"]),
                }
                for row in self.rows("select * from orders order by number")
            ],
            "returns": returns,
            "emails": [[row["what"], row["object_id"]] for row in self.rows("select * from emails order by id")],
            "payments": [
                [row["order_number"], row["return_id"], row["entry_type"], row["status"], str(row["value"])]
                for row in self.rows("select * from payments order by id")
            ],
            "stock_changes": [
                {
                    "id": row["id"], "type": row["type"], "comment": row["comment"],
                    "lines": [
                        [line["sku"], line["warehouse_id"], line["quantity"]]
                        for line in self.rows(
                            "select sku, warehouse_id, quantity from stock_change_lines"
                            " join sizes on sizes.id = size_id where stock_change_id = ? order by stock_change_lines.id",
                            [row["id"]],
                        )
                    ],
                }
                for row in self.rows("select * from stock_changes where type <> 'SHIPMENT' order by id")
            ],
            "stock": [
                [row["sku"], row["warehouse_id"], row["physical"], row["allocated"]]
                for row in self.rows(
                    "select sku, warehouse_id, physical, allocated from stock join sizes on sizes.id = size_id"
                    " order by sku, warehouse_id"
                )
            ],
        }  # fmt: skip
