from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline_tests.reconciliation.kinds.alone import NOW, Alone


def test_an_external_return_with_units_that_happy_returns_does_not_know() -> None:
    alone = Alone("centra_return_without_return")
    for number, quantity in ((7, 2), (8, 1), (9, 1), (10, 1)):
        alone.put(
            "staging.centra_returns", centra_return_id=number, order_number="1001", currency="EUR", made_by="person",
            grand_total="200", created_at=NOW, packet_key="PK" if number == 9 else None,
        )  # fmt: skip
        alone.put(
            "staging.centra_return_lines",
            centra_return_id=number,
            shipment_line_id=number,
            quantity=quantity,
            line_value="200",
        )
    alone.put("matching.matched_items", return_item_id="IT-1", foreign_centra_return_id=7, shipment_line_id=7)
    alone.put("matching.matched_items", return_item_id="IT-2", foreign_centra_return_id=8, shipment_line_id=8)
    alone.put("push.ties", what="return", centra_id="10")
    assert alone.opened("identity", "culprit", "amount", "detail") == [
        (
            "Return 7", "person", Decimal(100),
            "Return 7 in Centra, made by a person, credits 1 unit of order 1001 that Happy Returns does not know",
        )
    ]  # fmt: skip


def test_its_units_are_known_or_the_return_is_gone() -> None:
    alone = Alone("centra_return_without_return")
    alone.put(
        "staging.centra_returns",
        {"centra_return_id": 7, "deleted_at": NOW},
        {"centra_return_id": 8},
        {"centra_return_id": 9},
    )
    alone.put("push.ties", what="return", centra_id="8")
    for number in (7, 8, 9, 10):
        alone.was_open(str(number), identity=f"Return {number}")
    assert alone.closed() == {
        "7": "the Return was deleted in Centra",
        "8": "a person has tied it to no return",
        "9": "the Return belongs to units of Happy Returns now",
    }
