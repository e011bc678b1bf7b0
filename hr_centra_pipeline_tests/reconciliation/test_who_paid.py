"""Who paid is what a credit was sent with, or what the settings said at that time: another payer changes nothing of the past."""

from __future__ import annotations

from datetime import datetime

import pytest

from hr_centra_pipeline.core.keys import effect_key, packet_key
from hr_centra_pipeline.month_end.fact_journal import remember
from hr_centra_pipeline_tests.reconciliation.ledger_fixture import DROPPED, HOUR, NOW, LedgerFixture


def pays(ledger: LedgerFixture, payer: str) -> None:
    ledger.connection.execute("update policy.pays_through set pays_through = ?", [payer])


def credit(ledger: LedgerFixture, number: str, *, status: str = "issued", by_person: bool = False) -> None:
    """A Return of one unit without a payment, and Happy Returns' row."""
    ledger.sold(number)
    units = ledger.returned(number)
    ledger.told(number, units, status=status)
    ledger.credited(number, units, int(number), paid=False, by_person=by_person, is_completed=True)


def sent_with(ledger: LedgerFixture, number: str, payer: str) -> None:
    key = effect_key("credit_note", f"{number}-0")
    ledger.connection.execute("update push.ledger set packet_key = ? where effect_key = ?", [packet_key([key]), key])
    ledger.connection.execute(
        """
        insert into push.packets (packet_key, operation, members, payload, step, state, payments_sent, created_at, updated_at)
        values (?, 'credit', ?, json_object('order_number', ?, 'pays_through', ?), 'done', 'confirmed', 0, ?, ?)
        """,
        [packet_key([key]), [key], number, payer, DROPPED, DROPPED],
    )


def paid_elsewhere(ledger: LedgerFixture, now: datetime) -> list[tuple[object, ...]]:
    """What the journal has entered and reversed of it, after a run."""
    ledger.reconcile(now)
    remember(ledger.connection, now, "the policy")
    return ledger.rows(
        "select fact_id, amount, is_reversal from month_end.fact_journal where source = 'paid elsewhere' order by all"
    )


@pytest.mark.parametrize(("before", "after"), [("elsewhere", "centra"), ("centra", "elsewhere")])
def test_another_payer_enters_and_reverses_nothing_of_the_past(ledger: LedgerFixture, before: str, after: str) -> None:
    pays(ledger, before)
    credit(ledger, "1001")
    sent_with(ledger, "1001", before)
    credit(ledger, "1002")  # its packet is lost
    known = [(f"refund RF-{number}", 125, False) for number in ("1001", "1002") if before == "elsewhere"]
    assert paid_elsewhere(ledger, NOW) == known
    pays(ledger, after)
    assert paid_elsewhere(ledger, NOW + HOUR) == known


def test_what_was_to_be_paid_elsewhere_and_was_not_is_open_although_centra_pays_by_now(ledger: LedgerFixture) -> None:
    for number, status in (("1001", "failed"), ("1002", "issued")):
        credit(ledger, number, status=status)
        sent_with(ledger, number, "elsewhere")
    ledger.reconcile()
    assert ledger.open("credit_note_without_refund") == [("credit_note_without_refund", "R-1001", 125, "happy_returns")]


def test_a_return_by_hand_that_was_paid_elsewhere_is_not_to_be_refunded_because_centra_pays_by_now(
    ledger: LedgerFixture,
) -> None:
    pays(ledger, "elsewhere")
    credit(ledger, "1001", by_person=True)
    credit(ledger, "1002", by_person=True, status="failed")
    for hours in range(2):
        ledger.reconcile(NOW + hours * HOUR)
        assert [row[1] for row in ledger.open("credit_note_without_refund")] == ["R-1002"]
        pays(ledger, "centra")


def test_what_is_paid_elsewhere_at_last_is_over_although_centra_pays_by_now(ledger: LedgerFixture) -> None:
    pays(ledger, "elsewhere")
    credit(ledger, "1001", status="pending")
    sent_with(ledger, "1001", "elsewhere")
    ledger.reconcile()
    assert [row[1] for row in ledger.open("credit_note_without_refund")] == ["R-1001"]
    pays(ledger, "centra")
    ledger.connection.execute("update staging.refunds set status = 'issued'")
    ledger.reconcile(NOW + HOUR)
    assert ledger.open("credit_note_without_refund") == []
    assert ("paid elsewhere, as Happy Returns reports",) in ledger.rows(
        "select proof from reconciliation.exception_events where event = 'closed' and kind = 'credit_note_without_refund'"
    )


@pytest.mark.parametrize("is_history_known", [True, False])
def test_a_completed_return_that_no_packet_carries_was_paid_by_who_paid_at_its_time(
    ledger: LedgerFixture, is_history_known: bool
) -> None:
    """The database is of a day before the Return was made, or lost: then a person is asked, and which row says paid is kept."""
    if is_history_known:
        pays(ledger, "elsewhere")
        ledger.reconcile(NOW)
    pays(ledger, "centra")
    credit(ledger, "1001")
    ledger.connection.execute("delete from push.ledger")
    ledger.connection.execute(
        "insert into landing.centra_returns (centra_return_id, order_number, content_sha256, is_deleted, created_at, fetched_at,"
        " batch) values (1001, '1001', 'x', false, ?, ?, 99)",
        [DROPPED, NOW],
    )
    ledger.reconcile(NOW + HOUR)
    states = ledger.rows(
        "select state from push.ledger where return_item_id = '1001-0' and effect_kind = 'credit_note'"
    )
    packets = ledger.rows("select payload ->> 'rows_issued' from push.packets")
    if is_history_known:
        assert (states, packets) == ([("confirmed",)], [])
    else:
        assert (states, packets) == ([("unknown",)], [("RF-1001, issued on 2026-09-02",)])


def test_the_question_whether_another_payer_has_paid_names_the_refund_row(ledger: LedgerFixture) -> None:
    pays(ledger, "elsewhere")
    ledger.reconcile()
    pays(ledger, "centra")
    ledger.sold("1001")
    ledger.told("1001", ledger.returned("1001"))
    for hours in (1, 2):
        ledger.reconcile(NOW + hours * HOUR)
        ((detail,),) = ledger.rows(
            "select detail from reconciliation.exceptions where kind = 'return_without_credit_note'"
        )
    assert "(refund RF-1001, issued on 2026-09-02)" in detail
