"""What credits and exchanges share: Returns as they are made, and as Centra shows them on an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.core.codes import Said, say
from hr_centra_pipeline.core.keys import PACKET_KEY, effect_keys_in
from hr_centra_pipeline.core.money import kept
from hr_centra_pipeline.core.words import CentraWords, Payment
from hr_centra_pipeline.push import payments
from hr_centra_pipeline.push.facts import Facts
from hr_centra_pipeline.push.packets import Packet
from hr_centra_pipeline.push.steps import Answered, Ask, Call, Held, InDoubt, NotNow, Refused, Steps, members_of_path

_MOST_RETURNS = 50  # of one order, that LookAtOrder reads


@dataclass(frozen=True)
class Totals:
    """What a Return gives back, as Centra shows it at the moment.

    ``kept``: before tax is added to its values, or deducted from them; the rest is Centra's to say, and may still change.
    ``fee_tax``: of the tax that is added, what the return cost takes off.
    """

    kept: Decimal
    total: Decimal
    fee_tax: Decimal
    currency: str


@dataclass(frozen=True)
class ReturnInCentra:
    """One Return of an order. ``refunds``: its payment entries of refunds, ``None`` for one whose words have no meaning.

    ``paid``: by those that are paid or under way.
    """

    return_id: int
    comment: str
    external_id: str | None
    is_completed: bool
    shipment_id: int
    shown: dict[str, Any]
    quantities: dict[int, int]
    refunds: list[Payment | None]
    paid: Decimal

    @property
    def is_refunded(self) -> bool:
        """Money was given back on it, or was asked for and is not answered yet."""
        return any(known is not None and known.money in payments.GIVEN for known in self.refunds)

    @property
    def is_being_refunded(self) -> bool:
        """A refund was asked for, and is not answered yet."""
        return any(known is not None and known.money == "refund_pending" for known in self.refunds)

    @property
    def is_ours(self) -> bool:
        """It carries a packet key, of whatever packet."""
        return bool(PACKET_KEY.search(f"{self.comment} {self.external_id or ''}"))


@dataclass(frozen=True)
class OrderInCentra:
    """An order's Returns, money and shipment lines, as read just now. Amounts in the order's currency.

    ``given_without_return``: of what was given, that on no Return; ``given_to_others``: that to any payment but a gift card.
    ``paid_by_gift_card``: of what was captured.
    ``capture_pending``: requested from the payment provider and not confirmed yet. ``unknown_payments``: words of payment
    entries to which the policy gives no meaning; as long as there are any, nothing is known about the order's money.
    """

    captured: Decimal
    capture_pending: Decimal
    given: Decimal
    given_without_return: Decimal
    paid_by_gift_card: Decimal
    given_to_others: Decimal
    unknown_payments: tuple[str, ...]
    untied_refunds: bool
    returnable: dict[int, int]  # shipment line -> units shipped and on no Return
    returns: list[ReturnInCentra]


def look(order_number: str, facts: Facts) -> Steps[OrderInCentra | None]:
    """Read an order with its Returns; ``None`` when Centra does not show it."""
    data = yield Ask("LookAtOrder", {"orderNumber": [int(order_number)]})
    if not data["orders"]:
        return None
    order = data["orders"][0]
    entries = payments.read(order["paymentHistory"], facts.words)
    tied = facts.tied_entries
    return OrderInCentra(
        captured=payments.total(entries, "captured"),
        capture_pending=payments.total(entries, "capture_pending"),
        given=payments.given(entries),
        given_without_return=payments.given([entry for entry in entries if entry.return_id is None]),
        paid_by_gift_card=payments.total(payments.by(entries, "gift_card"), "captured"),
        given_to_others=payments.given(payments.by(entries, "original")),
        unknown_payments=tuple(entry.words for entry in entries if entry.did is None),
        untied_refunds=any(
            entry.is_given and entry.return_id is None and not {entry.entry_id, entry.request_id} & tied
            for entry in entries
        ),
        returnable={
            line["id"]: line["quantity"] - line["returnedQuantity"]
            for shipment in order["shipments"]
            for line in shipment["lines"]
        },
        returns=[_return(row, entries, facts.words) for row in data["returns"]],
    )


def _return(row: dict[str, Any], entries: Sequence[payments.Entry], words: CentraWords) -> ReturnInCentra:
    quantities: dict[int, int] = {}
    for line in row["lines"]:
        shipment_line_id = line["shipmentLine"]["id"]
        quantities[shipment_line_id] = quantities.get(shipment_line_id, 0) + line["quantity"]
    own = [entry for entry in entries if entry.return_id == row["id"]]
    return ReturnInCentra(
        return_id=row["id"],
        comment=row["comment"] or "",
        external_id=row["externalId"],
        is_completed=words.return_status.meaning_of(row["returnStatus"]) == "completed",
        shipment_id=row["shipment"]["id"],
        shown=row,
        quantities=quantities,
        refunds=[entry.did for entry in own if entry.did is None or entry.did.is_refund],
        paid=payments.given(own),
    )


def unknown_status(word: str) -> Said:
    """Why nothing is done about an order whose status the policy does not know."""
    return say("order_status_unknown", word)


def totals_of(shown: dict[str, Any], tax_mode: str | None) -> Totals:
    """A Return's totals as an operation shows them. ``tax_mode``: its order's."""
    gross, net = Decimal(shown["grandTotal"]["value"]), kept(Decimal(shown["grandTotalNet"]["value"]))
    currency = shown["grandTotal"]["currency"]["code"]
    if tax_mode in (None, "included"):
        return Totals(gross, gross, Decimal(0), currency)
    deducted = abs(kept(Decimal(shown["totals"]["taxDeducted"]["value"])))  # Centra's sign of it is not documented
    if deducted:
        return Totals(net + deducted, net, Decimal(0), currency)
    rules = shown["totals"]["returnCostTaxRules"]
    fee_tax = abs(sum((kept(Decimal(rule["taxAdded"]["value"])) for rule in rules), Decimal(0)))
    return Totals(net, gross, fee_tax, currency)


# ---------------------------------------------------------------- reading


def by_id(order: OrderInCentra | None, return_id: int) -> ReturnInCentra | None:
    """One Return of an order."""
    return next((found for found in (order.returns if order else []) if found.return_id == return_id), None)


def ours(packet: Packet, order: OrderInCentra | None) -> ReturnInCentra | InDoubt | None:
    """The Return that carries a packet: known by its id, else by the marks in its comment; its quantities must agree.

    An external id alone proves nothing (Centra lets another Return take it over), and is not overlooked either.
    """
    returns = order.returns if order else []
    wanted = {line["shipment_line_id"]: line["quantity"] for line in packet.payload["lines"]}
    if packet.centra_id is not None:
        known = by_id(order, int(packet.centra_id))
        if known is not None and known.quantities == wanted:
            return known
        marked = [known] if known else [found for found in returns if packet.key in found.comment]
    else:
        marked = [found for found in returns if packet.key in f"{found.comment} {found.external_id or ''}"]
        if len(marked) == 1:
            (found,) = marked
            if set(packet.members) == set(effect_keys_in(found.comment)) and found.quantities == wanted:
                return found
    if not marked:
        return None
    ids = ", ".join(str(found.return_id) for found in marked)
    return InDoubt(f"Return {ids} carries our key {packet.key}, but not what we sent", "not_ours")


def problem_with(packet: Packet, order: OrderInCentra, facts: Facts) -> Held | NotNow | None:
    """Why a packet may not be made, by what Centra shows right now: its effects exist, or another user was faster."""
    if len(order.returns) >= _MOST_RETURNS:
        return NotNow(say("too_many_returns", "the order has", len(order.returns)))
    for found in order.returns:
        there = set(packet.members) & set(effect_keys_in(found.comment))
        if there or packet.key == found.external_id:
            members = tuple(member for member in packet.members if member in there or not there)
            return Held(members, say("in_centra_already", f"Return {found.return_id}"))
    for found in order.returns:
        if found.return_id not in facts.known_returns and not found.is_ours:
            members = members_on(packet, found.quantities)
            if members:
                return Held(members, say("made_meanwhile", found.return_id))
    for line in packet.payload["lines"]:
        left = order.returnable.get(line["shipment_line_id"])
        if left is None:
            return Held(tuple(line["members"]), say("line_gone", line["shipment_line_id"]))
        if left < line["quantity"]:
            reason = say("returned_meanwhile", line["shipment_line_id"], left, line["quantity"])
            return Held(tuple(line["members"]), reason)
    return None


def members_on(packet: Packet, quantities: dict[int, int]) -> tuple[str, ...]:
    """Members on any of these shipment lines: of a bundle, on its line or on that of any part."""
    return tuple(
        member
        for line in packet.payload["lines"]
        if not quantities.keys().isdisjoint([line["shipment_line_id"], *line.get("part_lines", [])])
        for member in line["members"]
    )


# ---------------------------------------------------------------- writing


def create(packet: Packet) -> Call:
    """``createReturn`` of a packet's lines and costs. The goods are not back yet, so stock is not touched.

    Costs are what Centra keeps: with tax where its prices include it, without where it adds tax.
    """
    payload = packet.payload
    voucher, fee = Decimal(payload.get("voucher", 0)), Decimal(payload.get("fee", 0))
    comment = payload["comment"]
    if payload.get("voucher_as_cost"):
        comment, voucher, fee = f"{comment} {_voucher_mark(packet)}", Decimal(0), fee + voucher

    def money(amount: str | Decimal) -> dict[str, Any]:
        return {"value": Decimal(amount), "currencyIsoCode": payload["currency"]}

    made: dict[str, Any] = {
        "shipment": {"id": payload["shipment_id"]},
        "lines": [
            {"shipmentLine": {"id": line["shipment_line_id"]}, "quantity": line["quantity"]}
            for line in payload["lines"]
        ],
        "returnStockActionPolicy": {"removeItemsFromStock": True},
        "comment": comment,
        "externalId": packet.key,
    }
    for amount, field in ((Decimal(payload.get("shipping", 0)), "shippingCost"), (voucher, "voucherValue")):
        if amount:
            made[field] = {"value": money(amount)}
    if fee:
        made["returnCost"] = money(fee)
    return Call("CreateReturn", {"input": made})


def _voucher_mark(packet: Packet) -> str:
    """Read again by ``sources/centra/staging.sql``: so much of the return cost is voucher."""
    return f"voucher {packet.payload['voucher']}"


def may_carry_voucher_as_cost(packet: Packet, answer: Answered, facts: Facts) -> bool:
    """Centra keeps an order's voucher on one shipment, and refuses a share of it on the Return of another.

    There the share is taken off as return cost, and marked as what it is: Centra's total is the planned one either way.
    """
    payload = packet.payload
    return (
        "voucherValue" in answer.path
        and payload.get("tax_mode", "included") == "included"
        and not payload.get("voucher_as_cost")
        and len(f"{payload['comment']} {_voucher_mark(packet)}") <= facts.comment_limit
    )


def complete(return_id: int | str, *, sends_email: bool) -> Call:
    """``completeReturn``: pays nothing."""
    return Call("CompleteReturn", {"id": return_id, "input": {"sendEmail": sends_email}})


def delete(return_id: int | str) -> Call:
    """``deleteReturn``: only ever of our own, unpaid Return."""
    return Call("DeleteReturn", {"id": return_id})


def creation_refused(packet: Packet, answer: Answered) -> Refused:
    """Who is to blame when Centra refuses ``createReturn``."""
    blamed = members_of_path(answer.path, {"lines": [line["members"] for line in packet.payload["lines"]]})
    for field, members in (("shippingCost", "shipping_members"), ("returnCost", "fee_members")):
        if field in answer.path:
            blamed = _one(packet.payload.get(members, []))
    return Refused(str(answer.refusal), blamed)


def _one(members: Sequence[str]) -> tuple[str, ...]:
    return tuple(members) if len(members) == 1 else ()
