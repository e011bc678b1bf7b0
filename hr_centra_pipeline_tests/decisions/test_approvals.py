"""An approval on a page is for the effect as it was shown there; it does what the command does."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hr_centra_pipeline.decisions.carry_out import Carrier
from hr_centra_pipeline.decisions.decision_kinds import parsed
from hr_centra_pipeline.decisions.decision_store import Decision, DecisionStore, Kept, Who
from hr_centra_pipeline.push import approvals
from hr_centra_pipeline_tests.harness import Harness
from hr_centra_pipeline_tests.push.conftest import at_harness

__all__ = ["at_harness"]
ANNA = Who("anna@shop.example", "Anna Approver", "password")


def decide(harness: Harness, key: str, kind: str, **arguments: Any) -> Kept:
    store = DecisionStore(harness.settings)
    kept = store.keep(Decision(key, ANNA, parsed(kind, arguments)))
    Carrier(store, harness.warehouse, harness.settings, "", harness.clock.now()).all_waiting(months=False)
    found = store.of(kept.decision_id)
    store.close()
    assert found is not None
    return found


def test_what_changed_since_it_was_shown_is_not_approved_and_what_did_not_is_sent(at_harness: Harness) -> None:
    at_harness.with_policy(approval_above={"EUR": "150"})
    sold = at_harness.sell(("DRESS-S", 1, "200.00"))
    at_harness.comes_back(sold)
    at_harness.sync()
    with at_harness.warehouse.transaction() as connection:
        approvals.waiting(connection, at_harness.clock.now())
        effects = "select effect_key, approval_sha256, amount from sendable_effects where effect_kind = 'credit_note'"
        ((effect_key, sha256, amount),) = connection.execute(effects).fetchall()
    shown = {"effect_key": effect_key, "approval_sha256": sha256, "amount": amount, "currency": "EUR"}
    wanted = {"names": [effect_key], "why": "looked at it"}
    refused = [
        decide(at_harness, "form-1", "approve", **wanted),
        decide(at_harness, "form-2", "approve", **wanted, shown=[{**shown, "amount": "199.00"}]),
        decide(at_harness, "form-3", "approve", **wanted, shown=[{**shown, "approval_sha256": "0" * 64}]),
    ]
    assert [(one.state, one.outcome and one.outcome.code) for one in refused] == [
        ("refused", "changed_since_shown")
    ] * 3
    assert decide(at_harness, "form-4", "approve", **wanted, shown=[shown]).state == "done"
    ((by, recorded_by),) = at_harness.rows("select approved_by, recorded_by from push.approvals")
    assert (by, recorded_by) == ("Anna Approver", "anna@shop.example (password)")
    at_harness.sync()
    assert at_harness.refunded(sold) == Decimal("200.00")


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("adopt", {"name": "RT-404"}),
        ("tie", {"form": "refund", "name": "404", "unrelated": True}),
        ("tie", {"form": "order", "name": "404", "units": [{"unit": "IT-1"}]}),
        ("tie", {"form": "return", "name": "404", "unrelated": True}),
        ("tie", {"form": "line", "name": "404", "units": [{"unit": "IT-1"}]}),
        ("tie", {"form": "release", "name": "IT-404"}),
        ("tie", {"form": "money", "name": "IT-404"}),
        ("reorder", {"unit": "IT-404"}),
        ("pay_instead", {"unit": "IT-404"}),
        ("raise", {"effect_type": "credit_note"}),
    ],
)
@pytest.mark.slow
def test_what_there_is_not_is_an_outcome_and_never_an_error(
    at_harness: Harness, kind: str, arguments: dict[str, Any]
) -> None:
    at_harness.sync()
    found = decide(at_harness, "form-1", kind, **arguments, why="looked at it")
    assert found.state == "refused"
