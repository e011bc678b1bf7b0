"""How a return goes: every change that Happy Returns' records will see, written down before it happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from hr_centra_pipeline.sandbox.happy_returns.exports import shown
from hr_centra_pipeline.sandbox.happy_returns.records import Happening
from hr_centra_pipeline.sandbox.shop.assortment import ZERO, Order, Unit, rounded

# The shop's fee for a return by mail, deducted from a refund to the original payment.
MAIL_FEE = {
    "EUR": Decimal("4.95"),
    "SEK": Decimal("49.00"),
    "USD": Decimal("4.95"),
    "GBP": Decimal("3.95"),
    "CHF": Decimal("4.95"),
}
_REASONS = ("too-small", "too-large", "not-as-expected", "changed-mind", "faulty")
_BARS = (("Ulta Beauty 214", "Berlin"), ("Staples 88", "Boston"), ("PostNord Söder", "Stockholm"))


@dataclass
class Piece:
    """One unit on its way back."""

    unit: Unit
    item_id: str
    refund_type: str = "refund"
    exchange_sku: str | None = None
    sku: str | None = None  # as the row shows it; None: the true one
    line_item_id: str | None = None  # as the row shows it; None: the shop's way


@dataclass
class Story:
    """One return; collects what happens. Times go into rows with the offset of the place, now and then in UTC."""

    random: Random
    return_id: str
    express_code: str
    orders: list[Order]
    pieces: list[Piece]
    method: str
    created_at: datetime
    hash_mark: bool = False
    order_numbers: dict[int, str] = field(default_factory=dict)  # what is reported where it is not the true number
    happenings: list[Happening] = field(default_factory=list)
    refunds: int = 0

    # ---------------------------------------------------------------- rows

    def number(self, order: int) -> str:
        """An order number as this return reports it."""
        told = self.order_numbers.get(order, str(order))
        return f"#{told}" if self.hash_mark else told

    def at(self, instant: datetime) -> str:
        """A time as this return's rows report it."""
        return shown(instant, self.orders[0].offset_hours if self.random.random() < 0.7 else 0)

    def change(self, at: datetime, kind: str, key: str, **changes: Any) -> None:
        """A row changes."""
        self.happenings.append(Happening(at, "row", {"kind": kind, "key": key, "changes": changes}))

    def item(self, at: datetime, piece: Piece, **changes: Any) -> None:
        """A unit's row changes."""
        self.change(at, "items", piece.item_id, **changes)

    def returns(self, at: datetime, pieces: Sequence[Piece], **changes: Any) -> None:
        """The return's rows change, on the orders that these units belong to."""
        for order in dict.fromkeys(piece.unit.order_number for piece in pieces):
            self.change(at, "returns", f"{self.return_id}/{order}", **changes)

    # ---------------------------------------------------------------- what can happen

    def start(self) -> None:
        """The shopper starts the return."""
        for order in self.orders:
            mine = [piece for piece in self.pieces if piece.unit.order_number == order.number]
            self.change(
                self.created_at, "returns", f"{self.return_id}/{order.number}",
                return_id=self.return_id, order_number=self.number(order.number), express_code=self.express_code,
                refund_status="started", customer_email=order.customer_email, items_approved=f"0 of {len(mine)}",
                return_method=self.method, created_at=self.at(self.created_at), order_id=order.order_id,
                retailer_id="demo-shop", items_total=len(mine), items_received=0, started_at=self.at(self.created_at),
                time_zone="UTC",
            )  # fmt: skip
            for piece in mine:
                self._start_item(order, piece)

    def _start_item(self, order: Order, piece: Piece) -> None:
        unit = piece.unit
        line = str(unit.line_id)
        suffix = f"-{unit.offset}-{unit.line_quantity}" if unit.line_quantity > 1 else ""
        told = piece.line_item_id if piece.line_item_id is not None else line + suffix
        self.item(
            self.created_at, piece,
            return_id=self.return_id, order_number=self.number(order.number), order_id=order.order_id,
            order_line_item_id=told, sku=unit.size.sku if piece.sku is None else piece.sku, upc=unit.size.upc,
            product_name=unit.size.name, purchased_at=self.at(order.placed_at), email=order.customer_email,
            item_id=piece.item_id, express_code=self.express_code, return_reason=self.random.choice(_REASONS),
            refund_type=piece.refund_type, exchange_sku=piece.exchange_sku, dropoff_method=self.method,
            country=order.country,
        )  # fmt: skip

    def receive(self, at: datetime, pieces: Sequence[Piece], *, approved: bool, channel: str | None = None) -> None:
        """Goods are scanned at the drop-off, or arrive by mail."""
        place, metro = self.random.choice(_BARS)
        for piece in pieces:
            more = {"drop_off_location": place, "location_metro": metro} if self.method == "return-bar" else {}
            bag = {"bag_barcode": f"BAG{self.random.randrange(10**6):06d}"} if self.method == "return-bar" else {}
            approval = {"approved_at": self.at(at)} if approved else {}
            self.item(
                at, piece, received_at=self.at(at), received_channel=channel or self.method, **more, **bag, **approval
            )
        # A parcel by mail was handed in before it arrives.
        handed_in = {} if self.method == "mail" else {"dropped_off_at": self.at(at)}
        self.returns(
            at, pieces, refund_status="approved" if approved else "dropped-off", items_received=len(pieces), **handed_in,
            **({"last_approved_at": self.at(at)} if approved else {}),
        )  # fmt: skip

    def approve(self, at: datetime, pieces: Sequence[Piece]) -> None:
        """Somebody approves by hand."""
        for piece in pieces:
            self.item(at, piece, approved_at=self.at(at))
        self.returns(at, pieces, refund_status="approved", last_approved_at=self.at(at))

    def travel(self, at: datetime, pieces: Sequence[Piece], arrives_at: datetime) -> None:
        """From the bar to a hub, from there to the warehouse."""
        hub_at = at + (arrives_at - at) * 0.35
        departs_at = at + (arrives_at - at) * 0.5
        for piece in pieces:
            self.item(hub_at, piece, hub_received_at=self.at(hub_at))
            self.depart(departs_at, piece)
            self.item(arrives_at, piece, warehouse_received_at=self.at(arrives_at))

    def depart(self, at: datetime, piece: Piece) -> None:
        """A unit leaves the hub in an outbound shipment."""
        shipment = f"OUT-{at:%Y%m%d}"
        self.change(
            at, "shipments", f"{shipment}/{piece.item_id}",
            shipment_id=shipment, item_id=piece.item_id, return_id=self.return_id, express_code=self.express_code,
            order_number=self.number(piece.unit.order_number), sku=piece.unit.size.sku, upc=piece.unit.size.upc,
            product_name=piece.unit.size.name, carrier="DHL", tracking=f"JJD{self.random.randrange(10**10):010d}",
            departed_at=self.at(at), destination_address_id="WH-MAIN",
        )  # fmt: skip

    def grade(self, at: datetime, pieces: Sequence[Piece], disposition: str) -> None:
        """The warehouse grades."""
        for piece in pieces:
            self.item(at, piece, disposition=disposition)

    def expire(self, at: datetime) -> None:
        """Unused, the return expires."""
        for order in self.orders:
            key = f"{self.return_id}/{order.number}"
            self.change(at, "returns", key, refund_status="expired", expired_at=self.at(at))

    def refund(
        self, at: datetime, pieces: Sequence[Piece], *, fee: bool = True, whole_order: bool = False, pending_first: bool = False,
        items_off: Decimal = ZERO, tax_off: Decimal = ZERO, shipping_off: Decimal = ZERO, fee_off: Decimal = ZERO,
        names_items: bool | None = None, more: dict[str, Any] | None = None,
    ) -> list[Decimal]:  # fmt: skip
        """One refund row per order and type for units that were approved together; answers the totals.

        ``…_off``: what Happy Returns has wrong, for planted mismatches; ``more``: columns that are reported otherwise.
        """
        totals = []
        groups: dict[tuple[int, str], list[Piece]] = {}
        for piece in pieces:
            groups.setdefault((piece.unit.order_number, piece.refund_type), []).append(piece)
        lowest = min((number for number, kind in groups if kind == "refund"), default=None)
        for (number, kind), mine in sorted(groups.items()):
            order = next(order for order in self.orders if order.number == number)
            money = _money(order, mine, items_off, tax_off)
            if kind == "exchange":
                money = dict.fromkeys(money, ZERO)
            elif kind == "refund":
                money["shipping_refund"] = order.shipping_told if whole_order else ZERO
                charge = MAIL_FEE[order.currency] if fee and self.method == "mail" and number == lowest else ZERO
                money["processing_fee"] = (charge if charge < money["item_subtotal"] else ZERO) + fee_off
                money["shipping_refund"] += shipping_off
            total = (
                money["item_subtotal"] - money["discount"] + money["tax"] + money["shipping_refund"]
                - money["processing_fee"]
            )  # fmt: skip
            totals.append(total)
            self.refunds += 1
            refund_id = f"RF-{self.return_id[3:]}-{self.refunds}"
            told = names_items if names_items is not None else self.random.random() < 0.5
            row = {
                "refund_id": refund_id, "return_id": self.return_id, "order_number": self.number(number),
                "refund_type": kind, "issued_at": self.at(at), "status": "issued", "currency": order.currency,
                **{name: str(value) for name, value in money.items()},
                "fee_basis": "return" if money["processing_fee"] else None, "total_refunded": str(total),
                "price_difference": "0.00" if kind == "exchange" else None,
                "item_ids": " ".join(piece.item_id for piece in mine) if told else None, **(more or {}),
            }  # fmt: skip
            if pending_first:
                self.change(at, "refunds", refund_id, **{**row, "status": "pending"})
                self.change(at + timedelta(hours=3), "refunds", refund_id, status="issued")
            else:
                self.change(at, "refunds", refund_id, **row)
        for piece in pieces:
            self.item(at, piece, refunded_at=self.at(at))
        return totals


def _money(order: Order, pieces: Sequence[Piece], items_off: Decimal, tax_off: Decimal) -> dict[str, Decimal]:
    """Parts of a refund: subtotal and discount without tax, tax after the discount; exported goods have none."""
    units = [piece.unit for piece in pieces]
    price = sum((unit.price for unit in units), ZERO)
    voucher = sum((unit.voucher for unit in units), ZERO)
    of_units = sum((rounded(unit.tax_of(unit.price)) for unit in units), ZERO)
    of_voucher = rounded(sum((unit.tax_of(unit.voucher) for unit in units), ZERO))
    is_in_prices, is_owed = order.tax_mode != "added", order.tax_mode != "deducted"
    return {
        "item_subtotal": price - of_units * is_in_prices + items_off, "discount": voucher - of_voucher * is_in_prices,
        "tax": (of_units - of_voucher) * is_owed + tax_off, "shipping_refund": ZERO, "processing_fee": ZERO,
    }  # fmt: skip


def ordinary(story: Story) -> None:
    """A return that goes well, as its method has it."""
    random = story.random
    story.start()
    start = story.created_at

    def hours(least: float, most: float) -> timedelta:
        return timedelta(hours=random.uniform(least, most))

    has_voucher = any(order.voucher for order in story.orders)
    batches = [story.pieces]
    if len(story.pieces) > 1 and not has_voucher and len(story.orders) == 1 and random.random() < 0.2:
        batches = [story.pieces[:1], story.pieces[1:]]
    whole = (
        len(story.orders) == 1 and len(batches) == 1 and len(story.pieces) == len(story.orders[0].units)
        and {piece.refund_type for piece in story.pieces} == {"refund"}
        and len({piece.unit.shipment_id for piece in story.pieces}) == 1 and random.random() < 0.5
    )  # fmt: skip
    dropped = start + hours(6, 72)
    for number, pieces in enumerate(batches):
        if number and random.random() < 0.4:
            story.returns(dropped + hours(1, 2), story.pieces, refund_status="partly-approved")
            break
        at = dropped + number * hours(40, 90)
        arrives = at + timedelta(days=random.uniform(3, 7))
        match story.method:
            case "returnless":
                approved = start + hours(1, 2)
                story.receive(approved, pieces, approved=True)
                story.refund(approved + hours(1, 6), pieces)
                continue
            case "return-bar":
                story.receive(at, pieces, approved=True)
                approved = at
                story.travel(at, pieces, arrives)
            case "in-store":
                story.receive(at, pieces, approved=True)
                approved, arrives = at, at
            case "mail":
                story.returns(at, pieces, refund_status="dropped-off", dropped_off_at=story.at(at))
                story.receive(arrives, pieces, approved=True)
                approved = arrives
            case _:
                story.receive(arrives, pieces, approved=False)
                approved = arrives + hours(24, 48)
                story.approve(approved, pieces)
        story.refund(
            approved + hours(1, 6), pieces, fee=number == 0, whole_order=whole, pending_first=random.random() < 0.2
        )  # fmt: skip
        graded = max(arrives, approved) + hours(12, 72)
        for piece in pieces:
            grade = random.choices(("sellable", "b-grade", "damaged"), (85, 9, 6))[0]
            story.grade(graded, [piece], grade)
            if grade == "sellable" and random.random() < 0.06:
                story.grade(graded + timedelta(days=random.uniform(2.5, 6)), [piece], "damaged")
