"""What Happy Returns takes back or corrects after money or goods have gone out, or before they do."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.keys import effect_key, packet_key
from hr_centra_pipeline.push import approvals
from hr_centra_pipeline.push.approvals import Signature
from hr_centra_pipeline.push.ledger import follow_returns
from hr_centra_pipeline.warehouse import models
from hr_centra_pipeline_tests.reconciliation.ledger_fixture import DROPPED, HOUR, NOW, LedgerFixture
from hr_centra_pipeline_tests.staged import put

CARL = Signature("Carl", "asked the shopper", NOW)
CORRECTED = "corrected_after"


def restocked(ledger: LedgerFixture, unit: str, sku: str, *, warehouse: int = 1) -> None:
    """A movement of ours into a warehouse that Centra and the ledger show."""
    key = effect_key("inventory_adjustment", unit, "1")
    packet = packet_key([key])
    ledger.connection.execute(
        "insert into push.packets (packet_key, operation, members, payload, step, state, centra_id, payments_sent, created_at,"
        " updated_at) values (?, 'stock', ?, ?, 'done', 'confirmed', '77', 0, ?, ?)",
        [packet, [key], f'{{"sizes": [{{"sku": "{sku}", "quantity": 1, "members": ["{key}"]}}]}}', DROPPED, DROPPED],
    )
    ledger.connection.execute(
        "insert into push.ledger (effect_key, effect_kind, packet_key, return_item_id, order_number, warehouse_id, state,"
        " centra_id, is_foreign, updated_at, confirmed_at) values (?, 'inventory_adjustment', ?, ?, ?, ?, 'confirmed', '77',"
        " false, ?, ?)",
        [key, packet, unit, unit.split("-")[0], warehouse, DROPPED, DROPPED],
    )


def correct(ledger: LedgerFixture, unit: str, **columns: str) -> None:
    for name, value in columns.items():
        ledger.connection.execute(
            f"update staging.return_items set {name} = ?, source_time = ? where return_item_id = ?", [value, NOW, unit]
        )


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "verb"), [("credit_note", "Credited"), ("exchange_order", "Exchanged")])
def test_a_unit_that_is_of_another_order_after_its_credit_or_exchange_is_reported_at_once(
    ledger: LedgerFixture, kind: str, verb: str
) -> None:
    ledger.sold("1001")
    ledger.sold("1002")
    more: dict[str, Any] = {"refund_type": "exchange", "exchange_sku": "SKU-9"} if kind == "exchange_order" else {}
    units = ledger.returned("1001", **more)
    ledger.credited("1001", units, 1, kind=kind, paid=kind == "credit_note")
    ledger.reconcile()
    assert ledger.open(CORRECTED) == []
    correct(ledger, "1001-0", order_number="1002", sku="SKU-1002")
    ledger.reconcile()
    ((detail, order),) = ledger.rows(
        f"select detail, order_number from reconciliation.exceptions where kind like '{CORRECTED}%'"
    )
    assert order == "1002"
    assert detail.startswith(f"{verb} as SKU-1001 of order 1001, 125.00 EUR")
    assert "now says SKU-1002 of order 1002" in detail
    # Once is enough: the other order gives nothing on top.
    assert ledger.rows("select effect_key from effects.pending_credit_notes") == []
    assert ledger.rows("select effect_key from effects.pending_exchange_orders") == []
    correct(ledger, "1001-0", order_number="1001", sku="SKU-1001")
    ledger.reconcile()
    assert ledger.open(CORRECTED) == []


def moved(ledger: LedgerFixture, **columns: str) -> None:
    """A unit that was credited on order 1001, and is of order 1002, where it cost less, in all files by now."""
    ledger.sold("1001")
    ledger.sold("1002", price="100")
    units = ledger.returned("1001")
    ledger.told("1001", units)
    ledger.credited("1001", units, 1)
    correct(ledger, "1001-0", order_number="1002", sku="SKU-1002", **columns)
    for table in ("returns", "refunds"):
        ledger.connection.execute(f"update staging.{table} set order_number = '1002'")
    ledger.reconcile()


def of_money(ledger: LedgerFixture) -> list[str]:
    """The kinds of what is open, but for goods and status notes, which nobody has sent here."""
    return [row[0] for row in ledger.open("") if row[0] not in ("return_without_stock_movement", "status_not_updated")]


@pytest.mark.parametrize("is_row_moved", [True, False])
def test_the_amounts_of_a_unit_that_was_credited_on_another_order_are_no_trouble_of_their_own(
    ledger: LedgerFixture, is_row_moved: bool
) -> None:
    moved(ledger)
    if not is_row_moved:
        ledger.connection.execute("update staging.refunds set order_number = '1001'")
        ledger.reconcile()
    assert of_money(ledger) == ["corrected_after_credit"]


def test_a_unit_that_is_of_another_order_and_refused_is_one_exception_that_names_the_order_of_the_money(
    ledger: LedgerFixture,
) -> None:
    moved(ledger, disposition="missing")
    assert of_money(ledger) == ["credited_item_refused"]
    ((detail,),) = ledger.rows("select detail from reconciliation.exceptions where kind = 'credited_item_refused'")
    assert detail.startswith(
        "Graded missing after the money was given back. Credited as SKU-1001 of order 1001, 125.00"
    )


def test_a_return_by_hand_that_counted_for_the_unit_on_its_former_order_is_not_paid_again_on_the_other(
    ledger: LedgerFixture,
) -> None:
    ledger.sold("1001")
    ledger.sold("1002")
    units = ledger.returned("1001")
    ledger.credited("1001", units, 1, by_person=True)
    ledger.reconcile()
    correct(ledger, "1001-0", order_number="1002", sku="SKU-1002")
    ledger.reconcile()
    assert ledger.rows("select effect_key from effects.pending_credit_notes") == []
    assert [row[0] for row in ledger.open(CORRECTED)] == ["corrected_after_credit"]


def test_a_unit_that_is_of_another_order_before_anything_was_given_is_credited_there(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    ledger.sold("1002")
    units = ledger.returned("1001")
    ledger.told("1001", units)
    ledger.reconcile()
    correct(ledger, "1001-0", order_number="1002", sku="SKU-1002")
    ledger.reconcile()
    assert ledger.open(CORRECTED) == []
    assert ledger.rows("select order_number, shipment_line_id from effects.pending_credit_notes") == [("1002", 1002)]


def test_a_credited_unit_that_names_another_return_now_is_reported(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001")
    ledger.credited("1001", units, 1)
    correct(ledger, "1001-0", return_id="R-1009")
    ledger.reconcile()
    assert [row[:2] for row in ledger.open(CORRECTED)] == [("corrected_after_credit", "R-1009")]


def another_article(ledger: LedgerFixture, number: str, price: str = "125") -> None:
    """A second line of the order: SKU-B."""
    put(
        ledger.connection, "staging.order_lines", order_line_id="5000", order_number=number, sku="SKU-B", is_product=True,
        quantity=1, unit_price=price, tax_percent=25,
    )  # fmt: skip
    put(
        ledger.connection, "staging.shipment_lines", shipment_line_id=5000, shipment_id=int(number), order_number=number,
        order_line_id="5000", quantity=1, unit_price=price, unit_tax=Decimal(price) / 5, currency="EUR",
    )  # fmt: skip


@pytest.mark.slow
def test_an_article_that_is_corrected_after_credit_and_restock_is_reported_for_the_money_and_for_the_goods(
    ledger: LedgerFixture,
) -> None:
    ledger.sold("1001")
    another_article(ledger, "1001", "80")
    units = ledger.returned("1001")
    ledger.credited("1001", units, 1)
    restocked(ledger, "1001-0", "SKU-1001")
    ledger.reconcile()
    assert ledger.open(CORRECTED) == []
    correct(ledger, "1001-0", sku="SKU-B")
    ledger.reconcile()
    assert [row[0] for row in ledger.open(CORRECTED)] == ["corrected_after_credit", "corrected_after_restock"]
    # Graded otherwise now, it is moved on as what it was booked as: the correction is one whole.
    correct(ledger, "1001-0", disposition="damaged")
    ledger.connection.execute("update policy.dispositions set warehouse_id = 3 where disposition = 'damaged'")
    ledger.reconcile()
    moves = ledger.rows("select distinct sku from effects.pending_inventory_adjustments")
    assert moves in ([], [("SKU-1001",)])


def test_an_article_that_is_corrected_between_credit_and_restock_is_put_back_as_what_it_is(
    ledger: LedgerFixture,
) -> None:
    ledger.sold("1001")
    another_article(ledger, "1001", "80")
    units = ledger.returned("1001")
    ledger.credited("1001", units, 1)
    correct(ledger, "1001-0", sku="SKU-B")
    ledger.reconcile()
    assert [row[0] for row in ledger.open(CORRECTED)] == ["corrected_after_credit"]
    assert ledger.rows("select sku from effects.pending_inventory_adjustments") == [("SKU-B",)]


def test_an_article_that_is_corrected_after_its_restock_and_before_its_credit_is_reported_for_the_goods_alone(
    ledger: LedgerFixture,
) -> None:
    ledger.sold("1001")
    another_article(ledger, "1001", "80")
    units = ledger.returned("1001")
    ledger.told("1001", units, items="64", tax="16")
    restocked(ledger, "1001-0", "SKU-1001")
    correct(ledger, "1001-0", sku="SKU-B")
    ledger.reconcile()
    assert [row[0] for row in ledger.open(CORRECTED)] == ["corrected_after_restock"]
    assert ledger.rows("select amount from effects.pending_credit_notes") == [(Decimal(80),)]


def test_the_same_article_of_another_order_is_in_stock_as_it_should(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    ledger.sold("1002")
    ledger.returned("1001")
    restocked(ledger, "1001-0", "SKU-1001")
    ledger.connection.execute("update staging.order_lines set sku = 'SKU-1001' where order_number = '1002'")
    correct(ledger, "1001-0", order_number="1002")
    ledger.reconcile()
    assert ledger.open(CORRECTED) == []


@pytest.mark.parametrize("grade", ["wrong-item", "missing"])
def test_a_unit_that_is_refused_after_its_refund_row_and_before_our_credit_is_reported_to_customer_service(
    ledger: LedgerFixture, grade: str
) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001")
    ledger.told("1001", units)
    correct(ledger, "1001-0", disposition=grade)
    ledger.reconcile()
    assert ledger.open("promised_item_refused") == [("promised_item_refused", "R-1001", Decimal(125), "happy_returns")]
    assert ledger.rows("select effect_key from effects.pending_credit_notes") == []
    owners = ledger.rows("select owner_team from reconciliation.exceptions where kind = 'promised_item_refused'")
    assert owners == [("customer_service",)]
    correct(ledger, "1001-0", disposition="sellable")
    ledger.reconcile()
    assert ledger.open("promised_item_refused") == []
    assert len(ledger.rows("select effect_key from effects.pending_credit_notes")) == 1


def test_an_approval_that_is_taken_back_after_the_refund_row_is_reported_though_the_row_names_no_units(
    ledger: LedgerFixture,
) -> None:
    ledger.sold("1001")
    ledger.returned(
        "1001", approved_at=None, approval_withdrawn_at=DROPPED + 3 * HOUR, disposition=None, disposition_at=None
    )
    ledger.told("1001", [], at=DROPPED + HOUR)
    ledger.reconcile()
    assert [row[1] for row in ledger.open("promised_item_refused")] == ["R-1001"]


def test_a_unit_that_is_refused_after_our_credit_is_no_broken_promise_and_one_without_a_row_is_none(
    ledger: LedgerFixture,
) -> None:
    for number in ("1001", "1002", "1003"):
        ledger.sold(number)
        ledger.returned(number, disposition="missing")
    ledger.told("1001", ["1001-0"])
    ledger.credited("1001", ["1001-0"], 1)
    ledger.told("1003", ["1003-0"], status="failed")
    ledger.reconcile()
    assert ledger.open("promised_item_refused") == []
    assert [row[1] for row in ledger.open("credited_item_refused")] == ["R-1001"]


def test_an_exchange_that_someone_refunded_after_it_was_reported_needs_no_further_word(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001", refund_type="exchange", exchange_sku=None)
    ledger.reconcile(DROPPED + timedelta(days=5))
    assert [row[0] for row in ledger.open("exchange_without_order")] == ["exchange_without_order"]
    ledger.credited("1001", units, 1, by_person=True, at=DROPPED + timedelta(days=6))
    ledger.reconcile()
    assert ledger.open("exchange_without_order") == []


def test_a_piece_on_a_return_by_hand_that_may_be_another_is_paid_once_a_person_has_tied_it(
    ledger: LedgerFixture,
) -> None:
    ledger.sold("1001", pieces=2)
    units = ledger.returned("1001")
    ledger.told("1001", units)
    ledger.credited("1001", [], 7, by_person=True, at=DROPPED - timedelta(days=2))
    ledger.reconcile()
    ((blocked,),) = ledger.rows("select blocked_by from effects.pending_credit_notes")
    assert blocked.startswith("another user's Return 7 in Centra may be for it")
    assert [row[0] for row in ledger.open("return_without_credit_note", "centra_return_without")] == [
        "centra_return_without_return", "return_without_credit_note",
    ]  # fmt: skip
    for wrong, units_named in ((8, []), (7, ["1002-0"])):
        with pytest.raises(ConfigurationError):
            approvals.tie_return(ledger.connection, CARL, wrong, units_named)
    approvals.tie_return(ledger.connection, CARL, 7, [])
    with pytest.raises(ConfigurationError, match="has tied it"):
        approvals.tie_return(ledger.connection, CARL, 7, units)
    ledger.reconcile()
    assert ledger.rows("select blocked_by from effects.pending_credit_notes") == [(None,)]
    assert ledger.open("centra_return_without") == []


def test_what_is_received_is_credited_although_an_earlier_return_of_the_piece_has_expired(
    ledger: LedgerFixture,
) -> None:
    ledger.sold("1001")
    units = ledger.returned("1001")
    ledger.told("1001", units)
    put(
        ledger.connection, "staging.return_items", return_item_id="early", return_id="R-early", order_number="1001",
        refund_type="refund", sku="SKU-1001", return_created_at=DROPPED - timedelta(days=11), return_status="expired",
        dropoff_method="return-bar",
    )  # fmt: skip
    ledger.reconcile()
    assert ledger.rows("select return_item_id, blocked_by from effects.pending_credit_notes") == [("1001-0", None)]
    assert ledger.open("item_without_shipment_line") == []


def test_a_unit_whose_line_nothing_shows_is_credited_as_the_line_that_a_person_names(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    another_article(ledger, "1001", "80")
    ledger.connection.execute("update staging.order_lines set sku = 'SKU-1001' where order_line_id = '5000'")
    ledger.returned("1001")
    ledger.reconcile()
    ((blocked,),) = ledger.rows("select blocked_by from effects.pending_credit_notes")
    assert blocked == (
        "its article SKU-1001 was sold at several prices on the order, and neither line id nor refund row identifies which"
    )
    assert ledger.rows("select culprit from reconciliation.exceptions where kind = 'return_without_credit_note'") == [
        ("happy_returns",)
    ]
    for line, units in ((9999, ["1001-0"]), (5000, []), (5000, ["1002-0"])):
        with pytest.raises(ConfigurationError):
            approvals.tie_line(ledger.connection, CARL, line, units)
    approvals.tie_line(ledger.connection, CARL, 5000, ["1001-0"])
    ledger.reconcile()
    assert ledger.rows("select blocked_by, amount from effects.pending_credit_notes") == [(None, Decimal(80))]


@pytest.mark.slow
def test_shipping_of_a_whole_order_is_not_given_back_for_a_piece_that_never_came(ledger: LedgerFixture) -> None:
    ledger.connection.execute(
        "update policy.parameters set shipping_rule = 'when_whole_order_returned', shipping_source = 'policy'"
    )
    ledger.sold("1001", pieces=2, shipping="10")
    ledger.returned("1001")
    ledger.told("1001", ["1001-0"])
    put(
        ledger.connection, "staging.return_items", return_item_id="early", return_id="R-early", order_number="1001",
        refund_type="refund", sku="SKU-1001", return_created_at=DROPPED, return_status="started", dropoff_method="return-bar",
    )  # fmt: skip
    for status in ("started", "expired"):
        correct(ledger, "early", return_status=status)
        ledger.reconcile()
        assert ledger.rows("select distinct effect_kind from effects.pending_credit_notes") == [("credit_note",)]
    correct(ledger, "early", return_status="approved", approved_at=str(DROPPED), received_at=str(DROPPED))
    ledger.reconcile()
    assert [
        row[0] for row in ledger.rows("select distinct effect_kind from effects.pending_credit_notes order by 1")
    ] == ["credit_note", "shipping_refund"]


def replaced(ledger: LedgerFixture, *, ordered: str = "SKU-9001", asked: str = "SKU-9001") -> str:
    """A unit for which order 9001 was made as its replacement."""
    ledger.sold("1001")
    ledger.sold("9001", price="0")
    ((unit,)) = ledger.returned("1001", refund_type="exchange", exchange_sku=asked)
    ledger.credited("1001", [unit], 1, kind="exchange_order", paid=False)
    key = effect_key("exchange_order", unit)
    packet = packet_key([key])
    ledger.connection.execute("update push.ledger set packet_key = ?, centra_id = '9001'", [packet])
    ledger.connection.execute("update staging.orders set origin_return_key = ? where order_number = '9001'", [packet])
    ledger.connection.execute(
        "insert into push.packets (packet_key, operation, members, payload, step, state, centra_id, payments_sent, created_at,"
        " updated_at) values (?, 'exchange', ?, ?, 'done', 'confirmed', '1', 0, ?, ?)",
        [
            packet,
            [key],
            f'{{"replacements": [{{"sku": "{ordered}", "quantity": 1, "members": ["{key}"]}}]}}',
            DROPPED,
            DROPPED,
        ],
    )
    return unit


def test_what_is_ordered_a_third_time_after_the_database_was_lost_is_for_the_first_one_s_return(
    ledger: LedgerFixture,
) -> None:
    unit = replaced(ledger)
    ledger.sold("9002", price="0")
    again = effect_key("exchange_order", unit, "2")
    # Ordered again for Return 1; what its packet was is lost, and its order tells the packet alone.
    ledger.connection.execute(
        "insert into push.ledger by name (select * replace (? as effect_key, ? as packet_key, '9002' as centra_id) from push.ledger"
        " where effect_kind = 'exchange_order')",
        [again, packet_key([again])],
    )
    ledger.connection.execute("delete from push.packets")
    ledger.connection.execute(
        "update staging.orders set is_cancelled = true, status = 'DELETED' where order_number in ('9001', '9002')"
    )
    ledger.connection.execute(
        "insert into push.exchange_decisions values ('D', ?, 2, 'order_again', 'Carla', null, 'asked the shopper', ?)",
        [unit, DROPPED],
    )
    ledger.reconcile()
    third = (
        "select effect_key, origin_return_id from effects.pending_exchange_orders where effect_kind = 'exchange_order'"
    )
    assert ledger.rows(third) == [(effect_key("exchange_order", unit, "3"), 1)]


def test_what_a_restored_database_says_of_a_packet_that_was_sent_again_since_is_not_where_its_replacement_is_made_from(
    ledger: LedgerFixture,
) -> None:
    unit = replaced(ledger)
    ledger.connection.execute(
        "update push.packets set centra_id = '77', state = 'rejected' where operation = 'exchange'"
    )
    ledger.connection.execute(
        "update staging.orders set is_cancelled = true, status = 'DELETED' where order_number = '9001'"
    )
    ledger.connection.execute(
        "insert into push.exchange_decisions values ('D', ?, 1, 'order_again', 'Carla', null, 'asked the shopper', ?)",
        [unit, DROPPED],
    )
    ledger.reconcile()
    again = "select origin_return_id from effects.pending_exchange_orders where effect_kind = 'exchange_order'"
    assert ledger.rows(again) == [(1,)]


def again_under_its_key(
    ledger: LedgerFixture, *, packet_state: str, known_by: str | None = "deleted", **second: Any
) -> None:
    """Of the replacement's packet our rows know Return 77; under its key Centra shows Return 1. ``known_by``: how 77 is gone."""
    replaced(ledger)
    ledger.connection.execute(
        "update push.packets set centra_id = '77', state = ? where operation = 'exchange'", [packet_state]
    )
    for name, value in second.items():
        ledger.connection.execute(f"update staging.centra_returns set {name} = ? where centra_return_id = 1", [value])
    gone(ledger, known_by)


def gone(ledger: LedgerFixture, known_by: str | None) -> None:
    """Centra does not have Return 77: by a row that says so, by a pull that has not shown it, or (None) nobody knows yet."""
    if known_by == "deleted":
        ledger.connection.execute(
            "insert into staging.centra_returns by name (select * replace (77 as centra_return_id, ? as deleted_at,"
            " null as packet_key) from staging.centra_returns where centra_return_id = 1)",
            [DROPPED],
        )
    if known_by == "a pull":
        ledger.connection.execute("update landing.centra_pulls set fetched_at = ? where \"object\" = 'returns'", [NOW])
    all_active(ledger)


def all_active(ledger: LedgerFixture) -> None:
    ledger.connection.execute("insert into matching.orders_in_play select order_number from staging.orders")


def is_gone(ledger: LedgerFixture) -> bool:
    models.run(ledger.connection, ["gone_returns"])
    return ledger.rows("select centra_return_id from gone_returns") == [(77,)]


def made_return(ledger: LedgerFixture) -> list[tuple[Any, ...]]:
    models.run(ledger.connection, ["packet_returns"])
    return ledger.rows("select made_return_id from packet_returns")


@pytest.mark.parametrize("known_by", ["deleted", "a pull"])
def test_our_return_is_not_gone_when_its_packet_was_sent_again_and_completed_under_the_same_key(
    ledger: LedgerFixture, known_by: str
) -> None:
    again_under_its_key(ledger, packet_state="confirmed", known_by=known_by)
    assert not is_gone(ledger)
    assert made_return(ledger) == [(1,)]


def test_a_return_under_the_same_key_that_is_not_completed_takes_the_place_of_none_that_was(
    ledger: LedgerFixture,
) -> None:
    again_under_its_key(ledger, packet_state="confirmed", is_completed=False)
    assert is_gone(ledger)
    assert made_return(ledger) == [(77,)]


def test_our_return_that_was_made_in_the_place_of_one_that_is_gone_and_is_not_completed_is_an_exception(
    ledger: LedgerFixture,
) -> None:
    again_under_its_key(ledger, packet_state="confirmed", is_completed=False, fetched_at=DROPPED)
    ledger.reconcile()
    told = "select detail from reconciliation.exceptions where kind = 'return_without_credit_note'"
    assert ("Our Return 1 was made in the place of one that is gone, and is not completed",) in ledger.rows(told)


def test_of_a_packet_in_doubt_whose_return_is_gone_the_one_under_its_key_is_looked_at_though_it_is_pending(
    ledger: LedgerFixture,
) -> None:
    again_under_its_key(ledger, packet_state="unknown", is_completed=False)
    follow_returns(ledger.connection)
    assert ledger.rows("select centra_id from push.packets") == [("1",)]
    assert ledger.rows("select centra_id from push.ledger") == [("9001",)]  # the replacement order's number


def test_a_return_that_no_pull_can_have_shown_yet_is_the_one_that_was_made(ledger: LedgerFixture) -> None:
    again_under_its_key(ledger, packet_state="confirmed", known_by=None)
    assert made_return(ledger) == [(77,)]


def test_of_two_returns_under_one_key_the_one_that_was_paid_counts(ledger: LedgerFixture) -> None:
    again_under_its_key(ledger, packet_state="confirmed")
    ledger.connection.execute(
        "insert into staging.centra_returns by name"
        " (select * replace (2 as centra_return_id) from staging.centra_returns where centra_return_id = 1)"
    )
    ledger.paid("1001", 2, "125")
    assert made_return(ledger) == [(2,)]


def test_the_ledger_names_the_return_that_centra_shows_after_it_was_sent_again(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    (unit,) = ledger.returned("1001")
    ledger.credited("1001", [unit], 1)
    key = effect_key("credit_note", unit)
    ledger.connection.execute("update push.ledger set packet_key = ?, centra_id = '77'", [packet_key([key])])
    ledger.connection.execute(
        "insert into push.packets (packet_key, operation, members, payload, step, state, centra_id, payments_sent, created_at,"
        " updated_at) values (?, 'credit', ?, '{}', 'done', 'confirmed', '77', 1, ?, ?)",
        [packet_key([key]), [key], DROPPED, DROPPED],
    )
    ledger.connection.execute("update staging.centra_returns set packet_key = ?", [packet_key([key])])
    gone(ledger, "deleted")
    follow_returns(ledger.connection)
    assert ledger.rows("select distinct centra_id from push.ledger union select centra_id from push.packets") == [
        ("1",)
    ]


@pytest.mark.slow
def test_another_article_that_is_asked_for_after_the_replacement_was_ordered_names_both_and_the_order(
    ledger: LedgerFixture,
) -> None:
    unit = replaced(ledger)
    ledger.reconcile()
    assert ledger.open(CORRECTED) == []
    correct(ledger, unit, exchange_sku="SHIRT-M")
    ledger.reconcile()
    ((kind, detail),) = ledger.rows(
        f"select kind, detail from reconciliation.exceptions where kind like '{CORRECTED}%'"
    )
    assert kind == "corrected_after_credit"
    assert "SKU-9001 was ordered as its replacement (order 9001" in detail
    assert detail.endswith("Happy Returns now asks for SHIRT-M")
    correct(ledger, unit, exchange_sku="SKU-9001")
    ledger.reconcile()
    assert ledger.open(CORRECTED) == []


def test_an_article_that_a_person_puts_into_the_replacement_order_as_it_is_asked_for_ends_the_question(
    ledger: LedgerFixture,
) -> None:
    unit = replaced(ledger)
    correct(ledger, unit, exchange_sku="SHIRT-M")
    ledger.reconcile()
    assert len(ledger.open(CORRECTED)) == 1
    ledger.connection.execute("update staging.order_lines set sku = 'SHIRT-M' where order_number = '9001'")
    ledger.reconcile()
    assert ledger.open(CORRECTED) == []


def test_another_article_that_a_person_puts_into_the_replacement_order_is_that_persons_decision(
    ledger: LedgerFixture,
) -> None:
    replaced(ledger, ordered="DRESS-M", asked="DRESS-M")
    ledger.reconcile()
    assert ledger.open(CORRECTED) == []


def test_a_refund_row_for_a_unit_whose_replacement_was_ordered_is_reported_with_the_money_at_stake(
    ledger: LedgerFixture,
) -> None:
    unit = replaced(ledger)
    ledger.told("1001", [unit])
    ledger.reconcile()
    assert ledger.open("refund_mismatch") == [("refund_mismatch_items", "R-1001", Decimal(125), "happy_returns")]
    ((detail,),) = ledger.rows("select detail from reconciliation.exceptions where kind = 'refund_mismatch_items'")
    assert f"RF-1001 says that 125.00 EUR were refunded for {unit} (replacement order 9001)" in detail
    ledger.connection.execute("update staging.refunds set status = 'failed'")
    ledger.reconcile()
    assert ledger.open("refund_mismatch") == []


@pytest.mark.parametrize(("grade", "is_owed"), [("sellable", True), ("missing", False), ("wrong-item", False)])
def test_a_replacement_that_comes_back_is_worth_the_money_of_what_it_replaced_unless_that_was_kept(
    ledger: LedgerFixture, grade: str, is_owed: bool
) -> None:
    unit = replaced(ledger)
    (back,) = ledger.returned("9001")
    correct(ledger, unit, disposition=grade)
    ledger.reconcile()
    told = dict(ledger.rows("select return_item_id, detail from reconciliation.exceptions"))
    assert ("may be refunded by hand 125.00 EUR" in told[back]) is is_owed
    assert (f"in exchange for {unit}, which was refused: nothing may be refunded" in told[back]) is not is_owed
    assert ledger.rows(f"select refundable from effects.value_given_back where return_item_id = '{back}'") == [
        (Decimal(125 if is_owed else 0),)
    ]
    assert (unit in told and f"its replacement has come back ({back})" in told[unit]) is not is_owed
