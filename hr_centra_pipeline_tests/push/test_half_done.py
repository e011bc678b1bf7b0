"""What is half done is asked about again before each call: what today's plan does not want any more is not given."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from hr_centra_pipeline.core.kinds import Step
from hr_centra_pipeline.push import approvals, still_due
from hr_centra_pipeline.push.approvals import Signature
from hr_centra_pipeline.push.facts import Facts
from hr_centra_pipeline.push.operations.registry import OPERATIONS
from hr_centra_pipeline.push.packets import Packet
from hr_centra_pipeline.sandbox.centra.store import CentraSettings
from hr_centra_pipeline_tests.cases import mostly_slow
from hr_centra_pipeline_tests.harness import Harness, Sold, Unit, harness
from hr_centra_pipeline_tests.reconciliation.ledger_fixture import DROPPED, HOUR, LedgerFixture

HUNDRED = Decimal("100.00")


def comes_back(at_harness: Harness, **given: Any) -> tuple[Sold, Unit]:
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    return sold, at_harness.comes_back(sold, **given)


def half_done(at_harness: Harness, *calls: str, **policy: Any) -> None:
    """Every Return is made, and the call after it is lost."""
    at_harness.with_policy(centra={"calls_per_request": 1}, settling_minutes=15, **policy)
    for call in calls:
        at_harness.fault("error_before", call, times=10)
    at_harness.sync()
    at_harness.calm_down()
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(hours=1))
    at_harness.with_policy(**policy)
    assert {row["status"] for row in at_harness.records["returns"]} == {"PENDING"}
    assert {*at_harness.states().values(), *at_harness.states("exchange_order").values()} == {"unknown"}


def approve(at_harness: Harness, key: str) -> None:
    with at_harness.warehouse.transaction() as connection:
        approvals.approve(connection, Signature("Anna Approver", "looked at it", at_harness.clock.now()), keys=[key])


@pytest.mark.slow
def test_what_changes_while_a_payment_is_in_doubt_decides_whether_it_is_made(at_harness: Harness) -> None:
    by_card, card_unit = comes_back(at_harness)
    charged, charged_unit = comes_back(at_harness)
    abroad, abroad_unit = comes_back(at_harness)
    cheaper, cheaper_unit = comes_back(at_harness)
    refused, refused_unit = comes_back(at_harness)
    same, _ = comes_back(at_harness)
    swapped, swapped_unit = comes_back(at_harness, refund_type="exchange", exchange_sku="DRESS-M")
    disputed, disputed_unit = comes_back(at_harness, refund_type="exchange", exchange_sku="DRESS-M")
    half_done(at_harness, "RefundReturn", "POST /order")

    at_harness.plan()
    at_harness.change_refund(card_unit, gift_card_id="GC-1")
    at_harness.change_refund(cheaper_unit, processing_fee="9.00", total_refunded="91.00")
    at_harness.change(refused_unit, disposition="wrong-item")
    at_harness.change(swapped_unit, exchange_sku="SHIRT-M")
    with at_harness.warehouse.transaction() as connection:
        ledger = LedgerFixture(connection)
        for sold, currency in ((charged, "EUR"), (abroad, "SEK"), (disputed, "EUR")):
            ledger.booked(
                "cb", "-100", line_type="chargeback", number=str(sold.number), at=DROPPED + HOUR, currency=currency
            )
    at_harness.settle()

    assert [at_harness.refunded(sold) for sold in (by_card, charged, abroad, refused, disputed)] == [0] * 5
    assert at_harness.refunded(cheaper) == Decimal("91.00")
    assert at_harness.refunded(same) == HUNDRED
    assert [row["status"] for row in at_harness.returns_of(by_card)] == ["COMPLETED"]  # paid by another user
    assert [at_harness.returns_of(sold) for sold in (charged, abroad, refused, disputed)] == [[]] * 4
    (order,) = at_harness.orders_of_ours()
    assert (order["origin"][1],) == tuple(row["id"] for row in at_harness.returns_of(swapped))
    assert at_harness.states()[charged_unit.item] == at_harness.states()[abroad_unit.item] == "planned"
    assert at_harness.states("exchange_order")[disputed_unit.item] == "planned"
    # The team that waits for it is named, with what to do.
    at_harness.clock.advance_to(at_harness.clock.now().replace(day=30, month=11))
    told = {unit: kind for kind, unit, _ in at_harness.reconcile() if kind.endswith(("credit_note", "without_order"))}
    assert told[charged_unit.item] == "return_without_credit_note"
    assert told[disputed_unit.item] == "exchange_without_order"


@pytest.mark.slow
def test_a_payer_that_changes_while_a_payment_is_in_doubt_is_the_one_who_pays(at_harness: Harness) -> None:
    sold, unit = comes_back(at_harness)
    half_done(at_harness, "RefundReturn")
    at_harness.with_policy(pays_through={"refund": "elsewhere", "gift-card": "gift_card"})
    at_harness.settle()
    assert at_harness.returns_of(sold) == []  # nobody has paid it, and only the settings say that another user has
    approve(at_harness, unit.item)
    at_harness.settle()
    assert at_harness.refunded(sold) == 0
    assert [row["status"] for row in at_harness.returns_of(sold)] == ["COMPLETED"]


@pytest.mark.slow
def test_a_return_by_hand_beside_a_half_done_one_holds_its_payment_until_a_person_says_what_it_was_for(
    at_harness: Harness,
) -> None:
    sold = at_harness.sell(("DRESS-S", 2, "100.00"))
    unit = at_harness.comes_back(sold)
    half_done(at_harness, "RefundReturn")
    (ours,) = at_harness.returns_of(sold)
    at_harness.act("return_and_refund", shipment_id=sold.shipment, lines={sold.lines[0]: 1})
    at_harness.settle()
    assert at_harness.refunded(sold) == HUNDRED  # by hand alone
    (by_hand,) = [row["id"] for row in at_harness.returns_of(sold) if row["id"] != ours["id"]]
    with at_harness.warehouse.transaction() as connection:
        approvals.tie_return(
            connection, Signature("Anna Approver", "asked the shop", at_harness.clock.now()), by_hand, []
        )
    at_harness.settle()
    assert at_harness.refunded(sold) == 2 * HUNDRED
    assert at_harness.states()[unit.item] == "confirmed"


@pytest.mark.slow
def test_what_was_to_be_paid_elsewhere_is_not_completed_unpaid_once_we_pay(at_harness: Harness) -> None:
    sold, unit = comes_back(at_harness)
    half_done(at_harness, "CompleteReturn", pays_through={"refund": "elsewhere", "gift-card": "gift_card"})
    at_harness.with_policy()
    at_harness.settle()
    assert at_harness.refunded(sold) == 0
    assert at_harness.returns_of(sold) == []  # Happy Returns has paid it, perhaps
    approve(at_harness, unit.item)
    at_harness.settle()
    assert at_harness.refunded(sold) == HUNDRED


@pytest.mark.slow
def test_what_is_half_done_and_corrected_to_another_order_or_article_is_given_as_that(at_harness: Harness) -> None:
    first, moved = comes_back(at_harness)
    second = at_harness.sell(("DRESS-S", 1, "100.00"))
    both = at_harness.sell(("DRESS-S", 1, "100.00"), ("SHIRT-M", 1, "40.00"))
    cheaper = at_harness.comes_back(both)
    exchanged_first, exchanged = comes_back(at_harness, refund_type="exchange", exchange_sku="DRESS-M")
    exchanged_second = at_harness.sell(("DRESS-S", 1, "100.00"))
    half_done(at_harness, "RefundReturn", "POST /order")
    at_harness.move_to(exchanged, exchanged_second)
    at_harness.move_to(moved, second)
    at_harness.change(cheaper, sku="SHIRT-M")
    at_harness.change_refund(cheaper, item_subtotal="32.00", tax="8.00", total_refunded="40.00")
    at_harness.settle()
    assert [at_harness.refunded(order) for order in (first, second)] == [0, HUNDRED]
    assert at_harness.refunded(both) == Decimal("40.00")
    assert at_harness.returns_of(exchanged_first) == []
    assert [row["status"] for row in at_harness.returns_of(exchanged_second)] == ["COMPLETED"]
    assert len(at_harness.orders_of_ours()) == 1


@pytest.mark.slow
def test_a_half_done_bundle_of_which_a_part_is_refused_is_not_paid_in_part() -> None:
    with (
        tempfile.TemporaryDirectory() as place,
        harness(Path(place), centra=CentraSettings(returns_may_name_parts=True)) as at_harness,
    ):
        sold = at_harness.sell_bundle("100.00", ("DRESS-S", "60.00", 1), ("SHIRT-M", "30.00", 1))
        first = at_harness.comes_back(sold, 1, row=False)
        second = at_harness.comes_back(sold, 2, with_unit=first, row=False)
        half_done(at_harness, "RefundReturn")
        at_harness.change(second, disposition="missing")
        at_harness.settle()
        assert at_harness.refunded(sold) == 0


TURNS: dict[str, dict[str, Any]] = {
    "approval of each": {"modes": {"credit_note": "approve", "exchange_order": "approve"}},
    "approval of much": {"approval_above": {"EUR": Decimal(99)}},
}


@pytest.mark.slow
@pytest.mark.parametrize("turn", mostly_slow(TURNS, "approval of each"))
def test_what_is_half_done_when_an_approval_is_asked_for_waits_for_it(at_harness: Harness, turn: str) -> None:
    sold, unit = comes_back(at_harness)
    _, exchanged = comes_back(at_harness, refund_type="exchange", exchange_sku="DRESS-M")
    half_done(at_harness, "RefundReturn", "POST /order")
    at_harness.with_policy(**TURNS[turn])
    at_harness.settle()
    assert at_harness.refunded(sold) == 0
    assert at_harness.orders_of_ours() == []
    assert at_harness.records["returns"] == []
    reasons = dict(
        at_harness.rows("select return_item_id, reason from push.ledger where effect_kind <> 'status_update'")
    )
    assert "waits for approval" in reasons[unit.item]
    approve(at_harness, unit.item)
    approve(at_harness, exchanged.item)
    at_harness.settle()
    assert at_harness.refunded(sold) == HUNDRED
    assert len(at_harness.orders_of_ours()) == 1


@pytest.mark.slow
def test_a_cap_that_is_lowered_holds_what_is_half_done(at_harness: Harness) -> None:
    sold, _ = comes_back(at_harness)
    half_done(at_harness, "RefundReturn")
    at_harness.with_policy(caps={"money_per_run": {"EUR": Decimal(50)}})
    report = at_harness.sync()
    assert at_harness.refunded(sold) == 0
    assert any("caps.money_per_run.EUR" in detail for detail in report.breached)
    at_harness.with_policy()
    at_harness.settle()
    assert at_harness.refunded(sold) == HUNDRED


@pytest.mark.slow
def test_what_leaves_at_once_is_one_amount_for_the_approval(at_harness: Harness) -> None:
    """Two units of 100.00 in one return are a refund of 200.00, whatever packets they travel in."""
    at_harness.with_policy(approval_above={"EUR": Decimal(150)})
    sold = at_harness.sell(("DRESS-S", 2, "100.00"))
    first = at_harness.comes_back(sold)
    at_harness.comes_back(sold, with_unit=first)
    single, _ = comes_back(at_harness)
    at_harness.settle()
    assert at_harness.refunded(sold) == 0
    assert at_harness.refunded(single) == HUNDRED
    with at_harness.warehouse.transaction() as connection:
        found = approvals.waiting(connection, at_harness.clock.now())
    assert [effect.waits_for for effect in found] == ["waits for approval: it is above approval_above.EUR"] * 2
    approve(at_harness, str(sold.number))
    at_harness.settle()
    assert at_harness.refunded(sold) == 2 * HUNDRED


@pytest.mark.slow
def test_a_lost_refund_is_made_again_although_another_return_of_the_order_was_paid_meanwhile(
    at_harness: Harness,
) -> None:
    sold = at_harness.sell(("DRESS-S", 2, "100.00"))
    at_harness.comes_back(sold)
    half_done(at_harness, "RefundReturn")
    at_harness.comes_back(sold)
    at_harness.fault("error_before", "LookAtOrder")  # the first cannot be looked up before the second is paid
    at_harness.settle()
    assert at_harness.refunded(sold) == 2 * HUNDRED
    assert set(at_harness.states().values()) == {"confirmed"}


def test_every_step_is_asked_for_unless_it_is_named_as_one_that_gives_nothing() -> None:
    gives_nothing = {"note", "customer_note", "attribute"}
    for name, operation in OPERATIONS.items():
        steps: list[Step] = ["refund", "issue_credit", "complete", "create_order", cast(Step, "a step to come")]
        for step in (operation.traits.steps.first, *steps):
            packet = Packet("PK", name, ("HR",), operation.traits.payload.model_construct(), step)
            assert (still_due.stopped(packet, Facts()) is None) == (name in gives_nothing), (name, step)
