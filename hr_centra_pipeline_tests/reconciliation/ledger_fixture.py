"""A hand-made ledger of all sides about a few returns, and the stages that make exceptions of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.core.keys import effect_key, packet_key
from hr_centra_pipeline.effects.plan import plan
from hr_centra_pipeline.matching.match import match
from hr_centra_pipeline.push.record import record_plan
from hr_centra_pipeline.reconciliation.reconcile import reconcile
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline_tests import staged
from hr_centra_pipeline_tests.staged import put

DROPPED = datetime(2026, 9, 2, 12, tzinfo=UTC)
NOW = datetime(2026, 9, 20, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ZERO = Decimal(0)


class LedgerFixture:
    """Orders of one piece at 125.00 EUR (25 % tax: 100.00 and 25.00), dropped off at a bar, unless said otherwise."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        for kind in ("returns", "items", "refunds", "shipments"):
            connection.execute(
                "insert into landing.files (source_file, file_sha256, kind, byte_size, rows_read, rows_landed,"
                " rows_rejected, rows_repeated, batch, received_at) values (?, 'x', ?, 1, 1, 1, 0, 0, 1, ?)",
                [f"{kind}.csv", kind, DROPPED],
            )
        for object_ in ("orders", "shipments", "returns", "stock_changes"):
            connection.execute(
                "insert into landing.centra_pulls values (?, ?, ?, 1, 1, true, null, 1, ?, 0)",
                [object_, DROPPED - 90 * DAY, NOW, DROPPED],
            )

    def sold(self, number: str, *, pieces: int = 1, price: str = "125", shipping: str = "0", **more: Any) -> None:
        """An order of one line, whose shipment and lines have the order's number as id."""
        staged.order(
            self.connection, number, (number, f"SKU-{number}", pieces), price=price, shipping=Decimal(shipping),
            created_at=DROPPED - 20 * DAY, fetched_at=DROPPED, **more,
        )  # fmt: skip

    def returned(self, number: str, *, pieces: int = 1, **more: Any) -> list[str]:
        """Units of an order in one return ``R-<order>``, approved at the drop-off, arrived and graded; answers their ids."""
        put(
            self.connection, "staging.returns", return_id=f"R-{number}", order_number=number, refund_status="approved",
            created_at=DROPPED - DAY, express_code=f"HRX{number}",
        )  # fmt: skip
        units = [f"{number}-{piece}" for piece in range(pieces)]
        for unit in units:
            staged.unit(
                self.connection, unit, number,
                **{
                    "return_id": f"R-{number}", "sku": f"SKU-{number}", "return_created_at": DROPPED - DAY,
                    "received_at": DROPPED, "approved_at": DROPPED, "warehouse_received_at": DROPPED + 4 * DAY,
                    "disposition": "sellable", "disposition_at": DROPPED + 5 * DAY, "express_code": f"HRX{number}", **more,
                },
            )  # fmt: skip
            for event, at in (("received", DROPPED), ("warehouse_received", DROPPED + 4 * DAY)):
                put(
                    self.connection, "staging.return_item_events", return_item_id=unit, return_id=f"R-{number}", event=event,
                    happened_at=at, is_physical=True,
                )  # fmt: skip
        return units

    def a_line_for_each(self, number: str, units: Sequence[str], prices: Sequence[str]) -> Sequence[str]:
        """Gives each unit an article and a line of its own, 11 and up, at its price; answers the units."""
        for line, (unit, price) in enumerate(zip(units, prices, strict=True), 11):
            put(
                self.connection, "staging.order_lines", order_line_id=str(line), order_number=number, sku=unit,
                is_product=True, quantity=1, unit_price=price, tax_percent=25,
            )  # fmt: skip
            put(
                self.connection, "staging.shipment_lines", shipment_line_id=line, shipment_id=int(number),
                order_number=number, order_line_id=str(line), quantity=1, unit_price=price, unit_tax=0, currency="EUR",
            )  # fmt: skip
            self.connection.execute(
                "update staging.return_items set sku = return_item_id where return_item_id = ?", [unit]
            )
        return units

    def told(
        self, number: str, units: list[str], *, items: str = "100", tax: str = "25", shipping: str = "0", fee: str = "0",
        total: str | None = None, status: str = "issued", refund_type: str = "refund", at: datetime = DROPPED + HOUR,
        name: str = "", landed_at: datetime | None = None, currency: str = "EUR", **more: Any,
    ) -> str:  # fmt: skip
        """Happy Returns' refund row for units; items and tax are of all of them."""
        refund_id = f"RF-{number}{name}"
        parts = Decimal(items) + Decimal(tax) + Decimal(shipping) - Decimal(fee)
        put(
            self.connection, "staging.refunds", refund_id=refund_id, return_id=f"R-{number}", order_number=number,
            refund_type=refund_type, issued_at=at, status=status, currency=currency, source_file="refunds.csv", source_line=2,
            **{
                "item_subtotal": items, "discount": 0, "tax": tax, "shipping_refund": shipping, "processing_fee": fee,
                "total_refunded": parts if total is None else Decimal(total), **more,
            },
        )  # fmt: skip
        for unit in units:
            put(self.connection, "staging.refund_units", refund_id=refund_id, return_item_id=unit, is_told=True)
        self.connection.execute(
            "insert into landing.happy_returns_refunds (refund_id, return_id, order_number, refund_type, status, profile,"
            " row_sha256, source_time, source_file, source_line, landed_at, batch)"
            " values (?, ?, ?, ?, ?, 'default', 'x', ?, 'refunds.csv', 2, ?, 0)",
            [refund_id, f"R-{number}", number, refund_type, status, at, landed_at or at],
        )
        return refund_id

    def credited(
        self, number: str, units: list[str], return_id: int, *, by_person: bool = False, price: str = "125", tax: str = "25",
        shipping: str = "0", fee: str = "0", voucher: str = "0", paid: bool = True, at: datetime = DROPPED + 2 * HOUR,
        kind: str = "credit_note", deleted_at: datetime | None = None, currency: str = "EUR", reference: str | None = None,
        **more: Any,
    ) -> None:  # fmt: skip
        """A Return in Centra of pieces at one price each; ours carries its keys and is in the ledger."""
        keys = [] if by_person else [effect_key(kind, unit) for unit in units]
        made_by = more.pop("made_by", "person" if by_person else "integration")
        pieces = len(units) or 1
        total = pieces * Decimal(price) + Decimal(shipping) - Decimal(fee) - Decimal(voucher)
        return_level = {"shipping_refund": Decimal(shipping), "return_fee": Decimal(fee)}
        return_level_keys = {
            name: effect_key(name, f"R-{number}", number) for name, amount in return_level.items() if amount
        }
        if by_person:
            return_level_keys = {}
        put(
            self.connection, "staging.centra_returns", centra_return_id=return_id, order_number=number,
            shipment_id=int(number), status="COMPLETED", currency=currency, grand_total=total,
            line_values=pieces * Decimal(price), shipping=Decimal(shipping), return_cost=Decimal(fee), discounts=Decimal(voucher),
            tax=pieces * Decimal(tax), created_at=at, fetched_at=NOW, created_from="AMS" if by_person else "API",
            made_by=made_by,
            packet_key=None if by_person else packet_key(keys), effect_keys=[*keys, *return_level_keys.values()],
            express_codes=[f"HRX{number}"] if by_person and units else [], deleted_at=deleted_at, **more,
        )  # fmt: skip
        put(
            self.connection, "staging.centra_return_lines", centra_return_line_id=return_id, centra_return_id=return_id,
            order_number=number, shipment_line_id=int(number), order_line_id=number, quantity=pieces,
            line_value=pieces * Decimal(price), line_tax=pieces * Decimal(tax),
        )  # fmt: skip
        if paid:
            self.paid(number, return_id, total, at=at, reference=reference)
        for unit, key in zip(units, keys, strict=False):
            self._ledger(key, kind, number, unit, Decimal(price), return_id)
        for name, key in return_level_keys.items():
            self._ledger(key, name, number, None, return_level[name], return_id)

    def paid(
        self, number: str, return_id: int | None, amount: Decimal | str, *, entry_type: str = "REFUND",
        status: str = "SUCCESS", at: datetime = DROPPED + 2 * HOUR, reference: str | None = None, currency: str = "EUR",
        provider_references: Sequence[str] = (),
    ) -> int:  # fmt: skip
        """An entry of an order's payment history."""
        row = self.connection.execute("select coalesce(max(entry_id), 0) + 1 from staging.payment_entries").fetchone()
        entry_id = int(row[0]) if row else 1
        put(
            self.connection, "staging.payment_entries", entry_id=entry_id, order_number=number, centra_return_id=return_id,
            entry_type=entry_type, status=status, amount=Decimal(amount), currency=currency,
            external_reference=reference or f"psp-{entry_id}", provider_references=list(provider_references), created_at=at,
        )  # fmt: skip
        return entry_id

    def booked(
        self, reference: str, amount: str, *, line_type: str = "refund", number: str | None = None,
        at: datetime = DROPPED + 5 * HOUR, provider: str = "card-psp", currency: str = "EUR", payment: str | None = None,
    ) -> None:  # fmt: skip
        """A line of a settlement, as the merchant sees it: what goes out is negative."""
        row = self.connection.execute("select count(*) + 2 from staging.payout_lines").fetchone()
        line = int(row[0]) if row else 2
        put(
            self.connection, "staging.payout_lines", payout_line_id=f"{provider} 1 {line}", provider=provider, payout_id="1",
            line_type=line_type, told_type=line_type, reference=reference, payment_reference=payment, order_number=number,
            happened_at=at,
            currency=currency, gross_amount=Decimal(amount), source_file="settlement.csv", source_line=line,
        )  # fmt: skip

    def _ledger(
        self, key: str, kind: str, number: str, unit: str | None, amount: Decimal, return_id: int, state: str = "confirmed"
    ) -> None:  # fmt: skip
        self.connection.execute(
            "insert into push.ledger (effect_key, effect_kind, return_id, return_item_id, order_number, shipment_line_id,"
            " currency, amount, state, centra_id, is_foreign, updated_at) values (?, ?, ?, ?, ?, ?, 'EUR', ?, ?, ?, false, ?)",
            [
                key, kind, f"R-{number}", unit, number, int(number) if unit else None, amount, state, str(return_id),
                DROPPED + 2 * HOUR,
            ],
        )  # fmt: skip

    # ---------------------------------------------------------------- looking

    def reconcile(self, now: datetime = NOW) -> None:
        """Match, plan and reconcile, everything again."""
        self.connection.execute("delete from reconciliation.settled_orders")
        match(self.connection, now)
        plan(self.connection, now)
        record_plan(self.connection, now)
        reconcile(self.connection, now)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the database."""
        return self.connection.execute(query).fetchall()

    def open(self, *kinds: str) -> list[tuple[Any, ...]]:
        """(kind, return, amount, culprit) of the open exceptions of some kinds (or families: a prefix)."""
        found = self.rows("select kind, return_id, amount, culprit from reconciliation.exceptions order by all")
        return [row for row in found if any(row[0].startswith(kind) for kind in kinds)]
