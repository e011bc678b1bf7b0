"""A credit: the Return is created, its total read, then paid by who the policy says; else deleted again.

Where a replacement was canceled, its money is paid on the Return that it was made from (``has_origin``): that one is opened
again when Centra asks for it, and whatever happens it stays, as completed as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.core import gift_card
from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.core.words import Payment
from hr_centra_pipeline.push import returns
from hr_centra_pipeline.push.facts import Facts
from hr_centra_pipeline.push.packets import PAYING_STEPS, Packet
from hr_centra_pipeline.push.returns import OrderInCentra, ReturnInCentra
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

_UNWANTED = "it is not due any more"


def _step_after_creation(packet: Packet) -> str:
    if not Decimal(packet.payload["total"]):
        return "complete"  # nothing is to be paid: Centra refuses a refund of nothing
    return {"centra": "refund", "gift_card": "issue_credit", "elsewhere": "complete"}[packet.payload["pays_through"]]


def calls(packet: Packet, facts: Facts) -> list[Call]:
    """Every writing call of this packet in order; ``<…>`` stands for what Centra gives, or what is read right before."""
    steps = [packet.step] if packet.has_origin else ["create_return", _step_after_creation(packet)]
    if steps[-1] == "issue_credit":
        steps.append("complete")
    return [_call(packet.at(step), packet.centra_id or "<return>", facts, "<e-mail>") for step in steps]


def _call(packet: Packet, return_id: int | str, facts: Facts, email: str = "") -> Call:
    match packet.step:
        case "create_return":
            return returns.create(packet)
        case "refund":
            return Call("RefundReturn", {"id": return_id, "input": {"sendEmail": facts.emails.refund}})
        case "issue_credit":
            return _issue(packet, return_id, facts, email)
        case "complete":
            return returns.complete(return_id, facts)
        case "uncomplete":
            return Call("UncompleteReturn", {"id": return_id})
        case "delete" | "undo":
            return returns.delete(return_id)
    raise ValueError(f"a credit has no step {packet.step!r}")


def _issue(packet: Packet, return_id: int | str, facts: Facts, email: str) -> Call:
    """``issueCredit``: the gift card itself as the policy's template says."""
    payload = packet.payload
    values = {
        "email": email, "order_number": payload["order_number"], "return_id": str(return_id),
        "currency": payload["currency"], "amount": payload["total"],
    }  # fmt: skip
    credit = {
        "order": {"number": int(payload["order_number"])},
        "return": {"id": return_id},
        "amount": {"value": Decimal(payload["total"]), "currencyIsoCode": payload["currency"]},
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
    return_id = int(packet.centra_id or 0)
    if packet.step == "uncomplete":
        return (yield from _open_again(packet, facts))
    if packet.step == "complete" and not packet.has_origin and facts.unwanted_of(packet.members):
        found = returns.by_id((yield from returns.look(packet.payload["order_number"], facts)), return_id)
        if found is not None and None not in found.refunds and not _is_paid(packet, found):
            return Advance("undo", message=_UNWANTED)
    answer = yield Tell(_call(packet, return_id, facts))
    if answer.refusal:
        return (yield from _refused_later(packet, facts, answer.refusal, return_id))
    return _completed(packet) if packet.step == "complete" else _deleted(packet)


def _create(packet: Packet, facts: Facts) -> Steps[StepResult]:
    """Read the order right before anything is made: do the lines and the money still allow it?"""
    order = yield from returns.look(packet.payload["order_number"], facts)
    if order is None:
        return NotNow("Centra does not show the order")
    problem = returns.problem_with(packet, order, facts) or _money_problem(packet, order)
    if problem:
        return problem
    if _step_after_creation(packet) == "issue_credit":
        recipient = yield from _recipient(packet, facts)
        if isinstance(recipient, NotNow):
            return recipient
    answer = yield Tell(_call(packet, 0, facts))
    if answer.refusal:
        return returns.creation_refused(packet, answer)
    made = answer.payload["return"]
    return _checked(packet, int(made["id"]), made["grandTotal"])


def _money_problem(packet: Packet, order: OrderInCentra) -> NotNow | None:
    if packet.payload["pays_through"] == "elsewhere":
        return None
    currency = packet.payload["currency"]
    if order.unknown_payments:
        words = ", ".join(order.unknown_payments)
        return NotNow(f"the order shows payments whose meaning is not known ({words}): add the words to [centra.words]")
    if order.untied_refunds:
        return NotNow("a refund without a Return stands on the order: tie it to units first")
    left = order.captured - order.given
    if Decimal(packet.payload["total"]) > left:
        if Decimal(packet.payload["total"]) <= left + order.capture_pending:
            pending = shown(order.capture_pending, currency)
            return NotNow(f"the payment provider has not confirmed the capture of {pending} yet")
        return NotNow(
            f"{shown(order.captured, currency)} were captured and {shown(order.given, currency)} given back: "
            f"{shown(Decimal(packet.payload['total']), currency)} more would be too much"
        )
    return None


def _checked(packet: Packet, return_id: int, grand_total: dict[str, Any]) -> Advance:
    """Nothing is paid unless Centra's total is the planned one to the cent."""
    if _is_planned_total(packet, grand_total):
        return Advance(_step_after_creation(packet), str(return_id))
    return Advance("delete", str(return_id), _not_the_planned_total(packet, return_id, grand_total))


def _is_planned_total(packet: Packet, grand_total: dict[str, Any]) -> bool:
    planned, currency = Decimal(packet.payload["total"]), packet.payload["currency"]
    return Decimal(grand_total["value"]) == planned and bool(grand_total["currency"]["code"] == currency)


def _not_the_planned_total(packet: Packet, return_id: int, grand_total: dict[str, Any]) -> str:
    found = shown(Decimal(grand_total["value"]), grand_total["currency"]["code"])
    planned = shown(Decimal(packet.payload["total"]), packet.payload["currency"])
    return f"amount_mismatch: Centra's Return {return_id} gives {found} back, planned were {planned}"


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
        return _after_payment(packet, found)
    if not _is_planned_total(packet, found.grand_total):
        return _take_back(packet, "delete", _not_the_planned_total(packet, return_id, found.grand_total))
    if facts.unwanted_of(packet.members):
        return _take_back(packet, "undo", _UNWANTED)
    if doubt := _payment_elsewhere(packet, order):
        return doubt
    if problem := _money_problem(packet, order):
        return _take_back(packet, "undo", problem.reason)
    email = ""
    if packet.step == "issue_credit":
        recipient = yield from _recipient(packet, facts)
        if isinstance(recipient, NotNow):
            return _take_back(packet, "undo", recipient.reason)
        email = recipient
    answer = yield Tell(_call(packet, return_id, facts, email), remember={"given_before": str(order.given)})
    if answer.refusal:
        return (yield from _refused_later(packet, facts, answer.refusal, return_id))
    entries = answer.payload.get("paymentHistoryEntries") or []
    if not entries:
        return InDoubt("Centra said yes and showed no payment: it is looked up")
    if packet.step == "issue_credit":
        return Advance("complete")
    refunds = [facts.words.payment(entry["entryType"], entry["status"]) for entry in entries]
    return Finished(str(return_id), _failed_payment(refunds))


def _recipient(packet: Packet, facts: Facts) -> Steps[str | NotNow]:
    """Who gets the gift card, where its template names an e-mail: read right before it is issued, sent, and kept nowhere.

    Looked at before the Return is made too, so that none is made whose gift card cannot be issued.
    """
    if facts.gift_card is None:
        return NotNow("gift cards cannot be issued: the policy has no [gift_card] template")
    if not gift_card.uses(facts.gift_card, "email"):
        return ""
    data = yield Ask("ReadRecipient", {"orderNumber": [int(packet.payload["order_number"])]})
    order = data["orders"][0] if data["orders"] else {}
    address, customer = order.get("shippingAddress") or {}, order.get("customer") or {}
    email: str | None = customer.get("email") or address.get("email")
    return email or NotNow("the order shows no e-mail address for the gift card")


def _deleted(packet: Packet) -> Refused | Undone:
    """Nothing of it is left: what Centra refused is rejected, what only did not fit any more is planned again."""
    message = packet.message or "its Return was deleted"
    return Undone(message) if packet.step == "undo" else Refused(message)


def _take_back(packet: Packet, step: str, message: str) -> Advance | NotNow | Refused | Undone:
    """Go on to delete our Return, unpaid as it is. One that was there before is put back as it was."""
    if not packet.has_origin:
        return Advance(step, message=message)
    if packet.payload.get("uncompleted"):
        return Advance("complete", message=message, remember={"put_back": step})
    if packet.state == "new":
        return NotNow(message)
    return _deleted(packet.at(step, message=message))


def _completed(packet: Packet) -> Finished | Refused | Undone:
    """It is paid, or needs no payment; or it is put back as it was."""
    if step := packet.payload.get("put_back"):
        return _deleted(packet.at(step))
    return Finished(str(packet.centra_id), packet.message)


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
            return _after_payment(packet, found)
        return InDoubt(f"{packet.message}; and our Return {return_id} cannot be deleted: {message}", "refused")
    if found is None:
        return _gone(packet)
    if packet.step == "complete":
        if found.is_completed:
            return _completed(packet)
        return InDoubt(f"Return {return_id} cannot be completed: {message}", "refused")
    if _is_paid(packet, found):
        return _after_payment(packet, found)
    if packet.has_origin and found.is_completed and not packet.payload.get("uncompleted"):
        return Advance("uncomplete", remember={"given_before": None})
    return _take_back(packet.at(packet.step, state="sending"), "delete", message)


# ---------------------------------------------------------------- payments

_NOT_UNDERSTOOD = "its Return shows a payment whose meaning is not known: add its words to [centra.words] in the policy"


def _is_paid(packet: Packet, found: ReturnInCentra) -> bool:
    """A payment stands on the Return, whoever made it. A refund that failed was asked for once: it is not asked for again."""
    is_gift_card = packet.payload["pays_through"] != "centra"
    return any(known and (known.instrument == "original" or is_gift_card) for known in found.refunds)


def _after_payment(packet: Packet, found: ReturnInCentra) -> Finished | Advance:
    """A refund completes its Return by itself, at once or when the provider has answered; a gift card does not."""
    if packet.payload["pays_through"] != "centra" and not found.is_completed:
        return Advance("complete", str(found.return_id), _failed_payment(found.refunds))
    return Finished(str(found.return_id), _failed_payment(found.refunds))


def _failed_payment(refunds: Sequence[Payment | None]) -> str | None:
    failed = any(known is not None and known.money == "refund_failed" for known in refunds)
    return "the payment provider refused the refund" if failed else None


def _payment_elsewhere(packet: Packet, order: OrderInCentra) -> InDoubt | None:
    """Our payment was called for, and is not on the Return; but the order shows more given back than before the call."""
    before = packet.payload.get("given_before")
    if packet.payments_sent and before is not None and order.given > Decimal(before):
        more = shown(order.given - Decimal(before), packet.payload["currency"])
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
        return _after_payment(packet, found)
    match packet.step:
        case "create_return":
            return _checked(packet, found.return_id, found.grand_total)
        case "refund" | "issue_credit" if packet.payments_sent:
            # Never empty here: an order without our Return was dealt with above.
            return (_payment_elsewhere(packet, order) if order else None) or Absent(paid=True)
        case "complete" if found.is_completed:
            return _completed(packet.at("complete", centra_id=str(found.return_id)))
        case "uncomplete" if not found.is_completed:
            return Advance(str(packet.payload["first_step"]), remember={"uncompleted": True})
        case _:
            return Advance(packet.step)
