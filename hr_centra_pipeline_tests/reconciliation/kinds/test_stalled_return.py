from __future__ import annotations

from hr_centra_pipeline_tests.reconciliation.kinds.alone import DAY, NOW, Alone


def test_goods_that_were_not_heard_of_since() -> None:
    alone = Alone("stalled_return")
    for unit, event, arrived_at in (("IT-1", "departed", None), ("IT-2", "departed", NOW), ("IT-3", "started", None)):
        alone.put(
            "known_units",
            return_item_id=unit,
            arrived_at=arrived_at,
            is_returnless=False,
            dropoff_method="bar",
            evidence="{}",
        )
        alone.put("last_seen", return_item_id=unit, last_event=event, last_event_at=NOW - DAY)
    alone.put(
        "reconciliation.lateness",
        stage="departed",
        dropoff_method="bar",
        window_hours=96,
        p95_hours=48,
        is_learned=True,
    )
    assert alone.opened("return_item_id", "subject", "window_hours", "fact_at", "detail") == [
        (
            "IT-1", "stock", 96, NOW - DAY,
            "Left the hub on 2026-09-19 and not heard of since; 95 of 100 take at most 48 hours",
        )
    ]  # fmt: skip


def test_a_unit_that_nobody_approves_or_refuses() -> None:
    alone = Alone("stalled_return")
    alone.put("policy.parameters", unapproved_days=7)
    alone.put(
        "known_units",
        {"return_item_id": "IT-1", "received_at": NOW, "is_refused": False},
        {"return_item_id": "IT-2", "received_at": NOW, "is_refused": True},
        {"return_item_id": "IT-3", "received_at": NOW, "approved_at": NOW, "is_refused": False},
    )
    assert alone.opened("return_item_id", "subject", "window_hours", "detail") == [
        ("IT-1", "credit", 168, "Received on 2026-09-20 and neither approved nor refused")
    ]


def test_the_next_event_or_the_approval_closes_it() -> None:
    alone = Alone("stalled_return")
    alone.put(
        "known_units",
        {"return_item_id": "graded", "disposition": "sellable"},
        {"return_item_id": "approved", "approved_at": NOW, "is_refused": False},
        {"return_item_id": "refused", "is_refused": True},
        {"return_item_id": "arrived", "arrived_at": NOW},
        {"return_item_id": "still", "is_refused": False},
    )
    for unit in ("approved", "refused", "still"):
        alone.was_open(unit, return_item_id=unit, subject="credit")
    for unit in ("graded", "arrived", "under way"):
        alone.was_open(unit, return_item_id=unit, subject="stock")
    assert alone.closed() == {
        "graded": "graded sellable",
        "approved": "approved on 2026-09-20",
        "refused": "refused by Happy Returns",
        "arrived": "arrived on 2026-09-20",
        "under way": "seen again on its way",
    }
