"""The bodies that Happy Returns sends and answers: units as both feeds show them, events, bags, outbound shipments."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from hr_centra_pipeline.sandbox.happy_returns.vendor_settings import RETAILER, HappyReturnsSettings

Row = dict[str, Any]

STATUS, METHOD, LABEL = "return_status_updated", "return_dropoff_method_created", "return_label_update"
_BLANKS = ("empty", "null", "absent")
# The twelve that are documented, in their order: name -> column of the row.
_DOCUMENTED = {
    "happyReturnsReturnID": "return_id", "purchasedAt": "purchased_at", "email": "email", "orderNumber": "order_number",
    "externalRMAID": "external_rma_id", "orderID": "order_id", "orderLineItemID": "order_line_item_id", "sku": "sku",
    "upc": "upc", "productVariantID": "product_variant_id", "labelBarcode": "label_barcode", "productName": "product_name",
}  # fmt: skip
_NEVER_BLANK = {"happyReturnsReturnID", "purchasedAt", "email", "orderNumber", "orderID", "productName"}
# Whatever follows them: seen in other documents, or inferred. Present only where the row has a value.
_INFERRED = {
    "happyReturnsItemID": "item_id", "happyReturnsExpressCode": "express_code", "dropoffMethod": "dropoff_method",
    "returnReasonID": "return_reason", "refundType": "refund_type", "oneClickExchange": "one_click_exchange",
    "exchangeSku": "exchange_sku", "receivedChannel": "received_channel", "location": "drop_off_location",
    "locationMetro": "location_metro", "country": "country", "returnBagBarcode": "bag_barcode", "disposition": "disposition",
}  # fmt: skip
_TIMES = {"received": "received_at", "approved": "approved_at", "refunded": "refunded_at"}
_TIMES_OF_RETURN = {"started": "started_at", "droppedOff": "dropped_off_at", "expired": "expired_at"}
_OUTBOUND = {
    "purchasedDate": "purchased_at", "orderNumber": "order_number", "orderID": "order_id",
    "orderLineItemID": "order_line_item_id", "sku": "sku", "upc": "upc", "productVariantID": "product_variant_id",
    "labelBarcode": "label_barcode", "productName": "product_name", "returnReason": "return_reason",
    "categoryID": "category_id", "refundType": "refund_type", "oneClickExchange": "one_click_exchange",
    "location": "drop_off_location", "locationMetro": "location_metro", "country": "country", "startedDate": "started_at",
    "approvedDate": "approved_at", "inspectionOutcome": "inspection_outcome",
}  # fmt: skip


def unit(item: Row, of: Row, settings: HappyReturnsSettings, method: str | None = None) -> Row:
    """One unit; ``of``: the row of its return and order; ``method``: what the shopper has chosen for now."""
    chance = Random(f"blank {item.get('item_id')}")
    shown: Row = {}
    for name, column in _DOCUMENTED.items():
        value = item.get(column)
        if value or name in _NEVER_BLANK:
            shown[name] = value
        else:
            put_blank(shown, name, settings.blanks, chance)
    if settings.fields == "inferred":
        shown |= {name: item[column] for name, column in _INFERRED.items() if item.get(column)}
        shown |= {f"{name}{settings.times}": item[of_] for name, of_ in _TIMES.items() if item.get(of_)}
        shown |= {f"{name}{settings.times}": of[of_] for name, of_ in _TIMES_OF_RETURN.items() if of.get(of_)}
        shown["oneClickExchange"] = bool(item.get("exchange_sku"))
        if method:
            shown["dropoffMethod"] = method
        if shown.get("dropoffMethod") == "mail":
            shown |= by_mail(str(item.get("item_id")))
    return {name: value for name, value in shown.items() if name not in settings.omits}


def by_mail(item_id: str) -> Row:
    """What a unit by mail has in addition; some barcodes have more around the number."""
    number = Random(f"mail {item_id}").randrange(10**10)
    tracking = f"1Z{number:010d}"
    return {
        "trackingNumber": f"420{tracking}00" if number % 7 == 0 else tracking, "carrier": "ups",
        "labelURL": f"https://labels.example.com/{tracking}.pdf", "destinationAddressID": "WH-MAIN",
    }  # fmt: skip


def put_blank(shown: Row, name: str, way: str, chance: Random) -> None:
    """Write that there is no value."""
    picked = chance.choice(_BLANKS)
    way = picked if way == "mixed" else way
    if way != "absent":
        shown[name] = "" if way == "empty" else None


def return_event(
    events: Sequence[tuple[str, str]], units: Sequence[Row], settings: HappyReturnsSettings, chance: Random
) -> Row:
    """``return.asn``: the events newest first; the latest status event is the primary one, if there is any."""
    primary = next((one for one in events if one[0] == STATUS), events[0])
    others = list(events)
    others.remove(primary)
    shown: Row = {"event": primary[0], "typeID": primary[1], "retailerID": RETAILER}
    if others:
        shown["otherEvents"] = [{"event": event, "typeID": type_id} for event, type_id in others]
    else:
        way = chance.choice(("empty", "absent", "null")) if settings.blanks == "mixed" else settings.blanks
        if way != "absent":
            shown["otherEvents"] = [] if way == "empty" else None
    return {**shown, "items": list(units)}


def label_event(return_id: str, express_code: str, bag: str) -> Row:
    """``return.label.update``: which bag a return is in."""
    return {
        "event": LABEL, "typeID": "", "retailerID": RETAILER, "webhookType": "return.label.update", "labelID": bag,
        "happyReturnsReturnID": return_id, "happyReturnsExpressCode": express_code,
    }  # fmt: skip


def outbound_unit(row: Row, item: Row, of: Row) -> Row:
    """One unit of an outbound shipment in its first, deprecated form: no money, no return id."""
    whole = {**of, **item, **{name: value for name, value in row.items() if value is not None}}
    box = f"SB-{Random(str(row.get('shipment_id'))).randrange(10**8):08d}"
    return {
        **{name: whole.get(column) for name, column in _OUTBOUND.items()},
        "poNumber": f"PO-{box[3:9]}", "palletNumber": "1", "shippingBoxBarcode": box, "shippingBoxKind": "standard",
        "tracking": row.get("tracking"), "carrier": row.get("carrier"), "departureDate": row.get("departed_at"),
        "happyReturnsRetailerID": RETAILER, "destinationAddressID": row.get("destination_address_id"),
        "happyReturnsExpressCode": row.get("express_code"), "happyReturnsItemID": row.get("item_id"),
    }  # fmt: skip


def outbound_shipment(shipment: Row, units: Sequence[Row]) -> Row:
    """An outbound shipment in its second form: our guess."""
    return {
        "event": "outbound_shipment_created", "webhookType": "outbound_shipment.asn", "version": 2, "retailerID": RETAILER,
        **shipment, "items": list(units),
    }  # fmt: skip


def shipment_head(shipment_id: str, rows: Sequence[Row]) -> Row:
    """What a list of outbound shipments shows of one."""
    first = rows[0]
    return {
        "shipmentID": shipment_id, "carrier": first.get("carrier"), "tracking": first.get("tracking"),
        "departureDate": first.get("departed_at"), "destinationAddressID": first.get("destination_address_id"),
        "itemCount": len(rows), "returnCount": len({row.get("return_id") for row in rows}),
    }  # fmt: skip


def second_form(row: Row, item: Row, of: Row) -> Row:
    """One unit of an outbound shipment in its second form: with the return and its bags."""
    bags = [item["bag_barcode"]] if item.get("bag_barcode") else []
    return {
        **outbound_unit(row, item, of), "happyReturnsReturnID": row.get("return_id"), "shipmentID": row.get("shipment_id"),
        "returnBagBarcodes": bags,
    }  # fmt: skip


def written(body: Any) -> bytes:
    """The raw bytes of a body."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def surprised(body: Row, chance: Random) -> Row:
    """The same with something that no document lists; what it says stays true."""
    match chance.randrange(3):
        case 0:
            return {**body, "schemaRevision": 7, "items": [{**one, "flags": ["priority"]} for one in body["items"]]}
        case 1:
            more = {"event": "return_photo_added", "typeID": "front"}
        case _:
            more = {"event": STATUS, "typeID": "under-review"}
    return {**body, "otherEvents": [*(body.get("otherEvents") or []), more]}


def looked_up(rows: Mapping[str, Row], key: str) -> Row:
    """A row, or an empty one."""
    return rows.get(key) or {}
