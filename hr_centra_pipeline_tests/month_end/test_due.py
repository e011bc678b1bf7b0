from __future__ import annotations

from datetime import timedelta

import pytest

from hr_centra_pipeline.month_end import close as closing
from hr_centra_pipeline.month_end.due import due_months, was_made
from hr_centra_pipeline_tests.month_end.ledger_fixture import LedgerFixture, utc


@pytest.fixture
def made(ledger: LedgerFixture) -> LedgerFixture:
    """March and April have packs of the tenth of April."""
    ledger.three_sides("100", "2026-03-10")
    ledger.learn("2026-04-09")
    for month in ("2026-03", "2026-04"):
        was_made(ledger.connection, month, utc("2026-04-10"))
    return ledger


def due(ledger: LedgerFixture, at: str) -> list[str]:
    return due_months(ledger.connection, utc(at))


def test_at_first_the_present_month_and_the_one_before_are_due(ledger: LedgerFixture) -> None:
    ledger.three_sides("100", "2026-01-10")
    ledger.learn("2026-04-09")
    assert due(ledger, "2026-04-10") == ["2026-03", "2026-04"]


def test_when_nothing_is_learnt_nothing_is_due(made: LedgerFixture) -> None:
    assert due(made, "2026-04-10 10:00") == []
    assert due(made, "2026-04-20") == []


def test_a_new_fact_makes_its_month_due_and_the_later_ones_once_a_day(made: LedgerFixture) -> None:
    made.three_sides("5", "2026-04-10", return_id="RT-2")
    made.learn("2026-04-10 11:00")
    assert due(made, "2026-04-10 12:00") == []
    assert due(made, "2026-04-11") == ["2026-04"]
    made.three_sides("5", "2026-03-11", return_id="RT-3")
    made.learn("2026-04-11")
    assert due(made, "2026-04-12") == ["2026-03", "2026-04"]


def test_a_month_is_due_once_more_when_it_is_over_and_the_next_one_begins(made: LedgerFixture) -> None:
    assert due(made, "2026-05-01 00:07") == ["2026-04", "2026-05"]
    for month in ("2026-04", "2026-05"):
        was_made(made.connection, month, utc("2026-05-01 00:07"))
    assert due(made, "2026-05-03") == []


def test_a_closed_month_is_due_only_for_facts_of_its_own(made: LedgerFixture) -> None:
    closing.close(made.connection, "2026-03", utc("2026-04-12"), by="Pia", policy_sha256="p", accept="a test")
    for month in ("2026-03", "2026-04"):
        was_made(made.connection, month, utc("2026-04-12"))
    made.three_sides("5", "2026-02-11", return_id="RT-3")
    made.learn("2026-04-13")
    later = utc("2026-04-13") + timedelta(days=2)
    assert due_months(made.connection, later) == ["2026-04"]
    made.three_sides("5", "2026-03-11", return_id="RT-4")
    made.learn("2026-04-13")
    assert due_months(made.connection, later) == ["2026-03", "2026-04"]
