"""Settings change: what they make due of what was known before is asked about; what comes afterwards goes by them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from hr_centra_pipeline.core import codes
from hr_centra_pipeline.push import approvals
from hr_centra_pipeline.push.approvals import Signature
from hr_centra_pipeline.push.preview import preview
from hr_centra_pipeline_tests.desk import MAIN, OUTLET, POLICY, Desk

WITH_OUTLET = {**POLICY["dispositions"], "sellable": {"warehouse_id": OUTLET, "hold_hours": 0}}
ELSEWHERE = {"refund": "elsewhere", "gift-card": "gift_card"}
ASKED = "waits for approval: it is due only since the settings were changed, by what was known before"


def returned(desk: Desk, **given: Any) -> Any:
    return desk.comes_back(desk.sell(("DRESS-S", 1, "100.00")), grade="sellable", **given)


def an_hour_later(desk: Desk) -> str:
    desk.clock.advance_to(desk.clock.now() + timedelta(hours=1))
    return desk.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def approve_all(desk: Desk, effect_type: str) -> None:
    with desk.warehouse.transaction() as connection:
        signature = Signature("Fina", "they were carried there", desk.clock.now())
        approvals.approve(connection, signature, effect_types=[effect_type])


@pytest.mark.slow
def test_another_warehouse_for_a_grade_counts_from_then_on_and_what_is_settled_is_moved_by_a_decision(
    at_desk: Desk,
) -> None:
    returned(at_desk)
    returned(at_desk)
    at_desk.settle()
    at_desk.with_policy(dispositions=WITH_OUTLET)
    returned(at_desk)
    at_desk.settle()
    assert (at_desk.moved("DRESS-S", MAIN), at_desk.moved("DRESS-S", OUTLET)) == (2, 1)
    with at_desk.warehouse.transaction() as connection:
        stays = [why for _, why in preview(connection, at_desk.policy, at_desk.clock.now()).staying]
    assert stays.count(ASKED) == 2
    assert [kind for kind, _, _ in at_desk.reconcile()] == []
    approve_all(at_desk, "inventory_adjustment")
    at_desk.settle()
    assert (at_desk.moved("DRESS-S", MAIN), at_desk.moved("DRESS-S", OUTLET)) == (0, 3)


@pytest.mark.slow
def test_a_unit_that_is_graded_otherwise_after_the_change_is_moved_without_a_question(at_desk: Desk) -> None:
    unit = returned(at_desk)
    at_desk.settle()
    at_desk.with_policy(dispositions={**POLICY["dispositions"], "damaged": {"warehouse_id": OUTLET, "hold_hours": 0}})
    at_desk.change(unit, disposition="damaged")
    at_desk.settle()
    assert (at_desk.moved("DRESS-S", MAIN), at_desk.moved("DRESS-S", OUTLET)) == (0, 1)


@pytest.mark.slow
def test_a_grade_that_is_restocked_from_now_on_does_not_put_back_what_was_kept_out_before(at_desk: Desk) -> None:
    at_desk.with_policy(dispositions={**POLICY["dispositions"], "sellable": {"stock": "none"}})
    returned(at_desk)
    at_desk.settle()
    at_desk.with_policy()
    returned(at_desk)
    at_desk.settle()
    assert at_desk.moved("DRESS-S", MAIN) == 1


@pytest.mark.slow
def test_a_grade_that_is_not_refused_any_more_does_not_pay_for_what_was_refused_before(at_desk: Desk) -> None:
    at_desk.with_policy(restock={"refused_dispositions": ["sellable"]})
    refused = returned(at_desk)
    at_desk.settle()
    at_desk.with_policy()
    # A row of it comes in the same sync, and reports nothing by which it is due.
    at_desk.change(refused, hub_received_at="2026-09-29T12:00:00Z")
    later = returned(at_desk)
    at_desk.settle()
    assert (at_desk.refunded(refused.sold), at_desk.refunded(later.sold)) == (Decimal(0), Decimal("100.00"))
    approve_all(at_desk, "credit_note")
    at_desk.settle()
    assert at_desk.refunded(refused.sold) == Decimal("100.00")


def test_a_cut_over_that_is_moved_back_pays_for_nothing_that_was_known_before(at_desk: Desk) -> None:
    cutover = POLICY["cutover"]
    old = returned(at_desk, started_days_ago=70, days_ago=65)
    late = returned(at_desk, started_days_ago=70)  # planned before, and held by the cut-over
    at_desk.settle()
    at_desk.with_policy(cutover=cutover.replace(month=3))
    at_desk.settle()
    assert (at_desk.refunded(old.sold), at_desk.refunded(late.sold)) == (Decimal(0), Decimal(0))
    assert ("RT-0001",) in at_desk.rows("select return_id from push.ledger where asked_batch is not null")


@pytest.mark.slow
def test_what_happy_returns_has_paid_is_not_paid_again_because_the_payer_was_changed_before_going_live(
    at_desk: Desk,
) -> None:
    at_desk.mode = "dry_run"
    at_desk.with_policy(pays_through=ELSEWHERE)
    paid = returned(at_desk)
    at_desk.sync()
    at_desk.mode = "live"
    at_desk.with_policy()
    at_desk.change(paid, disposition="damaged")
    at_desk.settle()
    later = returned(at_desk)
    at_desk.change_refund(later, issued_at=an_hour_later(at_desk))
    at_desk.settle()
    assert (at_desk.refunded(paid.sold), at_desk.refunded(later.sold)) == (Decimal(0), Decimal("100.00"))
    assert codes.say("changed_by_settings") in at_desk.sync().waiting.values()
    # Back as it was: nothing is left to ask.
    at_desk.with_policy(pays_through=ELSEWHERE)
    at_desk.settle()
    assert [row["status"] for row in at_desk.returns_of(paid.sold)] == ["COMPLETED"]
    assert at_desk.refunded(paid.sold) == 0


def test_what_was_issued_while_happy_returns_paid_is_not_paid_again_in_whatever_batch_its_row_lands(
    at_desk: Desk,
) -> None:
    at_desk.mode = "dry_run"
    at_desk.with_policy(pays_through=ELSEWHERE)
    pending = returned(at_desk)
    at_desk.change_refund(pending, status="pending")
    at_desk.sync()
    at_desk.mode = "live"
    at_desk.with_policy()
    at_desk.settle()
    at_desk.change_refund(pending, status="issued")
    before, without_time, exchanged, card = (
        returned(at_desk), returned(at_desk), returned(at_desk), returned(at_desk, refund_type="gift-card"),
    )  # fmt: skip
    at_desk.change_refund(without_time, issued_at="")
    at_desk.change(exchanged, refund_type="exchange", exchange_sku="DRESS-M")
    at_desk.settle()
    after = returned(at_desk)
    at_desk.change_refund(after, issued_at=an_hour_later(at_desk))
    at_desk.settle()
    asked = at_desk.rows("select return_item_id from push.ledger where asked_batch is not null and asks_payer")
    assert set(asked) == {(unit.item,) for unit in (pending, before, without_time, exchanged)}
    assert [at_desk.refunded(unit.sold) for unit in (pending, before, without_time)] == [0, 0, 0]
    assert at_desk.refunded(after.sold) == Decimal("100.00")
    assert at_desk.orders_of_ours() == []
    assert len(at_desk.returns_of(card.sold)) == 1  # the payer of gift cards is as it was
    approve_all(at_desk, "credit_note")
    at_desk.settle()
    assert at_desk.refunded(before.sold) == Decimal("100.00")


def test_what_was_given_by_one_payer_counts_after_another_one_pays(at_desk: Desk) -> None:
    by_centra = returned(at_desk)
    at_desk.settle()
    at_desk.with_policy(pays_through=ELSEWHERE)
    by_hand, to_exchange, never_paid = returned(at_desk), returned(at_desk), returned(at_desk)
    at_desk.change_refund(never_paid, status="failed")
    at_desk.settle()
    # They were issued before the settings changed: that Happy Returns paid them is confirmed by a person.
    assert at_desk.returns_of(by_hand.sold) == []
    approve_all(at_desk, "credit_note")
    at_desk.settle()
    at_desk.clock.advance_to(at_desk.clock.now() + timedelta(days=10))
    at_desk.with_policy()
    at_desk.settle()
    booked = at_desk.returns_of(by_hand.sold)[0]["id"]
    at_desk.act("uncomplete_return", return_id=booked)
    at_desk.act("refund_return", return_id=booked)
    at_desk.change(to_exchange, refund_type="exchange", exchange_sku="DRESS-M")
    at_desk.settle()
    found = at_desk.reconcile()
    assert [unit for kind, unit, _ in found if kind == "double_credit"] == [by_hand.item]
    assert at_desk.orders_of_ours() == []
    assert set(at_desk.rows("select return_item_id, given from effects.value_given_back")) == {
        (by_centra.item, Decimal("100.00")), (by_hand.item, Decimal("200.00")), (to_exchange.item, Decimal("100.00")),
        (never_paid.item, Decimal("0.00")),
    }  # fmt: skip


@pytest.mark.slow
def test_a_fee_that_only_the_settings_take_away_is_asked_about_and_going_live_is_not(at_desk: Desk) -> None:
    at_desk.mode = "dry_run"
    at_desk.with_policy(components={"fee": {"source": "policy", "amounts": {"return-bar": {"EUR": "5.00"}}}})
    first = returned(at_desk)
    at_desk.sync()
    at_desk.with_policy()
    at_desk.sync()
    at_desk.mode = "live"
    later = returned(at_desk)
    at_desk.settle()
    assert (at_desk.refunded(first.sold), at_desk.refunded(later.sold)) == (Decimal(0), Decimal("100.00"))
    approve_all(at_desk, "credit_note")
    at_desk.settle()
    assert at_desk.refunded(first.sold) == Decimal("100.00")


@pytest.mark.slow
def test_a_setting_that_changes_no_due_and_one_that_maps_a_word_for_the_first_time_ask_nothing(at_desk: Desk) -> None:
    without = {word: grade for word, grade in POLICY["dispositions"].items() if word != "sellable"}
    at_desk.with_policy(dispositions=without)
    returned(at_desk)
    at_desk.settle()
    assert at_desk.moved("DRESS-S", MAIN) == 0
    at_desk.with_policy(changed_by="Paula")
    at_desk.settle()
    assert at_desk.moved("DRESS-S", MAIN) == 1


@pytest.mark.slow
def test_the_database_is_lost_and_the_warehouse_was_changed_meanwhile_nothing_is_moved_without_a_decision(
    at_desk: Desk,
) -> None:
    returned(at_desk)
    regraded = returned(at_desk)
    at_desk.settle()
    at_desk.forget()
    at_desk.with_policy(dispositions={**WITH_OUTLET, "damaged": {"stock": "none", "hold_hours": 0}})
    at_desk.change(regraded, disposition="damaged")
    at_desk.settle()
    assert (at_desk.moved("DRESS-S", MAIN), at_desk.moved("DRESS-S", OUTLET)) == (1, 0)
    approve_all(at_desk, "inventory_adjustment")
    at_desk.settle()
    assert (at_desk.moved("DRESS-S", MAIN), at_desk.moved("DRESS-S", OUTLET)) == (0, 1)
