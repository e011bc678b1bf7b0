from __future__ import annotations

from typing import Any

import pytest

from hr_centra_pipeline_tests.reconciliation.kinds.alone import DAY, NOW, Alone


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


def answered(alone: Alone, answer_id: str, days_ago: int, **more: Any) -> None:
    """What the API answered about one return; by default all of its rows could be read."""
    given = {"criterion": "orderNumber", "value": "1001", "rows_read": 2, "rows_rejected": 0, "is_last": True, **more}
    alone.put("landing.partner_answers", answer_id=answer_id, asked_at=NOW - days_ago * DAY, **given)


@pytest.fixture
def alone() -> Alone:
    """One part of an answer could not be read three days ago."""
    alone = Alone("quarantined_row")
    answered(alone, "17", 3, rows_rejected=1)
    alone.put(
        "quarantine.rejected_rows", source_file="api 17", source_line=1, column_name="refund_type", word="voucher",
        reason="is on no list: voucher", rejected_at=NOW - 3 * DAY,
    )  # fmt: skip
    return alone


def test_an_answer_of_which_a_part_could_not_be_read(alone: Alone) -> None:
    assert alone.opened("identity", "detail") == [
        (
            "answers: refund_type voucher",
            "1 parts of 1 answers of the partner API could not be read: refund_type is on no list: voucher",
        )
    ]


@pytest.mark.parametrize(
    "later",
    [
        {"rows_read": 0},  # 204
        {"rows_read": 0, "problem": "it answered 500"},
        {"is_last": False},  # the budget ended before its last page
        {"rows_rejected": 1},
        {"value": "1002"},
    ],
)
def test_a_later_answer_that_does_not_say_it_leaves_it_open(alone: Alone, later: dict[str, Any]) -> None:
    answered(alone, "18", 1, **later)
    assert len(alone.opened("identity")) == 1


def test_a_later_look_up_that_was_read_whole_closes_it(alone: Alone) -> None:
    answered(alone, "18", 1)
    assert alone.opened("identity") == []
    alone.was_open("it", identity="answers: refund_type voucher")
    assert alone.closed() == {"it": "what it is about was looked up again and read whole"}
