"""Exact amounts. Inside DuckDB money is DECIMAL(18,4) beside a currency column; here it is Decimal."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from iso4217 import Currency

SQL_TYPE = "DECIMAL(18,4)"
SUM_TYPE = "DECIMAL(38,4)"  # of many returns, in a currency of small units
_FINEST = Decimal("0.0001")
LIMIT = 10**10
"""No amount of a return reaches this in any currency: a source's amount that does is refused where it is read, so that sums fit."""

# ISO 4217. Codes that are not money (gold, a test code) have no smallest unit.
_MINOR_UNITS: dict[str, int] = {one.code: one.exponent for one in Currency if one.exponent is not None}


def minor_units(currency: str) -> int:
    """Number of decimals of a currency (ISO 4217); 2 of a code that it does not list."""
    return _MINOR_UNITS.get(currency, 2)


def is_currency(code: str) -> bool:
    """Whether ISO 4217 lists a code."""
    return code in _MINOR_UNITS


def rounded(amount: Decimal, currency: str) -> Decimal:
    """The one named place where an amount is rounded: half up to the currency's minor unit."""
    return amount.quantize(Decimal(1).scaleb(-minor_units(currency)), rounding=ROUND_HALF_UP)


def kept(computed: Decimal) -> Decimal:
    """What we keep of a value that a vendor has computed and may not have rounded (a net value, a tax): half up to 4 decimals.

    Beyond 28 digits it stays as it is, for the caller to refuse.
    """
    try:
        return computed.quantize(_FINEST, rounding=ROUND_HALF_UP)
    except InvalidOperation:
        return computed


def decimals(amount: Decimal, currency: str) -> int:
    """With how many decimals an amount is shown: those of its currency, or all four when it has more than that."""
    return minor_units(currency) if amount == rounded(amount, currency) else 4


def shown(amount: Decimal, currency: str) -> str:
    """An amount as people read it: ``1234.50 EUR``, ``1234 JPY``. Nothing is rounded. Its SQL twin: ``money_text``."""
    return f"{amount:.{decimals(amount, currency)}f} {currency}"


def allocate(total: Decimal, weights: Sequence[Decimal], currency: str) -> list[Decimal]:
    """Share ``total`` over ``weights`` by largest remainder; the shares sum to ``total`` exactly.

    Ties go to the earlier weight. All weights zero: shared evenly. No weights and a total: an error.
    """
    if not weights:
        if total:
            raise ValueError("nothing to allocate to")
        return []
    unit = Decimal(1).scaleb(-minor_units(currency))
    base = list(weights) if any(weights) else [Decimal(1)] * len(weights)
    whole = sum(base, Decimal(0))
    exact = [total * weight / whole for weight in base]
    floors = [(share // unit) * unit for share in exact]
    left = int((total - sum(floors, Decimal(0))) / unit)
    order = sorted(range(len(base)), key=lambda i: (-(abs(exact[i]) - abs(floors[i])), i))
    step = unit if left >= 0 else -unit
    for position in range(abs(left)):
        floors[order[position % len(order)]] += step
    rest = total - sum(floors, Decimal(0))
    floors[-1] += rest  # below a minor unit: only when the total itself is not a whole number of them
    return floors


def _smallest_units() -> str:
    """One text in which a code is looked up: `` JPY=10000``. What is not found is at place 0, where the usual 100 is read.

    A list or a case would cost the planner of each statement that much more, wherever a macro below is used. A space is
    before codes only, so that whatever is looked up, a number is read.
    """
    units = {code: 10 ** (4 - digits) for code, digits in _MINOR_UNITS.items() if digits != 2}
    return "====00100" + "".join(f" {code}={unit:05}" for code, unit in units.items())


# DuckDB divides decimals as doubles, so that shares are made of whole numbers of 1/10,000. Half up, away from zero.
# `part_of` allocates in a fixed order: each part is what the weights up to and including it get in whole smallest units, less
# what those before it got; the last takes the rest, so that the parts sum to the amount exactly, whatever its decimals.
SQL_MACROS = f"""
create or replace macro smallest_unit(currency) as
    substr('{_smallest_units()}', instr('{_smallest_units()}', concat(' ', currency, '=')) + 5, 5)::hugeint;
create or replace macro smallest_amount(currency) as
    (smallest_unit(currency)::decimal(38, 0) * 0.0001::decimal(5, 4))::decimal(18, 4);
create or replace macro ten_thousandths(amount) as (amount::decimal(38, 4) * 10000)::hugeint;
create or replace macro share_of(amount, part, whole, currency) as
    (cast(
        sign(ten_thousandths(amount)) * sign(ten_thousandths(part)) * sign(ten_thousandths(whole))
        * (
            (
                2 * abs(ten_thousandths(amount)) * abs(ten_thousandths(part))
                + abs(ten_thousandths(whole)) * smallest_unit(currency)
            )
            // nullif(2 * abs(ten_thousandths(whole)) * smallest_unit(currency), 0)
        )
        * smallest_unit(currency) as decimal(38, 0)
    ) * 0.0001::decimal(5, 4))::decimal(18, 4);
-- The share of one in one.
create or replace macro rounded_money(amount, currency) as
    (cast(
        sign(ten_thousandths(amount))
        * ((2 * abs(ten_thousandths(amount)) + smallest_unit(currency)) // (2 * smallest_unit(currency)))
        * smallest_unit(currency) as decimal(38, 0)
    ) * 0.0001::decimal(5, 4))::decimal(18, 4);
-- An amount in a text: the decimals of its currency, or all four when it has more. One character more is cut off than it has zeros
-- too many, since nothing cut off would be everything.
create or replace macro money_text(amount, currency) as
    left(
        amount::decimal(38, 4)::varchar || ' ',
        case
            when ten_thousandths(amount) % smallest_unit(currency) <> 0 then -1
            else -length(smallest_unit(currency)::varchar) - (smallest_unit(currency) = 10000)::integer
        end
    ) || ' ' || currency;
create or replace macro tax_in(gross, percent, currency) as
    share_of(gross, percent, 100 + percent, currency);
-- Of an amount that Centra keeps before tax, a part of the tax that it adds to `whole`; and of an amount with its tax added.
create or replace macro added_to_part(added, part, whole, currency) as
    case when added = 0 then 0 when part = whole then added
        else coalesce(share_of(added, part, whole, currency), 0) end::decimal(18, 4);
create or replace macro added_within_part(added, part, whole, currency) as
    added_to_part(added, part, (whole + added)::decimal(18, 4), currency);
-- The tax that a voucher takes off: in it, as in the goods; or what is added to it. Export has none.
create or replace macro voucher_tax_of(tax_mode, kept, added, percent, currency) as
    case when coalesce(tax_mode, 'included') = 'included' then tax_in(kept, percent, currency) else greatest(added, 0) end;
-- What Centra keeps of a cost that Happy Returns reports; `added` is the tax that Centra adds to `whole`. Where Centra deducts tax
-- (export), Happy Returns reports what is given.
create or replace macro kept_of_told(told, added, whole, reported_costs, currency) as
    (told - case
        when coalesce(added, 0) < 0 or reported_costs = 'with_tax' then added_within_part(coalesce(added, 0), told, whole, currency)
        else 0
    end)::decimal(18, 4);
create or replace macro given_upto(amount, weight, whole, currency) as
    case
        when weight = whole then amount::decimal(18, 4)
        else ((
            (ten_thousandths(amount) // smallest_unit(currency)) * ten_thousandths(weight) // nullif(ten_thousandths(whole), 0)
            * smallest_unit(currency)
        )::decimal(38, 0) * 0.0001::decimal(5, 4))::decimal(18, 4)
    end;
create or replace macro part_of(amount, before, upto, whole, currency) as
    (given_upto(amount, upto, whole, currency) - given_upto(amount, before, whole, currency))::decimal(18, 4);
"""
