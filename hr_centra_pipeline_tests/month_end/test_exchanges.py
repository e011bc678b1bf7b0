"""The list of a month's exchanges: which are of the month, and which are not finished."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from hr_centra_pipeline.month_end.compute import compute
from hr_centra_pipeline.push import approvals
from hr_centra_pipeline.push.approvals import Signature
from hr_centra_pipeline_tests.desk import Desk, Sold, Unit, desk


def exchanged(at_desk: Desk, sku: str = "DRESS-M", **given: float | str) -> tuple[Sold, Unit]:
    sold = at_desk.sell(("DRESS-S", 1, "100.00"))
    more = {"grade": "sellable", **given}
    return sold, at_desk.comes_back(sold, refund_type="exchange", exchange_sku=sku, **more)  # type: ignore[arg-type]


def listed(at_desk: Desk, month: str) -> dict[str, tuple[str | None, bool, bool, bool]]:
    """By unit: replacement order, is it shipped, was the money given instead, is the unit back."""
    with at_desk.warehouse.transaction() as connection:
        compute(connection, month, at_desk.clock.now())
    rows = at_desk.rows(
        "select return_item_id, replacement_order_number, is_shipped, is_refunded, is_back"
        " from month_end.month_exchanges where month = ?",
        month,
    )
    return {row[0]: row[1:] for row in rows}


def test_an_exchange_is_listed_until_the_replacement_is_shipped_and_the_unit_is_back(tmp_path: Path) -> None:
    with desk(tmp_path) as at_desk:
        at_desk.article("GONE-M", stock=0)
        _, ours = exchanged(at_desk)
        sent_by_hand = at_desk.sell(("DRESS-M", 1, "100.00"))
        at_desk.settle()
        (order,) = at_desk.orders_of_ours()
        by_hand_sold, by_hand = exchanged(at_desk, "GONE-M")
        paid_sold, paid = exchanged(at_desk, "GONE-M")
        _, waits = exchanged(at_desk, "GONE-M")
        _, missing = exchanged(at_desk, grade="missing")
        _, of_before = exchanged(at_desk, days_ago=80, started_days_ago=90)
        at_desk.settle()
        at_desk.clock.advance_to(at_desk.clock.now() + timedelta(minutes=1))
        september = listed(at_desk, "2026-09")
        assert september.keys() == {unit.item for unit in (ours, by_hand, paid, waits, missing)}
        assert of_before.item not in september  # others were to replace it
        assert september[ours.item] == (str(order["number"]), False, False, True)

        at_desk.clock.advance_to(at_desk.clock.now() + timedelta(days=2))
        at_desk.store.ship(order["number"], at=at_desk.clock.now(), warehouse_id=1, captured=False)
        at_desk.act("return", shipment_id=by_hand_sold.shipment, lines={by_hand_sold.lines[0]: 1})
        at_desk.act("return_and_refund", shipment_id=paid_sold.shipment, lines={paid_sold.lines[0]: 1})
        at_desk.settle()
        with at_desk.warehouse.transaction() as connection:
            signature = Signature("Carl", "sent by hand", at_desk.clock.now())
            approvals.tie_order(connection, signature, str(sent_by_hand.number), [by_hand.item])
        at_desk.settle()
        at_desk.clock.advance_to(at_desk.clock.now() + timedelta(minutes=1))
        october = listed(at_desk, "2026-10")
        assert october == {waits.item: (None, False, False, True)}
        # As it stood at the end of September, whatever came later.
        assert listed(at_desk, "2026-09")[ours.item] == (str(order["number"]), False, False, True)
