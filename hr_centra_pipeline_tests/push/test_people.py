"""People and other systems act in Centra, too: at any moment, on the same lines."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from hr_centra_pipeline_tests.harness import MAIN, Harness, Sold

HUNDRED = Decimal("100.00")


def kinds(at_harness: Harness) -> set[str]:
    """Kinds that are open a week later."""
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(days=7))
    at_harness.plan()
    return {kind for kind, _, _ in at_harness.reconcile()}


def by_hand(sold: Sold, pieces: int = 1, line: int = 0, **more: Any) -> dict[str, Any]:
    return {"shipment_id": sold.shipment, "lines": {sold.lines[line]: pieces}, **more}


def test_a_refund_by_hand_between_plan_and_send_is_adopted(at_harness: Harness) -> None:
    alone = at_harness.sell(("DRESS-S", 1, "100.00"))
    of_two = at_harness.sell(("DRESS-S", 2, "100.00"))
    at_harness.comes_back(alone)
    at_harness.comes_back(of_two)
    at_harness.plan()
    for sold in (alone, of_two):
        at_harness.act("return_and_refund", **by_hand(sold))
    report = at_harness.push()
    assert "createReturn" not in at_harness.mutations()
    assert all("another user" in why or "the credit of its order" in why for why in report.waiting.values())
    assert len([why for why in report.waiting.values() if "another user" in why]) == 2
    at_harness.settle()
    assert [at_harness.refunded(sold) for sold in (alone, of_two)] == [HUNDRED, HUNDRED]
    foreign = at_harness.rows("select state, is_foreign from push.ledger where effect_kind = 'credit_note'")
    assert foreign == [("confirmed", True)] * 2
    assert "double_credit" not in kinds(at_harness)


@pytest.mark.slow
def test_who_acts_between_our_look_and_our_call_is_found_afterwards_and_reported(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 2, "100.00"))
    at_harness.comes_back(sold)
    at_harness.fault("person_before", "CreateReturn", act="return_and_refund")
    at_harness.settle()
    assert at_harness.refunded(sold) == 2 * HUNDRED  # nobody can prevent that: Centra knows no lock
    ((kind, unit, detail),) = [row for row in at_harness.reconcile() if row[0] == "double_credit"]
    assert (kind, unit) == ("double_credit", "IT-00001")
    assert "made by a person, was refunded on the line of a unit that hr-centra credited too" in detail
    assert "centra_return_without_return" not in kinds(at_harness)


def test_two_refunds_by_hand_on_one_line_are_for_two_units(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 3, "100.00"))
    for _ in range(2):
        at_harness.comes_back(sold)
        at_harness.act("return_and_refund", **by_hand(sold))
    at_harness.settle()
    assert at_harness.refunded(sold) == 2 * HUNDRED
    assert "createReturn" not in at_harness.mutations()


@pytest.mark.parametrize(
    ("act", "when", "paid"),
    [
        pytest.param("refund_return", "person_before", 1, marks=pytest.mark.slow),
        pytest.param("complete_return", "person_before", 1, marks=pytest.mark.slow),
        ("delete_return", "person_before", 0),
        pytest.param("edit_return_comment", "person_before", 1, marks=pytest.mark.slow),
        pytest.param("complete_return", "person_after", 1, marks=pytest.mark.slow),
    ],
)
def test_our_pending_return_is_touched_before_it_is_paid(at_harness: Harness, act: str, when: str, paid: int) -> None:
    # Nothing else is left on the order, so that a second payment would be refused: the look is what has to see it.
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold)
    at_harness.fault("error_before", "RefundReturn")  # the first call for the payment leaves no trace …
    at_harness.plan()
    at_harness.fault(when, "LookAtOrder", act=act, after=1, given={"return_id": 1})  # … and somebody acts meanwhile
    for _ in range(3):
        at_harness.push()
    at_harness.settle()
    assert at_harness.refunded(sold) == paid * HUNDRED
    assert len(at_harness.returns_of(sold)) == paid
    if act == "delete_return":
        assert at_harness.states() == {"IT-00001": "unknown"}
        at_harness.clock.advance_to(at_harness.clock.now() + timedelta(hours=2))
        at_harness.plan()
        ((_, _, detail),) = [row for row in at_harness.reconcile() if row[0] == "write_in_doubt"]
        assert "someone deleted it" in detail
    else:
        assert at_harness.states() == {"IT-00001": "confirmed"}


def test_a_refund_without_a_return_blocks_the_order_until_it_is_tied(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 2, "100.00"))
    at_harness.comes_back(sold)
    at_harness.act("refund_order", order_number=sold.number, amount="30.00")
    at_harness.settle()
    assert "createReturn" not in at_harness.mutations()
    open_kinds = kinds(at_harness)
    assert {"refund_without_credit_note", "return_without_credit_note"} <= open_kinds


def test_when_a_return_by_hand_is_deleted_again_the_unit_is_credited_by_us(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold)
    made = at_harness.act("return", **by_hand(sold))["made"]
    at_harness.settle()
    assert at_harness.returns_of(sold)[0]["id"] == made
    assert at_harness.states() == {"IT-00001": "confirmed"}
    at_harness.act("delete_return", return_id=made)
    at_harness.settle()
    assert at_harness.refunded(sold) == HUNDRED
    assert at_harness.rows("select is_foreign from push.ledger where effect_kind = 'credit_note'") == [(False,)]


def test_goods_that_a_return_by_hand_put_back_are_not_put_back_again(at_harness: Harness) -> None:
    seen, unseen = (at_harness.sell(("DRESS-S", 1, "100.00")) for _ in range(2))
    for sold in (seen, unseen):
        at_harness.comes_back(sold, grade="sellable")
    at_harness.act("return_and_refund", **by_hand(seen, stock="origin"))
    at_harness.plan()
    at_harness.act("return_and_refund", **by_hand(unseen, stock="origin"))
    report = at_harness.push()
    assert any("goods put back" in why for why in report.waiting.values())
    at_harness.settle()
    assert at_harness.moved("DRESS-S", MAIN) == 0
    assert at_harness.records["stock"][1][:3] == ["DRESS-S", MAIN, 50]


def test_another_users_note_survives_and_ours_is_one_line_per_return(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 2, "100.00"))
    first = at_harness.comes_back(sold)
    at_harness.comes_back(sold)
    at_harness.act("note", order_number=sold.number, text="VIP")
    at_harness.settle()
    at_harness.act("note", order_number=sold.number, text="Called twice")
    at_harness.change(first, disposition="sellable")
    at_harness.settle()
    lines = at_harness.comment_of(sold).splitlines()
    assert [line for line in lines if "hr-centra" not in line] == ["VIP", "Called twice"]
    assert len([line for line in lines if "hr-centra" in line]) == 2


@pytest.mark.slow
def test_a_confirmed_return_that_someone_deletes_is_not_made_again_and_reported_once(at_harness: Harness) -> None:
    at_harness.with_policy(pays_through={"refund": "elsewhere", "gift-card": "elsewhere"})
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold)
    at_harness.settle()
    (made,) = at_harness.returns_of(sold)
    at_harness.act("delete_return", return_id=made["id"])
    at_harness.settle()
    assert at_harness.returns_of(sold) == []
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(days=2))
    at_harness.plan()
    told = [row for row in at_harness.reconcile() if "gone" in row[2]]
    assert [row[0] for row in told] == ["return_without_credit_note"]


@pytest.mark.slow
def test_a_refund_that_was_asked_for_and_fails_later_is_not_asked_for_again(tmp_path: Any) -> None:
    from hr_centra_pipeline.sandbox.centra.store import CentraSettings
    from hr_centra_pipeline_tests.harness import harness

    with harness(tmp_path, centra=CentraSettings(refunds_in_two_steps=("card", "wallet"))) as at_harness:
        sold = at_harness.sell(("DRESS-S", 1, "100.00"))
        at_harness.comes_back(sold)
        at_harness.settle()
        assert at_harness.states() == {"IT-00001": "confirmed"}
        at_harness.act("settle_requests", succeeded=False)
        at_harness.settle()
        assert at_harness.mutations().count("refundReturn") == 1
        given = at_harness.rows("select refund, given, refundable from effects.value_given_back")
        assert given == [(Decimal(0), Decimal(0), HUNDRED)]
