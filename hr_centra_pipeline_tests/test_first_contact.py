"""First contact with a shop as real ones are: cancelled orders on every page, addresses in two forms, captures and refunds in
two steps, replacements that ship or do not, Returns by other integrations, and enum words that no document lists.
"""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from hr_centra_pipeline.oversight import contract
from hr_centra_pipeline.oversight.doctor import examine
from hr_centra_pipeline.sandbox.centra.orders import CANCELLED
from hr_centra_pipeline.sandbox.centra.word_desk import PLACES
from hr_centra_pipeline.sandbox.shop.warehouse import is_forgotten
from hr_centra_pipeline_tests.shops import ShopScenario, shop_scenario
from hr_centra_pipeline_tests.test_whole_flow import Case, found, planted, settle

PAGE = 100  # orders on a page, by number


@dataclass(frozen=True)
class Contact:
    """A shop after two days of syncs. Of the one order whose capture was under way at the first: its number, its payments then
    and what was said of its unit's credit. ``exceptions``: (found, planted) after the first syncs and the last. ``repeated``:
    what the last sync sent, when nothing was left to send. ``logged``: every message of every logger.
    """

    scenario: ShopScenario
    captured_late: int
    payments_before: list[tuple[str, str]]
    credit_before: tuple[str, str]
    exceptions: list[tuple[Counter[Case], Counter[Case]]]
    repeated: list[str]
    logged: str

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Rows of the sandbox's own records."""
        return self.scenario.sandbox.store.rows(query)


@pytest.fixture(scope="module")
def contact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contact]:
    folder = tmp_path_factory.mktemp("contact")
    with (
        pytest.MonkeyPatch.context() as patch,
        every_message() as logged,
        shop_scenario(folder, patch, seed=3, returns=20, varied=True) as scenario,
    ):
        scenario.sync_stages()
        late = scenario.sandbox.store.rows(
            "select order_number from payments where is_open and entry_type = 'CAPTURE_REQUEST'"
        )
        (number,) = {row["order_number"] for row in late}
        payments = payments_of(scenario, number)
        (credit,) = scenario.rows(
            "select state, blocked_by from effects.pending_credit_notes"
            f" where effect_kind = 'credit_note' and order_number = '{number}'"
        )
        settle(scenario)
        exceptions = [(found(scenario), planted(scenario))]
        scenario.shop.advance(48)
        settle(scenario)
        before = len(scenario.writes())
        scenario.sync()
        exceptions.append((found(scenario), planted(scenario)))
        yield Contact(
            scenario, number, payments, credit, exceptions, scenario.writes()[before:], "\n".join(logged.messages)
        )


class Messages(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextmanager
def every_message() -> Iterator[Messages]:
    """Whatever any logger says until the block ends."""
    root, handler = logging.getLogger(), Messages()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def payments_of(scenario: ShopScenario, number: int) -> list[tuple[str, str]]:
    """(type, status) of an order's payment entries in Centra."""
    rows = scenario.sandbox.store.rows("select * from payments where order_number = ? order by id", [number])
    return [(row["entry_type"], row["status"]) for row in rows]


# ---------------------------------------------------------------- nothing is lost


@pytest.mark.parametrize(
    ("in_centra", "landed"),
    [
        ("select number as id from orders", "select order_number::bigint from staging.orders"),
        ("select id from shipments", "select shipment_id from staging.shipments"),
        ("select id from returns", "select centra_return_id from staging.centra_returns where deleted_at is null"),
        ("select id from payments", "select entry_id::bigint from staging.payment_entries"),
        ("select id from stock_changes", "select distinct stock_change_id from staging.stock_changes"),
        ("select id from warehouses", "select warehouse_id from staging.warehouses"),
    ],
)
def test_everything_that_centra_has_is_landed(contact: Contact, in_centra: str, landed: str) -> None:
    everything = {row["id"] for row in contact.rows(in_centra)}
    assert everything
    assert {row[0] for row in contact.scenario.rows(landed)} == everything


def test_every_page_of_orders_has_cancelled_ones_and_they_are_read_as_such(contact: Contact) -> None:
    orders = contact.rows("select number, status from orders where origin_type is null order by number")
    pages = [orders[first : first + PAGE] for first in range(0, len(orders) - PAGE // 2, PAGE)]
    assert all(sum(order["status"] == CANCELLED for order in page) >= 2 for page in pages)
    cancelled = {str(order["number"]) for order in orders if order["status"] == CANCELLED}
    assert abs(20 * len(cancelled) - len(orders)) < 20
    assert {
        row[0] for row in contact.scenario.rows("select order_number from staging.orders where is_cancelled")
    } == cancelled
    letting_go = contact.rows("select value from payments where entry_type = 'CANCEL'")
    assert len(letting_go) == len(cancelled)
    assert all(row["value"] < 0 for row in letting_go)


def test_what_is_open_is_what_was_planted_and_a_sync_without_news_sends_nothing(contact: Contact) -> None:
    for right, planted_then in contact.exceptions:
        assert right == planted_then
    assert contact.repeated == []


# ---------------------------------------------------------------- words


def test_drift_names_each_word_that_no_document_lists_and_nothing_else(contact: Contact) -> None:
    said = contact.scenario.rows("select value from operations.vendor_drift where vendor = 'centra'")
    # What Centra says of an agent's Return is a text, which no schema lists.
    assert sorted(said) == sorted([("Returns agent",), *((place.unlisted,) for place in PLACES.values())])
    shown = contact.rows("select enum, word from extra_words")
    assert {(row["enum"], row["word"]) for row in shown} == {(place.enum, place.unlisted) for place in PLACES.values()}


def test_an_object_with_an_unlisted_word_is_landed_with_it(contact: Contact) -> None:
    for table, column, place in (
        ("orders", "status", "order"), ("centra_returns", "status", "return"), ("payment_entries", "entry_type", "payment_type"),
        ("payment_entries", "status", "payment_status"), ("stock_changes", '"type"', "stock_change"),
        ("warehouses", "status", "warehouse_status"), ("warehouses", "stock_master", "warehouse_stock_master"),
    ):  # fmt: skip
        rows = contact.scenario.rows(
            f"select count(*) from staging.{table} where {column} = '{PLACES[place].unlisted}'"
        )
        assert rows == [(1,)], place


# ---------------------------------------------------------------- doctor


def test_doctor_shows_the_table_with_each_unlisted_word_and_what_old_objects_show(contact: Contact) -> None:
    findings = [one for one in examine(os.environ) if one.section == contract.SECTION]
    assert [one for one in findings if one.level == "error"] == []
    differing = {one.row.coordinate for one in findings if one.row and one.row.verdict == "differs"}
    # What the wallet answers has its reference where the policy names no path.
    assert differing == {"behaviour.params_json", *(f"{place.enum}.{place.unlisted}" for place in PLACES.values())}
    assert all(one.fix for one in findings if one.row and one.row.verdict == "differs")
    seen = {one.row.coordinate.removeprefix("behaviour."): one.row.found for one in findings if one.row}
    assert {name: seen[name] for name in ("cancelled_order", "order_api_shows_order_id")} == {
        "cancelled_order": CANCELLED,
        "order_api_shows_order_id": "orderId is the order's number",
    }
    # The wallet's references are the refunds' own, the card's are not.
    assert re.fullmatch(r"the refund's own reference in \d+ of \d+ refunds", seen["external_reference"])
    assert "invoice_id" in seen["params_json"]
    assert "positive" in seen["payment_value_sign"]


# ---------------------------------------------------------------- replacements


def replacements(contact: Contact) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(replacement, order that it is for) of every exchange that was ordered, as Centra has them."""
    orders = {order["number"]: order for order in contact.scenario.sandbox.store.records()["orders"]}
    returns = {row["id"]: row["order_number"] for row in contact.rows("select id, order_number from returns")}
    return [(order, orders[returns[order["origin"][1]]]) for order in orders.values() if order["origin"][0] == "return"]


def postal(address: dict[str, Any]) -> dict[str, Any]:
    """An address; the state of one that was typed in may be kept as a code."""
    return {
        **{name: value for name, value in address.items() if name not in ("state_code", "state_or_province")},
        "state": address["state_code"] or address["state_or_province"],
    }


def test_every_replacement_arrives_at_the_street_in_the_right_market_for_nothing(contact: Contact) -> None:
    made = replacements(contact)
    for replacement, order in made:
        assert postal(replacement["address"]) == postal(order["address"])
        assert [replacement[name] for name in ("market_id", "pricelist_id", "currency")] == [
            order[name] for name in ("market_id", "pricelist_id", "currency")
        ]
        assert Decimal(replacement["total"]) == 0
    numbers = ", ".join(str(replacement["number"]) for replacement, _ in made)
    rows = contact.rows(
        f"select orders.shipping, orders.customer_id, root.customer_id as buyer from orders"
        " join returns on returns.id = orders.origin_id join orders as root on root.number = returns.order_number"
        f" where orders.number in ({numbers})"
    )
    assert {row["shipping"] for row in rows} == {Decimal(0)}
    assert all(row["customer_id"] == row["buyer"] for row in rows)
    addresses = [order["address"] for _, order in made]
    assert {address["country"] for address in addresses} >= {"DE", "FR", "SE", "GB", "US"}
    assert all(address["address1"] and address["zip_code"] for address in addresses)
    assert any(address["address2"] for address in addresses)
    assert any(address["state_code"] and address["cell_phone_number"] for address in addresses)
    assert any(address["state_or_province"] and address["phone_number"] for address in addresses)


def test_no_key_was_sent_that_the_order_api_does_not_know(contact: Contact) -> None:
    assert contact.scenario.sandbox.sandbox.unknown_keys() == []
    assert "POST /order deliveryAddress.coaddress" in contact.scenario.sandbox.sandbox.used()["rest_keys"]


def test_replacements_are_shipped_a_day_later_but_for_the_forgotten(contact: Contact) -> None:
    shipped = {
        row["order_number"] for row in contact.rows("select order_number from shipments where shipped_at is not null")
    }
    left_in_time = {
        row["number"]: row["number"] in shipped
        for row in contact.rows(
            "select number from orders where origin_type = 'return' and created_at < '2026-10-01T12:00:00Z'"
        )
    }
    assert left_in_time == {number: not is_forgotten(number) for number in left_in_time}
    assert set(left_in_time.values()) == {True, False}
    landed = contact.scenario.rows("select order_number::bigint from staging.shipments where is_shipped")
    assert {number for number, left in left_in_time.items() if left} <= {row[0] for row in landed}


# ---------------------------------------------------------------- money in two steps


def test_a_capture_under_way_is_waited_for_and_the_credit_is_paid_once_later(contact: Contact) -> None:
    assert contact.payments_before == [("AUTH", "SUCCESS"), ("CAPTURE_REQUEST", "PENDING")]
    assert contact.credit_before == ("planned", "the payment provider has not confirmed the capture yet")
    (case,) = contact.scenario.rows(
        "select count(*) from reconciliation.exception_events join reconciliation.exceptions using (exception_id)"
        f" where order_number = '{contact.captured_late}'"
    )
    assert case == (0,)
    assert payments_of(contact.scenario, contact.captured_late) == [
        ("AUTH", "SUCCESS"), ("CAPTURE_REQUEST", "SUCCESS"), ("CAPTURE", "SUCCESS"), ("REFUND_REQUEST", "PENDING"),
    ]  # fmt: skip
    (entry,) = contact.rows(
        f"select value from payments where order_number = {contact.captured_late} and entry_type = 'REFUND_REQUEST'"
    )
    (credit,) = contact.scenario.rows(
        "select state, amount from push.ledger"
        f" where effect_kind = 'credit_note' and order_number = '{contact.captured_late}'"
    )
    assert credit == ("confirmed", entry["value"])


def test_refunds_by_card_are_answered_later_and_each_return_is_paid_once(contact: Contact) -> None:
    paid = contact.rows(
        "select return_id, payment_method, entry_type, status, external_reference, own_reference from payments"
        " where return_id is not null and entry_type like 'REFUND%' order by id"
    )
    of_card = {row["return_id"] for row in paid if row["entry_type"] == "REFUND_REQUEST" and row["status"] != "FAILED"}
    assert len(of_card) > 10
    answered = Counter(row["return_id"] for row in paid if row["entry_type"] == "REFUND")
    assert set(answered.values()) == {1}
    refunds = [row for row in paid if row["entry_type"] == "REFUND" and row["payment_method"] == "card"]
    # The reference that Centra shows is the authorisation's; the refund's own is in the provider's answer alone.
    assert all(row["external_reference"] != row["own_reference"] for row in refunds)
    ties = dict(
        contact.scenario.rows(
            "select centra_return_id, tied_by from reconciliation.payouts where verdict = 'agrees' and centra_return_id is not null"
        )
    )
    tied = {row["return_id"]: ties.get(row["return_id"]) for row in refunds}
    assert set(tied.values()) <= {"reference", None}
    assert Counter(tied.values())["reference"] > 5


# ---------------------------------------------------------------- tax on top


def paid_in_centra(contact: Contact, country: str) -> dict[int, Decimal]:
    """What Centra paid, or has asked the provider to pay, by Return; of each exactly one payment."""
    entries = contact.rows(
        "select return_id, entry_type, payments.status, value from payments join orders on orders.number = order_number"
        f" where country = '{country}' and return_id is not null and payments.status <> 'FAILED'"
    )
    found: dict[int, Decimal] = {}
    for entry in entries:
        if entry["entry_type"] == "REFUND" or (entry["entry_type"], entry["status"]) == ("REFUND_REQUEST", "PENDING"):
            assert entry["return_id"] not in found
            found[entry["return_id"]] = entry["value"]
    return found


@pytest.mark.parametrize(("country", "at_least"), [("US", 10), ("CH", 4)])
def test_what_centra_paid_where_the_tax_is_not_in_the_prices_is_what_every_table_says(
    contact: Contact, country: str, at_least: int
) -> None:
    paid = paid_in_centra(contact, country)
    assert len(paid) >= at_least
    returns = ", ".join(map(str, paid))

    def summed(query: str) -> dict[int, Decimal]:
        return dict(contact.scenario.rows(f"{query} and centra_return_id in ({returns}) group by all"))

    ledger = summed(
        "select centra_id::bigint as centra_return_id, sum(case effect_kind when 'return_fee' then -amount else amount end)"
        " from push.ledger where state = 'confirmed' and effect_kind in ('credit_note', 'return_fee', 'shipping_refund')"
    )
    assert ledger == paid
    readings = summed("select centra_return_id, sum(paid) from reconciliation.tax_readings where true")
    assert readings == paid


def test_what_a_tax_engine_settles_within_the_limit_is_recorded_and_no_exception(contact: Contact) -> None:
    readings = contact.scenario.rows(
        "select order_number, currency, verdict, settled_difference from reconciliation.tax_readings"
    )
    settled = {
        number: off for number, currency, verdict, off in readings if (currency, verdict) == ("USD", "within_limit")
    }
    assert len([off for off in settled.values() if off]) > 3
    assert all(abs(off) <= Decimal("0.03") for off in settled.values())
    (far_off,) = {
        row["order_number"] for row in contact.scenario.shop.truth() if "engine settles" in row["description"]
    }
    assert [number for number, _, verdict, _ in readings if verdict == "beyond_limit"] == [far_off]
    told = contact.scenario.rows(
        "select order_number from reconciliation.exceptions join staging.orders using (order_number)"
        " where tax_mode = 'added' and kind = 'refund_mismatch_tax' and culprit = 'centra'"
    )
    assert told == [(far_off,)]
    # Nothing is taxed that is exported.
    assert {verdict for _, currency, verdict, _ in readings if currency == "CHF"} == {"as_planned"}


def test_nothing_is_paid_while_the_tax_of_a_return_is_too_far_from_that_of_its_sale(contact: Contact) -> None:
    (number,) = {row["order_number"] for row in contact.scenario.shop.truth() if "engine is down" in row["description"]}
    assert contact.rows(f"select id from returns where order_number = {number}") == []
    assert (
        contact.rows(f"select 1 as x from payments where order_number = {number} and entry_type like 'REFUND%'") == []
    )


# ---------------------------------------------------------------- personal data


@pytest.mark.slow
def test_what_the_provider_says_of_a_shopper_is_in_no_table_file_or_log(contact: Contact) -> None:
    shoppers = contact.rows("select email, first_name || ' ' || last_name as name from customers")
    raw = " ".join(row["params"] for row in contact.rows("select params from payments where params is not null"))
    name = re.compile("|".join(["shopperName", "shopperEmail", *(re.escape(one["name"]) for one in shoppers)]))
    email = re.compile("|".join(re.escape(one["email"]) for one in shoppers))
    assert name.search(raw)
    assert email.search(raw)
    texts = {
        f"{schema}.{table}": str(contact.scenario.rows(f'from "{schema}"."{table}"'))
        for schema, table in contact.scenario.rows(
            "select table_schema, table_name from information_schema.tables where table_type = 'BASE TABLE'"
        )
    }
    texts["log"] = contact.logged
    for file in contact.scenario.home.rglob("*"):
        if file.is_file():
            texts[str(file)] = file.read_bytes().decode("utf-8", "replace")
    assert [place for place, text in texts.items() if name.search(text)] == []
    # E-mail addresses of the exports have one table.
    leaks = {place.removeprefix(f"{contact.scenario.home}/") for place, text in texts.items() if email.search(text)}
    assert leaks <= {"landing.personal", "warehouse.duckdb"}
