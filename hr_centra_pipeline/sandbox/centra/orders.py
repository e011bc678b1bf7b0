"""Customers, orders and shipments."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.sandbox.centra import postal_addresses
from hr_centra_pipeline.sandbox.centra.bundles import BundleDesk, NewPart
from hr_centra_pipeline.sandbox.centra.centra_database import CentraRefusal, Row, instant_text, rounded
from hr_centra_pipeline.sandbox.centra.markets import country_of
from hr_centra_pipeline.sandbox.centra.payment_desk import ZERO
from hr_centra_pipeline.sandbox.centra.postal_addresses import Address
from hr_centra_pipeline.sandbox.centra.providers import method_of
from hr_centra_pipeline.sandbox.centra.taxes import total

BY_NUMBER = "by number"
CANCELLED = "DELETED"


@dataclass(frozen=True)
class NewLine:
    """One line of a new order. Prices of one unit, after and before line discounts; tax in percent.

    Prices are with tax, unless the country has a tax engine, which adds it. ``parts``: of a bundle, in each of which
    there are so many.
    """

    sku: str
    quantity: int
    unit_price: Decimal
    unit_original_price: Decimal
    tax_percent: Decimal
    parts: Sequence[NewPart] = ()


@dataclass(frozen=True)
class NewOrder:
    """An order to place. ``captured``: shipping it captures its grand total. Amounts in ``currency``, as its lines are.

    ``market_id`` and ``pricelist_id``: those of its country unless given. ``address``: the customer's unless given.
    ``payment_method``: card, wallet, by the order's number, or ``None`` for an order that is not paid through Centra.
    """

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
    market_id: int | None = None
    pricelist_id: int | None = None
    address: Address | None = None
    payment_method: str | None = BY_NUMBER
    status: str = "CONFIRMED"


@dataclass(frozen=True)
class PlacedOrder:
    """What placing an order answers."""

    id: str
    number: int
    line_ids: list[int]


class OrderDesk(BundleDesk):
    """Orders from placing to shipping, and what people do to them."""

    def add_market(self, name: str) -> int:
        """Open a further market; answers its id."""
        with self.write():
            return self.insert("markets", {"name": name})

    def add_pricelist(self, name: str, currency: str) -> int:
        """A further pricelist; answers its id."""
        with self.write():
            return self.insert("pricelists", {"name": name, "currency": currency})

    def add_customer(
        self,
        *,
        email: str,
        first_name: str,
        last_name: str,
        country: str,
        address: Address | None = None,
        is_registered: bool = True,
    ) -> int:
        """Register a customer; answers the id. ``address``: made up unless given."""
        now = self.clock.now()
        with self.write():
            customer_id = self.insert(
                "customers",
                {
                    "email": email, "first_name": first_name, "last_name": last_name, "country": country,
                    "internal_comment": "", "created_at": now, "updated_at": now, "is_registered": int(is_registered),
                },
            )  # fmt: skip
            lives_at = address or postal_addresses.made_up(
                customer_id, first_name=first_name, last_name=last_name, email=email, country=country
            )
            self.update("customers", "id", customer_id, {"address": postal_addresses.kept(lives_at)})
            return customer_id

    def add_order(self, order: NewOrder) -> PlacedOrder:
        """Place a confirmed order, promise its stock and authorise its payment.

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
            method = method_of(number) if order.payment_method == BY_NUMBER else order.payment_method
            self.insert(
                "orders",
                {
                    "number": number, "id": order_id, "external_id": order.external_id, "status": order.status,
                    "customer_id": order.customer_id, "currency": order.currency, "country": order.country,
                    "created_at": at, "updated_at": at, "is_internal": int(order.is_internal),
                    "internal_comment": order.internal_comment, "other_comment": order.other_comment,
                    "shipping": order.shipping, "handling": order.handling, "voucher": order.voucher,
                    "captures": int(order.captured), "origin_type": order.origin and order.origin[0],
                    "origin_id": order.origin and order.origin[1], "payment_method": method,
                    "market_id": order.market_id or country_of(order.country).market_id,
                    "pricelist_id": order.pricelist_id or self._pricelist(order), "address": self._address(order),
                    "tax_mode": self.tax_mode(order.country),
                },
            )  # fmt: skip
            line_ids = [
                self._add_line(number, line, position, order.currency) for position, line in enumerate(order.lines)
            ]
            if order.external_id:
                self._convert("Order", order.external_id, number)
            self.happened("Order", "CREATED", number, order.created_at)
            self.assess("order", self.order(number))
            to_pay = self.order_total(self.order(number))
            if method and to_pay > 0:
                self.pay(number, "AUTH", to_pay, order.created_at)
            if self.settings.creates_shipments and order.status == "CONFIRMED":
                self.create_shipment(number, at=order.created_at)
            return PlacedOrder(order_id, number, line_ids)

    def _pricelist(self, order: NewOrder) -> int:
        """The country's, if it has the order's currency; else one of that currency."""
        usual = country_of(order.country).pricelist_id
        found = self.row(
            "select id from pricelists where currency = ? order by id <> ?, id limit 1", [order.currency, usual]
        )
        return int(found["id"]) if found else self.add_pricelist(order.currency, order.currency)

    def _address(self, order: NewOrder) -> str:
        if order.address is not None:
            return postal_addresses.kept(order.address)
        buyer = self.row("select address from customers where id = ?", [order.customer_id]) or {"address": None}
        return postal_addresses.kept({**postal_addresses.read(buyer["address"]), "country": order.country})

    def _add_line(self, number: int, line: NewLine, position: int, currency: str) -> int:
        size = self.size_by(line.sku)
        if size is None:
            raise CentraRefusal(f"Product {line.sku} can not be added", ["products", str(position)], -1)
        if line.parts:
            return self._add_bundle_line(number, line, size, position, currency)
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

    def _add_bundle_line(self, number: int, line: NewLine, size: Row, position: int, currency: str) -> int:
        """The bundle's line, then one for each part, of which the stock is promised."""
        self.check_parts(size, line.parts, ["products", str(position)])
        bundle_id = self.insert(
            "order_lines",
            {
                "order_number": number, "size_id": size["id"], "quantity": line.quantity, "unit_price": line.unit_price,
                "unit_original_price": line.unit_original_price, "tax_percent": line.tax_percent, "kind": "bundle",
            },
        )  # fmt: skip
        # Not documented, assumption: behaviour.bundle_parts_follow
        for part, worth in zip(line.parts, self.worth_of(line.unit_price, line.parts, currency), strict=True):
            price = part.unit_price if self.settings.bundle_parts_show_prices else ZERO
            alone = NewLine(part.sku, part.quantity * line.quantity, price, price, line.tax_percent)
            part_id = self._add_line(number, alone, position, currency)
            self.update(
                "order_lines", "id", part_id,
                {"kind": "part", "part_of": bundle_id, "per_bundle": part.quantity, "worth": worth},
            )  # fmt: skip
            part_row = self.row("select warehouse_id from order_lines where id = ?", [part_id]) or {}
            self.update("order_lines", "id", bundle_id, part_row)
        return bundle_id

    def _next_number(self) -> int:
        # Replacement orders bring explicit numbers far above; the shop's own series goes on below them.
        found = self.row("select max(number) as top from orders where number < 900000 and origin_type is null")
        top = found["top"] if found else None
        return int(top) + 1 if top else self.settings.first_order_number

    # ---------------------------------------------------------------- shipments

    def create_shipment(
        self,
        order_number: int,
        quantities: Mapping[int, int] | None = None,
        *,
        at: datetime,
        warehouse_id: int | None = None,
        good_to_go: bool | None = None,
        paid: bool = False,
    ) -> int:
        """Pack units (order line id -> quantity; ``None``: all that is left), to be shipped later; answers the shipment's id.

        The order's shipping, handling and voucher sit on its first shipment. ``good_to_go``: unless given, an order that is
        paid through Centra is.
        """
        with self.write():
            order = self.order(order_number)
            if order["status"] in (CANCELLED, "PENDING"):
                raise CentraRefusal(f"Order {order_number} is not confirmed", ["input", "order"])
            lines = self.rows("select * from order_lines where order_number = ? order by id", [order_number])
            left = {line["id"]: line["quantity"] - self._packed(line["id"]) for line in lines}
            going = {key: value for key, value in (quantities or left).items() if value > 0}
            if quantities:
                # A bundle goes with its parts.
                going |= {
                    line["id"]: going[line["part_of"]] * line["per_bundle"]
                    for line in lines
                    if line["part_of"] in going and line["id"] not in going
                }
            if not going or any(value > left.get(key, 0) for key, value in going.items()):
                raise CentraRefusal(
                    f"Order {order_number} does not have that many units left to ship", ["input", "lines"]
                )
            # Not documented, assumption: behaviour.costs_sit_on_first_shipment
            earlier = self.rows("select id from shipments where order_number = ?", [order_number])
            costs = {name: ZERO if earlier else order[name] for name in ("shipping", "handling", "voucher")}
            ready = good_to_go if good_to_go is not None else order["payment_method"] is not None
            shipment_id = self.insert(
                "shipments",
                {
                    "order_number": order_number, "number": f"{order_number}-{len(earlier) + 1}", "created_at": at,
                    "updated_at": at, "is_good_to_go": int(ready), "is_paid": int(paid),
                    "warehouse_id": warehouse_id or next(x["warehouse_id"] for x in lines if x["id"] in going), **costs,
                },
            )  # fmt: skip
            for line in lines:
                if line["id"] in going:
                    self.insert(
                        "shipment_lines",
                        {"shipment_id": shipment_id, "order_line_id": line["id"], "quantity": going[line["id"]]},
                    )
            self.assess("shipment", self.shipment(shipment_id))
            self._progress(order_number, at)
            self.happened("Shipment", "CREATED", shipment_id, at)
            return shipment_id

    def mark_shipment(
        self, shipment_id: int, *, paid: bool | None = None, good_to_go: bool | None = None, at: datetime | None = None
    ) -> None:
        """``updateShipment``: paid outside of Centra, or good to go.

        Raises:
            CentraRefusal: there is no such shipment; it is shipped already and its way can not be changed; nothing to change.
        """
        at = at or self.clock.now()
        with self.write():
            shipment = self.shipment(shipment_id)
            if paid is None and good_to_go is None:
                raise CentraRefusal("Nothing to update", ["input"])
            if good_to_go is not None and shipment["shipped_at"]:
                raise CentraRefusal("Shipment is shipped already", ["input", "isGoodToGo"])
            if paid is not None and shipment["is_captured"]:
                raise CentraRefusal("Shipment is captured already", ["input", "isPaid"])
            flags = {"is_paid": paid, "is_good_to_go": good_to_go}
            changes = {name: int(value) for name, value in flags.items() if value is not None}
            self.update("shipments", "id", shipment_id, {**changes, "updated_at": at})
            if paid is not None and paid != shipment["is_paid"]:
                word = "MARKED_AS_PAID" if paid else "MARKED_AS_UNPAID"
                self.pay(shipment["order_number"], word, self.shipment_total(shipment), at, shipment_id=shipment_id)
            self._progress(shipment["order_number"], at)
            self.happened("Shipment", "UPDATED", shipment_id, at)

    def shipment(self, shipment_id: int) -> Row:
        """One shipment.

        Raises:
            CentraRefusal: there is none.
        """
        found = self.row("select * from shipments where id = ?", [shipment_id])
        if found is None:
            raise CentraRefusal("Shipment not found", ["id"])
        return found

    def ship(
        self,
        order_number: int,
        quantities: Mapping[int, int] | None = None,
        *,
        at: datetime,
        warehouse_id: int | None = None,
        captured: bool = True,
    ) -> int:
        """Ship what is packed already, or pack and ship units (order line id -> quantity; ``None``: all that is left), and
        capture their money; answers the shipment's id.
        """
        with self.write():
            packed = self.row(
                "select id from shipments where order_number = ? and shipped_at is null order by id", [order_number]
            )
            shipment_id = (
                packed["id"]
                if packed and quantities is None
                else self.create_shipment(order_number, quantities, at=at, warehouse_id=warehouse_id)
            )
            self.complete_shipment(shipment_id, at=at, captured=captured)
            return int(shipment_id)

    def complete_shipment(self, shipment_id: int, *, at: datetime, captured: bool = True) -> None:
        """A shipment leaves the warehouse; its money is captured, or asked for.

        Raises:
            CentraRefusal: it was shipped already; it is not good to go, where the shop asks for that.
        """
        with self.write():
            shipment = self.shipment(shipment_id)
            number = shipment["order_number"]
            if shipment["shipped_at"]:
                raise CentraRefusal("Shipment is shipped already", ["id"])
            # Not documented, assumption: behaviour.replacement_ships_unpaid
            if self.settings.ships_only_good_to_go and not shipment["is_good_to_go"]:
                raise CentraRefusal(f"Shipment {shipment['number']} is not good to go", ["id"])
            moves: list[tuple[int, int, int]] = []
            for line in self.rows(
                "select size_id, warehouse_id, shipment_lines.quantity from shipment_lines"
                " join order_lines on order_lines.id = order_line_id where shipment_id = ? and kind <> 'bundle'"
                " order by order_lines.id",
                [shipment_id],
            ):
                self._shift(line["size_id"], line["warehouse_id"], allocated=-line["quantity"])
                moves.append((line["size_id"], shipment["warehouse_id"], -line["quantity"]))
            self.record_change("SHIPMENT", moves, f"Shipment {shipment['number']}", at)
            order = self.order(number)
            captures = captured and order["captures"]
            in_two_steps = order["payment_method"] in self.settings.captures_in_two_steps
            self.assess("shipment", shipment)
            to_pay = self.shipment_total(shipment)
            done = captures and (to_pay <= 0 or not in_two_steps)
            self.update(
                "shipments", "id", shipment_id,
                {
                    "shipped_at": at, "updated_at": at, "is_good_to_go": 1, "is_captured": int(done),
                    "is_paid": int(done or shipment["is_paid"]),
                },
            )  # fmt: skip
            if captures and to_pay > 0:
                word, status = ("CAPTURE_REQUEST", "PENDING") if in_two_steps else ("CAPTURE", "SUCCESS")
                self.pay(number, word, to_pay, at, shipment_id=shipment_id, status=status)
            self._progress(number, at)
            self.happened("Shipment", "COMPLETED", shipment_id, at)

    def captured(self, shipment_id: int, at: datetime) -> None:
        """A shipment's money has come."""
        self.update("shipments", "id", shipment_id, {"is_captured": 1, "is_paid": 1, "updated_at": at})
        self.happened("Shipment", "UPDATED", shipment_id, at)
        self._progress(self.shipment(shipment_id)["order_number"], at)

    def _progress(self, number: int, at: datetime) -> None:
        """An order is over when all of it is shipped and each shipment is paid; with a shipment, it is in progress."""
        lines = self.rows("select id, quantity from order_lines where order_number = ?", [number])
        shipments = self.rows("select shipped_at, is_paid from shipments where order_number = ?", [number])
        is_over = all(x["shipped_at"] and x["is_paid"] for x in shipments) and all(
            line["quantity"] == self._packed(line["id"]) for line in lines
        )
        status = "SHIPPED" if is_over else "PROCESSING"
        self.update("orders", "number", number, {"status": status, "updated_at": instant_text(at)})
        self.happened("Order", "UPDATED", number, at)

    def _packed(self, order_line_id: int) -> int:
        """Units of a line in shipments, shipped or not."""
        found = self.row(
            "select coalesce(sum(quantity), 0) as n from shipment_lines where order_line_id = ?", [order_line_id]
        )
        return int(found["n"]) if found else 0

    def shipment_total(self, shipment: Row) -> Decimal:
        """What the customer pays for a shipment."""
        goods = self.rows(
            "select shipment_lines.quantity, unit_price from shipment_lines"
            " join order_lines on order_lines.id = order_line_id where shipment_id = ? and kind <> 'part'",
            [shipment["id"]],
        )
        value = sum((x["quantity"] * x["unit_price"] for x in goods), ZERO)
        on_top = total(self.taxes_of("shipment", shipment)).on_top
        return Decimal(value + shipment["shipping"] + shipment["handling"] - shipment["voucher"] + on_top)

    def order_total(self, order: Row) -> Decimal:
        """Grand total: what the customer pays."""
        lines = self.rows(
            "select quantity, unit_price from order_lines where order_number = ? and kind <> 'part'", [order["number"]]
        )
        goods = sum((line["quantity"] * line["unit_price"] for line in lines), ZERO)
        on_top = total(self.taxes_of("order", order)).on_top
        return Decimal(goods + order["shipping"] + order["handling"] - order["voucher"] + on_top)

    # ---------------------------------------------------------------- changes, by API or by people

    def set_order(self, number: int, changes: Mapping[str, Any], at: datetime | None = None) -> None:
        """Change fields of an order."""
        with self.write():
            self.order(number)
            self.update("orders", "number", number, {**changes, "updated_at": instant_text(at or self.clock.now())})
            self.happened("Order", "UPDATED", number, at)

    def person_set_internal_comment(self, order_number: int, text: str, *, at: datetime) -> None:
        """Customer service writes into an order."""
        self.set_order(order_number, {"internal_comment": text}, at)

    def cancel_order(
        self, number: int, *, stock: str | int = "origin", authorisation: bool = False, at: datetime | None = None
    ) -> tuple[list[int], list[str]]:
        """Cancel an order of which nothing was shipped: its quantities stay, its stock goes back (``origin``), to another
        warehouse (its id) or away (``none``). Answers payment entries that were written, and warnings.

        Raises:
            CentraRefusal: shipped or cancelled already, no such warehouse.
        """
        at = at or self.clock.now()
        with self.write():
            order = self.order(number)
            # Not documented, assumption: behaviour.cancelled_is_final
            if order["status"] == CANCELLED:
                raise CentraRefusal("Order is cancelled already", ["id"])
            if self.row("select 1 as x from shipments where order_number = ? and shipped_at is not null", [number]):
                raise CentraRefusal("A shipped order can not be cancelled", ["id"])
            for shipment in self.rows("select id from shipments where order_number = ?", [number]):
                self.delete("shipment_lines", "shipment_id", shipment["id"])
                self.delete("shipments", "id", shipment["id"])
                self.happened("Shipment", "DELETED", shipment["id"], at)
            for line in self.rows("select * from order_lines where order_number = ?", [number]):
                self._let_go(line, line["quantity"], stock, f"Order {number} cancelled", at)
            self.set_order(number, {"status": CANCELLED}, at)
            entry, warning = self.cancel_authorisation(number, at) if authorisation else (None, None)
            return [entry] if entry else [], [warning] if warning else []

    def cancel_line(self, order_line_id: int, quantity: int, *, at: datetime) -> None:
        """Somebody cancels some units of a line: unlike those of a cancelled order, they leave its quantity."""
        with self.write():
            line = self.row("select * from order_lines where id = ?", [order_line_id])
            if line is None or not 0 < quantity <= line["quantity"] - self._packed(order_line_id):
                raise CentraRefusal("The line does not have that many units left to cancel", ["lines"])
            if line["kind"] == "part":
                raise CentraRefusal("A part is cancelled with its bundle", ["lines"])
            for one in (line, *self.parts_of(order_line_id)):
                units = quantity * (one["per_bundle"] or 1)
                self._let_go(one, units, "origin", "", at)
                self.update(
                    "order_lines", "id", one["id"],
                    {"quantity": one["quantity"] - units, "cancelled_quantity": one["cancelled_quantity"] + units},
                )  # fmt: skip
            self.assess("order", self.order(line["order_number"]))
            self.set_order(line["order_number"], {}, at)

    def _let_go(self, line: Row, quantity: int, stock: str | int, comment: str, at: datetime) -> None:
        """Promised units are free again, or leave their warehouse."""
        if line["kind"] == "bundle":
            return  # its parts are what is stocked
        size_id, warehouse_id = line["size_id"], line["warehouse_id"]
        self._shift(size_id, warehouse_id, allocated=-quantity)
        if stock == "origin" or not quantity:
            return
        moves = [(size_id, warehouse_id, -quantity)]
        if stock != "none":
            if not self.row("select 1 as x from warehouses where id = ?", [stock]):
                raise CentraRefusal("Warehouse not found", ["input", "stockAction", "sendItemsToDifferentWarehouse"])
            moves.append((size_id, int(stock), quantity))
        self.record_change("OTHER", moves, comment, at)

    def person_cancel_order(self, order_number: int, *, at: datetime) -> None:
        """Customer service cancels an order, and its payment."""
        self.cancel_order(order_number, authorisation=self.authorisation_of(order_number) is not None, at=at)

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

    def internal_id(self, object_type: str, external_id: str) -> int | None:
        """The object that has an external id for this integration."""
        found = self.row(
            "select internal_id from id_conversions where object_type = ? and external_id = ? and integration_name = ?",
            [object_type, external_id, self.settings.integration_name],
        )
        return found["internal_id"] if found else None

    def set_external_id(self, object_type: str, external_id: str, internal_id: int) -> None:
        """Name an object for this integration; an id that is taken points here from now on."""
        with self.write():
            self._convert(object_type, external_id, internal_id)
