"""Customers, orders, shipments and payments."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.sandbox.centra.database import CentraRefusal, Row, instant_text, rounded
from hr_centra_pipeline.sandbox.centra.stock import StockRoom

ZERO = Decimal(0)


def method_of(order_number: int) -> str:
    """How an order was paid: every fourth by the wallet."""
    return "wallet" if order_number % 4 == 0 else "card"


@dataclass(frozen=True)
class NewLine:
    """One line of a new order. Prices of one unit with tax, after and before line discounts; tax in percent."""

    sku: str
    quantity: int
    unit_price: Decimal
    unit_original_price: Decimal
    tax_percent: Decimal


@dataclass(frozen=True)
class NewOrder:
    """An order to place. ``captured``: shipping it captures its grand total (amounts with tax, in ``currency``)."""

    customer_id: int
    currency: str
    country: str
    lines: Sequence[NewLine]
    created_at: datetime
    number: int | None = None
    shipping: Decimal = ZERO
    handling: Decimal = ZERO
    voucher: Decimal = ZERO
    external_id: str | None = None
    captured: bool = True
    is_internal: bool = False
    internal_comment: str = ""
    other_comment: str = ""
    origin: tuple[str, int] | None = None


@dataclass(frozen=True)
class PlacedOrder:
    """What placing an order answers."""

    id: str
    number: int
    line_ids: list[int]


class OrderDesk(StockRoom):
    """Orders from placing to shipping, and what people do to them."""

    def add_customer(self, *, email: str, first_name: str, last_name: str, country: str) -> int:
        """Register a customer; answers the id."""
        now = self.clock.now()
        with self.write():
            return self.insert(
                "customers",
                {
                    "email": email, "first_name": first_name, "last_name": last_name, "country": country,
                    "internal_comment": "", "created_at": now, "updated_at": now,
                },
            )  # fmt: skip

    def add_order(self, order: NewOrder) -> PlacedOrder:
        """Place a confirmed order and promise its stock.

        Raises:
            CentraRefusal: code -1 unknown product, -2 out of stock, -3 no lines, -5 number taken.
        """
        with self.write():
            if not order.lines:
                raise CentraRefusal("Empty order", ["products"], -3)
            number = order.number or self._next_number()
            if self.row("select 1 as x from orders where number = ?", [number]):
                raise CentraRefusal(f"Order number {number} already exists", ["orderNumber"], -5)
            at = instant_text(order.created_at)
            order_id = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
            self.insert(
                "orders",
                {
                    "number": number, "id": order_id, "external_id": order.external_id, "status": "CONFIRMED",
                    "customer_id": order.customer_id, "currency": order.currency, "country": order.country,
                    "created_at": at, "updated_at": at, "is_internal": int(order.is_internal),
                    "internal_comment": order.internal_comment, "other_comment": order.other_comment,
                    "shipping": order.shipping, "handling": order.handling, "voucher": order.voucher,
                    "captures": int(order.captured), "origin_type": order.origin and order.origin[0],
                    "origin_id": order.origin and order.origin[1],
                },
            )  # fmt: skip
            line_ids = [self._add_line(number, line, position) for position, line in enumerate(order.lines)]
            if order.external_id:
                self._convert("Order", order.external_id, number)
            self.happened("Order", "CREATED", number)
            return PlacedOrder(order_id, number, line_ids)

    def _add_line(self, number: int, line: NewLine, position: int) -> int:
        size = self.size_by(line.sku)
        if size is None:
            raise CentraRefusal(f"Product {line.sku} can not be added", ["products", str(position)], -1)
        warehouse_id = self.allocate(size["id"], line.quantity)
        if warehouse_id is None:
            raise CentraRefusal(f"Product {line.sku} is out of stock", ["products", str(position)], -2)
        return self.insert(
            "order_lines",
            {
                "order_number": number, "size_id": size["id"], "warehouse_id": warehouse_id,
                "quantity": line.quantity, "unit_price": line.unit_price,
                "unit_original_price": line.unit_original_price, "tax_percent": line.tax_percent,
            },
        )  # fmt: skip

    def _next_number(self) -> int:
        # Replacement orders bring explicit numbers far above; the shop's own series goes on below them.
        found = self.row("select max(number) as top from orders where number < 900000 and origin_type is null")
        top = found["top"] if found else None
        return int(top) + 1 if top else self.settings.first_order_number

    def ship(
        self,
        order_number: int,
        quantities: Mapping[int, int] | None = None,
        *,
        at: datetime,
        warehouse_id: int,
        captured: bool = True,
    ) -> int:
        """Ship units (order line id -> quantity; ``None``: all that is left) and capture their money; answers the shipment's id.

        The order's shipping, handling and voucher sit on its first shipment.
        """
        with self.write():
            order = self.order(order_number)
            lines = self.rows("select * from order_lines where order_number = ? order by id", [order_number])
            left = {line["id"]: line["quantity"] - self._shipped(line["id"]) for line in lines}
            going = {key: value for key, value in (quantities or left).items() if value > 0}
            if not going or any(value > left.get(key, 0) for key, value in going.items()):
                raise CentraRefusal(f"Order {order_number} has not that much left to ship", ["lines"])
            earlier = self.rows("select id from shipments where order_number = ?", [order_number])
            captures = captured and order["captures"]
            costs = {name: ZERO if earlier else order[name] for name in ("shipping", "handling", "voucher")}
            shipment_id = self.insert(
                "shipments",
                {
                    "order_number": order_number, "number": f"{order_number}-{len(earlier) + 1}", "created_at": at,
                    "updated_at": at, "shipped_at": at, "is_captured": int(captures), "warehouse_id": warehouse_id,
                    **costs,
                },
            )  # fmt: skip
            goods = ZERO
            moves: list[tuple[int, int, int]] = []
            for line in lines:
                quantity = going.get(line["id"], 0)
                if not quantity:
                    continue
                self.insert(
                    "shipment_lines",
                    {"shipment_id": shipment_id, "order_line_id": line["id"], "quantity": quantity},
                )
                goods += quantity * line["unit_price"]
                self._shift(line["size_id"], line["warehouse_id"], allocated=-quantity)
                moves.append((line["size_id"], warehouse_id, -quantity))
            self.record_change("SHIPMENT", moves, f"Shipment {order_number}-{len(earlier) + 1}", at)
            total = goods + costs["shipping"] + costs["handling"] - costs["voucher"]
            if captures and total > 0:
                self.pay(order_number, "CAPTURE", total, at)
            done = sum(going.values()) == sum(left.values())
            self.update(
                "orders", "number", order_number,
                {"status": "SHIPPED" if done else "PROCESSING", "updated_at": instant_text(at)},
            )  # fmt: skip
            self.happened("Shipment", "CREATED", shipment_id)
            return shipment_id

    def _shipped(self, order_line_id: int) -> int:
        found = self.row(
            "select coalesce(sum(quantity), 0) as n from shipment_lines where order_line_id = ?", [order_line_id]
        )
        return int(found["n"]) if found else 0

    def pay(
        self,
        order_number: int,
        entry_type: str,
        value: Decimal,
        at: datetime,
        *,
        return_id: int | None = None,
        status: str = "SUCCESS",
    ) -> int:
        """Write one entry of the payment history; answers its id."""
        entry_id = self.insert(
            "payments",
            {
                "order_number": order_number, "return_id": return_id, "entry_type": entry_type, "status": status,
                "value": value, "payment_method": method_of(order_number), "source": "psp", "created_at": instant_text(at),
            },
        )  # fmt: skip
        self.update("payments", "id", entry_id, {"external_reference": f"psp-{entry_id:08d}"})
        self.update("orders", "number", order_number, {"updated_at": instant_text(at)})
        self.happened("PaymentHistoryEntry", "CREATED", entry_id)
        return entry_id

    def order(self, number: int) -> Row:
        """One order.

        Raises:
            CentraRefusal: there is none.
        """
        found = self.row("select * from orders where number = ?", [number])
        if found is None:
            raise CentraRefusal("Order not found", ["order"])
        return found

    def money_of(self, order_number: int) -> tuple[Decimal, Decimal]:
        """(captured, given back) on an order; requests that are still open count as given."""
        captured = given = ZERO
        for entry in self.rows("select * from payments where order_number = ?", [order_number]):
            if entry["entry_type"] in ("CAPTURE", "CAPTURE_GIFT_CARD") and entry["status"] == "SUCCESS":
                captured += entry["value"]
            is_request = entry["entry_type"] == "REFUND_REQUEST" and entry["status"] == "PENDING"
            if is_request or (entry["entry_type"] in ("REFUND", "REFUND_GIFT_CARD") and entry["status"] == "SUCCESS"):
                given += entry["value"]
        return captured, given

    def order_total(self, order: Row) -> Decimal:
        """Grand total with tax."""
        lines = self.rows("select quantity, unit_price from order_lines where order_number = ?", [order["number"]])
        goods = sum((line["quantity"] * line["unit_price"] for line in lines), ZERO)
        return Decimal(goods + order["shipping"] + order["handling"] - order["voucher"])

    # ---------------------------------------------------------------- changes, by API or by people

    def set_order(self, number: int, changes: Mapping[str, Any], at: datetime | None = None) -> None:
        """Change fields of an order."""
        with self.write():
            self.order(number)
            self.update("orders", "number", number, {**changes, "updated_at": instant_text(at or self.clock.now())})
            self.happened("Order", "UPDATED", number)

    def person_set_internal_comment(self, order_number: int, text: str, *, at: datetime) -> None:
        """Customer service writes into an order."""
        self.set_order(order_number, {"internal_comment": text}, at)

    def cancel_order(self, number: int, *, release: bool = True, at: datetime | None = None) -> None:
        """Cancel an order of which nothing was shipped, and let its stock go.

        Raises:
            CentraRefusal: shipped or canceled already.
        """
        with self.write():
            order = self.order(number)
            if order["status"] == "CANCELED":
                raise CentraRefusal("Order is canceled already", ["order"])
            if self.row("select 1 as x from shipments where order_number = ?", [number]):
                raise CentraRefusal("A shipped order can not be canceled", ["order"])
            for line in self.rows("select * from order_lines where order_number = ?", [number]):
                self._shift(
                    line["size_id"], line["warehouse_id"], allocated=-line["quantity"],
                    physical=0 if release else -line["quantity"],
                )  # fmt: skip
                self.update("order_lines", "id", line["id"], {"cancelled_quantity": line["quantity"], "quantity": 0})
            self.set_order(number, {"status": "CANCELED"}, at)

    def person_cancel_order(self, order_number: int, *, at: datetime) -> None:
        """Customer service cancels an order."""
        self.cancel_order(order_number, at=at)

    def person_refund_order(self, order_number: int, amount: Decimal, *, at: datetime) -> int:
        """Somebody refunds money on an order without a Return."""
        with self.write():
            captured, given = self.money_of(order_number)
            if amount <= 0 or given + amount > captured:
                raise CentraRefusal("More than was captured", ["amount"])
            return self.pay(order_number, "REFUND", rounded(amount, self.order(order_number)["currency"]), at)

    def refuse_orders_of(self, sku: str, message: str) -> None:
        """Plant: the Order API creates no order with this SKU."""
        self.refuse("order", sku, message)

    def _convert(self, object_type: str, external_id: str, internal_id: int) -> None:
        # An external id that is taken points to the new object from now on: the old mapping is lost.
        self.rows(
            "delete from id_conversions where object_type = ? and integration_name = ?"
            " and (external_id = ? or internal_id = ?)",
            [object_type, self.settings.integration_name, external_id, internal_id],
        )
        self.insert(
            "id_conversions",
            {
                "object_type": object_type, "external_id": external_id, "internal_id": internal_id,
                "integration_name": self.settings.integration_name,
            },
        )  # fmt: skip

    def external_id(self, object_type: str, internal_id: int) -> str | None:
        """The external id that an object has for this integration."""
        found = self.row(
            "select external_id from id_conversions where object_type = ? and internal_id = ? and integration_name = ?",
            [object_type, internal_id, self.settings.integration_name],
        )
        return found["external_id"] if found else None

    def set_external_id(self, object_type: str, external_id: str, internal_id: int) -> None:
        """Name an object for this integration; an id that is taken points here from now on."""
        with self.write():
            self._convert(object_type, external_id, internal_id)
