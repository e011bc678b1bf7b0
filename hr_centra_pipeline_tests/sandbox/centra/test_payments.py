from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.sandbox.centra.store import CentraSettings
from hr_centra_pipeline.sandbox.server import RunningSandbox, running_sandbox
from hr_centra_pipeline_tests.sandbox.centra.conftest import Sale, control, data, furnish, sell, shown_order, slow

ENTRIES = "paymentHistory { entryType status value { value } externalReference paramsJSON paymentMethod }"
REFUND = """mutation { refundReturn(id: %d) {
    paymentHistoryEntries { entryType status externalReference } userErrors { message } } }"""

Open = Callable[..., RunningSandbox]


@pytest.fixture
def open_shop(tmp_path: Path) -> Iterator[Open]:
    """A sandbox with settings of its own."""
    with ExitStack() as stack:

        def opened(**settings: Any) -> RunningSandbox:
            given = slow(1000.0, centra=CentraSettings(**settings))
            sandbox = stack.enter_context(running_sandbox(tmp_path, given))
            furnish(sandbox.store)
            return sandbox

        yield opened


def refunded(sandbox: RunningSandbox, sale: Sale) -> int:
    made = sandbox.store.person_create_return(sale.shipment, {sale.dresses: 1}, at=sandbox.clock.now())
    assert data(sandbox, REFUND % made)["refundReturn"]["userErrors"] == []
    return made


def entries(sandbox: RunningSandbox, number: int) -> list[tuple[str, str, Decimal]]:
    rows = shown_order(sandbox, number, ENTRIES)["paymentHistory"]
    return [(row["entryType"], row["status"], row["value"]["value"]) for row in rows]


def test_an_order_is_authorised_when_it_is_placed_and_captured_when_it_ships(sandbox: RunningSandbox) -> None:
    sale = sell(sandbox.store)
    total = Decimal("518.80")
    assert entries(sandbox, sale.number) == [("AUTH", "SUCCESS", total), ("CAPTURE", "SUCCESS", total)]


def test_a_capture_in_two_steps_is_a_request_until_the_provider_answers(open_shop: Open) -> None:
    sandbox = open_shop(captures_in_two_steps=("card",))
    sale = sell(sandbox.store)
    flags = "status shipments { isShipped isCaptured isPaid }"
    assert entries(sandbox, sale.number)[1:] == [("CAPTURE_REQUEST", "PENDING", Decimal("518.80"))]
    assert shown_order(sandbox, sale.number, flags) == {
        "status": "PROCESSING", "shipments": [{"isShipped": True, "isCaptured": False, "isPaid": False}],
    }  # fmt: skip
    made = sandbox.store.person_create_return(sale.shipment, {sale.dresses: 1}, at=sandbox.clock.now())
    assert "Only 0 SEK" in data(sandbox, REFUND % made)["refundReturn"]["userErrors"][0]["message"]
    control(sandbox, "person", {"act": "answer_requests", "given": {"kind": "capture"}})
    assert [row[:2] for row in entries(sandbox, sale.number)[1:]] == [
        ("CAPTURE_REQUEST", "SUCCESS"),
        ("CAPTURE", "SUCCESS"),
    ]
    assert shown_order(sandbox, sale.number, flags) == {
        "status": "SHIPPED", "shipments": [{"isShipped": True, "isCaptured": True, "isPaid": True}],
    }  # fmt: skip
    assert data(sandbox, REFUND % made)["refundReturn"]["userErrors"] == []


def test_a_provider_answers_by_itself_when_its_hours_are_over(open_shop: Open) -> None:
    sandbox = open_shop(captures_in_two_steps=("card",), provider_answers_after_hours=30)
    sale = sell(sandbox.store)
    answers_at = sandbox.store.rows("select answers_at from payments where is_open")[0]["answers_at"]
    for early in (True, False):
        sandbox.clock.advance_to(sandbox.clock.now().fromisoformat(answers_at) - timedelta(seconds=early))
        assert len(entries(sandbox, sale.number)) == 3 - early
    assert shown_order(sandbox, sale.number, "updatedAt")["updatedAt"] == "2026-09-03T18:00:00+02:00"


def test_a_capture_that_the_provider_refuses_has_failed(open_shop: Open) -> None:
    sandbox = open_shop(captures_in_two_steps=("card",))
    sale = sell(sandbox.store)
    control(sandbox, "person", {"act": "answer_requests", "given": {"kind": "capture", "succeeded": False}})
    assert [row[:2] for row in entries(sandbox, sale.number)[1:]] == [
        ("CAPTURE_REQUEST", "FAILED"),
        ("CAPTURE_FAILED", "FAILED"),
    ]
    assert sandbox.store.money_of(sale.number) == (Decimal(0), Decimal(0))


def test_only_methods_that_do_so_capture_in_two_steps(open_shop: Open) -> None:
    sandbox = open_shop(captures_in_two_steps=("wallet",))
    kinds = {sale.number: entries(sandbox, sale.number)[1][0] for sale in (sell(sandbox.store) for _ in range(4))}
    assert kinds == {1001: "CAPTURE", 1002: "CAPTURE", 1003: "CAPTURE", 1004: "CAPTURE_REQUEST"}


def test_an_open_refund_request_counts_as_money_that_is_gone(open_shop: Open) -> None:
    sandbox = open_shop(refunds_in_two_steps=("card", "wallet"))
    sale = sell(sandbox.store)
    refunded(sandbox, sale)
    assert entries(sandbox, sale.number)[2] == ("REFUND_REQUEST", "PENDING", Decimal("199.90"))
    assert sandbox.store.money_of(sale.number)[1] == Decimal("199.90")
    control(sandbox, "person", {"act": "answer_requests", "given": {"kind": "refund"}})
    assert entries(sandbox, sale.number)[2:] == [
        ("REFUND_REQUEST", "SUCCESS", Decimal("199.90")),
        ("REFUND", "SUCCESS", Decimal("199.90")),
    ]
    assert sandbox.store.money_of(sale.number)[1] == Decimal("199.90")


def test_a_request_may_stay_pending_beside_its_answer_and_counts_once(open_shop: Open) -> None:
    sandbox = open_shop(refunds_in_two_steps=("card", "wallet"), requests_stay_pending=True)
    sale = sell(sandbox.store)
    refunded(sandbox, sale)
    control(sandbox, "person", {"act": "answer_requests", "given": {}})
    assert [row[:2] for row in entries(sandbox, sale.number)[2:]] == [
        ("REFUND_REQUEST", "PENDING"),
        ("REFUND", "SUCCESS"),
    ]
    assert sandbox.store.money_of(sale.number)[1] == Decimal("199.90")


def test_an_entry_shows_its_own_number_or_the_authorisations_and_the_raw_answer_has_both(open_shop: Open) -> None:
    sandbox = open_shop(authorisation_references=("card",))
    card, wallet = sell(sandbox.store), [sell(sandbox.store) for _ in range(3)][-1]
    for sale in (card, wallet):
        refunded(sandbox, sale)
    auth, capture, refund = shown_order(sandbox, card.number, ENTRIES)["paymentHistory"]
    assert auth["externalReference"] == capture["externalReference"] == refund["externalReference"]
    raw = json.loads(refund["paramsJSON"])
    assert raw["originalReference"] == auth["externalReference"]
    assert raw["pspReference"] not in (auth["externalReference"], json.loads(capture["paramsJSON"])["pspReference"])
    assert (raw["merchantReference"], raw["eventCode"], raw["amount"]["value"]) == (str(card.number), "REFUND", 19990)
    assert "Ada" in refund["paramsJSON"]
    assert "ada@example.com" in refund["paramsJSON"]
    of_the_wallet = shown_order(sandbox, wallet.number, ENTRIES)["paymentHistory"]
    assert len({entry["externalReference"] for entry in of_the_wallet}) == 3
    assert json.loads(of_the_wallet[2]["paramsJSON"])["id"] == of_the_wallet[2]["externalReference"]


def test_a_wallet_may_answer_like_qliro(open_shop: Open) -> None:
    sandbox = open_shop(wallet_answers_as="qliro", authorisation_references=("wallet",))
    sale = [sell(sandbox.store) for _ in range(4)][-1]
    refunded(sandbox, sale)
    refund = shown_order(sandbox, sale.number, ENTRIES)["paymentHistory"][2]
    raw = json.loads(refund["paramsJSON"])
    own = sandbox.store.rows("select own_reference from payments where entry_type = 'REFUND'")[0]["own_reference"]
    assert raw["MerchantReference"] == str(sale.number)
    assert raw["PaymentTransactions"][0]["PaymentTransactionId"] == own != refund["externalReference"]


def test_the_answer_to_a_request_has_the_requests_number(open_shop: Open) -> None:
    sandbox = open_shop(refunds_in_two_steps=("card", "wallet"))
    sale = sell(sandbox.store)
    refunded(sandbox, sale)
    control(sandbox, "person", {"act": "settle_requests", "given": {}})
    request, answer = shown_order(sandbox, sale.number, ENTRIES)["paymentHistory"][2:]
    assert request["externalReference"] == answer["externalReference"]


def test_signs_of_amounts_are_as_the_shop_shows_them(open_shop: Open) -> None:
    sandbox = open_shop(negative_entries=("REFUND",), negative_totals=("returnCost", "discounts"))
    sale = sell(sandbox.store)
    made = sandbox.store.person_create_return(
        sale.shipment, {sale.dresses: 1}, at=sandbox.clock.now(), return_cost=Decimal("4.95")
    )
    data(sandbox, REFUND % made)
    assert entries(sandbox, sale.number)[2] == ("REFUND", "SUCCESS", Decimal("-194.95"))
    assert sandbox.store.money_of(sale.number)[1] == Decimal("194.95")
    (shown,) = data(sandbox, "{ returns { totals { returnCost { value } shipping { value } } grandTotal { value } } }")[
        "returns"
    ]
    assert shown["totals"]["returnCost"]["value"] == Decimal("-4.95")
    assert shown["grandTotal"]["value"] == Decimal("194.95")


def test_a_shipment_that_is_marked_as_paid_says_so_in_the_payment_history(sandbox: RunningSandbox) -> None:
    sale = sell(sandbox.store, captured=False)
    sandbox.store.mark_shipment(sale.shipment, paid=True)
    assert entries(sandbox, sale.number)[1] == ("MARKED_AS_PAID", "SUCCESS", Decimal("518.80"))


def test_a_refund_and_a_completion_send_an_email_unless_the_caller_says_no(sandbox: RunningSandbox) -> None:
    sale = sell(sandbox.store)
    made = [
        sandbox.store.person_create_return(sale.shipment, {sale.dresses: 1}, at=sandbox.clock.now()) for _ in range(2)
    ]
    data(sandbox, "mutation { refundReturn(id: %d, input: {sendEmail: false}) { userErrors { path } } }" % made[0])
    assert sandbox.store.records()["emails"] == []
    data(sandbox, "mutation { completeReturn(id: %d) { userErrors { path } } }" % made[1])
    assert sandbox.store.records()["emails"] == [["return completed", made[1]]]


# ---------------------------------------------------------------- taxes and gift cards


def test_the_tax_of_a_return_is_shown_by_rule_and_the_parts_add_up(sandbox: RunningSandbox) -> None:
    sale = sell(sandbox.store)
    rules = "rule { taxName taxPercent } taxIncluded { value } taxAdded { value } taxDeducted { value }"
    create = """mutation Create($input: ReturnCreateInput!) { createReturn(input: $input) { userErrors { path } return {
        lines { appliedTaxRules { %s } } totals { taxIncluded { value } taxAdded { value } returnCostTaxRules { %s }
        shippingTaxRules { %s } handlingTaxRules { %s } discountTaxRules { %s } } } } }""" % ((rules,) * 5)
    amount = {"currencyIsoCode": "SEK"}
    made = data(
        sandbox, create,
        {
            "input": {
                "shipment": {"id": sale.shipment}, "lines": [{"shipmentLine": {"id": sale.dresses}, "quantity": 2}],
                "returnStockActionPolicy": {"removeItemsFromStock": True},
                "shippingCost": {"value": {"value": Decimal("49.00"), **amount}},
                "voucherValue": {"value": {"value": Decimal("10.10"), **amount}},
                "returnCost": {"value": Decimal("4.95"), **amount},
            }
        },
    )["createReturn"]["return"]  # fmt: skip
    totals = made["totals"]
    found = {
        "lines": made["lines"][0]["appliedTaxRules"], "shipping": totals["shippingTaxRules"],
        "discount": totals["discountTaxRules"],
    }  # fmt: skip
    included = {name: row[0]["taxIncluded"]["value"] for name, row in found.items()}
    assert included == {"lines": Decimal("79.96"), "shipping": Decimal("9.80"), "discount": Decimal("-2.02")}
    assert sum(included.values()) == totals["taxIncluded"]["value"]
    assert found["lines"][0]["rule"] == {"taxName": "VAT", "taxPercent": 25}
    assert (totals["taxAdded"]["value"], totals["returnCostTaxRules"], totals["handlingTaxRules"]) == (0, [], [])


CREDIT = """mutation { issueCredit(input: {order: {number: %d}, amount: {value: 10, currencyIsoCode: "SEK"},
    giftCard: {%s}}) { paymentHistoryEntries { entryType paramsJSON } userErrors { path } } }"""


@pytest.mark.parametrize("given", ["", "_unknown: true"])
def test_no_gift_card_can_be_made_out_while_no_way_to_do_so_is_known(sandbox: RunningSandbox, given: str) -> None:
    sale = sell(sandbox.store)
    answer = data(sandbox, CREDIT % (sale.number, given))["issueCredit"]
    assert answer == {"paymentHistoryEntries": [], "userErrors": [{"path": ["input", "giftCard"]}]}


def test_a_gift_card_is_made_out_in_exactly_one_of_the_ways_that_the_schema_names(open_shop: Open) -> None:
    sandbox = open_shop(gift_card_members=("sendToEmail: String", "code: String"))
    sale = sell(sandbox.store)
    for given in ("", 'sendToEmail: "a@b.c", code: "X"'):
        refused = data(sandbox, CREDIT % (sale.number, given))["issueCredit"]
        assert refused["userErrors"] == [{"path": ["input", "giftCard"]}]
    made = data(sandbox, CREDIT % (sale.number, 'sendToEmail: "a@b.c"'))["issueCredit"]
    assert made == {"paymentHistoryEntries": [{"entryType": "REFUND_GIFT_CARD", "paramsJSON": None}], "userErrors": []}
    (shown,) = data(sandbox, '{ __type(name: "GiftCardCreateInput") { inputFields { name } } }').values()
    assert [row["name"] for row in shown["inputFields"]] == ["sendToEmail", "code"]
