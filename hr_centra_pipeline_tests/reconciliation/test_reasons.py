"""What is held back is said in words, and decided about by code."""

from __future__ import annotations

from typing import Any

import pytest

from hr_centra_pipeline.core.codes import REASONS, say
from hr_centra_pipeline_tests.reconciliation.ledger_fixture import DAY, NOW, LedgerFixture

ANSWER = "class, cause, culprit, split_part(next_step, ' More: ', 1)"


def answer(code: str) -> tuple[Any, ...]:
    """What the exception of a reason says."""
    reason = REASONS[code]
    return reason.cls, reason.cause, reason.culprit, reason.next_step


@pytest.mark.parametrize(
    ("order", "code", "figures"),
    [
        ({"captured": 0, "capture_pending": 0}, "nothing_captured", ()),
        ({"captured": 0, "capture_pending": 125}, "capture_not_confirmed", ()),
        ({"captured": 125, "has_unknown_payment": True}, "payment_unknown", ()),
    ],
)
def test_a_credit_that_is_held_names_its_reason_and_its_exception_says_what_that_takes(
    ledger: LedgerFixture, order: dict[str, Any], code: str, figures: tuple[str, ...]
) -> None:
    ledger.sold("1001", **order)
    ledger.returned("1001")
    ledger.reconcile()
    held = ledger.rows("select blocked_code, blocked_by from effects.pending_credit_notes")
    assert held == [(code, say(code, *figures))]
    query = f"select {ANSWER} from reconciliation.exceptions where kind = 'return_without_credit_note'"
    assert ledger.rows(query) == [answer(code)]


def test_a_movement_to_where_the_policy_does_not_say_names_the_word(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    ledger.returned("1001", disposition="odd", disposition_at=NOW - 5 * DAY)
    ledger.reconcile()
    held = ledger.rows("select blocked_code, blocked_by from effects.pending_inventory_adjustments")
    assert held == [("disposition_unmapped", "the policy does not map the disposition odd")]


def left(ledger: LedgerFixture, reason: str, code: str | None) -> list[tuple[Any, ...]]:
    """The exception of a credit that the last push has left with a reason."""
    ledger.sold("1001")
    ledger.returned("1001")
    ledger.reconcile()
    ledger.connection.execute("update push.ledger set reason = ?, reason_code = ?", [reason, code])
    ledger.reconcile()
    return ledger.rows(f"select {ANSWER} from reconciliation.exceptions where kind = 'return_without_credit_note'")


def test_what_a_push_has_left_is_judged_by_its_code_whatever_its_words(ledger: LedgerFixture) -> None:
    assert left(ledger, "words of tomorrow", "no_email_address") == [answer("no_email_address")]


def test_words_without_a_code_decide_nothing(ledger: LedgerFixture) -> None:
    ((found, *_),) = left(ledger, say("no_email_address"), None)
    assert found == "fix_pipeline"


def test_what_a_guard_stops_is_no_exception_of_each_unit(ledger: LedgerFixture) -> None:
    left(ledger, "words of tomorrow", "guard")
    assert ledger.rows("from missing_effects where effect_kind = 'credit_note'") == []
