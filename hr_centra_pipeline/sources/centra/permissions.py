"""What a Centra has to offer: the operations that each effect type needs, and the least permissions of each operation.

A token is made with these permissions; ``doctor`` and the contract with Centra's schema check both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hr_centra_pipeline.core.policy import Policy

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
    return (_READ_FOR_ALL | FOR_PEOPLE).union(*of_types)
