"""The list of a month's exchanges: which are of the month, and which are not finished."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from hr_centra_pipeline.month_end.compute import compute
from hr_centra_pipeline.push import approvals
from hr_centra_pipeline.push.approvals import Signature
from hr_centra_pipeline_tests.harness import Harness, Sold, Unit, harness


def exchanged(at_harness: Harness, sku: str = "DRESS-M", **given: float | str) -> tuple[Sold, Unit]:
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    more = {"grade": "sellable", **given}
    return sold, at_harness.comes_back(sold, refund_type="exchange", exchange_sku=sku, **more)  # type: ignore[arg-type]


def listed(at_harness: Harness, month: str) -> dict[str, tuple[str | None, bool, bool, bool]]:
    """By unit: replacement order, is it shipped, was the money given instead, is the unit back."""
    with at_harness.warehouse.transaction() as connection:
        compute(connection, month, at_harness.clock.now())
    rows = at_harness.rows(
        "select return_item_id, replacement_order_number, is_shipped, is_refunded, is_back"
        " from month_end.month_exchanges where month = ?",
        month,
    )
    return {row[0]: row[1:] for row in rows}


def test_an_exchange_is_listed_until_the_replacement_is_shipped_and_the_unit_is_back(tmp_path: Path) -> None:
    with harness(tmp_path) as at_harness:
        at_harness.article("GONE-M", stock=0)
        _, ours = exchanged(at_harness)
        sent_by_hand = at_harness.sell(("DRESS-M", 1, "100.00"))
        at_harness.settle()
        (order,) = at_harness.orders_of_ours()
        by_hand_sold, by_hand = exchanged(at_harness, "GONE-M")
        paid_sold, paid = exchanged(at_harness, "GONE-M")
        _, waits = exchanged(at_harness, "GONE-M")
        _, missing = exchanged(at_harness, grade="missing")
        _, of_before = exchanged(at_harness, days_ago=80, started_days_ago=90)
        at_harness.settle()
        at_harness.clock.advance_to(at_harness.clock.now() + timedelta(minutes=1))
        september = listed(at_harness, "2026-09")
        assert september.keys() == {unit.item for unit in (ours, by_hand, paid, waits, missing)}
        assert of_before.item not in september  # others were to replace it
        assert september[ours.item] == (str(order["number"]), False, False, True)

        at_harness.clock.advance_to(at_harness.clock.now() + timedelta(days=2))
        at_harness.store.ship(order["number"], at=at_harness.clock.now(), warehouse_id=1, captured=False)
        at_harness.act("return", shipment_id=by_hand_sold.shipment, lines={by_hand_sold.lines[0]: 1})
        at_harness.act("return_and_refund", shipment_id=paid_sold.shipment, lines={paid_sold.lines[0]: 1})
        at_harness.settle()
        with at_harness.warehouse.transaction() as connection:
            signature = Signature("Carl", "sent by hand", at_harness.clock.now())
            approvals.tie_order(connection, signature, str(sent_by_hand.number), [by_hand.item])
        at_harness.settle()
        at_harness.clock.advance_to(at_harness.clock.now() + timedelta(minutes=1))
        october = listed(at_harness, "2026-10")
        assert october == {waits.item: (None, False, False, True)}
        # As it stood at the end of September, whatever came later.
        assert listed(at_harness, "2026-09")[ours.item] == (str(order["number"]), False, False, True)
