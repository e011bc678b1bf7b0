"""Stock movements, replacements, releases and what is written about a return: rows in, rows out on the one model."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from hr_centra_pipeline.core.keys import effect_key
from hr_centra_pipeline_tests.rows import EARLIER, Rows, rows_of

UNIT: dict[str, Any] = {"return_item_id": "I-1", "return_id": "R-1", "order_number": "1001"}
MOVED = effect_key("inventory_adjustment", "I-1", "1")
EXCHANGED = effect_key("exchange_order", "I-1")
WRITTEN = ("status_update", "order_attribute", "customer_note", "customer_attribute")


def unit(rows: Rows, **more: Any) -> None:
    rows.active("1001")
    rows.put("effects.units", **UNIT, **{"is_after_cutover": True, "credit_due_at": EARLIER, **more})


def matched(rows: Rows, **more: Any) -> None:
    rows.put(
        "matching.matched_items", **UNIT,
        **{
            "shipment_line_id": 7, "shipment_id": 3, "sku": "RED", "currency": "EUR", "unit_price": 100, "unit_tax": 20,
            "unit_tax_added": 0, "voucher_share": 0, "voucher_tax": 0, "voucher_tax_added": 0, **more,
        },
    )  # fmt: skip


# ---------------------------------------------------------------- stock


def graded(rows: Rows, warehouse: int | None = 1) -> None:
    unit(rows, is_mapped=True, target_warehouse_id=warehouse, disposition="sellable", restock_due_at=EARLIER)
    rows.put("staging.return_items", **UNIT, refund_type="refund", disposition_at=EARLIER)
    matched(rows)


MOVES = "select effect_key, sku, warehouse_id, from_warehouse_id, blocked_by from effects.pending_inventory_adjustments"


def test_a_graded_unit_goes_to_the_warehouse_of_its_grade() -> None:
    with rows_of("effects/inventory_adjustments.sql") as rows:
        graded(rows)
        rows.run()
        assert rows.all(MOVES) == [(MOVED, "RED", 1, None, None)]


def test_a_regraded_unit_is_transferred_from_its_current_warehouse_and_stays_where_it_is_to_be() -> None:
    with rows_of("effects/inventory_adjustments.sql") as rows:
        graded(rows, warehouse=2)
        rows.put(
            "push.ledger", effect_key=MOVED, effect_kind="inventory_adjustment", order_number="1001", state="confirmed",
            warehouse_id=1,
        )  # fmt: skip
        rows.run()
        assert rows.all(MOVES) == [(effect_key("inventory_adjustment", "I-1", "2"), "RED", 2, 1, None)]
        rows.connection.execute("update push.ledger set warehouse_id = 2")
        rows.run()
        assert rows.all(MOVES) == []


def test_goods_that_another_users_return_put_back_are_not_put_back_again() -> None:
    with rows_of("effects/inventory_adjustments.sql") as rows:
        graded(rows)
        rows.connection.execute("update matching.matched_items set foreign_centra_return_id = 5")
        rows.put(
            "staging.centra_returns", centra_return_id=5, order_number="1001", returned_to_stock=True, warehouse_id=1
        )
        rows.run()
        assert rows.all(MOVES) == []


# ---------------------------------------------------------------- replacements


EXCHANGES = "select effect_kind, effect_key, sku, amount, blocked_by is not null from effects.pending_exchange_orders"


def exchange(rows: Rows, sku: str | None = "BLUE") -> None:
    unit(rows)
    rows.put("staging.return_items", **UNIT, refund_type="exchange", exchange_sku=sku)
    matched(rows, voucher_share=10)
    rows.put("staging.orders", order_number="1001", currency="EUR", captured=100)


@pytest.mark.parametrize(("free", "is_blocked"), [(1, False), (0, True), (None, False)])
def test_a_replacement_is_ordered_unless_it_is_out_of_stock(free: int | None, is_blocked: bool) -> None:
    with rows_of("effects/exchange_orders.sql") as rows:
        exchange(rows)
        rows.put("order_blocks", order_number="1001", nothing_captured=False)
        if free is not None:
            rows.put("staging.replacement_stock", sku="BLUE", product_size_id=1, free_quantity=free)
        rows.run()
        assert rows.all(EXCHANGES) == [("exchange_order", EXCHANGED, "BLUE", Decimal(90), is_blocked)]


def test_a_replacement_that_was_ordered_or_paid_out_instead_is_not_ordered() -> None:
    with rows_of("effects/exchange_orders.sql") as rows:
        exchange(rows)
        rows.put("keys_in_centra", effect_key=EXCHANGED)
        rows.run()
        assert rows.all(EXCHANGES) == []
        rows.connection.execute("delete from keys_in_centra")
        rows.put("effects.value_given_back", **UNIT, is_paid_instead=True)
        rows.run()
        assert rows.all(EXCHANGES) == []


@pytest.mark.parametrize(
    ("mark", "is_paid", "is_due"), [("paid", False, True), ("paid", True, False), ("never", False, False)]
)
def test_a_replacement_in_a_shipment_is_released_once_by_the_mark_of_the_policy(
    mark: str, is_paid: bool, is_due: bool
) -> None:
    with rows_of("effects/exchange_orders.sql") as rows:
        unit(rows, credit_due_at=None)
        rows.set(exchange_release=mark)
        rows.put(
            "effects.replacements", **UNIT, effect_key=EXCHANGED, ordinal=1, state="ordered", shipment_id=9, is_paid=is_paid,
            replacement_order_number="2001", ordered_at=EARLIER,
        )  # fmt: skip
        rows.put("staging.orders", order_number="2001", is_cancelled=False)
        rows.put("push.ledger", effect_key=EXCHANGED, is_foreign=False, state="confirmed")
        rows.run()
        found = rows.all('select effect_kind, shipment_id, "text" from effects.pending_exchange_orders')
        assert found == ([("exchange_release", 9, "paid")] if is_due else [])


# ---------------------------------------------------------------- what is written about a return


@pytest.mark.parametrize("kind", WRITTEN)
def test_the_latest_milestone_is_written_where_the_policy_wants_it(kind: str) -> None:
    with rows_of("effects/status_updates.sql") as rows:
        rows.connection.execute("delete from policy.status_targets")
        rows.put("policy.status_targets", effect_kind=kind)
        unit(rows, credit_due_at=None)
        rows.put("staging.orders", order_number="1001", customer_id=77)
        rows.put("staging.returns", return_id="R-1", order_number="1001", express_code="HRX1")
        rows.put("staging.return_items", **UNIT, refund_type="refund", dropoff_method="return-bar")
        for event, days in (("received", 0), ("departed", 1)):
            rows.put(
                "staging.return_item_events",
                return_item_id="I-1",
                return_id="R-1",
                event=event,
                happened_at=EARLIER + timedelta(days),
            )
        rows.run()
        key = effect_key(kind, "R-1", "1001", "in transit")
        about = "HRX1 order 1001" if kind.startswith("customer") else "HRX1"
        says = f"{about}: in transit 2026-09-11"
        text = f"{says} ({key})" if kind.endswith("attribute") else f"[hr-centra {key} {says}]"
        group = "customer 77" if kind.startswith("customer") else "1001"
        assert rows.all('select effect_kind, effect_key, group_key, "text" from effects.pending_status_updates') == [
            (kind, key, group, text)
        ]
        rows.put("keys_in_centra", effect_key=key)
        rows.run()
        assert rows.all("from effects.pending_status_updates") == []


def test_goods_that_come_by_mail_are_received_and_others_dropped_off() -> None:
    with rows_of("effects/status_updates.sql") as rows:
        rows.active("1001", "1002")
        for order, method in (("1001", "mail"), ("1002", "return-bar")):
            of_order = {"return_item_id": f"I-{order}", "return_id": "R-1", "order_number": order}
            rows.put("effects.units", **of_order, is_after_cutover=True)
            rows.put("staging.orders", order_number=order)
            rows.put("staging.return_items", **of_order, refund_type="refund", dropoff_method=method)
            rows.put(
                "staging.return_item_events",
                return_item_id=f"I-{order}",
                return_id="R-1",
                event="received",
                happened_at=EARLIER,
            )
        rows.run()
        said = rows.all(
            "select distinct order_number, evidence ->> 'milestone' from effects.pending_status_updates order by all"
        )
        assert said == [("1001", "received"), ("1002", "dropped off")]
