from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hr_centra_pipeline.sources.centra.centra_errors import Permanent, UnknownOutcome
from hr_centra_pipeline.sources.centra.order_api import NUMBER_IS_TAKEN, OUT_OF_STOCK, OrderApiClient
from hr_centra_pipeline_tests.sources.centra.conftest import NOW, Shop


@pytest.fixture
def order_api(shop: Shop) -> OrderApiClient:
    return OrderApiClient(shop.sandbox.order_api_url, shop.sandbox.order_api_key, sleep=lambda _: None)


def replacement(**given: Any) -> dict[str, Any]:
    return {
        "orderNumber": 900_000_001,
        "internalOrder": True,
        "products": [{"sku": "SKU-1", "qty": 1, "unitPrice": 0, "originalPrice": 0}],
        "customerId": 1,
        **{key: {"email": "jane@doe.example", "country": "DE"} for key in ("deliveryAddress", "invoiceAddress")},
        "internalComment": "PKAAAAAAAAAAAAA",
        **given,
    }


def test_an_order_is_made_under_our_number_and_read_back(order_api: OrderApiClient) -> None:
    made = order_api.create_order(replacement())
    assert (made.numbers, made.refusal, made.code, made.http_status) == (("900000001",), None, None, 200)
    found = order_api.read_order(900_000_001)
    assert found is not None
    assert "PKAAAAAAAAAAAAA" in found["internalComment"]
    assert order_api.read_order(900_000_002) is None


def test_a_taken_number_and_short_stock_are_answers_with_their_code(order_api: OrderApiClient) -> None:
    order_api.create_order(replacement())
    taken = order_api.create_order(replacement())
    assert (taken.code, taken.numbers) == (NUMBER_IS_TAKEN, ())
    assert taken.refusal
    short = order_api.create_order(replacement(orderNumber=900_000_002, products=[{"sku": "SKU-1", "qty": 5000}]))
    assert short.code == OUT_OF_STOCK


@pytest.mark.parametrize("kind", ["error_after", "dropped_after", "truncated", "wrong_content_type"])
def test_an_order_whose_answer_is_lost_is_not_ordered_again(shop: Shop, order_api: OrderApiClient, kind: str) -> None:
    shop.fault(kind=kind, target="POST /order")
    with pytest.raises(UnknownOutcome) as caught:
        order_api.create_order(replacement())
    assert caught.value.vendor == "Centra's Order API"
    assert shop.asked().count("POST /order") == 1
    assert order_api.read_order(900_000_001) is not None


def test_a_wrong_key_is_permanent_and_not_shown(shop: Shop) -> None:
    wrong = OrderApiClient(shop.sandbox.order_api_url, "wrong-key-4711")
    with pytest.raises(Permanent, match="make a new one") as caught:
        wrong.create_order(replacement())
    assert "wrong-key-4711" not in f"{caught.value!r} {wrong!r} {vars(wrong)!r}"


def test_reading_an_order_is_repeated_when_it_fails(shop: Shop, order_api: OrderApiClient) -> None:
    number = shop.add_order(at=NOW - timedelta(days=1))
    shop.fault(kind="error_before", target="GET /orders", times=2)
    found = order_api.read_order(number)
    assert found is not None
    assert found["orderId"] == str(number)
