from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import duckdb
import pytest

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sources.centra import pull
from hr_centra_pipeline.sources.centra.centra_staging import refresh
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.sources.centra.conftest import NOW, Rows, Shop, add_item

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def test_a_return_that_someone_deleted_is_noticed(shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows) -> None:
    number = shop.add_order(at=NOW - 30 * DAY)
    shipment, lines = shop.shipment_of(number)
    recent = shop.store.person_create_return(shipment, {lines[0]: 1}, at=NOW - DAY, comment="RET-1 by Jane")
    old = shop.store.person_create_return(shipment, {lines[1]: 1}, at=NOW - 25 * DAY)
    shop.store.person_complete_return(old, at=NOW - 25 * DAY)
    assert pull.pull_returns(shop.client, warehouse, policy, NOW).rows_landed == 2
    refresh(warehouse, NOW)
    shop.store.person_delete_return(recent, at=NOW)
    shop.store.person_delete_return(old, at=NOW)
    # The recent one is missing in the window; the old one only in the sweep of its order, once an item is open there.
    assert pull.pull_returns(shop.client, warehouse, policy, NOW).rows_landed == 1
    add_item(warehouse, str(number))
    assert pull.pull_returns(shop.client, warehouse, policy, NOW + HOUR).rows_landed == 1
    assert pull.pull_returns(shop.client, warehouse, policy, NOW + 2 * HOUR).rows_landed == 0
    refresh(warehouse, NOW)
    assert rows("select centra_return_id, deleted_at, express_codes from staging.centra_returns order by 1") == [
        (recent, NOW, ["RET-1"]),
        (old, NOW + HOUR, []),
    ]


def test_returns_that_could_not_be_read_are_not_taken_for_deleted(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    shipment, lines = shop.shipment_of(shop.add_order(at=NOW - 3 * DAY))
    shop.store.person_create_return(shipment, {lines[0]: 1}, at=NOW - DAY)
    pull.pull_returns(shop.client, warehouse, policy, NOW)
    shop.fault(kind="error_before", target="PullReturns", times=20)
    assert not pull.pull_returns(shop.client, warehouse, policy, NOW).complete
    assert rows("select count(*) from landing.centra_returns where is_deleted") == [(0,)]


def test_an_old_pending_return_is_read_again_until_it_is_completed(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    shipment, lines = shop.shipment_of(shop.add_order(at=NOW - 60 * DAY))
    old = shop.store.person_create_return(shipment, {lines[0]: 1}, at=NOW - 50 * DAY, shipping=Decimal("4.90"))
    recent = shop.store.person_create_return(shipment, {lines[1]: 1}, at=NOW - DAY)  # the window does not reach the old
    shop.store.person_complete_return(recent, at=NOW - DAY)
    pull.pull_returns(shop.client, warehouse, policy, NOW)
    shop.store.person_refund_return(old, at=NOW)
    assert pull.pull_returns(shop.client, warehouse, policy, NOW).rows_landed == 1
    refresh(warehouse, NOW)
    assert rows(
        "select status, grand_total, tax, shipping from staging.centra_returns order by created_at limit 1"
    ) == [("COMPLETED", Decimal("84.85"), Decimal("15.99"), Decimal("4.90"))]
    assert rows("select entry_type, amount, centra_return_id from staging.payment_entries") == [
        ("REFUND", Decimal("84.85"), old)
    ]
    before = len(shop.asked())
    pull.pull_returns(shop.client, warehouse, policy, NOW)
    assert len(shop.asked()) - before == 1  # only the window is left to read


def test_our_own_mistake_is_raised_and_the_pull_still_has_its_row(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    with warehouse.transaction() as connection:
        connection.execute("drop table staging.return_items")
    with pytest.raises(duckdb.CatalogException):
        pull.pull_returns(shop.client, warehouse, policy, NOW)
    assert rows("select object, is_complete, problem from landing.centra_pulls") == [
        ("returns", False, "stopped by CatalogException: see the log of the run.")
    ]


def test_a_refund_that_was_only_asked_for_is_followed_until_the_provider_answered(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    shop.store.settings = replace(shop.store.settings, refunds_in_two_steps=("card", "wallet"))
    shipment, lines = shop.shipment_of(shop.add_order(at=NOW - 60 * DAY))
    old = shop.store.person_create_return(shipment, {lines[0]: 1}, at=NOW - 50 * DAY)
    shop.store.person_refund_return(old, at=NOW - 50 * DAY)
    shop.store.person_create_return(shipment, {lines[1]: 1}, at=NOW - DAY)  # the window begins shortly before this one
    pull.pull_returns(shop.client, warehouse, policy, NOW)
    (entry,) = shop.store.rows("select id from payments where entry_type = 'REFUND_REQUEST'")
    shop.store.settle_refund_request(entry["id"], succeeded=False, at=NOW)
    # Completed and far outside of the window, but its refund was still open.
    assert pull.pull_returns(shop.client, warehouse, policy, NOW).rows_landed == 1
    refresh(warehouse, NOW)
    assert rows("select entry_type, status, centra_return_id from staging.payment_entries order by entry_id") == [
        ("REFUND_REQUEST", "FAILED", old),
        ("REFUND_FAILED", "FAILED", old),
    ]
    assert pull.pull_returns(shop.client, warehouse, policy, NOW).rows_read == 1  # nothing but the window


def test_the_returns_of_an_order_with_open_items_are_read_again_however_old(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    number = shop.add_order(at=NOW - 300 * DAY)
    shipment, lines = shop.shipment_of(number)
    shop.store.person_create_return(shipment, {lines[0]: 1}, at=NOW - 290 * DAY, stock=2)
    assert pull.pull_returns(shop.client, warehouse, policy, NOW).rows_read == 0
    add_item(warehouse, str(number))
    assert pull.pull_returns(shop.client, warehouse, policy, NOW).rows_landed == 1
    refresh(warehouse, NOW)
    assert rows("select returned_to_stock, warehouse_id, created_from from staging.centra_returns") == [
        (True, 2, "AMS")
    ]
