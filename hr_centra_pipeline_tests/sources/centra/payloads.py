"""Hand-written objects as Centra's GraphQL answers them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

Node = dict[str, Any]


def money(value: str, currency: str = "EUR") -> Node:
    return {"value": Decimal(value), "currency": {"code": currency}}


def payment(entry_id: int, entry_type: str, value: str, *, status: str = "SUCCESS", of: int | None = None) -> Node:
    return {
        "id": entry_id, "createdAt": "2026-09-20T10:00:00+02:00", "status": status, "entryType": entry_type,
        "value": money(value), "externalReference": f"psp-{entry_id}", "return": {"id": of} if of else None,
    }  # fmt: skip


def order_line(line_id: int, price: str, **given: Any) -> Node:
    return {
        "__typename": "ProductOrderLine", "id": line_id, "quantity": 1, "cancelledQuantity": 0, "returnedQuantity": 0,
        "productName": "Shirt", "unitOriginalPrice": money(price), "unitPrice": money(price),
        "lineValue": money(price), "taxPercent": Decimal(25),
        "productSize": {"SKU": f"SKU{line_id}", "EAN": f"EAN{line_id}", "UPC": None}, **given,
    }  # fmt: skip


def order(number: int, **given: Any) -> Node:
    return {
        "__typename": "DirectToConsumerOrder", "id": f"{number:032x}", "number": number, "status": "SHIPPED",
        "isInternal": False, "createdAt": "2026-09-01T10:00:00+02:00", "updatedAt": "2026-09-20T10:00:00+02:00",
        "grandTotal": money("100"),
        "totals": {"shipping": money("5"), "handling": money("0"), "discounts": money("0")},
        "internalComment": None, "country": {"code": "DE"}, "customer": {"id": 7},
        "lines": [order_line(number * 10, "95")], "paymentHistory": [], **given,
    }  # fmt: skip


def shipment(shipment_id: int, number: int, **given: Any) -> Node:
    return {
        "__typename": "DirectToConsumerShipment", "id": shipment_id, "number": f"{number}-1",
        "createdAt": "2026-09-02T10:00:00+02:00", "updatedAt": "2026-09-02T10:00:00+02:00",
        "shippedAt": "2026-09-02T10:00:00+02:00", "isShipped": True, "isCaptured": True, "isPaid": True,
        "isGoodToGo": True, "grandTotal": money("100"),
        "order": {"number": number},
        "lines": [
            {
                "id": shipment_id * 10, "quantity": 1, "returnedQuantity": 0, "unitPrice": money("95"),
                "lineValue": money("95"), "orderLine": {"id": number * 10, "taxPercent": Decimal(25)},
            }
        ],
        **given,
    }  # fmt: skip


def return_line(line_id: int, value: str, tax: str, percent: str = "25") -> Node:
    return {
        "id": line_id, "quantity": 1, "lineValue": money(value),
        "orderLine": {"id": 10010, "taxPercent": Decimal(percent)}, "shipmentLine": {"id": 500},
        "appliedTaxRules": [{"taxIncluded": money(tax), "taxAdded": money("0"), "taxDeducted": money("0")}],
    }  # fmt: skip


def a_return(return_id: int, number: int, **given: Any) -> Node:
    totals = {
        name: money("0") for name in ("lineValues", "shipping", "handling", "discounts", "returnCost")
    } | given.pop("totals", {})  # fmt: skip
    return {
        "__typename": "DirectToConsumerReturn", "id": return_id, "externalId": None, "returnStatus": "COMPLETED",
        "createdAt": "2026-09-20T10:00:00+02:00", "createdFrom": "AMS", "comment": None, "returnedToStock": False,
        "returnWarehouse": None, "grandTotal": money("0"), "totals": totals, "order": {"number": number},
        "shipment": {"id": 50}, "lines": [], "refundPaymentHistory": [], **given,
    }  # fmt: skip


def stock_change(change_id: int, comment: str, *lines: tuple[int, str, int], **given: Any) -> Node:
    return {
        "id": change_id, "createdAt": "2026-09-20T10:00:00+02:00", "comment": comment, "type": "IN",
        "adminUser": None, "warehouse": {"id": 1},
        "lines": [
            {"id": line_id, "deliveredQuantity": quantity, "productSize": {"SKU": sku}, "warehouse": {"id": 1}}
            for line_id, sku, quantity in lines
        ],
        **given,
    }  # fmt: skip
