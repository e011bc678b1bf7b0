from __future__ import annotations

from hr_centra_pipeline_tests.reconciliation.kinds.alone import HOUR, NOW, Alone


def test_a_file_that_could_not_be_read_and_a_pull_that_did_not_end() -> None:
    alone = Alone("source_not_covered")
    alone.put(
        "latest_deliveries",
        {"source_file": "returns.csv", "received_at": NOW, "problem": "unknown header", "culprit": "happy_returns"},
        {"source_file": "payouts.csv", "received_at": NOW, "problem": "does not add up", "culprit": "provider"},
        {"source_file": "items.csv", "received_at": NOW, "problem": None, "culprit": "happy_returns"},
    )
    alone.put("landing.centra_pulls", object="orders", batch=1, fetched_at=NOW - HOUR, is_complete=True)
    alone.put("landing.centra_pulls", object="orders", batch=2, fetched_at=NOW, is_complete=False)
    assert alone.opened("identity", "culprit", "detail") == [
        ("centra orders", "centra", "The pull of orders from Centra did not complete: it was interrupted"),
        ("payouts.csv", "provider", "payouts.csv could not be read: does not add up"),
        ("returns.csv", "happy_returns", "returns.csv could not be read: unknown header"),
    ]


def test_a_file_that_was_read_and_a_pull_that_ended_close_it() -> None:
    alone = Alone("source_not_covered")
    alone.put(
        "latest_deliveries",
        {"source_file": "returns.csv", "rows_rejected": 0, "culprit": "happy_returns"},
        {"source_file": "items.csv", "rows_rejected": 3, "culprit": "happy_returns"},
        {"source_file": "payouts.csv", "culprit": "provider"},
    )
    alone.put("landing.centra_pulls", object="orders", batch=2, fetched_at=NOW, is_complete=True)
    alone.put("landing.centra_pulls", object="returns", batch=2, fetched_at=NOW, is_complete=False)
    for identity in ("returns.csv", "items.csv", "payouts.csv", "centra orders", "centra returns", "lost.csv"):
        alone.was_open(identity, identity=identity)
    assert alone.closed() == {
        "returns.csv": "the file was delivered again and read whole",
        "items.csv": "the file was delivered again",
        "payouts.csv": "the settlement file was delivered again and adds up",
        "centra orders": "the next pull completed",
    }
