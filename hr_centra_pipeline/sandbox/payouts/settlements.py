"""Settlement files, batch by batch, from the payments in Centra's books and from what is planted to go wrong."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hr_centra_pipeline.sandbox.centra.markets import RATES

ZERO = Decimal(0)
BATCH = timedelta(days=3)
_FIRST = datetime(2024, 12, 31, tzinfo=UTC)
_DELIVERED_AFTER = timedelta(hours=5)
_BOOKED_AFTER = timedelta(hours=3)
_CARD = (
    "Company Account", "Merchant Account", "Psp Reference", "Merchant Reference", "Payment Method", "Creation Date", "TimeZone",
    "Type", "Modification Reference", "Gross Currency", "Gross Debit (GC)", "Gross Credit (GC)", "Exchange Rate", "Net Currency",
    "Net Debit (NC)", "Net Credit (NC)", "Commission (NC)", "Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)",
    "Payment Method Variant", "Modification Merchant Reference", "Batch Number", "Booking Date", "Booking Date TimeZone",
)  # fmt: skip
_WALLET = (
    "Transaction ID", "Invoice ID", "PayPal Reference ID", "PayPal Reference ID Type", "Transaction Event Code",
    "Transaction Initiation Date", "Transaction Completion Date", "Transaction Debit or Credit", "Gross Transaction Amount",
    "Gross Transaction Currency", "Fee Debit or Credit", "Fee Amount", "Fee Currency", "Custom Field", "Consumer ID",
)  # fmt: skip
_CARD_TYPES = {
    "capture": "Settled", "refund": "Refunded", "refund_reversed": "RefundedReversed", "chargeback": "Chargeback",
}  # fmt: skip
_WALLET_TYPES = {"capture": "T0006", "refund": "T1107", "chargeback": "T1201"}


@dataclass(frozen=True)
class Movement:
    """One line: ``amount`` in the order's currency, positive when it reaches the merchant."""

    kind: str
    order_number: int
    reference: str
    payment_reference: str
    currency: str
    amount: Decimal
    at: datetime


def batches(since: datetime, until: datetime) -> Iterable[tuple[int, datetime, datetime]]:
    """(number, begin, end) of every batch that was delivered after ``since`` and by ``until``."""
    number = max(0, (since - _DELIVERED_AFTER - _FIRST) // BATCH)
    while (end := _FIRST + (number + 1) * BATCH) + _DELIVERED_AFTER <= until:
        if end + _DELIVERED_AFTER > since:
            yield number, end - BATCH, end
        number += 1


def delivered_at(end: datetime) -> datetime:
    """When the files of a batch come."""
    return end + _DELIVERED_AFTER


def movements(payments: Sequence[dict[str, Any]], quirks: Sequence[dict[str, Any]]) -> list[Movement]:
    """What the providers book for Centra's payment entries, with what is planted to go wrong.

    ``quirks``: ``{"order_number", "kind", …}``. short: the refund is less by ``amount``. missing: it is not booked. reversed: it
    comes back ``hours`` later. chargeback and extra: a line of ``amount`` and ``currency`` at ``at`` that Centra knows nothing of.
    """
    found = []
    # A payment is known by its authorisation's number, where there is one; each booking by its own.
    paid = {
        entry["order_number"]: entry["own_reference"]
        for kind in ("CAPTURE", "AUTH")
        for entry in payments
        if entry["entry_type"] == kind
    }
    by_order = {quirk["order_number"]: quirk for quirk in quirks}
    for entry in payments:
        if entry["status"] != "SUCCESS" or entry["entry_type"] not in ("CAPTURE", "REFUND"):
            continue
        number, reference, value = entry["order_number"], entry["own_reference"], abs(entry["value"])
        booked = datetime.fromisoformat(entry["created_at"]) + _BOOKED_AFTER
        payment = paid.get(number, reference)
        if entry["entry_type"] == "CAPTURE":
            found.append(Movement("capture", number, reference, payment, entry["currency"], value, booked))
            continue
        quirk = by_order.get(number, {"kind": ""})
        if quirk["kind"] == "missing":
            continue
        amount = value - (Decimal(quirk["amount"]) if quirk["kind"] == "short" else ZERO)
        found.append(Movement("refund", number, reference, payment, entry["currency"], -amount, booked))
        if quirk["kind"] == "reversed":
            later = booked + timedelta(hours=quirk["hours"])
            found.append(Movement("refund_reversed", number, reference, payment, entry["currency"], amount, later))
    for position, quirk in enumerate(quirks, start=1):
        if quirk["kind"] in ("chargeback", "extra"):
            kind = "refund" if quirk["kind"] == "extra" else "chargeback"
            number = quirk["order_number"]
            found.append(
                Movement(
                    kind, number, f"dash-{position:06d}", paid.get(number, ""), quirk["currency"],
                    -Decimal(quirk["amount"]), datetime.fromisoformat(quirk["at"]),
                )
            )  # fmt: skip
    return sorted(found, key=lambda one: (one.at, one.reference, one.kind))


def card_file(number: int, lines: Sequence[Movement], end: datetime, *, off: Decimal = ZERO) -> bytes:
    """The card processor's file of one batch; ``off``: its payout is wrong by so much."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, _CARD, restval="", lineterminator="\n")
    writer.writeheader()
    total = ZERO
    for line in lines:
        rate = RATES[line.currency]  # the card processor settles in euro
        commission = _cents(abs(line.amount) * rate * Decimal("0.012")) if line.kind == "capture" else ZERO
        net = _cents(line.amount * rate) - commission
        total += net
        writer.writerow(
            {
                **_common(line.at, number), "Psp Reference": line.payment_reference, "Merchant Reference": line.order_number,
                "Payment Method": "visa", "Payment Method Variant": "visacredit",
                "Modification Merchant Reference": line.order_number, "Type": _CARD_TYPES[line.kind],
                "Modification Reference": line.reference,
                "Gross Currency": line.currency, "Exchange Rate": rate, "Net Currency": "EUR",
                "Gross Debit (GC)": -line.amount if line.amount < 0 else "",
                "Gross Credit (GC)": line.amount if line.amount > 0 else "", "Net Debit (NC)": -net if net < 0 else "",
                "Net Credit (NC)": net if net >= 0 else "", "Commission (NC)": commission or "",
            }
        )  # fmt: skip
    fee = Decimal("0.10") * len(lines)
    total -= fee
    writer.writerow(
        {
            **_common(end, number), "Type": "Fee", "Modification Reference": "Transaction Fees", "Net Currency": "EUR",
            "Net Debit (NC)": fee,
        }
    )  # fmt: skip
    payout = total + off
    side = "Net Debit (NC)" if payout >= 0 else "Net Credit (NC)"
    writer.writerow(
        {
            **_common(end, number), "Type": "MerchantPayout", "Modification Reference": f"payout {number}", "Net Currency": "EUR",
            side: abs(payout),
        }
    )  # fmt: skip
    return buffer.getvalue().encode()


def _common(at: datetime, number: int) -> dict[str, Any]:
    local = at.astimezone(ZoneInfo("Europe/Amsterdam"))
    return {
        "Company Account": "DemoGroup", "Merchant Account": "DemoShop", "Creation Date": f"{local:%Y-%m-%d %H:%M:%S}",
        "TimeZone": f"{local:%Z}", "Batch Number": number, "Booking Date": f"{local:%Y-%m-%d %H:%M:%S}",
        "Booking Date TimeZone": f"{local:%Z}",
    }  # fmt: skip


def wallet_file(lines: Sequence[Movement], begin: datetime, end: datetime) -> bytes:
    """The wallet's report of one batch: typed records, amounts in cents, a footer per currency."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["RH", _stamp(end), "A", "DEMOSHOP", "9"])
    writer.writerow(["FH", 1])
    writer.writerow(["SH", _stamp(begin), _stamp(end), "DEMOSHOP"])
    writer.writerow(["CH", *_WALLET])
    sums: dict[str, list[Decimal]] = {}
    for line in lines:
        fee = _cents(line.amount * Decimal("0.0249")) if line.kind == "capture" else ZERO
        writer.writerow(
            [
                "SB", line.reference, line.order_number, line.payment_reference, "TXN", _WALLET_TYPES[line.kind], _stamp(line.at),
                _stamp(line.at), _side(line.amount), _whole(line.amount), line.currency, _side(-fee) if fee else "",
                _whole(fee) if fee else "", line.currency if fee else "", "", "",
            ]
        )  # fmt: skip
        of = sums.setdefault(line.currency, [ZERO, ZERO, ZERO, ZERO])
        of[0 if line.amount > 0 else 1] += abs(line.amount)
        of[3] += fee
    for currency, amounts in sorted(sums.items()):
        writer.writerow(["SF", currency, *(_whole(amount) for amount in amounts)])
    writer.writerow(["SC", len(lines)])
    return buffer.getvalue().encode()


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y/%m/%d %H:%M:%S} +0000"


def _side(amount: Decimal) -> str:
    return "CR" if amount > 0 else "DR"


def _whole(amount: Decimal) -> str:
    return str(int(abs(amount) * 100))


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
