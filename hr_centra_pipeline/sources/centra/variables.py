"""The widest variables of each operation: every input member that we ever send, with values about nothing that exists.

One list serves two purposes: ``contract`` compares each member with this Centra's schema, and ``probes`` asks what a token
may do without doing it. Whatever a packet sends beyond this list is caught by the tests (the sandbox records it).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hr_centra_pipeline.core import gift_card
from hr_centra_pipeline.core.policy import Policy

Variables = Mapping[str, Any]


@dataclass(frozen=True)
class Sometimes:
    """A member that not every call sends: a Centra that requires it does not fit."""

    value: Any


_NOWHERE = {"from": "2999-01-01T00:00:00+00:00", "to": Sometimes("2999-01-02T00:00:00+00:00")}
_MONEY = {"value": 0, "currencyIsoCode": "EUR"}
_ORDER = {"number": 0}
_COST = Sometimes({"value": _MONEY})
_ATTRIBUTES = [{"attributeTypeName": "-", "attributeElementKey": "-", "attributeElementValue": "-"}]
_SIZES = [{"productSize": {"SKU": "-"}, "deliveredQuantity": 1}]

WIDEST: Mapping[str, Variables] = {
    "ReadRateLimits": {},
    "PullOrders": {
        "where": {
            "number": Sometimes([0]), "updatedAt": Sometimes(_NOWHERE), "createdAt": Sometimes(_NOWHERE),
        },
        "first": 1, "after": None,
    },
    "PullShipments": {
        "where": {
            "id": Sometimes([0]), "orderId": Sometimes(["-"]), "updatedAt": Sometimes(_NOWHERE),
            "createdAt": Sometimes(_NOWHERE),
        },
        "first": 1, "after": None,
    },
    "PullReturns": {
        "where": {
            "id": Sometimes([0]), "orderNumber": Sometimes([0]), "createdAt": Sometimes(_NOWHERE),
        },
        "first": 1, "after": None,
    },
    "PullStockChanges": {"where": {"id": Sometimes([0]), "createdAt": Sometimes(_NOWHERE)}, "first": 1, "after": None, "lines": 1},
    "PullStockChangeLines": {"id": [0], "lines": 1, "page": 1},
    "PullWarehouses": {"limit": 1, "page": 1},
    "PullReplacementStock": {"sku": ["-"], "limit": 1},
    "LookAtOrder": {"orderNumber": [0]},
    "LookAtReturns": {"orderNumber": [0]},
    "LookAtReplacements": {"number": [0], "customerId": [0]},
    "LookAtReplacementStock": {"sku": ["-"]},
    "LookAtStockChanges": {"where": {"createdAt": _NOWHERE, "warehouseId": [0]}, "first": 1, "after": None},
    "LookAtReplacementOrder": {"number": [0]},
    "LookAtShipment": {"id": [0]},
    "ReadCustomer": {"orderNumber": [0]},
    "ReadRecipient": {"orderNumber": [0]},
    "ReadInternalComment": {"orderNumber": [0]},
    "ReadOrderAttributes": {"number": [0], "limit": 1},
    "ReadCustomerComments": {"id": [0], "limit": 1},
    "ReadCustomerAttributes": {"id": [0], "limit": 1},
    "CreateReturn": {
        "input": {
            "shipment": {"id": 0}, "lines": [{"shipmentLine": {"id": 0}, "quantity": 1}],
            "returnStockActionPolicy": {"removeItemsFromStock": True}, "comment": "-", "externalId": "-",
            "shippingCost": _COST, "voucherValue": _COST, "returnCost": Sometimes(_MONEY),
        }
    },
    "CompleteReturn": {"id": 0, "input": {"sendEmail": False}},
    "RefundReturn": {"id": 0, "input": {"sendEmail": False}},
    "IssueCredit": {"input": {"order": _ORDER, "return": {"id": 0}, "amount": _MONEY, "giftCard": {}}},
    "UncompleteReturn": {"id": 0},
    "DeleteReturn": {"id": 0},
    "UpdateShipment": {"id": 0, "input": {"isPaid": Sometimes(True), "isGoodToGo": Sometimes(True)}},
    "ChangeStock": {
        "input": {
            "description": "-", "productSizes": _SIZES, "intoWarehouse": Sometimes({"id": 0}),
            "outFromWarehouse": Sometimes({"id": 0}),
        }
    },
    "UpdateDirectToConsumerOrder": {"order": _ORDER, "input": {"internalComment": "-"}},
    "UpdateCustomer": {"customer": {"id": 0}, "input": {"internalComment": "-"}},
    "AssignOrderAttribute": {"objectId": 0, "attributes": _ATTRIBUTES},
    "AssignCustomerAttribute": {"objectId": 0, "attributes": _ATTRIBUTES},
    "CancelOrder": {
        "id": "-",
        "input": {
            "stockAction": {"releaseItemsBackToWarehouse": True}, "emailOptions": {"sendEmail": False}, "comment": "-",
        },
    },
}  # fmt: skip


def widest(policy: Policy) -> Mapping[str, Variables]:
    """The same under a policy: a gift card as its template fills it in."""
    template = policy.gift_card.template
    if template is None:
        return WIDEST
    card = gift_card.filled(template, dict.fromkeys(gift_card.PLACEHOLDERS, "-"))
    return {**WIDEST, "IssueCredit": {"input": {**WIDEST["IssueCredit"]["input"], "giftCard": card}}}


def plain(value: Any) -> Any:
    """Variables as JSON, everything that is sometimes sent included."""
    if isinstance(value, Sometimes):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value
