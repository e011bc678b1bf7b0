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
from hr_centra_pipeline_tests.harness import MAIN, OUTLET, POLICY, Harness

WITH_OUTLET = {**POLICY["dispositions"], "sellable": {"warehouse_id": OUTLET, "hold_hours": 0}}
ELSEWHERE = {"refund": "elsewhere", "gift-card": "gift_card"}
ASKED = "waits for approval: it is due only since the settings were changed, by what was known before"


def returned(harness: Harness, **given: Any) -> Any:
    return harness.comes_back(harness.sell(("DRESS-S", 1, "100.00")), grade="sellable", **given)


def an_hour_later(harness: Harness) -> str:
    harness.clock.advance_to(harness.clock.now() + timedelta(hours=1))
    return harness.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def approve_all(harness: Harness, effect_type: str) -> None:
    with harness.warehouse.transaction() as connection:
        signature = Signature("Fina", "they were carried there", harness.clock.now())
        approvals.approve(connection, signature, effect_types=[effect_type])


@pytest.mark.slow
def test_another_warehouse_for_a_grade_counts_from_then_on_and_what_is_settled_is_moved_by_a_decision(
    at_harness: Harness,
) -> None:
    returned(at_harness)
    returned(at_harness)
    at_harness.settle()
    at_harness.with_policy(dispositions=WITH_OUTLET)
    returned(at_harness)
    at_harness.settle()
    assert (at_harness.moved("DRESS-S", MAIN), at_harness.moved("DRESS-S", OUTLET)) == (2, 1)
    with at_harness.warehouse.transaction() as connection:
        stays = [why for _, why in preview(connection, at_harness.policy, at_harness.clock.now()).staying]
    assert stays.count(ASKED) == 2
    assert [kind for kind, _, _ in at_harness.reconcile()] == []
    approve_all(at_harness, "inventory_adjustment")
    at_harness.settle()
    assert (at_harness.moved("DRESS-S", MAIN), at_harness.moved("DRESS-S", OUTLET)) == (0, 3)


@pytest.mark.slow
def test_a_unit_that_is_graded_otherwise_after_the_change_is_moved_without_a_question(at_harness: Harness) -> None:
    unit = returned(at_harness)
    at_harness.settle()
    at_harness.with_policy(
        dispositions={**POLICY["dispositions"], "damaged": {"warehouse_id": OUTLET, "hold_hours": 0}}
    )
    at_harness.change(unit, disposition="damaged")
    at_harness.settle()
    assert (at_harness.moved("DRESS-S", MAIN), at_harness.moved("DRESS-S", OUTLET)) == (0, 1)


@pytest.mark.slow
def test_a_grade_that_is_restocked_from_now_on_does_not_put_back_what_was_kept_out_before(at_harness: Harness) -> None:
    at_harness.with_policy(dispositions={**POLICY["dispositions"], "sellable": {"stock": "none"}})
    returned(at_harness)
    at_harness.settle()
    at_harness.with_policy()
    returned(at_harness)
    at_harness.settle()
    assert at_harness.moved("DRESS-S", MAIN) == 1


@pytest.mark.slow
def test_a_grade_that_is_not_refused_any_more_does_not_pay_for_what_was_refused_before(at_harness: Harness) -> None:
    at_harness.with_policy(restock={"refused_dispositions": ["sellable"]})
    refused = returned(at_harness)
    at_harness.settle()
    at_harness.with_policy()
    # A row of it comes in the same sync, and reports nothing by which it is due.
    at_harness.change(refused, hub_received_at="2026-09-29T12:00:00Z")
    later = returned(at_harness)
    at_harness.settle()
    assert (at_harness.refunded(refused.sold), at_harness.refunded(later.sold)) == (Decimal(0), Decimal("100.00"))
    approve_all(at_harness, "credit_note")
    at_harness.settle()
    assert at_harness.refunded(refused.sold) == Decimal("100.00")


def test_a_cut_over_that_is_moved_back_pays_for_nothing_that_was_known_before(at_harness: Harness) -> None:
    cutover = POLICY["cutover"]
    old = returned(at_harness, started_days_ago=70, days_ago=65)
    late = returned(at_harness, started_days_ago=70)  # planned before, and held by the cut-over
    at_harness.settle()
    at_harness.with_policy(cutover=cutover.replace(month=3))
    at_harness.settle()
    assert (at_harness.refunded(old.sold), at_harness.refunded(late.sold)) == (Decimal(0), Decimal(0))
    assert ("RT-0001",) in at_harness.rows("select return_id from push.ledger where asked_batch is not null")


@pytest.mark.slow
def test_what_happy_returns_has_paid_is_not_paid_again_because_the_payer_was_changed_before_going_live(
    at_harness: Harness,
) -> None:
    at_harness.mode = "dry_run"
    at_harness.with_policy(pays_through=ELSEWHERE)
    paid = returned(at_harness)
    at_harness.sync()
    at_harness.mode = "live"
    at_harness.with_policy()
    at_harness.change(paid, disposition="damaged")
    at_harness.settle()
    later = returned(at_harness)
    at_harness.change_refund(later, issued_at=an_hour_later(at_harness))
    at_harness.settle()
    assert (at_harness.refunded(paid.sold), at_harness.refunded(later.sold)) == (Decimal(0), Decimal("100.00"))
    assert codes.say("changed_by_settings") in at_harness.sync().waiting.values()
    # Back as it was: nothing is left to ask.
    at_harness.with_policy(pays_through=ELSEWHERE)
    at_harness.settle()
    assert [row["status"] for row in at_harness.returns_of(paid.sold)] == ["COMPLETED"]
    assert at_harness.refunded(paid.sold) == 0


@pytest.mark.slow
def test_what_was_issued_while_happy_returns_paid_is_not_paid_again_in_whatever_batch_its_row_lands(
    at_harness: Harness,
) -> None:
    at_harness.mode = "dry_run"
    at_harness.with_policy(pays_through=ELSEWHERE)
    pending = returned(at_harness)
    at_harness.change_refund(pending, status="pending")
    at_harness.sync()
    at_harness.mode = "live"
    at_harness.with_policy()
    at_harness.settle()
    at_harness.change_refund(pending, status="issued")
    before, without_time, exchanged, card = (
        returned(at_harness), returned(at_harness), returned(at_harness), returned(at_harness, refund_type="gift-card"),
    )  # fmt: skip
    at_harness.change_refund(without_time, issued_at="")
    at_harness.change(exchanged, refund_type="exchange", exchange_sku="DRESS-M")
    at_harness.settle()
    after = returned(at_harness)
    at_harness.change_refund(after, issued_at=an_hour_later(at_harness))
    at_harness.settle()
    asked = at_harness.rows("select return_item_id from push.ledger where asked_batch is not null and asks_payer")
    assert set(asked) == {(unit.item,) for unit in (pending, before, without_time, exchanged)}
    assert [at_harness.refunded(unit.sold) for unit in (pending, before, without_time)] == [0, 0, 0]
    assert at_harness.refunded(after.sold) == Decimal("100.00")
    assert at_harness.orders_of_ours() == []
    assert len(at_harness.returns_of(card.sold)) == 1  # the payer of gift cards is as it was
    approve_all(at_harness, "credit_note")
    at_harness.settle()
    assert at_harness.refunded(before.sold) == Decimal("100.00")


@pytest.mark.slow
def test_what_was_given_by_one_payer_counts_after_another_one_pays(at_harness: Harness) -> None:
    by_centra = returned(at_harness)
    at_harness.settle()
    at_harness.with_policy(pays_through=ELSEWHERE)
    by_hand, to_exchange, never_paid = returned(at_harness), returned(at_harness), returned(at_harness)
    at_harness.change_refund(never_paid, status="failed")
    at_harness.settle()
    # They were issued before the settings changed: that Happy Returns paid them is confirmed by a person.
    assert at_harness.returns_of(by_hand.sold) == []
    approve_all(at_harness, "credit_note")
    at_harness.settle()
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(days=10))
    at_harness.with_policy()
    at_harness.settle()
    booked = at_harness.returns_of(by_hand.sold)[0]["id"]
    at_harness.act("uncomplete_return", return_id=booked)
    at_harness.act("refund_return", return_id=booked)
    at_harness.change(to_exchange, refund_type="exchange", exchange_sku="DRESS-M")
    at_harness.settle()
    found = at_harness.reconcile()
    assert [unit for kind, unit, _ in found if kind == "double_credit"] == [by_hand.item]
    assert at_harness.orders_of_ours() == []
    assert set(at_harness.rows("select return_item_id, given from effects.value_given_back")) == {
        (by_centra.item, Decimal("100.00")), (by_hand.item, Decimal("200.00")), (to_exchange.item, Decimal("100.00")),
        (never_paid.item, Decimal("0.00")),
    }  # fmt: skip


@pytest.mark.slow
def test_a_fee_that_only_the_settings_take_away_is_asked_about_and_going_live_is_not(at_harness: Harness) -> None:
    at_harness.mode = "dry_run"
    at_harness.with_policy(components={"fee": {"source": "policy", "amounts": {"return-bar": {"EUR": "5.00"}}}})
    first = returned(at_harness)
    at_harness.sync()
    at_harness.with_policy()
    at_harness.sync()
    at_harness.mode = "live"
    later = returned(at_harness)
    at_harness.settle()
    assert (at_harness.refunded(first.sold), at_harness.refunded(later.sold)) == (Decimal(0), Decimal("100.00"))
    approve_all(at_harness, "credit_note")
    at_harness.settle()
    assert at_harness.refunded(first.sold) == Decimal("100.00")


@pytest.mark.slow
def test_a_setting_that_changes_no_due_and_one_that_maps_a_word_for_the_first_time_ask_nothing(
    at_harness: Harness,
) -> None:
    without = {word: grade for word, grade in POLICY["dispositions"].items() if word != "sellable"}
    at_harness.with_policy(dispositions=without)
    returned(at_harness)
    at_harness.settle()
    assert at_harness.moved("DRESS-S", MAIN) == 0
    at_harness.with_policy(changed_by="Paula")
    at_harness.settle()
    assert at_harness.moved("DRESS-S", MAIN) == 1


@pytest.mark.slow
def test_the_database_is_lost_and_the_warehouse_was_changed_meanwhile_nothing_is_moved_without_a_decision(
    at_harness: Harness,
) -> None:
    returned(at_harness)
    regraded = returned(at_harness)
    at_harness.settle()
    at_harness.forget()
    at_harness.with_policy(dispositions={**WITH_OUTLET, "damaged": {"stock": "none", "hold_hours": 0}})
    at_harness.change(regraded, disposition="damaged")
    at_harness.settle()
    assert (at_harness.moved("DRESS-S", MAIN), at_harness.moved("DRESS-S", OUTLET)) == (1, 0)
    approve_all(at_harness, "inventory_adjustment")
    at_harness.settle()
    assert (at_harness.moved("DRESS-S", MAIN), at_harness.moved("DRESS-S", OUTLET)) == (0, 1)
