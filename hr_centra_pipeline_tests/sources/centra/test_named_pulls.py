"""What hints and events name is pulled by id, beside the polls, whose coverage and watermarks it leaves alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sources.centra import hints, named_pulls, pull
from hr_centra_pipeline.sources.centra.centra_staging import refresh
from hr_centra_pipeline.sources.centra.hints import Hint, HintReport
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.sources.centra.conftest import NOW, Rows, Shop, add_item

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ALL = (
    named_pulls.stock_changes, named_pulls.orders, named_pulls.shipments, named_pulls.returns, named_pulls.replacement_stock,
)  # fmt: skip


@pytest.fixture
def follow(shop: Shop, warehouse: Warehouse, policy: Policy) -> named_pulls.Follow:
    return named_pulls.Follow(shop.client, warehouse, policy, NOW, touches=True)


def hint(warehouse: Warehouse, of: str, *ids: int, order_number: str | None = None) -> None:
    with warehouse.transaction() as connection:
        rows = [("d", NOW, Hint(place, of, one, "update", NOW, order_number)) for place, one in enumerate(ids, start=1)]
        hints.insert(connection, hints.WEBHOOK, rows, watermarks.next_batch(connection), HintReport(), NOW)


def touch(warehouse: Warehouse, number: int, **given: object) -> None:
    """An event that brings a unit of an order, staged."""
    add_item(warehouse, str(number), **given)
    with warehouse.transaction() as connection:
        connection.execute(
            "insert into landing.happy_returns_items (return_item_id, profile, row_sha256, source_time, source_file, source_line,"
            " landed_at, batch) values (?, 'p', 's', ?, 'event d', 1, ?, nextval('landing.batch_numbers'))",
            [f"item-{number}", NOW, NOW],
        )


def test_nothing_is_asked_and_nothing_recorded_when_nothing_is_named(
    follow: named_pulls.Follow, shop: Shop, rows: Rows
) -> None:
    assert [one(follow).rows_read for one in ALL] == [0] * len(ALL)
    assert shop.asked() == []
    assert rows("select count(*) from landing.centra_pulls") == [(0,)]


def test_hinted_objects_are_pulled_by_id_and_their_hints_are_dealt_with(
    follow: named_pulls.Follow, shop: Shop, warehouse: Warehouse, rows: Rows
) -> None:
    number, other = shop.add_order(at=NOW - DAY), shop.add_order(at=NOW - DAY)
    shipment, lines = shop.shipment_of(number)
    made = shop.store.person_create_return(shipment, {lines[0]: 1}, at=NOW)
    hint(warehouse, hints.ORDER, number)
    hint(warehouse, hints.SHIPMENT, shipment)
    hint(warehouse, hints.RETURN, made)
    for one in ALL:
        assert one(follow).complete
    assert rows("select order_number from landing.centra_orders") == [(str(number),)]
    assert rows("select centra_return_id from landing.centra_returns") == [(made,)]
    assert rows("select count(*), count(pulled_at) from landing.centra_hints") == [(3, 3)]
    assert str(other) not in str(rows("from landing.centra_orders"))
    asked = len(shop.asked())
    for one in ALL:
        one(follow)
    assert len(shop.asked()) == asked


def test_the_polls_know_nothing_of_it(
    follow: named_pulls.Follow, shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    number = shop.add_order(at=NOW - DAY)
    hint(warehouse, hints.ORDER, number)
    for one in ALL:
        one(follow)
    pulls = {name for (name,) in rows('select "object" from landing.centra_pulls')}
    assert pulls == {"event_orders"}
    assert rows("select window_from, window_to from landing.centra_pulls") == [(None, None)]
    assert pull.pull_orders(shop.client, warehouse, policy, NOW).rows_read
    assert rows("""select window_from from landing.centra_pulls where "object" = 'orders'""") == [(policy.cutover,)]


def test_a_hint_that_is_about_a_return_brings_its_order_along(
    follow: named_pulls.Follow, shop: Shop, warehouse: Warehouse, rows: Rows
) -> None:
    shipment, lines = shop.shipment_of(number := shop.add_order(at=NOW - DAY))
    made = shop.store.person_create_return(shipment, {lines[0]: 1}, at=NOW)
    hint(warehouse, hints.RETURN, made)
    named_pulls.returns(follow)
    refresh(warehouse, NOW)
    assert rows("select order_number from staging.orders") == [(str(number),)]


def test_a_payment_is_read_with_the_order_that_it_is_on(
    follow: named_pulls.Follow, shop: Shop, warehouse: Warehouse, rows: Rows
) -> None:
    number = shop.add_order(at=NOW - DAY)
    hint(warehouse, hints.PAYMENT, 4711, order_number=str(number))
    named_pulls.orders(follow)
    assert rows("select order_number from landing.centra_orders") == [(str(number),)]
    assert rows("select count(pulled_at) from landing.centra_hints") == [(1,)]


def test_a_hinted_return_that_is_gone_is_deleted(
    follow: named_pulls.Follow, shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    shipment, lines = shop.shipment_of(shop.add_order(at=NOW - DAY))
    made = shop.store.person_create_return(shipment, {lines[0]: 1}, at=NOW - HOUR)
    pull.pull_returns(shop.client, warehouse, policy, NOW)
    shop.store.person_delete_return(made, at=NOW)
    hint(warehouse, hints.RETURN, made, 99_999)
    named_pulls.returns(follow)
    assert rows("select centra_return_id from landing.centra_returns where is_deleted") == [(made,)]
    assert rows("select distinct note from landing.centra_hints") == [("Centra shows none to us",)]


def test_what_touched_units_need_is_pulled_and_no_more(
    follow: named_pulls.Follow, shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    numbers = [shop.add_order(at=NOW - DAY) for _ in range(3)]
    shipment, lines = shop.shipment_of(numbers[0])
    made = shop.store.person_create_return(shipment, {lines[0]: 1}, at=NOW)
    touch(warehouse, numbers[0], refund_type="exchange", exchange_sku="SKU-2")
    add_item(warehouse, str(numbers[1]), refund_type="exchange", exchange_sku="SKU-1")
    for one in ALL:
        one(follow)
    # The second was never landed, and a unit names it; the third is nobody's business.
    assert rows("select order_number from landing.centra_orders order by 1") == [(str(one),) for one in numbers[:2]]
    assert rows("select centra_return_id from landing.centra_returns") == [(made,)]
    assert rows("select sku from landing.centra_replacement_stock") == [("SKU-2",)]
    asked = len(shop.asked())
    for one in ALL:
        one(follow)
    assert len(shop.asked()) == asked
    # What the polls have followed is not pulled once more.
    touch(warehouse, numbers[2])
    pull.pull_returns(shop.client, warehouse, policy, NOW)
    with warehouse.transaction() as connection:
        assert named_pulls._touched_orders(connection, "returns") == []


def test_a_change_on_a_touched_order_that_is_known_is_seen(
    follow: named_pulls.Follow, shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    number = shop.add_order(at=NOW - DAY)
    shipment, lines = shop.shipment_of(number)
    gone = shop.store.person_create_return(shipment, {lines[0]: 1}, at=NOW - 20 * DAY)
    for poll in (pull.pull_orders, pull.pull_shipments, pull.pull_returns):
        poll(shop.client, warehouse, policy, NOW)
    shop.store.person_delete_return(gone, at=NOW)
    made = shop.store.person_create_return(shipment, {lines[0]: 1}, at=NOW)
    shop.store.person_refund_return(made, at=NOW)
    touch(warehouse, number)
    for one in ALL:
        one(follow)
    refresh(warehouse, NOW)
    assert rows("select centra_return_id, deleted_at is null from staging.centra_returns order by 1") == [
        (gone, False), (made, True),
    ]  # fmt: skip
    assert rows("select sum(returned_quantity) from staging.shipment_lines") == [(1,)]


def test_what_failed_is_named_again(follow: named_pulls.Follow, shop: Shop, warehouse: Warehouse, rows: Rows) -> None:
    number = shop.add_order(at=NOW - DAY)
    hint(warehouse, hints.ORDER, number)
    touch(warehouse, number)
    shop.fault(kind="error_before", target="PullOrders", times=20)
    assert not named_pulls.orders(follow).complete
    assert rows("select count(pulled_at) from landing.centra_hints") == [(0,)]
    for _ in range(30):
        if named_pulls.orders(follow).complete:
            break
    assert rows("select count(pulled_at) from landing.centra_hints") == [(1,)]
    assert rows("select count(*) from landing.centra_orders") == [(1,)]


def test_an_hourly_sync_pulls_hinted_objects_and_leaves_touched_units_to_its_polls(
    follow: named_pulls.Follow, shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    hourly = named_pulls.Follow(shop.client, warehouse, policy, NOW, touches=False)
    hinted, touched = shop.add_order(at=NOW - DAY), shop.add_order(at=NOW - DAY)
    hint(warehouse, hints.ORDER, hinted)
    touch(warehouse, touched)
    for one in ALL:
        one(hourly)
    assert rows("select order_number from landing.centra_orders") == [(str(hinted),)]
