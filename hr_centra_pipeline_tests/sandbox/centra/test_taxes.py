"""The sandbox's taxes, as Centra documents them: base values, plus what is added, less what is deducted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from hr_centra_pipeline.sandbox.centra.return_desk import NewReturn
from hr_centra_pipeline.sandbox.centra.store import CentraRefusal, CentraSettings, CentraStore, NewLine, NewOrder
from hr_centra_pipeline.sandbox.centra.taxes import total
from hr_centra_pipeline.sandbox.sandbox_clock import SandboxClock

ZERO = Decimal(0)
AT = datetime(2026, 9, 1, 12, tzinfo=UTC)
Opened = Callable[..., CentraStore]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    stores: list[CentraStore] = []

    def make(**settings: object) -> CentraStore:
        clock = SandboxClock(tmp_path / "clock")
        clock.advance_to(AT)
        given = CentraSettings(tax_engine_countries=("US",), export_countries=("CH",), **settings)  # type: ignore[arg-type]
        store = CentraStore(tmp_path / "centra.sqlite", clock, given)
        stores.append(store)
        store.add_warehouse("Main")
        for sku in ("A", "B"):
            store.add_product_size(
                sku=sku,
                ean=None,
                upc=None,
                product_number=sku,
                product_name=sku,
                variant_name="-",
                size="M",
                stock={1: 50},
            )
        store.add_customer(email="ada@example.com", first_name="Ada", last_name="L", country="US")
        return store

    yield make
    for store in stores:
        store.close()


def sell(store: CentraStore, state: str, *lines: tuple[str, int, str], country: str = "US", **costs: str) -> int:
    """An order that was shipped; answers its shipment."""
    sold = [NewLine(sku, count, Decimal(price), Decimal(price), Decimal(25)) for sku, count, price in lines]
    address = {"country": country, "state_code": state, "email": "ada@example.com"}
    amounts = {name: Decimal(value) for name, value in costs.items()}
    placed = store.add_order(NewOrder(1, "USD", country, sold, AT, address=address, **amounts))  # type: ignore[arg-type]
    return store.ship(placed.number, at=AT, warehouse_id=1)


def order_of(store: CentraStore, shipment: int) -> Decimal:
    return store.order_total(store.order(store.shipment(shipment)["order_number"]))


def lines_of(store: CentraStore, shipment: int) -> list[int]:
    return [
        row["id"] for row in store.rows("select id from shipment_lines where shipment_id = ? order by id", [shipment])
    ]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("TX", "119.08"),  # 100.00 and 10.00 at 8.25 %, each rounded
        ("CA", "117.25"),  # shipping is not taxed
        ("OR", "110.00"),
        ("NY", "119.77"),  # 8.88 and 0.89
        ("ZZ", "118.00"),  # a state that the engine does not know: the country's 8 % of the goods
    ],
)
def test_tax_is_added_by_state_and_rounded_line_by_line(opened: Opened, state: str, expected: str) -> None:
    store = opened()
    assert order_of(store, sell(store, state, ("A", 1, "100.00"), shipping="10.00")) == Decimal(expected)


def test_a_line_is_rounded_as_a_whole_and_its_units_are_not_more_in_all(opened: Opened) -> None:
    store = opened()
    shipment = sell(store, "CA", ("A", 3, "9.99"))  # 2.17 of tax for the line, 0.72 for one unit
    assert order_of(store, shipment) == Decimal("32.14")
    (line,) = lines_of(store, shipment)
    made = [store.create_return(NewReturn(shipment, [(line, 1)], "none"), AT) for _ in range(3)]
    taxes = [store.totals_of(one).tax.added for one in made]
    assert sum(taxes) <= Decimal("2.17")
    assert all(abs(tax - Decimal("0.72")) <= Decimal("0.01") for tax in taxes)


def test_goods_below_a_price_are_exempt_and_a_voucher_lessens_the_tax_of_what_it_is_taken_off(opened: Opened) -> None:
    store = opened()
    shipment = sell(store, "NY", ("A", 1, "100.00"), ("B", 1, "30.00"), voucher="13.00")
    taxes = store.taxes_of("shipment", store.shipment(shipment))
    assert {name.split()[0]: tax.added for name, tax in taxes.items()} == {
        "line": Decimal("0.00"), "voucher": Decimal("-0.89"),
    }  # fmt: skip
    assert order_of(store, shipment) == Decimal("117.00") + Decimal("8.88") - Decimal("0.89")


def test_a_return_is_estimated_at_its_creation_and_settled_at_its_completion(opened: Opened) -> None:
    store = opened(tax_engine_drift_cents=2)
    shipment = sell(store, "TX", ("A", 2, "50.00"), shipping="10.00")
    (line,) = lines_of(store, shipment)
    made = store.create_return(
        NewReturn(shipment, [(line, 1)], "none", shipping=Decimal(10), return_cost=Decimal(4)), AT
    )
    estimated = store.totals_of(made)
    assert estimated.grand_total == Decimal("56.00") + Decimal("4.13") + Decimal("0.83") - Decimal("0.33")
    store.refund_return(made, AT)
    settled = store.totals_of(made)
    assert 0 < abs(settled.grand_total - estimated.grand_total) <= Decimal("0.02")
    assert store.records()["returns"][0]["payments"] == [["REFUND", "SUCCESS", str(estimated.grand_total)]]


def test_without_the_engine_the_country_s_own_rate_is_used(opened: Opened) -> None:
    store = opened(tax_engine_drift_cents=0)
    shipment = sell(store, "TX", ("A", 2, "50.00"))
    (line,) = lines_of(store, shipment)
    store.stop_tax_engine()
    made = store.create_return(NewReturn(shipment, [(line, 1)], "none", return_cost=Decimal(4)), AT)
    assert store.totals_of(made).grand_total == Decimal("50.00")  # 54.00, less a return cost that has no tax code
    store.start_tax_engine()
    store.complete_return(made)
    assert store.totals_of(made).grand_total == Decimal("49.80")  # 54.13 - 4.33


def test_more_than_was_captured_is_not_refunded_whatever_the_tax(opened: Opened) -> None:
    store = opened()
    shipment = sell(store, "TX", ("A", 1, "50.00"))
    store.shift_tax_of_returns_on(shipment, 1, is_final=False)
    made = store.create_return(NewReturn(shipment, [(lines_of(store, shipment)[0], 1)], "none"), AT)
    with pytest.raises(CentraRefusal, match=r"Only 54\.13 USD"):
        store.refund_return(made, AT)


def test_the_tax_in_the_prices_of_an_export_is_deducted(opened: Opened) -> None:
    store = opened()
    shipment = sell(store, "ZH", ("A", 2, "125.00"), country="CH", shipping="12.50", voucher="10.00")
    tax = total(store.taxes_of("shipment", store.shipment(shipment)))
    assert (tax.included, tax.added, tax.deducted) == (ZERO, ZERO, Decimal("50.50"))
    assert order_of(store, shipment) == Decimal("202.00")
    (line,) = lines_of(store, shipment)
    made = store.totals_of(store.create_return(NewReturn(shipment, [(line, 1)], "none"), AT))
    assert (made.line_values, made.grand_total) == (Decimal("125.00"), Decimal("100.00"))


def test_elsewhere_prices_contain_their_tax(opened: Opened) -> None:
    store = opened()
    shipment = sell(store, "BY", ("A", 1, "125.00"), country="DE", shipping="5.00")
    tax = total(store.taxes_of("shipment", store.shipment(shipment)))
    assert (tax.included, tax.on_top) == (Decimal("26.00"), ZERO)
    assert order_of(store, shipment) == Decimal("130.00")
