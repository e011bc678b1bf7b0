"""The REST Order API: the part that exchange orders need. Refusals are ``status: no`` with a code, at HTTP 200."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hr_centra_pipeline.sandbox.centra.database import CentraRefusal, Row
from hr_centra_pipeline.sandbox.centra.store import CentraStore, NewLine, NewOrder

Body = dict[str, Any]


def refused(message: str, code: int | None = None) -> Body:
    """Centra's way to say no."""
    return {"status": "no", "msg": message, **({"code": code} if code is not None else {})}


def create_order(store: CentraStore, body: Mapping[str, Any]) -> Body:
    """``POST /order``: the replacement of an exchange; takes stock unless told not to; answers the number(s)."""
    try:
        with store.write():
            return _created(store, body)
    except CentraRefusal as refusal:
        return refused(refusal.message, refusal.code if refusal.code is not None else -7)


def _created(store: CentraStore, body: Mapping[str, Any]) -> Body:
    products = body.get("products") or []
    if not products:
        raise CentraRefusal("No products", code=-3)
    address = body.get("deliveryAddress") or body.get("address") or {}
    for required in ("email", "country"):
        if not address.get(required):
            raise CentraRefusal(f"Field {required} is missing", code=-4)
    if address["country"] in store.settings.closed_markets:
        raise CentraRefusal(f"Market of {address['country']} is not allowed", code=-7)
    for product in products:
        if message := store.refusal_of("order", product.get("sku")):
            raise CentraRefusal(message, code=-1)
    origin = body.get("createdFromOrigin") or {}
    lines = [_line(store, product) for product in products]
    parts = [[line] for line in lines] if store.settings.splits_orders and len(lines) > 1 else [lines]
    number = body.get("orderNumber")
    numbers = []
    for position, part in enumerate(parts):
        placed = store.add_order(
            NewOrder(
                customer_id=_customer(store, body, address),
                currency=body.get("currency") or "EUR",
                country=address["country"],
                lines=part,
                created_at=store.clock.now(),
                number=int(number) + position if number is not None else None,
                shipping=Decimal(body.get("shippingValue") or 0),
                captured=False,
                is_internal=bool(body.get("internalOrder")),
                internal_comment=body.get("internalComment") or "",
                other_comment=body.get("comment") or "",
                origin=(origin["type"], int(origin["id"])) if origin else None,
            )
        )
        numbers.append(placed.number)
        if body.get("createOnly"):
            store.set_order(placed.number, {"status": "PENDING"})
    return {"status": "ok", "order": str(numbers[0]), "orders": [str(one) for one in numbers]}


def _line(store: CentraStore, product: Mapping[str, Any]) -> NewLine:
    sku = product.get("sku")
    if sku is None and product.get("ean"):
        found = store.row("select sku from sizes where ean = ?", [product["ean"]])
        sku = found["sku"] if found else None
    if sku is None or store.size_by(str(sku)) is None:
        raise CentraRefusal(f"Product {product.get('sku') or product.get('ean')} can not be added", code=-1)
    price = Decimal(product.get("unitPrice") or 0)
    return NewLine(
        sku=str(sku), quantity=int(product.get("qty") or 1), unit_price=price,
        unit_original_price=Decimal(product.get("originalPrice") or price), tax_percent=Decimal(25),
    )  # fmt: skip


def _customer(store: CentraStore, body: Mapping[str, Any], address: Mapping[str, Any]) -> int:
    if body.get("customerId"):
        if not store.row("select 1 as x from customers where id = ?", [body["customerId"]]):
            raise CentraRefusal("Customer not found", code=-6)
        return int(body["customerId"])
    found = store.row("select id from customers where email = ?", [address["email"]])
    if found:
        return int(found["id"])
    return store.add_customer(
        email=address["email"], first_name=address.get("firstName") or "", last_name=address.get("lastName") or "",
        country=address["country"],
    )  # fmt: skip


def complete_order(store: CentraStore, number: int) -> Body:
    """``POST /order/{number}``: confirm an order that was created only."""
    found = store.row("select status from orders where number = ?", [number])
    if found is None:
        return refused("Order not found")
    if found["status"] != "PENDING":
        return refused("Order is completed already")
    store.set_order(number, {"status": "CONFIRMED"})
    return {"status": "ok", "order": str(number)}


def update_order(store: CentraStore, body: Mapping[str, Any]) -> Body:
    """``PUT /orders``: appends to the internal comment, replaces it only when told so."""
    number = int(body.get("order") or 0)
    found = store.row("select * from orders where number = ?", [number])
    if found is None:
        return refused("Order not found")
    if body.get("internalComment") is not None:
        text = str(body["internalComment"])
        if not body.get("replaceInternalComment") and found["internal_comment"]:
            text = f"{found['internal_comment']}\n{text}"
        store.set_order(number, {"internal_comment": text})
    return {"status": "ok", "order": str(number)}


def read_orders(store: CentraStore, number: int | None) -> Body:
    """``GET /orders?order=N``: times in the organisation's zone, without offset."""
    rows = store.rows("select * from orders where ? is null or number = ? order by number limit 100", [number, number])
    return {"status": "ok", "orders": [_shown(store, row) for row in rows]}


def _shown(store: CentraStore, row: Row) -> Body:
    zone = ZoneInfo(store.settings.time_zone)
    at = datetime.fromisoformat(row["created_at"]).astimezone(UTC).astimezone(zone)
    lines = store.rows(
        "select sku, quantity, unit_price from order_lines join sizes on sizes.id = size_id where order_number = ?",
        [row["number"]],
    )
    return {
        "order": str(row["number"]), "status": row["status"].lower(), "date": at.strftime("%Y-%m-%d %H:%M:%S"),
        "currency": row["currency"], "customerId": row["customer_id"], "internalOrder": row["is_internal"],
        "internalComment": row["internal_comment"], "comment": row["other_comment"],
        "createdFromOrigin": {"type": row["origin_type"], "id": row["origin_id"]} if row["origin_type"] else None,
        "products": [{"sku": x["sku"], "qty": x["quantity"], "price": x["unit_price"]} for x in lines],
    }  # fmt: skip
