"""Returns that happen now, on demand: a demo or a bench plants one, and watches what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from hr_centra_pipeline.sandbox.centra.store import CentraStore
from hr_centra_pipeline.sandbox.happy_returns.records import Records
from hr_centra_pipeline.sandbox.sandbox_clock import SandboxClock
from hr_centra_pipeline.sandbox.shop.assortment import Assortment, Order
from hr_centra_pipeline.sandbox.shop.shop import Shop, lived_until
from hr_centra_pipeline.sandbox.shop.stories import Piece, Story

_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_METHODS = ("return-bar", "in-store", "mail", "mail-shopper-provided", "returnless")
_FIRST = 900_000  # numbers far from those of the shop's own returns and units


@dataclass
class Scans:
    """Plants in a shop that has a past; every step of it is one of the shop's own."""

    home: Path
    store: CentraStore
    clock: SandboxClock

    def scan(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """A return is started, dropped off and (unless the method is by mail) approved at this moment.

        ``units`` (1), ``method`` (return-bar), ``refund_type`` (refund), ``count`` (1) of returns, ``first`` (how many of
        the units are dropped off; the others never come), ``disposition`` (sellable).

        Raises:
            ValueError: an unknown argument or method, or a home without a shop.
        """
        known = {"units", "method", "refund_type", "count", "first", "disposition"}
        if unknown := sorted(set(given) - known):
            raise ValueError(f"no such argument: {', '.join(unknown)} (there are: {', '.join(sorted(known))})")
        if given.get("method", "return-bar") not in _METHODS:
            raise ValueError(f"method must be one of {', '.join(_METHODS)}")
        records = Records(self.home / "happy_returns.sqlite")
        try:
            at = lived_until(records)
            planted = [self._plant(records, given, at) for _ in range(int(given.get("count", 1)))]
        finally:
            records.close()
        shop = Shop(self.home, self.store, self.clock)
        try:
            shop.live(0)
        finally:
            shop.close()
        return {"at": at.isoformat(), "returns": planted, **(planted[0] if planted else {})}

    def sell(self, orders: int) -> list[int]:
        """Sell orders that were placed and shipped days ago, for scans to come; answers their numbers.

        Raises:
            ValueError: a home without a shop.
        """
        records = Records(self.home / "happy_returns.sqlite")
        try:
            at = lived_until(records)
            sold = [self._sell(records, at, 2) for _ in range(orders)]
            waiting = json.loads(records.fact("sold_for_scans") or "[]")
            records.keep("sold_for_scans", json.dumps([*waiting, *sold]))
            return sold
        finally:
            records.close()

    def _next(self, records: Records, name: str) -> int:
        number = int(records.fact(name) or 0) + 1
        records.keep(name, str(number))
        return number

    def _sell(self, records: Records, at: datetime, units: int) -> int:
        number = self._next(records, "scan_sales")
        assortment = Assortment.of(self.store, Random(f"{records.fact('seed')} sale {number}"))
        placed_at = (at - timedelta(days=3)).replace(microsecond=0)
        order = assortment.sell(placed_at, assortment.any_lines(units), shipped_at=at - timedelta(days=2))
        self.store.let_providers_answer(at)
        self.store.set_order(order.number, {}, at)  # it shows among what has changed lately
        return order.number

    def _plant(self, records: Records, given: Mapping[str, Any], at: datetime) -> dict[str, Any]:
        units = int(given.get("units", 1))
        waiting = json.loads(records.fact("sold_for_scans") or "[]")
        order: Order | None = None
        assortment = Assortment.of(self.store, Random(0))
        for number in waiting:
            found = assortment.order(number)
            if len(found.units) >= units:
                order = found
                records.keep("sold_for_scans", json.dumps([other for other in waiting if other != number]))
                break
        if order is None:
            order = assortment.order(self._sell(records, at, units))
        number = self._next(records, "scans")
        random = Random(f"{records.fact('seed')} scan {number}")
        pieces = []
        for unit in order.units[:units]:
            item_id = f"IT-{_FIRST + self._next(records, 'scanned_units'):06d}"
            refund_type = str(given.get("refund_type", "refund"))
            exchange = random.choice(unit.size.siblings) if refund_type == "exchange" and unit.size.siblings else None
            pieces.append(Piece(unit, item_id, refund_type, exchange))
        code = "HR" + "".join(random.choice(_ALPHABET) for _ in range(6))
        story = Story(
            random, f"RT-{_FIRST + number:06d}", code, [order], pieces, str(given.get("method", "return-bar")),
            at.replace(microsecond=0),
        )  # fmt: skip
        dropped = pieces[: int(given.get("first", len(pieces)))]
        _live(story, at.replace(microsecond=0), dropped, str(given.get("disposition", "sellable")))
        records.begin()
        records.plan(story.happenings)
        records.commit()
        return {
            "return_id": story.return_id, "express_code": code, "order_number": str(order.number),
            "customer_email": order.customer_email, "currency": order.currency, "at": at.isoformat(),
            "units": [
                {
                    "item_id": piece.item_id, "sku": piece.unit.size.sku, "paid": str(piece.unit.paid),
                    "order_line_id": piece.unit.line_id, "is_dropped_off": piece in dropped,
                }
                for piece in pieces
            ],
        }  # fmt: skip


def _live(story: Story, at: datetime, dropped: list[Piece], disposition: str) -> None:
    """From the start to the grading, as the method has it."""
    story.start()
    random = story.random
    arrives_at = at + timedelta(days=random.uniform(3, 7))
    approved_at = at
    match story.method:
        case "return-bar":
            story.receive(at, dropped, approved=True)
            story.travel(at, dropped, arrives_at)
        case "mail":
            story.returns(at, dropped, refund_status="dropped-off", dropped_off_at=story.at(at))
            story.receive(arrives_at, dropped, approved=True)
            approved_at = arrives_at
        case "mail-shopper-provided":
            approved_at = arrives_at + timedelta(hours=random.uniform(24, 48))
            story.receive(arrives_at, dropped, approved=False)
            story.approve(approved_at, dropped)
        case _:
            story.receive(at, dropped, approved=True)
            arrives_at = at
    if len(dropped) < len(story.pieces):
        story.returns(approved_at + timedelta(hours=1), story.pieces, refund_status="partly-approved")
    story.refund(approved_at + timedelta(hours=random.uniform(1, 6)), dropped)
    if story.method != "returnless":
        story.grade(max(arrives_at, approved_at) + timedelta(hours=random.uniform(12, 72)), dropped, disposition)
