"""The least permissions that a Centra token needs, per operation: what a token is made with, and what `doctor` checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_ORDERS = frozenset({"Order:read", "PaymentHistory:read"})
_RETURN = frozenset({"Return:read"})

NEEDED: Mapping[str, frozenset[str]] = {
    "ReadRateLimits": frozenset(),
    "PullOrders": _ORDERS | {"Order.internalComment:read", "ProductSize:read", "Customer:read", "Return:read"},
    "PullShipments": frozenset({"Shipment:read", "Order:read"}),
    "PullReturns": _ORDERS | {"Return:read", "Return.comment:read", "Shipment:read", "Warehouse:read"},
    "PullStockChanges": frozenset({"StockChange:read", "ProductSize:read", "Warehouse:read"}),
    "PullStockChangeLines": frozenset({"StockChange:read", "ProductSize:read", "Warehouse:read"}),
    "PullWarehouses": frozenset({"Warehouse:read"}),
    "PullReplacementStock": frozenset({"ProductSize:read", "ProductSize.stock:read"}),
    "LookAtOrder": _ORDERS | {"Return:read", "Return.comment:read", "Shipment:read"},
    "LookAtReturns": frozenset({"Return:read", "Return.comment:read"}),
    "LookAtReplacements": frozenset({"Order:read", "Order.internalComment:read", "ProductSize:read", "Customer:read"}),
    "LookAtReplacementOrder": frozenset({"Order:read", "Order.shippingAddress:read", "Market:read", "Pricelist:read"}),
    "LookAtShipment": frozenset({"Shipment:read", "Order:read"}),
    "ReadCustomer": frozenset({"Order:read", "Customer:read"}),
    "LookAtStockChanges": frozenset({"StockChange:read"}),
    "LookAtReplacementStock": frozenset({"ProductSize:read", "ProductSize.stock:read"}),
    "ReadRecipient": frozenset({"Order:read", "Order.shippingAddress:read", "Customer:read"}),
    "ReadInternalComment": frozenset({"Order:read", "Order.internalComment:read"}),
    "CreateReturn": _RETURN | {"Return:write"},
    "RefundReturn": _RETURN | {"Return:write", "PaymentHistory:read"},
    "IssueCredit": _RETURN | {"Order:write", "PaymentHistory:read"},
    "CompleteReturn": _RETURN | {"Return:write"},
    "UncompleteReturn": _RETURN | {"Return:write"},
    "DeleteReturn": frozenset({"Return:write"}),
    "UpdateShipment": frozenset({"Shipment:read", "Shipment:write"}),
    "ChangeStock": frozenset({"StockChange:read", "StockChange:write"}),
    "UpdateDirectToConsumerOrder": frozenset({"Order:read", "Order:write"}),
    "CancelOrder": frozenset({"Order:read", "Order:write"}),
}


def least(operations: Iterable[str] | None = None) -> tuple[str, ...]:
    """What a token for these operations (default: all) must be allowed to do, sorted."""
    wanted = NEEDED if operations is None else operations
    return tuple(sorted(frozenset().union(*(NEEDED[name] for name in wanted))))
