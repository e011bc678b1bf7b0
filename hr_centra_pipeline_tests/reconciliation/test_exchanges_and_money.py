"""An exchange gives goods: not on top of money, and not where nothing was paid."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hr_centra_pipeline.core import codes
from hr_centra_pipeline.push.packets import considered_effects
from hr_centra_pipeline_tests.reconciliation.ledger_fixture import DAY, DROPPED, HOUR, NOW, LedgerFixture

EXCHANGE: dict[str, Any] = {"refund_type": "exchange", "exchange_sku": "OTHER"}


def blocks(ledger: LedgerFixture, number: str) -> list[str | None]:
    """Why each replacement of an order is not sent; ``None``: it is."""
    rows = ledger.rows(f"select blocked_by from effects.pending_exchange_orders where order_number = '{number}'")
    return [block for (block,) in rows]


def test_a_replacement_waits_while_a_refund_without_a_return_is_not_tied(ledger: LedgerFixture) -> None:
    ledger.sold("1001", captured=125)
    ledger.returned("1001", **EXCHANGE)
    ledger.paid("1001", None, "125")
    ledger.reconcile()
    assert blocks(ledger, "1001") == [codes.say("untied_refund")]
    assert [kind for kind, *_ in ledger.open("refund_without_credit_note")] == ["refund_without_credit_note"]


def test_the_return_of_an_exchange_is_not_what_a_refund_by_hand_of_its_amount_was_for(ledger: LedgerFixture) -> None:
    ledger.sold("1001", captured=125)
    units = ledger.returned("1001", **EXCHANGE)
    ledger.credited("1001", units, 1, kind="exchange_order", paid=False)
    ledger.paid("1001", None, "125")
    ledger.reconcile()
    assert len(ledger.open("refund_without_credit_note")) == 1


@pytest.mark.parametrize(
    ("order", "block"),
    [
        ({"captured": 0, "capture_pending": 0}, "nothing was captured on the order"),
        ({"captured": 0, "capture_pending": 125}, "the payment provider has not confirmed the capture yet"),
        ({"captured": 125, "capture_pending": 0}, None),
    ],
)
def test_no_replacement_is_sent_for_what_was_never_charged(
    ledger: LedgerFixture, order: dict[str, Any], block: str | None
) -> None:
    ledger.sold("1001", **order)
    ledger.returned("1001", **EXCHANGE)
    ledger.reconcile()
    assert blocks(ledger, "1001") == [block]


def test_a_unit_that_was_given_a_gift_card_is_not_sent_a_replacement_too(ledger: LedgerFixture) -> None:
    ledger.sold("1001", captured=125)
    units = ledger.returned("1001", **EXCHANGE)
    ledger.told("1001", units, refund_type="gift-card", gift_card_id="GC-1")
    ledger.reconcile()
    assert blocks(ledger, "1001") == ["its value was given back already: by a refund, store credit or a chargeback"]


def test_a_unit_that_was_sent_a_replacement_and_given_a_gift_card_has_it_twice(ledger: LedgerFixture) -> None:
    ledger.sold("1001", captured=125)
    units = ledger.returned("1001", **EXCHANGE)
    ledger.credited("1001", units, 1, kind="exchange_order", paid=False)
    ledger.told("1001", units, refund_type="gift-card", gift_card_id="GC-1")
    ledger.reconcile()
    assert ledger.rows("select exchange, elsewhere, too_much from effects.value_given_back") == [(125, 125, 125)]
    assert len(ledger.open("double_credit")) == 1


def test_a_refund_row_issued_again_under_another_id_takes_its_fee_and_gives_its_shipping_once(
    ledger: LedgerFixture,
) -> None:
    ledger.sold("1001", shipping="20", captured=145)
    units = ledger.returned("1001")
    for name in ("", "-B"):
        ledger.told("1001", units, fee="4", shipping="10", name=name)
    ledger.reconcile()
    rows = ledger.rows("select effect_kind, amount from effects.pending_credit_notes order by effect_kind")
    assert rows == [("credit_note", 125), ("return_fee", Decimal(4)), ("shipping_refund", Decimal(10))]


def test_a_gift_card_that_is_pending_is_waited_for_and_one_that_fails_is_not_given(ledger: LedgerFixture) -> None:
    ledger.sold("1001", captured=125)
    units = ledger.returned("1001")
    ledger.told("1001", units, status="pending", gift_card_id="GC-1")
    ledger.reconcile()
    pending = "select pays_through, blocked_by from effects.pending_credit_notes"
    assert ledger.rows(pending) == [
        ("centra", "Happy Returns reports a pending gift card for it: waits for the outcome")
    ]
    ledger.connection.execute("update staging.refunds set status = 'failed'")
    ledger.reconcile()
    assert ledger.rows(pending) == [("centra", None)]
    ledger.connection.execute("update staging.refunds set status = 'issued'")
    ledger.reconcile()
    assert ledger.rows("select pays_through, blocked_by is null from effects.pending_credit_notes") == [
        ("elsewhere", True)
    ]


@pytest.mark.parametrize(
    ("is_paid", "kind"), [(False, "return_without_credit_note"), (True, "refund_without_credit_note")]
)
def test_the_return_of_an_exchange_that_someone_has_uncompleted_is_named(
    ledger: LedgerFixture, is_paid: bool, kind: str
) -> None:
    ledger.sold("1001", captured=125)
    units = ledger.returned("1001", **EXCHANGE)
    ledger.credited("1001", units, 1, kind="exchange_order", paid=is_paid)
    ledger.reconcile()
    uncompleted = "select kind from reconciliation.exceptions where detail like '%uncompleted it%'"
    assert ledger.rows(uncompleted) == []
    ledger.connection.execute("update staging.centra_returns set status = 'PENDING', is_completed = false")
    ledger.reconcile(NOW + 10 * DAY)
    assert ledger.rows(uncompleted) == [(kind,)]


@pytest.mark.parametrize("state", ["planned", "sending", "unknown"])
def test_a_chargeback_of_a_part_holds_a_credit_however_far_it_has_come_and_says_how_much_is_left(
    ledger: LedgerFixture, state: str
) -> None:
    ledger.sold("1001", captured=125)
    ledger.returned("1001")
    ledger.reconcile()
    ledger.connection.execute(f"update push.ledger set state = '{state}' where effect_kind = 'credit_note'")
    ledger.booked("cb", "-50", line_type="chargeback", number="1001")
    ledger.reconcile()
    (why,) = [one.waits_for for one in considered_effects(ledger.connection, NOW) if one.effect_kind == "credit_note"]
    assert why is not None
    assert why.startswith("its value was given back already")
    assert "chargeback" in why
    assert "50.00 EUR of 125.00 EUR; 75.00 EUR is left" in why


# ---------------------------------------------------------------- what became of a replacement


def replaced(ledger: LedgerFixture, **unit: Any) -> list[str]:
    """Order 1001's unit was exchanged for order 2001, which a person has tied to it."""
    ledger.sold("1001")
    ledger.sold("2001", price="0")
    units = ledger.returned("1001", refund_type="exchange", exchange_sku="asked-for", **unit)
    ledger.credited("1001", units, 1001, kind="exchange_order", paid=False)
    ledger.connection.execute("update push.ledger set centra_id = '2001' where effect_kind = 'exchange_order'")
    ledger.connection.execute(
        "insert into push.ties by name select 'T1' as tie_id, 'order' as what, '2001' as centra_id, '2001' as order_number,"
        " ? as return_item_id,"
        " 'Carla' as tied_by, 'sent another one' as why, ?::timestamptz as tied_at",
        [units[0], DROPPED + HOUR],
    )
    return units


def test_a_replacement_of_another_article_than_is_asked_for_has_its_root_all_the_same(ledger: LedgerFixture) -> None:
    replaced(ledger)
    ledger.returned("2001")
    ledger.reconcile()
    assert ledger.rows("select replacement_sku from effects.replacements") == [("SKU-2001",)]
    assert ledger.rows(
        "select root_return_item_id, root_order, refundable from effects.value_given_back where order_number = '2001'"
    ) == [("1001-0", "1001", Decimal(125))]


@pytest.mark.parametrize("is_canceled", [True, False])
def test_a_canceled_replacement_does_not_keep_the_promise_of_a_refused_unit(
    ledger: LedgerFixture, is_canceled: bool
) -> None:
    units = replaced(ledger, disposition="wrong-item")
    ledger.connection.execute("update staging.return_items set refund_type = 'refund'")
    ledger.connection.execute("update staging.orders set is_cancelled = ? where order_number = '2001'", [is_canceled])
    ledger.told("1001", units)
    ledger.reconcile()
    assert ledger.open("promised_item", "credited_item") == [
        ("promised_item_refused" if is_canceled else "credited_item_refused", "R-1001", Decimal(125), "happy_returns")
    ]
