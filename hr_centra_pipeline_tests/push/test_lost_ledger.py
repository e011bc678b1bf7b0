"""The database is lost, in every state of an effect: what Centra shows is taken over, what is half done is finished."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from hr_centra_pipeline.push import approvals
from hr_centra_pipeline.push.approvals import Signature
from hr_centra_pipeline.push.sender import Sender
from hr_centra_pipeline_tests.desk import MAIN, OUTLET, QUARANTINE, Desk

HUNDRED = Decimal("100.00")
KEYS = "select effect_key from push.ledger where state = 'confirmed' and effect_kind <> 'status_update' order by 1"


def a_bit_of_everything(at_desk: Desk) -> list[Any]:
    orders = []
    for given in (
        {"grade": "sellable", "shipping": "4.90", "fee": "3.00"}, {"refund_type": "gift-card", "grade": "damaged"},
        {"refund_type": "exchange", "exchange_sku": "DRESS-M"},
    ):  # fmt: skip
        sold = at_desk.sell(("DRESS-S", 2, "100.00"), shipping="4.90")
        at_desk.comes_back(sold, **given)  # type: ignore[arg-type]
        orders.append(sold)
    return orders


@pytest.mark.slow
def test_the_rebuilt_ledger_has_the_same_keys_and_nothing_is_sent_again(at_desk: Desk) -> None:
    orders = a_bit_of_everything(at_desk)
    regraded = at_desk.comes_back(at_desk.sell(("SHIRT-M", 1, "50.00")), grade="sellable")
    at_desk.settle()
    at_desk.change(regraded, disposition="damaged")
    at_desk.settle()
    known, books = at_desk.rows(KEYS), at_desk.books
    at_desk.forget()
    at_desk.mode = "dry_run"
    at_desk.sync()
    assert at_desk.rows(KEYS) == known
    at_desk.mode = "live"
    at_desk.settle()
    assert at_desk.books == books
    assert at_desk.rows(KEYS) == known
    assert [at_desk.refunded(sold) for sold in orders] == [Decimal("101.90"), HUNDRED, 0]
    assert (at_desk.moved("SHIRT-M", MAIN), at_desk.moved("SHIRT-M", QUARANTINE)) == (0, 1)


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        ("CreateReturn", "dropped_after"),
        ("RefundReturn", "dropped_after"),
        ("RefundReturn", "dropped_before"),
        ("IssueCredit", "dropped_after"),
        ("CompleteReturn", "dropped_after"),
        ("POST /order", "dropped_after"),
        ("ChangeStock", "dropped_after"),
        *(
            pytest.param(operation, "dropped_before", marks=pytest.mark.slow)
            for operation in ("CreateReturn", "IssueCredit", "CompleteReturn", "POST /order", "ChangeStock")
        ),
    ],
)
def test_lost_half_way_what_is_there_is_finished_and_not_begun_again(
    at_desk: Desk, monkeypatch: pytest.MonkeyPatch, operation: str, fault: str
) -> None:
    orders = a_bit_of_everything(at_desk)
    at_desk.fault(fault, operation)
    at_desk.plan()
    with monkeypatch.context() as dies_early:
        dies_early.setattr(Sender, "look_up", lambda *_: None)
        at_desk.push()
    at_desk.forget()
    for _ in range(3):
        at_desk.sync()
    assert [at_desk.refunded(sold) for sold in orders] == [Decimal("101.90"), HUNDRED, 0]
    assert [len(at_desk.returns_of(sold)) for sold in orders] == [1, 1, 1]
    assert {row["status"] for row in at_desk.books["returns"]} == {"COMPLETED"}
    assert len(at_desk.orders_of_ours()) == 1
    assert (at_desk.moved("DRESS-S", MAIN), at_desk.moved("DRESS-S", QUARANTINE)) == (1, 1)
    assert at_desk.rows("select count(*) from push.ledger where state in ('sending', 'unknown')") == [(0,)]


@pytest.mark.slow
def test_completed_by_someone_and_then_lost_what_is_missing_is_ordered_or_asked_about(
    at_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our Return and its payment, or its replacement, somebody completes it; then the database is lost."""
    refund, gift_card, exchange = a_bit_of_everything(at_desk)
    for operation in ("RefundReturn", "IssueCredit", "POST /order"):
        at_desk.fault("error_before", operation)
    at_desk.plan()
    with monkeypatch.context() as dies_early:
        dies_early.setattr(Sender, "look_up", lambda *_: None)
        at_desk.push()
    for row in at_desk.books["returns"]:
        assert (row["status"], row["payments"]) == ("PENDING", [])
        at_desk.act("complete_return", return_id=row["id"])
    at_desk.calm_down()
    at_desk.forget()
    for _ in range(3):
        at_desk.sync()
    # Who completed it may have paid in another way: a person decides. A replacement of ours is found by its number.
    assert len(at_desk.orders_of_ours()) == 1
    assert [at_desk.refunded(sold) for sold in (refund, gift_card, exchange)] == [0, 0, 0]
    asked = at_desk.rows("select packet_key, trouble from push.packets where state = 'unknown'")
    assert [trouble for _, trouble in asked] == ["unpaid", "unpaid"]
    at_desk.clock.advance_to(at_desk.clock.now() + timedelta(hours=2))
    doubts = [detail for kind, _, detail in at_desk.reconcile() if kind == "write_in_doubt"]
    assert len(doubts) == 2
    # Who follows it blindly would pay what Happy Returns has paid.
    assert all(
        ", issued on " in detail and "ask there first" in detail and "by hand" not in detail for detail in doubts
    )
    with at_desk.warehouse.transaction() as connection:
        signature = Signature("Fina", "not paid", at_desk.clock.now())
        approvals.approve(connection, signature, keys=[key for key, _ in asked])
    at_desk.settle()
    assert [at_desk.refunded(sold) for sold in (refund, gift_card, exchange)] == [Decimal("101.90"), HUNDRED, 0]
    assert [len(at_desk.returns_of(sold)) for sold in (refund, gift_card, exchange)] == [1, 1, 1]


def test_half_done_and_not_due_any_more_it_is_taken_back(at_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    sold = at_desk.sell(("DRESS-S", 2, "100.00"))
    wrong = at_desk.comes_back(sold)
    right = at_desk.comes_back(sold, with_unit=wrong)
    at_desk.fault("error_before", "RefundReturn")
    at_desk.plan()
    with monkeypatch.context() as dies_early:
        dies_early.setattr(Sender, "look_up", lambda *_: None)
        at_desk.push()
    at_desk.forget()
    at_desk.change(wrong, disposition="wrong-item")
    at_desk._changed.update(dict.fromkeys(at_desk._rows))
    at_desk.settle()
    assert at_desk.refunded(sold) == HUNDRED
    (made,) = at_desk.returns_of(sold)
    assert list(made["lines"].values()) == [1]
    assert at_desk.states()[right.item] == "confirmed"


def test_a_call_that_arrives_after_it_counted_as_absent_is_not_made_twice(at_desk: Desk) -> None:
    """Found absent, planned again, and then it is there after all: as a slow network would have it."""
    sold = at_desk.sell(("DRESS-S", 2, "100.00"))
    at_desk.comes_back(sold, grade="b-grade")
    at_desk.with_policy(dispositions={"b-grade": {"warehouse_id": OUTLET, "hold_hours": 0}})
    at_desk.plan()
    lost = to_be_lost(at_desk)
    for operation in ("CreateReturn", "ChangeStock"):
        at_desk.fault("dropped_before", operation)
    at_desk.push()
    assert at_desk.mutations() == []
    assert {*at_desk.states().values(), *at_desk.states("inventory_adjustment").values()} == {"planned"}
    for call in lost:
        call()
    at_desk.settle()
    assert at_desk.refunded(sold) == HUNDRED
    assert len(at_desk.returns_of(sold)) == 1
    assert at_desk.moved("DRESS-S", OUTLET) == 1


def to_be_lost(at_desk: Desk) -> list[Any]:
    """The two calls that are going to be cut, to be made later as they were."""
    from hr_centra_pipeline.push.preview import preview

    with at_desk.warehouse.transaction() as connection:
        planned = preview(connection, at_desk.policy, at_desk.clock.now()).packets
    client = at_desk.client()
    firsts = [one.calls[0] for one in planned if one.packet.operation in ("credit", "stock")]
    assert [call.operation for call in firsts] == ["CreateReturn", "ChangeStock"]
    return [lambda call=call: client.execute(call.operation, call.variables) for call in firsts]
