"""Enum words that no document lists: on objects of their own, or on an object that a test names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from graphql import EnumTypeDefinitionNode, parse

from hr_centra_pipeline.sandbox.centra.orders import NewLine, NewOrder
from hr_centra_pipeline.sandbox.centra.return_desk import ReturnDesk
from hr_centra_pipeline.sandbox.centra.schema import schema_text

_EMAIL = "popup@example.com"
_RECOUNT = "Recount of the pop-up store"


@dataclass(frozen=True)
class Place:
    """Where a kind of word is kept. ``unlisted``: one that no document lists; ``plain``: one that is documented."""

    enum: str
    table: str
    key: str
    column: str
    unlisted: str
    plain: str


PLACES: Mapping[str, Place] = {
    "order": Place("OrderStatus", "orders", "number", "status", "AWAITING_REVIEW", "PROCESSING"),
    "return": Place("ReturnStatus", "returns", "id", "status", "IN_INSPECTION", "PENDING"),
    "payment_type": Place("PaymentHistoryEntryType", "payments", "id", "entry_type", "LOYALTY_POINTS", "OTHER"),
    "payment_status": Place("PaymentHistoryEntryStatus", "payments", "id", "status", "DISPUTED", "SUCCESS"),
    "stock_change": Place("StockChangeType", "stock_changes", "id", "type", "RECOUNT", "OTHER"),
    "warehouse_status": Place("Status", "warehouses", "id", "status", "SEASONAL", "ACTIVE"),
    "warehouse_stock_master": Place("WarehouseStockMaster", "warehouses", "id", "stock_master", "PARTNER", "CENTRA"),
}


@lru_cache
def documented(enum: str) -> frozenset[str]:
    """The words that the documented schema lists."""
    for node in parse(schema_text()).definitions:
        if isinstance(node, EnumTypeDefinitionNode) and node.name.value == enum:
            return frozenset(value.name.value for value in node.values)
    return frozenset()


class WordDesk(ReturnDesk):
    """Writes words that clients have never seen."""

    def extra_words(self) -> frozenset[tuple[str, str]]:
        """(enum, word) of every word that the served schema must list beside its own."""
        return frozenset((row["enum"], row["word"]) for row in self.rows("select enum, word from extra_words"))

    def force_word(self, kind: str, key: int, word: str) -> None:
        """Give one object another word, known or not; what Centra itself does hangs on it from now on, too.

        Raises:
            ValueError: there is no such kind or object.
        """
        if kind not in PLACES:
            raise ValueError(f"kind must be one of {', '.join(PLACES)}")
        place = PLACES[kind]
        with self.write():
            if not self.row(f"select 1 as x from {place.table} where {place.key} = ?", [key]):  # noqa: S608 - our own names
                raise ValueError(f"{place.table} {key}: there is none")
            self.update(place.table, place.key, key, {place.column: word})
            if word not in documented(place.enum):
                self.rows("insert or ignore into extra_words values (?, ?)", [place.enum, word])

    def show_unlisted_words(self, at: datetime | None = None) -> None:
        """One object of each kind with a word that no document lists. They are additional and hold nothing else: an empty
        warehouse, an article of its own with one stock change, an order with two payment entries, and its Return, which a
        person made. ``at``: when, unless now.
        """
        known = self.extra_words()
        if all((place.enum, place.unlisted) in known for place in PLACES.values()):
            return
        if not self.row("select 1 as x from warehouses"):
            return  # a shop that is still to be opened
        with self.write():
            for kind, key in self._objects_of_their_own(at or self.clock.now()).items():
                self.force_word(kind, key, PLACES[kind].unlisted)

    def _objects_of_their_own(self, now: datetime) -> dict[str, int]:
        """Kind -> key; made once."""
        buyer = self.row("select id from customers where email = ?", [_EMAIL])
        if buyer is None:
            warehouse_id = self.add_warehouse("Pop-up store")
            size_id = self.add_product_size(
                sku="POPUP-ONE", ean=None, upc=None, product_number="POPUP", product_name="Pop-up tote", variant_name="Plain",
                size="ONE", stock={warehouse_id: 1},
            )  # fmt: skip
            self.record_change("OTHER", [(size_id, warehouse_id, 1)], _RECOUNT, now)
            customer_id = self.add_customer(
                email=_EMAIL, first_name="Pop", last_name="Up", country="DE", is_registered=False
            )
            line = NewLine("POPUP-ONE", 1, Decimal("10.00"), Decimal("10.00"), Decimal(19))
            order = self.add_order(NewOrder(customer_id, "EUR", "DE", [line], now, captured=False))
            shipment_id = self.ship(order.number, at=now, captured=False)
            (shipped,) = self.rows("select id from shipment_lines where shipment_id = ?", [shipment_id])
            self.person_create_return(shipment_id, {shipped["id"]: 1}, at=now, stock="none")
            for _ in range(2):
                self.pay(order.number, "OTHER", Decimal("1.00"), now)
            return self._objects_of_their_own(now)
        number = self._key("select number from orders where customer_id = ?", buyer["id"])
        warehouse_id = self._key("select id from warehouses where name = ?", "Pop-up store")
        others = "select id from payments where order_number = ? and entry_type <> 'AUTH' order by id"
        return {
            "order": number, "return": self._key("select id from returns where order_number = ?", number),
            "payment_type": self._key(others, number), "payment_status": self._key(f"{others} desc", number),
            "stock_change": self._key("select id from stock_changes where comment = ?", _RECOUNT),
            "warehouse_status": warehouse_id, "warehouse_stock_master": warehouse_id,
        }  # fmt: skip

    def _key(self, query: str, value: Any) -> int:
        (first, *_) = self.rows(query, [value])
        return int(next(iter(first.values())))

    def forget_extra_words(self) -> None:
        """Every object has a documented word again, and the schema lists no other."""
        with self.write():
            for place in PLACES.values():
                self.rows(
                    f"update {place.table} set {place.column} = ? where {place.column} in"  # noqa: S608 - our own names
                    " (select word from extra_words where enum = ?)",
                    [place.plain, place.enum],
                )
            self.rows("delete from extra_words")
