from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sandbox.shop.shop import Shop as SimulatedShop
from hr_centra_pipeline.sources.centra import pull
from hr_centra_pipeline.sources.centra.centra_staging import refresh
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.sources.centra.conftest import NOW, Rows, Shop

PULLS = [
    pull.pull_warehouses,
    pull.pull_stock_changes,
    pull.pull_orders,
    pull.pull_named_orders,
    pull.pull_shipments,
    pull.pull_returns,
    pull.pull_replacement_stock,
]


def test_a_whole_shop_is_staged_exactly_as_centra_s_records_say(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    simulated = SimulatedShop(shop.sandbox.sandbox.home, shop.store, shop.sandbox.clock)
    simulated.seed(seed=7, returns=60, start=NOW - timedelta(days=40), until=NOW)
    large = policy.model_copy(update={"centra": policy.centra.model_copy(update={"page_size": 100})})
    for _ in range(2):
        reports = [one(shop.client, warehouse, large, NOW) for one in PULLS]
        assert [report.problem for report in reports if report.problem] == []
    # The second round found nothing new.
    assert {report.object: report.rows_landed for report in reports if report.rows_landed} == {}
    refresh(warehouse, NOW)
    ledger = shop.store.records()
    assert ledger["returns"]
    staged = rows("select centra_return_id, order_number, status, grand_total from staging.centra_returns")
    assert sorted(staged) == sorted(
        (found["id"], str(found["order_number"]), found["status"], Decimal(found["grand_total"]))
        for found in ledger["returns"]
    )
    entries = rows("select order_number, centra_return_id, entry_type, status, amount from staging.payment_entries")
    assert Counter(entries) == Counter(
        (str(number), return_id, entry_type, status, Decimal(value))
        for number, return_id, entry_type, status, value in ledger["payments"]
    )
    assert rows("select order_number, status, currency from staging.orders order by order_number") == sorted(
        (str(order["number"]), order["status"], order["currency"]) for order in ledger["orders"]
    )
    # Parts sum to the whole.
    assert (
        rows(
            "select * from staging.centra_returns"
            " where grand_total <> line_values + shipping + handling - discounts - return_cost"
        )
        == []
    )
    assert (
        rows("select order_line_id from staging.shipment_lines anti join staging.order_lines using (order_line_id)")
        == []
    )
