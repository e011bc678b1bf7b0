"""What a varied shop has on purpose, so that a test of it can not pass for want of cases. What is trouble has its truth."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hr_centra_pipeline.sandbox.centra.markets import state_tax_of
from hr_centra_pipeline.sandbox.centra.word_desk import PLACES
from hr_centra_pipeline.sandbox.happy_returns.records import Happening
from hr_centra_pipeline.sandbox.shop.trouble import DAY, HOUR, Trouble

_WINDOW = 72 * HOUR


class Variations(Trouble):
    """Plants them."""

    def plant(self) -> None:
        """Plant all of it."""
        self.exchanges_to_every_kind_of_address()
        self.capture_under_way()
        self.returns_of_other_integrations()
        self.bundles()
        self.words_that_no_document_lists()
        if self.workshop.shop.store.settings.tax_engine_countries:
            self.tax_engine_is_far_off()

    def exchanges_to_every_kind_of_address(self) -> None:
        """Exchanges that go well: of a customer in each country, of one with a c/o line, and of one whose state and telephone
        number are where most addresses have none.
        """
        shop = self.workshop.shop
        chosen: dict[str, int] = {}
        for customer in range(shop.customers):
            address = shop.address_of(customer)
            chosen.setdefault(address["country"], customer)
            if address["address2"]:
                chosen.setdefault("c/o", customer)
            if address["state_code"] and address["cell_phone_number"]:
                chosen.setdefault("state", customer)
        for position, customer in enumerate(sorted(set(chosen.values()))):
            size = self.workshop.any_size()
            order = shop.sell(self.until - 25 * DAY, [(size, 1)], customer=customer)
            story = self._story(order, 9 + position / 8, refund_type="exchange", exchange_sku=size.siblings[0])
            self._bar(story, story.created_at + DAY)

    def capture_under_way(self) -> None:
        """Shipped to a store and handed in there within the hour: the capture is not confirmed yet when the money is due."""
        shipped = self.until - 3 * HOUR
        order = self._paid_by("card", 2, shipped_at=shipped)
        pieces = [self.workshop.piece(unit) for unit in order.units]
        story = self.workshop.story([order], pieces, "in-store", shipped + HOUR / 4)
        story.start()
        received = shipped + HOUR / 2
        story.receive(received, pieces, approved=True)
        story.refund(received + HOUR / 2, pieces)
        story.grade(self.until + 20 * HOUR, pieces, "sellable")

    def returns_of_other_integrations(self) -> None:
        """Another integration, and an agent, make Returns in Centra that Happy Returns knows nothing of. Centra says ``API`` of
        the integration's; what it says of the agent's is in no document, so nobody can know whose that one is.
        """
        for days_ago, created_from, culprit in ((5, "API", "integration"), (3.5, "Returns agent", "unknown")):
            order, at = self._order(20), self.until - days_ago * DAY
            unit = order.units[0]
            self.workshop.happens(
                Happening(
                    at, "integration_returns",
                    {
                        "shipment_id": unit.shipment_id, "lines": {str(unit.shipment_line_id): 1},
                        "created_from": created_from, "comment": "Imported",
                    },
                )
            )  # fmt: skip
            self._known(
                "centra_return_without_return", None, at + _WINDOW, culprit, order_number=str(order.number),
                description=f"a Return made by {created_from}",
            )  # fmt: skip
            self.truth[-1] |= {"currency": order.currency, "amount": str(unit.paid)}

    def bundles(self) -> None:
        """A fixed bundle and a flexible one with two equal parts come back whole; of a third one a part stays with its buyer."""
        sizes = [self.workshop.shop.special_size(name, stock=50) for name in ("Scarf", "Gloves")]
        sold = (
            ("Winter", [(one, 1) for one in sizes], False),
            ("Pair", [(sizes[0], 2)], True),
            ("Gift", [(one, 1) for one in sizes], False),
        )
        for position, (name, parts, is_flexible) in enumerate(sold):
            order = self.workshop.shop.sell_bundle(
                self.until - (28 + position) * DAY, name, parts, is_flexible=is_flexible
            )
            back = order.units if name != "Gift" else order.units[:1]
            pieces = [self.workshop.piece(unit) for unit in back]
            story = self.workshop.story([order], pieces, "return-bar", self.until - (13 + position) * DAY)
            dropped = story.created_at + DAY
            self._bar(story, dropped)
            if name == "Gift":
                self._known(
                    "return_without_credit_note", story, dropped + 2 * HOUR + DAY, "policy", piece=pieces[0],
                    amount=pieces[0].unit.paid, description="the other part of its bundle did not come back",
                )  # fmt: skip

    def tax_engine_is_far_off(self) -> None:
        """The tax engine settles a dollar more than it had estimated; and it is down whenever a Return is made of an order to
        a state without sales tax, so that Centra puts the country's own rate on it.
        """
        shop = self.workshop.shop
        off = Decimal("1.00")
        untaxed, taxed = self._customers_by_tax()
        story = self._story(self._order(30, customer=taxed), 11)
        shop.store.shift_tax_of_returns_on(story.pieces[0].unit.shipment_id, int(100 * off), is_final=True)
        self._bar(story, story.created_at + DAY)
        self._known(
            "refund_mismatch_tax", story, self.until + DAY, "centra", amount=off,
            description="the tax engine settles another tax than was paid",
        )  # fmt: skip
        story = self._story(self._order(30, customer=untaxed), 9)
        shop.store.stop_tax_engine(story.pieces[0].unit.shipment_id)
        self._bar(story, story.created_at + DAY)
        self._known(
            "rejected_write", story, story.created_at + DAY + 2 * HOUR, "centra", piece=story.pieces[0],
            amount=story.pieces[0].unit.paid, description="the tax engine is down: the Return is taxed, the sale was not",
        )  # fmt: skip

    def _customers_by_tax(self) -> list[int]:
        """Two customers to whose prices an engine adds the tax, in a state without sales tax and in one that has most."""
        shop = self.workshop.shop
        rates = {}
        for customer in range(shop.customers):
            if shop.tax_mode_of(customer) == "added":
                address = shop.address_of(customer)
                state = address["state_code"] or address["state_or_province"] or ""
                rates[customer] = state_tax_of(address["country"], state).percent
        return [min(rates, key=rates.__getitem__), max(rates, key=rates.__getitem__)]

    def words_that_no_document_lists(self) -> None:
        """One object of each kind with an enum word that no document lists, where the shop's Centra has them."""
        store = self.workshop.shop.store
        if not store.settings.unknown_words:
            return
        store.show_unlisted_words(self.until)
        made: dict[str, Any] = store.rows("select * from returns where status = ?", [PLACES["return"].unlisted])[0]
        order = store.order(made["order_number"])
        self._known(
            "centra_return_without_return", None, self.until + _WINDOW, "person", order_number=str(order["number"]),
            description="a Return of the pop-up store",
        )  # fmt: skip
        amount = store.totals_of(made["id"]).grand_total
        self.truth[-1] |= {"currency": order["currency"], "amount": str(amount)}
