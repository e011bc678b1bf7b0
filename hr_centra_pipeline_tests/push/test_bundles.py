"""Parts of bundles come back: what is credited, on which line, once; and what waits for whom."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.sandbox.centra.store import CentraSettings
from hr_centra_pipeline_tests.cases import mostly_slow
from hr_centra_pipeline_tests.harness import MAIN, Harness, Sold, harness

PARTS = (("DRESS-S", "60.00", 1), ("SHIRT-M", "30.00", 1), ("DRESS-M", "30.00", 1))
SHARING = {"bundles": {"some_parts": "share", "return_names_parts": True}}


def named(at_harness: Harness, sold: Sold) -> list[dict[int, int]]:
    """The lines that each Return of an order names."""
    return [row["lines"] for row in at_harness.returns_of(sold)]


def waiting(at_harness: Harness) -> dict[str, str]:
    """Why the credit of each unit waits."""
    return dict(
        at_harness.rows(
            "select return_item_id, blocked_by from effects.pending_credit_notes"
            " where effect_kind = 'credit_note' and blocked_by is not null"
        )
    )


def test_a_bundle_whose_parts_are_all_back_is_credited_once_by_its_own_line_and_its_parts_are_restocked(
    at_harness: Harness,
) -> None:
    at_once = at_harness.sell_bundle("99.99", *PARTS)
    in_steps = at_harness.sell_bundle("100.00", *PARTS, voucher="10.00")
    first = at_harness.comes_back(at_once, 1, grade="sellable", row=False)
    for line in (2, 3):
        at_harness.comes_back(at_once, line, with_unit=first, grade="sellable", row=False)
    one = at_harness.comes_back(in_steps, 1, grade="sellable", row=False)
    at_harness.settle()
    assert named(at_harness, at_once) == [{at_once.lines[0]: 1}]
    assert at_harness.refunded(at_once) == Decimal("99.99")
    # The other one waits, and says for what; its goods do not.
    assert named(at_harness, in_steps) == []
    (why,) = waiting(at_harness).values()
    assert "waits for SHIRT-M (not back), DRESS-M (not back); its share of the bundle's 100.00 EUR is 45.00 EUR" in why
    assert at_harness.moved("DRESS-S", MAIN) == 2
    at_harness.comes_back(in_steps, 2, row=False)
    at_harness.settle()
    assert named(at_harness, in_steps) == []
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(days=3))
    told = [(unit, detail) for kind, unit, detail in at_harness.reconcile() if kind == "return_without_credit_note"]
    assert (one.item, True) in [(unit, "waits for DRESS-M (not back)" in detail) for unit, detail in told]
    at_harness.comes_back(in_steps, 3, row=False)
    at_harness.settle()
    assert named(at_harness, in_steps) == [{in_steps.lines[0]: 1}]
    assert at_harness.refunded(in_steps) == Decimal("90.00")
    assert [kind for kind, *_ in at_harness.reconcile() if kind != "not_graded"] == []


@pytest.fixture
def sharing_harness(tmp_path: Path) -> Any:
    """A Centra that takes a Return that names a part alone, and a policy that uses it."""
    with harness(tmp_path, centra=CentraSettings(returns_may_name_parts=True)) as opened:
        opened.with_policy(**SHARING)
        yield opened


@pytest.mark.slow
def test_shares_that_are_credited_one_by_one_sum_to_the_bundle_s_price_in_whatever_order(
    sharing_harness: Harness,
) -> None:
    thirds = [("DRESS-S", "60.00", 1), ("SHIRT-M", "60.00", 1), ("DRESS-M", "60.00", 1)]
    forward, backward, by_pairs = (sharing_harness.sell_bundle("100.00", *thirds) for _ in range(3))
    for step in (
        ((forward, 1), (backward, 3), (by_pairs, 1), (by_pairs, 2)),
        ((forward, 2), (backward, 2)),
        ((forward, 3), (backward, 1), (by_pairs, 3)),
    ):
        for sold, line in step:
            sharing_harness.comes_back(sold, line, row=False)
        sharing_harness.settle()
    for sold in (forward, backward, by_pairs):
        assert sharing_harness.refunded(sold) == Decimal("100.00")
        assert sorted(line for lines in named(sharing_harness, sold) for line in lines) == list(sold.lines[1:])
    assert [kind for kind, *_ in sharing_harness.reconcile() if kind != "not_graded"] == []


@pytest.mark.slow
def test_a_part_for_which_centra_would_give_a_cent_more_is_not_paid(sharing_harness: Harness) -> None:
    sold = sharing_harness.sell_bundle("100.00", *PARTS)
    sharing_harness.store.update("order_lines", "part_of", 1, {"worth": Decimal("50.01")})
    sharing_harness.comes_back(sold, 1, row=False)
    sharing_harness.settle()
    assert sharing_harness.refunded(sold) == 0
    assert "rejected_write" in {kind for kind, *_ in sharing_harness.reconcile()}


@pytest.mark.slow
def test_equal_parts_of_a_bundle_are_worth_whole_cents_that_sum_to_its_price(sharing_harness: Harness) -> None:
    together = sharing_harness.sell_bundle("99.99", ("DRESS-S", "50.00", 2), ("SHIRT-M", "10.00", 3), quantity=2)
    apart = sharing_harness.sell_bundle("99.99", ("DRESS-S", "50.00", 2), ("SHIRT-M", "10.00", 3))
    for line, count in ((1, 4), (2, 6)):
        for _ in range(count):
            sharing_harness.comes_back(together, line, row=False)
    sharing_harness.settle()
    assert sum(lines[together.lines[0]] for lines in named(sharing_harness, together)) == 2
    assert sharing_harness.refunded(together) == Decimal("199.98")
    sharing_harness.comes_back(apart, 1, row=False)
    sharing_harness.settle()
    sharing_harness.comes_back(apart, 1, row=False, started_days_ago=5)
    sharing_harness.comes_back(apart, 2, row=False)
    sharing_harness.settle()
    for _ in range(2):
        sharing_harness.comes_back(apart, 2, row=False, started_days_ago=9)
        sharing_harness.settle()
    amounts = sharing_harness.rows(
        "select amount from push.ledger where order_number = ? and effect_kind = 'credit_note'", str(apart.number)
    )
    assert sum(amount for (amount,) in amounts) == Decimal("99.99")


def test_what_cannot_go_together_waits_for_a_person(at_harness: Harness) -> None:
    paid_twice, exchanged, refused, adopted = (at_harness.sell_bundle("100.00", *PARTS[:2]) for _ in range(4))
    at_harness.comes_back(paid_twice, 1, row=False)
    at_harness.comes_back(paid_twice, 2, row=False, refund_type="gift-card")
    swapped = at_harness.comes_back(exchanged, 1, refund_type="exchange", exchange_sku="DRESS-M")
    kept = at_harness.comes_back(exchanged, 2, row=False)
    at_harness.comes_back(refused, 1, row=False, grade="missing")
    at_harness.comes_back(refused, 2, row=False)
    for line in (1, 2):
        at_harness.comes_back(adopted, line, row=False)
    made = at_harness.act("return", shipment_id=adopted.shipment, lines={adopted.lines[0]: 1})["made"]
    at_harness.act("refund_return", return_id=made)
    at_harness.settle()
    assert [named(at_harness, sold) for sold in (paid_twice, exchanged, refused, adopted)] == [
        [], [], [], [{adopted.lines[0]: 1}],
    ]  # fmt: skip
    assert at_harness.refunded(adopted) == Decimal("100.00")
    why = waiting(at_harness)
    assert "whose parts are paid in several ways" in " ".join(why.values())
    assert "waits for DRESS-S (exchanged)" in why[kept.item]
    ((_, blocked),) = at_harness.rows("select return_item_id, blocked_by from effects.pending_exchange_orders")
    assert "its Return would name the part alone" in blocked
    assert at_harness.orders_of_ours() == []
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(days=3))
    kinds = {(kind, unit) for kind, unit, _ in at_harness.reconcile()}
    assert ("exchange_gap", swapped.item) in kinds or any(unit == swapped.item for _, unit in kinds)
    assert not any("double" in kind for kind, _ in kinds)


@pytest.mark.slow
def test_the_same_article_alone_and_in_two_bundles_of_a_kind(at_harness: Harness) -> None:
    sold = at_harness.sell_bundle("100.00", *PARTS[:2], twice=True, alone=[("DRESS-S", "70.00")])
    first = at_harness.comes_back(sold, 0, row=False)
    at_harness.settle()
    assert at_harness.refunded(sold) == Decimal("70.00")
    other = at_harness.comes_back(sold, 2, row=False)
    shirt = at_harness.comes_back(sold, 3, row=False)
    at_harness.settle()
    assert at_harness.refunded(sold) == Decimal("170.00")
    at_harness.comes_back(sold, 3, row=False)
    at_harness.comes_back(sold, 2, row=False)
    too_many = at_harness.comes_back(sold, 2, row=False, started_days_ago=1)
    at_harness.settle()
    assert at_harness.refunded(sold) == Decimal("270.00")
    assert at_harness.rows("select reason from matching.matched_items where return_item_id = ?", too_many.item) == [
        ("more_units_than_shipped",)
    ]
    assert {first.item, other.item, shirt.item} <= set(at_harness.states())


@pytest.mark.parametrize(("country", "state"), mostly_slow([("US", "NY"), ("CH", None)], ("CH", None)))
def test_the_tax_of_a_bundle_is_given_back_with_it(tmp_path: Path, country: str, state: str | None) -> None:
    settings = CentraSettings(tax_engine_countries=("US",), export_countries=("CH",))
    with harness(tmp_path, centra=settings) as at_harness:
        sold = at_harness.sell_bundle("99.99", *PARTS, voucher="10.00", country=country, state=state)
        paid = at_harness.store.order_total(at_harness.store.order(sold.number))
        for line in (1, 2, 3):
            at_harness.comes_back(sold, line, row=False)
        at_harness.settle()
        assert abs(at_harness.refunded(sold) - paid) <= Decimal("0.02")
        assert [kind for kind, *_ in at_harness.reconcile() if kind != "not_graded"] == []


@pytest.mark.slow
def test_a_lost_database_finds_the_credit_of_a_bundle_again(at_harness: Harness) -> None:
    sold = at_harness.sell_bundle("100.00", *PARTS[:2])
    for line in (1, 2):
        at_harness.comes_back(sold, line, row=False)
    at_harness.fault("dropped_after", "RefundReturn")
    at_harness.sync()
    at_harness.forget()
    at_harness._changed.update(dict.fromkeys(at_harness._rows))
    at_harness.calm_down()
    at_harness.settle()
    assert named(at_harness, sold) == [{sold.lines[0]: 1}]
    assert at_harness.refunded(sold) == Decimal("100.00")


@pytest.mark.slow
def test_of_a_bundle_of_which_someone_gave_a_part_back_the_rest_waits(tmp_path: Path) -> None:
    with harness(tmp_path, centra=CentraSettings(returns_may_name_parts=True)) as at_harness:
        known, raced = (at_harness.sell_bundle("100.00", *PARTS[:2]) for _ in range(2))
        for sold in (known, raced):
            for line in (1, 2):
                at_harness.comes_back(sold, line, row=False)
        at_harness.act("return_and_refund", shipment_id=known.shipment, lines={known.lines[1]: 1})
        at_harness.plan()
        # While the plan is on its way, somebody does the same with the other one.
        at_harness.act("return_and_refund", shipment_id=raced.shipment, lines={raced.lines[1]: 1})
        at_harness.push()
        at_harness.settle()
        for sold in (known, raced):
            assert named(at_harness, sold) == [{sold.lines[1]: 1}]
            assert at_harness.refunded(sold) == Decimal("66.66")
        assert all("another part of which was given back alone" in why for why in waiting(at_harness).values())
        assert len(waiting(at_harness)) == 2
