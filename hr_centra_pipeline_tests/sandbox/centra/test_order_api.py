from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.sandbox.centra.store import CentraSettings, NewReturn
from hr_centra_pipeline.sandbox.server import RunningSandbox, running_sandbox
from hr_centra_pipeline_tests.sandbox.centra.conftest import (
    control,
    data,
    furnish,
    order_api,
    sell,
    shown_order,
    slow,
)

ADDRESS = {
    "email": "ada@example.com", "firstName": "Ada", "lastName": "L", "address": "7 Mill Lane", "coaddress": "c/o Smith",
    "zipcode": "11122", "city": "Stockholm", "state": "M", "country": "SE", "tele": "+46 8 1", "cell": "+46 70 2", "attn": "Ada",
}  # fmt: skip
SHOWN = """shippingAddress { firstName lastName address1 address2 zipCode city state { code } stateOrProvince country { code }
    email phoneNumber cellPhoneNumber attention }"""

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


def created(sandbox: RunningSandbox, **body: Any) -> int:
    answer = order_api(sandbox, **body)
    assert answer["status"] == "ok", answer
    (number,) = answer["orders"]
    return int(number)


# ---------------------------------------------------------------- answers


def test_creating_answers_numbers_completing_texts_and_creating_only_one_number(sandbox: RunningSandbox) -> None:
    assert order_api(sandbox, orderNumber=900001) == {"status": "ok", "orders": [900001]}
    assert order_api(sandbox, orderNumber=900002, createOnly=True) == {"status": "ok", "order": 900002}
    assert shown_order(sandbox, 900002, "status") == {"status": "PENDING"}
    for _ in range(2):
        assert order_api(sandbox, path="order/900002", comment="done") == {"status": "ok", "orders": ["900002"]}
    assert shown_order(sandbox, 900002, "status") == {"status": "CONFIRMED"}


def test_an_order_is_shown_with_its_number_as_a_text_called_order_id(sandbox: RunningSandbox) -> None:
    number = created(
        sandbox, orderNumber=900001, deliveryAddress=ADDRESS, invoiceAddress=ADDRESS, internalComment="HR1"
    )
    answer = order_api(sandbox, "GET", "orders", order=number)
    assert (answer["status"], len(answer["orders"])) == ("ok", 1)
    shown = answer["orders"][0]
    assert (shown["orderId"], shown["internalComment"], shown["customerId"]) == ("900001", "HR1", "2")
    assert (shown["deliveryAddress"], shown["deliveryCoaddress"], shown["deliveryZipcode"]) == (
        "7 Mill Lane",
        "c/o Smith",
        "11122",
    )
    assert [(row["sku"], row["qty"], row["price"], type(row["lineId"])) for row in shown["products"]] == [
        ("DRESS-S", 1, 0, str)
    ]
    assert "order" not in shown


def test_get_orders_shows_only_the_plugins_markets_and_the_statuses_that_are_ticked(open_shop: Open) -> None:
    sandbox = open_shop(plugin_markets=(2,), plugin_statuses=("CONFIRMED", "PROCESSING"))
    number = created(sandbox)
    abroad = sandbox.store.add_market("Abroad")
    sandbox.store.set_order(other := created(sandbox), {"market_id": abroad})
    shipped = sell(sandbox.store).number
    shown = {row["orderId"] for row in order_api(sandbox, "GET", "orders")["orders"]}
    assert shown == {str(number)}
    assert order_api(sandbox, "GET", "orders", order=other)["orders"] == []
    assert order_api(sandbox, "GET", "orders", order=shipped)["orders"] == []
    sandbox.store.cancel_order(number)
    assert order_api(sandbox, "GET", "orders", order=number)["orders"] == []
    assert order_api(sandbox, orderNumber=number)["code"] == -5


def test_put_orders_appends_unless_asked_to_replace_and_not_in_a_market_of_others(open_shop: Open) -> None:
    sandbox = open_shop(plugin_markets=(2,))
    number = created(sandbox, internalComment="one")
    assert order_api(sandbox, "PUT", "orders", order=number, internalComment="two") == {"status": "ok", "order": number}
    assert sandbox.store.order(number)["internal_comment"] == "one\ntwo"
    order_api(sandbox, "PUT", "orders", order=number, internalComment="three", replaceInternalComment=True)
    assert sandbox.store.order(number)["internal_comment"] == "three"
    sandbox.store.set_order(number, {"market_id": 1})
    refused = order_api(sandbox, "PUT", "orders", order=number, internalComment="four")
    assert refused == {"status": "no", "msg": "order in wrong market", "order": number}


# ---------------------------------------------------------------- addresses


def test_an_address_in_the_keys_of_this_api_is_what_graphql_shows_in_its_own(sandbox: RunningSandbox) -> None:
    number = created(sandbox, deliveryAddress=ADDRESS, invoiceAddress=ADDRESS)
    assert shown_order(sandbox, number, SHOWN)["shippingAddress"] == {
        "firstName": "Ada", "lastName": "L", "address1": "7 Mill Lane", "address2": "c/o Smith", "zipCode": "11122",
        "city": "Stockholm", "state": {"code": "M"}, "stateOrProvince": None, "country": {"code": "SE"},
        "email": "ada@example.com", "phoneNumber": "+46 8 1", "cellPhoneNumber": "+46 70 2", "attention": "Ada",
    }  # fmt: skip
    assert control(sandbox, "unknown-keys") == []


def test_keys_of_graphql_are_ignored_here_and_recorded(sandbox: RunningSandbox) -> None:
    theirs = {
        "email": "a@b.c",
        "country": "SE",
        "address1": "7 Mill Lane",
        "zipCode": "11122",
        "phoneNumber": "1",
        "company": "X",
    }
    products = [{"sku": "DRESS-S", "qty": 1, "unitPrice": 0, "colour": "blue"}]
    number = created(sandbox, address=theirs, currency="USD", products=products, extra={"deep": [{"er": 1}]})
    unknown = [
        "address.address1", "address.company", "address.phoneNumber", "address.zipCode", "currency", "extra.deep.er",
        "products.colour",
    ]  # fmt: skip
    assert control(sandbox, "log")[-1]["unknown_keys"] == unknown
    shown = shown_order(sandbox, number, f"{SHOWN} grandTotal {{ currency {{ code }} }}")
    assert (shown["shippingAddress"]["address1"], shown["shippingAddress"]["zipCode"]) == (None, None)
    assert shown["grandTotal"]["currency"] == {"code": "SEK"}
    assert control(sandbox, "unknown-keys") == [f"POST /order {path}" for path in unknown]
    order_api(sandbox, "GET", "orders", number=number)
    assert "GET /orders number" in control(sandbox, "unknown-keys")


@pytest.mark.parametrize("name", ["email", "country"])
def test_each_address_needs_an_email_and_a_country(sandbox: RunningSandbox, name: str) -> None:
    without = {key: value for key, value in ADDRESS.items() if key != name}
    tries: list[dict[str, Any]] = [
        {"deliveryAddress": ADDRESS, "invoiceAddress": without, "address": None},
        {"deliveryAddress": without, "invoiceAddress": ADDRESS, "address": None},
        {"address": without},
    ]
    for given in tries:
        assert order_api(sandbox, **given)["code"] == -4
    assert order_api(sandbox, address=None, deliveryAddress=ADDRESS)["code"] == -4


@pytest.mark.parametrize(("state", "code"), [(None, -4), ("California", -4), ("CA", None)])
def test_some_countries_ask_for_a_state_by_its_code(
    sandbox: RunningSandbox, state: str | None, code: int | None
) -> None:
    address = {**ADDRESS, "country": "US", "state": state}
    assert order_api(sandbox, address=address).get("code") == code


def test_a_state_that_the_country_does_not_know_is_kept_as_a_text(sandbox: RunningSandbox) -> None:
    number = created(sandbox, address={**ADDRESS, "state": "Somewhere"})
    shown = shown_order(sandbox, number, SHOWN)["shippingAddress"]
    assert (shown["state"], shown["stateOrProvince"]) == (None, "Somewhere")


def test_an_unknown_country_is_refused(sandbox: RunningSandbox) -> None:
    assert order_api(sandbox, address={**ADDRESS, "country": "XX"})["code"] == -7


# ---------------------------------------------------------------- what bites when it is not sent


def test_without_a_shipping_value_the_countrys_default_cost_is_charged(sandbox: RunningSandbox) -> None:
    fields = "totals { shipping { value } } grandTotal { value }"
    charged = shown_order(sandbox, created(sandbox, shippingValue=None), fields)
    assert (charged["totals"]["shipping"]["value"], charged["grandTotal"]["value"]) == (
        Decimal("49.00"),
        Decimal("49.00"),
    )
    free = shown_order(sandbox, created(sandbox), fields)
    assert (free["totals"]["shipping"]["value"], free["grandTotal"]["value"]) == (0, 0)


def test_without_market_and_pricelist_those_of_the_country_are_used_and_the_currency_follows(
    sandbox: RunningSandbox,
) -> None:
    fields = "market { id } pricelist { id } grandTotal { currency { code } }"
    market, pricelist = sandbox.store.add_market("Outlet"), sandbox.store.add_pricelist("Outlet dollars", "USD")
    shown = [
        shown_order(sandbox, created(sandbox, address={**ADDRESS, "country": country}, **more), fields)
        for country, more in (
            ("SE", {}), ("DE", {}), ("CH", {}), ("SE", {"marketId": market, "pricelistId": pricelist}),
            ("SE", {"market": "Outlet", "pricelist": "Outlet dollars"}),
        )
    ]  # fmt: skip
    assert [(row["market"]["id"], row["pricelist"]["id"], row["grandTotal"]["currency"]["code"]) for row in shown] == [
        (2, 2, "SEK"), (1, 1, "EUR"), (5, 5, "CHF"), (market, pricelist, "USD"), (market, pricelist, "USD"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "given", [{"marketId": 99}, {"pricelistId": 99}, {"market": "x"}, {"pricelist": "x"}, {"marketId": "2"}]
)
def test_an_unknown_market_or_pricelist_is_refused(sandbox: RunningSandbox, given: dict[str, Any]) -> None:
    assert order_api(sandbox, **given)["code"] == -7
    assert sandbox.store.records()["orders"] == []


def test_without_a_price_the_article_costs_what_it_was_last_sold_for(sandbox: RunningSandbox) -> None:
    sell(sandbox.store)
    number = created(sandbox, products=[{"sku": "DRESS-S", "qty": 2}])
    shown = shown_order(
        sandbox, number, "lines { unitPrice { value } unitOriginalPrice { value } } grandTotal { value }"
    )
    assert shown["grandTotal"]["value"] == Decimal("399.80")
    assert shown["lines"][0]["unitOriginalPrice"]["value"] == Decimal("249.90")


def test_without_a_payment_id_an_order_has_no_payment_method(sandbox: RunningSandbox) -> None:
    fields = "paymentMethod { name } paymentHistory { id }"
    assert shown_order(sandbox, created(sandbox), fields) == {"paymentMethod": None, "paymentHistory": []}
    paid = shown_order(sandbox, created(sandbox, payment={"id": 2}), fields)
    assert paid["paymentMethod"] == {"name": "PayPal Commerce"}
    assert order_api(sandbox, payment={"id": 77})["code"] == -7


def test_without_a_customer_id_the_customer_is_a_new_unregistered_one(sandbox: RunningSandbox) -> None:
    fields = "... on DirectToConsumerOrder { customer { id email } }"
    address = {**ADDRESS, "email": "ada@example.com"}
    found = [
        shown_order(sandbox, created(sandbox, address=address, **more), fields)["customer"]["id"]
        for more in ({}, {"customerId": 1}, {"customerRegister": True}, {"customerRegister": False})
    ]
    assert found == [2, 1, 1, 3]
    assert order_api(sandbox, customerId=99)["code"] == -6


def test_an_email_is_sent_unless_the_caller_says_no(sandbox: RunningSandbox) -> None:
    numbers = [created(sandbox, sendEmail=asked) for asked in (False, True, None)]
    assert sandbox.store.records()["emails"] == [["order created", number] for number in numbers[1:]]


# ---------------------------------------------------------------- refusals


def test_the_origin_of_an_order_must_exist(sandbox: RunningSandbox) -> None:
    sale = sell(sandbox.store)
    made = sandbox.store.create_return(NewReturn(sale.shipment, [(sale.dresses, 1)], "none"))
    assert order_api(sandbox, createdFromOrigin={"type": "return", "id": made})["status"] == "ok"
    for origin in ({"type": "return", "id": 99}, {"type": "exchange", "id": made}, {"type": "order", "id": 99}):
        assert order_api(sandbox, createdFromOrigin=origin)["code"] == -7


@pytest.mark.parametrize(
    "given",
    [
        {"adjustStock": False}, {"forceCreate": True}, {"voucherCodes": ["X"]}, {"payment": {"id": 1, "auth": {"status": 1}}},
        {"extraAttributes": {"a_b": "c"}},
    ],
)  # fmt: skip
def test_what_is_documented_and_not_simulated_is_refused_not_misunderstood(
    sandbox: RunningSandbox, given: dict[str, Any]
) -> None:
    answer = order_api(sandbox, **given)
    assert (answer["code"], answer["msg"].endswith("is not simulated")) == (-7, True)


@pytest.mark.parametrize(
    ("products", "code"),
    [
        ([{"sku": "DRESS-S"}], -4), ([{"sku": "DRESS-S", "qty": 0}], -7), ([{"sku": "DRESS-S", "qty": 1, "unitPrice": "0"}], -7),
        ([{"qty": 1}], -1), ([{"ean": "nope", "qty": 1}], -1), ("DRESS-S", -3),
    ],
)  # fmt: skip
def test_a_product_is_named_counted_and_priced_as_documented(sandbox: RunningSandbox, products: Any, code: int) -> None:
    assert order_api(sandbox, products=products)["code"] == code


def test_a_plugin_that_may_not_create_orders_or_has_an_endpoint_disabled_says_no(open_shop: Open) -> None:
    sandbox = open_shop(allows_order_create=False, disabled_endpoints=("GET /orders",))
    assert order_api(sandbox)["status"] == "no"
    assert order_api(sandbox, "GET", "orders")["status"] == "no"
    assert sandbox.store.records()["orders"] == []


def test_a_market_that_the_plugin_does_not_serve_is_refused(open_shop: Open) -> None:
    sandbox = open_shop(plugin_markets=(1,))
    assert "not allowed" in order_api(sandbox)["msg"]
    assert order_api(sandbox, marketId=1)["status"] == "ok"


def test_what_people_change_on_an_order_is_what_it_shows(sandbox: RunningSandbox) -> None:
    number = created(sandbox, address=ADDRESS)
    changes = {
        "address": {"address1": "8 Mill Lane"},
        "market_id": 1,
        "pricelist_id": 1,
        "shipping": "5.00",
        "unit_price": "1.00",
    }
    done = control(sandbox, "person", {"act": "change_order", "given": {"order_number": number, **changes}})
    assert done["made"] == number
    shown = shown_order(sandbox, number, f"{SHOWN} market {{ id }} pricelist {{ id }} grandTotal {{ value }}")
    assert (shown["shippingAddress"]["address1"], shown["shippingAddress"]["zipCode"]) == ("8 Mill Lane", "11122")
    assert (shown["market"]["id"], shown["pricelist"]["id"], shown["grandTotal"]["value"]) == (1, 1, Decimal("6.00"))


def test_people_find_a_replacement_by_the_return_that_it_was_made_for(sandbox: RunningSandbox) -> None:
    sale = sell(sandbox.store)
    made = sandbox.store.create_return(NewReturn(sale.shipment, [(sale.dresses, 1)], "none"))
    number = created(sandbox, createdFromOrigin={"type": "return", "id": made})
    for act, given in (("create_shipment", {"return_id": made}), ("cancel_order", {"shipment_id": sale.shipment})):
        assert control(sandbox, "person", {"act": act, "given": given})["refused"] is None
    assert shown_order(sandbox, number, "status") == {"status": "DELETED"}


def test_a_person_cancels_the_replacement_right_after_it_was_made(sandbox: RunningSandbox) -> None:
    control(sandbox, "faults", {"kind": "person_after", "target": "POST /order", "act": "cancel_order"})
    number = created(sandbox, orderNumber=900001)
    assert shown_order(sandbox, number, "status") == {"status": "DELETED"}


def test_a_return_made_by_another_integration_is_nobodys_in_the_admin(sandbox: RunningSandbox) -> None:
    sale = sell(sandbox.store)
    given = {"shipment_id": sale.shipment, "lines": {sale.dresses: 1}, "created_from": "Support agent", "refunds": True}
    assert control(sandbox, "person", {"act": "return_by_integration", "given": given})["refused"] is None
    (shown,) = data(
        sandbox, "{ returns { createdFrom adminUser { id } returnStatus refundPaymentHistory { entryType } } }"
    )["returns"]
    assert shown == {
        "createdFrom": "Support agent", "adminUser": None, "returnStatus": "COMPLETED",
        "refundPaymentHistory": [{"entryType": "REFUND"}],
    }  # fmt: skip
