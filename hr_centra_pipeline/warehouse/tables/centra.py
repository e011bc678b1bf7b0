"""Staging of Centra: latest state of orders, lines, shipments, returns, payments and stock. No personal column."""

from __future__ import annotations

from hr_centra_pipeline.warehouse.declare import flag, instant, money, table, text, texts, whole

ORDERS = table(
    "staging.orders",
    "One row per Centra order: its latest state.",
    ["order_number"],
    {
        "order_number": text("order number"),
        "order_id": text("Centra's order id (32 hex characters)"),
        "status": text("Centra's word for it"),
        "is_cancelled": flag("cancelled; unknown where the policy gives the word no meaning", null=True),
        "is_internal": flag("internal: not in sales figures"),
        "currency": text("ISO 4217", pattern="[A-Z]{3}"),
        "country": text("ISO country of delivery", null=True),
        "customer_id": whole("Centra customer", null=True),
        "tax_mode": text(
            "what Centra does with tax: included in its values, added to them (prices without tax), or none: export, where the "
            "tax in the values is deducted, or no tax at all (unknown: landed before this was read)",
            null=True,
            values=("included", "added", "none"),
        ),
        "grand_total": money("with tax"),
        "shipping": money("shipping cost, as Centra keeps it: before tax is added or deducted"),
        "handling": money("handling cost, likewise"),
        "discounts": money("order vouchers, likewise"),
        "shipping_tax_added": money("tax that Centra adds to shipping and handling (negative: deducts)"),
        "discount_tax_added": money(
            "tax that Centra adds to the vouchers, which are taken off (negative: deducts); estimated"
        ),
        "captured": money("sum of successful captures"),
        "capture_pending": money("requested from the payment provider, and not confirmed yet"),
        "has_unknown_payment": flag("a payment entry has a word without a meaning: nothing may be paid by its history"),
        "market_id": whole("Centra market", null=True),
        "pricelist_id": whole("Centra price list", null=True),
        "our_note": text("our own delimited lines in the internal comment", null=True),
        "effect_keys": texts("effect keys in the internal comment"),
        "origin_return_key": text("packet key of the exchange that made this order", null=True),
        "created_at": instant("placed"),
        "updated_at": instant("last change that Centra shows"),
        "fetched_at": instant("when we read it"),
    },
)

ORDER_LINES = table(
    "staging.order_lines",
    "One row per line of a Centra order.",
    ["order_line_id"],
    {
        "order_line_id": text("Centra's line id"),
        "order_number": text("order number"),
        "sku": text("SKU of the size", null=True),
        "ean": text("EAN", null=True),
        "upc": text("UPC", null=True),
        "product_name": text("product name", null=True),
        "is_product": flag("an article: an ordinary line, or a part of a known bundle; false: another kind"),
        "bundle_line_id": text("of a part: its bundle's line", null=True),
        "per_bundle": whole("of a part: pieces of it in one bundle", null=True, at_least=1),
        "bundle_share": money("of a part: what all pieces of it are of one bundle's price", null=True),
        "quantity": whole("units, without cancelled ones", at_least=0),
        "cancelled_quantity": whole("cancelled units", at_least=0),
        "returned_quantity": whole("returned units", at_least=0),
        "unit_price": money("one unit with tax, after line discounts; of a part its share of its bundle's"),
        "unit_original_price": money("one unit with tax, before discounts; of a part likewise"),
        "unit_tax_added": money(
            "of its price, the tax that Centra adds to the price that it keeps (negative: deducts)"
        ),
        "line_value": money("the line with tax"),
        "tax_percent": money("tax rate in percent"),
    },
)

BUNDLES = table(
    "staging.bundles",
    "One row per bundle of a Centra order. Where its parts are known, they are in the order's lines, shipments and Returns in its "
    "place, each with its share of what the bundle costs.",
    ["bundle_line_id"],
    {
        "bundle_line_id": text("Centra's line id of the bundle"),
        "order_number": text("order number"),
        "sku": text("SKU of the bundle", null=True),
        "product_name": text("its name", null=True),
        "quantity": whole("bundles, without canceled ones", at_least=0),
        "parts": whole("pieces in one bundle, as far as they are known", at_least=0),
        "currency": text("ISO 4217"),
        "unit_price": money("one bundle with tax, after line discounts"),
        "has_own_prices": flag(
            "Centra shows what its parts cost alone: its price is shared by that, else by their number"
        ),
        "is_known": flag("which lines are its parts is known; of an order all or none"),
    },
)

SHIPMENTS = table(
    "staging.shipments",
    "One row per Centra shipment.",
    ["shipment_id"],
    {
        "shipment_id": whole("Centra's shipment id"),
        "shipment_number": text("order-n"),
        "order_number": text("order number"),
        "is_shipped": flag("left the warehouse"),
        "is_captured": flag("its money was captured"),
        "is_paid": flag("marked as paid; unknown when landed before we read it", null=True),
        "is_good_to_go": flag("marked as good to go: handed to the warehouse; unknown like is_paid", null=True),
        "grand_total": money("with tax, shipping and discounts"),
        "created_at": instant("made"),
        "updated_at": instant("last change"),
        "shipped_at": instant("shipped", null=True),
    },
)

SHIPMENT_LINES = table(
    "staging.shipment_lines",
    "One row per line of a Centra shipment.",
    ["shipment_line_id"],
    {
        "shipment_line_id": whole("Centra's shipment line id"),
        "shipment_id": whole("its shipment"),
        "order_number": text("order number"),
        "order_line_id": text("its order line"),
        "quantity": whole("units shipped", at_least=0),
        "returned_quantity": whole("units on Centra returns", at_least=0),
        "unit_price": money("one unit with tax"),
        "unit_tax": money("tax in one unit"),
        "unit_tax_added": money(
            "of its price, the tax that Centra adds to the price that it keeps (negative: deducts)"
        ),
        "line_value": money("the line with tax"),
        "currency": text("ISO 4217"),
        "bundle_line_id": text("of a part: its bundle's order line", null=True),
        "bundle_shipment_line_id": whole(
            "of a part: its bundle's line in the same shipment, by which a Return names it", null=True
        ),
        "per_bundle": whole("of a part: pieces of it in one bundle", null=True, at_least=1),
        "bundle_share": money("of a part: what all pieces of it are of one bundle's price with tax", null=True),
        "bundle_tax": money("of a part: the tax in that", null=True),
        "bundle_tax_added": money("of a part: the tax that Centra adds to it (negative: deducts)", null=True),
    },
)

CENTRA_RETURNS = table(
    "staging.centra_returns",
    "One row per Centra return: its latest state, deleted ones included.",
    ["centra_return_id"],
    {
        "centra_return_id": whole("Centra's return id"),
        "order_number": text("order number"),
        "shipment_id": whole("its shipment"),
        "status": text("Centra's word for it"),
        "is_completed": flag("completed; unknown where the policy gives the word no meaning", null=True),
        "external_id": text("external id: a look-up key, no proof", null=True),
        "packet_key": text("our packet key in its comment", null=True),
        "effect_keys": texts("our effect keys in its comment"),
        "express_codes": texts("express codes and return ids that its comment names"),
        "created_from": text("Centra's word for where it was made", null=True),
        "made_by": text(
            "who made it, by its admin user, else by the policy's reading of that word",
            values=("person", "integration", "unknown"),
        ),
        "returned_to_stock": flag("its stock policy put the goods back"),
        "warehouse_id": whole("warehouse that took them back", null=True),
        "currency": text("ISO 4217"),
        "grand_total": money("what it gives back"),
        "net_total": money("the same without tax (unknown: landed before this was read)", null=True),
        "line_values": money("lines with tax"),
        "shipping": money("shipping, as Centra keeps it: before tax is added or deducted"),
        "handling": money("handling, likewise"),
        "discounts": money("voucher taken off, likewise"),
        "return_cost": money("fee taken off, likewise"),
        "shipping_tax_added": money("tax that Centra adds to shipping and handling (negative: deducts)"),
        "discount_tax_added": money("tax that Centra adds to the voucher (negative: deducts)"),
        "return_cost_tax_added": money("tax that Centra adds to the fee (negative: deducts)"),
        "tax": money("tax of its lines, less that of its voucher"),
        "created_at": instant("made"),
        "fetched_at": instant("when we read it"),
        "deleted_at": instant("when a sweep found it gone", null=True),
    },
)

CENTRA_RETURN_LINES = table(
    "staging.centra_return_lines",
    "One row per line of a Centra return; of a bundle's line, one for each part.",
    ["centra_return_line_id", "shipment_line_id"],
    {
        "centra_return_line_id": whole("Centra's return line id"),
        "centra_return_id": whole("its return"),
        "order_number": text("order number"),
        "shipment_line_id": whole("its shipment line"),
        "order_line_id": text("its order line"),
        "quantity": whole("units", at_least=0),
        "line_value": money("with tax"),
        "line_tax": money("tax in it"),
        "named_shipment_line_id": whole("of a part: its bundle's shipment line, which the Return names", null=True),
        "named_quantity": whole("of a part: bundles of that line", null=True, at_least=0),
    },
)

PAYMENT_ENTRIES = table(
    "staging.payment_entries",
    "One row per entry of an order's payment history.",
    ["entry_id"],
    {
        "entry_id": whole("Centra's entry id"),
        "order_number": text("order number"),
        "centra_return_id": whole("return that it belongs to", null=True),
        "entry_type": text("Centra's word: CAPTURE, REFUND, REFUND_REQUEST, REFUND_FAILED, REFUND_GIFT_CARD, …"),
        "status": text("Centra's word: PENDING, SUCCESS, FAILED"),
        "money": text(
            "what it did: captured, capture_pending, refunded, refund_pending, refund_failed or neutral; capture_answered and "
            "refund_answered: a request, of which the entry that answers it says what came of it, whatever its own status; "
            "unknown where the policy gives a word of it no meaning",
            null=True,
        ),
        "instrument": text("original or gift_card; unknown like money", null=True),
        "is_refund": flag("part of a refund, whatever came of it; unknown like money", null=True),
        "request_id": whole("the request that this entry answers: both are one payment", null=True),
        "amount": money("without a sign: what it did says which way the money went", at_least=0),
        "currency": text("ISO 4217"),
        "external_reference": text(
            "payment provider's reference: of the refund, or of the payment that it belongs to", null=True
        ),
        "provider_references": texts("the references in the provider's own answer, the most specific first"),
        "created_at": instant("made"),
    },
)

STOCK_CHANGES = table(
    "staging.stock_changes",
    "One row per line of a Centra stock change.",
    ["stock_change_line_id"],
    {
        "stock_change_line_id": whole("Centra's line id"),
        "stock_change_id": whole("its stock change"),
        "created_at": instant("made"),
        "type": text("Centra's word for it; nothing is decided by it"),
        "effect_keys": texts("our effect keys in its text"),
        "is_customer_return": flag("its text looks like a customer return (policy's patterns)"),
        "named": texts("words of its text that may name a return: express codes, return ids, order numbers"),
        "by_person": flag("made by an admin user"),
        "sku": text("SKU", null=True),
        "warehouse_id": whole("warehouse", null=True),
        "quantity": whole("units, negative when they leave"),
    },
)

WAREHOUSES = table(
    "staging.warehouses",
    "One row per Centra warehouse.",
    ["warehouse_id"],
    {
        "warehouse_id": whole("Centra's warehouse id"),
        "name": text("name"),
        "status": text("Centra's word for it"),
        "is_active": flag("active"),
        "stock_master": text("Centra's word: CENTRA or EXTERNAL"),
        "fetched_at": instant("when we read it"),
    },
)

REPLACEMENT_STOCK = table(
    "staging.replacement_stock",
    "One row per SKU that an open exchange asks for.",
    ["sku"],
    {
        "sku": text("SKU"),
        "product_size_id": whole("Centra's size id (null: no such SKU)", null=True),
        "free_quantity": whole("free to allocate, over all warehouses"),
        "fetched_at": instant("when we read it"),
    },
)

STATUS_MARKS = table(
    "staging.status_marks",
    "One row per order or customer that was read for our texts on it, where the policy writes them there.",
    ["mark"],
    {
        "mark": text("kind and id of the object"),
        "object_type": text("order or customer", values=("order", "customer")),
        "object_id": text("order number, or Centra's customer id"),
        "our_note": text("our own delimited lines in the customer's internal comment", null=True),
        "our_value": text("our attribute's value, as we write it", null=True),
        "note_keys": texts("effect keys in the comment"),
        "value_keys": texts("effect key in the attribute"),
        "fetched_at": instant("when we read it"),
    },
)
