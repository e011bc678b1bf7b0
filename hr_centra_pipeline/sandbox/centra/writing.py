"""Resolvers of the mutation side. A refusal becomes ``userErrors`` of its own payload; other aliases go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import wraps
from typing import Any

from graphql import GraphQLInputObjectType, GraphQLResolveInfo

from hr_centra_pipeline.sandbox.centra.bindings import Fields
from hr_centra_pipeline.sandbox.centra.centra_database import CentraRefusal, Row, instant_text
from hr_centra_pipeline.sandbox.centra.filters import in_zone
from hr_centra_pipeline.sandbox.centra.reading import _store, _zone, listeners, one
from hr_centra_pipeline.sandbox.centra.schema import GIFT_CARD_INPUT, PLACEHOLDER
from hr_centra_pipeline.sandbox.centra.store import FROM_SHIPMENT, CentraStore, Moved, NewReturn

mutation = Fields("Mutation")
Answer = dict[str, Any]


def _field(name: str, payload_type: str) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Bind a mutation; what it refuses is answered, not raised."""

    def bind(function: Callable[..., Answer]) -> Callable[..., Answer]:
        @wraps(function)
        def resolve(_: Any, info: GraphQLResolveInfo, **arguments: Any) -> Answer:
            errors: list[Row] = []
            shown: Answer = {}
            try:
                shown = function(_store(info), info, **arguments)
            except CentraRefusal as refusal:
                errors = [{"message": refusal.message, "path": refusal.path}]
            empty: Answer = {
                "payment_history_entries": [], "entries": [], "event_listeners": [], "events": [], "user_warnings": [],
            }  # fmt: skip
            return {**empty, **shown, "__typename": payload_type, "user_errors": errors}

        mutation.set_field(name, resolve)
        return resolve

    return bind


def one_of(value: Mapping[str, Any] | None, path: list[str], *names: str) -> tuple[str, Any]:
    """The one field that a one-of input gives.

    Raises:
        CentraRefusal: none or several are given.
    """
    given = [(name, value[name]) for name in names if value and value.get(name) is not None]
    if len(given) != 1:
        raise CentraRefusal(f"Give exactly one of {', '.join(names)}", path)
    return given[0]


def _money(value: Mapping[str, Any] | None, currency: str, path: list[str]) -> Decimal:
    if value is None:
        return Decimal(0)
    if value["currencyIsoCode"] != currency:
        raise CentraRefusal(f"Currency must be {currency}", [*path, "currencyIsoCode"])
    return Decimal(value["value"])


def _order_number(store: CentraStore, value: Mapping[str, Any], path: list[str]) -> int:
    name, given = one_of(value, path, "id", "number", "externalId")
    column = {"id": "id", "number": "number", "externalId": "external_key"}[name]
    found = one(store, "order", given, column)
    if found is None:
        raise CentraRefusal("Order not found", path)
    return int(found["number"])


# ---------------------------------------------------------------- Returns and refunds


@_field("createReturn", "ReturnPayload")
def create_return(store: CentraStore, info: GraphQLResolveInfo, input: Mapping[str, Any]) -> Answer:
    """``createReturn``."""
    name, given = one_of(input["shipment"], ["input", "shipment"], "id", "number", "externalId")
    shipment = one(store, "shipment", given, {"externalId": "external_id"}.get(name, name))
    if shipment is None:
        raise CentraRefusal("Shipment not found", ["input", "shipment"])
    currency = store.order(shipment["order_number"])["currency"]

    def cost(field: str) -> Decimal:
        policy = input.get(field)
        if policy is None:
            return Decimal(0)
        way, value = one_of(policy, ["input", field], "value", "fromShipment")
        return FROM_SHIPMENT if way == "fromShipment" else _money(value, currency, ["input", field, "value"])

    created_at = input.get("createdAt")
    return_id = store.create_return(
        NewReturn(
            shipment_id=shipment["id"],
            lines=[(line["shipmentLine"]["id"], line["quantity"]) for line in input["lines"]],
            stock=_stock_policy(store, input["returnStockActionPolicy"], ["input", "returnStockActionPolicy"]),
            shipping=cost("shippingCost"),
            handling=cost("handlingCost"),
            voucher=cost("voucherValue"),
            return_cost=_money(input.get("returnCost"), currency, ["input", "returnCost"]),
            comment=input.get("comment") or "",
            external_id=input.get("externalId"),
        ),
        in_zone(created_at, _zone(info)) if created_at else None,
    )
    return {"return": one(store, "return", return_id)}


def _stock_policy(store: CentraStore, value: Mapping[str, Any], path: list[str]) -> str | int:
    name, given = one_of(
        value, path, "releaseItemsBackToWarehouse", "sendItemsToDifferentWarehouse", "removeItemsFromStock"
    )
    if name == "sendItemsToDifferentWarehouse":
        return _warehouse(store, given, [*path, name])
    return "origin" if name == "releaseItemsBackToWarehouse" else "none"


def _warehouse(store: CentraStore, value: Mapping[str, Any], path: list[str]) -> int:
    name, given = one_of(value, path, "id", "externalId")
    found = one(store, "warehouse", given, {"externalId": "external_id"}.get(name, name))
    if found is None:
        raise CentraRefusal("Warehouse not found", path)
    return int(found["id"])


@_field("completeReturn", "ReturnPayload")
def complete_return(
    store: CentraStore,
    _info: GraphQLResolveInfo,
    id: int,
    input: Mapping[str, Any] | None = None,
) -> Answer:
    """``completeReturn``."""
    store.complete_return(id, send_email=(input or {}).get("sendEmail"))
    return {"return": one(store, "return", id)}


@_field("uncompleteReturn", "ReturnPayload")
def uncomplete_return(store: CentraStore, _info: GraphQLResolveInfo, id: int) -> Answer:
    """``uncompleteReturn``."""
    store.uncomplete_return(id)
    return {"return": one(store, "return", id)}


@_field("deleteReturn", "ReturnPayload")
def delete_return(store: CentraStore, _info: GraphQLResolveInfo, id: int) -> Answer:
    """``deleteReturn``; there is nothing left to show."""
    store.delete_return(id)
    return {"return": None}


@_field("refundReturn", "ReturnRefundPayload")
def refund_return(
    store: CentraStore,
    _info: GraphQLResolveInfo,
    id: int,
    input: Mapping[str, Any] | None = None,
) -> Answer:
    """``refundReturn``."""
    entry_id = store.refund_return(id, send_email=(input or {}).get("sendEmail"))
    return {"return": one(store, "return", id), "payment_history_entries": [one(store, "payment", entry_id)]}


@_field("issueCredit", "CreditIssuePayload")
def issue_credit(store: CentraStore, info: GraphQLResolveInfo, input: Mapping[str, Any]) -> Answer:
    """``issueCredit``: only where the schema has members by which a gift card can be made out."""
    of = info.schema.type_map.get(GIFT_CARD_INPUT)
    members = [name for name in of.fields if name != PLACEHOLDER] if isinstance(of, GraphQLInputObjectType) else []
    if not members:
        raise CentraRefusal("A gift card can not be made out: no way to do so is known", ["input", "giftCard"])
    one_of(input["giftCard"], ["input", "giftCard"], *members)
    number = _order_number(store, input["order"], ["input", "order"])
    return_id = None
    if input.get("return"):
        name, given = one_of(input["return"], ["input", "return"], "id", "externalId")
        found = one(store, "return", given, {"externalId": "external_key"}.get(name, name))
        if found is None:
            raise CentraRefusal("Return not found", ["input", "return"])
        return_id = found["id"]
    amount = _money(input["amount"], store.order(number)["currency"], ["input", "amount"])
    entry_id = store.issue_credit(number, amount, return_id=return_id)
    return {
        "order": one(store, "order", number),
        "return": one(store, "return", return_id) if return_id else None,
        "payment_history_entries": [one(store, "payment", entry_id)],
    }


# ---------------------------------------------------------------- stock


@_field("changeStock", "StockChangePayload")
def change_stock(store: CentraStore, _info: GraphQLResolveInfo, input: Mapping[str, Any]) -> Answer:
    """``changeStock``."""
    moved = []
    for position, row in enumerate(input.get("productSizes") or ()):
        path: tuple[str, ...] = ("input", "productSizes", str(position))
        moved.append(Moved(_size(store, row["productSize"], path), row["deliveredQuantity"], path))
    for position, variant in enumerate(input.get("productVariants") or ()):
        for place, row in enumerate(variant["sizeChanges"]):
            path = ("input", "productVariants", str(position), "sizeChanges", str(place))
            moved.append(Moved(_size_of_variant(store, variant, row, path), row["deliveredQuantity"], path))
    ends = {}
    for field in ("intoWarehouse", "outFromWarehouse"):
        ends[field] = _warehouse(store, input[field], ["input", field]) if input.get(field) else None
    change_id = store.change_stock(
        moved, into=ends["intoWarehouse"], out_of=ends["outFromWarehouse"], description=input["description"]
    )
    return {"stock_change": one(store, "stock_change", change_id)}


def _size(store: CentraStore, value: Mapping[str, Any], path: tuple[str, ...]) -> int:
    name, given = one_of(value, [*path, "productSize"], "id", "SKU", "EAN", "UPC", "any")
    columns = ["id", "sku", "ean", "upc"] if name == "any" else [name.lower()]
    for column in columns:
        if found := one(store, "size", given, column):
            return int(found["id"])
    raise CentraRefusal("Product size not found", [*path, "productSize"])


def _size_of_variant(store: CentraStore, variant: Row, row: Row, path: tuple[str, ...]) -> int:
    _, variant_id = one_of(variant["productVariant"], [*path[:3], "productVariant"], "id", "externalId")
    name, given = one_of(row["size"], [*path, "size"], "id", "name", "externalId")
    found = store.row(
        f"select id from sizes where variant_id = ? and {'size' if name == 'name' else 'id'} = ?",  # noqa: S608 - our own names
        [variant_id, given],
    )
    if found is None:
        raise CentraRefusal("Product size not found", [*path, "size"])
    return int(found["id"])


# ---------------------------------------------------------------- orders


@_field("confirmOrder", "OrderPayload")
def confirm_order(store: CentraStore, _info: GraphQLResolveInfo, input: Mapping[str, Any]) -> Answer:
    """``confirmOrder``: only a pending one."""
    number = _order_number(store, input["order"], ["input", "order"])
    if store.order(number)["status"] != "PENDING":
        raise CentraRefusal("Order is not pending", ["input", "order"])
    store.set_order(number, {"status": "CONFIRMED"})
    return {"order": one(store, "order", number)}


@_field("updateDirectToConsumerOrder", "OrderPayload")
def update_order(
    store: CentraStore,
    _info: GraphQLResolveInfo,
    order: Mapping[str, Any],
    input: Mapping[str, Any],
) -> Answer:
    """``updateDirectToConsumerOrder``: each field that is passed replaces the present value."""
    number = _order_number(store, order, ["order"])
    columns = {
        "internalComment": "internal_comment", "otherComment": "other_comment", "isInternal": "is_internal",
        "isOnHold": "is_on_hold",
    }  # fmt: skip
    changes = {column: input[name] for name, column in columns.items() if input.get(name) is not None}
    if changes:
        store.set_order(number, changes)
    if input.get("externalId"):
        store.set_external_id("Order", input["externalId"], number)
    return {"order": one(store, "order", number)}


@_field("cancelDirectToConsumerOrder", "DirectToConsumerOrderCancelPayload")
def cancel_order(store: CentraStore, _info: GraphQLResolveInfo, id: str, input: Mapping[str, Any]) -> Answer:
    """``cancelDirectToConsumerOrder``, by the order's id: refused once shipped. Its payment goes only when asked for; where
    that fails, the order is cancelled all the same, with a warning.
    """
    found = one(store, "order", id, "id")
    if found is None:
        raise CentraRefusal("Order not found", ["id"])
    if input.get("reason") is not None:
        raise CentraRefusal("This reason is not configured", ["input", "reason"])
    number = int(found["number"])
    entries, warnings = store.cancel_order(
        number,
        stock=_stock_policy(store, input["stockAction"], ["input", "stockAction"]),
        authorisation=bool(input.get("cancelAuthorization")),
    )
    with store.write():
        store.send_email("order cancelled", number, input["emailOptions"]["sendEmail"])
    return {
        "order": one(store, "order", number),
        "payment_history_entries": [one(store, "payment", entry) for entry in entries],
        "user_warnings": [{"message": text, "path": ["input", "cancelAuthorization"]} for text in warnings],
    }


# ---------------------------------------------------------------- shipments


@_field("updateShipment", "ShipmentPayload")
def update_shipment(store: CentraStore, _info: GraphQLResolveInfo, id: int, input: Mapping[str, Any]) -> Answer:
    """``updateShipment``: marks it as paid, or as good to go."""
    store.mark_shipment(id, paid=input.get("isPaid"), good_to_go=input.get("isGoodToGo"))
    return {"shipment": one(store, "shipment", id)}


@_field("createShipment", "ShipmentPayload")
def create_shipment(store: CentraStore, _info: GraphQLResolveInfo, input: Mapping[str, Any]) -> Answer:
    """``createShipment``: packs lines of an order, to be shipped later."""
    number = _order_number(store, input["order"], ["input", "order"])
    mine = {row["id"] for row in store.rows("select id from order_lines where order_number = ?", [number])}
    quantities: dict[int, int] = {}
    for position, line in enumerate(input["lines"]):
        path = ["input", "lines", str(position)]
        line_id, quantity = line["orderLine"]["id"], line["quantity"]
        if line_id not in mine:
            raise CentraRefusal("Order line not found on this order", [*path, "orderLine"])
        if quantity < 1:
            raise CentraRefusal("Quantity must be positive", [*path, "quantity"])
        quantities[line_id] = quantities.get(line_id, 0) + quantity
    if not quantities:
        raise CentraRefusal("A shipment needs lines", ["input", "lines"])
    shipment_id = store.create_shipment(
        number,
        quantities,
        at=store.clock.now(),
        good_to_go=bool(input.get("isGoodToGo")),
        paid=bool(input.get("isPaid")),
    )
    return {"shipment": one(store, "shipment", shipment_id)}


# ---------------------------------------------------------------- customers, attributes


@_field("updateCustomer", "CustomerPayload")
def update_customer(
    store: CentraStore,
    _info: GraphQLResolveInfo,
    customer: Mapping[str, Any],
    input: Mapping[str, Any],
) -> Answer:
    """``updateCustomer``."""
    name, given = one_of(customer, ["customer"], "id", "externalId")
    customer_id = given if name == "id" else store.internal_id("Customer", given)
    if customer_id is None or one(store, "customer", customer_id) is None:
        raise CentraRefusal("Customer not found", ["customer"])
    with store.write():
        if input.get("externalId"):
            store.set_external_id("Customer", input["externalId"], customer_id)
        if input.get("internalComment") is not None:
            changes = {"internal_comment": input["internalComment"], "updated_at": instant_text(store.clock.now())}
            store.update("customers", "id", customer_id, changes)
    return {"customer": one(store, "customer", customer_id)}


@_field("assignAttributes", "AttributesAssignPayload")
def assign_attributes(store: CentraStore, _info: GraphQLResolveInfo, input: Mapping[str, Any]) -> Answer:
    """``assignAttributes``; an order is named by its number. Only attributes that are configured can be assigned."""
    # Not documented, assumption: behaviour.attributes_are_replaced
    kind, object_id = input["objectType"], input["objectId"]
    found = one(store, {"Order": "order", "Customer": "customer"}.get(kind, "order"), object_id)
    if kind not in ("Order", "Customer") or found is None:
        raise CentraRefusal("Object not found", ["input", "objectId"])
    with store.write():
        for position, given in enumerate(input.get("dynamicAttributes") or ()):
            if f"{given['attributeTypeName']}.{given['attributeElementKey']}" not in store.settings.attributes:
                raise CentraRefusal("Attribute not found", ["input", "dynamicAttributes", str(position)])
            store.rows(
                "insert or replace into attributes values (?, ?, ?, ?, ?)",
                [
                    kind, object_id, given["attributeTypeName"], given["attributeElementKey"],
                    given["attributeElementValue"],
                ],
            )  # fmt: skip
    return {"object": {**found, "__typename": "DirectToConsumerOrder" if kind == "Order" else "Customer"}}


# ---------------------------------------------------------------- ids and events


@_field("setIdConversions", "IdConversionsPayload")
def set_id_conversions(store: CentraStore, _info: GraphQLResolveInfo, input: list[Mapping[str, Any]]) -> Answer:
    """``setIdConversions``."""
    for row in input:
        store.set_external_id(row["objectType"], row["externalId"], row["internalId"])
    entries = [
        entry
        for row in input
        for entry in store.rows(
            "select * from id_conversions where object_type = ? and internal_id = ?",
            [row["objectType"], row["internalId"]],
        )
    ]
    return {"entries": entries}


@_field("setEventListeners", "EventListenersPayload")
def set_event_listeners(store: CentraStore, info: GraphQLResolveInfo, input: list[Mapping[str, Any]]) -> Answer:
    """``setEventListeners``: from now on these changes are kept as events."""
    integration = _queue_of(store, info)
    now = instant_text(store.clock.now())
    with store.write():
        for row in input:
            store.rows(
                "insert into event_listeners values (?, ?, ?, ?, ?) on conflict do update"
                " set change_types = excluded.change_types, updated_at = excluded.updated_at",
                [integration, row["objectType"], ",".join(row.get("changeTypes") or ()), now, now],
            )
    return {"event_listeners": listeners(store, integration)}


@_field("unsetEventListeners", "EventListenersPayload")
def unset_event_listeners(store: CentraStore, info: GraphQLResolveInfo, input: list[Mapping[str, Any]]) -> Answer:
    """``unsetEventListeners``."""
    integration = _queue_of(store, info)
    with store.write():
        for row in input:
            store.rows(
                "delete from event_listeners where integration_name = ? and object_type = ?",
                [integration, row["objectType"]],
            )
    return {"event_listeners": listeners(store, integration)}


@_field("confirmEvents", "EventsConfirmPayload")
def confirm_events(store: CentraStore, info: GraphQLResolveInfo, input: Mapping[str, Any]) -> Answer:
    """``confirmEvents``: these do not come back, to nobody of this integration."""
    integration = _queue_of(store, info)
    shown = []
    with store.write():
        for event_id in input["eventsIds"]:
            found = store.row("select * from events where id = ? and integration_name = ?", [event_id, integration])
            if found is None:
                raise CentraRefusal("Event not found", ["input", "eventsIds"])
            store.update("events", "id", event_id, {"is_confirmed": 1})
            shown.append(found)
    return {"events": shown}


def _queue_of(store: CentraStore, info: GraphQLResolveInfo) -> str:
    """Whose queue a token sees; tokens with one integration name share it."""
    if not store.settings.event_queue:
        raise CentraRefusal("Events are not enabled for this store", ["input"])
    return str(info.context["integration_name"])
