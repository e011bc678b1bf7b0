"""The lessons of ``hr-centra train``: which planted exception each is about, what to do, and what proves that it was done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
Records = Mapping[str, Any]
"""What the sandbox's Centra holds: the control route ``records``."""


@dataclass(frozen=True)
class Lesson:
    """One exception to find and solve.

    ``about``: words of its detail, which choose among those of a kind. ``hint``: commands, with fields of the exception in
    braces. ``proof``: what Centra must show besides, in the sandbox's own records; it answers what is missing, if anything.
    """

    name: str
    kind: str
    title: str
    task: str
    hint: Sequence[str]
    about: str = ""
    proof: Callable[[Records, Row], str | None] | None = None


def _is_booked(records: Records, one: Row) -> str | None:
    """A stock change in Centra holds the key of our effect, or names the return."""
    names = [str(name) for name in (one["evidence"].get("effect_key"), one["return_id"]) if name]
    found = any(any(name in str(change["comment"]) for name in names) for change in records["stock_changes"])
    return None if found else f"Centra has no stock movement for {one['return_item_id']} of {one['return_id']}"


def _is_replaced(records: Records, one: Row) -> str | None:
    """Centra has a replacement order for a Return of this order."""
    returns = {entry["id"] for entry in records["returns"] if str(entry["order_number"]) == str(one["order_number"])}
    orders = [
        order for order in records["orders"]
        if order["origin"][0] == "return" and order["origin"][1] in returns and order["status"] != "DELETED"
    ]  # fmt: skip
    return None if orders else f"Centra has no replacement order for order {one['order_number']}"


def _is_paid(records: Records, one: Row) -> str | None:
    """Money went back on the order."""
    paid = any(
        str(row[0]) == str(one["order_number"]) and row[2] in ("REFUND", "REFUND_REQUEST")
        for row in records["payments"]
    )
    return None if paid else f"Centra shows no refund on order {one['order_number']}"


def _is_credited(records: Records, one: Row) -> str | None:
    """A Return is on the order."""
    found = any(str(entry["order_number"]) == str(one["order_number"]) for entry in records["returns"])
    return None if found else f"Centra has no Return on order {one['order_number']}"


def _is_credited_on_the_right_order(records: Records, one: Row) -> str | None:
    """A Return is on the order that was meant: what is planted puts 77 in front of its number."""
    return _is_credited(records, {**one, "order_number": str(one["order_number"]).removeprefix("77")})


def _return_is_gone(records: Records, one: Row) -> str | None:
    made = one["evidence"].get("centra_return_id")
    return f"Return {made} is still in Centra" if made in {entry["id"] for entry in records["returns"]} else None


def _is_decided(records: Records, one: Row) -> str | None:
    """A canceled replacement was ordered again, or its money was given back."""
    return None if _is_replaced(records, one) is None else _is_paid(records, one)


LESSONS: tuple[Lesson, ...] = (
    # ------------------------------------------------------------ customer service
    Lesson(
        "wrong-order", "return_without_order", "A return that names an order that does not exist",
        "Find the order that the shopper really has: her e-mail address and the article are in Happy Returns' row. Then have"
        " Happy Returns' support correct the order number.",
        ("hr-centra explain {return_id} --training", "hr-centra train look-up {return_id}",
         "hr-centra train happy-returns {return_id} order_number=THE_RIGHT_ONE"),
        about="Happy Returns has refunded", proof=_is_credited_on_the_right_order,
    ),
    Lesson(
        "wrong-article", "item_without_shipment_line", "An article that was not on the order",
        "Compare the parcel with the order in Centra. The hub scanned the wrong label: have the article corrected.",
        ("hr-centra explain {return_id} --training", "hr-centra train look-up {order_number}",
         "hr-centra train happy-returns {return_item_id} sku=THE_RIGHT_ONE upc="),
        about="has no line with", proof=_is_credited,
    ),
    Lesson(
        "out-of-stock", "exchange_without_order", "An exchange whose replacement is out of stock",
        "The detail names the article. More of it has arrived: put 3 pieces into warehouse 1 in Centra. The next sync orders it.",
        ("hr-centra exceptions --team customer_service --training",
         "hr-centra train centra move_stock sku=THE_REPLACEMENT quantity=3 into=1"),
        about="is out of stock", proof=_is_replaced,
    ),
    Lesson(
        "not-sold-here", "exchange_refused", "Centra refuses a replacement order",
        "Have the assortment team list the replacement in this market (target: its SKU, exchange_sku in the row). A refused write"
        " is tried again when the return changes: have Happy Returns' support note it in the unit's condition.",
        ("hr-centra train look-up {return_item_id}", "hr-centra train centra allow subject=order target=THE_REPLACEMENT",
         "hr-centra train happy-returns {return_item_id} condition=seen"),
        proof=_is_replaced,
    ),
    Lesson(
        "return-by-hand", "centra_return_without_return", "A Return that a colleague made by hand",
        "You asked the colleague: it was made by mistake, and the goods never came. Delete it in Centra before it is paid.",
        ("hr-centra train look-up {order_number}", "hr-centra train centra delete_return return_id={evidence[centra_return_id]}"),
        about="made by a person", proof=_return_is_gone,
    ),
    Lesson(
        "promise", "promised_item_refused", "Refunded at Happy Returns, refused at the warehouse",
        "The warehouse looked again: the right article was in the bag. Have Happy Returns correct the grade.",
        ("hr-centra explain {return_id} --training", "hr-centra train happy-returns {return_item_id} disposition=sellable"),
        proof=_is_paid,
    ),
    Lesson(
        "canceled-replacement", "exchange_canceled", "A replacement order that was canceled",
        "Call the shopper. She still wants the goods, or rather her money: decide once, under your name.",
        ("hr-centra reorder {return_item_id} --training --by YOU --why REASON",
         "hr-centra pay-instead {return_item_id} --training --by YOU --why REASON"),
        proof=_is_decided,
    ),
    Lesson(
        "corrected-later", "corrected_after_credit", "Happy Returns names another article than the one that was credited",
        "The detail names both articles. The first one was right: have Happy Returns take the correction back.",
        ("hr-centra explain {return_id} --training", "hr-centra train happy-returns {return_item_id} sku=THE_FIRST_ONE"),
    ),
    # ------------------------------------------------------------ warehouse
    Lesson(
        "before-the-cut-over", "return_without_stock_movement", "Goods of a return from before the cut-over",
        "Graded long after hr-centra went live, so nobody books them. Include the return by its name.",
        ("hr-centra explain {return_id} --training", "hr-centra adopt {return_id} --training --by YOU --why REASON"),
        about="before the cut-over", proof=_is_booked,
    ),
    Lesson(
        "new-grade", "unmapped_disposition", "A grade that the policy does not know",
        "Decide into which warehouse such goods go, and add the word to [dispositions] in the policy (2 is the outlet).",
        ("hr-centra exceptions --kind unmapped_disposition --training", "edit {home}/policy.toml"),
        proof=_is_booked,
    ),
    Lesson(
        "never-graded", "disposition_missing", "Goods that nobody has looked at for weeks",
        "You found the unit in the back room of the store: it is sellable. Have it graded.",
        ("hr-centra explain {return_id} --training", "hr-centra train happy-returns {return_item_id} disposition=sellable"),
    ),
    Lesson(
        "lost-parcel", "stalled_return", "A parcel that was dropped off and not heard of since",
        "The bag turns up in your own warehouse, unscanned: have Happy Returns' support enter that it arrived.",
        ("hr-centra explain {return_id} --training",
         "hr-centra train happy-returns {return_item_id} warehouse_received_at={now}"),
        about="Dropped off on",
    ),
    Lesson(
        "not-approved", "stalled_return", "Goods that arrived and were neither approved nor refused",
        "You looked at the goods: all is well. Approve the unit in Happy Returns' dashboard.",
        ("hr-centra explain {return_id} --training", "hr-centra train happy-returns {return_item_id} approved_at={now}"),
        about="neither approved nor refused",
    ),
    # ------------------------------------------------------------ finance
    Lesson(
        "goods-differ", "refund_mismatch_items", "A refund row whose goods are not what Centra sold",
        "Compare the row with the order: Centra's price is right. Have the row's subtotal and total corrected.",
        ("hr-centra explain {return_id} --training", "hr-centra train look-up {evidence[refund_ids][0]}",
         "hr-centra train happy-returns {evidence[refund_ids][0]} item_subtotal=AMOUNT total_refunded=AMOUNT"),
        about="Happy Returns deviates",
    ),
    Lesson(
        "wrong-sum", "refund_mismatch_items", "A refund row that does not add up",
        "Its total is not the sum of its parts: find which figure is wrong, and have it corrected.",
        ("hr-centra train look-up {evidence[refund_id]}",
         "hr-centra train happy-returns {evidence[refund_id]} total_refunded=AMOUNT"),
        about="does not add up",
    ),
    Lesson(
        "shipping-differs", "refund_mismatch_shipping", "More shipping refunded than the order paid",
        "Compare the row with the order: have its shipping and its total corrected.",
        ("hr-centra explain {return_id} --training", "hr-centra train look-up {evidence[refund_ids][0]}",
         "hr-centra train happy-returns {evidence[refund_ids][0]} shipping_refund=AMOUNT total_refunded=AMOUNT"),
        about="Happy Returns deviates",
    ),
    Lesson(
        "tax-differs", "refund_mismatch_tax", "A refund row with another tax than the sale",
        "Compare the row with the order: have its tax and its total corrected.",
        ("hr-centra explain {return_id} --training", "hr-centra train look-up {evidence[refund_ids][0]}",
         "hr-centra train happy-returns {evidence[refund_ids][0]} tax=AMOUNT total_refunded=AMOUNT"),
        about="Happy Returns deviates",
    ),
    Lesson(
        "exchange-differs", "refund_mismatch_exchange", "An exchange that pays nothing out for a cheaper replacement",
        "The row contradicts itself: have the total corrected to what its price difference says.",
        ("hr-centra train look-up {evidence[refund_ids][0]}",
         "hr-centra train happy-returns {evidence[refund_ids][0]} total_refunded=AMOUNT"),
        about="Happy Returns 0.00",
    ),
    Lesson(
        "not-refunded", "credit_note_without_refund", "A Return made by hand that was never refunded",
        "The shopper waits for her money: refund the Return in Centra. The provider answers within a day.",
        ("hr-centra explain {return_id} --training",
         "hr-centra train centra refund_return return_id={evidence[centra_return_id]}",
         "hr-centra train check not-refunded --hours 24"),
        about="was never refunded", proof=_is_paid,
    ),
    Lesson(
        "not-captured", "return_without_credit_note", "An order that was never paid for in Centra",
        "The provider has the money; only Centra was never told. Capture the shipment in Centra: the next sync credits.",
        ("hr-centra explain {return_id} --training", "hr-centra train centra capture order_number={order_number}"),
        about="nothing was captured", proof=_is_paid,
    ),
    Lesson(
        "credited-and-refused", "credited_item_refused", "Money given back for a unit that was refused later",
        "The warehouse looked again: the article was in another bag, and is fine. Have the grade corrected.",
        ("hr-centra explain {return_id} --training", "hr-centra train happy-returns {return_item_id} disposition=sellable"),
    ),
    Lesson(
        "refund-by-phone", "refund_without_credit_note", "Money refunded by hand, and no Return shows what for",
        "Goodwill after a late parcel, says the colleague: it was for no return. Record that, so that nothing is held back.",
        ("hr-centra exceptions --kind refund_without_credit_note --json --training",
         "hr-centra tie ENTRY --unrelated --training --by YOU --why REASON"),
    ),
    # ------------------------------------------------------------ data
    Lesson(
        "bad-rows", "quarantined_row", "A file with rows that cannot be read",
        "Correct the rows (the messages name line and reason) and deliver the file again under the same name.",
        ("edit {home}/sandbox/exports/{evidence[source_file]}",),
    ),
    Lesson(
        "empty-file", "source_not_covered", "A file that is empty",
        "It was cut off on its way. Deliver it again: any export with a header of returns will do.",
        ("cp A_RETURNS_EXPORT {home}/sandbox/exports/{evidence[source_file]}",),
        about="is empty",
    ),
    Lesson(
        "unknown-header", "source_not_covered", "A file whose header no profile knows",
        "It is a colleague's test and no export at all. Deliver a good one under its name, or map the header in a profile.",
        ("cp AN_EXPORT {home}/sandbox/exports/{evidence[source_file]}",),
        about="no profile knows the header",
    ),
    Lesson(
        "locked-shipment", "rejected_write", "Centra refuses a credit: the shipment is locked",
        "Have accounting unlock the shipment in Centra (target: its id). A refused write is tried again when the return changes.",
        ("hr-centra train look-up {order_number}", "hr-centra train centra allow subject=return target=SHIPMENT",
         "hr-centra train happy-returns {return_item_id} condition=seen"),
        about="Shipment is locked", proof=_is_credited,
    ),
    Lesson(
        "locked-stock", "rejected_write", "Centra refuses a stock movement: the stock is being counted",
        "The count is over: unlock the article in Centra (target: its SKU), and let the return change.",
        ("hr-centra explain {return_id} --training", 'hr-centra train centra allow subject=stock target="{sku}"',
         "hr-centra train happy-returns {return_item_id} condition=seen"),
        about="Stock of this article is locked", proof=_is_booked,
    ),
)  # fmt: skip

NOT_PLANTED: Mapping[str, str] = {
    "double_credit": "it is not to be solved in the sandbox: money that was given twice is claimed back outside Centra",
    "double_restock": "counting the shelf is the lesson, and the sandbox has none",
    "guard_breached": "it would hold back every other lesson; `touch STOP` in the home, sync, and remove it",
    "write_in_doubt": "the sync settles it by itself, as a rule in the next run",
    "corrected_after_restock": "as corrected_after_credit; it is closed in the workbook",
    "exchange_differs": "it needs an order that is changed within seconds after it was made",
    "exchange_not_shipped": "the sandbox's warehouse ships what can be shipped",
    "stock_change_without_return": "it is closed by what the text names, or in the workbook",
    "refund_mismatch_fee": "what was taken off in both systems is settled by hand, outside them",
    "payout_mismatch": "only a later settlement file of the provider closes it",
    "status_not_updated": "it closes with the return's next milestone",
}
"""Kinds without a lesson, and why."""
