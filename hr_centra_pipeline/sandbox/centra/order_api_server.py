"""The REST Order API: the part that exchange orders need. It reads its own documented keys; others are ignored, and recorded.

Refusals are ``status: no``, at HTTP 200; those of creating an order have a code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hr_centra_pipeline.sandbox.centra import postal_addresses
from hr_centra_pipeline.sandbox.centra.centra_database import CentraRefusal, Row
from hr_centra_pipeline.sandbox.centra.markets import COUNTRIES, Country
from hr_centra_pipeline.sandbox.centra.providers import METHODS
from hr_centra_pipeline.sandbox.centra.store import CentraStore, NewLine, NewOrder
from hr_centra_pipeline.sandbox.centra.used import leaves

Body = dict[str, Any]

_ANYTHING = "anything"  # what is below such a key is the caller's
_ADDRESS = dict.fromkeys(postal_addresses.KEYS)
_PAYMENT = {
    "id": None,
    **dict.fromkeys(
        ("auth", "capture"), dict.fromkeys(("response", "status", "transaction", "method", "amount", "external_url"))
    ),
}  # fmt: skip
# The documented keys of each call, for consumer orders.
KEYS: Mapping[str, Mapping[str, Any]] = {
    "POST /order": {
        "invoiceAddress": _ADDRESS, "deliveryAddress": _ADDRESS, "address": _ADDRESS, "pricelistId": None, "pricelist": None,
        "marketId": None, "market": None, "customerRegister": None, "customerId": None, "customerSetNewPassword": None,
        "createdFromOrigin": {"type": None, "id": None}, "extraAttributes": _ANYTHING,
        "products": {
            "qty": None, "id": None, "ean": None, "sku": None, "unitPrice": None, "originalPrice": None, "comment": None,
            "itemText": _ANYTHING, "localizedProdSize": _ANYTHING,
        },
        "shippingList": None, "shippingValue": None, "voucherValue": None, "orderNumber": None, "sendEmail": None,
        "adjustStock": None, "forceCreate": None, "comment": None, "internalComment": None, "orderDate": None,
        "deliveryDate": None, "cancelDate": None, "warehouseGroup": None, "createOnly": None, "internalOrder": None,
        "payment": _PAYMENT, "applyVouchers": None, "voucherCodes": None,
    },
    "POST /order/{number}": {
        "payment": _PAYMENT, "internalComment": None, "comment": None, "orderDate": None, "deliveryDate": None,
        "cancelDate": None, "warehouseGroup": None,
    },
    "PUT /orders": {
        "order": None, "internalComment": None, "replaceInternalComment": None, "comment": None, "replaceComment": None,
        "extraAttributes": _ANYTHING,
    },
    "GET /orders": dict.fromkeys(("limit", "offset", "order", "customer_id", "newer_than", "older_than")),
}  # fmt: skip
# Documented, and not simulated: a request that asks for one of these is refused rather than misunderstood.
_NOT_SIMULATED = (
    "forceCreate",
    "extraAttributes",
    "voucherValue",
    "voucherCodes",
    "orderDate",
    "shippingList",
    "warehouseGroup",
)
_STATUS = {
    "PENDING": "pending", "CONFIRMED": "confirmed", "PROCESSING": "processing", "SHIPPED": "completed",
    "ARCHIVED": "archived", "DELETED": "cancelled",
}  # fmt: skip
_NEVER = "0000-00-00 00:00:00"
_USUAL_PRICE = Decimal("100.00")  # where an article was never sold and the caller names no price


def refused(message: str, code: int | None = None, **more: Any) -> Body:
    """Centra's way to say no."""
    return {"status": "no", "msg": message, **({"code": code} if code is not None else {}), **more}


def unknown_keys(call: str, given: Any) -> list[str]:
    """Dotted paths of a body, or names of query parameters, that the documents of a call don't list."""
    return sorted(set(_unknown(KEYS[call], given, "")))


def _unknown(known: Any, given: Any, path: str) -> Iterable[str]:
    if known == _ANYTHING:
        return
    if isinstance(given, list):
        for one in given:
            yield from _unknown(known, one, path)
    elif isinstance(given, Mapping):
        for name, value in given.items():
            here = f"{path}.{name}" if path else str(name)
            if not isinstance(known, Mapping) or name not in known:
                yield from leaves(value, here)
            else:
                yield from _unknown(known[name], value, here)


# ---------------------------------------------------------------- creating


def create_order(store: CentraStore, body: Mapping[str, Any]) -> Body:
    """``POST /order``: the replacement of an exchange; takes stock; answers the numbers of the orders that were made."""
    if not store.settings.allows_order_create:
        return refused("Order create is not allowed", -7)
    try:
        with store.write():
            return _created(store, body)
    except CentraRefusal as refusal:
        return refused(refusal.message, refusal.code if refusal.code is not None else -7)


def _created(store: CentraStore, body: Mapping[str, Any]) -> Body:
    products = body.get("products")
    if not isinstance(products, list) or not products or not all(isinstance(one, Mapping) for one in products):
        raise CentraRefusal("No products", code=-3)
    asked = [name for name in _NOT_SIMULATED if body.get(name)]
    asked += ["adjustStock: false"] if body.get("adjustStock") is False else []
    asked += [f"payment.{name}" for name in ("auth", "capture") if (body.get("payment") or {}).get(name)]
    if asked:
        raise CentraRefusal(f"{asked[0]} is not simulated", code=-7)
    delivery, invoice = _addresses(body)
    country = COUNTRIES[delivery["country"]]
    market_id, pricelist = _market(store, body, country), _pricelist(store, body, country)
    for product in products:
        if message := store.refusal_of("order", product.get("sku")):
            raise CentraRefusal(message, code=-1)
    lines = [_line(store, product, country) for product in products]
    origin = _origin(store, body.get("createdFromOrigin"))
    payment = body.get("payment") or {}
    shipping = body.get("shippingValue")
    number = body.get("orderNumber")
    parts = [[line] for line in lines] if store.settings.splits_orders and len(lines) > 1 else [lines]
    customer_id = _customer(store, body, invoice)
    numbers = []
    for position, part in enumerate(parts):
        placed = store.add_order(
            NewOrder(
                customer_id=customer_id,
                currency=pricelist["currency"],
                country=country.code,
                lines=part,
                created_at=store.clock.now(),
                number=_whole(number, "orderNumber") + position if number is not None else None,
                # Without a value the country's default cost is charged.
                shipping=country.shipping if shipping is None else _amount(shipping, "shippingValue"),
                captured=False,
                is_internal=body.get("internalOrder") is True,
                internal_comment=body.get("internalComment") or "",
                other_comment=body.get("comment") or "",
                origin=origin,
                market_id=market_id,
                pricelist_id=pricelist["id"],
                address=postal_addresses.of_order_api(delivery),
                payment_method=_method(payment),
                status="PENDING" if body.get("createOnly") is True else "CONFIRMED",
            )
        )
        numbers.append(placed.number)
        store.send_email("order created", placed.number, body.get("sendEmail"))
    return (
        {"status": "ok", "order": numbers[0]} if body.get("createOnly") is True else {"status": "ok", "orders": numbers}
    )


def _addresses(body: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    both = [body.get(name) or body.get("address") for name in ("deliveryAddress", "invoiceAddress")]
    for name, address in zip(("deliveryAddress", "invoiceAddress"), both, strict=True):
        if not isinstance(address, Mapping):
            raise CentraRefusal(f"Field {name} is missing", code=-4)
        for required in ("email", "country"):
            if not address.get(required):
                raise CentraRefusal(f"Field {required} of {name} is missing", code=-4)
        country = COUNTRIES.get(str(address["country"]))
        if country is None:
            raise CentraRefusal(f"Country {address['country']} not found", code=-7)
        # Not documented, assumption: behaviour.state_code_or_name
        if country.needs_state and address.get("state") not in country.states:
            raise CentraRefusal(f"Field state of {name} is missing, or unknown in {country.code}", code=-4)
    return both[0], both[1]  # type: ignore[return-value] # both were looked at


def _market(store: CentraStore, body: Mapping[str, Any], country: Country) -> int:
    """The one that is named by id, else by name, else the country's; the plugin must serve it."""
    market_id, name = body.get("marketId"), body.get("market")
    found: Row | None = {"id": country.market_id}
    if market_id is not None:
        found = store.row("select id from markets where id = ?", [_whole(market_id, "marketId")])
    elif name is not None:
        found = store.row("select id from markets where name = ?", [name])
    if found is None:
        raise CentraRefusal(f"Market {market_id if market_id is not None else name} not found", code=-7)
    served = store.settings.plugin_markets
    if country.code in store.settings.closed_markets or (served is not None and found["id"] not in served):
        raise CentraRefusal(f"Market {found['id']} with country {country.code} is not allowed", code=-7)
    return int(found["id"])


def _pricelist(store: CentraStore, body: Mapping[str, Any], country: Country) -> Row:
    """The one that is named by id, else by name, else the country's: the order's currency is this one's."""
    pricelist_id, name = body.get("pricelistId"), body.get("pricelist")
    if pricelist_id is not None:
        found = store.row("select * from pricelists where id = ?", [_whole(pricelist_id, "pricelistId")])
    elif name is not None:
        found = store.row("select * from pricelists where name = ?", [name])
    else:
        found = store.row("select * from pricelists where id = ?", [country.pricelist_id])
    if found is None:
        raise CentraRefusal(f"Pricelist {pricelist_id if pricelist_id is not None else name} not found", code=-7)
    return found


def _line(store: CentraStore, product: Mapping[str, Any], country: Country) -> NewLine:
    column = next((name for name in ("id", "sku", "ean") if product.get(name) is not None), None)
    named = product.get(column) if column else None
    found = store.row(f"select id, sku from sizes where {column} = ?", [named]) if column else None  # noqa: S608 - our own names
    if found is None:
        raise CentraRefusal(f"Product {named} can not be added", code=-1)
    if product.get("qty") is None:
        raise CentraRefusal("Field qty is missing", code=-4)
    quantity = _whole(product["qty"], "qty")
    if quantity < 1:
        raise CentraRefusal("Field qty must be positive", code=-7)
    usual = store.row(
        "select unit_price, unit_original_price from order_lines where size_id = ? order by id desc limit 1",
        [found["id"]],
    ) or {"unit_price": _USUAL_PRICE, "unit_original_price": _USUAL_PRICE}
    prices = {
        name: _amount(product[key], key) if product.get(key) is not None else usual[name]
        for key, name in (("unitPrice", "unit_price"), ("originalPrice", "unit_original_price"))
    }
    return NewLine(
        str(found["sku"]),
        quantity,
        prices["unit_price"],
        prices["unit_original_price"],
        tax_percent=country.tax_percent,
    )


def _origin(store: CentraStore, given: Any) -> tuple[str, int] | None:
    if not given:
        return None
    kind, object_id = given.get("type"), given.get("id")
    sources = {"return": ("returns", "id"), "order": ("orders", "number")}
    if kind not in (*sources, "plugin") or object_id is None:
        raise CentraRefusal("createdFromOrigin needs a type (return, order, plugin) and an id", code=-7)
    if kind in sources:
        table, key = sources[kind]
        if not store.row(f"select 1 as x from {table} where {key} = ?", [_whole(object_id, "id")]):  # noqa: S608 - our own names
            raise CentraRefusal(f"createdFromOrigin: {kind} {object_id} not found", code=-7)
    return str(kind), int(object_id)


def _method(payment: Mapping[str, Any]) -> str | None:
    if payment.get("id") is None:
        return None
    found = next((name for name, method in METHODS.items() if method["id"] == payment["id"]), None)
    if found is None:
        raise CentraRefusal(f"Payment {payment['id']} not found", code=-7)
    return found


def _customer(store: CentraStore, body: Mapping[str, Any], address: Mapping[str, Any]) -> int:
    """The one that is named; else the one registered with the e-mail, when that is asked for; else a new one."""
    if body.get("customerId") is not None:
        customer_id = _whole(body["customerId"], "customerId")
        if not store.row("select 1 as x from customers where id = ?", [customer_id]):
            raise CentraRefusal(f"Customer {customer_id} not found", code=-6)
        return customer_id
    registers = body.get("customerRegister") is True
    found = store.row("select id from customers where email = ? and is_registered", [address["email"]])
    if registers and found:
        return int(found["id"])
    return store.add_customer(
        email=address["email"], first_name=address.get("firstName") or "", last_name=address.get("lastName") or "",
        country=address["country"], address=postal_addresses.of_order_api(address), is_registered=registers,
    )  # fmt: skip


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise CentraRefusal(f"Field {name} must be a whole number", code=-7)
    return value


def _amount(value: Any, name: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value < 0:
        raise CentraRefusal(f"Field {name} must be an amount", code=-7)
    return Decimal(value)


# ---------------------------------------------------------------- completing, updating, reading


def complete_order(store: CentraStore, number: int) -> Body:
    """``POST /order/{number}``: finalize an order that was only created; may be called again. Numbers are texts here."""
    found = store.row("select status from orders where number = ?", [number])
    if found is None:
        return refused("Order not found")
    if found["status"] == "PENDING":
        store.set_order(number, {"status": "CONFIRMED"})
    return {"status": "ok", "orders": [str(number)]}


def update_order(store: CentraStore, body: Mapping[str, Any]) -> Body:
    """``PUT /orders``: appends to the internal comment; replaces it only when asked to."""
    number = body.get("order")
    found = store.row("select * from orders where number = ?", [number]) if isinstance(number, int) else None
    if found is None:
        return refused("Order not found", order=number)
    if not _is_served(store, found):
        return refused("order in wrong market", order=number)
    changes = {}
    for key, column, replaces in (
        ("internalComment", "internal_comment", "replaceInternalComment"),
        ("comment", "other_comment", "replaceComment"),
    ):
        if body.get(key) is not None:
            text = str(body[key])
            changes[column] = text if body.get(replaces) or not found[column] else f"{found[column]}\n{text}"
    store.set_order(found["number"], changes)
    return {"status": "ok", "order": found["number"]}


def read_orders(store: CentraStore, parameters: Mapping[str, str]) -> Body:
    """``GET /orders``: those of the plugin's markets that have a status that is ticked in it. Times without offset."""
    conditions, values = ["1"], []
    zone = ZoneInfo(store.settings.time_zone)
    for name, condition in (
        ("order", "number = ?"), ("customer_id", "customer_id = ?"), ("newer_than", "created_at >= ?"),
        ("older_than", "created_at < ?"),
    ):  # fmt: skip
        if parameters.get(name):
            value = parameters[name]
            conditions.append(condition)
            values.append(datetime.fromisoformat(value).replace(tzinfo=zone) if name.endswith("_than") else int(value))
    rows = store.rows(f"select * from orders where {' and '.join(conditions)} order by number", values)  # noqa: S608 - our own names
    shown = [row for row in rows if _is_served(store, row) and row["status"] in store.settings.plugin_statuses]
    first = int(parameters.get("offset") or 0)
    return {
        "status": "ok",
        "orders": [_shown(store, x) for x in shown[first : first + int(parameters.get("limit") or 20)]],
    }


def _is_served(store: CentraStore, order: Row) -> bool:
    served = store.settings.plugin_markets
    return served is None or order["market_id"] in served


def _shown(store: CentraStore, row: Row) -> Body:
    lines = store.rows(
        "select order_lines.*, sku, ean from order_lines join sizes on sizes.id = size_id where order_number = ?"
        " order by order_lines.id",
        [row["number"]],
    )
    shipments = store.rows("select * from shipments where order_number = ? order by id", [row["number"]])
    where = postal_addresses.read(row["address"])
    return {
        "orderId": str(row["number"]), "orderStatus": _STATUS.get(row["status"], row["status"].lower()),
        "selectionId": row["id"], "orderDate": _local(store, row["created_at"]), "orderStore": "retail",
        "orderCurrency": row["currency"], "customerId": str(row["customer_id"]),
        "deliveryName": f"{where['first_name'] or ''} {where['last_name'] or ''}".strip(),
        "deliveryCompany": where["company_name"] or "", "deliveryEmail": where["email"] or "",
        "deliveryCell": where["cell_phone_number"] or "", "deliveryTele": where["phone_number"] or "",
        "deliveryAddress": where["address1"] or "", "deliveryCoaddress": where["address2"] or "",
        "deliveryZipcode": where["zip_code"] or "", "deliveryCity": where["city"] or "",
        "deliveryState": where["state_code"] or where["state_or_province"] or "", "deliveryCountry": row["country"],
        "internalOrder": int(row["is_internal"]), "hold": int(row["is_on_hold"]), "shippingValue": row["shipping"],
        "voucherValue": row["voucher"], "grandTotalValue": store.order_total(row), "internalComment": row["internal_comment"],
        "otherComment": row["other_comment"], "marketId": row["market_id"], "pricelistId": row["pricelist_id"],
        "paymentMethod": row["payment_method"],
        "shipments": [
            {
                "shipmentId": one["number"], "trackingId": "",
                "shippedDate": _local(store, one["shipped_at"]) if one["shipped_at"] else _NEVER,
                "products": [
                    _product(line, packed["quantity"], lines)
                    for packed in store.rows("select * from shipment_lines where shipment_id = ? order by id", [one["id"]])
                    for line in lines
                    if line["id"] == packed["order_line_id"]
                ],
            }
            for one in shipments
        ],
        "products": [_product(one, one["quantity"], lines) for one in lines],
    }  # fmt: skip


def _product(line: Row, quantity: int, lines: Sequence[Row]) -> Body:
    """A line as orders and shipments list it: a bundle has its parts in it, and each part is listed by itself as well."""
    shown = {
        "lineId": str(line["id"]), "sku": line["sku"], "ean": line["ean"] or "", "qty": quantity,
        "price": line["unit_price"], "originalPrice": line["unit_original_price"], "taxPercent": line["tax_percent"],
        "isBundle": line["kind"] == "bundle",
    }  # fmt: skip
    if line["kind"] == "bundle":
        parts = [part for part in lines if part["part_of"] == line["id"]]
        shown["bundle"] = [_product(part, quantity * part["per_bundle"], lines) for part in parts]
    if line["kind"] == "part":
        shown["isPartOfBundle"] = str(line["part_of"])
    return shown


def _local(store: CentraStore, instant: str) -> str:
    zone = ZoneInfo(store.settings.time_zone)
    return datetime.fromisoformat(instant).astimezone(UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
