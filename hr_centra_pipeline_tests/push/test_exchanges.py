"""Exchanges: Return without refund, replacement by number, completion; refused half way each step is taken back."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from hr_centra_pipeline.push import approvals
from hr_centra_pipeline.push.approvals import Signature
from hr_centra_pipeline.push.operations.exchange import reserved_number
from hr_centra_pipeline.sandbox.centra.store import CentraSettings, NewLine, NewOrder
from hr_centra_pipeline_tests.harness import NOW, POLICY, Harness, Sold, Unit, harness

HUNDRED = Decimal("100.00")


def exchanged(at_harness: Harness, quantity: int = 1, sku: str = "DRESS-M", **given: str) -> tuple[Sold, list[Unit]]:
    sold = at_harness.sell(("DRESS-S", quantity, "100.00"))
    units: list[Unit] = []
    for _ in range(quantity):
        with_unit = units[0] if units else None
        units.append(
            at_harness.comes_back(
                sold, refund_type="exchange", exchange_sku=sku, with_unit=with_unit,
                **given,  # type: ignore[arg-type]
            )
        )  # fmt: skip
    return sold, units


def free(at_harness: Harness, sku: str) -> int:
    size = at_harness.store.size_by(sku)
    assert size is not None
    return at_harness.store.free(size["id"])


def test_several_units_travel_in_one_return_and_one_order_that_is_internal_and_free_of_charge(
    at_harness: Harness,
) -> None:
    sold, _ = exchanged(at_harness, 3)
    at_harness.settle()
    (made,) = at_harness.returns_of(sold)
    assert (made["status"], made["payments"], list(made["lines"].values())) == ("COMPLETED", [], [3])
    (order,) = at_harness.orders_of_ours()
    assert order["is_internal"]
    assert order["origin"] == ["return", made["id"]]
    lines = at_harness.store.rows(
        "select quantity, unit_price from order_lines where order_number = ?", [order["number"]]
    )
    assert [(row["quantity"], row["unit_price"]) for row in lines] == [(1, 0)] * 3
    assert free(at_harness, "DRESS-M") == 47
    sales = [row for row in at_harness.records["orders"] if not row["is_internal"]]
    assert [row["number"] for row in sales] == [sold.number]


@pytest.mark.parametrize("kind", ["dropped_after", "error_before"])
def test_an_order_that_centra_splits_is_found_whole_completed_and_unwound(tmp_path: Path, kind: str) -> None:
    with harness(tmp_path, centra=CentraSettings(splits_orders=True)) as at_harness:
        sold = at_harness.sell(("DRESS-S", 2, "100.00"))
        first = at_harness.comes_back(sold, refund_type="exchange", exchange_sku="DRESS-M")
        at_harness.comes_back(sold, refund_type="exchange", exchange_sku="SHIRT-M", with_unit=first)
        at_harness.fault(kind, "POST /order")
        at_harness.plan()
        for _ in range(2):
            at_harness.push()
        orders = at_harness.orders_of_ours()
        assert len(orders) == 2
        assert {row["status"] for row in orders} == {"CONFIRMED"}
        assert set(at_harness.states("exchange_order").values()) == {"confirmed"}
        ((numbers,),) = at_harness.rows(
            "select distinct centra_id from push.ledger where effect_kind = 'exchange_order'"
        )
        assert sorted(numbers.split()) == sorted(str(row["number"]) for row in orders)


@pytest.mark.slow
def test_refused_half_way_every_order_is_canceled_the_return_taken_back_and_the_rest_sent_again(tmp_path: Path) -> None:
    with harness(tmp_path, centra=CentraSettings(splits_orders=True)) as at_harness:
        sold = at_harness.sell(("DRESS-S", 2, "100.00"))
        first = at_harness.comes_back(sold, refund_type="exchange", exchange_sku="DRESS-M")
        second = at_harness.comes_back(sold, refund_type="exchange", exchange_sku="SHIRT-M", with_unit=first)
        at_harness.fault("error_before", "CompleteReturn")
        at_harness.with_policy(settling_minutes=15)
        at_harness.fault("error_before", "LookAtOrder", after=1, times=4)
        at_harness.sync()
        at_harness.change(second, disposition="wrong-item")
        at_harness.settle()
        orders = at_harness.orders_of_ours()
        assert sorted(row["status"] for row in orders) == ["CONFIRMED", "DELETED", "DELETED"]
        (made,) = at_harness.returns_of(sold)
        assert list(made["lines"].values()) == [1]
        assert at_harness.states("exchange_order")[first.item] == "confirmed"
        assert at_harness.states("exchange_order")[second.item] == "withdrawn"
        assert (free(at_harness, "DRESS-M"), free(at_harness, "SHIRT-M")) == (49, 50)


@pytest.mark.slow
def test_stock_is_looked_at_before_anything_is_made_and_comes_back(at_harness: Harness) -> None:
    at_harness.article("RARE-M", stock=0)
    sold, _ = exchanged(at_harness, sku="RARE-M")
    late, _ = exchanged(at_harness, sku="LATE-M")
    at_harness.article("LATE-M", stock=1)
    at_harness.plan()
    # Somebody buys the last piece between the plan and the call.
    at_harness.act("move_stock", sku="LATE-M", quantity=1, out_of=1)
    at_harness.push()
    assert at_harness.returns_of(sold) == at_harness.returns_of(late) == []
    assert at_harness.orders_of_ours() == []
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(days=2))
    at_harness.plan()
    kinds = [row[:2] for row in at_harness.reconcile() if row[0].startswith("exchange")]
    assert kinds == [("exchange_without_order", "IT-00001"), ("exchange_without_order", "IT-00002")]
    for sku in ("RARE-M", "LATE-M"):
        at_harness.act("move_stock", sku=sku, quantity=1, into=1)
    at_harness.settle()
    assert len(at_harness.orders_of_ours()) == 2
    assert set(at_harness.states("exchange_order").values()) == {"confirmed"}


@pytest.mark.slow
def test_sold_out_between_return_and_order_the_return_is_taken_back_and_tried_when_there_is_stock_again(
    at_harness: Harness,
) -> None:
    at_harness.article("LAST-M", stock=1)
    sold, _ = exchanged(at_harness, sku="LAST-M")
    at_harness.fault(
        "person_after", "CreateReturn", act="move_stock", given={"sku": "LAST-M", "quantity": 1, "out_of": 1}
    )
    at_harness.settle()
    assert at_harness.returns_of(sold) == []
    assert set(at_harness.states("exchange_order").values()) == {"planned"}
    assert at_harness.mutations().count("deleteReturn") == 1
    at_harness.act("move_stock", sku="LAST-M", quantity=1, into=1)
    at_harness.settle()
    assert len(at_harness.orders_of_ours()) == 1


def number_of(unit: Unit, place: int = 0) -> int:
    from hr_centra_pipeline.core.keys import effect_key

    numbers = POLICY["exchange_orders"]
    key = effect_key("exchange_order", unit.item)
    return reserved_number([key], place, numbers["first_number"], numbers["last_number"])


def take_number(at_harness: Harness, number: int, sku: str, customer: int) -> None:
    line = NewLine(sku, 1, HUNDRED, HUNDRED, Decimal(25))
    at_harness.store.add_order(NewOrder(customer, "EUR", "DE", [line], NOW, number=number))


@pytest.mark.slow
def test_a_number_that_another_person_has_is_passed_over_but_never_one_that_may_be_our_replacement(
    at_harness: Harness,
) -> None:
    stranger = at_harness.store.add_customer(email="bob@example.com", first_name="Bob", last_name="B", country="DE")
    _, (other,) = exchanged(at_harness)
    sold, (same,) = exchanged(at_harness)
    take_number(at_harness, number_of(other), "SHIRT-M", stranger)
    take_number(at_harness, number_of(same), "DRESS-M", 1)  # the same customer, the same article: made by hand?
    at_harness.settle()
    assert [row["number"] for row in at_harness.orders_of_ours()] == [number_of(other, 1)]
    assert at_harness.states("exchange_order") == {other.item: "confirmed", same.item: "unknown"}
    ((trouble,),) = at_harness.rows("select trouble from push.packets where state = 'unknown'")
    assert trouble == "number_taken"
    # It was the replacement: customer service says so, and our Return is not left behind.
    with at_harness.warehouse.transaction() as connection:
        signature = Signature("Carl", "made by phone", at_harness.clock.now())
        approvals.tie_order(connection, signature, str(number_of(same)), [same.item])
    at_harness.settle()
    assert at_harness.states("exchange_order")[same.item] == "confirmed"
    (made,) = at_harness.returns_of(sold)
    assert made["status"] == "COMPLETED"


@pytest.mark.slow
def test_a_replacement_that_someone_cancels_half_way_is_reported_and_ordered_again_when_a_person_says_so(
    at_harness: Harness,
) -> None:
    sold, (unit,) = exchanged(at_harness)
    at_harness.fault("person_after", "POST /order", act="cancel_order")
    at_harness.settle()
    assert [row["status"] for row in at_harness.orders_of_ours()] == ["DELETED"]
    # The order was made, and there is nothing left to do for it: what is missing now is a decision.
    assert at_harness.states("exchange_order") == {unit.item: "confirmed"}
    assert [row[:2] for row in at_harness.reconcile()] == [("exchange_canceled", unit.item)]
    with at_harness.warehouse.transaction() as connection:
        approvals.order_again(connection, Signature("Carl", "a slip", at_harness.clock.now()), unit.item)
    at_harness.settle()
    assert sorted(row["status"] for row in at_harness.orders_of_ours()) == ["CONFIRMED", "DELETED"]
    assert len(at_harness.returns_of(sold)) == 1


@pytest.mark.slow
def test_changed_to_a_refund_half_way_the_exchange_is_unwound_and_the_money_given(at_harness: Harness) -> None:
    sold, (unit,) = exchanged(at_harness)
    at_harness.fault("error_before", "CompleteReturn")
    at_harness.with_policy(settling_minutes=15)
    at_harness.fault("error_before", "LookAtOrder", after=1, times=4)
    at_harness.sync()
    assert at_harness.states("exchange_order") == {unit.item: "unknown"}
    at_harness.change(unit, refund_type="refund")
    at_harness.settle()
    assert [row["status"] for row in at_harness.orders_of_ours()] == ["DELETED"]
    assert at_harness.refunded(sold) == HUNDRED
    assert at_harness.states() == {unit.item: "confirmed"}


@pytest.mark.slow
def test_changed_after_it_was_done_nothing_is_given_twice(at_harness: Harness) -> None:
    sold, (unit,) = exchanged(at_harness)
    money = at_harness.sell(("DRESS-S", 1, "100.00"))
    paid = at_harness.comes_back(money)
    at_harness.settle()
    at_harness.change(unit, refund_type="refund")
    at_harness.change(paid, refund_type="exchange", exchange_sku="DRESS-M")
    at_harness.settle()
    assert at_harness.refunded(sold) == 0
    assert len(at_harness.orders_of_ours()) == 1
    blocked = at_harness.rows("select blocked_by from effects.pending_credit_notes")
    blocked += at_harness.rows("select blocked_by from effects.pending_exchange_orders")
    assert len(blocked) == 2
    assert all("was given back already" in why for (why,) in blocked)
    assert at_harness.rows("select max(too_much) from effects.value_given_back") == [(Decimal(0),)]


@pytest.mark.slow
def test_an_external_return_blocks_our_replacement_until_it_is_released_or_tied(at_harness: Harness) -> None:
    sold, (unit,) = exchanged(at_harness)
    made = at_harness.act("return", shipment_id=sold.shipment, lines={sold.lines[0]: 1})["made"]
    at_harness.settle()
    assert at_harness.orders_of_ours() == []
    with at_harness.warehouse.transaction() as connection:
        approvals.release_exchange(connection, Signature("Carl", "nobody sent it", at_harness.clock.now()), unit.item)
    at_harness.fault("dropped_after", "POST /order")
    at_harness.settle()
    (order,) = at_harness.orders_of_ours()
    assert order["origin"] == ["return", made]
    assert at_harness.returns_of(sold)[0]["status"] == "PENDING"  # it is theirs to complete
    assert at_harness.states("exchange_order") == {unit.item: "confirmed"}


@pytest.mark.slow
def test_once_someone_gave_the_money_instead_nothing_is_ordered_any_more(at_harness: Harness) -> None:
    at_harness.article("GONE-M", stock=0)
    sold, (unit,) = exchanged(at_harness, sku="GONE-M")
    at_harness.settle()
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(days=2))

    def waits() -> bool:
        return any(kind == "exchange_without_order" and item == unit.item for kind, item, _ in at_harness.reconcile())

    assert waits()
    made = at_harness.act("return", shipment_id=sold.shipment, lines={sold.lines[0]: 1})["made"]
    at_harness.settle()
    assert waits()  # a Return alone may have been made for goods that were sent by hand
    at_harness.act("refund_return", return_id=made)
    at_harness.settle()
    assert not waits()
    proofs = at_harness.rows("select proof from reconciliation.exception_events where event = 'closed'")
    assert proofs == [(f"the money was refunded instead: Return {made}",)]
    assert "refunded" in at_harness.comment_of(sold)
    at_harness.act("move_stock", sku="GONE-M", quantity=1, into=1)
    at_harness.settle()
    assert at_harness.orders_of_ours() == []
    assert at_harness.refunded(sold) == HUNDRED


@pytest.mark.slow
def test_the_return_of_a_replacement_is_traced_to_the_root_and_its_money_left_to_a_person(at_harness: Harness) -> None:
    sold, (unit,) = exchanged(at_harness)
    at_harness.settle()
    (order,) = at_harness.orders_of_ours()
    at_harness.store.ship(order["number"], at=NOW, warehouse_id=1, captured=False)
    lines = at_harness.store.rows(
        "select shipment_lines.id, shipment_id from shipment_lines join order_lines on order_lines.id = order_line_id"
        " where order_number = ?",
        [order["number"]],
    )
    again = Sold(order["number"], lines[0]["shipment_id"], (lines[0]["id"],), ("DRESS-M",), (Decimal(0),), "EUR")
    back = at_harness.comes_back(again, days_ago=0.1, started_days_ago=0.2, row=False)
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(days=2))
    at_harness.settle()
    assert at_harness.refunded(sold) == 0
    ((root, depth, refundable),) = at_harness.rows(
        "select root_order, chain_depth, refundable from effects.value_given_back where return_item_id = ?", back.item
    )
    assert (root, depth, refundable) == (str(sold.number), 1, HUNDRED)
    told = [row for row in at_harness.reconcile() if row[1] == back.item and row[0] == "return_without_credit_note"]
    assert len(told) == 1
    assert f"of root order {sold.number} may be refunded by hand 100.00 EUR" in told[0][2]
    # The root unit has not got more than it cost: its replacement came back.
    assert at_harness.rows("select given from effects.value_given_back where return_item_id = ?", unit.item) == [(0,)]


def test_of_several_replacements_those_in_stock_are_ordered_and_the_one_that_is_not_is_reported(
    at_harness: Harness,
) -> None:
    at_harness.article("SCARF", stock=1)
    at_harness.article("HAT", stock=5)
    sold = at_harness.sell(("DRESS-S", 3, "100.00"))
    first = at_harness.comes_back(sold, refund_type="exchange", exchange_sku="SCARF")
    for sku in ("SCARF", "HAT"):
        at_harness.comes_back(sold, refund_type="exchange", exchange_sku=sku, with_unit=first)
    at_harness.sync()
    (order,) = at_harness.orders_of_ours()
    assert (free(at_harness, "HAT"), free(at_harness, "SCARF"), order["is_internal"]) == (4, 0, True)
    assert sorted(at_harness.states("exchange_order").values()) == ["confirmed", "confirmed", "planned"]
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(days=2))
    at_harness.reconcile()
    told = at_harness.rows(
        "select culprit, detail from reconciliation.exceptions where kind = 'exchange_without_order'"
    )
    assert [(culprit, "out of stock: 1 of SCARF are free, 2 needed" in detail) for culprit, detail in told] == [
        ("centra", True)
    ]


def test_sold_out_for_some_between_return_and_order_the_others_are_ordered_all_the_same(at_harness: Harness) -> None:
    at_harness.article("LAST-M", stock=1)
    sold = at_harness.sell(("DRESS-S", 2, "100.00"))
    first = at_harness.comes_back(sold, refund_type="exchange", exchange_sku="LAST-M")
    second = at_harness.comes_back(sold, refund_type="exchange", exchange_sku="DRESS-M", with_unit=first)
    at_harness.fault(
        "person_after", "CreateReturn", act="move_stock", given={"sku": "LAST-M", "quantity": 1, "out_of": 1}
    )
    at_harness.settle()
    (order,) = at_harness.orders_of_ours()
    assert at_harness.states("exchange_order") == {first.item: "planned", second.item: "confirmed"}
    (made,) = at_harness.returns_of(sold)
    assert (order["origin"], list(made["lines"].values())) == (["return", made["id"]], [1])
