"""Resolvers of the query side: what Centra shows of its store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from ariadne import convert_camel_case_to_snake
from graphql import FloatValueNode, GraphQLError, GraphQLResolveInfo, IntValueNode, StringValueNode, ValueNode

from hr_centra_pipeline.sandbox.centra import filters, postal_addresses
from hr_centra_pipeline.sandbox.centra.bindings import Fields, OneOfSeveral, Shape, Value
from hr_centra_pipeline.sandbox.centra.centra_database import Row, rounded
from hr_centra_pipeline.sandbox.centra.filters import Source
from hr_centra_pipeline.sandbox.centra.markets import BASE_CURRENCY, RATES, country_of
from hr_centra_pipeline.sandbox.centra.payment_desk import ZERO
from hr_centra_pipeline.sandbox.centra.providers import METHODS
from hr_centra_pipeline.sandbox.centra.store import CentraStore
from hr_centra_pipeline.sandbox.centra.taxes import Subject, Tax, total

_CURRENCY_IDS = {"EUR": 1, "SEK": 2, "USD": 3, "GBP": 4}
_OF_ORDER = (
    "select orders.*, (select external_id from id_conversions where object_type = 'Order' and internal_id = number)"
    " as external_key from orders"
)
_OF_RETURN = (
    "select returns.*, orders.id as order_id, orders.customer_id, orders.store_id, shipments.number as shipment_number,"
    " (select external_id from id_conversions where object_type = 'Return' and internal_id = returns.id) as external_key"
    " from returns join orders on orders.number = returns.order_number"
    " join shipments on shipments.id = returns.shipment_id"
)
SOURCES: dict[str, Source] = {
    "order": Source(
        _OF_ORDER,
        "number",
        {
            "id": "id", "number": "number", "externalId": "external_key", "status": "status",
            "customerId": "customer_id", "storeId": "store_id", "createdAt": "created_at", "updatedAt": "updated_at",
            "orderDate": "created_at", "isOnHold": "is_on_hold", "isInternal": "is_internal",
            "otherComment": "other_comment",
        },
        ("number", "external_key"),
        is_of_a_store=True,
    ),
    "shipment": Source(
        "select shipments.*, orders.id as order_id, orders.customer_id, orders.store_id,"
        " shipments.shipped_at is not null as is_shipped"
        " from shipments join orders on orders.number = shipments.order_number",
        "id",
        {
            "id": "id", "number": "number", "externalId": "external_id", "orderId": "order_id",
            "customerId": "customer_id", "storeId": "store_id", "createdAt": "created_at", "updatedAt": "updated_at",
            "shippedAt": "shipped_at", "isShipped": "is_shipped", "isCaptured": "is_captured",
        },
        ("number",),
        is_of_a_store=True,
    ),
    "return": Source(
        _OF_RETURN,
        "id",
        {
            "id": "id", "externalId": "external_key", "returnStatus": "status", "createdAt": "created_at",
            "createdFrom": "created_from", "orderId": "order_id", "orderNumber": "order_number",
            "shipmentId": "shipment_id", "shipmentNumber": "shipment_number", "customerId": "customer_id",
            "adminUserId": "admin_user", "storeId": "store_id",
        },
        ("external_key", "shipment_number"),
        is_of_a_store=True,
    ),
    "payment": Source(
        "select payments.*, orders.id as order_id, orders.store_id, null as external_id from payments"
        " join orders on orders.number = payments.order_number",
        "id",
        {
            "id": "id", "createdAt": "created_at", "entryType": "entry_type", "status": "status",
            "externalReference": "external_reference", "orderId": "order_id", "externalId": "external_id",
        },
        ("external_reference",),
        is_of_a_store=True,
    ),
    "stock_change": Source(
        "select * from stock_changes",
        "id",
        {
            "id": "id", "createdAt": "created_at", "comment": "comment", "type": "type",
            "warehouseId": "warehouse_id",
        },
        ("comment",),
    ),
    "warehouse": Source(
        "select * from warehouses", "id", {"id": "id", "name": "name", "status": "status"}, ("name",)
    ),
    "size": Source(
        "select * from sizes",
        "id",
        {"id": "id", "SKU": "sku", "EAN": "ean", "UPC": "upc", "productVariantId": "variant_id"},
        ("sku", "ean"),
    ),
    "customer": Source("select * from customers", "id", {"id": "id", "email": "email"}, ("email",)),
    "id_conversion": Source(
        "select * from id_conversions",
        "id",
        {"objectType": "object_type", "externalId": "external_id", "internalId": "internal_id"},
        ("external_id",),
    ),
    "event": Source(
        "select * from events",
        "id",
        {"objectType": "object_type", "changeType": "change_type", "integration": "integration_name", "done": "is_confirmed"},
    ),
}  # fmt: skip

query = Fields("Query")
order = Shape("Order", lambda *_: "DirectToConsumerOrder")
_LINE_TYPES = {"product": "ProductOrderLine", "bundle": "BundleOrderLine", "part": "BundleItemOrderLine"}
order_line = Shape("OrderLine", lambda row, *_: _LINE_TYPES[row["kind"]])
shipment = Shape("Shipment", lambda *_: "DirectToConsumerShipment")
a_return = Shape("Return", lambda *_: "DirectToConsumerReturn")
payload = Shape("Payload", lambda value, *_: value["__typename"])
shipment_line, return_line = Fields("ShipmentLine"), Fields("ReturnLine")
payment, stock_change, stock_line = (
    Fields("PaymentHistoryEntry"),
    Fields("StockChange"),
    Fields("StockChangeLine"),
)
warehouse, size, variant, stock = (
    Fields("Warehouse"),
    Fields("ProductSize"),
    Fields("ProductVariant"),
    Fields("Stock"),
)
customer, event, conversion = Fields("Customer"), Fields("Event"), Fields("IdConversionEntry")
concrete_return, concrete_order = Fields("DirectToConsumerReturn"), Fields("DirectToConsumerOrder")
money_value = Fields("MonetaryValue")


def _object_type(value: Row, *_: Any) -> str:
    return str(value["__typename"])


target = OneOfSeveral("EventTarget", _object_type)
with_attributes = OneOfSeveral("ObjectWithAttributes", _object_type)
instant_scalar, decimal_scalar, whole_scalar = Value("DateTimeTz"), Value("Decimal"), Value("Int64")
BINDINGS = [
    query, order, order_line, shipment, a_return, payload, shipment_line, return_line, payment, stock_change, stock_line,
    warehouse, size, variant, stock, customer, event, conversion, concrete_return, concrete_order, target,
    money_value, with_attributes, instant_scalar, decimal_scalar, whole_scalar,
]  # fmt: skip

Resolver = Callable[..., Any]


def _store(info: GraphQLResolveInfo) -> CentraStore:
    store: CentraStore = info.context["store"]
    return store


def _zone(info: GraphQLResolveInfo) -> ZoneInfo:
    return ZoneInfo(_store(info).settings.time_zone)


# ---------------------------------------------------------------- scalars


@instant_scalar.value_parser
def parse_instant(value: Any) -> datetime:
    """ISO 8601, with or without offset. (PHP's other date strings are not simulated.)"""
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        raise GraphQLError(f"{value!r} is not an ISO 8601 time") from None


@instant_scalar.serializer
def shown_instant(value: Any) -> str:
    """The stored instant, in the shop's own offset; put there by ``shop_time``."""
    return str(value)


@decimal_scalar.value_parser
def parse_decimal(value: Any) -> Decimal:
    """A JSON number that was read as a decimal."""
    if isinstance(value, bool) or not isinstance(value, Decimal | int):
        raise GraphQLError(f"{value!r} is not a number")
    return Decimal(value)


@decimal_scalar.literal_parser
def parse_decimal_literal(node: ValueNode, _variables: Any = None) -> Decimal:
    """A number written in the document."""
    if not isinstance(node, FloatValueNode | IntValueNode):
        raise GraphQLError("a number is expected")
    return Decimal(node.value)


@decimal_scalar.serializer
def shown_decimal(value: Any) -> Decimal:
    """Left exact: the answer is written by a JSON writer that knows decimals."""
    return Decimal(value)


@whole_scalar.value_parser
def parse_whole(value: Any) -> int:
    """A whole number, or its text."""
    return int(value)


@whole_scalar.literal_parser
def parse_whole_literal(node: ValueNode, _variables: Any = None) -> int:
    """A whole number in the document."""
    if not isinstance(node, IntValueNode | StringValueNode):
        raise GraphQLError("a whole number is expected")
    return int(node.value)


# ---------------------------------------------------------------- lists


def _list(name: str, of: str) -> None:
    @query.field(name)
    def resolve(_: Any, info: GraphQLResolveInfo, **arguments: Any) -> list[Row]:
        return filters.page(_store(info), SOURCES[of], arguments, _zone(info), info.context["store_id"])


def _connection(name: str, of: str) -> None:
    @query.field(name)
    def resolve(_: Any, info: GraphQLResolveInfo, **arguments: Any) -> Row:
        return filters.connection(_store(info), SOURCES[of], arguments, _zone(info), info.context["store_id"])


for field_name, object_name in (
    ("orders", "order"), ("shipments", "shipment"), ("returns", "return"), ("orderPaymentHistory", "payment"),
    ("warehouses", "warehouse"), ("productSizes", "size"), ("customers", "customer"),
    ("idConversions", "id_conversion"),
):  # fmt: skip
    _list(field_name, object_name)
for field_name, object_name in (
    ("orderConnection", "order"), ("shipmentConnection", "shipment"), ("returnConnection", "return"),
    ("stockChangeConnection", "stock_change"),
):  # fmt: skip
    _connection(field_name, object_name)


@query.field("order")
def the_order(_: Any, info: GraphQLResolveInfo, id: str) -> Row | None:
    """One order by its id; nothing for one of another store."""
    found = one(_store(info), "order", id, "id")
    store = info.context["store_id"]
    return found if found and store in (None, found["store_id"]) else None


@query.field("rateLimits")
def rate_limits(_: Any, info: GraphQLResolveInfo) -> list[Row]:
    """The six buckets as they are now."""
    shown: list[Row] = info.context["quotas"].shown()
    return shown


def rows_of(store: CentraStore, of: str, key: str, value: Any, order_by: str = "") -> list[Row]:
    """Objects of one kind with one key, as the lists show them."""
    source = SOURCES[of]
    return store.rows(
        f"select * from ({source.sql}) where {key} = ? order by {order_by or source.key}",  # noqa: S608 - our own names
        [value],
    )


def one(store: CentraStore, of: str, value: Any, key: str = "") -> Row | None:
    """One object."""
    found = rows_of(store, of, key or SOURCES[of].key, value)
    return found[0] if found else None


# ---------------------------------------------------------------- values


def money(value: Decimal, currency: str) -> Row:
    """``MonetaryValue``."""
    return {"value": value, "code": currency, "formatted_value": f"{value} {currency}"}


@money_value.field("currency")
def money_currency(row: Row, _info: GraphQLResolveInfo) -> Row:
    """Currency of an amount."""
    return {"id": _CURRENCY_IDS.get(row["code"], 99), "code": row["code"]}


@money_value.field("conversionRate")
def money_rate(row: Row, _info: GraphQLResolveInfo) -> Decimal:
    """Of an amount's currency to the shop's base currency."""
    return RATES.get(row["code"], RATES[BASE_CURRENCY])


@money_value.field("valueInCents")
def money_cents(row: Row, _info: GraphQLResolveInfo) -> int:
    """Whole hundredths."""
    return int(row["value"] * 100)


def _currency(info: GraphQLResolveInfo, order_number: int) -> str:
    return str(_store(info).order(order_number)["currency"])


def shop_time(text: str | None, zone: ZoneInfo) -> str | None:
    """A stored instant in the shop's zone, offset and summer time included."""
    if text is None:
        return None
    return datetime.fromisoformat(text).astimezone(UTC).astimezone(zone).isoformat(timespec="seconds")


def _times(binding: Any, **fields: str) -> None:
    for graphql_name, column in fields.items():

        def resolve(row: Row, info: GraphQLResolveInfo, column: str = column) -> str | None:
            return shop_time(row[column], _zone(info))

        binding.set_field(graphql_name, resolve)


def _columns(binding: Any, **fields: str) -> None:
    for graphql_name, column in fields.items():

        def resolve(row: Row, _info: GraphQLResolveInfo, column: str = column) -> Any:
            return row[column]

        binding.set_field(graphql_name, resolve)


def _priced(binding: Any, name: str, value: Callable[[GraphQLResolveInfo, Row], tuple[Decimal, Decimal, str]]) -> None:
    """A field with ``includingTax``; ``value`` answers (with tax, tax in it, currency)."""

    def resolve(row: Row, info: GraphQLResolveInfo, includingTax: bool = True) -> Row:
        gross, tax, currency = value(info, row)
        return money(gross if includingTax else gross - tax, currency)

    binding.set_field(name, resolve)


_times(order, createdAt="created_at", updatedAt="updated_at", orderDate="created_at")
_times(shipment, createdAt="created_at", updatedAt="updated_at", shippedAt="shipped_at")
_times(a_return, createdAt="created_at")
for plain in (payment, stock_change, event):
    _times(plain, createdAt="created_at")
_times(customer, createdAt="created_at", updatedAt="updated_at")
_columns(order, externalId="external_key")
_columns(a_return, externalId="external_key", returnStatus="status")

# ---------------------------------------------------------------- orders


@order.field("currencyBaseRate")
@a_return.field("currencyBaseRate")
def base_rate(row: Row, info: GraphQLResolveInfo) -> Decimal:
    """Of the order's currency to the shop's base currency."""
    currency = row["currency"] if "currency" in row else _currency(info, row["order_number"])
    return RATES.get(currency, RATES[BASE_CURRENCY])


@order.field("store")
@a_return.field("store")
def the_store(row: Row, _info: GraphQLResolveInfo) -> Row:
    """The store that it was sold in."""
    return {"id": row.get("store_id", 1), "name": "Store", "type": "DIRECT_TO_CONSUMER"}


def _order_total(info: GraphQLResolveInfo, row: Row) -> tuple[Decimal, Decimal, str]:
    store = _store(info)
    return store.order_total(row), total(store.taxes_of("order", row)).owed, row["currency"]


_priced(order, "grandTotal", _order_total)


@order.field("totals")
def order_totals(row: Row, info: GraphQLResolveInfo) -> Row:
    """Costs and taxes of an order."""
    lines = _store(info).rows(
        "select * from order_lines where order_number = ? and kind <> 'part' order by id", [row["number"]]
    )
    taxes = _store(info).taxes_of("order", row)
    tax = total(taxes)
    shown = {
        "line_values": sum((line["quantity"] * line["unit_price"] for line in lines), ZERO),
        "shipping": row["shipping"], "handling": row["handling"], "discounts": row["voucher"],
        "shipping_tax_included": taxes.get("shipping", Tax()).included,
        "tax_added": tax.added, "tax_deducted": tax.deducted, "tax_included": tax.included,
    }  # fmt: skip
    return {
        "quantity": sum(line["quantity"] for line in lines),
        **{name: money(value, row["currency"]) for name, value in shown.items()},
    }


@order.field("shippingAddress")
def shipping_address(row: Row, _info: GraphQLResolveInfo) -> Row | None:
    """Where it goes."""
    return postal_addresses.shown(postal_addresses.read(row["address"])) if row["address"] else None


@order.field("country")
def country(row: Row, _info: GraphQLResolveInfo) -> Row:
    """Country of delivery."""
    return {"code": row["country"], "name": country_of(row["country"]).name}


@order.field("market")
def market(row: Row, info: GraphQLResolveInfo) -> Row | None:
    """The market that it was sold in."""
    return _store(info).row("select * from markets where id = ?", [row["market_id"]])


@order.field("pricelist")
def pricelist(row: Row, info: GraphQLResolveInfo) -> Row | None:
    """The pricelist, and with it the currency, that it was sold by."""
    return _store(info).row("select * from pricelists where id = ?", [row["pricelist_id"]])


@order.field("paymentMethod")
def payment_method(row: Row, _info: GraphQLResolveInfo) -> Any:
    """How it is paid; nothing for an order that is not paid through Centra."""
    return METHODS.get(row["payment_method"])


@order.field("lines")
def order_lines(row: Row, info: GraphQLResolveInfo, includeFullyCancelled: bool = False) -> list[Row]:
    """Lines; fully cancelled ones only when asked for."""
    rows = _store(info).rows("select * from order_lines where order_number = ? order by id", [row["number"]])
    return [line for line in rows if line["quantity"] or includeFullyCancelled]


@order.field("shipments")
def order_shipments(row: Row, info: GraphQLResolveInfo) -> list[Row]:
    """Shipments of an order."""
    return rows_of(_store(info), "shipment", "order_number", row["number"])


@order.field("paymentHistory")
def order_payments(row: Row, info: GraphQLResolveInfo, where: Mapping[str, Any] | None = None) -> list[Row]:
    """Payment entries of an order."""
    if where is None:
        return rows_of(_store(info), "payment", "order_number", row["number"])
    only = {**where, "orderId": [row["id"]]}
    return filters.every(_store(info), SOURCES["payment"], {"where": only}, _zone(info), info.context["store_id"])


@concrete_order.field("customer")
def order_customer(row: Row, info: GraphQLResolveInfo) -> Row | None:
    """The buyer."""
    return one(_store(info), "customer", row["customer_id"])


def _attributes(object_type: str, object_id: Any, info: GraphQLResolveInfo) -> list[Row]:
    found = _store(info).rows(
        "select * from attributes where object_type = ? and object_id = ? order by type, key", [object_type, object_id]
    )
    return [
        {
            "type": {"name": name, "is_mapped": False},
            "elements": [{"key": row["key"], "value": row["content"]} for row in found if row["type"] == name],
        }
        for name in dict.fromkeys(row["type"] for row in found)
    ]


@order.field("attributes")
def order_attributes(row: Row, info: GraphQLResolveInfo) -> list[Row]:
    """Attributes that were assigned."""
    return _attributes("Order", row["number"], info)


@customer.field("attributes")
def customer_attributes(row: Row, info: GraphQLResolveInfo) -> list[Row]:
    """Attributes that were assigned."""
    return _attributes("Customer", row["id"], info)


_OWNERS: Mapping[Subject, str] = {"order": "order_number", "shipment": "shipment_id", "return": "return_id"}


@order_line.field("taxPercent")
def tax_percent(row: Row, info: GraphQLResolveInfo) -> Decimal:
    """The rate that it was sold by."""
    if _store(info).order(row["order_number"])["tax_mode"] == "added":
        return _store(info).engine_tax("order", row["order_number"], row["id"]).percent
    return Decimal(row["tax_percent"])


def _line_price(
    subject: Subject, column: str, times_quantity: bool
) -> Callable[[GraphQLResolveInfo, Row], tuple[Decimal, Decimal, str]]:
    def value(info: GraphQLResolveInfo, row: Row) -> tuple[Decimal, Decimal, str]:
        store, order_row = _store(info), _store(info).order(row["order_number"])
        currency = order_row["currency"]
        times = row["quantity"] if times_quantity else 1
        if order_row["tax_mode"] != "added":
            tax = store.tax_within(row[column], row["tax_percent"], currency, order_row["tax_mode"])
            return row[column] * times, tax * times, currency
        # An engine rounds line by line.
        taxed = store.engine_tax(subject, row[_OWNERS[subject]], row["id"])
        tax = taxed.added if times_quantity else rounded(row[column] * taxed.percent / 100, currency)
        return row[column] * times + tax, tax, currency

    return value


_priced(order_line, "unitPrice", _line_price("order", "unit_price", False))
_priced(order_line, "unitOriginalPrice", _line_price("order", "unit_original_price", False))
_priced(order_line, "lineValue", _line_price("order", "unit_price", True))


@order_line.field("returnedQuantity")
def order_line_returned(row: Row, info: GraphQLResolveInfo) -> int:
    """Units of the line on Returns."""
    found = _store(info).row(
        "select coalesce(sum(return_lines.quantity), 0) as n from return_lines"
        " join shipment_lines on shipment_lines.id = shipment_line_id where order_line_id = ?",
        [row["id"]],
    )
    return int(found["n"]) if found else 0


@order_line.field("discountPercent")
def discount_percent(row: Row, _info: GraphQLResolveInfo) -> Decimal:
    """Line discount in percent."""
    if not row["unit_original_price"]:
        return ZERO
    return Decimal(round(100 * (1 - row["unit_price"] / row["unit_original_price"]), 2))


@order_line.field("hasAnyDiscount")
def has_discount(row: Row, _info: GraphQLResolveInfo) -> bool:
    """Whether a line discount was given."""
    return bool(row["unit_price"] != row["unit_original_price"])


def _size_of(row: Row, info: GraphQLResolveInfo) -> Row:
    found = one(_store(info), "size", row["size_id"])
    assert found is not None  # noqa: S101 - lines name sizes that exist
    return found


def _variant_of(info: GraphQLResolveInfo, variant_id: int) -> Row:
    found = _store(info).row("select * from variants where id = ?", [variant_id])
    assert found is not None  # noqa: S101 - sizes name variants that exist
    return found


@order_line.field("productSize")
@stock_line.field("productSize")
@stock.field("productSize")
def product_size(row: Row, info: GraphQLResolveInfo) -> Row:
    """The size that was sold or moved."""
    return _size_of(row, info)


@order_line.field("productVariant")
def line_variant(row: Row, info: GraphQLResolveInfo) -> Row:
    """The variant that was sold."""
    return _variant_of(info, _size_of(row, info)["variant_id"])


@order_line.field("size")
def line_size(row: Row, info: GraphQLResolveInfo) -> str:
    """Name of the size."""
    return str(_size_of(row, info)["size"])


def _line_text(name: str, column: str) -> None:
    @order_line.field(name)
    def resolve(row: Row, info: GraphQLResolveInfo) -> str:
        return str(_variant_of(info, _size_of(row, info)["variant_id"])[column])


for field_name, column_name in (
    ("productNumber", "product_number"), ("productName", "product_name"), ("productVariantName", "name"),
):  # fmt: skip
    _line_text(field_name, column_name)

# ---------------------------------------------------------------- shipments


def _shipment_total(info: GraphQLResolveInfo, row: Row) -> tuple[Decimal, Decimal, str]:
    store = _store(info)
    owed = total(store.taxes_of("shipment", row)).owed
    return store.shipment_total(row), owed, _currency(info, row["order_number"])


_priced(shipment, "grandTotal", _shipment_total)


@shipment.field("isShipped")
def is_shipped(row: Row, _info: GraphQLResolveInfo) -> bool:
    """Left the warehouse."""
    return row["shipped_at"] is not None


@shipment.field("order")
@a_return.field("order")
@payment.field("order")
def order_of(row: Row, info: GraphQLResolveInfo) -> Row | None:
    """The order that it belongs to."""
    return one(_store(info), "order", row["order_number"])


@shipment.field("lines")
def shipment_lines(row: Row, info: GraphQLResolveInfo) -> list[Row]:
    """Lines of a shipment."""
    return _shipment_lines(_store(info), "shipment_lines.shipment_id", row["id"])


def _shipment_lines(store: CentraStore, key: str, value: Any) -> list[Row]:
    return store.rows(
        "select shipment_lines.*, order_lines.order_number, order_lines.unit_price, order_lines.tax_percent"  # noqa: S608 - our own names
        f" from shipment_lines join order_lines on order_lines.id = order_line_id where {key} = ? order by 1",
        [value],
    )


_priced(shipment_line, "unitPrice", _line_price("shipment", "unit_price", False))
_priced(shipment_line, "lineValue", _line_price("shipment", "unit_price", True))


@shipment_line.field("returnedQuantity")
def shipment_line_returned(row: Row, info: GraphQLResolveInfo) -> int:
    """Units of the line on Returns."""
    return _store(info).returned(row["id"])


@shipment_line.field("orderLine")
@return_line.field("orderLine")
def order_line_of(row: Row, info: GraphQLResolveInfo) -> Row | None:
    """The order line."""
    return _store(info).row("select * from order_lines where id = ?", [row["order_line_id"]])


# ---------------------------------------------------------------- Returns and refunds


@a_return.field("totalQuantity")
def total_quantity(row: Row, info: GraphQLResolveInfo) -> int:
    """Units on it."""
    return _store(info).totals_of(row["id"]).quantity


@a_return.field("returnedToStock")
def returned_to_stock(row: Row, _info: GraphQLResolveInfo) -> bool:
    """Its policy put the goods back."""
    return row["warehouse_id"] is not None


@a_return.field("returnWarehouse")
@stock_change.field("warehouse")
@stock_line.field("warehouse")
@stock.field("warehouse")
def warehouse_of(row: Row, info: GraphQLResolveInfo) -> Row | None:
    """The warehouse."""
    return one(_store(info), "warehouse", row["warehouse_id"])


def _return_total(info: GraphQLResolveInfo, row: Row) -> tuple[Decimal, Decimal, str]:
    # Not documented, assumption: behaviour.total_without_tax
    totals = _store(info).totals_of(row["id"])
    return totals.grand_total, totals.tax.owed, _currency(info, row["order_number"])


_priced(a_return, "grandTotal", _return_total)


@a_return.field("totals")
def return_totals(row: Row, info: GraphQLResolveInfo) -> Row:
    """What a Return gives back, by part."""
    totals = _store(info).totals_of(row["id"])
    shown = {
        "line_values": totals.line_values, "handling": totals.handling, "shipping": totals.shipping,
        "discounts": totals.voucher, "return_cost": totals.return_cost, "tax_added": totals.tax.added,
        "tax_deducted": totals.tax.deducted, "tax_included": totals.tax.included,
    }  # fmt: skip
    for name in _store(info).settings.negative_totals:
        shown[convert_camel_case_to_snake(name)] *= -1
    currency = _currency(info, row["order_number"])
    parts = {"shipping": "shipping", "handling": "handling", "voucher": "discount", "return_cost": "return_cost"}
    return {
        "quantity": totals.quantity,
        **{name: money(value, currency) for name, value in shown.items()},
        **{f"{shown_as}_tax_rules": _tax_rules(totals.taxes.get(part), currency) for part, shown_as in parts.items()},
    }


def _tax_rules(tax: Tax | None, currency: str) -> list[Row]:
    """The rule that a part is taxed by; none where there is nothing to tax. A discount's tax is negative."""
    if tax is None:
        return []
    return [
        {
            "rule": {"tax_id": 1, "tax_name": "VAT", "tax_percent": tax.percent},
            "tax_included": money(tax.included, currency), "tax_added": money(tax.added, currency),
            "tax_deducted": money(tax.deducted, currency),
        }
    ]  # fmt: skip


@a_return.field("lines")
def return_lines(row: Row, info: GraphQLResolveInfo) -> list[Row]:
    """Lines of a Return."""
    return [{**line, "order_number": row["order_number"]} for line in _store(info).return_lines(row["id"])]


_priced(return_line, "unitPrice", _line_price("return", "unit_price", False))
_priced(return_line, "lineValue", _line_price("return", "unit_price", True))


@return_line.field("shipmentLine")
def shipment_line_of(row: Row, info: GraphQLResolveInfo) -> Row:
    """The shipment line that comes back."""
    return _shipment_lines(_store(info), "shipment_lines.id", row["shipment_line_id"])[0]


@return_line.field("appliedTaxRules")
def applied_tax_rules(row: Row, info: GraphQLResolveInfo) -> list[Row]:
    """The tax of a returned line."""
    taxes = _store(info).taxes_of("return", _store(info).a_return(row["return_id"]))
    return _tax_rules(taxes.get(f"line {row['id']}"), _currency(info, row["order_number"]))


@a_return.field("refundPaymentHistory")
def refund_payments(row: Row, info: GraphQLResolveInfo) -> list[Row]:
    """Payment entries of a Return."""
    return rows_of(_store(info), "payment", "return_id", row["id"])


@a_return.field("adminUser")
@stock_change.field("adminUser")
def admin_user(row: Row, _info: GraphQLResolveInfo) -> Row | None:
    """Who did it in the admin; nobody when an API did."""
    return {"id": row["admin_user"], "name": "Customer service", "email": None} if row["admin_user"] else None


@a_return.field("shipment")
def return_shipment(row: Row, info: GraphQLResolveInfo) -> Row | None:
    """The shipment that it hangs on."""
    return one(_store(info), "shipment", row["shipment_id"])


@concrete_return.field("customer")
def return_customer(row: Row, info: GraphQLResolveInfo) -> Row | None:
    """The buyer."""
    return one(_store(info), "customer", row["customer_id"])


@payment.field("return")
def payment_return(row: Row, info: GraphQLResolveInfo) -> Row | None:
    """The Return that a payment entry belongs to."""
    return one(_store(info), "return", row["return_id"]) if row["return_id"] else None


_columns(payment, paramsJSON="params")


@payment.field("value")
def payment_value(row: Row, info: GraphQLResolveInfo) -> Row:
    """Its amount."""
    return money(row["value"], _currency(info, row["order_number"]))


# ---------------------------------------------------------------- stock


@stock_change.field("lines")
def stock_change_lines(row: Row, info: GraphQLResolveInfo, limit: int = 20, page: int = 1) -> list[Row]:
    """Lines of a stock change, 20 unless asked for more."""
    filters.check_limit(limit)
    return _store(info).rows(
        "select * from stock_change_lines where stock_change_id = ? order by id limit ? offset ?",
        [row["id"], limit, (page - 1) * limit],
    )


_columns(stock_line, deliveredQuantity="quantity", freeToAllocateQuantity="free")
_columns(stock, physicalQuantity="physical", allocatedQuantity="allocated")
_columns(size, SKU="sku", EAN="ean", UPC="upc")


@stock.field("freeToAllocateQuantity")
def free_to_allocate(row: Row, _info: GraphQLResolveInfo) -> int:
    """Units that can still be promised."""
    return int(row["physical"] - row["allocated"])


def _stock(
    info: GraphQLResolveInfo, column: str, value: int, where: Mapping[str, Any] | None, limit: int, page: int
) -> list[Row]:
    filters.check_limit(limit)
    rows = _store(info).rows(
        f"select * from stock where {column} = ? order by warehouse_id, size_id",  # noqa: S608 - our own names
        [value],
    )
    for name, key in (("productSizeId", "size_id"), ("warehouseId", "warehouse_id")):
        if (where or {}).get(name):
            rows = [row for row in rows if row[key] in (where or {})[name]]
    return rows[(page - 1) * limit : page * limit]


@warehouse.field("stock")
def warehouse_stock(
    row: Row, info: GraphQLResolveInfo, where: Mapping[str, Any] | None = None, limit: int = 20, page: int = 1
) -> list[Row]:
    """Stock in one warehouse."""
    return _stock(info, "warehouse_id", row["id"], where, limit, page)


@size.field("stock")
def size_stock(
    row: Row, info: GraphQLResolveInfo, where: Mapping[str, Any] | None = None, limit: int = 20, page: int = 1
) -> list[Row]:
    """Stock of one size."""
    return _stock(info, "size_id", row["id"], where, limit, page)


@size.field("size")
def size_name(row: Row, _info: GraphQLResolveInfo) -> Row:
    """Its name, as an object."""
    return {"id": row["id"], "name": row["size"]}


@size.field("productVariant")
def size_variant(row: Row, info: GraphQLResolveInfo) -> Row:
    """The variant that it is a size of."""
    return _variant_of(info, row["variant_id"])


# ---------------------------------------------------------------- events

_TARGETS = {
    "Order": ("order", "DirectToConsumerOrder"), "Shipment": ("shipment", "DirectToConsumerShipment"),
    "Return": ("return", "DirectToConsumerReturn"), "StockChange": ("stock_change", "StockChange"),
    "PaymentHistoryEntry": ("payment", "PaymentHistoryEntry"), "Customer": ("customer", "Customer"),
    "Warehouse": ("warehouse", "Warehouse"), "ProductSize": ("size", "ProductSize"),
}  # fmt: skip


@query.field("events")
def events(_: Any, info: GraphQLResolveInfo, **arguments: Any) -> list[Row]:
    """The oldest that nobody of this integration has confirmed; they come back until somebody does."""
    mine = {"integration": info.context["integration_name"], "done": False}
    asked = {**arguments, "where": {**(arguments.get("where") or {}), **mine}}
    return filters.page(_store(info), SOURCES["event"], asked, _zone(info), None)


@query.field("eventListeners")
def event_listeners(_: Any, info: GraphQLResolveInfo) -> list[Row]:
    """What is listened for."""
    return listeners(_store(info), info.context["integration_name"])


def listeners(store: CentraStore, integration: str) -> list[Row]:
    """Event listeners of an integration as the API shows them."""
    found = store.rows("select * from event_listeners order by integration_name, object_type")
    return [
        {**row, "change_types": row["change_types"].split(",") if row["change_types"] else []}
        for row in found
        if store.settings.event_queue and (row["integration_name"] == integration or store.settings.lists_all_listeners)
    ]


@event.field("object")
def event_object(row: Row, info: GraphQLResolveInfo) -> Row | None:
    """The present state of what the event is about; nothing when it was deleted."""
    of, type_name = _TARGETS[row["object_type"]]
    found = one(_store(info), of, row["object_reference"])
    return {**found, "__typename": type_name} if found else None
