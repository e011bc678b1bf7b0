"""Taxes of orders, shipments and Returns: in the prices, added to them by a tax engine, or deducted from them for export.

Values are kept as the price list has them. An engine is asked when an order is placed, when it is packed and shipped, and
for a Return twice: at its creation, which is an estimate, and at its completion, which is final. When it does not answer,
the country's own rate is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from hr_centra_pipeline.sandbox.centra import postal_addresses
from hr_centra_pipeline.sandbox.centra.centra_database import Row, rounded, tax_in, unrounded_tax_in
from hr_centra_pipeline.sandbox.centra.markets import StateTax, country_of, state_tax_of
from hr_centra_pipeline.sandbox.centra.payment_desk import ZERO, PaymentDesk

Mode = Literal["included", "added", "deducted"]
Subject = Literal["order", "shipment", "return"]
_HUNDRED = Decimal(100)
_LINES = {
    "order": (
        "select id, quantity, unit_price, tax_percent, null as shipment_line_id from order_lines"
        " where order_number = ? and kind <> 'part' order by id"
    ),
    "shipment": (
        "select shipment_lines.id, shipment_lines.quantity, unit_price, tax_percent, shipment_lines.id as shipment_line_id"
        " from shipment_lines join order_lines on order_lines.id = order_line_id where shipment_id = ? and kind <> 'part'"
        " order by order_lines.id"
    ),
    "return": (
        "select return_lines.id, return_lines.quantity, case kind when 'part' then worth else unit_price end as unit_price,"
        " tax_percent, shipment_line_id from return_lines"
        " join shipment_lines on shipment_lines.id = shipment_line_id join order_lines on order_lines.id = order_line_id"
        " where return_id = ? order by return_lines.id"
    ),
}


@dataclass(frozen=True)
class Part:
    """Something that is taxed: a line (``line <id>``) or a cost. ``value``: negative where it is taken off."""

    name: str
    value: Decimal
    percent: Decimal
    quantity: int = 1
    unit_price: Decimal = ZERO

    @property
    def is_line(self) -> bool:
        """Goods, as opposed to a cost or a voucher."""
        return self.name.startswith("line ")


@dataclass(frozen=True)
class Tax:
    """The tax of one part, or of all of them: negative where the part is taken off."""

    percent: Decimal = ZERO
    included: Decimal = ZERO
    added: Decimal = ZERO
    deducted: Decimal = ZERO

    @property
    def owed(self) -> Decimal:
        """What the tax authority gets of it: what was deducted is not owed."""
        return self.included + self.added

    @property
    def on_top(self) -> Decimal:
        """What the customer pays beyond the value; negative: pays less."""
        # Not documented, assumption: behaviour.deducted_tax_sign
        return self.added - self.deducted


def total(taxes: Mapping[str, Tax]) -> Tax:
    """The tax of all parts."""
    return Tax(
        included=sum((tax.included for tax in taxes.values()), ZERO),
        added=sum((tax.added for tax in taxes.values()), ZERO),
        deducted=sum((tax.deducted for tax in taxes.values()), ZERO),
    )


class TaxDesk(PaymentDesk):
    """Knows what tax an object has, and asks the engine where there is one."""

    def tax_mode(self, country: str) -> Mode:
        """How an order to that country is taxed."""
        if country in self.settings.tax_engine_countries:
            return "added"
        return "deducted" if country in self.settings.export_countries else "included"

    def taxes_of(self, subject: Subject, row: Row) -> dict[str, Tax]:
        """The tax of each part of an order, shipment or Return as it is now, by the part's name."""
        order = row if subject == "order" else self.order(row["order_number"])
        if order["tax_mode"] == "added":
            return {
                found["part"]: Tax(found["percent"], added=found["amount"])
                for found in self.rows(
                    "select * from taxes where subject = ? and subject_id = ? order by rowid",
                    [subject, _key(subject, row)],
                )
            }
        currency, field = order["currency"], order["tax_mode"]
        found = {
            part.name: Tax(part.percent, **{field: self._tax_within(part, currency, field)})
            for part in self._parts(subject, row)
        }
        # The return cost's tax code is not set in the shop's own rules.
        return {name: tax for name, tax in found.items() if name != "return_cost"}

    def tax_within(self, gross: Decimal, percent: Decimal, currency: str, mode: Mode) -> Decimal:
        """The tax that a price contains, as this shop shows it."""
        # Not documented, assumption: behaviour.tax_rounding
        if mode == "included" and self.settings.shows_unrounded_tax:
            return unrounded_tax_in(gross, percent)
        return tax_in(gross, percent, currency)

    def _tax_within(self, part: Part, currency: str, mode: Mode) -> Decimal:
        """Of a line each unit's, times its quantity."""
        if part.is_line:
            return part.quantity * self.tax_within(part.unit_price, part.percent, currency, mode)
        return self.tax_within(abs(part.value), part.percent, currency, mode).copy_sign(part.value)

    def engine_tax(self, subject: Subject, subject_id: int, line_id: int) -> Tax:
        """What the engine made of a line."""
        found = self.row(
            "select percent, amount from taxes where subject = ? and subject_id = ? and part = ?",
            [subject, subject_id, f"line {line_id}"],
        )
        return Tax(found["percent"], added=found["amount"]) if found else Tax()

    def assess(self, subject: Subject, row: Row, *, is_final: bool = False) -> None:
        """Ask the engine, and keep its answer; nothing where there is none. ``is_final``: of a Return that is completed."""
        order = row if subject == "order" else self.order(row["order_number"])
        if order["tax_mode"] != "added":
            return
        parts = self._parts(subject, row)
        subject_id = _key(subject, row)
        if self._engine_fails(subject, row, is_final):
            taxes = _by_own_rules(parts, order)
        else:
            taxes = _by_engine(parts, order, taxes_return_cost=self.settings.tax_engine_taxes_return_cost)
            if subject == "return":
                taxes = self._changed(row, self._within_its_sale(row, taxes), is_final=is_final)
        known = self.rows(
            "select part, estimate from taxes where subject = ? and subject_id = ?", [subject, subject_id]
        )
        estimates = {found["part"]: found["estimate"] for found in known}
        self.rows("delete from taxes where subject = ? and subject_id = ?", [subject, subject_id])
        for name, tax in taxes.items():
            self.insert(
                "taxes",
                {
                    "subject": subject, "subject_id": subject_id, "part": name, "percent": tax.percent,
                    "amount": tax.added, "estimate": estimates.get(name, tax.added),
                },
            )  # fmt: skip

    # ---------------------------------------------------------------- parts

    def _parts(self, subject: Subject, row: Row) -> list[Part]:
        # Not documented, assumption: behaviour.costs_are_sent_before_tax
        lines = [
            Part(
                f"line {line['id']}", line["quantity"] * line["unit_price"], self._percent_of(subject, line),
                line["quantity"], line["unit_price"],
            )
            for line in self.rows(_LINES[subject], [_key(subject, row)])
        ]  # fmt: skip
        percent = lines[0].percent if lines else ZERO
        costs = {"shipping": row["shipping"], "handling": row["handling"], "voucher": -row["voucher"]}
        if subject == "return":
            costs["return_cost"] = -row["return_cost"]
        return lines + [Part(name, value, percent) for name, value in costs.items() if value]

    def _percent_of(self, subject: Subject, line: Row) -> Decimal:
        """The rate of a line: what was sold by, unless its Returns were planted with another one."""
        if subject == "return":
            found = self.row("select shipment_id from shipment_lines where id = ?", [line["shipment_line_id"]])
            planted = self.refusal_of("tax", found["shipment_id"]) if found else None
            if planted:
                return Decimal(planted)
        percent: Decimal = line["tax_percent"]
        return percent

    # ---------------------------------------------------------------- the engine

    def stop_tax_engine(self, shipment_id: int | None = None) -> None:
        """Plant: the engine does not answer from now on, or never for Returns of this shipment."""
        self.refuse("tax engine", shipment_id or "all", "down")

    def start_tax_engine(self) -> None:
        """The engine answers again."""
        with self.write():
            self.rows("delete from refusals where subject = 'tax engine'")

    def shift_tax_of_returns_on(self, shipment_id: int, cents: int, *, is_final: bool) -> None:
        """Plant: the engine's estimate for Returns of this shipment, or its final word, is so many cents off."""
        self.refuse("final tax" if is_final else "estimated tax", shipment_id, str(cents))

    def _engine_fails(self, subject: Subject, row: Row, is_final: bool) -> bool:
        if self.refusal_of("tax engine", "all"):
            return True
        if subject != "return":
            return False
        every = self.settings.tax_engine_fails_every
        now_and_then = every > 0 and (row["id"] + is_final) % every == 0
        return now_and_then or self.refusal_of("tax engine", row["shipment_id"]) is not None

    def _within_its_sale(self, row: Row, taxes: dict[str, Tax]) -> dict[str, Tax]:
        """A Return gives no more tax back than its sale has left: units that are taxed one by one round up otherwise."""
        sold = total(self.taxes_of("shipment", self._shipment_of(row))).added
        found = self.rows(
            "select estimate from taxes join returns on returns.id = subject_id"
            " where subject = 'return' and shipment_id = ? and returns.id <> ?",
            [row["shipment_id"], row["id"]],
        )
        left = sold - sum((other["estimate"] for other in found), ZERO)
        return _shifted(taxes, min(left - total(taxes).added, ZERO))

    def _changed(self, row: Row, taxes: dict[str, Tax], *, is_final: bool) -> dict[str, Tax]:
        """The engine changes its mind by a few cents between a Return's creation and its completion."""
        most = self.settings.tax_engine_drift_cents if is_final else 0
        cents = row["id"] * 3 % (2 * most + 1) - most
        planted = self.refusal_of("final tax" if is_final else "estimated tax", row["shipment_id"])
        return _shifted(taxes, Decimal(planted or cents) / _HUNDRED)

    def _shipment_of(self, row: Row) -> Row:
        found = self.row("select * from shipments where id = ?", [row["shipment_id"]])
        assert found is not None  # noqa: S101 - Returns hang on shipments that exist
        return found


def _key(subject: Subject, row: Row) -> int:
    return int(row["number"] if subject == "order" else row["id"])


def _by_own_rules(parts: Sequence[Part], order: Row) -> dict[str, Tax]:
    """The country's own rate, whatever the state; the return cost has no tax code there."""
    percent = country_of(order["country"]).tax_percent
    return {
        part.name: Tax(percent, added=rounded(part.value * percent / _HUNDRED, order["currency"]))
        for part in parts
        if part.name != "return_cost"
    }


def _by_engine(parts: Sequence[Part], order: Row, *, taxes_return_cost: bool) -> dict[str, Tax]:
    """By the state that it was sent to, rounded line by line; a voucher lessens the tax of what it is taken off."""
    address = postal_addresses.read(order["address"])
    state = state_tax_of(order["country"], address["state_code"] or address["state_or_province"] or "")
    rates = {part.name: _rate(part, state, taxes_return_cost) for part in parts}
    lines = [part for part in parts if part.is_line]
    goods = sum((line.value for line in lines), ZERO)

    def tax(part: Part) -> Decimal:
        if part.name == "voucher":
            shares = (part.value * line.value / goods * rates[line.name] for line in lines if goods)
            return sum((rounded(share / _HUNDRED, order["currency"]) for share in shares), ZERO)
        return rounded(part.value * rates[part.name] / _HUNDRED, order["currency"])

    return {part.name: Tax(rates[part.name], added=tax(part)) for part in parts}


def _rate(part: Part, state: StateTax, taxes_return_cost: bool) -> Decimal:
    if part.is_line:
        return ZERO if part.unit_price < state.exempt_below else state.percent
    # Not documented, assumption: behaviour.return_cost_is_taxed
    if part.name in ("shipping", "handling"):
        return state.percent if state.taxes_shipping else ZERO
    return state.percent if part.name == "voucher" or taxes_return_cost else ZERO


def _shifted(taxes: dict[str, Tax], amount: Decimal) -> dict[str, Tax]:
    """Another amount of tax, on the line that has most; what is not taxed stays untaxed."""
    lines = [name for name, tax in taxes.items() if name.startswith("line ") and tax.added > 0]
    if not amount or not lines:
        return taxes
    name = max(lines, key=lambda line: taxes[line].added)
    changed = max(taxes[name].added + amount, ZERO)
    return {**taxes, name: replace(taxes[name], added=changed)}
