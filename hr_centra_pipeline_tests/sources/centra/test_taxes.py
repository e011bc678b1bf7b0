"""Tax in the prices, on top of them, or deducted, as Centra shows it, and what is staged of it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sandbox.centra.store import NewLine, NewOrder
from hr_centra_pipeline.sources.centra import centra_landing, centra_objects, pull
from hr_centra_pipeline.sources.centra.centra_staging import refresh
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.sources.centra import payloads
from hr_centra_pipeline_tests.sources.centra.conftest import NOW, Rows, Shop
from hr_centra_pipeline_tests.sources.centra.payloads import Node, money

ZERO = Decimal(0)


def usd(value: str) -> Node:
    return money(value, "USD")


def taxes(included: str = "0", added: str = "0", deducted: str = "0") -> Node:
    return {"taxIncluded": usd(included), "taxAdded": usd(added), "taxDeducted": usd(deducted)}


def order(number: int, total: str, net: str, lines: list[Node], tax: Node, **costs: str) -> Node:
    totals = {name: usd(costs.get(name, "0")) for name in ("shipping", "handling", "discounts")}
    return payloads.order(
        number, grandTotal=usd(total), grandTotalNet=usd(net), totals={**totals, **tax}, lines=lines
    )  # fmt: skip


def line(line_id: int, gross: str, net: str, quantity: int = 1) -> Node:
    value = {"lineValue": usd(str(Decimal(gross) * quantity)), "lineValueNet": usd(str(Decimal(net) * quantity))}
    prices = {
        "unitPrice": usd(gross),
        "unitPriceNet": usd(net),
        "unitOriginalPrice": usd(gross),
        "unitOriginalPriceNet": usd(net),
    }
    return payloads.order_line(line_id, gross, quantity=quantity, **prices, **value)


def land(warehouse: Warehouse, kind: str, *nodes: Node) -> None:
    ways: dict[str, tuple[centra_landing.Target, Any, Any]] = {
        "order": (centra_landing.ORDERS, centra_objects.Order, centra_landing.order_row),
        "shipment": (centra_landing.SHIPMENTS, centra_objects.Shipment, centra_landing.shipment_row),
        "return": (centra_landing.RETURNS, centra_objects.Return, centra_landing.return_row),
    }
    target, model, row = ways[kind]
    with warehouse.transaction() as connection:
        centra_landing.land(connection, target, [row(model.model_validate(node)) for node in nodes], NOW)
    refresh(warehouse, NOW)


@pytest.mark.parametrize(
    ("tax", "mode"),
    [
        (taxes(included="20"), "included"),
        (taxes(added="8.25"), "added"),
        (taxes(deducted="20"), "none"),
        (taxes(deducted="-20.60"), "none"),  # Centra's sign of it is not documented
        (taxes(), "none"),
        ({}, None),
    ],
)
def test_how_an_order_is_taxed_is_read_from_its_totals(
    warehouse: Warehouse, rows: Rows, tax: Node, mode: str | None
) -> None:
    land(warehouse, "order", order(1001, "100", "100", [line(1, "100", "100")], tax))
    assert rows("select tax_mode from staging.orders") == [(mode,)]


def test_tax_that_is_added_is_part_of_every_price_that_a_customer_pays(warehouse: Warehouse, rows: Rows) -> None:
    """Two lines of which one is exempt; 10.00 of shipping with 0.83 of tax; a voucher of 12.00, which lessens the tax, too."""
    lines = [line(1, "108.25", "100"), line(2, "20", "20")]
    land(
        warehouse,
        "order",
        order(1001, "126.26", "118.00", lines, taxes(added="8.26"), shipping="10.00", discounts="12.00"),
    )
    assert rows("select order_line_id, unit_price, unit_tax_added, line_value from staging.order_lines order by 1") == [
        ("1", Decimal("108.25"), Decimal("8.25"), Decimal("108.25")),
        ("2", Decimal(20), ZERO, Decimal(20)),
    ]
    # 126.26 = 128.25 of goods + 10.00 + shipping's tax - 12.00 - the voucher's tax, which is that of the goods: 8.25 of 120.00
    assert rows(
        "select grand_total, shipping, shipping_tax_added, discounts, discount_tax_added from staging.orders"
    ) == [(Decimal("126.26"), Decimal(10), Decimal("0.84"), Decimal(12), Decimal("0.83"))]


def test_without_shipping_what_is_missing_is_the_voucher_s_tax(warehouse: Warehouse, rows: Rows) -> None:
    land(
        warehouse,
        "order",
        order(1001, "97.42", "90", [line(1, "108.25", "100")], taxes(added="7.42"), discounts="10.00"),
    )
    assert rows("select shipping_tax_added, discount_tax_added from staging.orders") == [(ZERO, Decimal("0.83"))]


def test_what_is_deducted_is_not_paid(warehouse: Warehouse, rows: Rows) -> None:
    """The sample answer of Centra's own guide: goods 4.00 and shipping 99.00 with 25 %, of which 20.60 are deducted."""
    lines = [line(1, "4.00", "3.20")]
    land(warehouse, "order", order(575, "82.40", "82.40", lines, taxes(deducted="20.60"), shipping="99.00"))
    assert rows("select unit_price, unit_tax_added from staging.order_lines") == [(Decimal("3.20"), Decimal("-0.80"))]
    assert rows("select grand_total, shipping, shipping_tax_added from staging.orders") == [
        (Decimal("82.40"), Decimal(99), Decimal("-19.80"))
    ]


def test_a_shipped_unit_has_the_tax_that_centra_shows_not_that_of_a_rate(warehouse: Warehouse, rows: Rows) -> None:
    added, exported, sold_here = (payloads.shipment(number, 1000 + number) for number in (50, 51, 52))
    for shipment, gross, net, tax in (
        (added, "108.26", "100", taxes(added="8.26")),
        (exported, "125", "100", taxes(deducted="25")),
        (sold_here, "125", "100.01", taxes(included="24.99")),
    ):
        shipment["order"]["totals"] = tax
        shipment["lines"][0] |= {"unitPrice": usd(gross), "unitPriceNet": usd(net), "lineValue": usd(gross)}
    land(warehouse, "shipment", added, exported, sold_here)
    assert rows("select unit_price, unit_tax, unit_tax_added from staging.shipment_lines order by shipment_id") == [
        (Decimal("108.26"), Decimal("8.26"), Decimal("8.26")),
        (Decimal(100), ZERO, Decimal(-25)),
        (Decimal(125), Decimal("24.99"), ZERO),
    ]


def a_return(
    total: str, net: str, value: str, tax: Node, *, line_net: str, line_rule: Node, **costs: tuple[str, Node]
) -> Node:
    """Costs: name -> (value, its tax)."""
    names = {"shipping": "shipping", "handling": "handling", "discounts": "discount", "returnCost": "returnCost"}
    totals = {name: usd(costs[name][0] if name in costs else "0") for name in names}
    rules = {f"{names[name]}TaxRules": [rule] for name, (_, rule) in costs.items()}
    return payloads.a_return(
        9,
        1001,
        grandTotal=usd(total),
        grandTotalNet=usd(net),
        totals={"lineValues": usd(value), **totals, **tax, **rules},
        lines=[
            {
                "id": 1, "quantity": 1, "lineValue": usd(line_net),
                "lineValueNet": usd(line_net), "orderLine": {"id": 1, "taxPercent": Decimal(0)}, "shipmentLine": {"id": 500},
                "appliedTaxRules": [line_rule],
            }
        ],
    )  # fmt: skip


def test_the_costs_of_a_return_have_taxes_of_their_own(warehouse: Warehouse, rows: Rows) -> None:
    node = a_return(
        "106.08",
        "98.00",
        "100",
        taxes(added="8.08"),
        line_net="100",
        line_rule=taxes(added="8.25"),
        shipping=("10.00", taxes(added="0.83")),
        discounts=("7.00", taxes(added="-0.58")),
        returnCost=("5.00", taxes(added="-0.42")),
    )
    node["lines"][0]["lineValue"] = usd("108.25")
    land(warehouse, "return", node)
    assert rows(
        "select grand_total, net_total, line_values, tax, shipping_tax_added, discount_tax_added, return_cost_tax_added"
        " from staging.centra_returns"
    ) == [tuple(map(Decimal, ("106.08", "98", "108.25", "7.67", "0.83", "0.58", "0.42")))]  # 8.25 - 0.58 of tax
    # Together they are what it gives back.
    assert rows(
        "select line_values + shipping + shipping_tax_added - discounts - discount_tax_added - return_cost - return_cost_tax_added"
        " - grand_total from staging.centra_returns"
    ) == [(ZERO,)]


def test_a_return_of_an_export_gives_back_what_was_paid(warehouse: Warehouse, rows: Rows) -> None:
    node = a_return(
        "108.00",
        "108.00",
        "125",
        taxes(deducted="27.00"),
        line_net="100",
        line_rule=taxes(deducted="25"),
        shipping=("10.00", taxes(deducted="2.00")),
    )
    node["lines"][0]["lineValue"] = usd("125")
    land(warehouse, "return", node)
    assert rows("select grand_total, line_values, tax, shipping + shipping_tax_added from staging.centra_returns") == [
        (Decimal(108), Decimal(100), ZERO, Decimal(8))
    ]
    assert rows("select line_value, line_tax from staging.centra_return_lines") == [(Decimal(100), ZERO)]


def test_what_was_landed_before_taxes_were_read_is_staged_as_it_was(warehouse: Warehouse, rows: Rows) -> None:
    land(warehouse, "order", payloads.order(1001))
    land(warehouse, "shipment", payloads.shipment(50, 1001))
    assert rows("select tax_mode, shipping_tax_added from staging.orders") == [(None, ZERO)]
    assert rows("select unit_price, unit_tax, unit_tax_added from staging.shipment_lines") == [
        (Decimal(95), Decimal(19), ZERO)
    ]


def test_net_values_and_taxes_that_centra_does_not_round_are_rounded_half_up_as_they_are_read(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    shop.store.settings = replace(shop.store.settings, shows_unrounded_tax=True)
    sold = shop.store.add_order(
        NewOrder(1, "EUR", "DE", [NewLine("SKU-1", 2, Decimal("19.99"), Decimal("19.99"), Decimal(19))], NOW)
    )
    shop.store.ship(sold.number, at=NOW, warehouse_id=1)
    shipment, (line_id,) = shop.shipment_of(sold.number)
    shop.store.person_create_return(shipment, {line_id: 1}, at=NOW)
    for each in (pull.pull_orders, pull.pull_shipments, pull.pull_returns):
        assert each(shop.client, warehouse, policy, NOW).problem is None
    refresh(warehouse, NOW)
    net = "payload ->> '$.lines[0].unitPriceNet.value'"
    assert rows(f"select {net} from landing.centra_orders") == [("16.7983",)]
    assert rows(f"select {net} from landing.centra_shipments") == [("16.7983",)]
    assert rows("select payload ->> '$.totals.taxIncluded.value' from landing.centra_returns") == [("3.1917",)]
    assert rows("select unit_price, unit_tax from staging.shipment_lines") == [(Decimal("19.99"), Decimal("3.19"))]
    assert rows("select line_value, line_tax from staging.centra_return_lines") == [(Decimal("19.99"), Decimal("3.19"))]
    assert rows("select tax_mode, grand_total from staging.orders") == [("included", Decimal("39.98"))]
    assert rows("select tax, grand_total from staging.centra_returns") == [(Decimal("3.19"), Decimal("19.99"))]


@pytest.mark.parametrize(
    ("shown", "kept"), [("16.798319327731093", "16.7983"), ("0.00005", "0.0001"), ("-0.00005", "-0.0001"), ("8", "8")]
)
def test_a_computed_value_is_kept_half_up_to_four_decimals(shown: str, kept: str) -> None:
    node = {"value": Decimal(shown), "currency": {"code": "EUR"}}
    assert centra_objects.ComputedMoney.model_validate(node).model_dump()["value"] == kept
    with pytest.raises(ValidationError):
        centra_objects.ComputedMoney.model_validate(node | {"value": Decimal("1e30")})
