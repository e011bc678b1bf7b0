"""Planted disagreements: one side's figures are wrong, a payment provider's, Happy Returns', Centra's, a person's or the
policy's; and what people and providers do without reporting it. Each with the truth about it.

A difference in a cost or a rate, and a Return whose final total is at stake, are on orders whose prices contain the tax:
elsewhere a cost has tax of its own, and the total moves by a few cents when the Return is completed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.sandbox.happy_returns.records import Happening
from hr_centra_pipeline.sandbox.payouts import settlements
from hr_centra_pipeline.sandbox.shop.assortment import ZERO, tax_in
from hr_centra_pipeline.sandbox.shop.stories import Story
from hr_centra_pipeline.sandbox.shop.trouble import DAY, HOUR, Trouble

_WINDOW = 72 * HOUR


class Disagreements(Trouble):
    """Plants them; ``quirks`` is what the payment providers will do wrong."""

    def __init__(self, workshop: Any, until: datetime) -> None:
        super().__init__(workshop, until)
        self.quirks: list[dict[str, Any]] = []

    def plant(self) -> None:
        """Plant all of it."""
        self.happy_returns_is_wrong()
        self.happy_returns_does_not_add_up()
        self.happy_returns_rounds_otherwise()
        self.a_person_is_wrong()
        self.centra_is_wrong()
        self.the_policy_is_wrong()
        self.credits_without_money()
        self.note_wiped_out()
        self.goods_of_nobody()
        self.the_provider_is_wrong()

    def _done(self, story: Story, dropped: datetime, **refund: Any) -> datetime:
        """Dropped off at a bar, refunded, arrived and graded; answers when the refund was issued."""
        story.start()
        story.receive(dropped, story.pieces, approved=True)
        issued = dropped + 2 * HOUR
        story.refund(issued, story.pieces, **refund)
        story.travel(dropped, story.pieces, dropped + 5 * DAY)
        story.grade(dropped + 6 * DAY, story.pieces, "sellable")
        return issued

    # ---------------------------------------------------------------- each side in turn

    def happy_returns_is_wrong(self) -> None:
        """Shipping beyond what the order paid; a fee that the policy does not name; exchange rows that contradict prices."""
        story = self._story(self._order(30, tax_mode="included"), 12)
        issued = self._done(story, story.created_at + DAY, whole_order=True, shipping_off=Decimal("7.00"))
        self._known(
            "refund_mismatch_shipping", story, issued + DAY, "happy_returns", amount=Decimal("7.00"),
            description="more shipping than the order paid",
        )  # fmt: skip
        story = self._story(self._order(30, tax_mode="included"), 11)
        issued = self._done(story, story.created_at + DAY, fee_off=Decimal("3.00"))
        self._known(
            "refund_mismatch_fee", story, issued + DAY, "happy_returns", amount=Decimal("3.00"),
            description="a fee at the bar, where the policy has none",
        )  # fmt: skip
        size = self.workshop.any_size()
        story = self._story(
            self._order(30, size=size, tax_mode="included"), 12, refund_type="exchange", exchange_sku=size.siblings[0]
        )
        issued = self._done(
            story, story.created_at + DAY, more={"price_difference": "-10.00", "total_refunded": "0.00"}
        )
        self._known(
            "refund_mismatch_exchange", story, issued + DAY, "happy_returns", amount=Decimal("10.00"),
            description="pays nothing out for a cheaper replacement",
        )  # fmt: skip
        dear, cheap = self.workshop.shop.sizes[4 * 3], self.workshop.shop.sizes[-1 - 4 * 3]  # a coat, a top
        sold = self.workshop.shop.sell(self.until - 30 * DAY, [(dear, 1)], customer=7, tax_mode="included")
        replacement = self.workshop.shop.sell(self.until - 9 * DAY, [(cheap, 1)], customer=7, tax_mode="included")
        story = self._story(sold, 12, refund_type="exchange", exchange_sku=dear.siblings[0])
        told = sold.units[0].paid - replacement.units[0].paid - Decimal("5.00")
        issued = self._done(
            story, story.created_at + DAY,
            more={
                "price_difference": str(-told), "total_refunded": str(told), "exchange_order_number": str(replacement.number),
            },
        )  # fmt: skip
        self._known(
            "refund_mismatch_exchange", story, issued + DAY, "happy_returns", amount=Decimal("5.00"),
            description="the price difference is not that of the two articles",
        )  # fmt: skip

    def happy_returns_does_not_add_up(self) -> None:
        """A total that is not the sum of its parts."""
        story = self._story(self._order(30), 11)
        total = story.pieces[0].unit.paid + Decimal("2.00")
        issued = self._done(story, story.created_at + DAY, more={"total_refunded": str(total)})
        self._known(
            "refund_mismatch_items", story, issued + DAY, "happy_returns", amount=Decimal("2.00"),
            description="the row does not add up to its total",
        )  # fmt: skip

    def happy_returns_rounds_otherwise(self) -> None:
        """Tax of goods sold at 15 % off in Swedish crowns is rounded down: within the tolerance, so no exception, but a rule."""
        customer = next(number for number in range(60) if self.workshop.shop.currency_of(number) == "SEK")
        for position in range(8):
            order = self.workshop.shop.sell(
                self.until - 30 * DAY, [(self.workshop.any_size(), 1)], customer=customer, discount_percent=15
            )
            story = self._story(order, 9 + position / 4)
            cent = Decimal("0.01")
            self._done(story, story.created_at + DAY, items_off=cent, tax_off=-cent)

    def a_person_is_wrong(self) -> None:
        """A Return by hand that takes a fee which nobody else knows of."""
        story = self._story(self._order(30, tax_mode="included"), 10)
        dropped = story.created_at + DAY
        issued = self._done(story, dropped)
        self.workshop.by_hand(story, dropped + 5 * HOUR, pays="refund", fee="10.00")
        self._known(
            "refund_mismatch_fee", story, issued + DAY, "person", amount=Decimal("10.00"),
            description="a Return made by hand takes a fee off",
        )  # fmt: skip

    def centra_is_wrong(self) -> None:
        """Centra taxes the Return by another rate than the order."""
        story = self._story(self._order(30, tax_mode="included"), 10)
        unit, rate = story.pieces[0].unit, story.orders[0].tax_percent
        self.workshop.shop.store.tax_returns_on(unit.shipment_id, Decimal(3))
        issued = self._done(story, story.created_at + DAY)
        self._known(
            "refund_mismatch_tax", story, issued + DAY, "centra", amount=tax_in(unit.paid, rate) - tax_in(unit.paid, Decimal(3)),
            description="the Return is taxed by another rate than the order",
        )  # fmt: skip

    def the_policy_is_wrong(self) -> None:
        """The refund row comes after the policy's wait, with a shipping cost that can not be credited any more."""
        story = self._story(self._order(20, tax_mode="included"), 3)
        dropped = self.until - 30 * HOUR
        story.start()
        story.receive(dropped, story.pieces, approved=True)
        issued = self.until + 10 * HOUR
        story.refund(issued, story.pieces, whole_order=True)
        self._known(
            "refund_mismatch_shipping", story, issued + DAY, "policy", amount=story.orders[0].shipping,
            description="the refund row came when the credit had been made",
        )  # fmt: skip

    # ---------------------------------------------------------------- money that did not go, or went twice

    def credits_without_money(self) -> None:
        """A Return by hand that was never refunded, and one whose refund the provider refused."""
        for pays, culprit, later in (("nothing", "person", ZERO), ("fails", "provider", 6)):
            story = self._story(self._order(30, tax_mode="included"), 11)
            dropped = story.created_at + DAY
            self._done(story, dropped)
            made = dropped + 5 * HOUR
            self.workshop.by_hand(story, made, pays=pays)
            self._known(
                "credit_note_without_refund", story, made + int(later) * HOUR + _WINDOW, culprit,
                amount=story.pieces[0].unit.paid, description=f"a Return by hand: the refund {pays}",
            )  # fmt: skip

    def note_wiped_out(self) -> None:
        """Customer service replaces an order's comment, our note with it."""
        story = self._story(self._order(30), 15)
        self._done(story, story.created_at + DAY)
        at = self.until + 8 * HOUR
        self.workshop.happens(
            Happening(
                at, "writes_comment", {"order_number": story.orders[0].number, "text": "Customer called, all fine."}
            )
        )
        self._known("status_not_updated", story, at + DAY, "person", description="our note was overwritten")

    def goods_of_nobody(self) -> None:
        """Goods are put into stock as a customer return that nobody knows of; a delivery beside it is none."""
        size = self.workshop.any_size()
        for comment, is_return in (("Customer return, no papers", True), ("Delivery of supplier 12", False)):
            at = self.until - 6 * DAY
            self.workshop.happens(Happening(at, "moves_stock", {"sku": size.sku, "into": 1, "comment": comment}))
            if is_return:
                self._known("stock_change_without_return", None, at + _WINDOW, "person", description="goods of nobody")

    # ---------------------------------------------------------------- the provider

    def the_provider_is_wrong(self) -> None:
        """Refunds by hand of which the provider books less, nothing, or takes one back; money that Centra knows nothing of."""
        for method in ("card", "wallet"):
            story, made = self._refunded(method, 13)
            self._quirk(story, made + 3 * HOUR, "short", amount="5.00", truth=Decimal("5.00"))
        story, made = self._refunded("card", 12)
        self._quirk(story, made, "missing", truth=story.pieces[0].unit.paid)
        story, made = self._refunded("card", 12)
        back = 30
        self._quirk(story, made + (3 + back) * HOUR, "reversed", hours=back, truth=story.pieces[0].unit.paid)
        story, made = self._refunded("wallet", 12)
        price = story.pieces[0].unit.paid
        self._quirk(
            story, made + 40 * HOUR, "chargeback", amount=str(price), currency=story.orders[0].currency,
            at=(made + 40 * HOUR).isoformat(), truth=price,
        )  # fmt: skip
        order, at = self._paid_by("card", 30), self.until - 10 * DAY
        self.quirks.append(
            {
                "order_number": order.number, "kind": "extra", "amount": "15.00", "currency": order.currency, "at": at.isoformat(),
            }
        )  # fmt: skip
        self._known(
            "payout_mismatch",
            None,
            at + _WINDOW,
            "provider",
            order_number=str(order.number),
            description="refunded in the dashboard",
        )
        self.truth[-1] |= {"currency": order.currency, "amount": "15.00"}
        number, _, end = next(iter(settlements.batches(self.until - 24 * DAY, self.until)))
        self.quirks.append({"order_number": 0, "kind": "broken", "batch": number, "amount": "1.00"})
        self._known(
            "source_not_covered", None, settlements.delivered_at(end) + 2 * HOUR, "provider",
            source_file=f"settlement_detail_report_batch_{number}.csv", description="does not add up to its payout",
        )  # fmt: skip

    def _refunded(self, method: str, days_ago: float) -> tuple[Story, datetime]:
        """A return that was refunded by hand in Centra; answers when the provider did it."""
        story = self._story(self._paid_by(method, 30), days_ago)
        dropped = story.created_at + DAY
        self._done(story, dropped)
        made = dropped + timedelta(hours=5)
        self.workshop.by_hand(story, made, pays="refund")
        settings = self.workshop.shop.store.settings
        waits = settings.provider_answers_after_hours if method in settings.refunds_in_two_steps else None
        return story, made + timedelta(hours=waits or 0)

    def _quirk(self, story: Story, fact_at: datetime, kind: str, *, truth: Decimal, **how: Any) -> None:
        self.quirks.append({"order_number": story.orders[0].number, "kind": kind, **how})
        self._known(
            "payout_mismatch", story, fact_at + _WINDOW, "provider", amount=truth, description=f"the provider: {kind}"
        )  # fmt: skip
