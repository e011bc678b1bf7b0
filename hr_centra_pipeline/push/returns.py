"""What credits and exchanges share: Returns as they are made, and as Centra shows them on an order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Any

from pydantic import BaseModel, ConfigDict

from hr_centra_pipeline.core.codes import Said, say
from hr_centra_pipeline.core.keys import PACKET_KEY, effect_keys_in, packet_key, without_keys
from hr_centra_pipeline.core.money import kept
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.core.words import GIVEN_BACK, CentraWords, Payment
from hr_centra_pipeline.push import payments
from hr_centra_pipeline.push.facts import Facts
from hr_centra_pipeline.push.operations.grouping import ANY_KEY
from hr_centra_pipeline.push.packets import Effect, Packet, Payload
from hr_centra_pipeline.push.steps import Answered, Call, Held, InDoubt, NotNow, Query, Refused, Steps, members_of_path

_MOST_RETURNS = 50  # of one order, that LookAtOrder reads


# ---------------------------------------------------------------- what is frozen


class ReturnLine(BaseModel):
    """One shipment line of a Return, with the units of it that are members: of a bundle its line, and the lines of its parts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shipment_line_id: int
    quantity: int
    members: tuple[str, ...]
    part_lines: tuple[int, ...] = ()


@dataclass(frozen=True)
class ReturnCosts:
    """What a Return keeps or adds beside its goods, and its comment, as ``createReturn`` gets them."""

    comment: str
    voucher: Decimal = Decimal(0)
    shipping: Decimal = Decimal(0)
    fee: Decimal = Decimal(0)


class ReturnPayload(Payload):
    """What every packet that makes a Return has in common. ``voucher``: the share of the order's voucher on its units.

    ``comment``: empty where it was rebuilt from Centra; a credit that is paid on an earlier Return writes none.
    """

    order_number: str
    shipment_id: int | None
    currency: str
    lines: tuple[ReturnLine, ...]
    voucher: Decimal | None = None
    comment: str = ""

    @property
    def orders(self) -> tuple[str, ...]:
        """The order of its Return."""
        return (self.order_number,)

    @property
    def units(self) -> tuple[str, ...]:
        """Members on its lines; fees and shipping ride with them."""
        return tuple(member for line in self.lines for member in line.members)

    @property
    def costs(self) -> ReturnCosts:
        """As they are written."""
        return ReturnCosts(self.comment, self.voucher or Decimal(0))


def lines_of(members: Iterable[Effect]) -> tuple[ReturnLine, ...]:
    """One per shipment line that is named, with the units of it that are members: of a bundle its parts."""
    lines: dict[int, dict[str, Any]] = {}
    seen: set[str] = set()
    for effect in members:
        named = effect.bundle_shipment_line_id if effect.bundle else effect.shipment_line_id
        if named is not None:
            line = lines.setdefault(named, {"shipment_line_id": named, "quantity": 0, "members": []})
            line["members"].append(effect.effect_key)
            if effect.bundle is None:
                line["quantity"] += effect.quantity
                continue
            line["quantity"] += effect.bundle not in seen
            seen.add(effect.bundle)
            parts = line.setdefault("part_lines", [])
            if effect.shipment_line_id not in parts:
                parts.append(effect.shipment_line_id)
    return tuple(ReturnLine.model_validate(line) for line in lines.values())


def lines_found(row: Mapping[str, Any]) -> tuple[ReturnLine, ...]:
    """The lines of a Return that was found half done (a row of ``half_done.sql``)."""
    return tuple(
        ReturnLine(shipment_line_id=line["shipment_line_id"], quantity=line["quantity"], members=line["members"])
        for line in row["lines"]
    )


def comment(members: Sequence[Effect], limit: int, key: str | None = None) -> str:
    """The marks in a Return's comment: packet key, then per return its express code, its id and its members' keys.

    Refund ids come last, where they still fit: nothing is rebuilt from them.
    """
    parts = [key or packet_key(effect.effect_key for effect in members)]
    for return_id, of_return in groupby(sorted(members, key=lambda effect: effect.return_id), lambda e: e.return_id):
        effects = list(of_return)
        code = next((effect.express_code for effect in effects if effect.express_code), None)
        about = [without_keys(part) for part in (code, return_id) if part]
        parts += ["RMA", *about, *(effect.effect_key for effect in effects)]
    text = " ".join(parts)
    refunds = " ".join(
        dict.fromkeys(f"refund {without_keys(effect.refund_id)}" for effect in members if effect.refund_id)
    )
    return f"{text} {refunds}" if refunds and len(text) + 1 + len(refunds) <= limit else text


def comment_fits(members: Sequence[Effect], policy: Policy) -> bool:
    """Whether the marks of these members fit into one comment."""
    return len(comment(members, 0, ANY_KEY)) <= policy.centra.comment_limit


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
        return any(known is not None and known.money in GIVEN_BACK for known in self.refunds)

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
    data = yield Query("LookAtOrder", {"orderNumber": [int(order_number)]})
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


def ours(packet: Packet[ReturnPayload], order: OrderInCentra | None) -> ReturnInCentra | InDoubt | None:
    """The Return that carries a packet: known by its id, else by the marks in its comment; its quantities must agree.

    An external id alone proves nothing (Centra lets another Return take it over), and is not overlooked either.
    """
    returns = order.returns if order else []
    wanted = {line.shipment_line_id: line.quantity for line in packet.payload.lines}
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


def problem_with(packet: Packet[ReturnPayload], order: OrderInCentra, facts: Facts) -> Held | NotNow | None:
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
    for line in packet.payload.lines:
        left = order.returnable.get(line.shipment_line_id)
        if left is None:
            return Held(line.members, say("line_gone", line.shipment_line_id))
        if left < line.quantity:
            return Held(line.members, say("returned_meanwhile", line.shipment_line_id, left, line.quantity))
    return None


def members_on(packet: Packet[ReturnPayload], quantities: dict[int, int]) -> tuple[str, ...]:
    """Members on any of these shipment lines: of a bundle, on its line or on that of any part."""
    return tuple(
        member
        for line in packet.payload.lines
        if not quantities.keys().isdisjoint([line.shipment_line_id, *line.part_lines])
        for member in line.members
    )


# ---------------------------------------------------------------- writing


def create(packet: Packet[ReturnPayload]) -> Call:
    """``createReturn`` of a packet's lines and costs. The goods are not back yet, so stock is not touched.

    Costs are what Centra keeps: with tax where its prices include it, without where it adds tax.
    """
    payload, costs = packet.payload, packet.payload.costs

    def money(amount: Decimal) -> dict[str, Any]:
        return {"value": amount, "currencyIsoCode": payload.currency}

    made: dict[str, Any] = {
        "shipment": {"id": payload.shipment_id},
        "lines": [{"shipmentLine": {"id": line.shipment_line_id}, "quantity": line.quantity} for line in payload.lines],
        "returnStockActionPolicy": {"removeItemsFromStock": True},
        "comment": costs.comment,
        "externalId": packet.key,
    }
    for amount, field in ((costs.shipping, "shippingCost"), (costs.voucher, "voucherValue")):
        if amount:
            made[field] = {"value": money(amount)}
    if costs.fee:
        made["returnCost"] = money(costs.fee)
    return Call("CreateReturn", {"input": made})


def complete(return_id: int | str, *, sends_email: bool) -> Call:
    """``completeReturn``: pays nothing."""
    return Call("CompleteReturn", {"id": return_id, "input": {"sendEmail": sends_email}})


def delete(return_id: int | str) -> Call:
    """``deleteReturn``: only ever of our own, unpaid Return."""
    return Call("DeleteReturn", {"id": return_id})


def creation_refused(
    packet: Packet[ReturnPayload], answer: Answered, costs: Mapping[str, Sequence[str]] | None = None
) -> Refused:
    """Who is to blame when Centra refuses ``createReturn``. ``costs``: the members that a cost is made of, by its field."""
    blamed = members_of_path(answer.path, {"lines": [line.members for line in packet.payload.lines]})
    for field, members in (costs or {}).items():
        if field in answer.path:
            blamed = _one(members)
    return Refused(str(answer.refusal), blamed)


def _one(members: Sequence[str]) -> tuple[str, ...]:
    return tuple(members) if len(members) == 1 else ()
