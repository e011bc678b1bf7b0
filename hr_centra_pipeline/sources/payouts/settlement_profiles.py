"""Header profiles of settlement files: how one provider's layout spells lines, amounts, times and its own total."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import duckdb
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hr_centra_pipeline.sources.intake.file_log import Fingerprint
from hr_centra_pipeline.sources.intake.profile_files import read_profiles

_PACKAGE = "hr_centra_pipeline.sources.payouts.header_profiles"

LineType = Literal[
    "capture", "refund", "refund_reversed", "chargeback", "chargeback_reversed", "fee", "payout", "other"
]  # fmt: skip
LINE_TYPES: tuple[LineType, ...] = get_args(LineType)
REQUIRED = frozenset({"line_type", "reference", "happened_at", "currency"})
NEVER_OPTIONAL = REQUIRED - {"reference"}
_AMOUNTS = ("gross", "net", "fee")
COLUMNS = REQUIRED | {
    "payout_id", "account", "transaction_id", "payment_reference", "order_number", "time_zone", "settlement_currency",
    "customer_amount", "customer_currency",
    *(f"{amount}_{part}" for amount in _AMOUNTS for part in ("amount", "sign", "debit", "credit")),
}  # fmt: skip
Place = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Spot(_Section):
    """A value outside the lines: of the last record of this kind before them, by place after the record's type."""

    record: str
    place: Place


class Records(_Section):
    """For files whose first column states what a record is: the words of the header, of a line and of the footer.

    ``statement`` and ``account``: where the file says what it reports (a day, a part of it) and whose it is. A later file that
    reports the same takes the place of the earlier one.
    """

    header: str
    line: str
    total: str | None = None
    statement: tuple[Spot, ...] = ()
    account: Spot | None = None


class Summary(_Section):
    """Names in the block above the header that hold for every line: our column -> its name there.

    The value is in the next cell of a line of two cells, else in the same column of the next line.
    """

    payout_id: str | None = None
    account: str | None = None
    settlement_currency: str | None = None


class Times(_Section):
    """``zone``: of times without an offset, unless a zone column says otherwise (``zones``: its words)."""

    zone: str = "UTC"
    zones: dict[str, str] = {}
    format: str | None = None

    @model_validator(mode="after")
    def _known_zones(self) -> Self:
        for zone in (self.zone, *self.zones.values()):
            try:
                ZoneInfo(zone)
            except (ZoneInfoNotFoundError, ValueError):
                raise ValueError(f"zone {zone!r} is not in the IANA list (like Europe/Berlin)") from None
        if self.format is not None:
            try:
                duckdb.execute("select try_strptime('', ?)", [self.format])
            except duckdb.Error:
                raise ValueError(
                    f"format {self.format!r} is none that the database knows (like %Y-%m-%d %H:%M:%S)"
                ) from None
        return self


class Money(_Section):
    """``decimal``: the sign before the cents. ``smallest_units``: whole numbers of cents. ``debit`` and ``credit``: the words of
    a sign column. ``fees_are_costs``: a fee without a sign is what the provider keeps. ``out`` and ``in``: types (their words)
    whose amounts go out or come in whether or not they carry a sign; those of other types are as they are reported.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    decimal: Literal[".", ","] = "."
    smallest_units: bool = False
    debit: str = "DR"
    credit: str = "CR"
    fees_are_costs: bool = False
    out: tuple[str, ...] = ()
    in_: Annotated[tuple[str, ...], Field(alias="in")] = ()


class Total(_Section):
    """How a file's own total is reported.

    ``balances``: net amounts of a payout sum to zero in each currency. ``footer``: a record holds the sums, by place.
    ``summary``: the block above the header holds the sum of all lines under the name ``amount``; looked at where the block's
    ``when`` is one of ``is_one_of``, and the lines are in the settlement's currency. ``none``: the layout has no total of its own.
    """

    rule: Literal["balances", "footer", "summary", "none"]
    amount: str | None = None
    when: str | None = None
    is_one_of: tuple[str, ...] = ()
    currency: Place = 1
    gross_credits: Place | None = None
    gross_debits: Place | None = None
    fee_credits: Place | None = None
    fee_debits: Place | None = None


class PayoutProfile(_Section):
    """One provider's layout.

    ``columns``: our column -> header, or several of which the first that a file has is read. ``optional``: ours that a file may
    lack. ``line_types``: their word -> ours, in any case; one that ends in ``*`` is a family, which a word of its own overrules.
    """

    name: str
    provider: str
    delimiter: Literal[",", ";", "\t", "|"] = ","
    records: Records | None = None
    times: Times = Times()
    money: Money = Money()
    columns: dict[str, str | tuple[str, ...]]
    optional: frozenset[str] = frozenset()
    summary: Summary | None = None
    line_types: dict[str, LineType]
    total: Total

    @model_validator(mode="after")
    def _complete(self) -> Self:
        unknown = sorted(set(self.columns) - COLUMNS)
        if unknown:
            raise ValueError(f"columns: {', '.join(unknown)}: no such column")
        if needed := sorted((self.optional & NEVER_OPTIONAL) | (self.optional - set(self.columns))):
            raise ValueError(f"optional: {', '.join(needed)}: has to be mapped, and not one that every line needs")
        missing = sorted(REQUIRED - set(self.columns))
        if missing:
            raise ValueError(f"columns: {', '.join(missing)}: must be mapped")
        if not self.has("gross"):
            raise ValueError("columns: map gross_amount, or gross_debit and gross_credit")
        if self.total.rule == "balances" and not self.has("net"):
            raise ValueError('total: rule "balances" needs net_amount, or net_debit and net_credit')
        if self.total.rule == "footer" and (self.records is None or self.records.total is None):
            raise ValueError('total: rule "footer" needs records.total')
        if self.total.rule == "summary" and (self.summary is None or self.total.amount is None):
            raise ValueError('total: rule "summary" needs [summary] and total.amount')
        if self.summary is not None and self.records is not None:
            raise ValueError("summary: a layout of records has none")
        return self

    def has(self, amount: str) -> bool:
        """Whether the layout shows this amount (gross, net or fee)."""
        return f"{amount}_amount" in self.columns or {f"{amount}_debit", f"{amount}_credit"} <= set(self.columns)

    def headers_of(self, column: str) -> tuple[str, ...]:
        """The headers that one of our columns may have, the best first; none: it is not mapped."""
        headers = self.columns.get(column, ())
        return (headers,) if isinstance(headers, str) else headers

    def mapped(self, headers: Sequence[str]) -> dict[str, str]:
        """Our column -> the header of a file that it is read from."""
        found = {}
        for column in self.columns:
            header = next((one for one in self.headers_of(column) if one in headers), None)
            if header is not None:
                found[column] = header
        return found


def fingerprint(profiles: Sequence[PayoutProfile]) -> Fingerprint:
    """Their order counts: the first that knows a file's header reads it."""
    said = [one.model_dump(mode="json") | {"optional": sorted(one.optional)} for one in profiles]
    read = [{name: value for name, value in one.items() if name != "line_types"} for one in said]
    whole, reading = (hashlib.sha256(json.dumps(each).encode()).hexdigest() for each in (said, read))
    return Fingerprint(whole, reading)


def load_payout_profiles(folder: Path) -> list[PayoutProfile]:
    """The shipped layouts, and those in a folder (which win over shipped ones of the same name).

    Raises:
        ConfigurationError: one line per mistake, with the file.
    """
    return read_profiles(PayoutProfile, _PACKAGE, folder)


def missing_headers(profile: PayoutProfile, headers: Sequence[str]) -> list[str]:
    """Headers that the layout has to have and a file has not."""
    found = profile.mapped(headers)
    return sorted({
        " or ".join(profile.headers_of(column)) for column in profile.columns
        if column not in found and column not in profile.optional
    })  # fmt: skip
