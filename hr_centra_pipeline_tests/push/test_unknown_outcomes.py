"""A call whose outcome is not known is asked about by its key before anything is sent again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import requests

from hr_centra_pipeline.push.sender import Sender
from hr_centra_pipeline_tests.harness import MAIN, QUARANTINE, Harness, Sold

LOST = ("error_after", "dropped_after", "truncated", "wrong_content_type")
NEVER_DONE = ("error_before", "dropped_before")
HUNDRED = Decimal("100.00")


def credited(at_harness: Harness, count: int, **given: str) -> list[Sold]:
    """Orders of which a unit came back."""
    orders = [at_harness.sell(("DRESS-S", 1, "100.00")) for _ in range(count)]
    for sold in orders:
        at_harness.comes_back(sold, **given)  # type: ignore[arg-type]
    return orders


def one_by_one(at_harness: Harness) -> None:
    """One packet per request, so that each fault hits one of them."""
    at_harness.with_policy(centra={"calls_per_request": 1})


@pytest.mark.parametrize(
    ("operation", "refund_type"),
    [
        ("RefundReturn", "refund"), ("POST /order", "exchange"),
        *(
            pytest.param(operation, refund_type, marks=pytest.mark.slow)
            for operation, refund_type in [
                ("CreateReturn", "refund"), ("CreateReturn", "exchange"), ("IssueCredit", "gift-card"),
                ("CompleteReturn", "gift-card"), ("CompleteReturn", "exchange"),
            ]
        ),
    ],
)  # fmt: skip
def test_each_step_that_is_lost_is_read_back_or_sent_again_once(
    at_harness: Harness, operation: str, refund_type: str
) -> None:
    one_by_one(at_harness)
    orders = credited(
        at_harness, 6, refund_type=refund_type, **({"exchange_sku": "DRESS-M"} if refund_type == "exchange" else {})
    )
    for kind in (*LOST, *NEVER_DONE):
        at_harness.fault(kind, operation)
    at_harness.plan()
    for _ in range(3):
        at_harness.push()
    for sold in orders:
        (made,) = at_harness.returns_of(sold)
        assert made["status"] == "COMPLETED"
        assert len(made["payments"]) == (0 if refund_type == "exchange" else 1)
        assert at_harness.refunded(sold) == (0 if refund_type == "exchange" else HUNDRED)
    assert len(at_harness.orders_of_ours()) == (6 if refund_type == "exchange" else 0)
    assert {*at_harness.states().values(), *at_harness.states("exchange_order").values()} == {"confirmed"}
    assert at_harness.rows("select count(*) from push.attempts where outcome = 'unknown'") == [(6,)]


@pytest.mark.slow
@pytest.mark.parametrize("regraded", [False, True])
def test_a_stock_movement_that_is_lost_is_found_by_its_keys(at_harness: Harness, regraded: bool) -> None:
    at_harness.with_policy(centra={"calls_per_request": 1, "description_limit": 40})  # one unit per change
    units = [at_harness.comes_back(at_harness.sell(("DRESS-S", 1, "100.00")), grade="sellable") for _ in range(6)]
    if regraded:
        at_harness.sync()
        for unit in units:
            at_harness.change(unit, disposition="damaged")
    for kind in (*LOST, *NEVER_DONE):
        at_harness.fault(kind, "ChangeStock")
    at_harness.plan()
    for _ in range(3):
        at_harness.push()
    assert at_harness.moved("DRESS-S", MAIN) == (0 if regraded else 6)
    assert at_harness.moved("DRESS-S", QUARANTINE) == (6 if regraded else 0)
    assert len([row for row in at_harness.records["stock_changes"] if row["comment"]]) == (12 if regraded else 6)
    assert set(at_harness.states("inventory_adjustment").values()) == {"confirmed"}


def test_a_note_that_is_lost_is_written_once_and_nobody_else_s_text_is_touched(at_harness: Harness) -> None:
    one_by_one(at_harness)
    orders = credited(at_harness, 6)
    for sold in orders:
        at_harness.act("note", order_number=sold.number, text="Call her back (ask for A\\1)")
    at_harness.sync()
    for kind in (*LOST, *NEVER_DONE):
        at_harness.fault(kind, "UpdateDirectToConsumerOrder")
    at_harness.plan()
    for _ in range(3):
        at_harness.push()
    for sold in orders:
        comment = at_harness.comment_of(sold)
        assert comment.startswith("Call her back (ask for A\\1)")
        assert comment.count("[hr-centra ") == 1
        assert "refunded" in comment


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["error_half_way", "dropped_half_way"])
def test_when_a_document_fails_half_way_each_packet_of_it_is_found_or_sent_again(
    at_harness: Harness, kind: str
) -> None:
    orders = credited(at_harness, 5, grade="sellable")
    for operation in ("CreateReturn", "RefundReturn", "UpdateDirectToConsumerOrder"):
        at_harness.fault(kind, operation)
    at_harness.settle()
    assert [at_harness.refunded(sold) for sold in orders] == [HUNDRED] * 5
    assert [len(at_harness.returns_of(sold)) for sold in orders] == [1] * 5
    assert [at_harness.comment_of(sold).count("[hr-centra ") for sold in orders] == [1] * 5
    assert at_harness.moved("DRESS-S", MAIN) == 5


def test_before_the_settling_time_is_over_nothing_is_sent_again(at_harness: Harness) -> None:
    at_harness.with_policy(settling_minutes=15)
    (sold,) = credited(at_harness, 1)
    at_harness.fault("dropped_before", "CreateReturn")
    at_harness.plan()
    for _ in range(3):
        at_harness.push()
    assert at_harness.returns_of(sold) == []
    assert at_harness.states() == {"IT-00001": "unknown"}
    ((reason,),) = at_harness.rows("select reason from push.ledger where effect_kind = 'credit_note'")
    assert "counts as absent after" in reason
    settle_at(at_harness, datetime.now(UTC) - timedelta(minutes=16))
    at_harness.push()
    assert at_harness.refunded(sold) == HUNDRED


def settle_at(at_harness: Harness, sent_at: datetime) -> None:
    """As if the calls in doubt had left at another time."""
    with at_harness.warehouse.transaction() as connection:
        connection.execute("update push.packets set real_sent_at = ? where state = 'unknown'", [sent_at])


def test_a_doubt_of_three_days_is_looked_up_and_never_blindly_sent_again(
    at_harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_harness.with_policy(settling_minutes=15, centra={"calls_per_request": 1})
    created, paid = credited(at_harness, 2, grade="sellable")
    for operation in ("CreateReturn", "RefundReturn", "ChangeStock"):
        at_harness.fault("dropped_after", operation)
    at_harness.plan()
    with monkeypatch.context() as dies_early:
        dies_early.setattr(Sender, "look_up", lambda *_: None)  # the process dies before it looks
        at_harness.push()
    assert sorted(at_harness.states().values()) == ["unknown", "unknown"]
    assert set(at_harness.states("inventory_adjustment").values()) == {"unknown"}
    settle_at(at_harness, datetime.now(UTC) - timedelta(days=3))
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(days=3))
    at_harness.push()
    assert at_harness.refunded(created) == at_harness.refunded(paid) == HUNDRED
    at_harness.settle()
    assert at_harness.moved("DRESS-S", MAIN) == 2
    done = at_harness.mutations()
    assert [done.count(name) for name in ("createReturn", "refundReturn", "changeStock")] == [2, 2, 1]


@pytest.mark.slow
def test_a_payment_that_leaves_no_trace_is_made_once_more_and_then_a_person_decides(at_harness: Harness) -> None:
    (sold,) = credited(at_harness, 1)
    at_harness.fault("dropped_before", "RefundReturn", times=2)
    at_harness.plan()
    for _ in range(5):
        at_harness.push()
    assert len([entry for entry in at_harness.log() if entry["operations"] == ["RefundReturn"]]) == 2
    assert at_harness.refunded(sold) == 0
    ((trouble, message),) = at_harness.rows("select trouble, message from push.packets where state = 'unknown'")
    assert trouble == "unpaid"
    assert "by hand" in message
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(hours=2))
    at_harness.plan()
    assert ("write_in_doubt", "IT-00001") in [found[:2] for found in at_harness.reconcile()]
    # Somebody does it by hand: that ends the doubt, and the exception.
    (made,) = at_harness.returns_of(sold)
    at_harness.act("refund_return", return_id=made["id"])
    at_harness.settle()
    assert at_harness.states() == {"IT-00001": "confirmed"}
    assert at_harness.refunded(sold) == HUNDRED
    assert "write_in_doubt" not in [found[0] for found in at_harness.reconcile()]


def test_when_centra_does_not_answer_it_is_left_alone_and_only_what_was_sent_is_in_doubt(at_harness: Harness) -> None:
    one_by_one(at_harness)
    orders = credited(at_harness, 12)
    at_harness.plan()
    at_harness.fault("error_before", "LookAtOrder", times=1000)
    report = at_harness.push()
    assert report.halted
    assert "has not answered" in report.halted
    assert set(at_harness.states().values()) == {"planned"}
    requests.delete(f"{at_harness.note['control_url']}/faults", timeout=10).raise_for_status()
    at_harness.fault("error_before", "CreateReturn", times=1000)
    report = at_harness.push()
    assert list(at_harness.states().values()).count("unknown") <= 6
    requests.delete(f"{at_harness.note['control_url']}/faults", timeout=10).raise_for_status()
    for _ in range(2):
        at_harness.push()
    assert [at_harness.refunded(sold) for sold in orders] == [HUNDRED] * 12
