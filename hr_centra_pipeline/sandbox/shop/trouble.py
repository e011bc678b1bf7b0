"""Planted trouble: returns that go wrong in a known way, and the truth about each, written down when it is planted.

Each planted return has one unit, unless the kind needs more, so that exactly one exception is to follow. Nothing here knows
how the pipeline finds it. Times keep a day away from the moments at which tests look (``until`` and 48 hours later).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.sandbox.centra.providers import method_of
from hr_centra_pipeline.sandbox.happy_returns.exports import COLUMNS, content
from hr_centra_pipeline.sandbox.happy_returns.records import Happening
from hr_centra_pipeline.sandbox.shop.assortment import Order, Size
from hr_centra_pipeline.sandbox.shop.stories import Piece, Story
from hr_centra_pipeline.sandbox.shop.workshop import Workshop

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
CUTOVER = datetime(2026, 8, 27, tzinfo=UTC)


class Trouble:
    """Plants every kind; ``until`` is the moment at which the shop is first looked at."""

    def __init__(self, workshop: Workshop, until: datetime) -> None:
        self.workshop = workshop
        self.until = until
        self.truth: list[dict[str, Any]] = []

    def plant(self) -> None:
        """Plant all of it."""
        self.no_such_order()
        self.surplus_and_unknown_items()
        self.nothing_captured()
        self.graded_after_the_cutover()
        self.replacement_out_of_stock()
        self.replacement_refused()
        self.refused_after_the_credit()
        self.unmapped_grade()
        self.never_graded()
        self.standing_still()
        self.wrong_figures()
        self.return_made_by_a_person()
        self.writes_that_centra_refuses()
        self.broken_files()

    # ---------------------------------------------------------------- tools

    def _order(self, days_ago: float, quantity: int = 1, *, size: Size | None = None, **how: Any) -> Order:
        size = size or self.workshop.any_size()
        return self.workshop.shop.sell(self.until - days_ago * DAY, [(size, quantity)], **how)

    def _paid_by(self, method: str, days_ago: float, **how: Any) -> Order:
        """An order that was paid that way: its number decides it."""
        while True:
            order = self._order(days_ago, **how)
            if method_of(order.number) == method:
                return order

    def _story(self, order: Order, days_ago: float, method: str = "return-bar", **more: Any) -> Story:
        pieces = [self.workshop.piece(unit, **more) for unit in order.units]
        return self.workshop.story([order], pieces, method, self.until - days_ago * DAY)

    def _known(
        self, kind: str, story: Story | None, opens_at: datetime, culprit: str, *, piece: Piece | None = None,
        amount: Decimal | None = None, order_number: str | None = None, source_file: str | None = None,
        description: str = "",
    ) -> None:  # fmt: skip
        order = story.orders[0] if story else None
        self.truth.append(
            {
                "kind": kind,
                "return_id": story.return_id if story else None,
                "return_item_id": piece.item_id if piece else None,
                "order_number": order_number or (str(order.number) if order else None),
                "sku": piece.unit.size.sku if piece else None,
                "currency": order.currency if order and amount is not None else None,
                "amount": str(amount) if amount is not None else None,
                "culprit": culprit,
                "opens_at": opens_at.astimezone(UTC).isoformat(timespec="seconds"),
                "closes_at": None,
                "source_file": source_file,
                "description": description,
            }
        )

    def _bar(self, story: Story, dropped: datetime, *, grade: str | None = "sellable", refund: bool = True) -> datetime:
        """Dropped off at a bar, refunded, travelled, graded; answers when it was graded."""
        story.start()
        story.receive(dropped, story.pieces, approved=True)
        if refund:
            story.refund(dropped + 2 * HOUR, story.pieces)
        arrives = dropped + 5 * DAY
        story.travel(dropped, story.pieces, arrives)
        graded = arrives + 1.5 * DAY
        if grade:
            story.grade(graded, story.pieces, grade)
        return graded

    # ---------------------------------------------------------------- kinds

    def no_such_order(self) -> None:
        """The return names an order that Centra never had: once only started, once refunded."""
        for position, refunded in enumerate((False, True)):
            order = self._order(30)
            story = self._story(order, 9 + position)
            story.order_numbers[order.number] = f"77{order.number}"
            amount = None
            if refunded:
                self._bar(story, story.created_at + DAY)
                amount = order.units[0].paid
            else:
                story.start()
            self._known(
                "return_without_order", story, story.created_at + DAY, "happy_returns", amount=amount,
                order_number=f"77{order.number}", description="names an order that does not exist",
            )  # fmt: skip

    def surplus_and_unknown_items(self) -> None:
        """One unit more than was shipped; a unit of something that the order never had."""
        order = self._order(28)
        story = self._story(order, 10, line_item_id=f"{order.units[0].line_id}-0-2")
        surplus = self.workshop.piece(order.units[0], line_item_id=f"{order.units[0].line_id}-1-2")
        good = story.pieces[0]
        story.pieces = [good, surplus]
        story.start()
        dropped = story.created_at + DAY
        story.receive(dropped, story.pieces, approved=True)
        story.refund(dropped + 2 * HOUR, [good], names_items=True)
        story.travel(dropped, story.pieces, dropped + 4 * DAY)
        story.grade(dropped + 5 * DAY, story.pieces, "sellable")
        self._known(
            "item_without_shipment_line", story, story.created_at + DAY, "happy_returns", piece=surplus,
            amount=order.units[0].paid, description="one unit more than the order has",
        )  # fmt: skip
        order = self._order(27)
        other = self.workshop.shop.special_size("Unsold Scarf")
        story = self._story(order, 8, sku=other.sku, line_item_id="")
        story.pieces[0].unit.size = other
        self._bar(story, story.created_at + DAY, refund=False)
        self._known(
            "item_without_shipment_line", story, story.created_at + DAY, "happy_returns", piece=story.pieces[0],
            description="an article that was not on the order",
        )  # fmt: skip

    def nothing_captured(self) -> None:
        """The order was never paid for in Centra, so that nothing can be given back."""
        for position in range(2):
            story = self._story(self._order(30, captured=False), 12 + position)
            dropped = story.created_at + DAY
            self._bar(story, dropped)
            self._known(
                "return_without_credit_note", story, dropped + 2 * HOUR + DAY, "centra", piece=story.pieces[0],
                amount=story.pieces[0].unit.paid, description="nothing was captured on the order",
            )  # fmt: skip

    def graded_after_the_cutover(self) -> None:
        """Started, dropped off and credited by a person before the cut-over; graded long after it."""
        for position in range(2):
            started = CUTOVER - (6 + position) * DAY
            order = self._order(60)
            story = self._story(order, (self.until - started) / DAY)
            story.start()
            dropped = started + DAY
            story.receive(dropped, story.pieces, approved=True)
            story.refund(dropped + 2 * HOUR, story.pieces)
            arrives = dropped + 5 * DAY
            story.travel(dropped, story.pieces, arrives)
            self.workshop.person_credits(story, dropped + 6 * HOUR)
            graded = arrives + 12 * DAY
            story.grade(graded, story.pieces, "sellable")
            self._known(
                "return_without_stock_movement", story, graded + DAY + 3 * DAY, "policy", piece=story.pieces[0],
                amount=story.pieces[0].unit.paid, description="started before the cut-over, graded after it",
            )  # fmt: skip

    def replacement_out_of_stock(self) -> None:
        """An exchange for a size of which nothing is left."""
        gone = self.workshop.shop.special_size("Sold Out Cape", stock=0)
        story = self._story(self._order(25), 9, refund_type="exchange", exchange_sku=gone.sku)
        dropped = story.created_at + DAY
        self._bar(story, dropped)
        self._known(
            "exchange_without_order", story, dropped + DAY, "centra", piece=story.pieces[0],
            amount=story.pieces[0].unit.paid, description="the replacement is out of stock",
        )  # fmt: skip

    def replacement_refused(self) -> None:
        """An exchange whose replacement the Order API does not accept."""
        refused = self.workshop.shop.special_size("Unlisted Kimono")
        self.workshop.shop.store.refuse_orders_of(refused.sku, "Product is not sold in this market")
        story = self._story(self._order(25), 8, refund_type="exchange", exchange_sku=refused.sku)
        dropped = story.created_at + DAY
        self._bar(story, dropped)
        self._known(
            "exchange_refused", story, dropped, "centra", piece=story.pieces[0], amount=story.pieces[0].unit.paid,
            description="Centra refuses the replacement order",
        )  # fmt: skip

    def refused_after_the_credit(self) -> None:
        """Credited at the bar; days later the warehouse finds another article, or an empty bag."""
        for position, grade in enumerate(("wrong-item", "missing")):
            story = self._story(self._order(20), 7)
            dropped = story.created_at + DAY
            story.start()
            story.receive(dropped, story.pieces, approved=True)
            story.refund(dropped + 2 * HOUR, story.pieces)
            story.travel(dropped, story.pieces, dropped + 5 * DAY)
            graded = self.until + (12 + position) * HOUR
            story.grade(graded, story.pieces, grade)
            self._known(
                "credited_item_refused", story, graded, "happy_returns", piece=story.pieces[0],
                amount=story.pieces[0].unit.paid, description=f"graded {grade} after the money was given back",
            )  # fmt: skip

    def unmapped_grade(self) -> None:
        """A grade that the policy does not list."""
        for position in range(2):
            story = self._story(self._order(30), 13 + position)
            graded = self._bar(story, story.created_at + DAY, grade="refurbish")
            self._known(
                "unmapped_disposition", story, graded + DAY, "policy", piece=story.pieces[0],
                amount=story.pieces[0].unit.paid, description="the grade 'refurbish' is not in the policy",
            )  # fmt: skip

    def never_graded(self) -> None:
        """Handed in at a store three weeks ago, and never looked at."""
        for position, days in enumerate((23, 20.8)):
            story = self._story(self._order(40 + position), days + 1, "in-store")
            story.start()
            received = self.until - days * DAY
            story.receive(received, story.pieces, approved=True)
            story.refund(received + 2 * HOUR, story.pieces)
            self._known(
                "disposition_missing", story, received + 480 * HOUR, "happy_returns", piece=story.pieces[0],
                amount=story.pieces[0].unit.paid, description="not graded for 20 days",
            )  # fmt: skip

    def standing_still(self) -> None:
        """A box that was never heard of again; a parcel that nobody approves."""
        story = self._story(self._order(45), 23)
        dropped = story.created_at + DAY
        story.start()
        story.receive(dropped, story.pieces, approved=True)
        story.refund(dropped + 2 * HOUR, story.pieces)
        self._known(
            "stalled_return", story, dropped + 432 * HOUR, "logistics", piece=story.pieces[0],
            amount=story.pieces[0].unit.paid, description="lost between the bar and the hub",
        )  # fmt: skip
        story = self._story(self._order(35), 24)
        dropped = story.created_at + DAY
        story.start()
        story.receive(dropped, story.pieces, approved=True)
        story.refund(dropped + 2 * HOUR, story.pieces)
        hub, departed = dropped + DAY, dropped + 2 * DAY
        story.item(hub, story.pieces[0], hub_received_at=story.at(hub))
        story.depart(departed, story.pieces[0])
        self._known(
            "stalled_return", story, departed + 432 * HOUR, "logistics", piece=story.pieces[0],
            amount=story.pieces[0].unit.paid, description="left the hub and never arrived",
        )  # fmt: skip
        story = self._story(self._order(30), 13, "mail-shopper-provided")
        received = story.created_at + 3 * DAY
        story.start()
        story.receive(received, story.pieces, approved=False)
        story.grade(received + 1.5 * DAY, story.pieces, "sellable")
        self._known(
            "stalled_return", story, received + 168 * HOUR, "happy_returns", piece=story.pieces[0],
            amount=story.pieces[0].unit.paid, description="received, and not approved for a week",
        )  # fmt: skip

    def wrong_figures(self) -> None:
        """Refund rows whose goods, or whose tax, are not what Centra sold."""
        for kind, items_off, tax_off in (
            ("refund_mismatch_items", Decimal("-5.00"), Decimal(0)),
            ("refund_mismatch_tax", Decimal(0), Decimal("1.23")),
        ):
            story = self._story(self._order(30), 11)
            dropped = story.created_at + DAY
            story.start()
            story.receive(dropped, story.pieces, approved=True)
            story.refund(dropped + 2 * HOUR, story.pieces, items_off=items_off, tax_off=tax_off)
            story.travel(dropped, story.pieces, dropped + 5 * DAY)
            story.grade(dropped + 6 * DAY, story.pieces, "sellable")
            self._known(
                kind, story, dropped + 2 * HOUR + DAY, "happy_returns", amount=abs(items_off + tax_off),
                description="Happy Returns' refund row differs from what Centra sold",
            )  # fmt: skip

    def return_made_by_a_person(self) -> None:
        """Somebody makes a Return in Centra that Happy Returns knows nothing of."""
        for days_ago in (6, 2):
            order = self._order(20, tax_mode="included")
            at = self.until - days_ago * DAY
            self.workshop.happens(
                Happening(
                    at, "person_returns",
                    {
                        "shipment_id": order.units[0].shipment_id,
                        "lines": {str(order.units[0].shipment_line_id): 1}, "comment": "Came by ordinary post",
                    },
                )
            )  # fmt: skip
            self._known(
                "centra_return_without_return", None, at + 72 * HOUR, "person", order_number=str(order.number),
                description="a Return in Centra without one at Happy Returns",
            )  # fmt: skip
            self.truth[-1] |= {"currency": order.currency, "amount": str(order.units[0].paid)}

    def writes_that_centra_refuses(self) -> None:
        """Centra refuses the Return of one shipment, and stock changes of one article."""
        story = self._story(self._order(30), 9)
        store = self.workshop.shop.store
        store.refuse_returns_on(story.pieces[0].unit.shipment_id, "Shipment is locked by the accounting export")
        dropped = story.created_at + DAY
        self._bar(story, dropped)
        self._known(
            "rejected_write", story, dropped + 2 * HOUR, "centra", piece=story.pieces[0],
            amount=story.pieces[0].unit.paid, description="Centra refuses the credit",
        )  # fmt: skip
        size = self.workshop.shop.special_size("Locked Stole")
        store.refuse_stock_changes_of(size.sku, "Stock of this article is locked by a stocktaking")
        story = self._story(self._order(30, size=size), 14)
        graded = self._bar(story, story.created_at + DAY)
        self._known(
            "rejected_write", story, graded + DAY, "centra", piece=story.pieces[0],
            amount=story.pieces[0].unit.paid, description="Centra refuses the stock movement",
        )  # fmt: skip

    def broken_files(self) -> None:
        """A file with two bad rows, one that is empty, one with headers that nobody knows."""
        at = self.until - 3 * DAY
        good = dict.fromkeys(COLUMNS["items"], "") | {
            "return_id": "RT-BROKEN-1", "order_number": "1", "item_id": "IT-BROKEN-1", "refund_type": "refund",
            "sku": "X", "updated_at": "2026-09-27T08:00:00Z",
        }  # fmt: skip
        rows = [
            good | {"updated_at": "yesterday at noon"},
            good | {"item_id": "IT-BROKEN-2", "refund_type": "barter"},
        ]
        _, bad = content("items", rows)
        files = {
            f"items-{at:%Y%m%dT%H%M}Z-manual.csv": (bad, "quarantined_row", 0, "two rows that cannot be read"),
            f"returns-{at:%Y%m%dT%H%M}Z-manual.csv": (b"", "source_not_covered", 2, "an empty file"),
            f"export-{at:%Y%m%dT%H%M}Z.csv": (
                b"Retour;Artikel;Betrag\n1;2;3\n", "source_not_covered", 2, "headers that no profile knows",
            ),
        }  # fmt: skip
        for name, (data, kind, hours, description) in files.items():
            self.workshop.happens(Happening(at, "file", {"name": name, "text": data.decode()}))
            self._known(kind, None, at + hours * HOUR, "happy_returns", source_file=name, description=description)
