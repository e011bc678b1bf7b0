"""The small forms of ``make truth``: one shop, two months; with ``make slow`` three."""

from __future__ import annotations

from pathlib import Path

import pytest

from hr_centra_pipeline_tests.truth.lived import live


@pytest.mark.slow
def test_two_months_tables_are_what_follows_from_what_happened_and_stay_as_they_were_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    year, differing, compared = live(tmp_path, monkeypatch, seed=2, months=2)
    assert differing == {}
    assert compared > 50
    assert {matter.kind for matter in year.matters} >= {"credit_note_without_refund", "exchange_without_order"}
    assert any(one.shipped for one in year.exchanges)


@pytest.mark.slow
def test_a_quarter_s_tables_are_what_follows_from_what_happened_and_stay_as_they_were_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    year, differing, compared = live(tmp_path, monkeypatch, seed=2, months=3)
    assert differing == {}
    assert compared > 100
    kinds = {matter.kind for matter in year.matters}
    assert kinds >= {
        "stalled_return", "credit_note_without_refund", "payout_mismatch", "refund_mismatch_fee", "exchange_without_order",
    }  # fmt: skip
    assert any(one.settled for one in year.exchanges)
    assert any(one.shipped for one in year.exchanges)
    assert any(one.side == "failed" for one in year.postings)
    assert {one.side for one in year.late} == {"happy_returns", "exceptions"}
