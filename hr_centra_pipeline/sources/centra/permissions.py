"""What a Centra has to offer: the operations that each effect type needs, and the least permissions of each operation.

A token is made with these permissions; ``doctor`` and the contract with Centra's schema check both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hr_centra_pipeline.core.policy import Policy

_ORDERS = frozenset({"Order:read", "PaymentHistory:read"})
_RETURN = frozenset({"Return:read"})
_CUSTOMER = frozenset({"Customer:read", "Purchaser:read"})
_MARKET = frozenset({"Market:read", "Pricelist:read"})

NEEDED: Mapping[str, frozenset[str]] = {
    "ReadRateLimits": frozenset(),
    "PullOrders": _ORDERS | _CUSTOMER | _MARKET | {"Order.internalComment:read", "ProductSize:read", "Return:read"},
    "PullShipments": frozenset({"Shipment:read", "Order:read"}),
    "PullReturns": _ORDERS | {"Return:read", "Return.comment:read", "Shipment:read", "Warehouse:read"},
    "PullStockChanges": frozenset({"StockChange:read", "ProductSize:read", "Warehouse:read", "AdminUser:read"}),
    "PullStockChangeLines": frozenset({"StockChange:read", "ProductSize:read", "Warehouse:read"}),
    "PullWarehouses": frozenset({"Warehouse:read"}),
    "PullReplacementStock": frozenset({"ProductSize:read", "ProductSize.stock:read"}),
    "LookAtOrder": _ORDERS | {"Return:read", "Return.comment:read", "Shipment:read"},
    "LookAtReturns": frozenset({"Return:read", "Return.comment:read"}),
    "LookAtReplacements": _CUSTOMER | {"Order:read", "Order.internalComment:read", "ProductSize:read"},
    "ReadCustomer": _CUSTOMER | {"Order:read"},
    "LookAtStockChanges": frozenset({"StockChange:read"}),
    "LookAtReplacementStock": frozenset({"ProductSize:read", "ProductSize.stock:read"}),
    "ReadRecipient": _CUSTOMER | _MARKET | {"Order:read", "Order.shippingAddress:read"},
    "ReadInternalComment": frozenset({"Order:read", "Order.internalComment:read"}),
    "CreateReturn": _RETURN | {"Return:write"},
    "RefundReturn": _RETURN | {"Return:write", "PaymentHistory:read", "Payment.refund:write"},
    "IssueCredit": _RETURN | {"Order:write", "PaymentHistory:read", "Payment.refund:write"},
    "CompleteReturn": _RETURN | {"Return:write"},
    "DeleteReturn": frozenset({"Return:write"}),
    "ChangeStock": frozenset({"StockChange:read", "StockChange:write"}),
    "UpdateDirectToConsumerOrder": frozenset({"Order:read", "Order:write"}),
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
        "PullReplacementStock", "LookAtReplacementStock", "LookAtReplacements", "ReadCustomer", "ReadRecipient",
        "CancelOrder",
    },
    "inventory_adjustment": _READ_FOR_ALL
    | {"PullStockChanges", "PullStockChangeLines", "LookAtReturns", "LookAtStockChanges", "ChangeStock"},
    "status_update": _READ_FOR_ALL | {"ReadInternalComment", "UpdateDirectToConsumerOrder"},
}  # fmt: skip
"""Operations by effect type: what it reads to be planned, what is looked at right before it is sent, and what sends it."""

PAYING: Mapping[str, frozenset[str]] = {
    "centra": frozenset({"RefundReturn"}),
    "gift_card": frozenset({"IssueCredit", "ReadRecipient"}),
}
"""Operations that a credit note needs besides, by who pays for it."""

FOR_PEOPLE = frozenset({"PullWarehouses"})
"""Operations that no effect needs: what they read is shown to people."""


def paid_by(payer: str) -> str:
    """How credit notes that a payer pays are called among the effect types."""
    return f"credit_note by {payer}"


def needed(policy: Policy) -> dict[str, frozenset[str]]:
    """Operations by effect type under this policy; credit notes by payer, as :func:`paid_by` calls them, in addition."""
    payers = sorted(set(policy.pays_through.values()) & set(PAYING))
    return {**SENDING, **{paid_by(payer): PAYING[payer] for payer in payers}}
