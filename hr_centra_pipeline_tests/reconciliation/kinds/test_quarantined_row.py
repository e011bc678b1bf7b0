from __future__ import annotations

from hr_centra_pipeline_tests.reconciliation.kinds.alone import NOW, Alone


def test_a_file_of_which_rows_could_not_be_read() -> None:
    alone = Alone("quarantined_row")
    alone.put(
        "latest_deliveries",
        {
            "source_file": "items.csv",
            "file_sha256": "a",
            "rows_read": 9,
            "received_at": NOW,
            "culprit": "happy_returns",
        },
        {"source_file": "payouts.csv", "file_sha256": "b", "rows_read": 9, "received_at": NOW, "culprit": "provider"},
    )
    rejected = {
        "source_file": "items.csv",
        "file_sha256": "a",
        "column_name": "sku",
        "reason": "is missing",
        "kind": "items",
    }
    alone.put("quarantine.rejected_rows", {**rejected, "source_line": 2}, {**rejected, "source_line": 5})
    payout = {
        "source_file": "payouts.csv",
        "file_sha256": "b",
        "source_line": 2,
        "reason": "line_type",
        "kind": "payouts",
    }
    alone.put("quarantine.rejected_rows", payout)
    alone.put(
        "staging.payout_lines", source_file="payouts.csv", source_line=2, line_type="refund"
    )  # its layout is mapped by now
    assert alone.opened("identity", "class", "detail") == [
        ("items.csv", "fix_happy_returns", "2 of 9 rows of items.csv could not be read: sku is missing")
    ]


def test_a_later_delivery_without_bad_rows_closes_it() -> None:
    alone = Alone("quarantined_row")
    alone.put(
        "latest_deliveries",
        {"source_file": "items.csv", "batch": 2, "rows_rejected": 0, "culprit": "happy_returns"},
        {"source_file": "payouts.csv", "batch": 3, "culprit": "provider"},
        {"source_file": "new words.csv", "batch": 3, "problem": "broken", "culprit": "provider"},
        {"source_file": "old words.csv", "batch": 4, "problem": "broken", "culprit": "provider"},
    )
    for file in ("new words.csv", "old words.csv"):
        alone.put("landing.payout_lines", source_file=file, source_line=2, batch=3, set_aside="line_type")
        alone.put("staging.payout_lines", source_file=file, source_line=2, line_type="refund")
    for identity in ("items.csv", "payouts.csv", "new words.csv", "old words.csv", "other.csv"):
        alone.was_open(identity, identity=identity)
    assert alone.closed() == {
        "items.csv": "the file was delivered again and read whole",
        "payouts.csv": "the settlement file was delivered again and adds up",
        "new words.csv": "the layout maps its lines now",
    }
