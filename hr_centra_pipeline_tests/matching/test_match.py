from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hr_centra_pipeline.core.keys import effect_key
from hr_centra_pipeline.effects.plan import plan
from hr_centra_pipeline.matching.match import match
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline_tests.staged import DAY, order, put, shipment, unit


def places(connection: Connection) -> dict[str, int | str]:
    """Unit to its shipment line, or to why it has none."""
    match(connection, DAY)
    rows = connection.execute(
        "select return_item_id, shipment_line_id, reason from matching.matched_items order by 1"
    ).fetchall()
    return {item: reason if line is None else line for item, line, reason in rows}


def test_a_unit_is_the_line_that_its_line_id_names(prepared: Connection) -> None:
    order(prepared, "1", ("10", "RED", 1), ("11", "RED", 1))
    unit(prepared, "a", "1", base_line_item_id="11", sku="RED")
    unit(prepared, "b", "1", base_line_item_id="10", sku="RED")
    assert places(prepared) == {"a": 11, "b": 10}


@pytest.mark.parametrize(
    ("told", "way"),
    [({"sku": "RED"}, "sku"), ({"upc": "4006"}, "ean"), ({"label_barcode": "0123"}, "upc"), ({"sku": "4006"}, "ean")],
)
def test_without_a_line_id_sku_ean_and_upc_tell(prepared: Connection, told: dict[str, str], way: str) -> None:
    order(prepared, "1", ("10", "BLUE", 1))
    put(
        prepared, "staging.order_lines", order_line_id="11", order_number="1", sku="RED", ean="4006", upc="0123", is_product=True
    )  # fmt: skip
    shipment(prepared, 2, "1", (21, "11", 1))
    unit(prepared, "a", "1", **told)
    assert places(prepared) == {"a": 21}
    assert prepared.execute("select matched_by from matching.matched_items").fetchall() == [(way,)]


def test_the_earliest_shipment_with_a_piece_left_is_filled_first(prepared: Connection) -> None:
    order(prepared, "1")
    put(prepared, "staging.order_lines", order_line_id="10", order_number="1", sku="RED", is_product=True, quantity=3)
    shipment(prepared, 2, "1", (20, "10", 1), at=DAY + timedelta(days=1))
    shipment(prepared, 3, "1", (30, "10", 2), at=DAY)
    for item in "abc":
        unit(prepared, item, "1", sku="RED")
    assert Counter(places(prepared).values()) == {30: 2, 20: 1}


def test_the_earlier_return_has_the_piece_and_the_surplus_unit_says_so(prepared: Connection) -> None:
    order(prepared, "1", ("10", "RED", 1))
    unit(prepared, "a", "1", sku="RED", return_created_at=DAY)
    unit(prepared, "b", "1", sku="RED", return_created_at=DAY - timedelta(days=1))
    assert places(prepared) == {"a": "more_units_than_shipped", "b": 10}


def test_a_place_is_frozen_once_an_effect_of_the_unit_was_sent(prepared: Connection) -> None:
    order(prepared, "1", ("10", "RED", 1))
    unit(prepared, "late", "1", sku="RED", return_created_at=DAY)
    prepared.execute(
        """
        insert into push.ledger (effect_key, effect_kind, return_item_id, order_number, shipment_line_id, state, updated_at)
        values (?, 'credit_note', 'late', '1', 10, 'unknown', now())
        """,
        [effect_key("credit_note", "late")],
    )
    unit(prepared, "early", "1", sku="RED", return_created_at=DAY - timedelta(days=9))
    assert places(prepared) == {"early": "more_units_than_shipped", "late": 10}


def test_our_own_return_that_centra_shows_does_not_push_its_unit_on_when_the_ledger_is_lost(
    prepared: Connection,
) -> None:
    order(prepared, "1", ("10", "RED", 1))
    shipment(prepared, 2, "1", (20, "10", 1), at=DAY + timedelta(days=1))
    unit(prepared, "a", "1", sku="RED")
    unit(prepared, "b", "1", sku="RED", return_created_at=DAY + timedelta(days=1))
    put(
        prepared, "staging.centra_returns", centra_return_id=7, order_number="1", shipment_id=2, status="COMPLETED",
        packet_key="PK" + "A" * 13, effect_keys=[effect_key("credit_note", "a")],
    )  # fmt: skip
    put(
        prepared, "staging.centra_return_lines", centra_return_line_id=70, centra_return_id=7, order_number="1",
        shipment_line_id=20, order_line_id="10",
    )  # fmt: skip
    assert places(prepared) == {"a": 20, "b": 10}


def foreign_return(connection: Connection, line: int, *, named: str | None = None, days_later: float = 1) -> None:
    put(
        connection, "staging.centra_returns", centra_return_id=7, order_number="1", shipment_id=1, status="COMPLETED",
        express_codes=[named] if named else [], created_at=DAY + timedelta(days=days_later),
    )  # fmt: skip
    put(
        connection, "staging.centra_return_lines", centra_return_line_id=70, centra_return_id=7, order_number="1",
        shipment_line_id=line, order_line_id=str(line),
    )  # fmt: skip


def adopted(connection: Connection) -> list[str]:
    rows = connection.execute(
        "select return_item_id from matching.matched_items where foreign_centra_return_id = 7"
    ).fetchall()
    return [item for (item,) in rows]


def test_an_external_return_counts_for_the_unit_whose_return_it_names(prepared: Connection) -> None:
    order(prepared, "1", ("10", "RED", 2))
    unit(prepared, "a", "1", sku="RED", express_code="HRAAAAAA")
    unit(prepared, "b", "1", sku="RED", express_code="HRBBBBBB")
    foreign_return(prepared, 10, named="HRBBBBBB")
    assert set(places(prepared).values()) == {10}
    assert adopted(prepared) == ["b"]


def test_an_external_return_of_the_only_piece_is_the_units_even_from_before_its_return_started(
    prepared: Connection,
) -> None:
    order(prepared, "1", ("10", "RED", 1))
    unit(prepared, "a", "1", sku="RED")
    foreign_return(prepared, 10, days_later=-3)
    assert places(prepared) == {"a": 10}
    assert adopted(prepared) == ["a"]


def doubts(connection: Connection) -> dict[str, tuple[str, int | None]]:
    match(connection, DAY)
    rows = connection.execute(
        "select return_item_id, doubt, doubtful_return_id from matching.matched_items where doubt is not null"
    ).fetchall()
    return {item: (doubt, return_id) for item, doubt, return_id in rows}


def tied(connection: Connection, what: str, centra_id: int, item: str | None) -> None:
    connection.execute(
        "insert into push.ties values ('T', ?, ?, '1', ?, null, null, 'Carl', null, 'asked', ?)",
        [what, str(centra_id), item, DAY],
    )


def test_an_external_return_that_may_be_another_piece_puts_the_unit_in_doubt_until_a_person_ties_it(
    prepared: Connection,
) -> None:
    order(prepared, "1", ("10", "RED", 2))
    unit(prepared, "a", "1", sku="RED", approved_at=DAY)
    foreign_return(prepared, 10, days_later=-0.04)
    assert doubts(prepared) == {"a": ("foreign_return", 7)}
    assert adopted(prepared) == []
    tied(prepared, "return", 7, "a")
    assert doubts(prepared) == {}
    assert adopted(prepared) == ["a"]


def test_a_return_that_a_person_has_tied_to_none_is_in_no_units_way(prepared: Connection) -> None:
    order(prepared, "1", ("10", "RED", 2))
    unit(prepared, "a", "1", sku="RED", approved_at=DAY)
    unit(prepared, "b", "1", sku="RED", approved_at=DAY, return_created_at=DAY + timedelta(hours=1))
    foreign_return(prepared, 10, days_later=-1)
    tied(prepared, "return", 7, None)
    assert places(prepared) == {"a": 10, "b": "more_units_than_shipped"}
    assert doubts(prepared) == {}


def test_of_two_units_for_two_pieces_the_one_that_is_left_over_is_on_an_external_return(
    prepared: Connection,
) -> None:
    order(prepared, "1", ("10", "RED", 2))
    unit(prepared, "a", "1", sku="RED", approved_at=DAY)
    unit(prepared, "b", "1", sku="RED", approved_at=DAY, return_created_at=DAY + timedelta(hours=1))
    foreign_return(prepared, 10, days_later=-1)
    assert places(prepared) == {"a": 10, "b": 10}
    assert adopted(prepared) == ["b"]
    assert doubts(prepared) == {}


def test_an_external_return_on_another_line_of_the_article_is_in_the_way_only_of_units_that_may_be_that_line(
    prepared: Connection,
) -> None:
    order(prepared, "1", ("10", "RED", 1), ("11", "RED", 1))
    unit(prepared, "a", "1", sku="RED", approved_at=DAY)
    foreign_return(prepared, 10, days_later=-1)
    assert doubts(prepared) == {"a": ("foreign_return", 7)}
    prepared.execute("update staging.return_items set base_line_item_id = '11'")
    assert doubts(prepared) == {}
    assert places(prepared) == {"a": 11}


@pytest.mark.parametrize(("state", "doubted"), [("sending", True), ("unknown", True), ("confirmed", False)])
def test_a_return_by_hand_that_comes_while_our_own_is_half_done_puts_the_unit_in_doubt_until_a_person_ties_it(
    prepared: Connection, state: str, doubted: bool
) -> None:
    order(prepared, "1", ("10", "RED", 2))
    unit(prepared, "a", "1", sku="RED", approved_at=DAY)
    prepared.execute(
        "insert into push.ledger (effect_key, effect_kind, return_item_id, order_number, shipment_line_id, state, updated_at)"
        " values (?, 'credit_note', 'a', '1', 10, ?, now())",
        [effect_key("credit_note", "a"), state],
    )
    foreign_return(prepared, 10, days_later=3)
    assert doubts(prepared) == ({"a": ("foreign_return", 7)} if doubted else {})
    assert places(prepared) == {"a": 10}
    tied(prepared, "return", 7, "a")
    assert doubts(prepared) == {}
    assert adopted(prepared) == (["a"] if doubted else [])
    prepared.execute("update push.ties set return_item_id = null")
    assert doubts(prepared) == {}
    assert adopted(prepared) == []


RECEIVED: dict[str, Any] = {"received_at": DAY, "approved_at": DAY, "disposition": "sellable", "disposition_at": DAY}
GONE: dict[str, dict[str, Any]] = {
    "expired": {"return_status": "expired"},
    "failed": {"return_status": "failed"},
    "started": {"return_status": "started"},
    "refused as a wrong item": {"return_status": "approved", **RECEIVED, "disposition": "wrong-item"},
    "approved, and taken back": {"return_status": "started", "approval_withdrawn_at": DAY},
    "received, but not approved": {"return_status": "dropped-off", "received_at": DAY},
}  # fmt: skip


@pytest.mark.parametrize("what", GONE)
def test_a_piece_is_of_the_return_that_was_received_and_approved_not_of_an_earlier_one_that_never_came(
    prepared: Connection, what: str
) -> None:
    order(prepared, "1", ("10", "RED", 1))
    unit(prepared, "early", "1", sku="RED", return_created_at=DAY - timedelta(days=10), **GONE[what])
    unit(prepared, "late", "1", sku="RED", **RECEIVED)
    found = places(prepared)
    assert found["late"] == 10
    reasons = {"expired": "goods_never_came", "failed": "goods_never_came", "refused as a wrong item": "refused",
               "approved, and taken back": "goods_never_came"}  # fmt: skip
    assert found["early"] == reasons.get(what, "more_units_than_shipped")


def test_of_three_claims_to_two_pieces_those_win_of_which_more_has_happened_and_then_the_earlier(
    prepared: Connection,
) -> None:
    order(prepared, "1", ("10", "RED", 2))
    unit(prepared, "started", "1", sku="RED", return_created_at=DAY - timedelta(days=9))
    unit(prepared, "received", "1", sku="RED", return_created_at=DAY - timedelta(days=5), received_at=DAY)
    unit(prepared, "graded", "1", sku="RED", **RECEIVED)
    unit(prepared, "later", "1", sku="RED", return_created_at=DAY + timedelta(days=1), received_at=DAY)
    assert places(prepared) == {
        "graded": 10, "received": 10, "started": "more_units_than_shipped", "later": "more_units_than_shipped",
    }  # fmt: skip


def test_what_never_came_has_its_place_as_long_as_nobody_else_wants_it(prepared: Connection) -> None:
    order(prepared, "1", ("10", "RED", 1), ("11", "RED", 1))
    unit(prepared, "a", "1", sku="RED", return_status="expired")
    unit(prepared, "b", "1", base_line_item_id="10", return_status="expired")
    assert places(prepared) == {"a": 11, "b": 10}


def test_an_external_return_goes_from_what_never_came_to_what_did(prepared: Connection) -> None:
    order(prepared, "1", ("10", "RED", 1))
    unit(prepared, "early", "1", sku="RED", return_created_at=DAY - timedelta(days=10))
    foreign_return(prepared, 10)
    places(prepared)
    assert adopted(prepared) == ["early"]
    prepared.execute(
        "insert into push.ledger (effect_key, effect_kind, return_item_id, order_number, shipment_line_id, state, centra_id,"
        " is_foreign, updated_at) values (?, 'credit_note', 'early', '1', 10, 'confirmed', '7', true, now())",
        [effect_key("credit_note", "early")],
    )
    prepared.execute("update staging.return_items set return_status = 'expired'")
    unit(prepared, "late", "1", sku="RED", **RECEIVED)
    places(prepared)
    assert adopted(prepared) == ["late"]


def two_prices(connection: Connection, *, article: str = "RED") -> None:
    """One article on two lines: 10 at 100.00, 11 at 80.00."""
    order(connection, "1", ("10", article, 1))
    put(
        connection, "staging.order_lines", order_line_id="11", order_number="1", sku=article, is_product=True, quantity=1,
        unit_price="80", tax_percent=25,
    )  # fmt: skip
    shipment(connection, 2, "1", (21, "11", 1), price="80", at=DAY + timedelta(days=1))


def row(connection: Connection, name: str, items: str, tax: str, *units: str) -> None:
    put(
        connection, "staging.refunds", refund_id=name, return_id="R", order_number="1", refund_type="refund", status="issued",
        currency="EUR", item_subtotal=items, tax=tax, total_refunded=Decimal(items) + Decimal(tax),
    )  # fmt: skip
    for item in units:
        put(connection, "staging.refund_units", refund_id=name, return_item_id=item, is_told=True)


def test_of_lines_with_several_prices_the_unit_is_the_one_whose_price_its_refund_row_reports(
    prepared: Connection,
) -> None:
    two_prices(prepared)
    unit(prepared, "a", "1", sku="RED", approved_at=DAY)
    row(prepared, "RF", "64.00", "16.00", "a")
    assert places(prepared) == {"a": 21}
    assert doubts(prepared) == {}


def test_a_row_in_another_currency_comes_before_the_row_that_pays_a_unit_and_shows_no_price(
    prepared: Connection,
) -> None:
    two_prices(prepared)
    unit(prepared, "a", "1", sku="RED", approved_at=DAY)
    row(prepared, "RA", "640.00", "160.00", "a")
    prepared.execute("update staging.refunds set currency = 'SEK'")
    row(prepared, "RF", "64.00", "16.00", "a")
    assert places(prepared) == {"a": 21}
    assert doubts(prepared) == {}


def test_a_row_for_several_units_shows_the_price_of_the_one_that_is_not_known(prepared: Connection) -> None:
    two_prices(prepared)
    put(
        prepared, "staging.order_lines", order_line_id="12", order_number="1", sku="HAT", is_product=True, quantity=1,
        unit_price="50", tax_percent=25,
    )  # fmt: skip
    shipment(prepared, 3, "1", (31, "12", 1), price="50")
    unit(prepared, "a", "1", sku="RED", approved_at=DAY)
    unit(prepared, "b", "1", sku="HAT", approved_at=DAY)
    row(prepared, "RF", "104.00", "26.00", "a", "b")
    assert places(prepared) == {"a": 21, "b": 31}


@pytest.mark.parametrize("told", [None, ("72.00", "18.00"), ("40.00", "10.00")])
def test_where_nothing_shows_which_of_several_prices_a_unit_cost_it_is_in_doubt_until_a_person_ties_it(
    prepared: Connection, told: tuple[str, str] | None
) -> None:
    two_prices(prepared)
    unit(prepared, "a", "1", sku="RED", approved_at=DAY)
    if told:
        row(prepared, "RF", *told, "a")
    assert doubts(prepared) == {"a": ("several_prices", None)}
    tied(prepared, "line", 21, "a")
    assert doubts(prepared) == {}
    assert places(prepared) == {"a": 21}


def test_when_every_piece_comes_back_in_one_return_it_does_not_matter_which_is_which(prepared: Connection) -> None:
    two_prices(prepared)
    for item in "ab":
        unit(prepared, item, "1", sku="RED", return_id="R", approved_at=DAY)
    assert sorted(map(str, places(prepared).values())) == ["10", "21"]
    assert doubts(prepared) == {}
    prepared.execute("update staging.return_items set refund_type = 'exchange' where return_item_id = 'b'")
    assert set(doubts(prepared)) == {"a", "b"}


def test_what_the_rows_show_places_units_of_two_returns_crosswise(prepared: Connection) -> None:
    two_prices(prepared)
    unit(prepared, "a", "1", sku="RED", approved_at=DAY, return_created_at=DAY - timedelta(days=1))
    unit(prepared, "b", "1", sku="RED", approved_at=DAY)
    row(prepared, "RF-A", "64.00", "16.00", "a")
    row(prepared, "RF-B", "80.00", "20.00", "b")
    assert places(prepared) == {"a": 21, "b": 10}
    assert doubts(prepared) == {}


def test_every_unmatched_unit_says_why(prepared: Connection) -> None:
    order(prepared, "1", ("10", "RED", 1))
    put(prepared, "staging.order_lines", order_line_id="11", order_number="1", sku="SET", is_product=False)
    put(prepared, "staging.order_lines", order_line_id="12", order_number="1", sku="LATER", is_product=True)
    shipment(prepared, 2, "1", (21, "11", 1))
    shipment(prepared, 3, "1", (22, "12", 1), is_shipped=False)
    prepared.execute("insert into landing.centra_absent_orders values ('404', now(), 1)")
    told = {
        "no_such_order": ("404", "RED"), "order_not_read_yet": ("2", "RED"), "article_not_on_order": ("1", "GREEN"),
        "bundle_line": ("1", "SET"), "nothing_shipped": ("1", "LATER"), "no_key": ("1", None),
    }  # fmt: skip
    for reason, (number, sku) in told.items():
        unit(prepared, reason, number, sku=sku)
    assert places(prepared) == {reason: reason for reason in told}


def test_a_voucher_is_shared_by_price_and_the_shares_sum_to_it(prepared: Connection) -> None:
    order(prepared, "1", ("10", "RED", 2), price="19.99", discounts=Decimal("10.00"))
    put(
        prepared, "staging.order_lines", order_line_id="11", order_number="1", sku="BLUE", is_product=True, quantity=1,
        unit_price="0.03", tax_percent=25,
    )  # fmt: skip
    shipment(prepared, 2, "1", (21, "11", 1), price="0.03")
    for item, sku in (("a", "RED"), ("b", "RED"), ("c", "BLUE")):
        unit(prepared, item, "1", sku=sku)
    match(prepared, DAY)
    shares = dict(prepared.execute("select return_item_id, voucher_share from matching.matched_items").fetchall())
    assert sum(shares.values()) == Decimal("10")
    assert shares == {"a": Decimal("5.00"), "b": Decimal("4.99"), "c": Decimal("0.01")}


STAGED = ("orders", "order_lines", "shipments", "shipment_lines", "return_items")
pieces = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=4)
tickets = st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 5)), min_size=1, max_size=10)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=pieces, tickets=tickets)
def test_no_piece_is_given_twice_no_unit_is_lost_and_no_piece_stays_free_that_a_unit_could_be(
    prepared: Connection, pieces: list[tuple[int, int]], tickets: list[tuple[int, bool, int]]
) -> None:
    """Lines of one order (article, pieces), and units that name an article or one of its lines."""
    for table in ("matching.matched_items", *(f"staging.{name}" for name in STAGED)):
        prepared.execute(f"delete from {table}")
    order(prepared, "1", *((str(10 + at), f"S{article}", quantity) for at, (article, quantity) in enumerate(pieces)))
    for number, (wanted, by_line, days) in enumerate(tickets):
        at = wanted % len(pieces)
        told = {"base_line_item_id": str(10 + at)} if by_line else {"sku": f"S{pieces[at][0]}"}
        unit(prepared, f"u{number}", "1", return_created_at=DAY - timedelta(days=days), **told)
    found = places(prepared)
    assert len(found) == len(tickets)
    taken = Counter(place for place in found.values() if isinstance(place, int))
    assert all(count <= pieces[line - 10][1] for line, count in taken.items())
    for number, (wanted, _, _) in enumerate(tickets):
        article = pieces[wanted % len(pieces)][0]
        place = found[f"u{number}"]
        if isinstance(place, int):
            assert pieces[place - 10][0] == article
        else:
            lines = [10 + at for at, (of, _) in enumerate(pieces) if of == article]
            own = [10 + wanted % len(pieces)] if tickets[number][1] else lines
            assert all(taken[line] == pieces[line - 10][1] for line in own)


def test_two_bundles_of_one_line_in_two_shipments_are_two_bundles(prepared: Connection) -> None:
    order(prepared, "1")
    for line, sku in (("11", "RED"), ("12", "BLUE")):
        put(
            prepared, "staging.order_lines", order_line_id=line, order_number="1", sku=sku, is_product=True, quantity=2,
            bundle_line_id="10", per_bundle=1,
        )  # fmt: skip
    put(prepared, "staging.bundles", bundle_line_id="10", order_number="1", sku="SET", quantity=2, parts=2)
    for number in (2, 3):
        shipment(prepared, number, "1", (number * 10 + 1, "11", 1), (number * 10 + 2, "12", 1))
        prepared.execute(
            """
            update staging.shipment_lines
            set bundle_line_id = '10', per_bundle = 1, bundle_share = 50, bundle_shipment_line_id = ?
            where shipment_id = ?
            """,
            [number * 10, number],
        )
    for item, sku in (("a", "RED"), ("b", "BLUE"), ("c", "RED"), ("d", "BLUE")):
        unit(prepared, item, "1", sku=sku, received_at=DAY, approved_at=DAY)
    assert places(prepared) == {"a": 21, "b": 22, "c": 31, "d": 32}
    assert prepared.execute(
        "select list(return_item_id order by return_item_id), any_value(bundle_line_id)"
        " from matching.matched_items group by bundle order by bundle"
    ).fetchall() == [(["a", "b"], "10"), (["c", "d"], "10")]
    plan(prepared, DAY)
    assert prepared.execute(
        "select return_item_id, blocked_by, bundle_shipment_line_id, bundle_units from effects.pending_credit_notes"
        " where effect_kind = 'credit_note' order by 1"
    ).fetchall() == [("a", None, 20, 2), ("b", None, 20, 2), ("c", None, 30, 2), ("d", None, 30, 2)]
    # Nobody knows what the bundle cost, or is: its part waits all the same.
    prepared.execute("delete from staging.bundles")
    plan(prepared, DAY)
    assert prepared.execute(
        "select count(*), count(blocked_by) from effects.pending_credit_notes where effect_kind = 'credit_note'"
    ).fetchall() == [(4, 4)]


def test_a_line_of_three_million_pieces_costs_what_comes_back_of_it(prepared: Connection) -> None:
    many = 3_000_000
    order(prepared, "1", ("10", "RED", many), ("11", "BLUE", 1), price="0.01", discounts=Decimal("10000.02"))
    unit(prepared, "named", "1", sku="RED", express_code="HR1")
    unit(prepared, "first", "1", sku="RED", unit_offset=0)
    unit(prepared, "last", "1", sku="RED", unit_offset=many - 1)
    unit(prepared, "beyond", "1", sku="RED", unit_offset=many)
    foreign_return(prepared, 10, named="HR1")
    prepared.execute("update staging.centra_return_lines set quantity = ?", [many - 3])
    prepared.execute("set memory_limit = '64MB'")
    prepared.execute("set temp_directory = ''")
    assert places(prepared) == {"beyond": 10, "first": 10, "last": 10, "named": 10}
    assert adopted(prepared) == ["named"]
    # Of 3,000,001 pieces 1,000,002 have a cent of the voucher: they are the first ones of the line with the lower number.
    shares = dict(prepared.execute("select return_item_id, voucher_share from matching.matched_items").fetchall())
    assert (shares["first"], shares["last"], shares["beyond"]) == (Decimal("0.01"), Decimal(0), Decimal(0))
    unit(prepared, "too many", "1", sku="RED", return_created_at=DAY + timedelta(days=9))
    assert places(prepared)["too many"] == "more_units_than_shipped"


def two_lines(connection: Connection, *on_return: int, named: str | None = None, days_later: float = 1) -> None:
    """One article on two lines, 10 with two pieces and 11 with one; somebody's Return has a piece of each line given."""
    order(connection, "1", ("10", "RED", 2), ("11", "RED", 1))
    for at, line in enumerate(on_return):
        if at == 0:
            foreign_return(connection, line, named=named, days_later=days_later)
        else:
            put(
                connection, "staging.centra_return_lines", centra_return_line_id=70 + at, centra_return_id=7, order_number="1",
                shipment_line_id=line, order_line_id=str(line),
            )  # fmt: skip


def kept(connection: Connection, *items: str) -> None:
    """Units that were adopted for Return 7 in an earlier run."""
    for item in items:
        connection.execute(
            "insert into push.ledger (effect_key, effect_kind, return_item_id, order_number, shipment_line_id, state, centra_id,"
            " is_foreign, updated_at) values (?, 'credit_note', ?, '1', 10, 'confirmed', '7', true, now())",
            [effect_key("credit_note", item), item],
        )


def two_lines_returned(connection: Connection, how: str) -> None:
    """Somebody's Return with one piece of each line, for the reason by which units are found to be on it."""
    two_lines(
        connection, 10, 11, named="HR1" if how == "named" else None, days_later=-1 if how == "for no piece left" else 1
    )


def found_as(connection: Connection, how: str, *items: str) -> None:
    """What else that reason needs, once the units are there."""
    if how == "adopted before":
        kept(connection, *items)
    if how == "for no piece left":
        connection.execute("update staging.shipment_lines set quantity = 1")


@pytest.mark.parametrize("how", ["named", "started before", "adopted before", "for no piece left"])
def test_two_units_that_fit_two_lines_are_the_two_pieces_on_an_external_return_one_of_each_line(
    prepared: Connection, how: str
) -> None:
    two_lines_returned(prepared, how)
    for item in "ab":
        unit(prepared, item, "1", sku="RED", express_code="HR1", return_id="R")
    found_as(prepared, how, "a", "b")
    assert sorted(map(str, places(prepared).values())) == ["10", "11"]
    assert sorted(adopted(prepared)) == ["a", "b"]


@pytest.mark.parametrize("how", ["named", "started before", "adopted before", "for no piece left"])
def test_a_unit_that_fits_both_lines_on_an_external_return_leaves_the_piece_of_the_line_that_another_names(
    prepared: Connection, how: str
) -> None:
    two_lines_returned(prepared, how)
    unit(prepared, "any", "1", sku="RED", express_code="HR1", return_id="R", received_at=DAY)
    unit(prepared, "one", "1", base_line_item_id="10", express_code="HR1", return_id="R")
    found_as(prepared, how, "any", "one")
    assert places(prepared) == {"any": 11, "one": 10}
    assert sorted(adopted(prepared)) == ["any", "one"]


def test_an_external_return_that_names_two_returns_has_a_piece_for_the_unit_of_each(
    prepared: Connection,
) -> None:
    two_lines(prepared, 10, 11)
    prepared.execute("update staging.centra_returns set express_codes = ['HRA', 'HRB']")
    unit(prepared, "a", "1", sku="RED", express_code="HRA")
    unit(prepared, "b", "1", sku="RED", express_code="HRB")
    places(prepared)
    assert sorted(adopted(prepared)) == ["a", "b"]
    prepared.execute("delete from staging.centra_return_lines where shipment_line_id = 11")
    prepared.execute("update staging.centra_return_lines set quantity = 2")
    places(prepared)
    assert sorted(adopted(prepared)) == ["a", "b"]


def test_two_external_returns_for_one_return_have_a_piece_for_each_of_its_units(prepared: Connection) -> None:
    two_lines(prepared, 10, named="HR1")
    put(
        prepared, "staging.centra_returns", centra_return_id=8, order_number="1", shipment_id=1, status="COMPLETED",
        express_codes=["HR1"], created_at=DAY + timedelta(days=2),
    )  # fmt: skip
    put(
        prepared, "staging.centra_return_lines", centra_return_line_id=80, centra_return_id=8, order_number="1",
        shipment_line_id=11, order_line_id="11",
    )  # fmt: skip
    for item in "ab":
        unit(prepared, item, "1", sku="RED", express_code="HR1", return_id="R")
    match(prepared, DAY)
    assert prepared.execute("select foreign_centra_return_id from matching.matched_items order by 1").fetchall() == [
        (7,),
        (8,),
    ]


def test_a_unit_that_a_person_has_tied_to_another_line_since_is_in_nobodys_way_on_the_first(
    prepared: Connection,
) -> None:
    order(prepared, "1", ("10", "RED", 1), ("11", "RED", 1))
    for item in "ab":
        unit(prepared, item, "1", sku="RED", approved_at=DAY)
    tied(prepared, "line", 10, "a")
    tied(prepared, "line", 11, "a")
    prepared.execute("update push.ties set tied_at = tied_at + interval 1 day where centra_id = '11'")
    tied(prepared, "line", 10, "b")
    assert places(prepared) == {"a": 11, "b": 10}
    assert prepared.execute("select distinct matched_by from matching.matched_items").fetchall() == [("tied",)]


@pytest.mark.parametrize("known_by", ["sent", "tied", "its article"])
def test_what_a_row_gives_less_what_its_known_unit_cost_after_the_voucher_is_the_price_of_the_other(
    prepared: Connection, known_by: str
) -> None:
    # Two articles of 360.00 in all with a voucher of 36.00: each costs nine tenths.
    two_prices(prepared)
    put(
        prepared, "staging.order_lines", order_line_id="12", order_number="1", sku="HAT", is_product=True, quantity=2,
        unit_price="90", tax_percent=25,
    )  # fmt: skip
    shipment(prepared, 3, "1", (31, "12", 2), price="90")
    prepared.execute("update staging.orders set discounts = 36")
    unit(prepared, "a", "1", sku="RED", approved_at=DAY)
    unit(prepared, "b", "1", sku="HAT", approved_at=DAY)
    # 81.00 for the hat, 72.00 for what cost 80.00.
    row(prepared, "RF", "122.40", "30.60", "a", "b")
    if known_by == "tied":
        tied(prepared, "line", 31, "b")
    if known_by == "sent":
        prepared.execute(
            "insert into push.ledger (effect_key, effect_kind, return_item_id, order_number, shipment_line_id, state, updated_at)"
            " values (?, 'credit_note', 'b', '1', 31, 'confirmed', now())",
            [effect_key("credit_note", "b")],
        )
    assert places(prepared) == {"a": 21, "b": 31}
    assert doubts(prepared) == {}


def test_a_row_that_names_two_articles_matches_neither_until_a_person_ties_it_and_the_other_rows_go_on(
    prepared: Connection,
) -> None:
    order(prepared, "1", ("10", "RED", 1), ("11", "BLUE", 1))
    prepared.execute("update staging.order_lines set ean = '40' || order_line_id")
    unit(prepared, "both", "1", upc="4010", label_barcode="4011", received_at=DAY, approved_at=DAY)
    unit(prepared, "red", "1", sku="RED")
    foreign_return(prepared, 11)
    assert places(prepared) == {"both": "ambiguous_article", "red": 10}
    assert adopted(prepared) == []
    prepared.execute("delete from staging.centra_returns")
    tied(prepared, "line", 11, "both")
    assert places(prepared) == {"both": 11, "red": 10}


def test_two_lines_without_a_sku_and_with_one_ean_are_one_article(prepared: Connection) -> None:
    order(prepared, "1", ("10", "RED", 1), ("11", "RED", 1))
    prepared.execute("update staging.order_lines set sku = null, ean = '40'")
    for item in "ab":
        unit(prepared, item, "1", upc="40")
    assert sorted(map(str, places(prepared).values())) == ["10", "11"]


def test_a_unit_that_names_a_bundle_with_its_article_on_two_lines_is_one_of_them(prepared: Connection) -> None:
    order(prepared, "1", ("10", "RED", 1), ("11", "RED", 1))
    prepared.execute("update staging.order_lines set bundle_line_id = '9'")
    unit(prepared, "a", "1", base_line_item_id="9", sku="RED")
    assert places(prepared) == {"a": 10}


@pytest.mark.parametrize(("one", "other"), [("files", "events"), ("files", "api events"), ("events", "files")])
def test_units_that_feeds_report_under_two_ids_get_nothing_until_one_feed_reports_both(
    prepared: Connection, one: str, other: str
) -> None:
    order(prepared, "1", ("10", "RED", 2))
    unit(prepared, "a", "1", return_id="R", sku="RED", feeds=one, base_line_item_id="10")
    unit(prepared, "b", "1", return_id="R", sku="RED", feeds=other)
    doubts = "select return_item_id, doubt from matching.matched_items order by all"
    match(prepared, DAY)
    assert prepared.execute(doubts).fetchall() == [("a", "feeds_disagree"), ("b", "feeds_disagree")]
    prepared.execute("update staging.return_items set feeds = 'events files', landed_batch = 2")
    match(prepared, DAY)
    assert prepared.execute(doubts).fetchall() == [("a", None), ("b", None)]


def test_units_of_one_feed_or_of_other_returns_and_articles_are_in_no_doubt(prepared: Connection) -> None:
    order(prepared, "1", ("10", "RED", 2), ("11", "BLUE", 2))
    unit(prepared, "a", "1", return_id="R", sku="RED", feeds="files")
    unit(prepared, "b", "1", return_id="R", sku="RED", feeds="events files")
    unit(prepared, "c", "1", return_id="R", sku="BLUE", feeds="events")
    unit(prepared, "d", "1", return_id="S", sku="RED", feeds="events")
    match(prepared, DAY)
    assert prepared.execute("select distinct doubt from matching.matched_items").fetchall() == [(None,)]
