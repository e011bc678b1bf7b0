from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import simplejson

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sources.centra import pull, pull_progress
from hr_centra_pipeline.sources.centra.centra_staging import refresh
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.pull_progress import Pull
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.sources.centra import payloads
from hr_centra_pipeline_tests.sources.centra.conftest import NOW, Rows, Shop, add_item
from hr_centra_pipeline_tests.sources.centra.server import always, answering

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def test_orders_come_with_their_shipments_and_exact_amounts(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    numbers = [shop.add_order(at=NOW - day * DAY, voucher="3.33") for day in (5, 4, 3, 2, 1)]
    report = pull.pull_orders(shop.client, warehouse, policy, NOW)
    assert (report.rows_read, report.rows_landed, report.complete, report.problem) == (10, 10, True, None)
    refresh(warehouse, NOW)
    assert rows("select order_number, grand_total, captured, discounts from staging.orders order by 1") == [
        (str(number), Decimal("101.54"), Decimal("101.54"), Decimal("3.33")) for number in numbers
    ]
    assert rows("select sum(quantity), sum(line_value), max(unit_tax) from staging.shipment_lines") == [
        (15, Decimal("499.85"), Decimal("15.99"))
    ]
    assert rows("select distinct sku from staging.order_lines order by 1") == [("SKU-1",), ("SKU-2",)]
    (landed,) = rows("select string_agg(payload::varchar) from landing.centra_orders")[0]
    assert not [word for word in ("jane", "Doe", "High Street") if word in landed]


def test_the_second_pull_reads_only_what_changed_since_the_newest_order_seen(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    shop.add_order(at=NOW - 9 * DAY)
    newest = NOW - 8 * DAY
    shop.add_order(at=newest)
    pull.pull_orders(shop.client, warehouse, policy, NOW)
    assert rows("select window_from, window_to, is_complete from landing.centra_pulls") == [
        (min(NOW - 120 * DAY, policy.cutover), newest, True)
    ]
    shop.add_order(at=NOW - 7 * DAY)
    report = pull.pull_orders(shop.client, warehouse, policy, NOW)
    # The newest known order lies inside the overlap: read again, not landed again. The new one brings its shipment.
    assert (report.rows_read, report.rows_landed) == (3, 2)
    assert rows("select max(window_from) from landing.centra_pulls") == [(newest - HOUR,)]


def test_a_page_that_fails_leaves_the_watermark_where_it_was(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    for day in range(6):
        shop.add_order(at=NOW - day * DAY)
    shop.fault(kind="truncated", target="PullOrders", after=1, times=10)
    report = pull.pull_orders(shop.client, warehouse, policy, NOW)
    assert not report.complete
    assert "unreadable" in str(report.problem)
    assert rows("select is_complete, problem is not null from landing.centra_pulls") == [(False, True)]
    shop.sandbox.sandbox.faults.clear()
    again = pull.pull_orders(shop.client, warehouse, policy, NOW)
    assert again.complete
    assert rows("select count(distinct order_number), count(*) from landing.centra_orders") == [(6, 6)]


def test_a_query_that_fails_once_is_repeated_and_nobody_notices(
    shop: Shop, warehouse: Warehouse, policy: Policy
) -> None:
    shop.add_order(at=NOW - DAY)
    for kind in ("error_before", "dropped_after", "truncated"):
        shop.fault(kind=kind, target="PullShipments")
    report = pull.pull_shipments(shop.client, warehouse, policy, NOW)
    assert (report.rows_read, report.complete) == (1, True)


def test_an_object_that_does_not_fit_is_named_and_the_others_of_its_page_are_landed(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    numbers = [shop.add_order(at=NOW - DAY, price=price) for price in ("1", "2", "3.00001", "4", "5")]
    report = pull.pull_orders(shop.client, warehouse, policy, NOW)
    assert not report.complete
    assert f"Order {numbers[2]}: " in str(report.problem)
    assert "decimal places" in str(report.problem)
    assert "1 of 2 objects were not landed" in str(report.problem)
    # The watermark does not advance, so that the refused one is requested again.
    assert rows("select order_number from landing.centra_orders order by 1") == [
        (str(numbers[i]),) for i in (0, 1, 3, 4)
    ]


def test_orders_that_items_name_are_fetched_by_number_however_old(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    old = shop.add_order(at=NOW - 400 * DAY)
    assert pull.pull_orders(shop.client, warehouse, policy, NOW).rows_read == 0
    add_item(warehouse, str(old))
    report = pull.pull_named_orders(shop.client, warehouse, policy, NOW)
    assert (report.rows_read, report.rows_landed, report.complete) == (2, 2, True)
    assert rows("select order_number from landing.centra_shipments") == [(str(old),)]
    assert pull.pull_named_orders(shop.client, warehouse, policy, NOW).rows_read == 0


def test_an_order_that_centra_does_not_know_is_recorded_and_asked_again_once_an_hour(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    add_item(warehouse, "77")
    add_item(warehouse, "88", refunded_at=NOW - 60 * DAY)  # nothing is open on it any more
    for text in ("ABC-1", "0012", "99999999999"):
        add_item(warehouse, text)
    absent = "select order_number, count(*) from landing.centra_absent_orders group by 1 order by 1"
    assert pull.pull_named_orders(shop.client, warehouse, policy, NOW).complete
    once = [("0012", 1), ("77", 1), ("88", 1), ("99999999999", 1), ("ABC-1", 1)]
    assert rows(absent) == once
    pull.pull_named_orders(shop.client, warehouse, policy, NOW + HOUR / 2)
    assert rows(absent) == once
    pull.pull_named_orders(shop.client, warehouse, policy, NOW + HOUR)
    assert rows(absent)[1] == ("77", 2)  # asked again; the others are closed, or no numbers of Centra's
    assert sum(count for _, count in rows(absent)) == 6
    shop.add_order(at=NOW, number=77)
    pull.pull_named_orders(shop.client, warehouse, policy, NOW + 2 * HOUR)
    assert sum(count for _, count in rows(absent)) == 6
    assert rows("select order_number from landing.centra_orders") == [("77",)]


def test_a_failing_question_proves_no_order_absent(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    add_item(warehouse, "77")
    shop.fault(kind="error_before", target="PullOrders", times=10)
    assert not pull.pull_named_orders(shop.client, warehouse, policy, NOW).complete
    assert rows("select * from landing.centra_absent_orders") == []


def test_stock_changes_are_read_with_every_line_and_only_once(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    for number in range(100, 220):
        shop.store.add_product_size(
            sku=f"S{number}", ean=None, upc=None, product_number="P9", product_name="Sock", variant_name="Red",
            size=str(number), stock={1: 1},
        )  # fmt: skip
    made = {
        "description": "Customer return, a whole box",
        "intoWarehouse": {"id": 1},
        "productSizes": [{"productSize": {"SKU": f"S{number}"}, "deliveredQuantity": 1} for number in range(100, 220)],
    }
    shop.client.execute("ChangeStock", {"input": made})
    shop.store.person_change_stock(sku="SKU-1", quantity=3, out_of=1, comment="Broken, ask jane@doe.example", at=NOW)
    report = pull.pull_stock_changes(shop.client, warehouse, policy, NOW)
    assert (report.rows_read, report.rows_landed, report.complete) == (2, 2, True)
    refresh(warehouse, NOW)
    assert rows(
        "select is_customer_return, by_person, count(*), sum(quantity) from staging.stock_changes group by all order by 1"
    ) == [(False, True, 1, -3), (True, False, 120, 120)]
    assert "jane" not in rows("select string_agg(payload::varchar) from landing.centra_stock_changes")[0][0]
    assert pull.pull_stock_changes(shop.client, warehouse, policy, NOW).rows_landed == 0


def test_warehouses_are_landed_when_they_change(shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows) -> None:
    assert pull.pull_warehouses(shop.client, warehouse, policy, NOW).rows_landed == 2
    assert pull.pull_warehouses(shop.client, warehouse, policy, NOW).rows_landed == 0
    refresh(warehouse, NOW)
    assert rows("select warehouse_id, name from staging.warehouses order by 1") == [(1, "Main"), (2, "Outlet")]


def test_replacement_stock_is_read_for_open_exchanges_only(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    add_item(warehouse, "1", refund_type="exchange", exchange_sku="SKU-1")
    add_item(warehouse, "2", refund_type="exchange", exchange_sku="NO-SUCH")
    add_item(warehouse, "3", refund_type="exchange", exchange_sku="SKU-2")
    with warehouse.transaction() as connection:
        connection.execute(
            """
            insert into push.ledger by name
            select 'HR-3' as effect_key, 'exchange_order' as effect_kind, 'item-3' as return_item_id, 'confirmed' as state,
                $now as updated_at
            """,
            {"now": NOW},
        )
    pull.pull_replacement_stock(shop.client, warehouse, policy, NOW)
    shop.store.person_change_stock(sku="SKU-1", quantity=1005 - 1000, out_of=2, comment="sold", at=NOW)
    assert pull.pull_replacement_stock(shop.client, warehouse, policy, NOW + HOUR).rows_landed == 1
    refresh(warehouse, NOW)
    assert rows("select sku, product_size_id, free_quantity, fetched_at from staging.replacement_stock order by 1") == [
        ("NO-SUCH", None, 0, NOW),
        ("SKU-1", 1, 1000, NOW + HOUR),
    ]


def test_a_missing_permission_is_named_in_the_problem_of_the_pull(
    shop: Shop, warehouse: Warehouse, policy: Policy
) -> None:
    client = shop.client_with("Order:read", "Shipment:read")
    assert pull.pull_shipments(client, warehouse, policy, NOW).complete
    problem = str(pull.pull_returns(client, warehouse, policy, NOW).problem)
    assert "Missing permission Return:read" in problem
    assert "Give the token this permission" in problem


def test_a_time_of_the_shop_with_its_own_offset_is_one_instant_for_us(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    summer, winter = datetime(2026, 9, 1, 12, tzinfo=UTC), datetime(2026, 3, 20, 12, tzinfo=UTC)
    add_item(warehouse, str(shop.add_order(at=summer)))
    add_item(warehouse, str(shop.add_order(at=winter)))
    pull.pull_named_orders(shop.client, warehouse, policy, NOW)
    refresh(warehouse, NOW)
    assert rows("select created_at from staging.orders order by 1") == [(winter,), (summer,)]


@pytest.mark.parametrize("page_size", [1, 3, 200])
def test_the_size_of_a_page_makes_no_difference(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows, page_size: int
) -> None:
    for day in range(7):
        shop.add_order(at=NOW - day * DAY)
    limits = policy.centra.model_copy(update={"page_size": page_size})
    report = pull.pull_orders(shop.client, warehouse, policy.model_copy(update={"centra": limits}), NOW)
    assert (report.rows_read, report.rows_landed, report.complete) == (14, 14, True)


def test_what_changes_behind_a_long_pull_is_not_missed_by_the_next_one(
    shop: Shop, warehouse: Warehouse, policy: Policy
) -> None:
    long, newest = Pull("orders", shop.client, warehouse, policy, NOW), NOW - HOUR
    long.saw(newest)
    pull_progress._write(long, elapsed=3 * HOUR)
    # It took three hours and the overlap is one: the next one starts where this one did.
    assert Pull("orders", shop.client, warehouse, policy, NOW).since() == newest - 3 * HOUR


def test_an_object_dated_into_the_future_does_not_hide_what_comes_until_then(
    shop: Shop, warehouse: Warehouse, policy: Policy
) -> None:
    pull_progress.recorded(Pull("orders", shop.client, warehouse, policy, NOW), lambda pull: pull.saw(NOW + 900 * DAY))
    assert Pull("orders", shop.client, warehouse, policy, NOW).since() == NOW - HOUR


def test_wholesale_is_left_out(warehouse: Warehouse, policy: Policy, rows: Rows) -> None:
    theirs = {**payloads.shipment(60, 1002), "__typename": "WholesaleShipment", "lines": None}
    nodes = [payloads.shipment(50, 1001), theirs]
    page = {"pageInfo": {"hasNextPage": False, "endCursor": None}, "edges": [{"node": node} for node in nodes]}
    body = simplejson.dumps({"data": {"shipmentConnection": page}}, use_decimal=True).encode()
    with answering(always(body)) as (url, _):
        assert pull.pull_shipments(CentraClient(url, "token"), warehouse, policy, NOW).complete
    assert rows("select shipment_id from landing.centra_shipments") == [(50,)]
