"""The tools that ordinary and planted returns are made with: ids, units, and the list of what is going to happen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Any

from hr_centra_pipeline.sandbox.happy_returns.records import Happening
from hr_centra_pipeline.sandbox.shop.assortment import Assortment, Order, Size, Unit
from hr_centra_pipeline.sandbox.shop.stories import Piece, Story

_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


class Workshop:
    """Collects stories and other happenings."""

    def __init__(self, shop: Assortment, random: Random) -> None:
        self.shop = shop
        self.random = random
        self.stories: list[Story] = []
        self.others: list[Happening] = []
        self._items = 0

    def any_size(self) -> Size:
        """One of the ordinary sizes."""
        return self.random.choice(self.shop.sizes)

    def piece(self, unit: Unit, **more: Any) -> Piece:
        """A unit with a new item id."""
        self._items += 1
        return Piece(unit, f"IT-{self._items:06d}", **more)

    def story(self, orders: list[Order], pieces: Sequence[Piece], method: str, created_at: datetime) -> Story:
        """A return that is about to be reported."""
        code = "HR" + "".join(self.random.choice(_ALPHABET) for _ in range(6))
        story = Story(
            self.random, f"RT-{len(self.stories) + 1:06d}", code, orders, list(pieces), method,
            created_at.replace(microsecond=0), hash_mark=self.random.random() < 0.3,
        )  # fmt: skip
        self.stories.append(story)
        return story

    def happens(self, happening: Happening) -> None:
        """Something happens outside any story."""
        self.others.append(happening)

    def person_credits(self, story: Story, at: datetime) -> None:
        """Somebody makes, refunds and completes the Return of a story's units in Centra by hand; goods are not booked."""
        lines: dict[str, int] = {}
        for piece in story.pieces:
            key = str(piece.unit.shipment_line_id)
            lines[key] = lines.get(key, 0) + 1
        rows = [one.arguments for one in story.happenings if one.what == "row" and one.arguments["kind"] == "refunds"]
        told = {row["key"]: row["changes"].get("shipping_refund", "0") for row in rows if "issued_at" in row["changes"]}
        # Into Centra it is typed as the price list has it.
        shipping = story.orders[0].shipping if any(map(Decimal, told.values())) else Decimal(0)
        self.happens(
            Happening(
                at, "person_credits",
                {
                    "shipment_id": story.pieces[0].unit.shipment_id, "lines": lines,
                    "comment": f"Refunded by phone, RMA {story.express_code}",
                    "shipping": str(shipping),
                },
            )
        )  # fmt: skip

    def by_hand(self, story: Story, at: datetime, **how: Any) -> None:
        """Somebody makes the Return of a story's unit in Centra; ``how``: as ``people`` has it."""
        unit = story.pieces[0].unit
        self.happens(
            Happening(
                at, "makes_return",
                {
                    "shipment_id": unit.shipment_id, "lines": {str(unit.shipment_line_id): 1},
                    "comment": f"By phone, RMA {story.express_code}", **how,
                },
            )
        )  # fmt: skip
