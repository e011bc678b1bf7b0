"""A difference that was held does not leave because the limits were moved: that is asked about."""

from __future__ import annotations

from hr_centra_pipeline_tests.reconciliation.ledger_fixture import DAY, NOW, LedgerFixture


def test_a_credit_that_was_held_for_its_difference_is_asked_about_when_the_tolerance_lets_it_go(
    ledger: LedgerFixture,
) -> None:
    ledger.connection.execute("update policy.parameters set on_difference = 'hold'")
    ledger.sold("1001")
    ledger.told("1001", ledger.returned("1001"), items="80")
    ledger.reconcile()
    assert ledger.rows("select blocked_by is not null from effects.pending_credit_notes") == [(True,)]
    assert ledger.rows("select asked_batch from push.ledger where effect_kind = 'credit_note'") == [(None,)]
    ledger.connection.execute("update policy.tolerance set absolute = 50 where currency = 'EUR'")
    ledger.reconcile(NOW + DAY)
    assert ledger.rows("select blocked_by from effects.pending_credit_notes") == [(None,)]
    assert ledger.rows("select asked_batch is not null from push.ledger where effect_kind = 'credit_note'") == [(True,)]
