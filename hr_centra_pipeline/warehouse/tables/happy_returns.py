"""Staging of Happy Returns: latest state per return, unit, refund and outbound shipment line.

The same declarations validate the rows of an export before they are landed.
"""

from __future__ import annotations

from hr_centra_pipeline.warehouse.declare import flag, instant, money, table, text, whole

REFUND_TYPES = ("refund", "gift-card", "exchange")
RETURN_STATUSES = ("started", "dropped-off", "approved", "partly-approved", "expired", "failed")
REFUND_ROW_STATUSES = ("issued", "pending", "failed")

_SOURCE = {
    "source_time": instant("time of this state at the source (updated_at, else the file's)"),
    "source_file": text("file that brought this state"),
    "source_line": whole("physical line in that file", at_least=1),
    "landed_batch": whole("batch that landed it: what is above a reader's watermark is new to it"),
}

_FEEDS = text("feeds that have reported it, by blanks: api, events, files")

RETURNS = table(
    "staging.returns",
    "One row per return and order: its latest state.",
    ["return_id", "order_number"],
    {
        "return_id": text("Happy Returns return id"),
        "order_number": text("order number without '#'"),
        "order_id": text("platform's order id", null=True),
        "express_code": text("express code (RMA), HR and 6 more", null=True),
        "external_rma_id": text("merchant's own RMA id", null=True),
        "retailer_id": text("retailer slug", null=True),
        "created_at": instant("when the shopper started it", null=True),
        "refund_status": text("state of the return", values=RETURN_STATUSES),
        "dropoff_method": text("chosen method before approval, the actual one after it", null=True),
        "items_total": whole("units in the return", null=True, at_least=0),
        "items_received": whole("units received", null=True, at_least=0),
        "items_approved": text("approved of total, as reported", null=True),
        "started_at": instant("return started", null=True),
        "dropped_off_at": instant("goods handed over", null=True),
        "last_approved_at": instant("last approval", null=True),
        "expired_at": instant("expired unused", null=True),
        "customer_token": text("keyed token of the customer's e-mail (the e-mail is in landing.personal)", null=True),
        "feeds": _FEEDS,
        **_SOURCE,
    },
)

RETURN_ITEMS = table(
    "staging.return_items",
    "One row per physical return unit: its latest state.",
    ["return_item_id"],
    {
        "return_item_id": text("Happy Returns item id, else a stable hash of return, order, line and unit offset"),
        "item_id": text("Happy Returns item id", null=True),
        "return_id": text("Happy Returns return id"),
        "express_code": text("express code (RMA)", null=True),
        "order_number": text("order number without '#'"),
        "order_id": text("platform's order id", null=True),
        "order_line_item_id": text("line id as reported, with its -offset-total suffix", null=True),
        "base_line_item_id": text("line id without the suffix", null=True),
        "unit_offset": whole("zero-based unit of its line", null=True, at_least=0),
        "line_quantity": whole("units of the line that can be refunded", null=True, at_least=1),
        "sku": text("SKU as reported", null=True),
        "upc": text("UPC as reported (not always a number)", null=True),
        "product_variant_id": text("platform's variant id", null=True),
        "label_barcode": text("product's own barcode", null=True),
        "product_name": text("product name", null=True),
        "category_id": text("product category", null=True),
        "return_reason": text("reason id or text", null=True),
        "refund_type": text("what the shopper chose", values=REFUND_TYPES),
        "exchange_sku": text("SKU of the replacement", null=True),
        "dropoff_method": text("drop-off method", null=True),
        "received_channel": text("how it really came back", null=True),
        "purchased_at": instant("order placed", null=True),
        "received_at": instant("first scan at the drop-off; for mail: arrival at the warehouse", null=True),
        "hub_received_at": instant("received at a hub", null=True),
        "warehouse_received_at": instant("received at the merchant's warehouse", null=True),
        "approved_at": instant("approved for refund, exchange or credit", null=True),
        "refunded_at": instant("refunded", null=True),
        "condition": text("condition given at approval", null=True),
        "inspection_outcome": text("hub's result", null=True),
        "disposition": text("grade of the unit in our words (profile), else as reported", null=True),
        "disposition_at": instant("source time at which the present disposition was set", null=True),
        "approval_withdrawn_at": instant("source time at which an approval vanished again", null=True),
        "bag_barcode": text("bag that it travelled in", null=True),
        "return_created_at": instant("when its return was started (null: not reported yet)", null=True),
        "return_status": text("state of its return", null=True),
        "feeds": _FEEDS,
        **_SOURCE,
    },
)

RETURN_ITEM_EVENTS = table(
    "staging.return_item_events",
    "One row per unit and thing that happened to it (started, dropped off, received, departed, graded, approved, …).",
    ["return_item_id", "event", "happened_at"],
    {
        "return_item_id": text("the unit"),
        "return_id": text("its return"),
        "event": text("what happened"),
        "happened_at": instant("when"),
        "is_physical": flag("the goods moved or were seen"),
        "value": text("disposition, shipment id or the like", null=True),
    },
)

REFUNDS = table(
    "staging.refunds",
    "One row per refund of Happy Returns: its latest state.",
    ["refund_id"],
    {
        "refund_id": text("refund id"),
        "return_id": text("its return"),
        "order_number": text("order number without '#'"),
        "refund_type": text("refund, gift card or exchange", values=REFUND_TYPES),
        "issued_at": instant("issued", null=True),
        "status": text("state of the refund", values=REFUND_ROW_STATUSES),
        "currency": text("ISO 4217", pattern="[A-Z]{3}"),
        "item_subtotal": money("units without tax, before discount", null=True),
        "discount": money("discount without tax", null=True),
        "tax": money("tax of the units", null=True),
        "shipping_refund": money("shipping given back, gross", null=True, at_least=0),
        "processing_fee": money("fee deducted, gross", null=True, at_least=0),
        "fee_basis": text("item or return", null=True, values=("item", "return")),
        "total_refunded": money("money given back"),
        "exchange_order_number": text("replacement order as reported", null=True),
        "price_difference": money("replacement minus returned, gross", null=True),
        "gift_card_id": text("a gift card that was issued already", null=True),
        "failure_reason": text("why it failed", null=True),
        "item_ids": text("ids of the units that it pays, separated by spaces, commas, semicolons or bars", null=True),
        **_SOURCE,
    },
)

REFUND_UNITS = table(
    "staging.refund_units",
    "One row per refund and unit that it pays.",
    ["refund_id", "return_item_id"],
    {
        "refund_id": text("the refund"),
        "return_item_id": text("the unit"),
        "is_told": flag("named by the row itself; else derived from approvals"),
    },
)

RETURN_SHIPMENTS = table(
    "staging.return_shipments",
    "One row per unit in an outbound shipment from a hub to the merchant.",
    ["shipment_id", "return_item_id"],
    {
        "shipment_id": text("outbound shipment"),
        "return_item_id": text("the unit"),
        "item_id": text("Happy Returns item id", null=True),
        "express_code": text("express code (RMA)", null=True),
        "order_number": text("order number without '#'", null=True),
        "sku": text("SKU as reported", null=True),
        "carrier": text("carrier", null=True),
        "tracking": text("tracking number", null=True),
        "inspection_outcome": text("hub's result", null=True),
        "departed_at": instant("left the hub", null=True),
        "destination_address_id": text("merchant's warehouse as Happy Returns names it", null=True),
        **_SOURCE,
    },
)

RETURN_BAGS = table(
    "staging.return_bags",
    "One row per return and bag that it is in, whether or not the return is known yet.",
    ["return_id", "bag_barcode"],
    {
        "return_id": text("Happy Returns return id"),
        "bag_barcode": text("bag that it travels in"),
        "express_code": text("express code (RMA)", null=True),
        **_SOURCE,
    },
)
