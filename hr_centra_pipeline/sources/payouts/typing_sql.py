"""SQL that types the lines of a settlement file, and says of each what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hr_centra_pipeline.sources.instants import instant
from hr_centra_pipeline.sources.payouts.profiles import PayoutProfile
from hr_centra_pipeline.warehouse.database import Connection

_EXACT = {".": r"[+-]?\d{1,14}(\.\d{1,4})?", ",": r"[+-]?(\d{1,14}|\d{1,3}(\.\d{3}){1,4})(,\d{1,4})?"}


def type_lines(
    connection: Connection, profile: PayoutProfile, headers: Sequence[str], path: Path, file_name: str
) -> None:
    """Fill ``payout_rows``: one row per line, typed, signed as the merchant sees it, with its problem or null."""
    position = {header: f"h{number}" for number, header in enumerate(headers)}
    text = {column: f"nullif(trim({position[header]}), '')" for column, header in profile.columns.items()}
    names = ["line", *(f"h{number}" for number in range(len(headers)))]
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    types = " ".join(f"when {_quoted(theirs)} then '{ours}'" for theirs, ours in profile.line_types.items())
    currency = text["currency"]
    settled_in = text.get("settlement_currency", currency)
    gross, net, fee = (_amount(profile, text, name, money) for name, money in (
        ("gross", currency), ("net", settled_in), ("fee", settled_in),
    ))  # fmt: skip
    wrong = [
        f"when line_type is null then {_told('line_type', _quoted('is no line type that the layout maps: ') + ' || told_type')}",
        f"when happened_at is null then {_told('happened_at', _quoted('is no time, or of an unknown zone'))}",
        f"when not gross_ok then {_told('gross_amount', _quoted('is no exact amount'))}",
        f"when line_type in ('refund', 'refund_reversed') and reference is null then {_told('reference', _quoted('is missing'))}",
        f"when line_type not in ('fee', 'payout', 'other') and currency is null then {_told('currency', _quoted('is missing'))}",
    ]
    connection.execute(
        f"""
        create or replace temp table payout_rows as
        with typed as (
            select
                $provider as provider,
                coalesce({text.get("payout_id", "null")}, $file_name) as payout_id,
                case {text["line_type"]} {types} end as line_type,
                coalesce({text["line_type"]}, '') as told_type,
                {text["reference"]} as reference,
                {text.get("payment_reference", "cast(null as varchar)")} as payment_reference,
                nullif(ltrim({text.get("order_number", "cast(null as varchar)")}, '# '), '') as order_number,
                {_instant(profile, text)} as happened_at,
                {currency} as currency,
                {gross} as gross_amount,
                {_is_exact(profile, text, "gross")} as gross_ok,
                {settled_in} as settlement_currency,
                {net} as net_amount,
                {fee} as fee_amount,
                line::bigint as source_line
            from read_csv(
                $path, header = true, auto_detect = false, columns = {{{columns}}}, nullstr = '', delim = ',', quote = '"'
            )
        )

        select *, case {" ".join(wrong)} end as problem from typed
        """,  # noqa: S608 - our own names
        {"provider": profile.provider, "file_name": file_name, "path": str(path)},
    )


def _number(profile: PayoutProfile, text: str, currency: str) -> str:
    point = profile.money.decimal
    plain = text if point == "." else f"replace(replace({text}, '.', ''), ',', '.')"
    number = f"case when regexp_full_match({text}, '{_EXACT[point]}') then try_cast({plain} as decimal(18, 4)) end"
    if profile.money.smallest_units:
        whole = f"case when regexp_full_match({text}, '[+-]?\\d{{1,16}}') then {text}::hugeint end"
        number = (
            f"(cast({whole} * smallest_unit({currency}) as decimal(38, 0)) * 0.0001::decimal(5, 4))::decimal(18, 4)"
        )
    return number


def _amount(profile: PayoutProfile, text: dict[str, str], name: str, currency: str) -> str:
    """SQL: a signed amount from one column (with or without a sign column) or from debit and credit."""
    if f"{name}_amount" in text:
        number = _number(profile, text[f"{name}_amount"], currency)
        sign = text.get(f"{name}_sign")
        return f"({number}) * case when {sign} = {_quoted(profile.money.debit)} then -1 else 1 end" if sign else number
    if f"{name}_debit" in text:
        credit, debit = (_number(profile, text[f"{name}_{part}"], currency) for part in ("credit", "debit"))
        return f"coalesce({credit}, 0) - coalesce({debit}, 0)"
    return "cast(null as decimal(18, 4))"


def _is_exact(profile: PayoutProfile, text: dict[str, str], name: str) -> str:
    """SQL: whatever stands in the columns of an amount is one; nothing at all is only right for payouts and fees."""
    parts = [text[column] for column in (f"{name}_amount", f"{name}_debit", f"{name}_credit") if column in text]
    pattern = r"[+-]?\d{1,16}" if profile.money.smallest_units else _EXACT[profile.money.decimal]
    return " and ".join(f"coalesce(regexp_full_match({part}, '{pattern}'), true)" for part in parts)


def _instant(profile: PayoutProfile, text: dict[str, str]) -> str:
    times = profile.times
    zone = _quoted(times.zone)
    if "time_zone" in text:
        words = " ".join(f"when {_quoted(word)} then {_quoted(known)}" for word, known in times.zones.items())
        zone = f"case coalesce({text['time_zone']}, '') when '' then {zone} {words} end"
    return instant(text["happened_at"], zone, times.format)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _told(column: str, reason: str) -> str:
    return f"struct_pack(column_name := '{column}', reason := {reason})"
