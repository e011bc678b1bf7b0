from __future__ import annotations

import json
from datetime import timedelta

import pytest

from hr_centra_pipeline.core import codes
from hr_centra_pipeline.core.kinds import STATUS_PATIENCE, status_may_wait
from hr_centra_pipeline_tests.reconciliation.kinds.alone import DAY, NOW, Alone, proof


def test_a_note_that_was_not_written() -> None:
    alone = Alone("status_not_updated")
    alone.put("policy.status_targets", effect_kind="status_update")
    note = {
        "effect_kind": "status_update",
        "return_id": "RT-1",
        "sendable_at": NOW,
        "evidence": json.dumps({"says": "Graded"}),
    }
    alone.put(
        "effects.pending_status_updates",
        {**note, "effect_key": "HR1", "mode": "live"},
        {**note, "effect_key": "HR2", "mode": "live"},
        {**note, "effect_key": "HR3", "mode": "live", "effect_kind": "customer_note"},  # nobody wants it there
    )
    alone.put("push.ledger", effect_key="HR2", state="confirmed")
    assert alone.opened("identity", "culprit", "detail") == [
        ("note", "pipeline", 'The order\'s internal comment does not say "Graded": it was not written yet')
    ]


def test_an_order_without_a_customer_says_what_its_reason_says() -> None:
    alone = Alone("status_not_updated")
    alone.put("policy.status_targets", effect_kind="customer_note")
    reason = codes.REASONS["no_customer"]
    alone.put(
        "policy.reasons", code=reason.code, cause=reason.cause, culprit=reason.culprit, next_step=reason.next_step,
        **{"class": reason.cls},
    )  # fmt: skip
    alone.put(
        "effects.pending_status_updates", effect_key="HR1", effect_kind="customer_note", return_id="RT-1", sendable_at=NOW,
        mode="dry_run", blocked_code="no_customer", blocked_by=reason.sentence, evidence=json.dumps({"says": "Graded"}),
    )  # fmt: skip
    assert alone.opened("class", "cause", "culprit", "next_step", "is_dry_run") == [
        (reason.cls, reason.cause, reason.culprit, reason.next_step, False)
    ]


def test_only_the_mode_dry_run_makes_it_an_item_of_the_dry_run() -> None:
    alone = Alone("status_not_updated")
    alone.put("policy.status_targets", effect_kind="customer_note")
    for mode in ("off", "dry_run", "approve", "live"):
        alone.put(
            "effects.pending_status_updates", effect_key=mode, effect_kind="customer_note", return_id=mode, sendable_at=NOW,
            mode=mode, evidence=json.dumps({"says": "Graded"}),
        )  # fmt: skip
    assert alone.opened("return_id", "is_dry_run") == [
        ("approve", False), ("dry_run", True), ("live", False), ("off", False),
    ]  # fmt: skip


@pytest.mark.parametrize("due_first", [True, False])
def test_a_status_that_waits_for_the_money_is_reported_when_the_push_waits_for_it_no_longer(due_first: bool) -> None:
    """As push/operations/status.py decides it: by ``status_may_wait``, since it could have been sent."""
    alone = Alone("status_not_updated")
    alone.put("policy.status_targets", effect_kind="status_update")
    late = {}
    for key, since in (
        ("soon", NOW - STATUS_PATIENCE + timedelta(seconds=1)), ("over", NOW - STATUS_PATIENCE), ("long", NOW - 2 * DAY),
    ):  # fmt: skip
        sendable_at, planned_at = (since - DAY, since) if due_first else (since, since - DAY)
        alone.put(
            "effects.pending_status_updates", effect_key=key, effect_kind="status_update", return_id=key, mode="live",
            sendable_at=sendable_at, evidence=json.dumps({"says": "Graded"}),
        )  # fmt: skip
        alone.put("push.ledger", effect_key=key, state="planned", reason_code="waits_for_credit", planned_at=planned_at)
        late[key] = not status_may_wait(since, NOW)
    assert late == {"soon": False, "over": True, "long": True}
    assert alone.opened("return_id") == [(key,) for key in sorted(late) if late[key]]


def test_a_note_that_someone_overwrote() -> None:
    alone = Alone("status_not_updated")
    alone.put("policy.status_targets", effect_kind="status_update")
    for order, key, keys in (("1001", "HR1", []), ("1002", "HR2", ["HR2"])):
        alone.put("matching.orders_in_play", order_number=order)
        alone.put(
            "push.ledger", effect_key=key, effect_kind="status_update", return_id="RT-1", order_number=order, centra_id=order,
            state="confirmed", updated_at=NOW - DAY,
        )  # fmt: skip
        alone.put("staging.orders", order_number=order, effect_keys=keys, fetched_at=NOW, updated_at=NOW)
    assert alone.opened("order_number", "culprit", "detail") == [
        ("1001", "person", "What we wrote into the order's internal comment on 2026-09-19 is gone")
    ]


def test_the_place_shows_it_or_the_next_note_says_both() -> None:
    alone = Alone("status_not_updated")
    alone.was_open("written", effect_proof=proof("in_centra", "the status update is in Centra: 5"))
    alone.was_open("with the money", effect_state="planned", waits_for_its_credit=True)
    alone.was_open("still", effect_state="planned", waits_for_its_credit=False)
    assert alone.closed() == {
        "written": "the status update is in Centra: 5",
        "with the money": "the money of its order was sent just now: the next sync writes both in one note",
    }
