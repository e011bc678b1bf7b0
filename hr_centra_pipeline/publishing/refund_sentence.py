"""A story's codes in words: the one sentence that explains a refund, what a return waits for, and who must act."""

from __future__ import annotations

from collections.abc import Mapping

from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.reconciliation.story import Refund, Story, Wait

ACTORS: Mapping[str, str] = {
    "customer_service": "customer service", "warehouse": "the warehouse", "finance": "finance", "data": "the data team",
    "shopper": "the shopper", "carrier": "the carrier", "happy_returns": "Happy Returns", "hr_centra": "hr-centra, by itself",
    "nobody": "nobody",
}  # fmt: skip
"""Who must act, by its code."""
_THROUGH = {
    "centra": "to the original payment method", "gift_card": "as a gift card", "elsewhere": "outside Centra",
}  # fmt: skip


def refund_sentence(refund: Refund) -> str:
    """How a refund adds up, to copy into an answer to the shopper. Its parts are never made to fit: a difference is named."""
    currency = refund.currency
    parts = (
        f"items {shown(refund.items, currency)} − voucher share {shown(refund.voucher, currency)}"
        f" + shipping {shown(refund.shipping, currency)} − return fee {shown(refund.fee, currency)}"
    )
    if refund.state in ("exchange", "elsewhere", "failed", "not_paid") and not refund.paid:
        return f"Credit of {shown(refund.total, currency)} = {parts}: {_NOT_PAID[refund.state]}."
    how = _how(refund)
    if refund.total == refund.paid:
        return f"Refund of {shown(refund.paid, currency)} = {parts}, {how}."
    off = refund.paid - refund.total
    return (
        f"{parts[0].upper()}{parts[1:]} = {shown(refund.total, currency)}, but {shown(refund.paid, currency)} {_IS[refund.state]}: "
        f"{shown(abs(off), currency)} {'more' if off > 0 else 'less'} than its parts."
    )


_NOT_PAID = {
    "exchange": "the goods were exchanged, so that no money was paid",
    "elsewhere": "it is paid outside Centra",
    "failed": "the payment failed",
    "not_paid": "nothing was paid on it in Centra",
}
_IS = {
    "paid": "was paid", "requested": "was requested from the payment provider", "confirmed": "was paid",
    "in_doubt": "was asked for", "planned": "is planned", "held": "is held back",
    "exchange": "was paid", "elsewhere": "was paid", "failed": "was paid", "not_paid": "was paid",
}  # fmt: skip


def _how(refund: Refund) -> str:
    """The end of the sentence: what became of the money, which way it went, and when."""
    way = _THROUGH.get(refund.pays_through or "", "")
    on = f"on {refund.paid_at:%Y-%m-%d}" if refund.paid_at else ""
    said = {
        "paid": ("paid", way, on),
        "confirmed": ("paid", way, on),
        "requested": ("requested from the payment provider, who has not answered yet",),
        "in_doubt": ("sent to Centra, and not known yet whether it was carried out",),
        "planned": ("to be paid", way),
        "held": ("to be paid", way, "once what holds it back is over"),
    }
    return " ".join(part for part in said.get(refund.state, ("paid", way, on)) if part)


def wait_sentence(wait: Wait) -> str:
    """What a unit waits for, since when, why, and until when that is known."""
    until = ""
    if wait.until:
        until = (
            f", until {wait.until:%Y-%m-%d %H:%M} UTC"
            if wait.must_act == "hr_centra"
            else f", due by {wait.until:%Y-%m-%d}"
        )
    since = f" since {wait.since:%Y-%m-%d}" if wait.since and not (wait.until and wait.must_act == "hr_centra") else ""
    return f"{wait.return_item_id or 'The return'} waits for {wait.words}{since}{until}{f': {wait.reason}' if wait.reason else ''}."


def actor_sentence(story: Story) -> str:
    """Who must act now."""
    return f"Who must act: {ACTORS.get(story.must_act, story.must_act)}."
