"""What happens in a year, and what follows for the accounts: postings of each side, matters of dispute, units under way.

Nothing here knows how the pipeline works; only the calendar is common. What it is held to are its rules in ``docs/``: when money
is due, what each side tells, when an exception opens and what closes it. A sync is the only moment at which something becomes
known or is done.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from hr_centra_pipeline.core import months
from hr_centra_pipeline.sandbox.centra.store import CentraStore
from hr_centra_pipeline.sandbox.happy_returns.records import Happening
from hr_centra_pipeline.sandbox.shop.assortment import Assortment, Order, tax_in
from hr_centra_pipeline.sandbox.shop.shop import Shop
from hr_centra_pipeline.sandbox.shop.stories import MAIL_FEE, Story
from hr_centra_pipeline.sandbox.shop.workshop import Workshop

START = datetime(2025, 10, 1, tzinfo=UTC)
SYNC_DAYS = (1, 5, 9, 15, 21, 27)  # at noon
CLOSE_DAY = 9  # of the month after, right after that day's sync
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ZERO = Decimal(0)


@dataclass(frozen=True)
class Posting:
    """What one side says of one component of a return, and from which sync on that is known."""

    return_id: str
    side: str
    component: str
    currency: str
    amount: Decimal
    at: datetime
    known_at: datetime


@dataclass(frozen=True)
class Gap:
    """What is left unexplained between a side and Centra. ``components``: where it shows."""

    return_id: str
    side: str
    components: tuple[str, ...]
    currency: str
    amounts: tuple[Decimal, ...]
    at: datetime
    known_at: datetime


@dataclass(frozen=True)
class Matter:
    """An exception: when it opens, from which sync on that is known, and the sync that closes it."""

    kind: str
    owner: str
    return_id: str
    currency: str | None
    amount: Decimal
    opens_at: datetime
    known_at: datetime
    closes_at: datetime | None


@dataclass(frozen=True)
class Journey:
    """A unit that comes back. Times that never come are ``None``."""

    method: str
    currency: str
    value: Decimal
    handed_over: datetime
    hub: datetime | None
    departed: datetime | None
    arrived: datetime | None
    credited: datetime | None
    booked: datetime | None


@dataclass(frozen=True)
class Exchange:
    """A unit that comes back for a replacement. ``settled``: the money was given instead. Times that never come are ``None``."""

    return_id: str
    currency: str
    price: Decimal
    approved: datetime
    ordered: datetime | None
    shipped: datetime | None
    settled: datetime | None
    booked: datetime | None


@dataclass
class Year:
    """``count`` months of a shop from ``START`` on, written down in a sandbox; afterwards ``shop.live_until`` each of ``syncs``."""

    shop: Shop
    seed: int
    count: int
    postings: list[Posting] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    matters: list[Matter] = field(default_factory=list)
    journeys: list[Journey] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    late: list[Posting] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.names = [months.of(START)]
        while len(self.names) < self.count:
            self.names.append(months.following(self.names[-1]))
        self.after_all = months.following(self.names[-1])
        syncs = [_noon(name, day) for name in (*self.names, self.after_all) for day in SYNC_DAYS]
        self.syncs = [moment for moment in syncs if moment <= self.close_of(self.names[-1])]
        self.quirks: list[dict[str, Any]] = []
        store: CentraStore = self.shop.store
        self.shop.clock.advance_to(START)
        with store.write():
            assortment = Assortment(store, self.random)
            assortment.open()
            self.workshop = Workshop(assortment, self.random)
            for name in self.names:
                self._month(months.start(name))
        self.shop.write_down(self.workshop, START, seed=self.seed, quirks=self.quirks)

    def close_of(self, month: str) -> datetime:
        """When a month is closed."""
        return _noon(months.following(month), CLOSE_DAY)

    # ---------------------------------------------------------------- what happens

    def _month(self, begin: datetime) -> None:
        for _ in range(6):
            self._goes_well(self._moment(begin))
        for case in (
            self._fee_that_the_policy_lacks, self._too_much_shipping, self._never_paid, self._lost, self._not_graded,
            self._short_payout, self._order_that_is_none, self._row_comes_late, self._credited_by_hand,
            self._out_of_stock, self._payment_fails, self._row_is_corrected_late, self._refused_after_the_credit,
        ):  # fmt: skip
            if self.random.random() < 0.7:
                case(self._moment(begin))

    def _moment(self, begin: datetime) -> datetime:
        """When a return is started: late enough in the month, too, that it runs into the next one."""
        return begin + timedelta(minutes=self.random.randrange(12 * 60, 29 * 24 * 60) // 7 * 7 + 1)

    def _order(self, lines: int = 1) -> Order:
        """Bought before the year began, so that it was captured and shipped when its return starts."""
        sizes = self.random.sample(self.workshop.shop.sizes, lines)
        placed = START - timedelta(days=self.random.uniform(3, 12))
        return self.workshop.shop.sell(
            placed.replace(microsecond=0),
            [(size, 1) for size in sizes],
            discount_percent=self.random.choice((0, 0, 20)),
        )

    def _story(self, start: datetime, method: str, *, lines: int = 1, **more: Any) -> Story:
        order = self._order(lines)
        if more.get("refund_type") == "exchange":
            more.setdefault("exchange_sku", self.random.choice(order.units[0].size.siblings))
        story = self.workshop.story([order], [self.workshop.piece(unit, **more) for unit in order.units], method, start)
        story.start()
        return story

    def _travels(
        self,
        story: Story,
        *,
        handed_over: datetime,
        credited: datetime | None,
        days: float = 5,
        grade_days: float = 1,
        grade: str = "sellable",
    ) -> datetime:
        """From the bar to the warehouse, graded and booked; answers when it was graded."""
        arrives = handed_over + timedelta(days=days)
        story.travel(handed_over, story.pieces, arrives)
        graded = arrives + timedelta(days=grade_days)
        story.grade(graded, story.pieces, grade)
        match grade:
            case "sellable":
                booked = self.sync_after(graded + DAY)
            case "missing":
                booked = graded  # there is nothing to book
            case _:
                booked = self.sync_after(graded)
        self._under_way(
            story, handed_over, credited=credited, hub=handed_over + (arrives - handed_over) * 0.35,
            departed=handed_over + (arrives - handed_over) * 0.5, arrived=arrives, booked=booked,
        )  # fmt: skip
        return graded

    def _under_way(self, story: Story, handed_over: datetime, **times: datetime | None) -> None:
        for piece in story.pieces:
            self.journeys.append(
                Journey(
                    story.method, story.orders[0].currency, piece.unit.price, handed_over,
                    **{"hub": None, "departed": None, "arrived": None, "credited": None, "booked": None, **times},
                )
            )  # fmt: skip

    def _goes_well(self, start: datetime) -> None:
        method = self.random.choice(("return-bar", "return-bar", "mail", "in-store"))
        kind = self.random.choice(("refund", "refund", "refund", "gift-card", "exchange"))
        lines = self.random.choice((1, 1, 2)) if kind == "refund" else 1
        story = self._story(start, method, lines=lines, refund_type=kind)
        dropped = due = start + DAY
        if method == "mail":
            due = dropped + 4 * DAY
            story.returns(dropped, story.pieces, refund_status="dropped-off", dropped_off_at=story.at(dropped))
        story.receive(due, story.pieces, approved=True)
        issued = due + 2 * HOUR
        whole = kind == "refund" and self.random.random() < 0.4
        off = self._cheaper(story, issued) if kind == "exchange" else None
        story.refund(issued, story.pieces, whole_order=whole, more=off)
        # A credit waits for its row, for a day. An exchange gives no money.
        credited = None if kind == "exchange" else self.sync_after(issued)
        if kind != "exchange":
            self._money(story, due, issued, credited, shipping=whole, fee=method == "mail" and kind == "refund")
        if method == "return-bar":
            graded = self._travels(story, handed_over=dropped, credited=credited)
        else:
            graded = due + DAY
            story.grade(graded, story.pieces, "sellable")
            self._under_way(story, dropped, arrived=due, credited=credited, booked=self.sync_after(graded + DAY))
        if kind == "exchange":
            self._exchange(story, due, graded, ordered=self.sync_after(due))

    def _at_the_bar(self, start: datetime) -> tuple[Story, datetime, datetime, datetime]:
        """One unit, dropped off; answers when, when the refund is issued, and when it is credited."""
        story = self._story(start, "return-bar")
        dropped = start + DAY
        story.receive(dropped, story.pieces, approved=True)
        issued = dropped + 2 * HOUR
        credited = self.sync_after(issued)
        assert credited is not None
        return story, dropped, issued, credited

    def _fee_that_the_policy_lacks(self, start: datetime) -> None:
        """Happy Returns takes 3.00 at the bar, and our credit is made as its row tells."""
        story, dropped, issued, credited = self._at_the_bar(start)
        fee = Decimal("3.00")
        story.refund(issued, story.pieces, fee_off=fee)
        self._money(story, dropped, issued, credited, taken=fee)
        self._matter("refund_mismatch_fee", "finance", story, fee, issued + DAY)
        self._gap(story, "expected", credited, fee=fee)
        self._travels(story, handed_over=dropped, credited=credited)

    def _too_much_shipping(self, start: datetime) -> None:
        """Happy Returns refunds 7.00 more than the order's shipping; Centra gives what the order paid."""
        story, dropped, issued, credited = self._at_the_bar(start)
        off = Decimal("7.00")
        story.refund(issued, story.pieces, whole_order=True, shipping_off=off)
        self._money(story, dropped, issued, credited, shipping=True, told_more=off)
        self._matter("refund_mismatch_shipping", "finance", story, off, issued + DAY)
        self._gap(story, "happy_returns", issued, shipping=off)
        self._travels(story, handed_over=dropped, credited=credited)

    def _never_paid(self, start: datetime) -> None:
        """Somebody makes the Return by hand and does not refund it; at times somebody notices."""
        story, dropped, issued, _ = self._at_the_bar(start)
        made = dropped + HOUR
        self.workshop.by_hand(story, made, pays="nothing")
        story.refund(issued, story.pieces)
        noticed = made + timedelta(days=self.random.choice((12, 25, 40, 400)))
        seen = self.sync_after(noticed)
        if seen is not None:
            self.workshop.happens(
                Happening(noticed, "refunds_return", {"shipment_id": story.pieces[0].unit.shipment_id})
            )
        total = self._money(story, dropped, issued, made, is_paid=False)
        self._paid(story, total, noticed)
        self._matter("credit_note_without_refund", "finance", story, story.pieces[0].unit.price, made + 72 * HOUR, seen)
        self._travels(story, handed_over=dropped, credited=made)

    def _lost(self, start: datetime) -> None:
        """Dropped off and seen no more; at times it turns up."""
        story, dropped, issued, credited = self._at_the_bar(start)
        story.refund(issued, story.pieces)
        self._money(story, dropped, issued, credited)
        days = self.random.choice((24, 33, 50, 400))
        found = self.sync_after(dropped + timedelta(days=days))
        self._matter("stalled_return", "warehouse", story, story.pieces[0].unit.price, dropped + 18 * DAY, found)
        if found is None:
            self._under_way(story, dropped, credited=credited)
            return
        arrives = dropped + timedelta(days=days)
        for piece in story.pieces:
            story.item(arrives, piece, warehouse_received_at=story.at(arrives))
        story.grade(arrives + DAY, story.pieces, "sellable")
        self._under_way(story, dropped, credited=credited, arrived=arrives, booked=self.sync_after(arrives + 2 * DAY))

    def _not_graded(self, start: datetime) -> None:
        """It arrives, and nobody grades it for a month."""
        story, dropped, issued, credited = self._at_the_bar(start)
        story.refund(issued, story.pieces)
        self._money(story, dropped, issued, credited)
        graded = self._travels(story, handed_over=dropped, credited=credited, grade_days=31)
        self._matter(
            "disposition_missing", "warehouse", story, story.pieces[0].unit.price, dropped + 5 * DAY + 20 * DAY,
            self.sync_after(graded),
        )  # fmt: skip

    def _short_payout(self, start: datetime) -> None:
        """The payment provider books 5.00 less than Centra refunded."""
        story, dropped, issued, credited = self._at_the_bar(start)
        story.refund(issued, story.pieces)
        off = Decimal("5.00")
        self.quirks.append({"order_number": story.orders[0].number, "kind": "short", "amount": str(off)})
        self._money(story, dropped, issued, credited, booked_less=off)
        self._matter("payout_mismatch", "finance", story, off, credited + 3 * HOUR + 72 * HOUR)
        self._gap(story, "provider", credited, items=-off, tax=ZERO)  # shared over both
        self._travels(story, handed_over=dropped, credited=credited)

    def _order_that_is_none(self, start: datetime) -> None:
        """The order's number is mistyped: nothing is done."""
        order = self._order()
        story = self.workshop.story([order], [self.workshop.piece(unit) for unit in order.units], "return-bar", start)
        story.order_numbers[order.number] = str(order.number + 5_000_000)
        story.start()
        self._matter("return_without_order", "customer_service", story, ZERO, start + DAY)

    def _row_comes_late(self, start: datetime) -> None:
        """The refund row is delivered when its month is closed; the credit was made without it."""
        start = start.replace(day=3 + start.day % 10)
        story, dropped, issued, _ = self._at_the_bar(start)
        delivered = self._after_the_close(issued)
        credited = self.sync_after(dropped + DAY)
        seen = self.sync_after(delivered)
        unit, currency = story.pieces[0].unit, story.orders[0].currency
        tax = tax_in(unit.price, story.orders[0].tax_percent)
        if seen is not None:
            story.refund(delivered, story.pieces, more={"issued_at": story.at(issued)})
        self._money(story, dropped, issued, credited, told_at=seen or self.syncs[-1] + DAY)
        self._gap(story, "happy_returns", dropped + DAY, items=tax - unit.price, tax=-tax)
        if seen is not None:
            for component, amount in (("items", unit.price - tax), ("tax", tax)):
                self.late.append(Posting(story.return_id, "happy_returns", component, currency, amount, issued, seen))
        self._travels(story, handed_over=dropped, credited=credited, days=3)

    def _row_is_corrected_late(self, start: datetime) -> None:
        """When its month is closed, Happy Returns refunds 7.00 more than the order's shipping."""
        story, dropped, issued, credited = self._at_the_bar(start.replace(day=3 + start.day % 10))
        story.refund(issued, story.pieces, whole_order=True)
        total = self._money(story, dropped, issued, credited, shipping=True)
        corrected = self._after_the_close(issued)
        seen = self.sync_after(corrected)
        if seen is not None:
            order, off = story.orders[0], Decimal("7.00")
            more = {"shipping_refund": str(order.shipping + off), "total_refunded": str(total + off)}
            story.change(corrected, "refunds", f"RF-{story.return_id[3:]}-{story.refunds}", **more)
            self._post(story, "happy_returns", {"shipping": off}, issued, seen)
            self._gap(story, "happy_returns", issued, seen, shipping=off)
            self._matter("refund_mismatch_shipping", "finance", story, off, issued + DAY, known_at=seen)
            self.late += [
                Posting(story.return_id, side, of, order.currency, off, at, seen)
                for side, of, at in (
                    ("happy_returns", "shipping", issued),
                    ("exceptions", "refund_mismatch_shipping", issued + DAY),
                )
            ]
        self._travels(story, handed_over=dropped, credited=credited)

    def _refused_after_the_credit(self, start: datetime) -> None:
        """Credited at the bar; the warehouse finds another article, or an empty bag."""
        story, dropped, issued, credited = self._at_the_bar(start)
        story.refund(issued, story.pieces)
        self._money(story, dropped, issued, credited)
        grade = self.random.choice(("wrong-item", "missing"))
        graded = self._travels(story, handed_over=dropped, credited=credited, grade=grade)
        self._matter("credited_item_refused", "finance", story, story.pieces[0].unit.price, graded)

    def _after_the_close(self, moment: datetime) -> datetime:
        """When the month of a moment is closed."""
        delivered = months.end(months.of(moment)) + timedelta(days=self.random.uniform(9, 24))
        return delivered.replace(microsecond=0)

    def _credited_by_hand(self, start: datetime) -> None:
        """Customer service is faster than we are, and right."""
        story, dropped, issued, _ = self._at_the_bar(start)
        made = dropped + HOUR
        self.workshop.by_hand(story, made, pays="refund")
        story.refund(issued, story.pieces)
        self._money(story, dropped, issued, made)
        self._travels(story, handed_over=dropped, credited=made)

    def _out_of_stock(self, start: datetime) -> None:
        """Nothing is left of the replacement: it is restocked, or customer service gives the money instead, or neither."""
        gone = self.workshop.shop.special_size(f"Sold Out {len(self.exchanges)}", stock=0)
        story = self._story(start, "return-bar", refund_type="exchange", exchange_sku=gone.sku)
        dropped = start + DAY
        story.receive(dropped, story.pieces, approved=True)
        story.refund(dropped + 2 * HOUR, story.pieces, more=self._cheaper(story, dropped + 2 * HOUR))
        acted = dropped + timedelta(days=self.random.choice((9, 25, 45)))
        seen, ordered, settled = self.sync_after(acted), None, None
        match self.random.choice(("restocked", "refunded", "neither")):
            case "restocked":
                what = {"sku": gone.sku, "into": 1, "comment": "Delivery of supplier 12"}
                self.workshop.happens(Happening(acted, "moves_stock", what))
                ordered = seen
            case "refunded" if seen is not None:
                self.workshop.by_hand(story, acted, pays="refund")
                settled = acted
                given = story.pieces[0].unit.price
                self._post(story, "instead", {"payment": given}, acted)
                self._post(story, "centra", {"exchange": given}, acted)
                self._paid(story, given, acted)
            case _:
                seen = None
        unit = story.pieces[0].unit
        self._matter("exchange_without_order", "customer_service", story, unit.price, dropped + DAY, seen)
        graded = self._travels(story, handed_over=dropped, credited=settled)
        self._exchange(story, dropped, graded, ordered=ordered, settled=settled)

    def _payment_fails(self, start: datetime) -> None:
        """A Return by hand whose refund the provider refuses hours later; at times it is paid again."""
        story, dropped, issued, _ = self._at_the_bar(start)
        made = dropped + HOUR
        failed = made + 6 * HOUR
        self.workshop.by_hand(story, made, pays="fails")
        story.refund(issued, story.pieces)
        total = self._money(story, dropped, issued, made, is_paid=False)
        self._post(story, "paid", {"payment": total}, made)
        self._post(story, "failed", {"payment": total}, failed)
        again = failed + timedelta(days=self.random.choice((12, 30, 400)))
        seen = self.sync_after(again)
        if seen is not None:
            self.workshop.happens(Happening(again, "refunds_return", {"shipment_id": story.pieces[0].unit.shipment_id}))
            self._paid(story, total, again)
        self._matter("credit_note_without_refund", "finance", story, total, failed + 72 * HOUR, seen)
        self._travels(story, handed_over=dropped, credited=made)

    # ---------------------------------------------------------------- what follows

    def _cheaper(self, story: Story, issued: datetime) -> dict[str, str]:
        """At times the replacement costs 10.00 less, which Happy Returns pays by itself; what its row tells."""
        difference = self.random.choice((ZERO, ZERO, Decimal("10.00")))
        for side in ("expected", "happy_returns"):
            self._post(story, side, {"exchange": difference}, issued)
        return {"price_difference": str(-difference), "total_refunded": str(difference)}

    def _exchange(
        self, story: Story, approved: datetime, graded: datetime, *, ordered: datetime | None, settled: datetime | None = None
    ) -> None:  # fmt: skip
        """An exchange, and the shipping of its replacement one to three days after it was ordered."""
        unit, shipped = story.pieces[0].unit, None
        if ordered is not None:
            shipped = ordered + timedelta(days=self.random.uniform(1, 3))
            self.workshop.happens(Happening(shipped, "ships_replacement", {"shipment_id": unit.shipment_id}))
        self.exchanges.append(
            Exchange(
                story.return_id, story.orders[0].currency, unit.price, approved, ordered, shipped, settled,
                self.sync_after(graded + DAY),
            )
        )  # fmt: skip

    def sync_after(self, moment: datetime) -> datetime | None:
        """The first sync from a moment on."""
        place = bisect_left(self.syncs, moment)
        return self.syncs[place] if place < len(self.syncs) else None

    def _money(
        self, story: Story, due: datetime, issued: datetime, credited: datetime | None, *, shipping: bool = False,
        fee: bool = False, taken: Decimal = ZERO, told_more: Decimal = ZERO, booked_less: Decimal = ZERO,
        is_paid: bool = True, told_at: datetime | None = None,
    ) -> Decimal:  # fmt: skip
        """The four sides of a return, and its payment with the credit; answers what is credited. ``taken``: a fee that both
        vendors know and the policy does not; ``told_more``: shipping that only Happy Returns tells."""
        order = story.orders[0]
        taxes = [tax_in(piece.unit.price, order.tax_percent) for piece in story.pieces]
        prices = [piece.unit.price for piece in story.pieces]
        right = {"items": sum(prices, ZERO) - sum(taxes, ZERO), "tax": sum(taxes, ZERO)}
        if shipping:
            right["shipping"] = order.shipping
        if fee and MAIL_FEE[order.currency] < right["items"]:
            right["fee"] = -MAIL_FEE[order.currency]
        in_centra = {**right, **({"fee": -taken} if taken else {})}
        told = {**in_centra, **({"shipping": right["shipping"] + told_more} if told_more else {})}
        total = sum(in_centra.values(), ZERO)
        self._post(story, "expected", right, due)
        self._post(story, "happy_returns", told, issued, told_at)
        if credited is not None:
            self._post(story, "centra", in_centra, credited)
            if is_paid:
                self._paid(story, total, credited, booked_less)
        return total

    def _paid(self, story: Story, total: Decimal, at: datetime, booked_less: Decimal = ZERO) -> None:
        """A payment, and what its provider books; a gift card has none."""
        self._post(story, "paid", {"payment": total}, at)
        if story.pieces[0].refund_type != "gift-card":
            self._post(story, "provider", {"payment": total - booked_less}, at + 3 * HOUR)

    def _post(
        self, story: Story, side: str, amounts: dict[str, Decimal], at: datetime, known_at: datetime | None = None
    ) -> None:
        seen = known_at or self.sync_after(at)
        if seen is None:
            return
        for component, amount in amounts.items():
            self.postings.append(Posting(story.return_id, side, component, story.orders[0].currency, amount, at, seen))

    def _gap(
        self, story: Story, side: str, at: datetime, known_at: datetime | None = None, **amounts: Decimal
    ) -> None:  # fmt: skip
        of, values, currency = tuple(amounts), tuple(amounts.values()), story.orders[0].currency
        self.gaps.append(Gap(story.return_id, side, of, currency, values, at, known_at or at))

    def _matter(
        self, kind: str, owner: str, story: Story, amount: Decimal, opens_at: datetime, closes_at: datetime | None = None,
        *, known_at: datetime | None = None,
    ) -> None:  # fmt: skip
        currency = story.orders[0].currency if amount else None  # no money, no currency
        self.matters.append(
            Matter(kind, owner, story.return_id, currency, amount, opens_at, known_at or opens_at, closes_at)
        )


def _noon(month: str, day: int) -> datetime:
    return months.start(month) + (day - 1) * DAY + 12 * HOUR
