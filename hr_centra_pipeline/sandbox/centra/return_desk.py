"""Returns and refunds, with the rules that Centra enforces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from hr_centra_pipeline.sandbox.centra.centra_database import CentraRefusal, Row, instant_text, rounded
from hr_centra_pipeline.sandbox.centra.orders import OrderDesk
from hr_centra_pipeline.sandbox.centra.payment_desk import ZERO
from hr_centra_pipeline.sandbox.centra.taxes import Tax, total

FROM_SHIPMENT = Decimal("Infinity")
"""A cost that takes what is left of it on the shipment."""


@dataclass(frozen=True)
class NewReturn:
    """A Return to create. ``lines``: (shipment line, quantity). ``stock``: origin, none or a warehouse id."""

    shipment_id: int
    lines: Sequence[tuple[int, int]]
    stock: str | int
    shipping: Decimal = ZERO
    handling: Decimal = ZERO
    voucher: Decimal = ZERO
    return_cost: Decimal = ZERO
    comment: str = ""
    external_id: str | None = None
    created_from: str = "API"
    admin_user: int | None = None


@dataclass(frozen=True)
class ReturnTotals:
    """What a Return gives back, in the order's currency, as the price list has it; and the tax of each part by its name."""

    quantity: int
    line_values: Decimal
    shipping: Decimal
    handling: Decimal
    voucher: Decimal
    return_cost: Decimal
    taxes: Mapping[str, Tax]

    @property
    def tax(self) -> Tax:
        """Tax of all of it."""
        return total(self.taxes)

    @property
    def grand_total(self) -> Decimal:
        """Lines and costs, less voucher and return cost, with the tax that is added or deducted."""
        value = self.line_values + self.shipping + self.handling - self.voucher - self.return_cost
        return value + self.tax.on_top


class ReturnDesk(OrderDesk):
    """Returns on shipments."""

    def create_return(self, new: NewReturn, at: datetime | None = None) -> int:
        """``createReturn``; answers the Return's id.

        Raises:
            CentraRefusal: unknown, unshipped or another order's lines, more than is left of a line or cost, an unknown warehouse.
        """
        with self.write():
            at = at or self.clock.now()
            shipment = self.row("select * from shipments where id = ?", [new.shipment_id])
            if shipment is None or not shipment["shipped_at"]:
                raise CentraRefusal("Shipment not found or not shipped", ["input", "shipment"])
            if message := self.refusal_of("return", new.shipment_id):
                raise CentraRefusal(message, ["input", "shipment"])
            order = self.order(shipment["order_number"])
            if not new.lines:
                raise CentraRefusal("A return needs lines", ["input", "lines"])
            self._check_lines(new)
            # Not documented, assumption: behaviour.return_comment_length
            if len(new.comment) > self.settings.text_limit:
                raise CentraRefusal(f"Comment may have {self.settings.text_limit} characters", ["input", "comment"])
            warehouse_id = self._stock_goes_to(new.stock, shipment)
            costs = {
                name: self._cost(shipment, name, getattr(new, name), field)
                for name, field in (
                    ("shipping", "shippingCost"),
                    ("handling", "handlingCost"),
                    ("voucher", "voucherValue"),
                )
            }
            return_id = self.insert(
                "returns",
                {
                    "order_number": order["number"], "shipment_id": new.shipment_id, "status": "PENDING",
                    "created_at": instant_text(at), "created_from": new.created_from, "admin_user": new.admin_user,
                    "comment": new.comment, "stock_policy": str(new.stock), "warehouse_id": warehouse_id, **costs,
                    "return_cost": new.return_cost,
                },
            )  # fmt: skip
            for shipment_line_id, quantity in new.lines:
                self.insert(
                    "return_lines",
                    {"return_id": return_id, "shipment_line_id": shipment_line_id, "quantity": quantity},
                )
            self.assess("return", self.a_return(return_id))
            if self.totals_of(return_id).grand_total < 0:
                raise CentraRefusal("The return cost is higher than what is returned", ["input", "returnCost"])
            if warehouse_id is not None:
                self._move_goods(return_id, warehouse_id, 1, f"Return {return_id}", at)
            # Not documented, assumption: behaviour.external_id_is_no_guard
            if new.external_id:
                self._convert("Return", new.external_id, return_id)
            self.happened("Return", "CREATED", return_id, at)
            return return_id

    def _check_lines(self, new: NewReturn) -> None:
        asked: dict[int, int] = {}
        for position, (shipment_line_id, quantity) in enumerate(new.lines):
            path = ["input", "lines", str(position)]
            line = self.row("select * from shipment_lines where id = ?", [shipment_line_id])
            if line is None or line["shipment_id"] != new.shipment_id:
                raise CentraRefusal("Shipment line not found on this shipment", [*path, "shipmentLine"])
            asked[shipment_line_id] = asked.get(shipment_line_id, 0) + quantity
            left = line["quantity"] - self.returned(shipment_line_id) - self._gone_with_bundle(line, path)
            if quantity < 1 or asked[shipment_line_id] > left:
                raise CentraRefusal(f"Only {left} units of this line can be returned", [*path, "quantity"])

    def _gone_with_bundle(self, line: Row, path: list[str]) -> int:
        """Units of a bundle's line that came back by a part, or of a part's line that came back with their bundle."""
        sold = self.row("select * from order_lines where id = ?", [line["order_line_id"]])
        if sold is None or sold["kind"] == "product":
            return 0
        if sold["kind"] == "bundle":
            return self.returned_by_part(line["shipment_id"], sold["id"])
        # Not documented, assumption: behaviour.bundle_part_returns
        if not self.settings.returns_may_name_parts:
            raise CentraRefusal("A part of a bundle can not be returned alone", [*path, "shipmentLine"])
        return self.returned_with_bundle(line["shipment_id"], sold)

    def _cost(self, shipment: Row, name: str, asked: Decimal, field: str) -> Decimal:
        used = sum(
            (row[name] for row in self.rows("select * from returns where shipment_id = ?", [shipment["id"]])), ZERO
        )
        left: Decimal = shipment[name] - used
        if asked == FROM_SHIPMENT:
            return left
        if asked < 0 or asked > left:
            raise CentraRefusal(f"Only {left} of it are left on the shipment", ["input", field])
        return asked

    def _stock_goes_to(self, stock: str | int, shipment: Row) -> int | None:
        if stock == "none":
            return None
        if stock == "origin":
            return int(shipment["warehouse_id"])
        if not self.row("select 1 as x from warehouses where id = ?", [stock]):
            raise CentraRefusal(
                "Warehouse not found", ["input", "returnStockActionPolicy", "sendItemsToDifferentWarehouse"]
            )
        return int(stock)

    def _move_goods(self, return_id: int, warehouse_id: int, sign: int, comment: str, at: datetime) -> None:
        # A bundle is stocked as its parts.
        lines = [
            (
                part["size_id"],
                warehouse_id,
                sign * line["quantity"] * (part["per_bundle"] if line["kind"] == "bundle" else 1),
            )
            for line in self.return_lines(return_id)
            for part in (self.parts_of(line["order_line_id"]) if line["kind"] == "bundle" else [line])
        ]
        self.record_change("RETURN", lines, comment, at)

    def returned(self, shipment_line_id: int) -> int:
        """Units of a shipment line that are on Returns."""
        found = self.row(
            "select coalesce(sum(quantity), 0) as n from return_lines where shipment_line_id = ?", [shipment_line_id]
        )
        return int(found["n"]) if found else 0

    def return_lines(self, return_id: int) -> list[Row]:
        """Lines of a Return with their prices."""
        return self.rows(
            """
            select return_lines.*, shipment_lines.order_line_id, order_lines.size_id, order_lines.kind,
                case kind when 'part' then worth else unit_price end as unit_price, order_lines.tax_percent
            from return_lines
            join shipment_lines on shipment_lines.id = return_lines.shipment_line_id
            join order_lines on order_lines.id = shipment_lines.order_line_id
            where return_lines.return_id = ? order by return_lines.id
            """,
            [return_id],
        )

    def a_return(self, return_id: int) -> Row:
        """One Return.

        Raises:
            CentraRefusal: there is none.
        """
        found = self.row("select * from returns where id = ?", [return_id])
        if found is None:
            raise CentraRefusal("Return not found", ["id"])
        return found

    def totals_of(self, return_id: int) -> ReturnTotals:
        """What a Return gives back."""
        row = self.a_return(return_id)
        lines = self.return_lines(return_id)
        # Not documented, assumption: behaviour.return_values_are_centras
        values = sum((line["quantity"] * line["unit_price"] for line in lines), ZERO)
        return ReturnTotals(
            sum(line["quantity"] for line in lines), Decimal(values), row["shipping"], row["handling"], row["voucher"],
            row["return_cost"], self.taxes_of("return", row),
        )  # fmt: skip

    def complete_return(self, return_id: int, at: datetime | None = None, *, send_email: bool | None = False) -> None:
        """``completeReturn``: pays nothing; refused when completed already. ``send_email`` ``None``: as the shop has it."""
        with self.write():
            if self.a_return(return_id)["status"] == "COMPLETED":
                raise CentraRefusal("Return is completed already", ["id"])
            self.update("returns", "id", return_id, {"status": "COMPLETED"})
            self.assess("return", self.a_return(return_id), is_final=True)
            self.send_email("return completed", return_id, send_email)
            self.happened("Return", "COMPLETED", return_id, at)

    def uncomplete_return(self, return_id: int) -> None:
        """``uncompleteReturn``: only a completed one."""
        with self.write():
            if self.a_return(return_id)["status"] != "COMPLETED":
                raise CentraRefusal("Return is not completed", ["id"])
            self.update("returns", "id", return_id, {"status": "PENDING"})
            self.happened("Return", "UPDATED", return_id)

    def delete_return(self, return_id: int, at: datetime | None = None) -> Row:
        """``deleteReturn``: takes goods out again that its policy had put back; answers what it was."""
        with self.write():
            row = self.a_return(return_id)
            # Not documented, assumption: behaviour.paid_return_is_not_deleted
            if self.row("select 1 as x from payments where return_id = ? and status <> 'FAILED'", [return_id]):
                raise CentraRefusal("A refunded return can not be deleted", ["id"])
            if row["warehouse_id"] is not None:
                comment = f"Return {return_id} deleted"
                self._move_goods(return_id, row["warehouse_id"], -1, comment, at or self.clock.now())
            self.delete("return_lines", "return_id", return_id)
            self.rows("delete from taxes where subject = 'return' and subject_id = ?", [return_id])
            self.delete("returns", "id", return_id)
            self.rows("delete from id_conversions where object_type = 'Return' and internal_id = ?", [return_id])
            self.happened("Return", "DELETED", return_id, at)
            return row

    def refund_return(self, return_id: int, at: datetime | None = None, *, send_email: bool | None = False) -> int:
        """``refundReturn``: pays the Return's total, again on each call while captured money is left; answers the entry's id.

        Raises:
            CentraRefusal: nothing to pay, or more than is left of what was captured.
        """
        with self.write():
            # Not documented, assumption: behaviour.refund_pays_the_total_of_the_moment
            if self.settings.refund_settles_tax_first and self.a_return(return_id)["status"] != "COMPLETED":
                self.complete_return(return_id, at)
            row = self.a_return(return_id)
            order = self.order(row["order_number"])
            # Not documented, assumption: behaviour.refund_pays_the_total
            # Not documented, assumption: behaviour.second_refund_pays_again
            amount = rounded(self.totals_of(return_id).grand_total, order["currency"])
            captured, given = self.money_of(order["number"])
            if amount <= 0:
                # Not documented, assumption: behaviour.refund_needs_an_amount
                raise CentraRefusal("There is nothing to refund", ["id"])
            # Not documented, assumption: behaviour.refund_of_completed_return
            if self.settings.refunds_only_open_returns and row["status"] == "COMPLETED":
                raise CentraRefusal("A completed return can not be refunded", ["id"])
            if given + amount > captured:
                raise CentraRefusal(f"Only {captured - given} {order['currency']} can be refunded", ["id"])
            requested = order["payment_method"] in self.settings.refunds_in_two_steps
            entry_id = self.pay(
                order["number"], "REFUND_REQUEST" if requested else "REFUND", amount, at or self.clock.now(),
                return_id=return_id, status="PENDING" if requested else "SUCCESS",
            )  # fmt: skip
            self.send_email("return refunded", return_id, send_email)
            # Not documented, assumption: behaviour.refund_completes_return
            if row["status"] != "COMPLETED":
                self.complete_return(return_id, at)
            return entry_id

    def request_refund(self, return_id: int, *, at: datetime) -> int:
        """Somebody asks the payment provider for a refund that it answers later; answers the request's id."""
        with self.write():
            row = self.a_return(return_id)
            amount = self.totals_of(return_id).grand_total
            entry_id = self.pay(
                row["order_number"], "REFUND_REQUEST", amount, at, return_id=return_id, status="PENDING"
            )
            if row["status"] != "COMPLETED":
                self.complete_return(return_id)
            return entry_id

    def issue_credit(
        self, order_number: int, amount: Decimal, *, return_id: int | None = None, at: datetime | None = None
    ) -> int:
        """``issueCredit``: a gift card instead of money; answers the payment entry's id."""
        with self.write():
            order = self.order(order_number)
            if return_id is not None and self.a_return(return_id)["order_number"] != order_number:
                raise CentraRefusal("The return belongs to another order", ["input", "return"])
            captured, given = self.money_of(order_number)
            if amount <= 0 or given + amount > captured:
                raise CentraRefusal(f"Only {captured - given} {order['currency']} can be credited", ["input", "amount"])
            return self.pay(order_number, "REFUND_GIFT_CARD", amount, at or self.clock.now(), return_id=return_id)

    # ---------------------------------------------------------------- people

    def person_create_return(
        self,
        shipment_id: int,
        lines: dict[int, int],
        *,
        at: datetime,
        comment: str = "",
        stock: str | int = "origin",
        shipping: Decimal = ZERO,
        return_cost: Decimal = ZERO,
    ) -> int:
        """Somebody creates a Return in the admin (shipment line id -> quantity)."""
        return self.create_return(
            NewReturn(
                shipment_id, list(lines.items()), stock, shipping, return_cost=return_cost, comment=comment,
                created_from="AMS", admin_user=1,
            ),
            at,
        )  # fmt: skip

    def integration_return(
        self, shipment_id: int, lines: dict[int, int], *, created_from: str, at: datetime, comment: str = ""
    ) -> int:
        """Another integration, or an agent, creates a Return: nobody in the admin did (shipment line id -> quantity)."""
        # Not documented, assumption: behaviour.created_from
        new = NewReturn(shipment_id, list(lines.items()), "none", comment=comment, created_from=created_from)
        return self.create_return(new, at)

    def person_complete_return(self, return_id: int, *, at: datetime) -> None:
        """Somebody completes a Return."""
        self.complete_return(return_id, at)

    def person_refund_return(self, return_id: int, *, at: datetime) -> int:
        """Somebody refunds a Return."""
        return self.refund_return(return_id, at)

    def person_delete_return(self, return_id: int, *, at: datetime) -> None:
        """Somebody deletes a Return."""
        self.delete_return(return_id, at)

    def tax_returns_on(self, shipment_id: int, percent: Decimal) -> None:
        """Plant: Returns of this shipment are taxed by another rate than the order was."""
        self.refuse("tax", shipment_id, str(percent))

    def refuse_returns_on(self, shipment_id: int, message: str) -> None:
        """Plant: no Return may be created on this shipment."""
        self.refuse("return", shipment_id, message)
