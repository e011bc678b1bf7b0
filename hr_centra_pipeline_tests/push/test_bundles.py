"""Parts of bundles come back: what is credited, on which line, once; and what waits for whom."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from hr_centra_pipeline_tests.desk import MAIN, Desk, Sold

PARTS = (("DRESS-S", "60.00", 1), ("SHIRT-M", "30.00", 1), ("DRESS-M", "30.00", 1))
SHARING = {"bundles": {"some_parts": "share", "return_names_parts": True}}


def named(at_desk: Desk, sold: Sold) -> list[dict[int, int]]:
    """The lines that each Return of an order names."""
    return [row["lines"] for row in at_desk.returns_of(sold)]


def waiting(at_desk: Desk) -> dict[str, str]:
    """Why the credit of each unit waits."""
    return dict(
        at_desk.rows(
            "select return_item_id, blocked_by from effects.pending_credit_notes"
            " where effect_kind = 'credit_note' and blocked_by is not null"
        )
    )


def test_a_bundle_whose_parts_are_all_back_is_credited_once_by_its_own_line_and_its_parts_are_restocked(
    at_desk: Desk,
) -> None:
    at_once = at_desk.sell_bundle("99.99", *PARTS)
    in_steps = at_desk.sell_bundle("100.00", *PARTS, voucher="10.00")
    first = at_desk.comes_back(at_once, 1, grade="sellable", row=False)
    for line in (2, 3):
        at_desk.comes_back(at_once, line, with_unit=first, grade="sellable", row=False)
    one = at_desk.comes_back(in_steps, 1, grade="sellable", row=False)
    at_desk.settle()
    assert named(at_desk, at_once) == [{at_once.lines[0]: 1}]
    assert at_desk.refunded(at_once) == Decimal("99.99")
    # The other one waits, and says for what; its goods do not.
    assert named(at_desk, in_steps) == []
    (why,) = waiting(at_desk).values()
    assert "waits for SHIRT-M (not back), DRESS-M (not back); its share of the bundle's 100.00 EUR is 45.00 EUR" in why
    assert at_desk.moved("DRESS-S", MAIN) == 2
    at_desk.comes_back(in_steps, 2, row=False)
    at_desk.settle()
    assert named(at_desk, in_steps) == []
    at_desk.clock.advance_to(at_desk.clock.now() + timedelta(days=3))
    told = [(unit, detail) for kind, unit, detail in at_desk.reconcile() if kind == "return_without_credit_note"]
    assert (one.item, True) in [(unit, "waits for DRESS-M (not back)" in detail) for unit, detail in told]
    at_desk.comes_back(in_steps, 3, row=False)
    at_desk.settle()
    assert named(at_desk, in_steps) == [{in_steps.lines[0]: 1}]
    assert at_desk.refunded(in_steps) == Decimal("90.00")
    assert [kind for kind, *_ in at_desk.reconcile() if kind != "not_graded"] == []
