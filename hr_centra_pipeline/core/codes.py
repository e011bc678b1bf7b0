"""The closed list of reasons: why an effect is held back, waits, was left, or why a push ended.

A reason is a *code* with its figures. Its sentence is for people and is made here, in one wording for Python (:func:`say`) and
for SQL (``policy.reasons`` and the macros beside it, ``warehouse/policy_tables.py``). Whatever decides reads the code. Text that
is not ours (an answer of Centra) has no code, and nothing is decided by it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hr_centra_pipeline.core.kinds import Cause, Class, Culprit


@dataclass(frozen=True)
class Reason:
    """One reason. ``sentence``: with a place {0}, {1}, … for each figure.

    ``cls``, ``cause``, ``culprit`` and ``next_step`` say what its exception says (``None``: those of its kind).
    ``needs_approval``: a person may let it through. ``by_settings``: a setting of the policy holds it, nothing that happened.
    """

    code: str
    sentence: str
    cls: Class | None = None
    cause: Cause | None = None
    culprit: Culprit | None = None
    next_step: str | None = None
    needs_approval: bool = False
    by_settings: bool = False

    @property
    def figures(self) -> int:
        """How many figures the sentence has places for."""
        return len(set(re.findall(r"\{(\d)\}", self.sentence)))


class Said(str):
    """A reason's sentence, its figures filled in, with its code."""

    __slots__ = ("code",)
    code: str

    def __new__(cls, sentence: str, code: str) -> Said:
        """``sentence``: as it was filled."""
        said = super().__new__(cls, sentence)
        said.code = code
        return said

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]
        return str(self), self.code


def say(code: str, *figures: object) -> Said:
    """The sentence of a code, with its figures.

    Raises:
        KeyError: the list has no such code.
        ValueError: the sentence has places for another number of figures.
    """
    reason = REASONS[code]
    if len(figures) != reason.figures:
        raise ValueError(f"{code} has {reason.figures} figures, not {len(figures)}")
    return Said(re.sub(r"\{(\d)\}", lambda place: str(figures[int(place[1])]), reason.sentence), code)


def code_of(text: str | None) -> str | None:
    """The code of a sentence that :func:`say` made; ``None``: it is not one of our reasons."""
    return text.code if isinstance(text, Said) else None


def as_kept(text: str | None, code: str | None) -> str | None:
    """A sentence as it was kept beside its code; plain text, if this version does not know that code."""
    return Said(text, code) if text is not None and code is not None and code in REASONS else text


def needs_approval(code: str | None) -> bool:
    """A person may let it through."""
    return code is not None and code in REASONS and REASONS[code].needs_approval


# ---------------------------------------------------------------- answers that several reasons share

_Answer = tuple[Class, Cause, Culprit, str]
_ADD_WORDS: _Answer = (
    "fix_pipeline", "policy_gap", "policy",
    "Read in Centra's documents what the word means, and add it to [centra.words] in the policy (`operations.vendor_drift` "
    "names it).",
)  # fmt: skip
_AWAIT_PROVIDER: _Answer = (
    "timing", "system_error", "provider",
    "Wait for the payment provider's message; if it does not come within days, look at the order's payment in Centra.",
)  # fmt: skip
_SPLIT_BY_HAND: _Answer = (
    "fix_centra", "policy_gap", "policy",
    "Give it back by hand in Centra, to each payment at most what it paid and the rest as store credit: the next sync adopts the "
    "Return.",
)  # fmt: skip
_RESTOCK: _Answer = (
    "fix_centra", "data_gap", "centra",
    "Restock the replacement in Centra, or offer the shopper another article or the money.",
)  # fmt: skip
_COMPENSATED: _Answer = (
    "accept", "policy_gap", "person",
    "The unit was compensated already: correct its refund type at Happy Returns, or settle the rest by hand.",
)  # fmt: skip
_FASTER: _Answer = (
    "timing", "data_gap", "unknown",
    "Another user or integration was faster than the pipeline: the next sync finds out for which units it was.",
)  # fmt: skip
_BUNDLE: _Answer = (
    "fix_centra", "policy_gap", "policy",
    "Find out whether the other parts come back. If not, credit the share by hand in Centra, or let [bundles] some_parts share it.",
)  # fmt: skip
_APPROVE: _Answer = (
    "fix_pipeline", "policy_gap", "policy",
    "`hr-centra approve` lists it; anyone except the person who ran the plan or last changed the policy can approve it.",
)  # fmt: skip

# ---------------------------------------------------------------- what the plan holds back

# In the order of precedence: of several that hold a bundle or a return's shipping, the first is shown. What a person may let
# through comes last: an approval of it is about nothing else.
_BLOCKS = (
    Reason(
        "start_unknown",
        "the start of its return is not known",
        "fix_happy_returns", "data_gap", "happy_returns",
        "Have Happy Returns deliver the returns export that shows when this return was started.",
    ),
    Reason(
        "before_cutover",
        "its return was started before the cut-over: adopt it to act",
        "fix_pipeline", "policy_gap", "policy",
        "Adopt the return by name, so that it is acted on, or do it by hand in Centra.",
        by_settings=True,
    ),
    Reason(
        "disposition_unmapped",
        "the policy does not map the disposition {0}",
        "fix_pipeline", "policy_gap", "policy",
        'Add the word to [dispositions] in the policy: into which warehouse, or stock = "none".',
        by_settings=True,
    ),
    Reason("no_shipment_line", "no shipment line: {0}"),
    Reason("corrected_to_no_line", "no shipment line: its article was corrected, and its order has no such line"),
    Reason(
        "external_return_doubtful",
        "another user's Return {0} in Centra may be for it or for another piece of its line: tie that Return first",
        "fix_centra", "data_gap", "person",
        "Find out which piece that Return was for: `hr-centra tie RETURN --return --unit UNIT`, or `--unrelated`. Until "
        "then nothing is given.",
    ),
    Reason(
        "feeds_disagree",
        "files report a unit {0} of its return that events or the API do not, and these one that files do not: it may be the same",
        "fix_happy_returns", "data_gap", "happy_returns",
        "Compare the return at Happy Returns with `reconciliation.feeds`. It is released when one feed reports both units, or the "
        "same id.",
    ),
    Reason(
        "several_prices",
        "its article {0} was sold at several prices on the order, and neither line id nor refund row identifies which",
        "fix_happy_returns", "data_gap", "happy_returns",
        "Compare the parcel with the order: `hr-centra tie SHIPMENT_LINE --line --unit UNIT`, or have Happy Returns deliver"
        " line ids.",
    ),
    Reason(
        "replaced_unit_refused",
        "it was sent in exchange for {0}, which was refused: nothing may be refunded for it",
        "accept", "data_gap", "happy_returns",
        "Refund nothing while the unit that it replaced counts as refused. If its grade is wrong, have Happy Returns "
        "correct it.",
    ),
    Reason(
        "sent_in_exchange",
        "it was sent in exchange, and its order captured nothing: of root order {0} may be refunded by hand {1}",
        "accept", "policy_gap", "policy",
        "Refund the root order by hand in Centra, as much as `detail` says, and note it there.",
    ),
    Reason(
        "part_of_bundle_exchanged",
        "it is a part of the bundle {0}, and its Return would name the part alone: exchange it by hand",
        *_BUNDLE, by_settings=True,
    ),
    Reason(
        "given_otherwise",
        "its value was given back already: by a replacement, a chargeback or a refund that was tied to it{0}",
        *_COMPENSATED,
    ),
    Reason("given_in_money", "its value was given back already: by a refund, store credit or a chargeback{0}", *_COMPENSATED),
    Reason(
        "made_by_person",
        "a person made a Return for the unit in Centra: the replacement may have been sent already",
        "fix_centra", "data_gap", "person",
        "Check whether the replacement was sent by hand in Centra; if not, send it there.",
    ),
    Reason(
        "made_by_integration",
        "another integration made a Return for the unit in Centra: the replacement may have been sent already",
        "fix_centra", "data_gap", "integration",
        "Look whether that integration sent a replacement; if not, send it by hand in Centra.",
    ),
    Reason(
        "made_by_unknown",
        "another integration or user made a Return for the unit in Centra: the replacement may have been sent already",
        "fix_centra", "data_gap", "unknown",
        "Look whether a replacement was sent in Centra; if not, send it there.",
    ),
    Reason(
        "gift_card_pending",
        "Happy Returns reports a pending gift card for it: waits for the outcome",
        "timing", "data_gap", "happy_returns",
        "Ask Happy Returns what became of the gift card: once its row says issued or failed, the next sync goes on.",
    ),
    Reason(
        "no_replacement_named",
        "the return names no replacement",
        "fix_happy_returns", "data_gap", "happy_returns",
        "Ask Happy Returns (or the shopper) which article is wanted, and have the export corrected.",
    ),
    Reason(
        "no_gift_card_template",
        "gift cards cannot be issued: the policy has no [gift_card] template",
        "fix_pipeline", "policy_gap", "policy",
        "Set [gift_card] template in the policy, or make the Return and its gift card by hand in Centra: the next sync "
        "adopts it.",
    ),
    Reason(
        "payment_unknown",
        "the meaning of a payment of the order is not known: add its words to [centra.words] in the policy",
        *_ADD_WORDS,
    ),
    Reason(
        "nothing_captured",
        "nothing was captured on the order",
        "fix_centra", "data_gap", "centra",
        "Find out in Centra how the order was paid: capture it, or refund it by hand.",
    ),
    Reason("capture_not_confirmed", "the payment provider has not confirmed the capture yet", *_AWAIT_PROVIDER),
    Reason(
        "shipment_not_captured",
        "nothing was captured on its shipment",
        "fix_centra", "data_gap", "centra",
        "Find out in Centra why this shipment was not charged: capture it, and the next sync goes on; or settle it by hand.",
    ),
    Reason(
        "untied_refund",
        "the order has a refund without a Return: tie it to units first",
        "fix_centra", "data_gap", "person",
        "Someone refunded this order without a Return: record which units it was for, or that it is unrelated.",
    ),
    Reason(
        "article_unknown",
        "Centra has no article {0}",
        "fix_happy_returns", "data_gap", "happy_returns",
        "The replacement's SKU is not in Centra: correct it in Happy Returns' catalogue, or offer another article.",
    ),
    Reason("replacement_out_of_stock", "the replacement {0} is out of stock", *_RESTOCK),
    Reason(
        "paid_in_part",
        "the order was paid in part by gift card, and a refund may not give the other payments more than they paid",
        *_SPLIT_BY_HAND,
    ),
    Reason(
        "no_customer",
        "the order names no customer in Centra",
        "fix_centra", "data_gap", "centra",
        'Find the customer of the order in Centra, or set status_target = "order" in [status].',
    ),
    Reason(
        "bundle_paid_in_several_ways",
        "it is a part of the bundle {0}, whose parts are paid in several ways: credit the bundle by hand{1}",
        *_BUNDLE, by_settings=True,
    ),
    Reason(
        "bundle_part_held",
        "it is a part of the bundle {0}, of which another part waits: {1}{2}",
        *_BUNDLE, by_settings=True,
    ),
    Reason("bundle_incomplete", "it is a part of the bundle {0}: waits for {1}{2}", *_BUNDLE, by_settings=True),
    Reason(
        "bundle_part_given",
        "it is a part of the bundle {0}, another part of which was given back alone: credit the rest by hand{1}",
        *_BUNDLE, by_settings=True,
    ),
    Reason(
        "bundle_in_several_shipments",
        "it is a part of the bundle {0}, whose parts left in several shipments: credit it by hand{1}",
        *_BUNDLE, by_settings=True,
    ),
    Reason(
        "chargeback_abroad",
        "waits for approval: a chargeback of {0} was booked on the order, in another currency",
        *_APPROVE, needs_approval=True,
    ),
    Reason(
        "gift_card_unplaced",
        "waits for approval: a gift card was issued for a unit of the return, and Happy Returns' refund row {0} does not say"
        " for which",
        "fix_happy_returns", "data_gap", "happy_returns",
        "Ask Happy Returns which unit the gift card was for, and have the refund row name it: that unit is paid already. "
        "`hr-centra approve` only the credit of a unit that it was not for.",
        needs_approval=True,
    ),
    Reason(
        "booking_unknown",
        "waits for approval: a settlement line of the order is not understood, and may be a chargeback "
        "(quarantine.rejected_rows)",
        *_APPROVE, needs_approval=True,
    ),
    Reason(
        "voucher_on_several_shipments",
        "waits for approval: a voucher on an order with several shipments",
        "fix_pipeline", "policy_gap", "policy",
        "Check that the unit's share of the voucher is right, then `hr-centra approve` it, or credit it by hand.",
        needs_approval=True,
    ),
    Reason(
        "refund_row_differs",
        "waits for approval: Happy Returns' refund row differs from what Centra sold",
        "fix_happy_returns", "amount_mismatch", "happy_returns",
        "Have Happy Returns correct the refund row, or `hr-centra approve` the credit as Centra has it.",
        needs_approval=True, by_settings=True,
    ),
)  # fmt: skip

# ---------------------------------------------------------------- what today's settings, approvals and the clock hold back

_WAITS = (
    Reason(
        "due_by_settings",
        "waits for approval: it is due only since the settings were changed, by what was known before",
        *_APPROVE, needs_approval=True,
    ),
    Reason(
        "changed_by_settings",
        "waits for approval: only the settings have changed what is done for it: who pays, how much or to where",
        *_APPROVE, needs_approval=True,
    ),
    Reason("mode_approve", 'waits for approval: modes.{0} = "approve"', *_APPROVE, needs_approval=True),
    Reason("above_limit", "waits for approval: it is above approval_above.{0}", *_APPROVE, needs_approval=True),
    Reason(
        "fee_or_shipping_held",
        "waits for approval of the fee or shipping that goes with it",
        *_APPROVE, needs_approval=True,
    ),
    Reason("waits_until", "waits until {0}"),
    Reason("charged_back", "it was already compensated by a chargeback{0}", *_COMPENSATED),
    Reason("corrected", "Happy Returns has corrected its order or article: it is planned again accordingly"),
    Reason("mode", "mode {0}"),
    Reason("guard", "guard: {0}"),
    Reason(
        "does_not_fit",
        "it does not fit this Centra: {0}",
        "fix_pipeline", "system_error", "centra",
        "`hr-centra doctor` lists what does not fit this Centra and what to set; until then do it by hand.",
    ),
    Reason("not_read_since", "{0} have not been read completely since {1}"),
    Reason("not_read_back", "{0} have not been read back to the cut-over yet"),
    Reason("waits_for_announcement", "waits until its announcement is in Centra"),
    Reason("waits_for_credit", "waits for the credit of its order: one note reports both"),
    Reason("waits_for_bundle", "waits for the other parts of its bundle, which may not be sent now"),
    Reason("waits_for_unit", "waits for a unit that is credited on the same shipment"),
    Reason("fee_waits", "the fee is larger than the amount given back: waits for another credit"),
    Reason("fee_too_large", "the fee is larger than the amount given back"),
    Reason("no_amount", "the plan has no amount"),
    Reason("plan_incomplete", "the plan names no {0}"),
    Reason("marks_too_long", "its keys do not fit within centra.comment_limit = {0}"),
)  # fmt: skip

# ---------------------------------------------------------------- what the last look before a call, or the call, showed

_SEEN = (
    Reason("out_of_stock", "out of stock: {0}", *_RESTOCK),
    Reason(
        "no_email_address",
        "the order shows no e-mail address for the gift card",
        "fix_centra", "data_gap", "centra",
        "Add the customer's e-mail address in Centra, or make the Return and its gift card by hand there.",
    ),
    Reason("no_address", "the order shows no address to send the replacement to"),
    Reason(
        "order_status_unknown",
        "the meaning of the order status {0} is not known: add it to [centra.words.order_status] in the policy",
        "fix_pipeline", "policy_gap", "policy",
        "Add the word to [centra.words.order_status] in the policy, beside those that are listed (`operations.vendor_drift`"
        " names it).",
    ),
    Reason(
        "payment_word_unknown",
        "the meaning of a payment of the order is not known ({0}): add its words to [centra.words] in the policy",
        *_ADD_WORDS,
    ),
    Reason(
        "payment_of_return_unknown",
        "the meaning of a payment of its Return is not known: add its words to [centra.words] in the policy",
        *_ADD_WORDS,
    ),
    Reason(
        "payment_of_origin_unknown",
        "the meaning of a payment of Return {0} is not known: add its words to [centra.words] in the policy",
        *_ADD_WORDS,
    ),
    Reason("capture_of_not_confirmed", "the payment provider has not confirmed the capture of {0} yet", *_AWAIT_PROVIDER),
    Reason(
        "too_little_left_of_others",
        "the order was paid in part by gift card, and a refund may not give the other payments more than they paid: {0} is "
        "left of the others",
        *_SPLIT_BY_HAND,
    ),
    Reason("too_little_captured", "{0} were captured and {1} given back: {2} more would be too much"),
    Reason(
        "made_meanwhile",
        "another user or integration made Return {0} on the same line meanwhile: the next pull finds out for which units",
        *_FASTER,
    ),
    Reason(
        "put_back_meanwhile",
        "another user or integration made Return {0} meanwhile, with goods put back: the next pull finds out for which units",
        *_FASTER,
    ),
    Reason("refunded_meanwhile", "someone has since refunded Return {0}; the next pull will show it"),
    Reason("returned_meanwhile", "shipment line {0} has {1} of {2} units left to return: someone else has returned it since"),
    Reason("line_gone", "shipment line {0} is gone in Centra"),
    Reason("in_centra_already", "in Centra already, in {0}; the next pull shows it"),
    Reason("too_many_returns", "{0} {1} Returns: more than we can look through"),
    Reason("not_shown", "Centra does not show the {0}"),
    Reason("shipment_gone", "Centra no longer shows shipment {0}"),
    Reason("origin_gone", "Centra does not show Return {0}, which the replacement is made from"),
    Reason("order_canceled_meanwhile", "someone has since canceled the replacement order"),
    Reason("being_refunded", "a refund of Return {0} is under way: the payment provider has not answered yet"),
    # Today's plan, asked before every step (push/still_due.py).
    Reason("not_due", "it is no longer due"),
    Reason("given_back_meanwhile", "its value was given back already", *_COMPENSATED),
    Reason("paid_by_another", "it is now paid through {0}"),
    Reason("amount_changed", "its amount has changed"),
    Reason("fee_or_shipping_came", "a fee or shipping refund now applies to it"),
    Reason("another_replacement", "another replacement is wanted by now"),
    Reason("another_warehouse", "it goes into another warehouse by now"),
    # What became of a packet.
    Reason("half_done", "half done, before {0}: {1}"),
    Reason("not_looked_up", "could not be looked up: {0}"),
    Reason("sender_died", "the sender process ended unexpectedly at {0}"),
    Reason("no_trace", "its call left no trace in Centra"),
    Reason("sent_without_refused", "sent again without the one that was refused"),
    Reason("sent_alone", "sent alone: its packet was refused"),
)  # fmt: skip

# ---------------------------------------------------------------- how a ledger row came to be what it is, and why a push ended

_MOVES = (
    Reason("credited_by_others", "another user or integration credited this unit in Centra"),
    Reason("ordered_by_others", "the replacement was ordered by hand in Centra: tied by {0}"),
    Reason("gone_of_others", "what others had done no longer exists in Centra"),
    Reason("not_desired", "no longer desired"),
    Reason("found_half_done", "half done in Centra, and no packet of this database carried it"),
    Reason("adopted", "adopted by {0}: {1}"),
    Reason("not_wanted", "the return was refused, its approval withdrawn, or it is no longer an exchange"),
    Reason("release_gone", "its shipment is gone, or its order was canceled"),
)  # fmt: skip
_HALTS = (
    Reason("kill_switch", "the kill switch {0} is on: remove the file to send again"),
    Reason("budget_used", "push_budget_minutes is used up ({0}): the next push carries on"),
    Reason("not_answered", "Centra has not answered {0} requests in a row: the next push carries on"),
    Reason("quota_used", "Centra's quota is used up by others for {0} minutes: the next push carries on"),
    Reason("centra_refused", "{0} The next push carries on."),
)  # fmt: skip


REASONS: Mapping[str, Reason] = {reason.code: reason for reason in (*_BLOCKS, *_WAITS, *_SEEN, *_MOVES, *_HALTS)}
"""Every reason by its code, in the order of precedence."""
WAITING = tuple(code for code, reason in REASONS.items() if reason.sentence.partition(" ")[0] == "waits")
"""Codes whose sentence says itself that it waits: "credit note waits for approval", not "credit note waits: waits for approval"."""

# ---------------------------------------------------------------- guards

Guard = Literal["cap", "surge", "contract", "contract_payer"]


@dataclass(frozen=True)
class GuardRule:
    """What an exception says of a guard that stopped something."""

    cause: Cause
    culprit: Culprit


GUARDS: Mapping[Guard, GuardRule] = {
    "cap": GuardRule("policy_gap", "policy"),
    "surge": GuardRule("policy_gap", "unknown"),
    "contract": GuardRule("system_error", "centra"),
    "contract_payer": GuardRule("system_error", "centra"),
}

# ---------------------------------------------------------------- units without a shipment line

UNMATCHED = (
    "no_such_order", "order_not_read_yet", "no_key", "bundle_line", "article_not_on_order", "ambiguous_article",
    "nothing_shipped", "goods_never_came", "refused", "more_units_than_shipped",
)  # fmt: skip
"""Why a unit is not a shipped piece (``matching.matched_items.reason``)."""
