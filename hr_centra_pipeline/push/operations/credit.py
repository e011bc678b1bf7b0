"""A credit: the Return is created, its totals read, then paid by who the policy says; else deleted again.

What is before tax has to be the planned amount to the cent. Where Centra adds the tax, or deducts it, that is Centra's to say:
read after creation, and again after payment, it may be off our estimate as far as the policy allows.

Where a replacement was canceled, its money is paid on the Return that it was made from (``has_origin``): that one is opened
again when Centra asks for it, and whatever happens it stays, as completed as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Literal

from hr_centra_pipeline.core import gift_card
from hr_centra_pipeline.core.codes import say
from hr_centra_pipeline.core.kinds import Step
from hr_centra_pipeline.core.money import rounded, shown
from hr_centra_pipeline.core.policy import PaysThrough, Policy
from hr_centra_pipeline.core.words import Payment
from hr_centra_pipeline.push import payments, returns
from hr_centra_pipeline.push.facts import Facts
from hr_centra_pipeline.push.operations.grouping import Grouping, filled, grouped, summed, without_broken_bundles
from hr_centra_pipeline.push.operations.operation import Traits
from hr_centra_pipeline.push.packets import Effect, Packet
from hr_centra_pipeline.push.returns import OrderInCentra, ReturnCosts, ReturnInCentra, ReturnPayload, Totals
from hr_centra_pipeline.push.states import StepTable, then
from hr_centra_pipeline.push.steps import (
    Absent,
    Advance,
    Answered,
    Call,
    Finished,
    InDoubt,
    LookUpResult,
    Mutation,
    NotNow,
    Query,
    Refused,
    Reverted,
    StepResult,
    Steps,
)

STEPS = StepTable(
    "credit",
    first="create_return",
    rules={
        "create_return": then("refund", "issue_credit", "complete", "delete", "done"),
        "refund": then("complete", "uncomplete", "delete", "undo", "done", pays=True),
        "issue_credit": then("complete", "uncomplete", "delete", "undo", "done", pays=True),
        "complete": then("undo", "done"),
        "uncomplete": then("refund", "issue_credit", "complete", "done"),
        "delete": then("complete", "done", takes_back=True),  # complete: somebody paid on it meanwhile
        "undo": then("complete", "done", takes_back=True),
    },
    resumes=frozenset({"refund", "issue_credit", "complete", "undo"}),
)
_PAYING_STEP: Mapping[str, Step] = {"centra": "refund", "gift_card": "issue_credit", "elsewhere": "complete"}


class CreditPayload(ReturnPayload):
    """What a credit is frozen with, and what its steps learn. Amounts in ``currency``, before Centra adds tax or deducts it.

    ``kept``: what the Return gives back before that, fixed to the cent; ``total``: with it, an estimate. ``fees``: by effect.
    ``rows_issued``: refund rows of the returns platform, of a Return that was completed without a payment.

    Learned: ``voucher_as_cost`` the voucher is written as return cost; ``differs_in`` what Centra's totals are wrong in;
    ``created_…``, ``final_…`` Centra's totals after creation and at the end; ``paid`` what was paid; ``given_without_return``
    what the order showed as given back on no Return, right before the payment; ``uncompleted`` the Return was opened again;
    ``put_back`` it is completed again without a payment, in place of that step.
    """

    STEPS: ClassVar[StepTable] = STEPS
    RETIRED: ClassVar[frozenset[str]] = frozenset({"given_before"})

    pays_through: PaysThrough
    shipping: Decimal | None = None
    fee: Decimal | None = None
    fee_tax: Decimal | None = None
    kept: Decimal | None = None
    total: Decimal
    tax_mode: str | None = None
    fees: Mapping[str, Decimal] = {}
    shipping_members: tuple[str, ...] = ()
    fee_members: tuple[str, ...] = ()
    unit_count: int | None = None
    rows_issued: str | None = None

    voucher_as_cost: bool = False
    differs_in: Literal["amount", "tax"] | None = None
    created_total: Decimal | None = None
    created_kept: Decimal | None = None
    final_total: Decimal | None = None
    final_kept: Decimal | None = None
    paid: Decimal | None = None
    given_without_return: Decimal | None = None
    uncompleted: bool = False
    put_back: Literal["delete", "undo"] | None = None

    @property
    def payer(self) -> str:
        """Who pays."""
        return self.pays_through

    @property
    def is_opened_again(self) -> bool:
        """See ``uncompleted``."""
        return self.uncompleted

    @property
    def is_put_back(self) -> bool:
        """See ``put_back``."""
        return self.put_back is not None

    @property
    def issued_by_platform(self) -> str | None:
        """See ``rows_issued``."""
        return self.rows_issued

    @property
    def is_tax_included(self) -> bool:
        """Tax is in the prices: what was planned is what Centra gives back."""
        return (self.tax_mode or "included") == "included"

    @property
    def before_tax(self) -> Decimal:
        """What it gives back before tax; an earlier version froze the total alone."""
        return self.total if self.kept is None else self.kept

    @property
    def costs(self) -> ReturnCosts:
        """As they are written: the voucher's share as such, or as return cost."""
        voucher, fee, shipping = self.voucher or Decimal(0), self.fee or Decimal(0), self.shipping or Decimal(0)
        if self.voucher_as_cost:
            return ReturnCosts(f"{self.comment} {self.voucher_mark}", Decimal(0), shipping, fee + voucher)
        return ReturnCosts(self.comment, voucher, shipping, fee)

    @property
    def voucher_mark(self) -> str:
        """Read again by ``sources/centra/centra_returns.sql``: so much of the return cost is voucher."""
        return f"voucher {self.voucher}"


CreditPacket = Packet[CreditPayload]


class Credit:
    """One Return per shipment and instrument, or a payment on an earlier Return."""

    traits = Traits(
        name="credit",
        payload=CreditPayload,
        patience=timedelta(0),
        mutations=2,
        seen_in=("orders", "shipments", "returns", "exports"),
    )

    def cut(self, effects: Sequence[Effect], policy: Policy, now: datetime, result: Grouping) -> None:
        """Group credits: what belongs to the whole return is carried by the first unit, since a Return needs a line."""
        _cut_payments([effect for effect in effects if effect.origin_return_id is not None], result)
        made = without_broken_bundles([effect for effect in effects if effect.origin_return_id is None], result)
        _cut_returns(made, policy, result)

    def calls(self, packet: CreditPacket, facts: Facts) -> list[Call]:
        """Every writing call of this packet in order; ``<…>``: made by Centra, or read right before."""
        steps: list[Step] = [packet.step] if packet.has_origin else ["create_return", _step_after_creation(packet)]
        if steps[-1] == "issue_credit":
            steps.append("complete")
        return [_call(packet.at(step), packet.centra_id or "<return>", facts, "<e-mail>") for step in steps]

    def advance(self, packet: CreditPacket, facts: Facts) -> Steps[StepResult]:
        """Do one step."""
        if packet.step == "create_return":
            return (yield from _create(packet, facts))
        if packet.is_paying:
            return (yield from _pay(packet, facts))
        if packet.step == "uncomplete":
            return (yield from _open_again(packet, facts))
        return (yield from _finish(packet, facts))

    def look_up(self, packet: CreditPacket, facts: Facts) -> Steps[LookUpResult]:
        """How far a packet in doubt came, as Centra shows it."""
        return _look_up(packet, facts)

    def changed(self, packet: CreditPacket, today: Sequence[Effect], facts: Facts) -> str | None:
        """Is it paid by the same payer, and is it the same amount?"""
        return _changed(packet, today, facts)

    def stop(self, packet: CreditPacket, facts: Facts, reason: str) -> Steps[StepResult]:
        """Give the packet up because today's plan no longer wants it: an unpaid Return is taken back and its effects planned again.

        A Return on which something was paid is finished.
        """
        if packet.step == "create_return":
            return NotNow(reason)
        order = yield from returns.look(packet.payload.order_number, facts)
        found = returns.by_id(order, int(packet.centra_id or 0))
        if order is None or found is None:
            return _gone(packet)
        if None in found.refunds:
            return NotNow(_NOT_UNDERSTOOD)
        if _is_paid(packet, found):
            if packet.step == "complete":
                return (yield from _finish(packet, facts))
            return _after_payment(packet, found, facts)
        return _payment_elsewhere(packet, order) or _take_back(packet, "undo", reason)


# ---------------------------------------------------------------- grouping


def _cut_returns(effects: Sequence[Effect], policy: Policy, result: Grouping) -> None:
    def same_return(effect: Effect) -> tuple[object, ...]:
        return effect.group_key, effect.order_number, effect.shipment_id, effect.pays_through, effect.currency

    for group in grouped(effects, same_return):
        units = [effect for effect in group if effect.shipment_line_id is not None]
        return_level = [effect for effect in group if effect.shipment_line_id is None]
        if not units:
            result.skipped += [(effect, say("waits_for_unit")) for effect in return_level]
            continue

        def fits(some: Sequence[Effect], return_level: list[Effect] = return_level) -> bool:
            return returns.comment_fits([*return_level, *some], policy)

        first, *others = filled(units, fits)
        for members in ([*return_level, *first], *others):
            _add_credit(members, policy, result)


def _add_credit(members: Sequence[Effect], policy: Policy, result: Grouping) -> None:
    def leave(reason: str, some: Sequence[Effect] = members) -> None:
        result.skipped += [(effect, reason) for effect in some]

    anyone = members[0]
    if any(effect.items is None for effect in members if effect.shipment_line_id is not None):
        leave(say("no_amount"))
    elif not returns.comment_fits(members, policy):
        leave(say("marks_too_long", policy.centra.comment_limit))
    elif anyone.currency is None or anyone.shipment_id is None or anyone.pays_through is None:
        leave(say("plan_incomplete", "shipment, currency or payer"))
    elif total(members) < 0:
        # A fee never makes an amount negative: the credit goes without it.
        fees = [effect for effect in members if effect.fee and effect.shipment_line_id is None]
        if fees and len(fees) < len(members):
            leave(say("fee_waits"), fees)
            _add_credit([effect for effect in members if effect not in fees], policy, result)
        else:
            leave(say("fee_too_large"))
    else:
        payload = {
            **_frozen(members, anyone.currency),
            "fees": {effect.effect_key: effect.fee for effect in members if effect.fee},
            "shipping_members": [effect.effect_key for effect in members if effect.shipping],
            "fee_members": [effect.effect_key for effect in members if effect.fee],
            "comment": returns.comment(members, policy.centra.comment_limit),
            "unit_count": sum(effect.shipment_line_id is not None for effect in members),
        }
        result.add("credit", members, CreditPayload.model_validate(payload))


def _frozen(members: Sequence[Effect], currency: str) -> dict[str, Any]:
    """What every credit is frozen with."""
    anyone = members[0]
    return {
        "order_number": anyone.order_number,
        "shipment_id": anyone.shipment_id,
        "currency": currency,
        "pays_through": anyone.pays_through,
        "lines": returns.lines_of(members),
        **amounts(members, currency),
        **({"tax_mode": anyone.tax_mode} if anyone.tax_mode else {}),
    }


def amounts(members: Sequence[Effect], currency: str) -> dict[str, Decimal]:
    """Shipping, voucher and fee as they are sent, before Centra adds tax (or deducts it, for export); and what comes of it.

    ``kept``: what the Return gives back before that, fixed to the cent; ``total``: with it, an estimate. Totals are made of what
    is sent: whatever the plan holds, no cent of theirs comes from rounding twice.
    """

    def whole(amounts: Iterable[Decimal | None]) -> Decimal:
        return rounded(summed(amounts), currency)

    fee = whole(effect.fee for effect in members)
    fee_tax = whole(effect.fee_tax_added for effect in members)
    shipping = whole(effect.shipping for effect in members)
    goods = whole(amount for effect in members for amount in (effect.items, effect.tax))
    added = whole(effect.tax_added for effect in members)
    return {
        "shipping": shipping - whole(effect.tax_added for effect in members if effect.shipping),
        "voucher": whole(effect.voucher for effect in members),
        "fee": fee - fee_tax,
        "fee_tax": fee_tax,
        "kept": goods + shipping - fee - added + fee_tax,
        "total": goods + shipping - fee,
    }


def total(members: Sequence[Effect]) -> Decimal:
    """What a Return of these credits has to give back: items + tax + shipping - fee."""
    given = (amount for effect in members for amount in (effect.items, effect.tax, effect.shipping))
    return summed(given) - summed(effect.fee for effect in members)


def _cut_payments(effects: Sequence[Effect], result: Grouping) -> None:
    """Credits that are paid on the Return of an exchange whose replacement was canceled: one packet for each such Return."""
    for members in grouped(effects, lambda effect: (effect.origin_return_id, effect.pays_through, effect.currency)):
        anyone = members[0]
        if anyone.currency is None or anyone.pays_through is None or any(effect.items is None for effect in members):
            result.skipped += [(effect, say("plan_incomplete", "currency, payer or amount")) for effect in members]
            continue
        step = _PAYING_STEP[anyone.pays_through]
        payload = CreditPayload.model_validate({**_frozen(members, anyone.currency), "first_step": step})
        result.add("credit", members, payload, step=step, centra_id=str(anyone.origin_return_id))


# ---------------------------------------------------------------- calls


def _step_after_creation(packet: CreditPacket, total: Decimal | None = None) -> Step:
    """``total``: what Centra's Return gives back; the planned one until it is there."""
    if not (packet.payload.total if total is None else total):
        return "complete"  # nothing is to be paid: Centra refuses a refund of nothing
    return _PAYING_STEP[packet.payload.pays_through]


def _call(
    packet: CreditPacket, return_id: int | str, facts: Facts, email: str = "", amount: Decimal | None = None
) -> Call:
    """``amount``: of a gift card; the planned one until the Return is there, which knows its tax."""
    match packet.step:
        case "create_return":
            return returns.create(packet)
        case "refund":
            return Call("RefundReturn", {"id": return_id, "input": {"sendEmail": facts.emails.refund}})
        case "issue_credit":
            return _issue(packet, return_id, facts, email, amount)
        case "complete":
            # Put back as it was, it is not news to the shopper.
            return returns.complete(return_id, sends_email=facts.emails.completion and not packet.payload.is_put_back)
        case "uncomplete":
            return Call("UncompleteReturn", {"id": return_id})
        case "delete" | "undo":
            return returns.delete(return_id)
    raise ValueError(f"a credit has no step {packet.step!r}")


def _issue(packet: CreditPacket, return_id: int | str, facts: Facts, email: str, amount: Decimal | None) -> Call:
    """``issueCredit``: the gift card itself as the policy's template says."""
    payload = packet.payload
    worth = payload.total if amount is None else amount
    values = {
        "email": email, "order_number": payload.order_number, "return_id": str(return_id),
        "currency": payload.currency, "amount": str(worth),
    }  # fmt: skip
    credit = {
        "order": {"number": int(payload.order_number)},
        "return": {"id": return_id},
        "amount": {"value": worth, "currencyIsoCode": payload.currency},
        "giftCard": gift_card.filled(facts.gift_card, values),
    }
    return Call("IssueCredit", {"input": credit})


# ---------------------------------------------------------------- doing


def _finish(packet: CreditPacket, facts: Facts) -> Steps[StepResult]:
    """Complete the Return, or delete it."""
    return_id = int(packet.centra_id or 0)
    answer = yield Mutation(_call(packet, return_id, facts))
    if answer.refusal:
        return (yield from _refused_later(packet, facts, answer.refusal, return_id))
    if packet.step == "complete":
        return _completed(packet, _final(packet, answer.payload.get("return"), facts))
    return _deleted(packet)


def _create(packet: CreditPacket, facts: Facts) -> Steps[StepResult]:
    """Read the order right before anything is made: do the lines and the money still allow it?"""
    order = yield from returns.look(packet.payload.order_number, facts)
    if order is None:
        return NotNow(say("not_shown", "order"))
    problem = returns.problem_with(packet, order, facts) or _money_problem(packet, order, facts)
    if problem:
        return problem
    if _step_after_creation(packet) == "issue_credit":
        recipient = yield from _recipient(packet, facts)
        if isinstance(recipient, NotNow):
            return recipient
    answer = yield Mutation(_call(packet, 0, facts))
    if answer.refusal:
        if _may_carry_voucher_as_cost(packet, answer, facts):
            return Advance("create_return", remember={"voucher_as_cost": True})
        costs = {"shippingCost": packet.payload.shipping_members, "returnCost": packet.payload.fee_members}
        return returns.creation_refused(packet, answer, costs)
    made = answer.payload["return"]
    return _checked(packet, int(made["id"]), made, facts)


def _may_carry_voucher_as_cost(packet: CreditPacket, answer: Answered, facts: Facts) -> bool:
    """Centra keeps an order's voucher on one shipment, and refuses a share of it on the Return of another.

    There the share is taken off as return cost, and marked as what it is: Centra's total is the planned one either way.
    """
    payload = packet.payload
    return (
        "voucherValue" in answer.path
        and payload.is_tax_included
        and not payload.voucher_as_cost
        and len(f"{payload.comment} {payload.voucher_mark}") <= facts.comment_limit
    )


def _money_problem(packet: CreditPacket, order: OrderInCentra, facts: Facts) -> NotNow | None:
    if packet.payload.pays_through == "elsewhere":
        return None
    currency = packet.payload.currency
    if order.unknown_payments:
        words = ", ".join(order.unknown_payments)
        return NotNow(say("payment_word_unknown", words))
    if order.untied_refunds:
        return NotNow(say("untied_refund"))
    if packet.payload.pays_through == "centra" and order.paid_by_gift_card:
        to_others = order.captured - order.paid_by_gift_card - order.given_to_others
        if packet.payload.total > to_others:
            return NotNow(say("too_little_left_of_others", shown(max(to_others, Decimal(0)), currency)))
    left = order.captured - order.given
    least = packet.payload.total - _tax_allowed(packet, facts)
    if least > left:
        if least <= left + order.capture_pending:
            pending = shown(order.capture_pending, currency)
            return NotNow(say("capture_of_not_confirmed", pending))
        moved = (order.captured, order.given, packet.payload.total)
        return NotNow(say("too_little_captured", *(shown(amount, currency) for amount in moved)))
    return None


def _checked(packet: CreditPacket, return_id: int, shown_return: dict[str, Any], facts: Facts) -> Advance:
    """Nothing is paid unless Centra's totals are the planned ones."""
    totals = _totals(packet, shown_return)
    if problem := _difference(packet, return_id, totals, facts):
        return Advance("delete", str(return_id), problem.message, remember={"differs_in": problem.what})
    return Advance(
        _step_after_creation(packet, totals.total), str(return_id), remember=_reading(packet, "created", totals)
    )


@dataclass(frozen=True)
class _Difference:
    """Centra's Return is not what was planned: in tax alone (``tax``), or in anything else (``amount``)."""

    what: Literal["amount", "tax"]
    message: str


def _difference(packet: CreditPacket, return_id: int, found: Totals, facts: Facts) -> _Difference | None:
    payload = packet.payload
    currency = payload.currency
    planned, kept = payload.total, payload.before_tax
    if found.currency == currency:
        # An export that gives just what was planned is right, whatever Centra shows as deducted.
        if found.kept != kept and not (payload.tax_mode == "none" and found.total == planned):
            before_tax = " before tax" if payload.tax_mode == "added" else ""
            gives = f"gives {shown(found.kept, currency)} back{before_tax}, planned were {shown(kept, currency)}"
            return _Difference("amount", f"amount_mismatch: Centra's Return {return_id} {gives}")
        allowed = _tax_allowed(packet, facts)
        off = found.total - planned
        # Whether a return cost is taxed is a setting of Centra's: no difference that anybody has to decide.
        without_fee = off + found.fee_tax - (payload.fee_tax or 0)
        if abs(off) <= allowed or (abs(without_fee) <= allowed and found.fee_tax <= (payload.fee or 0)):
            return None
        gives = f"gives {shown(found.total, currency)} back, planned were {shown(planned, currency)}"
        why = f"its tax is {shown(abs(off), currency)} off, {shown(allowed, currency)} are allowed"
        return _Difference("tax", f"tax_mismatch: Centra's Return {return_id} {gives}: {why}")
    gives = f"gives {shown(found.total, found.currency)} back, planned were {shown(planned, currency)}"
    return _Difference("amount", f"amount_mismatch: Centra's Return {return_id} {gives}")


def _tax_allowed(packet: CreditPacket, facts: Facts) -> Decimal:
    """How far Centra's tax may be off our estimate; nothing where it is in the prices."""
    payload = packet.payload
    if payload.is_tax_included:
        return Decimal(0)
    return facts.tax.allowed(payload.total - payload.before_tax, payload.currency)


def _totals(packet: CreditPacket, shown_return: dict[str, Any]) -> Totals:
    return returns.totals_of(shown_return, packet.payload.tax_mode)


def _reading(packet: CreditPacket, name: Literal["created", "final"], totals: Totals) -> dict[str, Decimal]:
    """What Centra said, for the record; nothing where it can say nothing else than was planned."""
    if packet.payload.is_tax_included:
        return {}
    return {f"{name}_total": totals.total, f"{name}_kept": totals.kept}


def _final(
    packet: CreditPacket, shown_return: dict[str, Any] | None, facts: Facts, paid: Decimal | None = None
) -> dict[str, Decimal]:
    """The second reading: what was paid, and the totals of a Return that is completed."""
    found: dict[str, Decimal] = {}
    if paid is not None and not packet.payload.is_tax_included:
        found["paid"] = paid
    if shown_return and facts.words.return_status.meaning_of(shown_return["returnStatus"]) == "completed":
        found |= _reading(packet, "final", _totals(packet, shown_return))
    return found


def _pay(packet: CreditPacket, facts: Facts) -> Steps[StepResult]:
    """The payment is the one call that cannot be reverted: look once more at the Return and at what was given back meanwhile."""
    return_id = int(packet.centra_id or 0)
    order = yield from returns.look(packet.payload.order_number, facts)
    found = returns.by_id(order, return_id)
    if order is None or found is None:
        return _gone(packet)
    if None in found.refunds:
        return NotNow(_NOT_UNDERSTOOD)
    if _is_paid(packet, found):
        return _after_payment(packet, found, facts)
    totals = _totals(packet, found.shown)
    if difference := _difference(packet, return_id, totals, facts):
        return _take_back(packet, "delete", difference.message, {"differs_in": difference.what})
    if doubt := _payment_elsewhere(packet, order):
        return doubt
    if problem := _money_problem(packet, order, facts):
        return _take_back(packet, "undo", problem.reason)
    email = ""
    if packet.step == "issue_credit":
        recipient = yield from _recipient(packet, facts)
        if isinstance(recipient, NotNow):
            return _take_back(packet, "undo", recipient.reason)
        email = recipient
    answer = yield Mutation(
        _call(packet, return_id, facts, email, totals.total),
        remember={"given_without_return": order.given_without_return},
    )
    if answer.refusal:
        return (yield from _refused_later(packet, facts, answer.refusal, return_id))
    entries = answer.payload.get("paymentHistoryEntries") or []
    if not entries:
        return InDoubt("Centra said yes and showed no payment: it is looked up")
    made = payments.read(entries, facts.words)
    record = _final(packet, answer.payload.get("return"), facts, payments.given(made))
    if packet.step == "issue_credit":
        return Advance("complete", remember=record)
    return Finished(str(return_id), _failed_payment([entry.did for entry in made]), record)


def _recipient(packet: CreditPacket, facts: Facts) -> Steps[str | NotNow]:
    """Who gets the gift card, where its template names an e-mail: read right before it is issued, sent, and kept nowhere.

    Looked at before the Return is made too, so that none is made whose gift card cannot be issued.
    """
    if facts.gift_card is None:
        return NotNow(say("no_gift_card_template"))
    if not gift_card.uses(facts.gift_card, "email"):
        return ""
    data = yield Query("ReadRecipient", {"orderNumber": [int(packet.payload.order_number)]})
    order = data["orders"][0] if data["orders"] else {}
    address, customer = order.get("shippingAddress") or {}, order.get("customer") or {}
    email: str | None = customer.get("email") or address.get("email")
    return email or NotNow(say("no_email_address"))


def _deleted(packet: CreditPacket) -> Refused | Reverted:
    """Nothing of it is left: what Centra refused is rejected, what only did not fit any more is planned again."""
    message = packet.message or "its Return was deleted"
    if packet.step == "undo":
        return Reverted(message)
    # Sent one by one, what is too much together would pass in parts.
    return Refused(message, packet.members if packet.payload.differs_in == "tax" else ())


def _take_back(
    packet: CreditPacket, step: Literal["delete", "undo"], message: str, remember: dict[str, str] | None = None
) -> Advance | NotNow | Refused | Reverted:
    """Go on to delete our Return, unpaid as it is. One that was there before is put back as it was."""
    if not packet.has_origin:
        return Advance(step, message=message, remember=remember or {})
    if packet.payload.uncompleted:
        return Advance("complete", message=message, remember={**(remember or {}), "put_back": step})
    if packet.state == "new":
        return NotNow(message)
    return _deleted(packet.at(step, message=message))


def _completed(packet: CreditPacket, record: dict[str, Decimal]) -> Finished | Refused | Reverted:
    """It is paid, or needs no payment; or it is put back as it was."""
    if step := packet.payload.put_back:
        return _deleted(packet.at(step))
    return Finished(str(packet.centra_id), packet.message, record)


def _open_again(packet: CreditPacket, facts: Facts) -> Steps[StepResult]:
    """Centra did not refund a completed Return: open it, then ask once more."""
    return_id = int(packet.centra_id or 0)
    answer = yield Mutation(_call(packet, return_id, facts), remember={"uncompleted": True})
    if answer.refusal:
        found = returns.by_id((yield from returns.look(packet.payload.order_number, facts)), return_id)
        if found is None:
            return _gone(packet)
        if found.is_completed:
            return InDoubt(f"Return {return_id} cannot be opened again: {answer.refusal}", "refused")
    return Advance(packet.payload.begins_at)


def _gone(packet: CreditPacket) -> InDoubt:
    paid = "whether it was paid is not certain" if packet.payments_sent else "nothing was paid"
    return InDoubt(f"our Return {packet.centra_id} is gone: someone deleted it, {paid}", "gone")


def _refused_later(packet: CreditPacket, facts: Facts, message: str, return_id: int) -> Steps[StepResult]:
    """Centra refused a step of a Return that exists: look what it is like now."""
    order = yield from returns.look(packet.payload.order_number, facts)
    found = returns.by_id(order, return_id)
    if packet.step in ("delete", "undo"):
        if found is None:
            return _deleted(packet)
        if _is_paid(packet, found):
            return _after_payment(packet, found, facts)
        return InDoubt(f"{packet.message}; and our Return {return_id} cannot be deleted: {message}", "refused")
    if found is None:
        return _gone(packet)
    if packet.step == "complete":
        if found.is_completed:
            return _completed(packet, _final(packet, found.shown, facts))
        return InDoubt(f"Return {return_id} cannot be completed: {message}", "refused")
    if _is_paid(packet, found):
        return _after_payment(packet, found, facts)
    if packet.has_origin and found.is_completed and not packet.payload.uncompleted:
        return Advance("uncomplete", remember={"given_without_return": None})
    return _take_back(packet.at(packet.step, state="sending"), "delete", message)


# ---------------------------------------------------------------- today's plan


def _changed(packet: CreditPacket, today: Sequence[Effect], facts: Facts) -> str | None:
    payload = packet.payload
    units = [effect for effect in today if effect.shipment_line_id is not None]
    if others := {effect.pays_through for effect in units} - {payload.pays_through}:
        return say("paid_by_another", ", ".join(sorted(filter(None, others))) or "nobody")
    # Rebuilt from Centra, it has no parts: its total is the plan's. What is under way keeps the share of the voucher that it
    # was sent with.
    if payload.voucher is not None:
        wanted = amounts(today, payload.currency)
        if _value(wanted["kept"], wanted["voucher"], payload) != _value(payload.before_tax, payload.voucher, payload):
            return say("amount_changed")
    late = [
        cost
        for cost in facts.return_level_of(payload.order_number)
        if cost.effect_key not in packet.members and _joins(cost, packet, {effect.return_id for effect in units})
    ]
    return say("fee_or_shipping_came") if late else None


def _value(before_tax: Decimal, voucher: Decimal, payload: CreditPayload) -> Decimal:
    return rounded(before_tax, payload.currency) + rounded(voucher, payload.currency)


def _joins(cost: Effect, packet: CreditPacket, return_ids: set[str]) -> bool:
    """It was planned since the packet was cut, and would have travelled with it."""
    payload = packet.payload
    return (
        packet.created_at is not None
        and cost.ledger_state == "planned"
        and cost.planned_at > packet.created_at
        and cost.held_by is None
        and not packet.has_origin
        and cost.return_id in return_ids
        and (cost.shipment_id, cost.pays_through) == (payload.shipment_id, payload.pays_through)
    )


# ---------------------------------------------------------------- rebuilding


def rebuilt(row: Mapping[str, Any]) -> CreditPayload:
    """The payload of our Return that is half done in Centra and whose packet is lost (a row of ``half_done.sql``).

    Costs as they are on the Return, goods as the plan has them: together they must be what Centra gives back.
    """
    total = (row["planned_goods"] or Decimal(0)) + row["costs_kept"] + row["costs_tax_added"]
    payload = {
        "order_number": row["order_number"],
        "shipment_id": row["shipment_id"],
        "currency": row["currency"],
        "pays_through": row["pays_through"] or "centra",
        "lines": returns.lines_found(row),
        "total": total,
        "kept": total - (row["planned_tax_added"] or Decimal(0)) - row["costs_tax_added"],
        "fee": row["return_cost"],
        "fee_tax": row["return_cost_tax_added"],
        **({"tax_mode": row["tax_mode"]} if row["tax_mode"] else {}),
        "comment": "",
        "shipping_members": (),
        "fee_members": (),
        # Completed without a payment in Centra: whether we have called for one is not known, and another user may have paid.
        **({"rows_issued": row["rows_issued"]} if row["rows_issued"] else {}),
    }
    return CreditPayload.model_validate(payload)


def resumed_at(payload: CreditPayload, row: Mapping[str, Any]) -> Step:
    """The step at which that packet goes on."""
    if not (row["is_desired"] or row["is_paid"]):
        return "undo"
    return "complete" if not payload.total else _PAYING_STEP[payload.pays_through]


# ---------------------------------------------------------------- payments

_NOT_UNDERSTOOD = say("payment_of_return_unknown")


def _is_paid(packet: CreditPacket, found: ReturnInCentra) -> bool:
    """A payment is on the Return, no matter who made it. A refund that failed was requested once: it is not requested again.

    On a Return that was there before, what failed earlier was not our payment.
    """
    is_gift_card = packet.payload.pays_through != "centra"
    ignored = ("refund_failed", "refund_answered") if packet.has_origin and not packet.payments_sent else ()
    return any(
        known and known.money not in ignored and (known.instrument == "original" or is_gift_card)
        for known in found.refunds
    )


def _after_payment(packet: CreditPacket, found: ReturnInCentra, facts: Facts) -> Finished | Advance:
    """A refund completes its Return by itself, at once or when the provider has answered; a gift card does not."""
    record = _final(packet, found.shown, facts, found.paid)
    if packet.payload.pays_through != "centra" and not found.is_completed:
        return Advance("complete", str(found.return_id), _failed_payment(found.refunds), record)
    return Finished(str(found.return_id), _failed_payment(found.refunds), record)


def _failed_payment(refunds: Sequence[Payment | None]) -> str | None:
    failed = any(known is not None and known.money == "refund_failed" for known in refunds)
    return "the payment provider refused the refund" if failed else None


def _payment_elsewhere(packet: CreditPacket, order: OrderInCentra) -> InDoubt | None:
    """Our payment was called for, and is not on the Return; but the order shows more given back without a Return than before.

    What was given on another Return is that one's.
    """
    before = packet.payload.given_without_return
    if packet.payments_sent and before is not None and order.given_without_return > before:
        more = shown(order.given_without_return - before, packet.payload.currency)
        return InDoubt(
            f"the order shows {more} more given back than before our payment, and not on our Return", "unpaid"
        )
    return None


# ---------------------------------------------------------------- looking up


def _look_up(packet: CreditPacket, facts: Facts) -> Steps[LookUpResult]:
    """How far a packet in doubt came, as Centra shows it."""
    order = yield from returns.look(packet.payload.order_number, facts)
    found = returns.by_id(order, int(packet.centra_id or 0)) if packet.has_origin else returns.ours(packet, order)
    if isinstance(found, InDoubt):
        return found
    if found is None:
        if packet.step == "create_return":
            return Absent()
        return _deleted(packet) if packet.step in ("delete", "undo") else _gone(packet)
    if None in found.refunds:
        return InDoubt(_NOT_UNDERSTOOD)
    if _is_paid(packet, found):
        return _after_payment(packet, found, facts)
    match packet.step:
        case "create_return":
            return _checked(packet, found.return_id, found.shown, facts)
        case "refund" | "issue_credit" if packet.payments_sent:
            # Never empty here: an order without our Return was dealt with above.
            return (_payment_elsewhere(packet, order) if order else None) or Absent(paid=True)
        case "complete" if found.is_completed:
            return _completed(packet.at("complete", centra_id=str(found.return_id)), _final(packet, found.shown, facts))
        case "uncomplete" if not found.is_completed:
            return Advance(packet.payload.begins_at, remember={"uncompleted": True})
        case _:
            return Advance(packet.step)
