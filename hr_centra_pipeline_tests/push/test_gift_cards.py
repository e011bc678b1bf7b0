"""Gift cards are filled in as the policy's template says, or wait for a person; nobody's address is kept."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.core.gift_card import filled
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.push.preview import preview
from hr_centra_pipeline.push.sender import Sender
from hr_centra_pipeline.sandbox.centra.store import CentraSettings
from hr_centra_pipeline.sources.centra.contract_record import refresh
from hr_centra_pipeline_tests.harness import POLICY, Harness, harness

HUNDRED = Decimal("100.00")
WAITS = "gift cards cannot be issued: the policy has no [gift_card] template"
NONE: dict[str, Any] = {"gift_card": {}}


def returned(at_harness: Harness) -> Any:
    """A unit whose money is a gift card, beside one that is refunded."""
    card, money = (at_harness.sell(("DRESS-S", 1, "100.00")) for _ in range(2))
    at_harness.comes_back(card, refund_type="gift-card")
    at_harness.comes_back(money)
    return card, money


def test_a_gift_card_is_issued_as_the_template_says_and_the_address_is_kept_nowhere(at_harness: Harness) -> None:
    card, _ = returned(at_harness)
    at_harness.settle()
    (made,) = at_harness.returns_of(card)
    assert made["payments"] == [["REFUND_GIFT_CARD", "SUCCESS", "100.00"]]
    assert at_harness.states() == {"IT-00001": "confirmed", "IT-00002": "confirmed"}
    kept = " ".join(
        str(row)
        for table in ("push.attempts", "push.packets", "push.ledger")
        for row in at_harness.rows(f"from {table}")
    )
    assert "IssueCredit" in kept
    assert "ada@example.com" not in kept


@pytest.mark.slow
def test_without_a_template_each_unit_waits_for_a_person_and_everything_else_goes_on(at_harness: Harness) -> None:
    at_harness.with_policy(**NONE)
    card, money = returned(at_harness)
    at_harness.settle()
    assert at_harness.returns_of(card) == []
    assert at_harness.refunded(money) == HUNDRED
    assert "issueCredit" not in at_harness.mutations()
    at_harness.clock.advance_to(at_harness.clock.now().replace(month=10, day=5))
    at_harness.plan()
    at_harness.reconcile()
    found = at_harness.rows(
        "select kind, class, cause, culprit, detail, next_step from reconciliation.exceptions where return_item_id = 'IT-00001'"
    )
    ((kind, class_, cause, culprit, detail, next_step),) = [row for row in found if row[0] != "disposition_missing"]
    assert (kind, class_, cause, culprit) == ("return_without_credit_note", "fix_pipeline", "policy_gap", "policy")
    assert detail.endswith(WAITS)
    assert next_step.startswith("Set [gift_card] template in the policy, or make the Return and its gift card by hand")
    with at_harness.warehouse.transaction() as connection:
        plan = preview(connection, at_harness.policy, at_harness.clock.now())
    assert (WAITS, "credit_note") in {(why, effect.effect_kind) for effect, why in plan.staying}


@pytest.mark.slow
def test_a_template_that_does_not_fit_this_centra_is_not_sent_and_each_unit_says_so(at_harness: Harness) -> None:
    at_harness.with_policy(gift_card={"template": {"recipient": "{email}"}})
    card, money = returned(at_harness)
    at_harness.plan()
    refresh(
        at_harness.client(), at_harness.order_api(), at_harness.warehouse, at_harness.policy, at_harness.clock.now()
    )
    at_harness.settle()
    assert at_harness.returns_of(card) == []
    assert at_harness.refunded(money) == HUNDRED
    at_harness.clock.advance_to(at_harness.clock.now().replace(month=10, day=5))
    at_harness.sync()
    at_harness.reconcile()
    found = at_harness.rows(
        "select culprit, detail, next_step from reconciliation.exceptions"
        " where return_item_id = 'IT-00001' and kind = 'return_without_credit_note'"
    )
    ((culprit, detail, next_step),) = found
    assert culprit == "centra"
    assert "it does not fit this Centra: GiftCardCreateInput.recipient (this Centra: email)" in detail
    assert next_step.startswith("`hr-centra doctor` lists what does not fit")


@pytest.mark.slow
def test_once_the_policy_has_a_template_the_gift_card_is_issued(at_harness: Harness) -> None:
    at_harness.with_policy(**NONE)
    card, _ = returned(at_harness)
    at_harness.settle()
    at_harness.with_policy()
    at_harness.settle()
    assert at_harness.refunded(card) == HUNDRED
    assert at_harness.states()["IT-00001"] == "confirmed"


@pytest.mark.slow
def test_a_gift_card_by_hand_is_adopted(at_harness: Harness) -> None:
    at_harness.with_policy(**NONE)
    card, _ = returned(at_harness)
    at_harness.settle()
    at_harness.act("return_and_refund", shipment_id=card.shipment, lines={card.lines[0]: 1})
    at_harness.settle()
    at_harness.with_policy()
    at_harness.settle()
    assert at_harness.refunded(card) == HUNDRED
    assert "issueCredit" not in at_harness.mutations()


@pytest.mark.slow
def test_a_return_whose_template_was_taken_away_half_way_is_taken_back(
    at_harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, _ = returned(at_harness)
    at_harness.fault("error_before", "IssueCredit")
    at_harness.plan()
    with monkeypatch.context() as dies_early:
        dies_early.setattr(Sender, "look_up", lambda *_: None)  # the process dies before it looks
        at_harness.push()
    assert [made["payments"] for made in at_harness.returns_of(card)] == [[]]
    at_harness.calm_down()
    at_harness.with_policy(**NONE)
    at_harness.settle()
    assert at_harness.returns_of(card) == []
    assert at_harness.states()["IT-00001"] == "planned"


def test_an_order_without_an_e_mail_address_waits_and_no_return_is_made(at_harness: Harness) -> None:
    card, _ = returned(at_harness)
    with at_harness.store.write():
        (order,) = at_harness.store.rows("select address from orders where number = ?", [card.number])
        address = json.loads(order["address"])
        address.pop("email", None)
        at_harness.store.update("orders", "number", card.number, {"address": json.dumps(address), "customer_id": None})
    at_harness.sync()
    assert at_harness.returns_of(card) == []
    at_harness.clock.advance_to(at_harness.clock.now().replace(month=10, day=5))
    at_harness.plan()
    at_harness.reconcile()
    found = at_harness.rows(
        "select detail, culprit from reconciliation.exceptions"
        " where return_item_id = 'IT-00001' and kind = 'return_without_credit_note'"
    )
    ((detail, culprit),) = found
    assert detail.endswith("the order shows no e-mail address for the gift card")
    assert culprit == "centra"


@pytest.mark.slow
def test_a_template_without_an_address_asks_for_none(tmp_path: Path) -> None:
    with harness(tmp_path, centra=CentraSettings(gift_card_members=("note: String",))) as at_harness:
        at_harness.with_policy(
            gift_card={"template": {"note": "Return {return_id} of order {order_number}: {amount} {currency}"}}
        )
        card, _ = returned(at_harness)
        at_harness.settle()
        assert at_harness.refunded(card) == HUNDRED
        assert "ReadRecipient" not in {name for entry in at_harness.log() for name in entry["operations"]}


def test_the_plan_shows_the_template_and_no_address(at_harness: Harness) -> None:
    returned(at_harness)
    at_harness.mode = "dry_run"
    at_harness.sync()
    with at_harness.warehouse.transaction() as connection:
        plan = preview(connection, at_harness.policy, at_harness.clock.now())
    (issue,) = [call for planned in plan.packets for call in planned.calls if call.operation == "IssueCredit"]
    assert issue.variables["input"]["giftCard"] == {"email": "<e-mail>"}


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ({}, "give exactly one member of Centra's GiftCardCreateInput, with what it needs inside (none)"),
        ({"a": "{email}", "b": True}, "give exactly one member of Centra's GiftCardCreateInput, with what it needs inside (a, b)"),
        ({"a": "{mail}"}, "{mail} is not a placeholder; known are {email}, {order_number}"),
        ({"a": {"b": ["{email.__class__}", "{0}", "{emails}"]}}, "{emails} is not a placeholder"),
        ({"a": {"value": 1.5}}, "write 1.5 as text"),
    ],
)  # fmt: skip
def test_a_template_that_cannot_be_filled_is_refused_by_name(template: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match="gift_card") as refused:
        Policy.model_validate({**POLICY, "gift_card": {"template": template}})
    assert problem in str(refused.value)


def test_what_is_filled_in_is_never_a_placeholder_itself() -> None:
    values = {"email": "{order_number}@x.example", "order_number": "7"}
    assert filled({"a": {"to": ["{email}", 1, True], "of": "{{email}} {x.y}"}}, values) == {
        "a": {"to": ["{order_number}@x.example", 1, True], "of": "{{order_number}@x.example} {x.y}"}
    }
