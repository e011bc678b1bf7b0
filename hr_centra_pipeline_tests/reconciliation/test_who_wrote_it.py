"""A Return that is not ours is a person's, another integration's, or nobody can tell; its exceptions say which."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

import pytest

from hr_centra_pipeline.reconciliation.story import stories
from hr_centra_pipeline_tests.reconciliation.ledger_fixture import DAY, DROPPED, HOUR, NOW, LedgerFixture
from hr_centra_pipeline_tests.rows import Rows
from hr_centra_pipeline_tests.staged import put

MAKERS = pytest.mark.parametrize(
    ("made_by", "words"),
    [
        ("person", "made by a person"),
        ("integration", "made by another integration"),
        ("unknown", "made by another integration or user"),
    ],
)


def told(ledger: LedgerFixture, kind: str) -> tuple[str, str]:
    """Culprit and detail of the one exception of a kind."""
    ((culprit, detail),) = ledger.connection.execute(
        "select culprit, detail from reconciliation.exceptions where kind = ?", [kind]
    ).fetchall()
    return culprit, detail


@MAKERS
def test_a_return_that_happy_returns_does_not_know(ledger: LedgerFixture, made_by: str, words: str) -> None:
    ledger.sold("1001")
    ledger.credited("1001", [], 1, by_person=True, made_by=made_by)
    ledger.reconcile()
    culprit, detail = told(ledger, "centra_return_without_return")
    assert culprit == made_by
    assert f"{words}, credits 1 unit of order 1001" in detail


@MAKERS
def test_a_return_that_was_never_refunded(ledger: LedgerFixture, made_by: str, words: str) -> None:
    ledger.sold("1001")
    ledger.told("1001", ledger.returned("1001"))
    ledger.credited("1001", ["1001-0"], 1, by_person=True, paid=False, made_by=made_by)
    ledger.reconcile()
    culprit, detail = told(ledger, "credit_note_without_refund")
    assert culprit == made_by
    assert detail.endswith(words)


@MAKERS
def test_a_return_with_another_amount_than_everybody_else_s(ledger: LedgerFixture, made_by: str, words: str) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001")
    ledger.told("1001", units)
    ledger.credited("1001", units, 1, by_person=True, fee="10", made_by=made_by)
    ledger.reconcile()
    assert ledger.open("refund_mismatch") == [("refund_mismatch_fee", "R-1001", Decimal(10), made_by)]
    assert (
        f"The Return that {words.removeprefix('made by ')} made in Centra deviates by"
        in told(ledger, "refund_mismatch_fee")[1]
    )


@MAKERS
def test_a_unit_that_was_refunded_twice(ledger: LedgerFixture, made_by: str, words: str) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001")
    ledger.told("1001", units)
    ledger.credited("1001", units, 1, by_person=True, made_by=made_by)
    ledger.paid("1001", 1, "125")
    ledger.reconcile()
    culprit, detail = told(ledger, "double_credit")
    assert culprit == made_by
    assert f"{words.removeprefix('made ')} 250.00 EUR" in detail


def test_goods_that_another_integration_put_back_before_we_did(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001")
    ledger.told("1001", units)
    ledger.credited("1001", units, 1, by_person=True, made_by="integration", returned_to_stock=True, warehouse_id=1)
    movement = ledger.connection.execute("select effect_key('inventory_adjustment', ['1001-0', '1'])").fetchone()
    assert movement is not None
    put(
        ledger.connection, "staging.stock_changes", stock_change_line_id=7, stock_change_id=7, type="IN", sku="SKU-1001",
        warehouse_id=1, quantity=1, created_at=DROPPED + 5 * DAY, effect_keys=[movement[0]], named=[],
    )  # fmt: skip
    ledger._ledger(movement[0], "inventory_adjustment", "1001", "1001-0", Decimal(125), 7)
    ledger.reconcile()
    culprit, detail = told(ledger, "double_restock")
    assert culprit == "integration"
    assert "made by another integration, put the unit back into stock" in detail


def test_the_shadow_report_and_the_story_name_the_integration(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    ledger.returned("1001", approved_at=None)
    ledger.credited("1001", ["1001-0"], 1, by_person=True, made_by="integration")
    ledger.reconcile()
    assert ledger.rows("select detail from reconciliation.shadow where effect_kind = 'credit_note'") == [
        ("not due by the policy (first_scan), and credited by another integration",)
    ]
    (story,) = stories(ledger.connection, "R-1001", NOW)
    assert [line.what for line in story.timeline if "Return 1 in Centra" in line.what] == [
        "Return 1 in Centra, completed, 125.00 EUR, made by another integration (createdFrom AMS)"
    ]
    assert ("integration", "credit note confirmed") in {(line.who, line.what.split(",")[0]) for line in story.timeline}


def test_what_has_the_same_time_is_in_the_story_in_the_order_in_which_it_comes_about(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    ledger.returned("1001")
    put = Rows(ledger.connection, ()).put
    effect = {
        "effect_kind": "credit_note",
        "return_id": "R-1001",
        "return_item_id": "1001-0",
        "planned_at": NOW,
        "updated_at": NOW,
    }
    put("push.ledger", effect_key="HR1", state="confirmed", packet_key="PK1", confirmed_at=NOW, **effect)
    put(
        "push.packets",
        packet_key="PK1",
        members=["HR1"],
        operation="credit",
        payload="{}",
        step="done",
        state="confirmed",
        created_at=NOW,
        updated_at=NOW,
    )
    for number, call in enumerate(("refundReturn", "createReturn")):
        put(
            "push.attempts", attempt_id=call, packet_key="PK1", step="refund", operation=call, outcome="ok", started_at=NOW,
            real_started_at=NOW - timedelta(seconds=number),
        )  # fmt: skip
    (story,) = stories(ledger.connection, "R-1001", NOW)
    said = [re.sub(r" \(.*", "", line.what) for line in story.timeline if line.at == NOW]
    assert [line for line in said if line.startswith(("credit note", "called"))] == [
        "credit note planned HR1", "called createReturn", "called refundReturn", "credit note confirmed",
    ]  # fmt: skip


def test_returns_of_several_makers_for_one_return_are_nobody_s_in_particular(ledger: LedgerFixture) -> None:
    ledger.sold("1001", pieces=2)
    units = ledger.returned("1001", pieces=2)
    ledger.told("1001", units, items="200", tax="50")
    ledger.credited("1001", units[:1], 1, by_person=True, fee="10")
    ledger.credited("1001", units[1:], 2, by_person=True, made_by="integration", at=DROPPED + 3 * HOUR)
    ledger.reconcile(NOW)
    assert ledger.open("refund_mismatch") == [("refund_mismatch_fee", "R-1001", Decimal(10), "unknown")]


@pytest.mark.parametrize(("card", "words"), [(None, ""), ("GC-1", ", gift card")])
def test_the_story_says_of_a_refund_row_that_it_is_a_gift_card_when_it_is_one(
    ledger: LedgerFixture, card: str | None, words: str
) -> None:
    ledger.sold("1001")
    ledger.told("1001", ledger.returned("1001"), gift_card_id=card)
    (story,) = stories(ledger.connection, "R-1001", NOW)
    assert [line.what for line in story.timeline if "refund row" in line.what] == [
        f"refund row RF-1001 issued: 125.00 EUR{words}"
    ]
