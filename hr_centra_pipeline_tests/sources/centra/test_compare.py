from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sources.centra import pull
from hr_centra_pipeline.sources.centra.centra_staging import refresh
from hr_centra_pipeline.sources.centra.full_compare import CompareReport, compare_with_centra
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.sources.centra.conftest import NOW, Rows, Shop

DAY = timedelta(days=1)
WEEK = NOW + 8 * DAY
PULLS = (pull.pull_orders, pull.pull_shipments, pull.pull_returns, pull.pull_stock_changes)


def pull_all(shop: Shop, warehouse: Warehouse, policy: Policy, now: datetime) -> None:
    for one in PULLS:
        one(shop.client, warehouse, policy, now)


def old_ledger(shop: Shop) -> tuple[int, int, int]:
    """An order with two Returns and a stock change, all of two months ago; answers the Returns and the change."""
    shipment, lines = shop.shipment_of(shop.add_order(at=NOW - 70 * DAY))
    returns = [shop.store.person_create_return(shipment, {line: 1}, at=NOW - 60 * DAY) for line in lines]
    for made in returns:
        shop.store.person_complete_return(made, at=NOW - 60 * DAY)
    change = shop.store.person_change_stock(sku="SKU-1", quantity=1, into=1, comment="Delivery", at=NOW - 59 * DAY)
    # What is recent: the increments look no further back than from there.
    shipment, lines = shop.shipment_of(shop.add_order(at=NOW - 3 * DAY))
    shop.store.person_complete_return(shop.store.person_create_return(shipment, {lines[0]: 1}, at=NOW - DAY), at=NOW)
    shop.store.person_change_stock(sku="SKU-1", quantity=1, into=1, comment="Delivery", at=NOW - DAY)
    return returns[0], returns[1], change


def differences(rows: Rows) -> list[tuple[object, ...]]:
    return rows("select object, object_key, difference, fields from landing.centra_differences order by all")


def test_a_silent_edit_and_a_deletion_are_found_within_a_week_and_staged(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    edited, deleted, change = old_ledger(shop)
    pull_all(shop, warehouse, policy, NOW)
    refresh(warehouse, NOW)
    with shop.store.write():
        shop.store.update("returns", "id", edited, {"return_cost": Decimal("3.00")})
        shop.store.update("stock_changes", "id", change, {"comment": "Customer return"})
    shop.store.person_delete_return(deleted, at=NOW)
    pull_all(shop, warehouse, policy, NOW + DAY)
    assert rows("select count(*) from landing.centra_returns") == [(3,)]  # the increments see nothing of it
    assert compare_with_centra(shop.client, warehouse, policy, NOW + DAY).slices == 0  # all of it was read yesterday
    report = compare_with_centra(shop.client, warehouse, policy, WEEK)
    assert (report.edited, report.missed, report.deleted, report.problem) == (4, 0, 1, None)
    assert sorted(row[:1] + row[2:] for row in differences(rows) if row[0] in ("orders", "shipments")) == [
        ("orders", "edited", ["lines"]),  # their returned quantities, of the Return that is gone
        ("shipments", "edited", ["lines"]),
    ]
    assert [row for row in differences(rows) if row[0] in ("returns", "stock_changes")] == [
        ("returns", str(edited), "edited", ["grandTotal", "grandTotalNet", "totals"]),
        ("returns", str(deleted), "deleted", None),
        ("stock_changes", str(change), "edited", ["comment"]),
    ]
    refresh(warehouse, WEEK)
    assert rows("select centra_return_id, return_cost, deleted_at from staging.centra_returns order by 1")[:2] == [
        (edited, Decimal(3), None),
        (deleted, Decimal(0), WEEK),
    ]


@pytest.mark.slow
def test_what_was_compared_is_left_alone_for_a_week_and_no_difference_is_reported_twice(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    edited, _, _ = old_ledger(shop)
    pull_all(shop, warehouse, policy, NOW)
    with shop.store.write():
        shop.store.update("returns", "id", edited, {"return_cost": Decimal("3.00")})
    first = compare_with_centra(shop.client, warehouse, policy, WEEK)
    assert first.slices > 4
    assert compare_with_centra(shop.client, warehouse, policy, WEEK + DAY) == CompareReport(0, 0, 0, 0, 0, None)
    again = compare_with_centra(shop.client, warehouse, policy, WEEK + 8 * DAY)
    assert (again.edited, again.deleted) == (0, 0)
    assert len(differences(rows)) == 1


@pytest.mark.slow
def test_a_run_reads_a_part_and_the_next_ones_go_on(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    edited, _, _ = old_ledger(shop)
    pull_all(shop, warehouse, policy, NOW)
    with shop.store.write():
        shop.store.update("returns", "id", edited, {"return_cost": Decimal("3.00")})
    small = policy.model_copy(update={"centra": policy.centra.model_copy(update={"compare_pages": 1, "page_size": 1})})
    whole = compare_with_centra(shop.client, warehouse, policy, WEEK, everything=True)
    slices, found = 0, 0
    later = WEEK + 8 * DAY
    with shop.store.write():
        shop.store.update("returns", "id", edited, {"return_cost": Decimal("4.00")})
    for _ in range(40):
        report = compare_with_centra(shop.client, warehouse, small, later)
        slices, found = slices + report.slices, found + report.edited
        if not report.slices:
            break
        assert report.objects <= 5
    assert slices == whole.slices
    assert found == 1


def test_what_the_increments_would_have_shown_is_no_silent_edit(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    number = shop.add_order(at=NOW - 70 * DAY)
    pull_all(shop, warehouse, policy, NOW)
    shop.store.person_set_internal_comment(number, "hello", at=WEEK - DAY)
    report = compare_with_centra(shop.client, warehouse, policy, WEEK)
    assert (report.edited, report.missed) == (0, 0)
    assert rows("select count(*) from landing.centra_orders") == [(2,)]  # it is landed all the same


def test_a_compare_that_is_cut_short_takes_nothing_for_deleted_and_is_done_again(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    old_ledger(shop)
    pull_all(shop, warehouse, policy, NOW)
    shop.fault(kind="error_before", target="PullReturns", times=20)
    report = compare_with_centra(shop.client, warehouse, policy, WEEK)
    assert report.problem is not None
    assert report.deleted == 0
    assert rows("select count(*) from landing.centra_pulls where object = 'compare returns' and not is_complete") == [
        (1,)
    ]
    shop.sandbox.sandbox.faults.clear()
    assert compare_with_centra(shop.client, warehouse, policy, WEEK).problem is None
