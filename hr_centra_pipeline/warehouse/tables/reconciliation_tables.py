"""Reconciliation: what is in trouble, whose it is, how much it is, and what to do."""

from __future__ import annotations

from hr_centra_pipeline.core.exception_kinds import EXCEPTION_KINDS
from hr_centra_pipeline.core.kinds import CAUSES, CLASSES, COMPONENTS, CULPRITS, EFFECT_KINDS, OWNERS
from hr_centra_pipeline.warehouse.declare import Table, day, flag, instant, money, table, text, whole

AGE_BUCKETS = ("0-3", "4-7", "8-14", "15-30", "31-60", "61-90", "over 90")

_EXCEPTION = {
    "exception_id": text("stable id: kind and subject"),
    "kind": text("kind of trouble", values=tuple(EXCEPTION_KINDS)),
    "class": text(
        "where it is fixed: timing (wait), at Happy Returns, in Centra, in the pipeline (settings too), or accept it as it is",
        values=CLASSES,
    ),
    "cause": text(
        "why it happened: system_error: a call or file failed; logistics_delay: the goods are late; data_gap: data of one side is"
        " missing or wrong; policy_gap: the policy leaves it open; amount_mismatch: two sides name different amounts",
        values=CAUSES,
    ),
    "culprit": text(
        "the side that disagrees with the others, logistics for late goods, unknown rather than a guess; of what others do in"
        " Centra: person (an admin user) or integration (another system)",
        values=CULPRITS,
    ),
    "severity": text("info, warning or error", values=("info", "warning", "error")),
    "owner_team": text("whose work it is", values=OWNERS),
    "return_id": text("its return", null=True),
    "return_item_id": text("its unit", null=True),
    "order_number": text("order number", null=True),
    "sku": text("SKU", null=True),
    "currency": text("ISO 4217", null=True),
    "amount": money("money at stake, always positive", null=True, at_least=0),
    "opened_at": instant("when it opened; kept when it reopens"),
    "age_hours": whole("hours since then"),
    "age_bucket": text("days since then", values=AGE_BUCKETS),
    "due_at": instant("when it must be done"),
    "overdue": flag("due time is over"),
    "detail": text("what is wrong, in a sentence"),
    "next_step": text("what to do, in plain English"),
    "evidence": text("file and line, Centra id, attempt, mode: as JSON"),
    "assigned_to": text("who takes care of it: a user id, or team:finance (null: nobody in particular)", null=True),
}

EXCEPTIONS = table("reconciliation.exceptions", "One row per open exception.", ["exception_id"], dict(_EXCEPTION))
DRY_RUN_ITEMS = table(
    "reconciliation.dry_run_items",
    "One row per matter that is open only because nothing is sent: its effect type is in dry run. Not among the exceptions.",
    ["exception_id"],
    dict(_EXCEPTION),
)


def _family(name: str, grain: str) -> Table:
    return table(name, grain, ["exception_id"], dict(_EXCEPTION))


ORPHANED_RETURNS = _family(
    "reconciliation.orphaned_returns", "One row per return or Centra return without its other side."
)
STOCK_GAPS = _family("reconciliation.stock_gaps", "One row per unit whose stock movement is missing or doubled.")
EXCHANGE_GAPS = _family(
    "reconciliation.exchange_gaps",
    "One row per exchange without its order, refused, or whose order differs, was canceled or is not shipped.",
)
STALLED_RETURNS = _family("reconciliation.stalled_returns", "One row per unit that is stalled or not graded.")

UNMAPPED_DISPOSITIONS = table(
    "reconciliation.unmapped_dispositions",
    "One row per disposition word that the policy does not map.",
    ["disposition"],
    {
        "disposition": text("the word as reported"),
        "units": whole("units that wait for it"),
        "first_seen_at": instant("first unit graded so"),
        "example_return_id": text("one of the returns"),
    },
)

SIDES = ("expected", "happy_returns", "centra", "provider")

REFUND_FACTS = table(
    "reconciliation.refund_facts",
    "One row per amount that one side reports for one unit (or for one return on one order), by component.",
    ["fact_id"],
    {
        "side": text("who reports it: our policy, Happy Returns, Centra or the payment provider", values=SIDES),
        "fact_id": text("stable: side, its own id, unit, component"),
        "return_id": text("its return (null: Happy Returns knows of none)", null=True),
        "order_number": text("order number"),
        "return_item_id": text("its unit (null: the whole return on that order, or an unknown unit)", null=True),
        "component": text("items and tax net of discount, shipping with handling, fee, exchange", values=COMPONENTS),
        "currency": text("ISO 4217, the order's or as reported"),
        "amount": money("money given back: a fee is negative; of an exchange only what is paid out"),
        "in_goods": money("of an exchange: value given back as a replacement instead of money; else 0"),
        "happened_at": instant("when its own event happened: due, issued, made in Centra, settled"),
        "is_pending": flag("not final yet: inside its window, requested and not answered, or not read back"),
        "source": text("file and line, Centra id, packet, or the policy's trigger"),
    },
)

_FOUR_AMOUNTS = {
    "return_id": text("its return (null: Happy Returns knows of none)", null=True),
    "order_number": text("order number"),
    "component": text("part of the refund", values=COMPONENTS),
    "currency": text("ISO 4217"),
    "expected_amount": money("by our policy (null: it does not say)", null=True),
    "happy_returns_amount": money("as Happy Returns reported (null: not reported)", null=True),
    "centra_amount": money("in Centra's Returns (null: not read)", null=True),
    "provider_amount": money("as the payment provider settled (null: not covered)", null=True),
}

REFUND_MATCH = table(
    "reconciliation.refund_match",
    "One row per return, order, component and currency: what the four sides say of it.",
    ["return_id", "order_number", "component", "currency"],
    {
        **_FOUR_AMOUNTS,
        "difference": money("Happy Returns minus Centra (null: one of them is not known)", null=True),
        "is_compared": flag("both sides report the same units: only then is a difference an error"),
        "deviation": money("money at stake: how far the deviating side is from the others, always positive"),
        "culprit": text("who deviates (null: no side, or not compared)", null=True, values=CULPRITS),
        "within_tolerance": flag("the deviation is not larger than the policy tolerates"),
        "tolerance_used": money("the deviation that the tolerance let pass; 0 where the sides agree"),
        "allowed_difference": money("how far two sides may be apart (null: not compared)", null=True),
        "is_explained": flag("nothing is wrong: the other side's month is another one, or it is inside its window"),
        "explained_by": text(
            "the rule that explains it",
            null=True,
            values=("other_month", "pending", "given_instead", "settled_outside", "before_cutover"),
        ),
        "rule": text("what the amount ought to be, in words"),
        "tax_percent": money("tax rate of the compared units (null: several, or not compared)", null=True),
        "discount_percent": money("discount of their order lines, rounded (null: several)", null=True),
        "has_voucher": flag("an order voucher is shared over them", null=True),
        "expected_at": instant("last fact of our policy", null=True),
        "happy_returns_at": instant("last fact of Happy Returns", null=True),
        "centra_at": instant("last fact of Centra", null=True),
        "provider_at": instant("last fact of the provider", null=True),
    },
)

REFUND_MISMATCHES = table(
    "reconciliation.refund_mismatches",
    "One row per return, order, component and currency whose sides differ beyond the tolerance.",
    ["return_id", "order_number", "component", "currency"],
    {
        **_FOUR_AMOUNTS,
        "difference": money("the deviating side minus the others"),
        "culprit": text("who deviates", values=CULPRITS),
        "rule": text("what the amount ought to be, in words"),
    },
)

SETTLED_ORDERS = table(
    "reconciliation.settled_orders",
    "One row per order with nothing pending, in doubt or in trouble: left alone until something new touches it.",
    ["order_number"],
    {"order_number": text("order number without '#'")},
)

PAYOUT_VERDICTS = (
    "agrees", "waits", "not_covered", "amount_differs", "reversed", "not_settled", "not_credited", "chargeback",
    "chargeback_settled",
    "paid_again",
)  # fmt: skip

PAYOUTS = table(
    "reconciliation.payouts",
    "One row per refund in Centra next to the provider's lines of it, and per line that Centra knows nothing of.",
    ["payout_tie_id"],
    {
        "payout_tie_id": text("payment entry of Centra, else the provider's line"),
        "verdict": text("what came of it", values=PAYOUT_VERDICTS),
        "return_id": text("its return, where the refund belongs to one", null=True),
        "order_number": text("order number", null=True),
        "centra_return_id": whole("the credit note that it pays", null=True),
        "entry_id": whole("Centra's payment entry", null=True),
        "provider": text("payment provider", null=True),
        "reference": text("the provider's reference", null=True),
        "currency": text("order_currency: ISO 4217", null=True),
        "credited_amount": money("as Centra shows it paid"),
        "settled_amount": money("as the provider booked it in that currency, less what came back"),
        "settled_abroad": text("what it booked in other currencies, with them; compared with nothing", null=True),
        "difference": money("settled minus credited"),
        "credited_at": instant("paid in Centra", null=True),
        "settled_at": instant("last booked by the provider", null=True),
        "is_other_month": flag("both sides agree, in different months"),
        "tied_by": text(
            "the refund's reference, its payment's, or order and amount (exactly one fits)",
            null=True,
            values=("reference", "payment", "amount", "paid again"),
        ),
        "source": text("file and line of the provider", null=True),
    },
)

LATENESS = table(
    "reconciliation.lateness",
    "One row per stage (what was seen last) and drop-off method: how long it takes until something physical happens next.",
    ["stage", "dropoff_method"],
    {
        "stage": text("the event after which is waited"),
        "dropoff_method": text("drop-off method"),
        "units": whole("units of our own history that went through it"),
        "weeks": whole("weeks in which they began it"),
        "p50_hours": whole("half of them took at most so long: median over the weeks"),
        "p95_hours": whole("95 of 100 took at most so long: median over the weeks"),
        "policy_hours": whole("window of the policy"),
        "is_learned": flag("there are enough units and weeks to go by our own history"),
        "window_hours": whole("the window that is used: learned, else the policy's"),
        "computed_at": instant("once a day"),
    },
)

DELAYS = table(
    "reconciliation.delays",
    "One row per unit under way that waits for something: for what, since when, and whose delay it is.",
    ["return_item_id"],
    {
        "return_item_id": text("the unit"),
        "return_id": text("its return"),
        "order_number": text("order number"),
        "dropoff_method": text("drop-off method", null=True),
        "last_event": text("what was seen of the goods last", null=True),
        "last_event_at": instant("when", null=True),
        "waits_code": text("code of what it waits for: goods, approval, grade, or the kind of our effect that is due"),
        "waits_for": text(
            "the same in words: the goods, an approval, a grade, our credit, replacement order or stock movement"
        ),
        "waits_since": instant("since when"),
        "waited_hours": whole("how long"),
        "window_hours": whole("after how long it is late"),
        "usual_hours": whole("what half of our own history took", null=True),
        "late_hours": whole("what 95 of 100 of our own history took", null=True),
        "is_learned": flag("the window is learned from our own history"),
        "verdict": text(
            "whose delay it is",
            values=("not_due", "in_time", "logistics_delay", "happy_returns_delay", "system_error"),
        ),
        "was_called": flag("we made a call to Centra for it"),
        "called_at": instant("the last one", null=True),
        "answer": text("what Centra answered to it", null=True),
        "reason": text("why our effect was not sent", null=True),
    },
)

TOLERANCE_USES = table(
    "reconciliation.tolerance_uses",
    "One row per difference that was let pass because the policy tolerates it.",
    ["return_id", "order_number", "component", "currency"],
    {
        **_FOUR_AMOUNTS,
        "difference": money("the deviating side minus the others"),
        "allowed": money("the largest difference that the policy tolerates there", at_least=0),
        "culprit": text("who deviates", values=CULPRITS),
        "happened_at": instant("when the refund was issued", null=True),
    },
)

TAX_READINGS = table(
    "reconciliation.tax_readings",
    "One row per Return of an order whose tax Centra adds to the price, or deducts: its total as planned, created, paid and final.",
    ["centra_return_id"],
    {
        "centra_return_id": whole("Centra's return id"),
        "return_id": text("the return whose units it has (null: several, or none)", null=True),
        "order_number": text("order number"),
        "currency": text("ISO 4217"),
        "is_ours": flag("made by us"),
        "planned_total": money("as we planned it, its tax estimated (null: not planned by this database)", null=True),
        "created_total": money("as Centra estimated it at creation (null: not recorded)", null=True),
        "paid": money("what was paid on it (null: nothing)", null=True),
        "final_total": money(
            "as it is now that it is completed (null: not completed, or its payment is pending)", null=True
        ),
        "tax": money("tax in its present total"),
        "estimate_difference": money("paid, or created, minus planned (null: not planned by this database)", null=True),
        "settled_difference": money("final minus paid (null: not final, or not paid once)", null=True),
        "allowed": money("how far a tax of that size may be off by the policy", at_least=0),
        "happened_at": instant("paid, else created"),
        "verdict": text("what came of it", values=("as_planned", "within_limit", "beyond_limit", "open")),
    },
)

SYSTEMATIC_CENTS = table(
    "reconciliation.systematic_cents",
    "One row per group of refunds that are off by small amounts of one sign: one side rounds by another rule.",
    ["component", "currency", "tax_percent", "discount_percent", "has_voucher", "culprit"],
    {
        "component": text("part of the refund", values=COMPONENTS),
        "currency": text("ISO 4217"),
        "tax_percent": money("tax rate (null: whatever it is)", null=True),
        "discount_percent": money("discount of the order lines in percent (null: whatever it is)", null=True),
        "has_voucher": flag("with an order voucher (null: whether or not)", null=True),
        "culprit": text("who deviates", values=CULPRITS),
        "compared": whole("refunds of the group that were compared"),
        "off": whole("of these, off by a small amount"),
        "same_sign": whole("of these, in the direction that most are"),
        "usual_difference": money("the difference that is seen most often"),
        "sum": money("of all differences of the group"),
        "first_at": instant("first of them"),
        "last_at": instant("last of them"),
        "example_return_id": text("one of them"),
        "named": text("the rule in words"),
    },
)

SHADOW_OUTCOMES = ("same", "amounts_differ", "we_would_they_did_not", "they_did_we_would_not", "too_early")

SHADOW = table(
    "reconciliation.shadow",
    "One row per decision that people took in Centra, or that we would have taken: whether the two are the same.",
    ["shadow_id"],
    {
        "shadow_id": text("what it is about"),
        "effect_kind": text("credit_note, inventory_adjustment or exchange_order", values=EFFECT_KINDS),
        "outcome": text("how the two compare", values=SHADOW_OUTCOMES),
        "sided_with": text("whom Happy Returns' rows bear out", values=("us", "them", "nobody")),
        "return_id": text("its return", null=True),
        "return_item_id": text("its unit", null=True),
        "order_number": text("order number", null=True),
        "sku": text("SKU", null=True),
        "currency": text("ISO 4217", null=True),
        "our_amount": money("what we would have given back, or the value of the goods", null=True),
        "their_amount": money("what they gave back, or the value of the goods", null=True),
        "at_stake": money("money at stake: the difference, or all of it", null=True, at_least=0),
        "our_at": instant("when it was due by the policy", null=True),
        "their_at": instant("when they did it", null=True),
        "happened_at": instant("our time, else theirs: what a period is cut by"),
        "detail": text("both sides in a sentence"),
        "source": text("Return, stock change or payment entry of theirs", null=True),
    },
)

SHADOW_VERDICT = table(
    "reconciliation.shadow_verdict",
    "One row per criterion of *ready to go live*, over the last days that the policy names; ready when all are passed.",
    ["criterion"],
    {
        "place": whole("order of the criteria"),
        "criterion": text("what is looked at"),
        "required": text("what is required"),
        "found": text("what is found"),
        "passed": flag("is it met"),
    },
)

FEED_VERDICTS = ("agree", "differ", "only_api", "only_events", "only_files")

FEEDS = table(
    "reconciliation.feeds",
    "One row per unit that is reported since Happy Returns' events are received: which feed reported what about it, and when.",
    ["return_item_id"],
    {
        "return_item_id": text("the unit"),
        "return_id": text("its return"),
        "order_number": text("order number without '#'"),
        "feeds": text("which feeds know it, alphabetically: api, events, files"),
        "verdict": text("whether they agree, or who alone knows it", values=FEED_VERDICTS),
        "differs_in": text("columns on which two feeds say different things, separated by blanks", null=True),
        "started_at": instant("when its return was started", null=True),
        "started_by_events_at": instant("when an event first reported it: received", null=True),
        "started_by_files_at": instant("when a file first reported it: landed", null=True),
        "started_by_api_at": instant("when an answer of the partner API first reported it: landed", null=True),
        "approved_at": instant("when it was approved", null=True),
        "approved_by_events_at": instant("when an event first reported that", null=True),
        "approved_by_files_at": instant("when a file first reported that", null=True),
        "approved_by_api_at": instant("when an answer of the partner API first reported that", null=True),
    },
)

FEED_DAYS = table(
    "reconciliation.feed_days",
    "One row per feed of Happy Returns and day since its events are received: what it reported, and what it missed.",
    ["feed", "day"],
    {
        "feed": text("which feed", values=("api", "events", "files")),
        "day": day("UTC"),
        "received": whole("events: deliveries that verified", at_least=0),
        "duplicate": whole("of these: the same bytes as an earlier one", at_least=0),
        "refused": whole("of these: nothing of it could be used", at_least=0),
        "unverified": whole("events: deliveries that did not verify when they came", at_least=0),
        "milestones": whole(
            "starts and approvals of units on this day that any feed reported, once [events] late_minutes have passed",
            at_least=0,
        ),
        "reported": whole("of these: reported by this feed", at_least=0),
        "reported_first": whole("of these: reported by this feed before any other", at_least=0),
        "late": whole("reported by this feed later than [events] late_minutes after they happened", at_least=0),
        "missed": whole("not reported by this feed at all", at_least=0),
        "repaired": whole("events: late or missed, and reported by a file or the API first", at_least=0),
    },
)
