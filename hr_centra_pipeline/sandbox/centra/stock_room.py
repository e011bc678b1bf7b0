"""Warehouses, sizes and stock: Centra's own movements and ``changeStock``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from hr_centra_pipeline.sandbox.centra.centra_database import CentraRefusal, Database, Row, instant_text


@dataclass(frozen=True)
class Moved:
    """Units of one size in a stock change; ``path`` is where they are in the caller's input."""

    size_id: int
    quantity: int
    path: tuple[str, ...] = ()


class StockRoom(Database):
    """Stock by warehouse and size. Physical is what is there, allocated is promised to orders."""

    def add_warehouse(self, name: str, *, external_id: str | None = None, stock_master: str = "CENTRA") -> int:
        """Open a warehouse; answers its id (1, 2, …)."""
        with self.write():
            return self.insert(
                "warehouses",
                {"name": name, "external_id": external_id, "status": "ACTIVE", "stock_master": stock_master},
            )

    def add_product_size(
        self,
        *,
        sku: str,
        ean: str | None,
        upc: str | None,
        product_number: str,
        product_name: str,
        variant_name: str,
        size: str,
        stock: Mapping[int, int],
    ) -> int:
        """Add one size of a variant, with physical stock by warehouse id; answers its id."""
        with self.write():
            variant = self.row(
                "select id from variants where product_number = ? and name = ?", [product_number, variant_name]
            )
            variant_id = (
                variant["id"]
                if variant
                else self.insert(
                    "variants",
                    {
                        "product_number": product_number, "product_name": product_name, "name": variant_name,
                        "variant_number": variant_name[:3].upper(),
                    },
                )
            )  # fmt: skip
            size_id = self.insert("sizes", {"variant_id": variant_id, "sku": sku, "ean": ean, "upc": upc, "size": size})
            for warehouse_id, physical in stock.items():
                self.insert(
                    "stock",
                    {"warehouse_id": warehouse_id, "size_id": size_id, "physical": physical, "allocated": 0},
                )
            return size_id

    def size_by(self, sku: str) -> Row | None:
        """A size by its SKU."""
        return self.row("select * from sizes where sku = ?", [sku])

    def free(self, size_id: int, warehouse_id: int | None = None) -> int:
        """Units that can still be promised, in one warehouse or all."""
        found = self.row(
            "select coalesce(sum(physical - allocated), 0) as free from stock where size_id = ?"
            " and (? is null or warehouse_id = ?)",
            [size_id, warehouse_id, warehouse_id],
        )
        return int(found["free"]) if found else 0

    def allocate(self, size_id: int, quantity: int, by: int = 1) -> int | None:
        """Promise units from the warehouse that has most of them; ``None``: no warehouse has enough."""
        best = self.row(
            "select warehouse_id from stock where size_id = ? and physical - allocated >= ?"
            " order by physical - allocated desc, warehouse_id limit 1",
            [size_id, quantity],
        )
        if best is None:
            return None
        self._shift(size_id, best["warehouse_id"], allocated=quantity * by)
        return int(best["warehouse_id"])

    def _shift(self, size_id: int, warehouse_id: int, *, physical: int = 0, allocated: int = 0) -> None:
        if not self.row("select 1 as x from stock where size_id = ? and warehouse_id = ?", [size_id, warehouse_id]):
            self.insert("stock", {"warehouse_id": warehouse_id, "size_id": size_id, "physical": 0, "allocated": 0})
        self.rows(
            "update stock set physical = physical + ?, allocated = allocated + ?"
            " where size_id = ? and warehouse_id = ?",
            [physical, allocated, size_id, warehouse_id],
        )

    def record_change(
        self,
        kind: str,
        lines: Sequence[tuple[int, int, int]],
        comment: str,
        at: datetime,
        admin_user: int | None = None,
    ) -> int:
        """Move (size, warehouse, signed quantity) and keep it as one stock change; answers its id."""
        change_id = self.insert(
            "stock_changes",
            {
                "created_at": instant_text(at), "comment": comment, "type": kind, "admin_user": admin_user,
                # Not documented, assumption: behaviour.stock_change_warehouse_filter
                "warehouse_id": lines[0][1] if lines else None,
            },
        )  # fmt: skip
        for size_id, warehouse_id, quantity in lines:
            self._shift(size_id, warehouse_id, physical=quantity)
            self.insert(
                "stock_change_lines",
                {
                    "stock_change_id": change_id, "size_id": size_id, "warehouse_id": warehouse_id,
                    "quantity": quantity, "free": self.free(size_id, warehouse_id),
                },
            )  # fmt: skip
        self.happened("StockChange", "CREATED", change_id, at)
        return change_id

    def change_stock(
        self,
        moved: Sequence[Moved],
        *,
        into: int | None,
        out_of: int | None,
        description: str,
        at: datetime | None = None,
        admin_user: int | None = None,
    ) -> int:
        """``changeStock``: in, out or a transfer, wholly or not at all; answers the stock change's id.

        Raises:
            CentraRefusal: an unknown size or warehouse, a quantity below 1, nothing to move, a text that is too long, or
                more taken out than is there unpromised.
        """
        with self.write():
            if into is None and out_of is None:
                raise CentraRefusal("Give intoWarehouse, outFromWarehouse or both", ["input"])
            if not moved:
                raise CentraRefusal("Give productVariants or productSizes", ["input"])
            if not description.strip():
                raise CentraRefusal("Description is required", ["input", "description"])
            # Not documented, assumption: behaviour.stock_change_text
            # Not documented, assumption: behaviour.stock_change_text_length
            if len(description) > self.settings.text_limit:
                raise CentraRefusal(
                    f"Description may have {self.settings.text_limit} characters", ["input", "description"]
                )
            for field, warehouse_id in (("intoWarehouse", into), ("outFromWarehouse", out_of)):
                if warehouse_id is not None and not self.row(
                    "select 1 as x from warehouses where id = ?", [warehouse_id]
                ):
                    raise CentraRefusal("Warehouse not found", ["input", field])
            lines: list[tuple[int, int, int]] = []
            taken: dict[int, int] = {}
            for one in moved:
                if one.quantity < 1:
                    raise CentraRefusal("Quantity must be positive", [*one.path, "deliveredQuantity"])
                sku = (self.row("select sku from sizes where id = ?", [one.size_id]) or {}).get("sku")
                # Not documented, assumption: behaviour.stock_change_is_whole
                if message := self.refusal_of("stock", sku):
                    raise CentraRefusal(message, [*one.path, "productSize"])
                if out_of is not None:
                    taken[one.size_id] = taken.get(one.size_id, 0) + one.quantity
                    if taken[one.size_id] > self.free(one.size_id, out_of):
                        raise CentraRefusal(
                            f"Only {self.free(one.size_id, out_of)} units of {sku} can be taken out",
                            [*one.path, "deliveredQuantity"],
                        )
                    # Not documented, assumption: behaviour.stock_out_is_negative
                    lines.append((one.size_id, out_of, -one.quantity))
                if into is not None:
                    lines.append((one.size_id, into, one.quantity))
            # Not documented, assumption: behaviour.stock_change_types
            kind = "TRANSFER" if into is not None and out_of is not None else "IN" if into is not None else "OUT"
            return self.record_change(kind, lines, description, at or self.clock.now(), admin_user)

    def person_change_stock(
        self, *, sku: str, quantity: int, into: int | None = None, out_of: int | None = None, comment: str, at: datetime
    ) -> int:
        """Somebody moves units of one size in the admin."""
        size = self.size_by(sku)
        if size is None:
            raise CentraRefusal("Product size not found", ["sku"])
        return self.change_stock(
            [Moved(size["id"], quantity)], into=into, out_of=out_of, description=comment, at=at, admin_user=1
        )

    def refuse_stock_changes_of(self, sku: str, message: str) -> None:
        """Plant: no stock change may name this SKU."""
        self.refuse("stock", sku, message)
