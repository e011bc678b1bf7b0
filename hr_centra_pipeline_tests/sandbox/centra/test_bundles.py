"""The sandbox sells bundles: fixed and flexible ones, as lines of their own and of their parts."""

from __future__ import annotations

from decimal import Decimal

import pytest

from hr_centra_pipeline.sandbox.centra.store import CentraRefusal, NewLine, NewOrder, NewPart, NewReturn, PlacedOrder
from hr_centra_pipeline.sandbox.server import RunningSandbox
from hr_centra_pipeline_tests.sandbox.centra.conftest import SHIPPED, SOLD, data, order_api

DRESS, COAT = NewPart("DRESS-S", Decimal("249.90")), NewPart("COAT-M", Decimal("100.00"))


def place(sandbox: RunningSandbox, *parts: NewPart, quantity: int = 1, is_flexible: bool = False) -> PlacedOrder:
    """An order of a bundle that is sold for 300, with a section for the dress and one for the coat."""
    if sandbox.store.size_by("SET") is None:
        sandbox.store.add_product_size(
            sku="COAT-M", ean=None, upc=None, product_number="COAT", product_name="Coat", variant_name="Ink", size="M",
            stock={1: 9},
        )  # fmt: skip
        sandbox.store.add_bundle("SET", "Set", [["DRESS-S"], ["COAT-M"]], is_flexible=is_flexible)
    line = NewLine("SET", quantity, Decimal("300.00"), Decimal("349.90"), Decimal(25), parts)
    return sandbox.store.add_order(NewOrder(1, "SEK", "SE", [line], SOLD))


def test_a_fixed_bundle_has_one_part_of_each_section_and_a_flexible_one_any_number(sandbox: RunningSandbox) -> None:
    place(sandbox, DRESS, COAT)
    for parts in ((DRESS,), (DRESS, COAT, COAT), (DRESS, NewPart("HAT", Decimal(1)))):
        with pytest.raises(CentraRefusal):
            place(sandbox, *parts)
    sandbox.store.add_bundle("ANY", "Any", [["DRESS-S", "COAT-M"]], is_flexible=True)
    line = NewLine("ANY", 1, Decimal(10), Decimal(10), Decimal(25), [NewPart("COAT-M", Decimal(5), 2)])
    placed = sandbox.store.add_order(NewOrder(1, "SEK", "SE", [line], SOLD))
    assert [part["quantity"] for part in sandbox.store.parts_of(placed.line_ids[0])] == [2]


def test_graphql_and_rest_show_a_bundle_and_its_parts_as_lines_and_the_total_counts_it_once(
    sandbox: RunningSandbox,
) -> None:
    placed = place(sandbox, DRESS, COAT, quantity=2)
    sandbox.store.ship(placed.number, at=SHIPPED)
    look = (
        "{ orders(where: {number: [%d]}) { grandTotal { value } lines { __typename quantity productSize { SKU } } } }"
    )
    (order,) = data(sandbox, look % placed.number)["orders"]
    assert [(line["__typename"], line["quantity"], line["productSize"]["SKU"]) for line in order["lines"]] == [
        ("BundleOrderLine", 2, "SET"), ("BundleItemOrderLine", 2, "DRESS-S"), ("BundleItemOrderLine", 2, "COAT-M"),
    ]  # fmt: skip
    assert Decimal(str(order["grandTotal"]["value"])) == Decimal(600)
    (shown,) = order_api(sandbox, "GET", f"orders?order={placed.number}")["orders"]
    for products in (shown["products"], shown["shipments"][0]["products"]):
        bundle, *parts = products
        assert bundle["isBundle"]
        assert [part["sku"] for part in bundle["bundle"]] == ["DRESS-S", "COAT-M"]
        assert [part["isPartOfBundle"] for part in parts] == [bundle["lineId"]] * 2


def test_a_return_names_the_bundle_once_and_its_parts_go_back_into_stock(sandbox: RunningSandbox) -> None:
    store = sandbox.store
    placed = place(sandbox, DRESS, COAT)
    shipment = store.ship(placed.number, at=SHIPPED, warehouse_id=1)
    lines = [
        row["id"] for row in store.rows("select id from shipment_lines where shipment_id = ? order by id", [shipment])
    ]
    with pytest.raises(CentraRefusal, match="alone"):
        store.create_return(NewReturn(shipment, [(lines[1], 1)], "origin"))
    coats = store.row("select physical from stock join sizes on sizes.id = size_id where sku = 'COAT-M'")
    made = store.create_return(NewReturn(shipment, [(lines[0], 1)], "origin"))
    assert store.totals_of(made).grand_total == Decimal(300)
    back = store.row("select physical from stock join sizes on sizes.id = size_id where sku = 'COAT-M'")
    assert coats
    assert back
    assert back["physical"] == coats["physical"] + 1
    with pytest.raises(CentraRefusal, match="Only 0"):
        store.create_return(NewReturn(shipment, [(lines[0], 1)], "origin"))
