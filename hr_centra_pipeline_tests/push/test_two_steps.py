"""Captures and refunds in two steps, in a Centra that leaves the request PENDING beside its answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from hr_centra_pipeline.push import returns
from hr_centra_pipeline.push.facts import Facts
from hr_centra_pipeline.push.returns import OrderInCentra
from hr_centra_pipeline.push.steps import Query
from hr_centra_pipeline.sandbox.centra.store import CentraSettings
from hr_centra_pipeline_tests.harness import Harness, Sold, harness

METHODS = ("card", "wallet")
HUNDRED = Decimal("100.00")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Harness]:
    with harness(
        tmp_path, centra=CentraSettings(refunds_in_two_steps=METHODS, requests_stay_pending=True, captures_in_two_steps=METHODS)
    ) as opened:  # fmt: skip
        yield opened


def seen_live(shop: Harness, sold: Sold) -> OrderInCentra:
    """An order as the push looks at it."""
    looking = returns.look(str(sold.number), Facts())
    ask = next(looking)
    assert isinstance(ask, Query)
    answer = shop.client().execute(ask.operation, ask.variables)
    try:
        looking.send(answer.data)
    except StopIteration as done:
        order: OrderInCentra = done.value
        return order
    raise AssertionError("it asked twice")


def two_credits(shop: Harness, *, succeeded: bool) -> Sold:
    """Two pieces of one order come back one after the other; the provider answers the refund of the first between them."""
    sold = shop.sell(("DRESS-S", 2, "100.00"))
    shop.act("answer_requests", kind="capture")
    first = shop.comes_back(sold)
    shop.settle()
    shop.act("answer_requests", kind="refund", succeeded=succeeded)
    shop.settle()
    shop.comes_back(sold, with_unit=first)
    shop.settle()
    return sold


@pytest.mark.slow
def test_a_refund_whose_request_stays_pending_counts_once_and_the_rest_of_the_order_is_paid_too(shop: Harness) -> None:
    sold = two_credits(shop, succeeded=True)
    statuses = shop.store.rows("select entry_type, status from payments where order_number = ?", [sold.number])
    assert {"entry_type": "REFUND_REQUEST", "status": "PENDING"} in statuses
    assert sorted(shop.states().values()) == ["confirmed", "confirmed"]
    assert shop.rows("select given, refundable, too_much from effects.value_given_back") == [(HUNDRED, 0, 0)] * 2
    live = seen_live(shop, sold)
    assert (live.captured, live.given, live.capture_pending) == (Decimal(200), Decimal(200), Decimal(0))
    assert [found.paid for found in live.returns] == [HUNDRED, HUNDRED]
    assert shop.rows("select captured, capture_pending from staging.orders") == [(Decimal(200), Decimal(0))]
    shop.act("answer_requests", kind="refund")
    shop.clock.advance_to(shop.clock.now() + timedelta(days=2))
    shop.sync()
    assert [kind for kind, _, _ in shop.reconcile() if "refund" in kind or "double" in kind] == []


@pytest.mark.slow
def test_a_refund_that_failed_gives_nothing_though_its_request_stays_pending(shop: Harness) -> None:
    sold = two_credits(shop, succeeded=False)
    given = shop.rows("select given, refundable from effects.value_given_back order by return_item_id")
    assert given == [(Decimal(0), HUNDRED), (HUNDRED, Decimal(0))]
    live = seen_live(shop, sold)
    assert live.given == HUNDRED
    assert [found.paid for found in live.returns] == [Decimal(0), HUNDRED]
    assert [found.is_refunded for found in live.returns] == [False, True]
    shop.clock.advance_to(shop.clock.now() + timedelta(days=3))
    shop.sync()
    told = [detail for kind, _, detail in shop.reconcile() if kind == "credit_note_without_refund"]
    assert told == [
        "Return 1 gives back 100.00 EUR, and the payment provider refused the refund",
        "Return 2 gives back 100.00 EUR; the refund was asked for, and the payment provider has not answered",
    ]
    assert shop.mutations().count("refundReturn") == 2


@pytest.mark.slow
def test_of_two_shipments_only_the_one_that_is_not_confirmed_is_waited_for(shop: Harness) -> None:
    sold = shop.sell(("DRESS-S", 1, "60.00"), ("SHIRT-M", 1, "40.00"), parts=(1,))
    requests = shop.store.rows("select id, value from payments where is_open order by id")
    assert [row["value"] for row in requests] == [Decimal(60), Decimal(40)]
    shop.store.answer_request(requests[0]["id"], succeeded=True, at=shop.clock.now())
    first = shop.comes_back(sold)
    shop.settle()
    shop.comes_back(sold, 1, with_unit=first)
    shop.settle()
    assert shop.rows("select captured, capture_pending from staging.orders") == [(Decimal(60), Decimal(40))]
    live = seen_live(shop, sold)
    assert (live.captured, live.capture_pending) == (Decimal(60), Decimal(40))
    assert shop.refunded(sold) == 0
    assert shop.mutations().count("createReturn") == 1
    shop.act("answer_requests")
    shop.settle()
    shop.act("answer_requests", kind="refund")
    assert shop.refunded(sold) == HUNDRED


@pytest.mark.slow
@pytest.mark.parametrize(("succeeded", "left"), [(False, 0), (True, 1)])
def test_our_return_that_is_being_refunded_by_hand_is_taken_back_or_kept_once_the_provider_has_answered(
    tmp_path: Path, succeeded: bool, left: int
) -> None:
    with harness(tmp_path, centra=CentraSettings(refunds_in_two_steps=METHODS)) as shop:
        shop.article("LAST-M", stock=1)
        sold = shop.sell(("DRESS-S", 1, "100.00"))
        unit = shop.comes_back(sold, refund_type="exchange", exchange_sku="LAST-M")
        shop.fault(
            "person_after", "CreateReturn", act="move_stock", given={"sku": "LAST-M", "quantity": 1, "out_of": 1}
        )
        shop.fault("person_before", "DeleteReturn", act="refund_return", given={"return_id": 1})
        shop.settle()
        assert shop.states("exchange_order") == {unit.item: "unknown"}
        ((message,),) = shop.rows("select message from push.packets where operation = 'exchange'")
        assert "the payment provider has not answered yet" in message
        shop.act("answer_requests", kind="refund", succeeded=succeeded)
        shop.settle()
        assert len(shop.returns_of(sold)) == left
        # Without money it waits for stock: what was refused is asked for again when there is some.
        assert shop.states("exchange_order")[unit.item] in ({"confirmed"} if succeeded else {"planned", "rejected"})
        assert shop.refunded(sold) == left * HUNDRED
