"""Each operation that the sending half uses, executed once: the fields that it reads are there."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.sources.centra.order_api import OrderApiClient
from hr_centra_pipeline_tests.sources.centra.conftest import NOW, Shop


def make_return(shop: Shop, number: int, line: int = 0, comment: str = "PKAAAAAAAAAAAAA") -> int:
    shipment, lines = shop.shipment_of(number)
    made = {
        "shipment": {"id": shipment},
        "lines": [{"shipmentLine": {"id": lines[line]}, "quantity": 1}],
        "returnStockActionPolicy": {"removeItemsFromStock": True},
        "comment": comment,
    }
    payload = shop.client.execute("CreateReturn", {"input": made}).data["createReturn"]
    assert payload["userErrors"] == []
    assert payload["return"]["grandTotal"]["currency"]["code"] == "EUR"
    return int(payload["return"]["id"])


def look(shop: Shop, number: int) -> dict[str, Any]:
    return shop.client.execute("LookAtOrder", {"orderNumber": [number]}).data


def test_a_return_is_made_seen_refunded_and_cannot_be_deleted_any_more(shop: Shop) -> None:
    number = shop.add_order(at=NOW - timedelta(days=9))
    return_id = make_return(shop, number)
    (found,) = look(shop, number)["returns"]
    assert (found["id"], found["returnStatus"], found["comment"]) == (return_id, "PENDING", "PKAAAAAAAAAAAAA")
    assert found["grandTotal"]["value"] == Decimal("79.95")
    assert found["shipment"]["id"] == shop.shipment_of(number)[0]
    assert [(line["shipmentLine"]["id"], line["quantity"]) for line in found["lines"]] == [
        (shop.shipment_of(number)[1][0], 1)
    ]
    refund = shop.client.execute("RefundReturn", {"id": return_id, "input": {"sendEmail": False}})
    (entry,) = refund.data["refundReturn"]["paymentHistoryEntries"]
    assert (entry["entryType"], entry["status"], entry["value"]["value"]) == ("REFUND", "SUCCESS", Decimal("79.95"))
    order = look(shop, number)["orders"][0]
    assert [(e["entryType"], e["return"] and e["return"]["id"]) for e in order["paymentHistory"]] == [
        ("AUTH", None),
        ("CAPTURE", None),
        ("REFUND", return_id),
    ]
    assert [line["quantity"] - line["returnedQuantity"] for s in order["shipments"] for line in s["lines"]] == [0, 2]
    assert shop.client.execute("DeleteReturn", {"id": return_id}).errors[0]["message"]


def test_store_credit_is_given_and_its_return_completed(shop: Shop) -> None:
    number = shop.add_order(at=NOW - timedelta(days=9))
    return_id = make_return(shop, number)
    credit = {
        "order": {"number": number},
        "return": {"id": return_id},
        "amount": {"value": Decimal("79.95"), "currencyIsoCode": "EUR"},
        "giftCard": {"email": "jane@doe.example"},
    }
    given = shop.client.execute("IssueCredit", {"input": credit})
    assert given.data["issueCredit"]["paymentHistoryEntries"][0]["entryType"] == "REFUND_GIFT_CARD"
    completed = shop.client.execute("CompleteReturn", {"id": return_id, "input": {"sendEmail": False}})
    assert completed.data["completeReturn"]["return"]["returnStatus"] == "COMPLETED"
    assert shop.client.execute("CompleteReturn", {"id": return_id, "input": {"sendEmail": False}}).errors


def test_an_unpaid_return_is_deleted_and_gone(shop: Shop) -> None:
    number = shop.add_order(at=NOW - timedelta(days=9))
    assert shop.client.execute("DeleteReturn", {"id": make_return(shop, number)}).errors == []
    assert look(shop, number)["returns"] == []


def test_an_order_that_is_not_there_is_shown_as_none(shop: Shop) -> None:
    assert look(shop, 4711) == {"orders": [], "returns": []}


def test_a_stock_movement_is_found_again_by_its_time_and_warehouse(shop: Shop) -> None:
    made = {
        "description": "PKAAAAAAAAAAAAA",
        "intoWarehouse": {"id": 2},
        "productSizes": [{"productSize": {"SKU": "SKU-1"}, "deliveredQuantity": 1}],
    }
    change_id = shop.client.execute("ChangeStock", {"input": made}).data["changeStock"]["stockChange"]["id"]
    at = shop.sandbox.clock.now()
    around = {
        "createdAt": {
            "from": (at - timedelta(hours=1)).isoformat(timespec="seconds"),
            "to": (at + timedelta(hours=1)).isoformat(timespec="seconds"),
        },
        "warehouseId": [2],
    }
    found = list(shop.client.pages("LookAtStockChanges", {"where": around}, "stockChangeConnection", 50))
    assert [(change["id"], change["comment"]) for page in found for change in page] == [(change_id, "PKAAAAAAAAAAAAA")]
    free = shop.client.execute("LookAtReplacementStock", {"sku": ["SKU-1"]}).data["productSizes"]
    assert sum(stock["freeToAllocateQuantity"] for size in free for stock in size["stock"]) == 1006


def test_a_replacement_is_ordered_for_who_the_order_names_and_cancelled(shop: Shop) -> None:
    number = shop.add_order(at=NOW - timedelta(days=9))
    recipient = shop.client.execute("ReadRecipient", {"orderNumber": [number]}).data["orders"][0]
    address = recipient["shippingAddress"]
    assert (address["email"], address["country"]["code"]) == ("jane@doe.example", "DE")
    order_api = OrderApiClient(shop.sandbox.order_api_url, shop.sandbox.order_api_key)
    body = {
        "orderNumber": 900_000_001,
        "products": [{"sku": "SKU-1", "qty": 1, "unitPrice": 0, "originalPrice": 0}],
        **{key: {"email": address["email"], "country": "DE"} for key in ("deliveryAddress", "invoiceAddress")},
        "shippingValue": 0,
        "customerId": recipient["customer"]["id"],
        "internalComment": "PKAAAAAAAAAAAAA",
    }
    order_api.create_order(body)
    asked = {"orderNumber": [900_000_001]}
    made = shop.client.execute("ReadInternalComment", asked).data["orders"][0]
    assert "PKAAAAAAAAAAAAA" in made["internalComment"]
    looked = {"number": [900_000_001], "customerId": [0]}
    order_id = shop.client.execute("LookAtReplacements", looked).data["numbered"][0]["id"]
    cancel = {"stockAction": {"releaseItemsBackToWarehouse": True}, "emailOptions": {"sendEmail": False}}
    shop.client.execute("CancelOrder", {"id": order_id, "input": cancel})
    looked_again = shop.client.execute("LookAtReplacements", looked).data["numbered"][0]
    assert looked_again["status"] == "DELETED"


def test_an_order_s_internal_comment_is_written(shop: Shop) -> None:
    number = shop.add_order(at=NOW - timedelta(days=9))
    change = {"order": {"number": number}, "input": {"internalComment": "two\nlines"}}
    assert shop.client.execute("UpdateDirectToConsumerOrder", change).errors == []
    asked = shop.client.execute("ReadInternalComment", {"orderNumber": [number]})
    assert asked.data["orders"][0]["internalComment"] == "two\nlines"
