from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hr_centra_pipeline.core.keys import effect_key
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


def test_somebody_elses_return_counts_for_the_unit_whose_return_it_names(prepared: Connection) -> None:
    order(prepared, "1", ("10", "RED", 2))
    unit(prepared, "a", "1", sku="RED", express_code="HRAAAAAA")
    unit(prepared, "b", "1", sku="RED", express_code="HRBBBBBB")
    foreign_return(prepared, 10, named="HRBBBBBB")
    assert set(places(prepared).values()) == {10}
    assert adopted(prepared) == ["b"]


def test_somebody_elses_return_from_before_the_return_started_is_not_its_own_and_takes_the_piece(
    prepared: Connection,
) -> None:
    order(prepared, "1", ("10", "RED", 1))
    unit(prepared, "a", "1", sku="RED")
    foreign_return(prepared, 10, days_later=-3)
    assert places(prepared) == {"a": "more_units_than_shipped"}
    assert adopted(prepared) == []


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
