"""Centra sends the shopper an e-mail because of a call of ours only where the policy says so."""

from __future__ import annotations

from typing import Any

import pytest

from hr_centra_pipeline.core.policy import Emails
from hr_centra_pipeline.push.preview import preview
from hr_centra_pipeline_tests.harness import Harness


def everything(at_harness: Harness) -> None:
    """A refund, a gift card, an exchange, and an exchange that is refused half way."""
    for refund_type in ("refund", "gift-card"):
        at_harness.comes_back(at_harness.sell(("DRESS-S", 1, "100.00")), refund_type=refund_type)
    at_harness.comes_back(at_harness.sell(("DRESS-S", 1, "100.00")), refund_type="exchange", exchange_sku="DRESS-M")
    refused = at_harness.comes_back(
        at_harness.sell(("DRESS-S", 1, "100.00")), refund_type="exchange", exchange_sku="SHIRT-M"
    )
    at_harness.plan()
    at_harness.fault("error_before", "CompleteReturn", times=1000)
    at_harness.push()
    at_harness.calm_down()
    at_harness.change(refused, approved_at="", disposition="missing")
    at_harness.settle()


def sent(at_harness: Harness) -> list[str]:
    """The e-mails that Centra sent."""
    return sorted({what for what, _ in at_harness.records["emails"]})


def test_by_default_centra_sends_none(at_harness: Harness) -> None:
    everything(at_harness)
    assert {"refundReturn", "completeReturn", "cancelDirectToConsumerOrder"} <= set(at_harness.mutations())
    assert sent(at_harness) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("switch", "what"),
    [
        ("refund", "return refunded"), ("completion", "return completed"), ("replacement", "order created"),
        ("cancellation", "order cancelled"),
    ],
)  # fmt: skip
def test_a_switch_sends_its_own_e_mail_and_no_other(at_harness: Harness, switch: str, what: str) -> None:
    at_harness.with_policy(emails={switch: True})
    everything(at_harness)
    assert sent(at_harness) == [what]


def test_the_plan_shows_each_switch_in_its_call(at_harness: Harness) -> None:
    at_harness.with_policy(emails={"refund": True, "replacement": True})
    at_harness.comes_back(at_harness.sell(("DRESS-S", 1, "100.00")))
    at_harness.comes_back(at_harness.sell(("DRESS-S", 1, "100.00")), refund_type="exchange", exchange_sku="DRESS-M")
    at_harness.mode = "dry_run"
    at_harness.sync()
    with at_harness.warehouse.transaction() as connection:
        plan = preview(connection, at_harness.policy, at_harness.clock.now())
    shown: dict[str, Any] = {call.operation: call.variables for planned in plan.packets for call in planned.calls}
    assert shown["RefundReturn"]["input"] == {"sendEmail": True}
    assert shown["CompleteReturn"]["input"] == {"sendEmail": False}
    assert shown["POST /order"]["sendEmail"] is True
    assert Emails(refund=True, replacement=True).sent == ("refund", "replacement")
