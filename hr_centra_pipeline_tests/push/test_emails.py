"""Centra sends the shopper an e-mail because of a call of ours only where the policy says so."""

from __future__ import annotations

from typing import Any

import pytest

from hr_centra_pipeline.core.policy import Emails
from hr_centra_pipeline.push.preview import preview
from hr_centra_pipeline_tests.desk import Desk


def everything(at_desk: Desk) -> None:
    """A refund, a gift card, an exchange, and an exchange that is refused half way."""
    for refund_type in ("refund", "gift-card"):
        at_desk.comes_back(at_desk.sell(("DRESS-S", 1, "100.00")), refund_type=refund_type)
    at_desk.comes_back(at_desk.sell(("DRESS-S", 1, "100.00")), refund_type="exchange", exchange_sku="DRESS-M")
    refused = at_desk.comes_back(at_desk.sell(("DRESS-S", 1, "100.00")), refund_type="exchange", exchange_sku="SHIRT-M")
    at_desk.plan()
    at_desk.fault("error_before", "CompleteReturn", times=1000)
    at_desk.push()
    at_desk.calm_down()
    at_desk.change(refused, approved_at="", disposition="missing")
    at_desk.settle()


def sent(at_desk: Desk) -> list[str]:
    """The e-mails that Centra sent."""
    return sorted({what for what, _ in at_desk.books["emails"]})


def test_by_default_centra_sends_none(at_desk: Desk) -> None:
    everything(at_desk)
    assert {"refundReturn", "completeReturn", "cancelDirectToConsumerOrder"} <= set(at_desk.mutations())
    assert sent(at_desk) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("switch", "what"),
    [
        ("refund", "return refunded"), ("completion", "return completed"), ("replacement", "order created"),
        ("cancellation", "order cancelled"),
    ],
)  # fmt: skip
def test_a_switch_sends_its_own_e_mail_and_no_other(at_desk: Desk, switch: str, what: str) -> None:
    at_desk.with_policy(emails={switch: True})
    everything(at_desk)
    assert sent(at_desk) == [what]


def test_the_plan_shows_each_switch_in_its_call(at_desk: Desk) -> None:
    at_desk.with_policy(emails={"refund": True, "replacement": True})
    at_desk.comes_back(at_desk.sell(("DRESS-S", 1, "100.00")))
    at_desk.comes_back(at_desk.sell(("DRESS-S", 1, "100.00")), refund_type="exchange", exchange_sku="DRESS-M")
    at_desk.mode = "dry_run"
    at_desk.sync()
    with at_desk.warehouse.transaction() as connection:
        plan = preview(connection, at_desk.policy, at_desk.clock.now())
    shown: dict[str, Any] = {call.operation: call.variables for planned in plan.packets for call in planned.calls}
    assert shown["RefundReturn"]["input"] == {"sendEmail": True}
    assert shown["CompleteReturn"]["input"] == {"sendEmail": False}
    assert shown["POST /order"]["sendEmail"] is True
    assert Emails(refund=True, replacement=True).sent == ("refund", "replacement")
