"""A credit: the Return is created, its total read, then paid by who the policy says; else deleted again."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.push import returns
from hr_centra_pipeline.push.packets import Packet
from hr_centra_pipeline.push.results import (
    Absent,
    Advance,
    Finished,
    InDoubt,
    LookUpResult,
    NotNow,
    Refused,
    StepResult,
    Undone,
)
from hr_centra_pipeline.push.returns import OrderInCentra, ReturnInCentra
from hr_centra_pipeline.push.wire import Call, Wire

_STEP_AFTER_CREATION = {"centra": "refund", "gift_card": "issue_credit", "elsewhere": "complete"}


def calls(packet: Packet) -> list[Call]:
    """Every writing call of this packet in order; ``<return>`` stands for the id that Centra gives."""
    steps = ["create_return", _STEP_AFTER_CREATION[packet.payload["pays_through"]]]
    if steps[-1] == "issue_credit":
        steps.append("complete")
    return [_call(packet.at(step), packet.centra_id or "<return>") for step in steps]


def _call(packet: Packet, return_id: int | str) -> Call:
    payload = packet.payload
    match packet.step:
        case "create_return":
            return returns.create(packet)
        case "refund":
            return Call("RefundReturn", {"id": return_id, "input": {"sendEmail": False}})
        case "issue_credit":
            # No code of ours: Centra makes one, since a key that stands in comments must not be worth money.
            credit = {
                "order": {"number": int(payload["order_number"])},
                "return": {"id": return_id},
                "amount": {"value": Decimal(payload["total"]), "currencyIsoCode": payload["currency"]},
                "giftCard": {},
            }
            return Call("IssueCredit", {"input": credit})
        case "complete":
            return returns.complete(return_id)
        case "delete" | "undo":
            return returns.delete(return_id)
    raise ValueError(f"a credit has no step {packet.step!r}")


def last_look(packet: Packet, wire: Wire) -> StepResult | None:
    """Read the order right before anything is made: do the lines and the money still allow it?

    Returns ``None`` when they do.
    """
    order = returns.look(wire, packet.payload["order_number"])
    if order is None:
        return NotNow("Centra does not show the order")
    if problem := returns.already_there(packet, order) or returns.lines_taken(packet, order):
        return NotNow(problem)
    return _money_problem(packet, order)


def _money_problem(packet: Packet, order: OrderInCentra) -> NotNow | None:
    if packet.payload["pays_through"] == "elsewhere":
        return None
    currency = packet.payload["currency"]
    if order.untied_refunds:
        return NotNow("a refund without a Return stands on the order: tie it to units first")
    left = order.captured - order.given
    if Decimal(packet.payload["total"]) > left:
        return NotNow(
            f"{shown(order.captured, currency)} were captured and {shown(order.given, currency)} given back: "
            f"{shown(Decimal(packet.payload['total']), currency)} more would be too much"
        )
    return None


def advance(packet: Packet, wire: Wire) -> StepResult:
    """Do one step."""
    if packet.step == "create_return":
        problem = last_look(packet, wire)
        if problem:
            return problem
        return _created(packet, wire)
    return_id = int(packet.centra_id or 0)
    if packet.step in ("refund", "issue_credit"):
        # The payment is the one call that cannot be undone: look once more at what was given back meanwhile.
        order = returns.look(wire, packet.payload["order_number"])
        found = returns.by_id(order, return_id)
        if order is None or found is None:
            return InDoubt("our Return is gone, before it was paid", needs_person=True)
        if _is_paid(packet, found):
            return _after_payment(packet, found)
        if problem := _money_problem(packet, order):
            return Advance("undo", message=problem.reason)
    answer = wire.write(packet, _call(packet, return_id))
    if answer.refusal:
        return _refused_later(packet, wire, answer.refusal, return_id)
    match packet.step:
        case "refund":
            return Finished(str(return_id), _failed_payment(answer.payload.get("paymentHistoryEntries") or []))
        case "issue_credit":
            return Advance("complete")
        case "complete":
            return Finished(str(return_id))
        case _:
            return _deleted(packet)


def _deleted(packet: Packet) -> Refused | Undone:
    """Nothing of it is left: what Centra refused is rejected, what only did not fit any more is planned again."""
    message = packet.message or "its Return was deleted"
    return Undone(message) if packet.step == "undo" else Refused(message)


def _created(packet: Packet, wire: Wire) -> StepResult:
    answer = wire.write(packet, _call(packet, 0))
    if answer.refusal:
        return returns.creation_refused(packet, answer)
    made = answer.payload["return"]
    return _checked(packet, int(made["id"]), made["grandTotal"])


def _checked(packet: Packet, return_id: int, grand_total: dict[str, Any]) -> Advance:
    """Nothing is paid unless Centra's total is the planned one to the cent."""
    planned, currency = Decimal(packet.payload["total"]), packet.payload["currency"]
    if Decimal(grand_total["value"]) == planned and grand_total["currency"]["code"] == currency:
        return Advance(_STEP_AFTER_CREATION[packet.payload["pays_through"]], str(return_id))
    found = shown(Decimal(grand_total["value"]), grand_total["currency"]["code"])
    message = (
        f"amount_mismatch: Centra's Return {return_id} gives {found} back, planned were {shown(planned, currency)}"
    )
    return Advance("delete", str(return_id), message)


def _refused_later(packet: Packet, wire: Wire, message: str, return_id: int) -> StepResult:
    """Centra refused a step of a Return that exists: look what it is like now."""
    found = returns.by_id(returns.look(wire, packet.payload["order_number"]), return_id)
    if packet.step in ("delete", "undo"):
        if found is None:
            return _deleted(packet)
        return InDoubt(f"{packet.message}; and our Return {return_id} cannot be deleted: {message}", needs_person=True)
    if found is None:
        return InDoubt(f"our Return {return_id} is gone: {message}", needs_person=True)
    if packet.step == "complete":
        if found.is_completed:
            return Finished(str(return_id))
        return InDoubt(f"Return {return_id} cannot be completed: {message}", needs_person=True)
    if _is_paid(packet, found):
        return _after_payment(packet, found)
    return Advance("delete", message=message)


def _is_paid(packet: Packet, found: ReturnInCentra) -> bool:
    kinds = {"REFUND_GIFT_CARD"} if packet.payload["pays_through"] == "gift_card" else _REFUNDS
    return any(entry["entryType"] in kinds for entry in found.payments)


_REFUNDS = {"REFUND", "REFUND_REQUEST", "REFUND_FAILED"}


def _after_payment(packet: Packet, found: ReturnInCentra) -> Finished | Advance:
    if packet.payload["pays_through"] == "gift_card" and not found.is_completed:
        return Advance("complete", str(found.return_id))
    return Finished(str(found.return_id), _failed_payment(found.payments))


def _failed_payment(entries: list[dict[str, Any]]) -> str | None:
    """A refund that the provider refused was still asked for once: it is not retried by us."""
    failed = any(entry["entryType"] == "REFUND_FAILED" or entry.get("status") == "FAILED" for entry in entries)
    return "the payment provider refused the refund" if failed else None


def look_up(packet: Packet, wire: Wire) -> LookUpResult:
    """How far a packet in doubt came, as Centra shows it."""
    order = returns.look(wire, packet.payload["order_number"])
    found = returns.ours(packet, order)
    if isinstance(found, InDoubt):
        return found
    if found is None:
        if packet.step == "create_return":
            return Absent()
        if packet.step in ("delete", "undo"):
            return _deleted(packet)
        return InDoubt(f"our Return {packet.centra_id} is gone, before {packet.step} was certain", needs_person=True)
    match packet.step:
        case "create_return":
            return _checked(packet, found.return_id, found.grand_total)
        case "refund" | "issue_credit":
            return _after_payment(packet, found) if _is_paid(packet, found) else Absent(paid=True)
        case "complete" if found.is_completed:
            return Finished(str(found.return_id))
        case _:
            return Advance(packet.step)
