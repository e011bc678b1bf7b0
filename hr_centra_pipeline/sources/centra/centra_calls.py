"""Our calls to Centra, as data: the widest variables of each, the permissions that it needs, and which effect types need it.

- The widest variables are every input member that we ever send, with values about nothing that exists. ``contract`` compares
  each member with this Centra's schema, and ``probes`` asks what a token may do without doing it. Whatever a packet sends
  beyond them is caught by the tests (the sandbox records it).
- A token is made with the least permissions of what is called; ``doctor`` and the contract with Centra's schema check both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hr_centra_pipeline.core import gift_card
from hr_centra_pipeline.core.policy import Policy

# ---------------------------------------------------------------- the widest variables

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

PAYMENT = "PaymentHistoryEntry"
EVENT_TYPES = ("Order", "Shipment", "Return", "StockChange", PAYMENT)
EVENT_CHANGES = ("CREATED", "UPDATED", "DELETED", "COMPLETED", "DEPENDENT_DATA_CHANGED")

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
    "ReadEvents": {"objectType": [one for one in EVENT_TYPES if one != PAYMENT], "limit": 1},
    "ReadPaymentEvents": {"limit": 1},
    "ReadEventListeners": {},
    "SetEventListeners": {"input": [{"objectType": one, "changeTypes": list(EVENT_CHANGES)} for one in EVENT_TYPES]},
    "ConfirmEvents": {"input": {"eventsIds": [0]}},
    "CancelOrder": {
        "id": "-",
        "input": {
            "stockAction": {"releaseItemsBackToWarehouse": True}, "emailOptions": {"sendEmail": False}, "comment": "-",
        },
    },
}  # fmt: skip


def widest(policy: Policy) -> Mapping[str, Variables]:
    """The same under a policy: a gift card as its template fills it in, and the event queue only where it is read."""
    found = {name: of for name, of in WIDEST.items() if policy.events.centra_queue or name not in QUEUE}
    template = policy.gift_card.template
    if template is None:
        return found
    card = gift_card.filled(template, dict.fromkeys(gift_card.PLACEHOLDERS, "-"))
    return {**found, "IssueCredit": {"input": {**WIDEST["IssueCredit"]["input"], "giftCard": card}}}


def plain(value: Any) -> Any:
    """Variables as JSON, everything that is sometimes sent included."""
    if isinstance(value, Sometimes):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


# ---------------------------------------------------------------- permissions

_ORDERS = frozenset({"Order:read", "PaymentHistory:read"})
_RETURN = frozenset({"Return:read"})
# Who bought an order: the guides' samples name a permission of its own for it, beside the customer's.
_CUSTOMER = frozenset({"Customer:read", "Purchaser:read"})
_MARKET = frozenset({"Market:read", "Pricelist:read"})

# Names that no document lists follow the pattern of those that are listed (`Type:read`, `Type.field:read`, `Type:write`).
NEEDED: Mapping[str, frozenset[str]] = {
    "ReadRateLimits": frozenset(),
    "PullOrders": _ORDERS | _CUSTOMER | _MARKET | {"Order.internalComment:read", "ProductSize:read", "Return:read"},
    "PullShipments": frozenset({"Shipment:read", "Order:read"}),
    # AdminUser: only the id is read, which distinguishes a person's Return from another integration's.
    "PullReturns": _ORDERS
    | {"Return:read", "Return.comment:read", "Shipment:read", "Warehouse:read", "AdminUser:read"},
    "PullStockChanges": frozenset({"StockChange:read", "ProductSize:read", "Warehouse:read", "AdminUser:read"}),
    "PullStockChangeLines": frozenset({"StockChange:read", "ProductSize:read", "Warehouse:read"}),
    "PullWarehouses": frozenset({"Warehouse:read"}),
    "PullReplacementStock": frozenset({"ProductSize:read", "ProductSize.stock:read"}),
    "LookAtOrder": _ORDERS | {"Return:read", "Return.comment:read", "Shipment:read"},
    "LookAtReturns": frozenset({"Return:read", "Return.comment:read"}),
    "LookAtReplacements": _CUSTOMER | {"Order:read", "Order.internalComment:read", "ProductSize:read"},
    "LookAtReplacementOrder": _MARKET | {"Order:read", "Order.shippingAddress:read"},
    "LookAtShipment": frozenset({"Shipment:read", "Order:read"}),
    "ReadCustomer": _CUSTOMER | {"Order:read"},
    "LookAtStockChanges": frozenset({"StockChange:read"}),
    "LookAtReplacementStock": frozenset({"ProductSize:read", "ProductSize.stock:read"}),
    "ReadRecipient": _CUSTOMER | _MARKET | {"Order:read", "Order.shippingAddress:read"},
    "ReadInternalComment": frozenset({"Order:read", "Order.internalComment:read"}),
    "ReadOrderAttributes": frozenset({"Order:read", "Order.attributes:read", "Attribute:read"}),
    "ReadCustomerComments": frozenset({"Customer:read", "Customer.internalComment:read"}),
    "ReadCustomerAttributes": frozenset({"Customer:read", "Customer.attributes:read", "Attribute:read"}),
    "CreateReturn": _RETURN | {"Return:write"},
    "RefundReturn": _RETURN | {"Return:write", "PaymentHistory:read", "Payment.refund:write"},
    "IssueCredit": _RETURN | {"Order:write", "PaymentHistory:read", "Payment.refund:write"},
    "CompleteReturn": _RETURN | {"Return:write"},
    "UncompleteReturn": _RETURN | {"Return:write"},
    "DeleteReturn": frozenset({"Return:write"}),
    "UpdateShipment": frozenset({"Shipment:read", "Shipment:write"}),
    "ChangeStock": frozenset({"StockChange:read", "StockChange:write"}),
    "UpdateDirectToConsumerOrder": frozenset({"Order:read", "Order:write"}),
    "UpdateCustomer": frozenset({"Customer:read", "Customer:write"}),
    "AssignOrderAttribute": frozenset({"Attribute:write"}),
    "AssignCustomerAttribute": frozenset({"Attribute:write"}),
    "CancelOrder": frozenset({"Order:read", "Order:write"}),
    "ReadEvents": frozenset({"Event:read"}),
    "ReadPaymentEvents": frozenset({"Event:read", "Order:read"}),
    "ReadEventListeners": frozenset({"Event:read"}),
    "SetEventListeners": frozenset({"Event:write"}),
    "ConfirmEvents": frozenset({"Event:write"}),
}


def least(operations: Iterable[str] | None = None) -> tuple[str, ...]:
    """What a token for these operations (default: all) must be allowed to do, sorted."""
    wanted = NEEDED if operations is None else operations
    return tuple(sorted(frozenset().union(*(NEEDED[name] for name in wanted))))


# ---------------------------------------------------------------- which operations an effect type needs

_READ_FOR_ALL = frozenset({"ReadRateLimits", "PullOrders", "PullShipments", "PullReturns"})
_RETURNS = frozenset({"LookAtOrder", "CreateReturn", "CompleteReturn", "DeleteReturn"})

SENDING: Mapping[str, frozenset[str]] = {
    "credit_note": _READ_FOR_ALL | _RETURNS,
    "exchange_order": _READ_FOR_ALL
    | _RETURNS
    | {
        "PullReplacementStock", "LookAtReplacementStock", "LookAtReplacements", "LookAtReplacementOrder", "ReadCustomer",
        "ReadRecipient", "CancelOrder",
    },
    "inventory_adjustment": _READ_FOR_ALL
    | {"PullStockChanges", "PullStockChangeLines", "LookAtReturns", "LookAtStockChanges", "ChangeStock"},
    "status_update": _READ_FOR_ALL,
}  # fmt: skip
"""Operations by effect type: what it reads to be planned, what is looked at right before it is sent, and what sends it.

Where the state is written is policy: see :data:`WRITING`."""

WRITING: Mapping[str, frozenset[str]] = {
    "status_update": frozenset({"ReadInternalComment", "UpdateDirectToConsumerOrder"}),
    "order_attribute": frozenset({"ReadOrderAttributes", "AssignOrderAttribute"}),
    "customer_note": frozenset({"ReadCustomerComments", "UpdateCustomer"}),
    "customer_attribute": frozenset({"ReadCustomerAttributes", "AssignCustomerAttribute"}),
}
"""Operations that status updates need besides, by the kind of effect, which says where the state is written."""

INSTEAD = "instead of a replacement"
PAYING: Mapping[str, frozenset[str]] = {
    "centra": frozenset({"RefundReturn"}),
    "gift_card": frozenset({"IssueCredit", "ReadRecipient"}),
    INSTEAD: frozenset({"UncompleteReturn"}),
}
"""Operations that a credit note needs besides, by who pays for it; and where it is paid on the completed Return of a canceled
replacement."""

RELEASING = frozenset({"LookAtShipment", "UpdateShipment"})
"""Operations that exchange orders need besides, where the policy wants their shipments released."""

FOR_PEOPLE = frozenset({"PullWarehouses"})
"""Operations that no effect needs: what they read is shown to people."""

QUEUE = frozenset({"ReadEvents", "ReadPaymentEvents", "ReadEventListeners", "SetEventListeners", "ConfirmEvents"})
"""Operations of Centra's event queue, where the policy wants it read. No effect needs them: polls find what it does not bring."""


def paid_by(payer: str) -> str:
    """How credit notes that a payer pays are called among the effect types."""
    return f"credit_note {payer}" if payer == INSTEAD else f"credit_note by {payer}"


def needed(policy: Policy) -> dict[str, frozenset[str]]:
    """Operations by effect type under this policy; credit notes by payer, as :func:`paid_by` calls them, in addition."""
    payers = {*policy.pays_through.values(), INSTEAD} & set(PAYING)
    if policy.gift_card.template is None:
        payers.discard("gift_card")  # none is issued
    released = RELEASING if policy.exchange.release != "none" else frozenset()
    by_policy = {
        "exchange_order": SENDING["exchange_order"] | released,
        "status_update": SENDING["status_update"].union(*(WRITING[kind] for kind in policy.status.effect_kinds)),
    }
    return {**SENDING, **by_policy, **{paid_by(payer): PAYING[payer] for payer in sorted(payers)}}


def used(policy: Policy | None = None) -> frozenset[str]:
    """Every operation that this policy uses: not those of an effect type that is switched off. Without a policy: all."""
    if policy is None:
        return frozenset(NEEDED)
    modes: dict[str, str] = policy.modes.model_dump()
    of_types = [names for of, names in needed(policy).items() if modes[of.partition(" ")[0]] != "off"]
    queue = QUEUE if policy.events.centra_queue else frozenset()
    return (_READ_FOR_ALL | FOR_PEOPLE | queue).union(*of_types)
