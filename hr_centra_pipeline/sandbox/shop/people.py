"""What people do in Centra's admin and at the payment provider, by name: each happens at its time, by Centra's rules."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.sandbox.centra.store import CentraRefusal, CentraStore


def act(store: CentraStore, what: str, arguments: dict[str, Any], at: datetime) -> None:
    """Do it; if Centra refuses (somebody was faster), nothing comes of it."""
    try:
        ACTIONS[what](store, at, **arguments)
    except CentraRefusal:
        return


def _makes_return(
    store: CentraStore, at: datetime, *, shipment_id: int, lines: dict[str, int], comment: str, pays: str, fee: str = "0",
    shipping: str = "0", stock: str | int = "none",
) -> None:  # fmt: skip
    """A Return by hand. ``pays``: refund, nothing (completed only), or fails (the provider refuses a day later)."""
    made = store.person_create_return(
        shipment_id, {int(line): quantity for line, quantity in lines.items()}, at=at, comment=comment, stock=stock,
        shipping=Decimal(shipping), return_cost=Decimal(fee),
    )  # fmt: skip
    match pays:
        case "refund":
            store.person_refund_return(made, at=at)
        case "nothing":
            store.person_complete_return(made, at=at)
        case "fails":
            entry_id = store.request_refund(made, at=at)
            store.settle_refund_request(entry_id, succeeded=False, at=at + timedelta(hours=6))


def _integration_returns(
    store: CentraStore, at: datetime, *, shipment_id: int, lines: dict[str, int], created_from: str, comment: str
) -> None:
    """A Return that nobody in the admin makes; it is left as it is."""
    quantities = {int(line): quantity for line, quantity in lines.items()}
    store.integration_return(shipment_id, quantities, created_from=created_from, at=at, comment=comment)


def _refunds_return(store: CentraStore, at: datetime, *, shipment_id: int) -> None:
    """Somebody refunds the last Return of a shipment, which nobody had paid."""
    row = store.row("select max(id) as made from returns where shipment_id = ?", [shipment_id])
    if row is not None and row["made"] is not None:
        store.person_refund_return(row["made"], at=at)


def _ships_replacement(store: CentraStore, at: datetime, *, shipment_id: int) -> None:
    """The warehouse ships the order that was made for a Return of a shipment."""
    row = store.row(
        "select number from orders join returns on returns.id = orders.origin_id where returns.shipment_id = ?",
        [shipment_id],
    )
    if row is not None:
        store.ship(row["number"], at=at, warehouse_id=1, captured=False)


def _writes_comment(store: CentraStore, at: datetime, *, order_number: int, text: str) -> None:
    """Customer service replaces the whole internal comment of an order."""
    store.person_set_internal_comment(order_number, text, at=at)


def _moves_stock(store: CentraStore, at: datetime, *, sku: str, into: int, comment: str) -> None:
    """One unit is put into a warehouse."""
    store.person_change_stock(sku=sku, quantity=1, into=into, comment=comment, at=at)


ACTIONS: dict[str, Callable[..., None]] = {
    "makes_return": _makes_return,
    "integration_returns": _integration_returns,
    "refunds_return": _refunds_return,
    "ships_replacement": _ships_replacement,
    "writes_comment": _writes_comment,
    "moves_stock": _moves_stock,
}
