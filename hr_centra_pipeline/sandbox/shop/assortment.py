"""What the shop sells and to whom: warehouses, sizes, customers, orders, shipments. All of it is in the past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from hr_centra_pipeline.sandbox.centra import postal_addresses
from hr_centra_pipeline.sandbox.centra.markets import PRICELISTS, Country, country_of
from hr_centra_pipeline.sandbox.centra.postal_addresses import Address
from hr_centra_pipeline.sandbox.centra.store import CentraStore, NewLine, NewOrder, NewPart
from hr_centra_pipeline.sandbox.centra.taxes import Mode
from hr_centra_pipeline.sandbox.shop.variety import PLAIN, Variety

ZERO = Decimal(0)
SIZES = ("XS", "S", "M", "L")
_PRODUCTS = (
    ("Linen Dress", "129.90"), ("Wool Coat", "289.00"), ("Silk Blouse", "99.95"), ("Denim Jacket", "119.00"),
    ("Pleated Skirt", "79.95"), ("Cashmere Sweater", "189.90"), ("Chino Trousers", "89.90"), ("Rain Parka", "159.00"),
    ("Jersey Top", "39.95"), ("Tailored Blazer", "199.00"),
)  # fmt: skip
_COLOURS = ("Ink", "Sand", "Moss")
_FIRST_NAMES = ("Ada", "Björn", "Chloé", "Dmitri", "Elif", "Femi", "Grete", "Hugo", "Ines", "José")
_LAST_NAMES = ("Andersson", "Brown", "Castro", "Dupont", "Eriksen", "Fischer", "Garcia", "Hansen")


@dataclass(frozen=True)
class Market:
    """A country that is sold to: what one euro costs in its currency, and the UTC offset of its drop-off points. Market,
    price list, tax and shipping are as Centra has the country.
    """

    country: str
    euro: Decimal
    offset_hours: int

    @property
    def in_centra(self) -> Country:
        """The country as Centra has it."""
        return country_of(self.country)

    @property
    def currency(self) -> str:
        """Of its price list."""
        return PRICELISTS[self.in_centra.pricelist_id][1]


MARKETS = (
    Market("DE", Decimal(1), 2), Market("FR", Decimal(1), 2), Market("SE", Decimal(11), 2), Market("GB", Decimal("0.86"), 1),
    Market("US", Decimal("1.10"), -4),
)  # fmt: skip
EXPORT = Market("CH", Decimal("0.95"), 2)


@dataclass(frozen=True)
class Size:
    """One size of a variant in the shop. ``siblings``: other sizes of it, which it can be exchanged for."""

    sku: str
    ean: str
    upc: str
    name: str
    euro_price: Decimal
    siblings: tuple[str, ...]


@dataclass
class Unit:
    """One shipped piece. ``price``: as the price list has it, in the order's currency; ``voucher``: its share of the order's
    voucher. ``tax_mode``: whether its tax at ``tax_percent`` is in the price, added to it, or deducted from it.
    """

    order_number: int
    order_id: str
    line_id: int
    shipment_id: int
    shipment_line_id: int
    offset: int
    line_quantity: int
    size: Size
    price: Decimal
    tax_percent: Decimal
    tax_mode: Mode = "included"
    voucher: Decimal = ZERO

    def tax_of(self, amount: Decimal) -> Decimal:
        """The tax in, on or off a part of its price, not rounded."""
        return amount * self.tax_percent / (100 if self.tax_mode == "added" else 100 + self.tax_percent)

    @property
    def paid(self) -> Decimal:
        """What the customer paid for it, without regard to a voucher."""
        tax = rounded(self.tax_of(self.price))
        return self.price + {"included": ZERO, "added": tax, "deducted": -tax}[self.tax_mode]


@dataclass
class Order:
    """One shipped order of the past. ``shipping`` and ``voucher``: as the price list has them, tax included or not."""

    number: int
    order_id: str
    customer_email: str
    country: str
    currency: str
    tax_percent: Decimal
    shipping: Decimal
    voucher: Decimal
    placed_at: datetime
    offset_hours: int
    tax_mode: Mode = "included"
    units: list[Unit] = field(default_factory=list)

    @property
    def shipping_told(self) -> Decimal:
        """The shipping cost as a refund row reports it: what was paid, but where tax was added to it, without that."""
        return self.shipping - (tax_in(self.shipping, self.tax_percent) if self.tax_mode == "deducted" else ZERO)


def rounded(amount: Decimal) -> Decimal:
    """To the cent, half up: all currencies of this shop have two decimals."""
    return amount.quantize(Decimal("0.01"), rounding="ROUND_HALF_UP")


def tax_in(gross: Decimal, percent: Decimal) -> Decimal:
    """Tax that a gross amount contains, to the cent."""
    return rounded(gross * percent / (100 + percent))


class Assortment:
    """Fills an empty Centra and sells from it. The same random numbers give the same shop."""

    def __init__(self, store: CentraStore, random: Random, variety: Variety = PLAIN) -> None:
        self.store = store
        self.random = random
        self.sizes: list[Size] = []
        self._variety = variety
        # Variety has random numbers of its own: what is ordinary is the same with and without it.
        self._aside = Random(repr(random.getstate()))
        self._customers: list[tuple[int, str, Market]] = []
        self._sold = 0
        self._spare = 0

    @classmethod
    def of(cls, store: CentraStore, random: Random) -> Assortment:
        """What a shop that was opened before sells, and to whom."""
        found = cls(store, random)
        prices = {name: Decimal(price) for name, price in _PRODUCTS}
        rows = store.rows(
            "select sizes.sku, ean, upc, product_name, name, variant_id from sizes"
            " join variants on variants.id = variant_id order by sizes.id"
        )
        for row in rows:
            if row["product_name"] in prices:
                siblings = tuple(
                    one["sku"] for one in rows if one["variant_id"] == row["variant_id"] and one["sku"] != row["sku"]
                )
                found.sizes.append(
                    Size(
                        row["sku"], row["ean"], row["upc"], f"{row['product_name']} {row['name']}",
                        prices[row["product_name"]], siblings,
                    )
                )  # fmt: skip
        markets = {market.country: market for market in (*MARKETS, EXPORT)}
        found._customers = [
            (row["id"], row["email"], markets[row["country"]])
            for row in store.rows("select id, email, country from customers where is_registered order by id")
            if row["country"] in markets
        ]
        return found

    def any_lines(self, units: int) -> list[tuple[Size, int]]:
        """So many units of different sizes that are in stock."""
        if not self.sizes or not self._customers:
            raise ValueError("there is no shop in this home")
        there = [size for size in self.sizes if self.store.free(self.store.rows(
            "select id from sizes where sku = ?", [size.sku])[0]["id"]) > 10]  # fmt: skip
        return [(size, 1) for size in self.random.sample(there, units)]

    def order(self, number: int) -> Order:
        """A shipped order of one shop unit by unit, as it was sold."""
        row = self.store.order(number)
        _, email, market = next(one for one in self._customers if one[0] == row["customer_id"])
        by_sku = {size.sku: size for size in self.sizes}
        order = Order(
            number, row["id"], email, market.country, row["currency"], market.in_centra.tax_percent, row["shipping"],
            row["voucher"], datetime.fromisoformat(row["created_at"]), market.offset_hours, row["tax_mode"],
        )  # fmt: skip
        for line in self.store.rows(
            "select order_lines.*, shipment_lines.id as shipment_line_id, shipment_id, sku from order_lines"
            " join shipment_lines on order_line_id = order_lines.id join sizes on sizes.id = size_id"
            " where order_number = ? order by order_lines.id",
            [number],
        ):
            percent = line["tax_percent"]
            if order.tax_mode == "added":
                percent = self.store.engine_tax("shipment", line["shipment_id"], line["shipment_line_id"]).percent
            order.units += [
                Unit(
                    number, order.order_id, line["id"], line["shipment_id"], line["shipment_line_id"], offset,
                    line["quantity"], by_sku[line["sku"]], line["unit_price"], percent, order.tax_mode,
                )
                for offset in range(line["quantity"])
            ]  # fmt: skip
        _share_voucher(order)
        return order

    def open(self) -> None:
        """Warehouses, sizes and customers."""
        for name in ("Main", "Outlet", "Quarantine"):
            self.store.add_warehouse(name)
        for number, (product, price) in enumerate(_PRODUCTS, start=101):
            for colour in _COLOURS:
                skus = {size: f"{number}-{colour.upper()}-{size}" for size in SIZES}
                for size in SIZES:
                    siblings = tuple(sku for other, sku in skus.items() if other != size)
                    self.sizes.append(self._add_size(skus[size], number, product, colour, size, price, siblings))
        for position in range(60):
            market = MARKETS[self.random.randrange(len(MARKETS))]
            if self._aside.random() < self._variety.exports:
                market = EXPORT
            first, last = self.random.choice(_FIRST_NAMES), self.random.choice(_LAST_NAMES)
            email = f"customer{position + 1}@example.com"
            customer_id = self.store.add_customer(email=email, first_name=first, last_name=last, country=market.country)
            self._customers.append((customer_id, email, market))

    def _add_size(
        self, sku: str, number: int, product: str, colour: str, size: str, price: str, siblings: tuple[str, ...],
        stock: int = 400,
    ) -> Size:  # fmt: skip
        serial = len(self.sizes) + 1 + 1000 * self._spare
        ean, upc = f"73500{serial:08d}", f"8{serial:011d}"
        self.store.add_product_size(
            sku=sku, ean=ean, upc=upc, product_number=str(number), product_name=product, variant_name=colour, size=size,
            stock={1: stock, 2: min(stock, 5), 3: 0},
        )  # fmt: skip
        return Size(sku, ean, upc, f"{product} {colour}", Decimal(price), siblings)

    def special_size(self, name: str, *, stock: int = 50) -> Size:
        """A size that nothing else is sold in, so that what is planted about it hits one return only."""
        self._spare += 1
        return self._add_size(
            f"9{self._spare:02d}-{name.upper()}-M", 900 + self._spare, name, "Only", "M", "75.00", (), stock
        )

    def currency_of(self, customer: int) -> str:
        """What a customer pays in."""
        return self._customers[customer][2].currency

    def tax_mode_of(self, customer: int) -> Mode:
        """Whether a customer pays the tax in the prices, on top of them, or not at all."""
        return self.store.tax_mode(self._customers[customer][2].country)

    @property
    def customers(self) -> int:
        """How many there are."""
        return len(self._customers)

    def address_of(self, customer: int) -> Address:
        """Where a customer lives."""
        found = self.store.row("select address from customers where id = ?", [self._customers[customer][0]])
        return postal_addresses.read(found["address"] if found else None)

    def sell(
        self,
        placed_at: datetime,
        sizes: list[tuple[Size, int]],
        *,
        voucher_euro: Decimal = ZERO,
        captured: bool = True,
        two_shipments: bool = False,
        customer: int | None = None,
        discount_percent: int = 0,
        shipped_at: datetime | None = None,
        tax_mode: Mode | None = None,
    ) -> Order:
        """Place and ship an order of (size, quantity); answers it with its units. ``shipped_at``: a day or two later unless
        given. ``tax_mode``: of the customer, or of the next one who has it.
        """
        random = self.random
        index = customer if customer is not None else random.randrange(len(self._customers))
        if tax_mode:
            others = [at % self.customers for at in range(index, index + self.customers)]
            index = next(at for at in others if self.tax_mode_of(at) == tax_mode)
        customer_id, email, market = self._customers[index]
        tax, shipping = market.in_centra.tax_percent, market.in_centra.shipping
        voucher = rounded(voucher_euro * market.euro)
        prices = [rounded(size.euro_price * market.euro) for size, _ in sizes]
        paid = [rounded(price * (100 - discount_percent) / 100) for price in prices]
        placed = self.store.add_order(
            NewOrder(
                customer_id, market.currency, market.country,
                [
                    NewLine(size.sku, quantity, now, before, tax)
                    for (size, quantity), now, before in zip(sizes, paid, prices, strict=True)
                ],
                placed_at, shipping=shipping, voucher=voucher, captured=captured,
            )
        )  # fmt: skip
        order = Order(
            placed.number, placed.id, email, market.country, market.currency, tax, shipping, voucher, placed_at,
            market.offset_hours, self.store.tax_mode(market.country),
        )  # fmt: skip
        parts: list[dict[int, int] | None] = [None]
        if two_shipments and len(placed.line_ids) > 1:
            parts = [{placed.line_ids[0]: sizes[0][1]}, None]
        for day, part in enumerate(parts, start=1):
            leaves_at = placed_at + timedelta(days=day, hours=random.randrange(1, 9))
            self.store.ship(placed.number, part, at=shipped_at or leaves_at, warehouse_id=1, captured=captured)
        for (size, quantity), line_id, price in zip(sizes, placed.line_ids, paid, strict=True):
            line = self.store.row("select id, shipment_id from shipment_lines where order_line_id = ?", [line_id])
            assert line is not None  # noqa: S101 - it was shipped just now
            if order.tax_mode == "added":
                tax = self.store.engine_tax("shipment", line["shipment_id"], line["id"]).percent
            order.units += [
                Unit(
                    placed.number, placed.id, line_id, line["shipment_id"], line["id"], offset, quantity, size, price, tax,
                    order.tax_mode,
                )
                for offset in range(quantity)
            ]  # fmt: skip
        _share_voucher(order)
        self._sold += 1
        if self._variety.cancelled_one_in and self._sold % (self._variety.cancelled_one_in - 1) == 0:
            self._sell_and_cancel(placed_at)
        return order

    def sell_bundle(
        self, placed_at: datetime, name: str, parts: Sequence[tuple[Size, int]], *, is_flexible: bool
    ) -> Order:
        """Place and ship an order of one bundle; answers it with its parts as units, each at its share of the price.

        The bundle costs 20 per cent less than its parts alone, to a customer who pays in euro, with the tax in the prices.
        """
        index = next(at for at, (_, _, market) in enumerate(self._customers) if market.country == "DE")
        customer_id, email, market = self._customers[index]
        tax, shipping = market.in_centra.tax_percent, market.in_centra.shipping
        shares = [rounded(size.euro_price * Decimal("0.8")) for size, _ in parts]
        price = sum((share * count for share, (_, count) in zip(shares, parts, strict=True)), ZERO)
        sku = f"SET-{name.upper()}"
        self.store.add_bundle(sku, name, [[size.sku] for size, _ in parts], is_flexible=is_flexible)
        own = tuple(NewPart(size.sku, size.euro_price, count) for size, count in parts)
        alone = sum((size.euro_price * count for size, count in parts), ZERO)
        placed = self.store.add_order(
            NewOrder(
                customer_id, market.currency, market.country, [NewLine(sku, 1, price, alone, tax, own)], placed_at,
                shipping=shipping,
            )
        )  # fmt: skip
        order = Order(
            placed.number, placed.id, email, market.country, market.currency, tax, shipping, ZERO, placed_at,
            market.offset_hours,
        )  # fmt: skip
        shipment_id = self.store.ship(placed.number, at=placed_at + timedelta(days=1, hours=3), warehouse_id=1)
        for line, share, (size, count) in zip(self.store.parts_of(placed.line_ids[0]), shares, parts, strict=True):
            packed = self.store.row("select id from shipment_lines where order_line_id = ?", [line["id"]])
            assert packed is not None  # noqa: S101 - it was shipped just now
            order.units += [
                Unit(placed.number, placed.id, line["id"], shipment_id, packed["id"], offset, count, size, share, tax)
                for offset in range(count)
            ]
        return order

    def _sell_and_cancel(self, placed_at: datetime) -> None:
        """Another customer's order, which is cancelled within a day, before it ships; its payment is let go."""
        customer_id, _, market = self._aside.choice(self._customers)
        country, size = market.in_centra, self._aside.choice(self.sizes)
        price = rounded(size.euro_price * market.euro)
        line = NewLine(size.sku, self._aside.choice((1, 1, 2)), price, price, country.tax_percent)
        placed = self.store.add_order(
            NewOrder(customer_id, market.currency, market.country, [line], placed_at, shipping=country.shipping)
        )
        self.store.person_cancel_order(placed.number, at=placed_at + timedelta(hours=self._aside.uniform(1, 20)))


def _share_voucher(order: Order) -> None:
    """Share the voucher over all units by price: whole cents, the largest remainders first, earlier units before later."""
    if not order.voucher:
        return
    total = sum(unit.price for unit in order.units)
    exact = [order.voucher * unit.price / total for unit in order.units]
    for unit, share in zip(order.units, exact, strict=True):
        unit.voucher = share.quantize(Decimal("0.01"), rounding="ROUND_FLOOR")
    left = int((order.voucher - sum((unit.voucher for unit in order.units), ZERO)) * 100)
    by_rest = sorted(range(len(exact)), key=lambda at: (-(exact[at] - order.units[at].voucher), at))
    for at in by_rest[:left]:
        order.units[at].voucher += Decimal("0.01")
