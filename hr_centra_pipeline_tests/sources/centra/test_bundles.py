"""Bundles as Centra shows them: one line for the bundle, one for each part, in orders, shipments and Returns."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from hr_centra_pipeline.sources.centra.centra_staging import refresh
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.sources.centra import payloads
from hr_centra_pipeline_tests.sources.centra.conftest import NOW, Rows
from hr_centra_pipeline_tests.sources.centra.payloads import Node, money
from hr_centra_pipeline_tests.sources.centra.test_staging import Land, land

__all__ = ["land"]


def line(line_id: int, kind: str, price: str, quantity: int = 1) -> Node:
    return payloads.order_line(
        line_id, price, __typename=kind, quantity=quantity, lineValue=money(str(Decimal(price) * quantity))
    )


def bundle(line_id: int, price: str, quantity: int = 1) -> Node:
    return line(line_id, "BundleOrderLine", price, quantity)


def part(line_id: int, price: str, quantity: int = 1) -> Node:
    return line(line_id, "BundleItemOrderLine", price, quantity)


def shipment_of(lines: Sequence[Node], shipment_id: int = 50) -> Node:
    """A shipment of all of these order lines; the id of each line is 5000 and its order line's."""
    return payloads.shipment(
        shipment_id, 1001,
        lines=[
            {
                "id": 5000 + one["id"], "quantity": one["quantity"], "returnedQuantity": 0, "unitPrice": one["unitPrice"],
                "lineValue": one["lineValue"], "orderLine": {"id": one["id"], "taxPercent": Decimal(25)},
            }
            for one in lines
        ],
    )  # fmt: skip


SHARES = "select order_line_id, bundle_share, per_bundle, quantity from staging.order_lines order by order_line_id::int"


def test_in_place_of_a_bundle_are_its_parts_with_their_shares_of_its_price(
    warehouse: Warehouse, land: Land, rows: Rows
) -> None:
    lines = [line(10, "ProductOrderLine", "95"), bundle(11, "100"), part(12, "60"), part(13, "60"), part(14, "60")]
    land("order", payloads.order(1001, lines=lines))
    land("shipment", shipment_of(lines))
    refresh(warehouse, NOW)
    assert rows(SHARES) == [
        ("10", None, None, 1),
        ("12", Decimal("33.33"), 1, 1),
        ("13", Decimal("33.33"), 1, 1),
        ("14", Decimal("33.34"), 1, 1),
    ]
    assert rows(
        "select shipment_line_id, unit_price, unit_tax, bundle_shipment_line_id from staging.shipment_lines order by 1"
    ) == [
        (5010, Decimal(95), Decimal(19), None),
        (5012, Decimal("33.33"), Decimal("6.66"), 5011),
        (5013, Decimal("33.33"), Decimal("6.67"), 5011),
        (5014, Decimal("33.34"), Decimal("6.67"), 5011),
    ]
    assert rows("select bundle_line_id, unit_price, parts, is_known from staging.bundles") == [
        ("11", Decimal(100), 3, True)
    ]


def test_a_part_that_is_twice_in_each_of_two_bundles_is_worth_twice_its_price_in_one(
    warehouse: Warehouse, land: Land, rows: Rows
) -> None:
    lines = [bundle(11, "99.99", 2), part(12, "30", 4), part(13, "40", 2)]
    land("order", payloads.order(1001, lines=lines))
    land("shipment", shipment_of(lines))
    refresh(warehouse, NOW)
    assert rows(SHARES) == [("12", Decimal("59.99"), 2, 4), ("13", Decimal("40.00"), 1, 2)]
    assert rows("select sum(line_value) from staging.shipment_lines") == [(Decimal("199.98"),)]


def test_where_no_part_shows_a_price_of_its_own_the_bundle_s_is_shared_by_their_number(
    warehouse: Warehouse, land: Land, rows: Rows
) -> None:
    land("order", payloads.order(1001, lines=[bundle(11, "90"), part(12, "0", 2), part(13, "0")]))
    refresh(warehouse, NOW)
    assert rows(SHARES) == [("12", Decimal(60), 2, 2), ("13", Decimal(30), 1, 1)]
    assert rows("select has_own_prices from staging.bundles") == [(False,)]


def test_each_of_two_bundles_has_the_parts_that_follow_it(warehouse: Warehouse, land: Land, rows: Rows) -> None:
    lines = [bundle(11, "100"), part(12, "50"), part(13, "50"), bundle(14, "80"), part(15, "50"), part(16, "50")]
    land("order", payloads.order(1001, lines=lines))
    refresh(warehouse, NOW)
    assert rows("select order_line_id, bundle_line_id from staging.order_lines order by 1") == [
        ("12", "11"), ("13", "11"), ("15", "14"), ("16", "14"),
    ]  # fmt: skip


def test_parts_that_follow_no_bundle_or_do_not_go_into_theirs_are_not_guessed_at(
    warehouse: Warehouse, land: Land, rows: Rows
) -> None:
    for number, lines in (
        (1001, [part(12, "50"), bundle(11, "100"), part(13, "50")]),
        (1002, [bundle(21, "100"), bundle(22, "80"), part(23, "50"), part(24, "50")]),
        (1003, [bundle(31, "100", 2), part(32, "50", 3)]),
    ):
        land("order", payloads.order(number, lines=lines))
    refresh(warehouse, NOW)
    assert rows("select order_number, bool_or(is_known) from staging.bundles group by 1 order by 1") == [
        ("1001", False), ("1002", False), ("1003", False),
    ]  # fmt: skip
    # What they cost counts, and no unit is one of them.
    assert rows("select order_line_id, is_product, line_value from staging.order_lines order by 1") == [
        ("11", False, Decimal(100)), ("21", False, Decimal(100)), ("22", False, Decimal(80)), ("31", False, Decimal(200)),
    ]  # fmt: skip


def test_a_return_of_a_bundle_is_one_of_its_parts_whatever_was_read_first(
    warehouse: Warehouse, land: Land, rows: Rows
) -> None:
    lines = [bundle(11, "100"), part(12, "70"), part(13, "40")]
    returned = payloads.return_line(900, "100", "20")
    returned |= {"orderLine": {"id": 11, "taxPercent": Decimal(25)}, "shipmentLine": {"id": 5011}}
    land("return", payloads.a_return(9, 1001, grandTotal=money("100"), lines=[returned]))
    refresh(warehouse, NOW)
    land("shipment", shipment_of(lines))
    refresh(warehouse, NOW)
    land("order", payloads.order(1001, lines=lines))
    refresh(warehouse, NOW)
    assert rows(
        "select shipment_line_id, quantity, line_value, line_tax, named_shipment_line_id, named_quantity"
        " from staging.centra_return_lines order by 1"
    ) == [
        (5012, 1, Decimal("63.63"), Decimal("12.72"), 5011, 1),
        (5013, 1, Decimal("36.37"), Decimal("7.28"), 5011, 1),
    ]
    assert rows("select line_values, tax from staging.centra_returns") == [(Decimal(100), Decimal(20))]


def test_a_bundle_whose_parts_left_in_two_shipments_cannot_be_named_by_one_return(
    warehouse: Warehouse, land: Land, rows: Rows
) -> None:
    lines = [bundle(11, "100"), part(12, "50"), part(13, "50")]
    land("order", payloads.order(1001, lines=lines))
    land("shipment", shipment_of(lines[:2]), shipment_of(lines[2:], 51))
    refresh(warehouse, NOW)
    assert rows(
        "select shipment_line_id, unit_price, bundle_shipment_line_id from staging.shipment_lines order by 1"
    ) == [
        (5012, Decimal(50), None),
        (5013, Decimal(50), None),
    ]


def test_a_bundle_that_has_no_parts_stays_a_line_that_no_unit_is(warehouse: Warehouse, land: Land, rows: Rows) -> None:
    land("order", payloads.order(1001, lines=[payloads.order_line(1, "50"), bundle(2, "50")]))
    refresh(warehouse, NOW)
    assert rows("select order_line_id, is_product from staging.order_lines order by 1") == [("1", True), ("2", False)]
