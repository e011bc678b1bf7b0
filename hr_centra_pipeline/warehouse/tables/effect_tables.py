"""Matching and effects: which shipment line a unit is, what ought to be true in Centra, and what is still missing."""

from __future__ import annotations

from hr_centra_pipeline.core.codes import UNMATCHED
from hr_centra_pipeline.core.kinds import EFFECT_KINDS
from hr_centra_pipeline.warehouse.declare import Table, flag, instant, money, table, text, texts, whole

ORDERS_IN_PLAY = table(
    "matching.orders_in_play",
    "One row per order that this run looks at: something is new on it, or it is not settled.",
    ["order_number"],
    {"order_number": text("order number without '#'")},
)

MATCHED_ITEMS = table(
    "matching.matched_items",
    "One row per return unit, with the shipment line that it is, or why it is none.",
    ["return_item_id"],
    {
        "return_item_id": text("the unit"),
        "return_id": text("its return"),
        "order_number": text("order number without '#'"),
        "order_line_id": text("Centra order line", null=True),
        "shipment_id": whole("Centra shipment", null=True),
        "shipment_line_id": whole("Centra shipment line (null: unmatched)", null=True),
        "matched_by": text("frozen, tied, line_id, sku, ean or upc", null=True),
        "reason": text("why it is unmatched (null: matched)", values=UNMATCHED, null=True),
        "sku": text("SKU in Centra, else as reported", null=True),
        "currency": text("order's currency", null=True),
        "unit_price": money("what the unit cost the customer, with tax", null=True),
        "unit_tax": money("tax in it", null=True),
        "unit_tax_added": money(
            "of its price, the tax that Centra adds to the price that it keeps (negative: deducts)", null=True
        ),
        "tax_mode": text("its order's: included, added or none (null: not known)", null=True),
        "voucher_share": money("its share of the order's vouchers, with tax", null=True),
        "voucher_tax": money("tax in that share", null=True),
        "voucher_tax_added": money("of that share, the tax that Centra adds to it (negative: deducts)", null=True),
        "foreign_centra_return_id": whole("external Return that already credited this unit", null=True),
        "doubt": text(
            "why nothing is paid until a person has tied it: foreign_return (an external Return may be for it, or for another "
            "piece), feeds_disagree (another feed reports such a unit of its return under another id), several_prices (null: none)",
            null=True,
        ),
        "doubtful_return_id": whole("that external Return", null=True),
        "has_claim": flag("its claim to a piece is one: it was not refused, and its return is alive or its goods came"),
        "is_corrected": flag("its order or article was corrected after an effect of it was sent"),
        "present_sku": text(
            "SKU in Centra of the article that it is by its row now (null: none on its order)", null=True
        ),
        "bundle": text("of a part of a bundle: which one of it, as bundle line, shipment and number", null=True),
        "bundle_line_id": text("Centra order line of that bundle", null=True),
    },
)


def _pending(name: str, grain: str) -> Table:
    return table(
        name,
        grain,
        ["effect_key"],
        {
            "effect_key": text("HR and 13 base32 characters", pattern="HR[A-Z2-7]{13}"),
            "effect_kind": text("kind of effect", values=EFFECT_KINDS),
            "packet_key": text("frozen packet that carries it (null: none yet)", null=True),
            "group_key": text("effects with one group key may travel in one packet"),
            "return_id": text("its return"),
            "return_item_id": text("its unit (null: the whole return on one order)", null=True),
            "order_number": text("order number"),
            "shipment_id": whole("Centra shipment", null=True),
            "shipment_line_id": whole("Centra shipment line", null=True),
            "bundle": text("the bundle whose parts go together, as bundle line, shipment and number", null=True),
            "bundle_shipment_line_id": whole("shipment line of that bundle, which the Return names", null=True),
            "bundle_units": whole("parts of it that go together", null=True, at_least=1),
            "sku": text("SKU that moves, or of the replacement", null=True),
            "quantity": whole("units"),
            "warehouse_id": whole("warehouse that it goes into", null=True),
            "from_warehouse_id": whole("warehouse that it leaves", null=True),
            "currency": text("ISO 4217", null=True),
            "amount": money("money or value of the goods", null=True),
            "items": money("items net of discount, without tax", null=True),
            "tax": money("tax of the lines", null=True),
            "shipping": money("shipping and handling, gross", null=True),
            "fee": money("fee taken off, gross", null=True),
            "voucher": money("order voucher taken off, as Centra takes it: before tax is added or deducted", null=True),
            "tax_mode": text(
                "what Centra does with the order's tax: included, added or none (null: not known)", null=True
            ),
            "tax_added": money(
                "of items, tax and shipping, the tax that Centra adds (negative: deducts); estimated", null=True
            ),
            "fee_tax_added": money("of the fee, likewise", null=True),
            "pays_through": text("centra, gift_card or elsewhere", null=True),
            "text": text("note to write, or the replacement's own key", null=True),
            "express_code": text("express code (RMA)", null=True),
            "refund_id": text("Happy Returns refund", null=True),
            "origin_return_id": whole("Return in Centra that it is done on (null: one of its own)", null=True),
            "trigger_at": instant("when its trigger was reached"),
            "sendable_at": instant("when waits and holds are over"),
            "mode": text("off, dry_run, approve or live"),
            "blocked_by": text("why it cannot be sent now (null: it can)", null=True),
            "blocked_code": text("that reason's code, by which others decide (core/codes.py)", null=True),
            "approval_codes": texts("what a person has to let through, as codes with their figures (null: nothing)"),
            "state": text("ledger state (planned when the ledger does not know it yet)"),
            "evidence": text("rules and figures that made it, as JSON", null=True),
        },
    )


PENDING_CREDIT_NOTES = _pending(
    "effects.pending_credit_notes",
    "One row per credit that is due and not in Centra: a unit's, or a return's shipping or fee on one order.",
)
PENDING_INVENTORY_ADJUSTMENTS = _pending(
    "effects.pending_inventory_adjustments", "One row per stock movement of a unit that is due and not in Centra."
)
PENDING_EXCHANGE_ORDERS = _pending(
    "effects.pending_exchange_orders", "One row per replacement of a unit that is due and not in Centra."
)
PENDING_STATUS_UPDATES = _pending(
    "effects.pending_status_updates",
    "One row per latest milestone of a return on an order and place where the policy writes it, that Centra does not show there.",
)

UNITS = table(
    "effects.units",
    "One row per return unit: what the policy says about it, which every effect is planned from.",
    ["return_item_id"],
    {
        "return_item_id": text("the unit"),
        "return_id": text("its return"),
        "order_number": text("order number"),
        "is_after_cutover": flag(
            "its return started at or after the cut-over, or was adopted (null: unknown)", null=True
        ),
        "is_refused": flag("refused or missing: no money is due"),
        "credit_trigger": text("trigger that the policy names for it", null=True),
        "credit_due_at": instant("when that trigger was reached (null: not yet)", null=True),
        "restock_due_at": instant("when its disposition was set and its hold is over (null: no movement)", null=True),
        "disposition": text("its grade", null=True),
        "is_mapped": flag("the policy maps its grade (null: ungraded)", null=True),
        "target_warehouse_id": whole("warehouse that its grade names (null: none)", null=True),
    },
)

OBSERVED = table(
    "effects.observed",
    "One row per effect key and object in Centra that shows it.",
    ["effect_key", "place", "centra_id"],
    {
        "effect_key": text("the key as read back"),
        "place": text(
            "kind of the object that carries it",
            values=("return", "stock_change", "order", "order_attribute", "customer_note", "customer_attribute"),
        ),
        "effect_kind": text("kind, where the place shows it", null=True),
        "centra_id": text("return, stock change, order or customer that carries it"),
        "order_number": text("order number (null: a stock change names none)", null=True),
        "packet_key": text("packet key beside it", null=True),
        "warehouse_id": whole("warehouse that the stock change put the unit into", null=True),
        "is_complete": flag("nothing of its packet is left to do"),
        "seen_at": instant("made in Centra"),
        "landed_batch": whole("batch that landed the object as it is now"),
    },
)

REPLACEMENTS = table(
    "effects.replacements",
    "One row per replacement that is confirmed, ours or tied by a person: its order in Centra, and what became of it.",
    ["effect_key"],
    {
        "effect_key": text("key of the exchange"),
        "return_item_id": text("the unit that it replaces"),
        "return_id": text("its return"),
        "order_number": text("order of the unit"),
        "ordinal": whole("1: the first; 2, …: ordered again after it was canceled", null=True, at_least=1),
        "centra_return_id": whole("Return that it was made from", null=True),
        "order_numbers": texts("orders in Centra that were made with it: Centra may split one"),
        "replacement_order_number": text("the order that holds its piece (null: none does any more)", null=True),
        "replacement_sku": text("SKU of that piece, which may be another than was asked for", null=True),
        "state": text(
            "ordered, shipped, or canceled: no order in Centra holds its piece any more",
            values=("ordered", "shipped", "canceled"),
        ),
        "shipment_id": whole("Centra shipment that holds its piece (null: none yet)", null=True),
        "is_paid": flag("that shipment is marked as paid", null=True),
        "is_good_to_go": flag("that shipment is marked as good to go", null=True),
        "ordered_at": instant("ordered in Centra", null=True),
        "shipped_at": instant("shipped", null=True),
        "order_updated_at": instant("last change of its orders in Centra", null=True),
    },
)

CHARGEBACKS = table(
    "effects.chargebacks",
    "One row per order and currency in which payment providers have taken money back, less what was won back.",
    ["order_number", "currency"],
    {
        "order_number": text("order that the settlement names, else the one of its payment"),
        "currency": text("ISO 4217"),
        "amount": money("taken back"),
        "is_abroad": flag("in another currency than the order's: on how much of the order it counts is not known"),
        "counted": money("of it, what counts on units of the order (effects.value_given_back)"),
    },
)

VALUE_GIVEN_BACK = table(
    "effects.value_given_back",
    "One row per matched unit: what it cost, and what was given back for it in any way, by anyone. Never more than was paid.",
    ["return_item_id"],
    {
        "return_item_id": text("the unit"),
        "return_id": text("its return"),
        "order_number": text("order number"),
        "currency": text("order's currency", null=True),
        "root_return_item_id": text("the unit that the exchange chain began with (itself: no chain)"),
        "root_order": text("order that the money was paid on"),
        "chain_depth": whole("exchanges between it and the root order (0: bought)", at_least=0),
        "paid": money("what it cost on its own order, net of its voucher share, with tax"),
        "refund": money("refunded by us on our Return, or called for"),
        "gift_card": money("issued by us as store credit, or called for"),
        "exchange": money("value of the replacement, until that comes back itself or is canceled"),
        "elsewhere": money("paid by Happy Returns or another party, as its rows report"),
        "foreign_refund": money("paid on an external Return"),
        "tied_refund": money("paid without a Return, tied to it by a person"),
        "chargeback": money("taken back through the payment provider"),
        "given": money("all of it"),
        "is_in_doubt": flag("part of it is in doubt: it counts until Centra has been read again"),
        "is_paid_instead": flag(
            "an exchange, and all that the unit cost was paid on its Return, ours or an external one"
        ),
        "refundable": money("what may still be given back in money, along the chain"),
        "too_much": money("given back beyond what was paid"),
    },
)
