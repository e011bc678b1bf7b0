"""A credit, its return's shipping and fee: rows in, rows out on each model on the way, so that a failure names the step."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from hr_centra_pipeline.core.keys import effect_key
from hr_centra_pipeline_tests.rows import EARLIER, NOW, Rows, rows_of

HUNDRED = Decimal(100)
UNIT: dict[str, Any] = {"return_item_id": "I-1", "return_id": "R-1", "order_number": "1001"}
KEY = effect_key("credit_note", "I-1")


def due_unit(rows: Rows, **more: Any) -> None:
    """A unit of an active order that was matched, approved and is due."""
    rows.active("1001")
    rows.put(
        "effects.units",
        **UNIT,
        **{
            "is_after_cutover": True,
            "is_refused": False,
            "credit_trigger": "approved",
            "credit_due_at": EARLIER,
            **more,
        },
    )
    rows.put("staging.return_items", **UNIT, refund_type=more.get("refund_type", "refund"), dropoff_method="mail")
    rows.put(
        "matching.matched_items", **UNIT, shipment_line_id=7, shipment_id=3, currency="EUR", unit_price=HUNDRED, unit_tax=20,
        unit_tax_added=0, voucher_share=10, voucher_tax=2, voucher_tax_added=0,
    )  # fmt: skip


def test_a_unit_that_is_due_is_credited_by_who_pays_for_its_refund_type() -> None:
    with rows_of("effects/credit_units.sql") as rows:
        due_unit(rows)
        rows.run()
        found = rows.all("select effect_key, unit_price, voucher_share, pays_through, credit_due_at from credit_units")
        assert found == [(KEY, HUNDRED, Decimal(10), "centra", EARLIER)]


@pytest.mark.parametrize("why", ["refused", "not due", "done", "before the cut-over"])
def test_a_unit_is_not_credited_that(why: str) -> None:
    ways: dict[str, dict[str, Any]] = {
        "refused": {"is_refused": True},
        "not due": {"credit_due_at": None},
        "done": {},
        "before the cut-over": {"is_after_cutover": False, "credit_due_at": EARLIER - timedelta(days=90)},
    }
    with rows_of("effects/credit_units.sql") as rows:
        due_unit(rows, **ways[why])
        if why == "done":
            rows.put("keys_in_centra", effect_key=KEY)
        rows.run()
        assert rows.all("from credit_units") == []


def test_of_a_voucher_is_left_what_no_return_carries() -> None:
    with rows_of("effects/vouchers_left.sql") as rows:
        rows.active("1001")
        rows.put("staging.orders", order_number="1001", currency="EUR", discounts=30)
        rows.put("staging.order_lines", order_line_id="1", order_number="1001", quantity=3)
        rows.put("staging.centra_returns", centra_return_id=1, order_number="1001", discounts=12)
        rows.put("staging.centra_return_lines", centra_return_line_id=1, centra_return_id=1, quantity=1)
        rows.run()
        assert rows.all("from vouchers_left") == [("1001", Decimal(18), 2)]


@pytest.mark.parametrize(("pieces_left", "voucher"), [(2, Decimal(10)), (1, Decimal(18))])
def test_the_last_piece_takes_what_is_left_of_the_voucher(pieces_left: int, voucher: Decimal) -> None:
    with rows_of("effects/due_units.sql") as rows:
        rows.put(
            "credit_units", **UNIT, effect_key=KEY, currency="EUR", unit_price=HUNDRED, unit_tax=20, unit_tax_added=0,
            voucher_share=10, tax_percent=25, tax_mode="included", credit_due_at=EARLIER,
        )  # fmt: skip
        rows.put("vouchers_left", order_number="1001", voucher_left=18, pieces_left=pieces_left)
        rows.run()
        assert rows.all("select voucher_share, amount, tax from due_units") == [
            (voucher, HUNDRED - voucher, 20 - voucher / 5)
        ]


@pytest.mark.parametrize(
    ("captured", "pending", "blocks"),
    [(0, 0, (True, False)), (0, 100, (False, True)), (100, 0, (False, False))],
)
def test_nothing_is_paid_on_an_order_that_captured_nothing(
    captured: int, pending: int, blocks: tuple[bool, bool]
) -> None:
    with rows_of("effects/order_blocks.sql") as rows:
        rows.active("1001")
        rows.put("staging.orders", order_number="1001", captured=captured, capture_pending=pending)
        rows.run()
        assert rows.all("select nothing_captured, waits_for_capture from order_blocks") == [blocks]


def blocked_unit(rows: Rows, **more: Any) -> None:
    rows.put(
        "unit_blocks", **UNIT,
        **{
            "effect_key": KEY, "refund_type": "refund", "currency": "EUR", "amount": HUNDRED, "kept": HUNDRED, "tax": 20,
            "tax_added": 0, "fee_rate_tax": 0, "voucher_share": 0, "tax_mode": "included", "dropoff_method": "mail",
            "pays_through": "centra", "credit_due_at": EARLIER, "amount_known_at": EARLIER, "shipment_id": 3,
            "fee_basis": "item", "fee_source": "policy", **more,
        },
    )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "fee"),
    [
        ({}, "4.95"),
        ({"amount": 3, "kept": 3}, "3"),
        ({"received_channel": "returnless"}, "0"),
        ({"fee_basis": "return"}, "0"),
        ({"fee_source": "happy_returns", "refund_id": "RF-1", "item_fee": 2}, "2"),
        ({"refund_type": "gift-card"}, "0"),
    ],
)
def test_a_unit_pays_the_fee_of_its_way_and_never_more_than_it_gets(more: dict[str, Any], fee: str) -> None:
    with rows_of("effects/unit_credits.sql") as rows:
        rows.connection.execute("delete from policy.fees")
        rows.put("policy.fees", dropoff_method="mail", currency="EUR", amount="4.95")
        blocked_unit(rows, **more)
        rows.run()
        assert rows.all("select fee from unit_credits") == [(Decimal(fee),)]


def test_the_costs_of_a_return_go_with_its_earliest_shipment_that_is_not_blocked() -> None:
    with rows_of("effects/credit_carriers.sql") as rows:
        for shipment, blocked in ((3, "nothing was captured on its shipment"), (4, None), (5, None)):
            rows.put(
                "unit_credits", return_id="R-1", order_number="1001", shipment_id=shipment, refund_type="refund",
                pays_through="centra", amount=10, kept=10, fee_rate_tax=0, blocked_by=blocked, currency="EUR",
                **blocked_codes(rows, "unit_credits", blocked),
            )  # fmt: skip
        rows.run()
        assert rows.all("select shipment_id, is_blocked, most from credit_carriers") == [(4, False, Decimal(10))]


def blocked_codes(rows: Rows, table: str, blocked: str | None) -> dict[str, Any]:
    """The code beside a reason, where the table has one."""
    has_code = rows.all(f"select 1 from (describe {table}) where column_name = 'blocked_code'")
    return {"blocked_code": "shipment_not_captured", "blocked_place": 1} if has_code and blocked else {}


def carrier(rows: Rows, order: str = "1001", **more: Any) -> None:
    rows.put(
        "credit_carriers", return_id="R-1", order_number=order, shipment_id=int(order), currency="EUR", pays_through="centra",
        kept=HUNDRED, most=HUNDRED, fee_rate_tax=0, dropoff_method="mail", is_blocked=False, trigger_at=EARLIER,
        sendable_at=EARLIER, tax_mode="included", **{"is_returnless": False, **more},
    )  # fmt: skip


@pytest.mark.parametrize(("reported", "given", "expected"), [("5", "0", ["5"]), ("9", "4", ["5"]), ("9", "9", [])])
def test_shipping_is_given_back_as_reported_up_to_what_is_left_of_it(
    reported: str, given: str, expected: list[str]
) -> None:
    with rows_of("effects/shipping_refunds.sql") as rows:
        rows.active("1001")
        rows.set(shipping_rule="as_told", shipping_source="happy_returns", reported_costs="with_tax")
        carrier(rows)
        rows.put("staging.orders", order_number="1001", currency="EUR", shipping=9)
        rows.put("staging.shipments", shipment_id=1001, order_number="1001")
        rows.put("staging.centra_returns", centra_return_id=1, order_number="1001", shipping=Decimal(given))
        rows.put("costs_reported", return_id="R-1", order_number="1001", shipping=reported, refund_id="RF-1")
        rows.run()
        found = rows.all("select shipping_amount from shipping_refunds where shipping_amount > 0")
        assert found == [(Decimal(amount),) for amount in expected]


def test_a_fee_of_a_whole_return_is_charged_on_its_lowest_order_and_less_what_its_units_paid() -> None:
    with rows_of("effects/return_fees.sql") as rows:
        rows.set(fee_basis="return", fee_source="policy")
        rows.connection.execute("delete from policy.fees")
        rows.put("policy.fees", dropoff_method="mail", currency="EUR", amount="4.95")
        carrier(rows, "1002")
        carrier(rows, "1001")
        rows.run()
        fees = "select order_number, fee_amount from return_fees order by order_number"
        assert rows.all(fees) == [("1001", Decimal("4.95")), ("1002", Decimal(0))]
        rows.put("fees_charged", effect_kind="credit_note", return_id="R-1", fee="1.95", currency="EUR")
        rows.run()
        assert rows.all(fees)[0] == ("1001", Decimal(3))


def test_goods_that_nobody_brings_back_cost_no_fee_though_one_is_reported() -> None:
    with rows_of("effects/return_fees.sql") as rows:
        rows.set(fee_basis="return", fee_source="happy_returns", reported_costs="with_tax")
        carrier(rows, "1001", is_returnless=True)
        carrier(rows, "1002")
        for order in ("1001", "1002"):
            rows.put("costs_reported", return_id="R-1", order_number=order, fee=3, refund_id=f"RF-{order}")
        rows.run()
        assert rows.all("select order_number, fee_amount from return_fees") == [("1002", Decimal(3))]


def test_what_is_pending_is_each_units_credit_and_its_returns_costs_with_what_the_ledger_says() -> None:
    with rows_of("effects/credit_notes.sql") as rows:
        rows.put(
            "unit_credits", **UNIT, effect_key=KEY, effect_kind="credit_note", group_key="1001", quantity=1, currency="EUR",
            amount=HUNDRED, fee=0, shipping=0, trigger_at=EARLIER, sendable_at=EARLIER,
        )  # fmt: skip
        for table, amount in (("shipping_refunds", "shipping_amount"), ("return_fees", "fee_amount")):
            rows.put(
                table, return_id="R-1", order_number="1001", shipment_id=3, currency="EUR", trigger_at=EARLIER,
                sendable_at=NOW, is_blocked=False, **{amount: 5},
            )  # fmt: skip
        fee_key = effect_key("return_fee", "R-1", "1001")
        rows.put("keys_in_centra", effect_key=fee_key)
        rows.put("push.ledger", effect_key=KEY, state="unknown", packet_key="PK1")
        rows.run()
        pending = (
            "select effect_kind, amount, shipping, state, packet_key from effects.pending_credit_notes order by amount"
        )
        assert rows.all(pending) == [
            ("shipping_refund", Decimal(5), Decimal(5), "planned", None),
            ("credit_note", HUNDRED, Decimal(0), "unknown", "PK1"),
        ]
