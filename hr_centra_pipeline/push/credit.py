"""A credit: the Return is created, its totals read, then paid by who the policy says; else deleted again.

What is before tax has to be the planned amount to the cent. Where Centra adds the tax, or deducts it, that is Centra's to say:
read after creation, and again after payment, it may be off our estimate as far as the policy allows.

Where a replacement was canceled, its money is paid on the Return that it was made from (``has_origin``): that one is opened
again when Centra asks for it, and whatever happens it stays, as completed as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from hr_centra_pipeline.core import gift_card
from hr_centra_pipeline.core.codes import say
from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.core.words import Payment
from hr_centra_pipeline.push import payments, returns
from hr_centra_pipeline.push.facts import Facts
from hr_centra_pipeline.push.packets import PAYING_STEPS, Packet
from hr_centra_pipeline.push.returns import OrderInCentra, ReturnInCentra, Totals
from hr_centra_pipeline.push.steps import (
    Absent,
    Advance,
    Ask,
    Call,
    Finished,
    InDoubt,
    LookUpResult,
    NotNow,
    Refused,
    StepResult,
    Steps,
    Tell,
    Undone,
)


def _step_after_creation(packet: Packet, total: Decimal | None = None) -> str:
    """``total``: what Centra's Return gives back; the planned one until it is there."""
    if not (Decimal(packet.payload["total"]) if total is None else total):
        return "complete"  # nothing is to be paid: Centra refuses a refund of nothing
    return {"centra": "refund", "gift_card": "issue_credit", "elsewhere": "complete"}[packet.payload["pays_through"]]


def calls(packet: Packet, facts: Facts) -> list[Call]:
    """Every writing call of this packet in order; ``<…>`` stands for what Centra gives, or what is read right before."""
    steps = [packet.step] if packet.has_origin else ["create_return", _step_after_creation(packet)]
    if steps[-1] == "issue_credit":
        steps.append("complete")
    return [_call(packet.at(step), packet.centra_id or "<return>", facts, "<e-mail>") for step in steps]


def _call(packet: Packet, return_id: int | str, facts: Facts, email: str = "", amount: Decimal | None = None) -> Call:
    """``amount``: of a gift card; the planned one until the Return is there, which knows its tax."""
    match packet.step:
        case "create_return":
            return returns.create(packet)
        case "refund":
            return Call("RefundReturn", {"id": return_id, "input": {"sendEmail": facts.emails.refund}})
        case "issue_credit":
            return _issue(packet, return_id, facts, email, amount)
        case "complete":
            # Put back as it was, it is no news to the shopper.
            return returns.complete(return_id, sends_email=facts.emails.completion and "put_back" not in packet.payload)
        case "uncomplete":
            return Call("UncompleteReturn", {"id": return_id})
        case "delete" | "undo":
            return returns.delete(return_id)
    raise ValueError(f"a credit has no step {packet.step!r}")


def _issue(packet: Packet, return_id: int | str, facts: Facts, email: str, amount: Decimal | None) -> Call:
    """``issueCredit``: the gift card itself as the policy's template says."""
    payload = packet.payload
    worth = Decimal(payload["total"]) if amount is None else amount
    values = {
        "email": email, "order_number": payload["order_number"], "return_id": str(return_id),
        "currency": payload["currency"], "amount": str(worth),
    }  # fmt: skip
    credit = {
        "order": {"number": int(payload["order_number"])},
        "return": {"id": return_id},
        "amount": {"value": worth, "currencyIsoCode": payload["currency"]},
        "giftCard": gift_card.filled(facts.gift_card, values),
    }
    return Call("IssueCredit", {"input": credit})


# ---------------------------------------------------------------- doing


def advance(packet: Packet, facts: Facts) -> Steps[StepResult]:
    """Do one step."""
    if packet.step == "create_return":
        return (yield from _create(packet, facts))
    if packet.step in PAYING_STEPS:
        return (yield from _pay(packet, facts))
    if packet.step == "uncomplete":
        return (yield from _open_again(packet, facts))
    return (yield from _finish(packet, facts))


def stop(packet: Packet, facts: Facts, reason: str) -> Steps[StepResult]:
    """Give the packet up because today's plan no longer wants it: an unpaid Return is taken back and its effects planned again.

    A Return on which something was paid is finished.
    """
    if packet.step == "create_return":
        return NotNow(reason)
    order = yield from returns.look(packet.payload["order_number"], facts)
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


def _finish(packet: Packet, facts: Facts) -> Steps[StepResult]:
    """Complete the Return, or delete it."""
    return_id = int(packet.centra_id or 0)
    answer = yield Tell(_call(packet, return_id, facts))
    if answer.refusal:
        return (yield from _refused_later(packet, facts, answer.refusal, return_id))
    if packet.step == "complete":
        return _completed(packet, _final(packet, answer.payload.get("return"), facts))
    return _deleted(packet)


def _create(packet: Packet, facts: Facts) -> Steps[StepResult]:
    """Read the order right before anything is made: do the lines and the money still allow it?"""
    order = yield from returns.look(packet.payload["order_number"], facts)
    if order is None:
        return NotNow(say("not_shown", "order"))
    problem = returns.problem_with(packet, order, facts) or _money_problem(packet, order, facts)
    if problem:
        return problem
    if _step_after_creation(packet) == "issue_credit":
        recipient = yield from _recipient(packet, facts)
        if isinstance(recipient, NotNow):
            return recipient
    answer = yield Tell(_call(packet, 0, facts))
    if answer.refusal:
        if returns.may_carry_voucher_as_cost(packet, answer, facts):
            return Advance("create_return", remember={"voucher_as_cost": True})
        return returns.creation_refused(packet, answer)
    made = answer.payload["return"]
    return _checked(packet, int(made["id"]), made, facts)


def _money_problem(packet: Packet, order: OrderInCentra, facts: Facts) -> NotNow | None:
    if packet.payload["pays_through"] == "elsewhere":
        return None
    currency = packet.payload["currency"]
    if order.unknown_payments:
        words = ", ".join(order.unknown_payments)
        return NotNow(say("payment_word_unknown", words))
    if order.untied_refunds:
        return NotNow(say("untied_refund"))
    if packet.payload["pays_through"] == "centra" and order.paid_by_gift_card:
        to_others = order.captured - order.paid_by_gift_card - order.given_to_others
        if Decimal(packet.payload["total"]) > to_others:
            return NotNow(say("too_little_left_of_others", shown(max(to_others, Decimal(0)), currency)))
    left = order.captured - order.given
    least = Decimal(packet.payload["total"]) - _tax_allowed(packet, facts)
    if least > left:
        if least <= left + order.capture_pending:
            pending = shown(order.capture_pending, currency)
            return NotNow(say("capture_of_not_confirmed", pending))
        more = Decimal(packet.payload["total"])
        return NotNow(
            say("too_little_captured", *(shown(amount, currency) for amount in (order.captured, order.given, more)))
        )
    return None


def _checked(packet: Packet, return_id: int, shown_return: dict[str, Any], facts: Facts) -> Advance:
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


def _difference(packet: Packet, return_id: int, found: Totals, facts: Facts) -> _Difference | None:
    payload = packet.payload
    currency = payload["currency"]
    planned, kept = Decimal(payload["total"]), Decimal(payload.get("kept", payload["total"]))
    if found.currency == currency:
        # An export that gives just what was planned is right, whatever Centra shows as deducted.
        if found.kept != kept and not (payload.get("tax_mode") == "none" and found.total == planned):
            before_tax = " before tax" if payload.get("tax_mode") == "added" else ""
            gives = f"gives {shown(found.kept, currency)} back{before_tax}, planned were {shown(kept, currency)}"
            return _Difference("amount", f"amount_mismatch: Centra's Return {return_id} {gives}")
        allowed = _tax_allowed(packet, facts)
        off = found.total - planned
        # Whether a return cost is taxed is a setting of Centra's: no difference that anybody has to decide.
        without_fee = off + found.fee_tax - Decimal(payload.get("fee_tax", 0))
        if abs(off) <= allowed or (abs(without_fee) <= allowed and found.fee_tax <= Decimal(payload.get("fee", 0))):
            return None
        gives = f"gives {shown(found.total, currency)} back, planned were {shown(planned, currency)}"
        why = f"its tax is {shown(abs(off), currency)} off, {shown(allowed, currency)} are allowed"
        return _Difference("tax", f"tax_mismatch: Centra's Return {return_id} {gives}: {why}")
    gives = f"gives {shown(found.total, found.currency)} back, planned were {shown(planned, currency)}"
    return _Difference("amount", f"amount_mismatch: Centra's Return {return_id} {gives}")


def _tax_allowed(packet: Packet, facts: Facts) -> Decimal:
    """How far Centra's tax may be off our estimate; nothing where it is in the prices."""
    payload = packet.payload
    if payload.get("tax_mode", "included") == "included":
        return Decimal(0)
    return facts.tax.allowed(Decimal(payload["total"]) - Decimal(payload["kept"]), payload["currency"])


def _totals(packet: Packet, shown_return: dict[str, Any]) -> Totals:
    return returns.totals_of(shown_return, packet.payload.get("tax_mode"))


def _reading(packet: Packet, name: Literal["created", "final"], totals: Totals) -> dict[str, str]:
    """What Centra said, for the record; nothing where it can say nothing else than was planned."""
    if packet.payload.get("tax_mode", "included") == "included":
        return {}
    return {f"{name}_total": str(totals.total), f"{name}_kept": str(totals.kept)}


def _final(
    packet: Packet, shown_return: dict[str, Any] | None, facts: Facts, paid: Decimal | None = None
) -> dict[str, str]:
    """The second reading: what was paid, and the totals of a Return that is completed."""
    found: dict[str, str] = {}
    if paid is not None and packet.payload.get("tax_mode", "included") != "included":
        found["paid"] = str(paid)
    if shown_return and facts.words.return_status.meaning_of(shown_return["returnStatus"]) == "completed":
        found |= _reading(packet, "final", _totals(packet, shown_return))
    return found


def _pay(packet: Packet, facts: Facts) -> Steps[StepResult]:
    """The payment is the one call that cannot be undone: look once more at the Return and at what was given back meanwhile."""
    return_id = int(packet.centra_id or 0)
    order = yield from returns.look(packet.payload["order_number"], facts)
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
    answer = yield Tell(
        _call(packet, return_id, facts, email, totals.total),
        remember={"given_without_return": str(order.given_without_return)},
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


def _recipient(packet: Packet, facts: Facts) -> Steps[str | NotNow]:
    """Who gets the gift card, where its template names an e-mail: read right before it is issued, sent, and kept nowhere.

    Looked at before the Return is made too, so that none is made whose gift card cannot be issued.
    """
    if facts.gift_card is None:
        return NotNow(say("no_gift_card_template"))
    if not gift_card.uses(facts.gift_card, "email"):
        return ""
    data = yield Ask("ReadRecipient", {"orderNumber": [int(packet.payload["order_number"])]})
    order = data["orders"][0] if data["orders"] else {}
    address, customer = order.get("shippingAddress") or {}, order.get("customer") or {}
    email: str | None = customer.get("email") or address.get("email")
    return email or NotNow(say("no_email_address"))


def _deleted(packet: Packet) -> Refused | Undone:
    """Nothing of it is left: what Centra refused is rejected, what only did not fit any more is planned again."""
    message = packet.message or "its Return was deleted"
    if packet.step == "undo":
        return Undone(message)
    # Sent one by one, what is too much together would pass in parts.
    return Refused(message, packet.members if packet.payload.get("differs_in") == "tax" else ())


def _take_back(
    packet: Packet, step: str, message: str, remember: dict[str, str] | None = None
) -> Advance | NotNow | Refused | Undone:
    """Go on to delete our Return, unpaid as it is. One that was there before is put back as it was."""
    if not packet.has_origin:
        return Advance(step, message=message, remember=remember or {})
    if packet.payload.get("uncompleted"):
        return Advance("complete", message=message, remember={**(remember or {}), "put_back": step})
    if packet.state == "new":
        return NotNow(message)
    return _deleted(packet.at(step, message=message))


def _completed(packet: Packet, record: dict[str, str]) -> Finished | Refused | Undone:
    """It is paid, or needs no payment; or it is put back as it was."""
    if step := packet.payload.get("put_back"):
        return _deleted(packet.at(step))
    return Finished(str(packet.centra_id), packet.message, record)


def _open_again(packet: Packet, facts: Facts) -> Steps[StepResult]:
    """Centra did not refund a completed Return: open it, then ask once more."""
    return_id = int(packet.centra_id or 0)
    answer = yield Tell(_call(packet, return_id, facts), remember={"uncompleted": True})
    if answer.refusal:
        found = returns.by_id((yield from returns.look(packet.payload["order_number"], facts)), return_id)
        if found is None:
            return _gone(packet)
        if found.is_completed:
            return InDoubt(f"Return {return_id} cannot be opened again: {answer.refusal}", "refused")
    return Advance(str(packet.payload["first_step"]))


def _gone(packet: Packet) -> InDoubt:
    paid = "whether it was paid is not certain" if packet.payments_sent else "nothing was paid"
    return InDoubt(f"our Return {packet.centra_id} is gone: somebody deleted it, {paid}", "gone")


def _refused_later(packet: Packet, facts: Facts, message: str, return_id: int) -> Steps[StepResult]:
    """Centra refused a step of a Return that exists: look what it is like now."""
    order = yield from returns.look(packet.payload["order_number"], facts)
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
    if packet.has_origin and found.is_completed and not packet.payload.get("uncompleted"):
        return Advance("uncomplete", remember={"given_without_return": None})
    return _take_back(packet.at(packet.step, state="sending"), "delete", message)


# ---------------------------------------------------------------- payments

_NOT_UNDERSTOOD = say("payment_of_return_unknown")


def _is_paid(packet: Packet, found: ReturnInCentra) -> bool:
    """A payment stands on the Return, whoever made it. A refund that failed was asked for once: it is not asked for again.

    On a Return that was there before, what failed earlier was not our payment.
    """
    is_gift_card = packet.payload["pays_through"] != "centra"
    ignored = ("refund_failed", "refund_answered") if packet.has_origin and not packet.payments_sent else ()
    return any(
        known and known.money not in ignored and (known.instrument == "original" or is_gift_card)
        for known in found.refunds
    )


def _after_payment(packet: Packet, found: ReturnInCentra, facts: Facts) -> Finished | Advance:
    """A refund completes its Return by itself, at once or when the provider has answered; a gift card does not."""
    record = _final(packet, found.shown, facts, found.paid)
    if packet.payload["pays_through"] != "centra" and not found.is_completed:
        return Advance("complete", str(found.return_id), _failed_payment(found.refunds), record)
    return Finished(str(found.return_id), _failed_payment(found.refunds), record)


def _failed_payment(refunds: Sequence[Payment | None]) -> str | None:
    failed = any(known is not None and known.money == "refund_failed" for known in refunds)
    return "the payment provider refused the refund" if failed else None


def _payment_elsewhere(packet: Packet, order: OrderInCentra) -> InDoubt | None:
    """Our payment was called for, and is not on the Return; but the order shows more given back without a Return than before.

    What was given on another Return is that one's.
    """
    before = packet.payload.get("given_without_return")
    if packet.payments_sent and before is not None and order.given_without_return > Decimal(before):
        more = shown(order.given_without_return - Decimal(before), packet.payload["currency"])
        return InDoubt(
            f"the order shows {more} more given back than before our payment, and not on our Return", "unpaid"
        )
    return None


# ---------------------------------------------------------------- looking up


def look_up(packet: Packet, facts: Facts) -> Steps[LookUpResult]:
    """How far a packet in doubt came, as Centra shows it."""
    order = yield from returns.look(packet.payload["order_number"], facts)
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
            return Advance(str(packet.payload["first_step"]), remember={"uncompleted": True})
        case _:
            return Advance(packet.step)
