from __future__ import annotations

import json

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
