"""Returns that another integration or an agent makes in Centra: adopted like a person's, and reported as what they are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hr_centra_pipeline_tests.harness import Harness, Sold


def on(sold: Sold, **more: Any) -> dict[str, Any]:
    return {"shipment_id": sold.shipment, "lines": {sold.lines[0]: 1}, **more}


def open_a_week_later(at_harness: Harness) -> dict[str, tuple[str, str]]:
    """(culprit, detail) by kind."""
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(days=7))
    at_harness.plan()
    at_harness.reconcile()
    return {kind: (culprit, detail) for kind, culprit, detail in at_harness.rows(
        "select kind, culprit, detail from reconciliation.exceptions"
    )}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "created_from", "made_by"),
    [
        ("return", None, "person"),
        ("return_by_integration", "Warehouse connector", "integration"),
        ("return_by_integration", "Some word", "unknown"),
        ("return_by_integration", "AMS", "person"),
    ],
)
def test_who_made_a_return_is_read_from_its_admin_user_and_then_from_the_policy_s_words(
    at_harness: Harness, act: str, created_from: str | None, made_by: str
) -> None:
    words = {"return_created_from": {"integration": ["Warehouse connector"]}}
    at_harness.with_policy(centra={"words": words})
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(at_harness.sell(("SHIRT-M", 1, "10.00")))
    at_harness.act(act, **on(sold), **({"created_from": created_from} if created_from else {}))
    at_harness.settle()
    assert at_harness.rows("select made_by from staging.centra_returns where order_number = ?", str(sold.number)) == [
        (made_by,)
    ]
    culprit, detail = open_a_week_later(at_harness)["centra_return_without_return"]
    assert culprit == made_by
    words_of = {"person": "a person", "integration": "another integration", "unknown": "another integration or user"}
    assert f"made by {words_of[made_by]}, credits 1 unit of" in detail


def test_a_unit_that_an_integration_credited_is_not_credited_again(at_harness: Harness) -> None:
    at_harness.with_policy(centra={"words": {"return_created_from": {"integration": ["Returns agent"]}}})
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold)
    at_harness.act("return_by_integration", **on(sold))
    at_harness.settle()
    assert "createReturn" not in at_harness.mutations()
    assert at_harness.rows("select state, is_foreign from push.ledger where effect_kind = 'credit_note'") == [
        ("confirmed", True)
    ]
    culprit, detail = open_a_week_later(at_harness)["credit_note_without_refund"]
    assert culprit == "integration"
    assert "was never refunded; it was made by another integration" in detail


@pytest.mark.slow
def test_the_replacement_of_a_unit_that_an_integration_took_back_waits_for_a_person(at_harness: Harness) -> None:
    at_harness.with_policy(centra={"words": {"return_created_from": {"integration": ["Returns agent"]}}})
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold, refund_type="exchange", exchange_sku="DRESS-M")
    at_harness.act("return_by_integration", **on(sold))
    at_harness.settle()
    assert at_harness.orders_of_ours() == []
    culprit, detail = open_a_week_later(at_harness)["exchange_without_order"]
    assert culprit == "integration"
    assert "another integration made a Return for the unit in Centra" in detail


@pytest.mark.slow
def test_a_return_that_an_integration_makes_between_our_look_and_our_call_is_reported_as_its_own(
    at_harness: Harness,
) -> None:
    at_harness.with_policy(centra={"words": {"return_created_from": {"integration": ["Returns agent"]}}})
    sold = at_harness.sell(("DRESS-S", 2, "100.00"))
    at_harness.comes_back(sold)
    at_harness.fault("person_before", "CreateReturn", act="return_by_integration", given={"refunds": True})
    at_harness.settle()
    culprit, detail = open_a_week_later(at_harness)["double_credit"]
    assert culprit == "integration"
    assert "made by another integration, was refunded on the line of a unit that hr-centra credited too" in detail
