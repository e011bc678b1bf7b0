"""SQL that types the lines of a settlement file, and says of each what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from hr_centra_pipeline.core.money import LIMIT
from hr_centra_pipeline.sources.payouts.settlement_profiles import PayoutProfile
from hr_centra_pipeline.warehouse.database import Connection

_EXACT = {".": r"[+-]?\d{1,12}(\.\d{1,4})?", ",": r"[+-]?(\d{1,12}|\d{1,3}(\.\d{3}){1,3})(,\d{1,4})?"}
_WHOLE = r"[+-]?\d{1,14}"
_OFFSET = r"(Z|z|[+-](0\d|1[0-4]):?[0-5]\d)"
_LOCAL = r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?)?"
_BLANK = r"[\s\p{Z}\p{C}]"  # and what cannot be seen: a byte order mark, a zero-width space
_MANGLED = r"(?i)[+-]?\d+([.,]\d+)?E[+-]?\d+|#(N/A|REF!|VALUE!|NAME\?|NUM!|NULL!|DIV/0!)|null|nan|n/a"
_MONEY = "('refund', 'refund_reversed', 'chargeback', 'chargeback_reversed')"
_ABOUT_NO_ORDER = "('capture', 'fee', 'payout', 'other')"


def type_lines(
    connection: Connection,
    profile: PayoutProfile,
    columns: Mapping[str, str],
    headers: Sequence[str],
    path: Path,
    file_name: str,
    now: datetime,
) -> None:
    """Fill ``payout_rows``: one row per line, typed, signed as the merchant sees it, with its problem or null.

    ``columns``: our column -> the file's header.
    """
    position = {header: f"h{number}" for number, header in reversed(list(enumerate(headers)))}
    text = {column: f"clean_cell({position[header]})" for column, header in columns.items()}
    names = ["line", *(f"h{number}" for number in range(len(headers)))]
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    nothing = "cast(null as varchar)"
    currency = f"upper({text['currency']})"
    settled_in = f"coalesce(upper({text.get('settlement_currency', nothing)}), {currency})"
    kind = type_of(profile, text["line_type"])
    gross, net, fee = (_amount(profile, text, name, money) for name, money in (
        ("gross", currency), ("net", settled_in), ("fee", settled_in),
    ))  # fmt: skip
    order_currency = currency
    if (
        "customer_currency" in text and "customer_amount" in text
    ):  # what the shopper saw counts, where it is another currency
        seen_in = f"upper({text['customer_currency']})"
        seen = _number(profile, text["customer_amount"], seen_in)
        gross = f"case when {seen_in} <> {currency} then sign({gross})::decimal(1, 0) * abs({seen}) else {gross} end"
        order_currency = f"coalesce({seen_in}, {currency})"
    if profile.money.fees_are_costs and "fee_amount" in text:
        fee = f"-({fee})"
    word = f"lower({text['line_type']})"
    gross, net = (
        f"case when {word} in ({_words(profile.money.out)}) then -abs({amount})"
        f" when {word} in ({_words(profile.money.in_)}) then abs({amount}) else {amount} end"
        for amount in (gross, net)
    )
    wrong = [
        f"when happened_at is null then {_told('happened_at', _quoted('is not a time, or of an unknown zone'))}",
        "when happened_at > $now::timestamptz + interval 1 day or happened_at < timestamptz '2000-01-01 00:00:00+00' then "
        + _told("happened_at", _quoted("is a time that cannot be")),
        *(
            f"when not {name}_ok then {_told(f'{name}_amount', _quoted('is not an exact amount, or has no clear sign'))}"
            for name in ("gross", "net", "fee")
        ),
        f"when line_type in {_MONEY} and not gross_told then {_told('gross_amount', _quoted('is missing'))}",
        *(
            f"when regexp_full_match({column}, {_quoted(_MANGLED)}) then {_told(column, _quoted('was mangled by a spreadsheet'))}"
            for column in ("reference", "payment_reference", "order_number")
        ),
        *(
            f"when not regexp_full_match({column}, '[A-Z]{{3}}') then {_told(column, _quoted('is not a currency code'))}"
            for column in ("currency", "settlement_currency")
        ),
        f"when greatest(abs(gross_amount), abs(net_amount), abs(fee_amount)) >= {LIMIT} then "
        + _told("gross_amount", _quoted(f"is beyond what an amount may be, {LIMIT:,}")),
        f"when line_type not in ('fee', 'payout', 'other') and currency is null then {_told('currency', _quoted('is missing'))}",
    ]
    if "reference" not in profile.optional:
        missing = _told("reference", _quoted("is missing"))
        wrong.append(f"when line_type in ('refund', 'refund_reversed') and reference is null then {missing}")
    wrong.append(
        f"when line_type is null then {_told('line_type', _quoted('is not a line type that the layout maps: ') + ' || told_type')}"
    )
    connection.execute(
        f"""
        create or replace temp macro clean_cell(cell) as
            nullif(regexp_replace(cell, '^{_BLANK}+|{_BLANK}+$', '', 'g'), '')
        """
    )
    connection.execute(
        f"""
        create or replace temp table payout_rows as
        with typed_lines as (
            select
                $provider as provider,
                coalesce({text.get("account", nothing)}, '') as account,
                coalesce({text.get("payout_id", nothing)}, $file_name) as payout_id,
                {kind} as line_type,
                coalesce({text["line_type"]}, '') as told_type,
                {text.get("reference", nothing)} as reference,
                {text.get("payment_reference", nothing)} as payment_reference,
                {text.get("transaction_id", nothing)} as transaction_id,
                nullif(ltrim({text.get("order_number", nothing)}, '# '), '') as order_number,
                {_instant(profile, text)} as happened_at,
                {order_currency} as currency,
                {gross} as gross_amount,
                {_is_exact(profile, text, "gross")} as gross_ok,
                {_is_told(text, "gross")} as gross_told,
                {settled_in} as settlement_currency,
                {net} as net_amount,
                {_is_exact(profile, text, "net")} as net_ok,
                {fee} as fee_amount,
                {_is_exact(profile, text, "fee")} as fee_ok,
                line::bigint as source_line
            from read_csv(
                $path, header = true, auto_detect = false, columns = {{{types}}}, nullstr = '', delim = ',', quote = '"',
                escape = '"', max_line_size = 16000000, parallel = false
            )
        ),

        lines_with_problems as (
            select *, case {" ".join(wrong)} end as problem from typed_lines
        )

        -- What cannot be used and may be about an order's money holds that order: it is kept beside the good lines.
        select
            * exclude (gross_ok, gross_told, net_ok, fee_ok),
            case
                when problem is not null and coalesce(line_type not in {_ABOUT_NO_ORDER}, true)
                    and coalesce(order_number, payment_reference, reference) is not null
                then problem.column_name
            end as set_aside
        from lines_with_problems
        """,  # noqa: S608 - our own names
        {"provider": profile.provider, "file_name": file_name, "path": str(path), "now": now},
    )


def type_of(profile: PayoutProfile, told: str) -> str:
    """SQL: our type of a provider's word (an expression), null where the layout maps none: its own, else its family's."""
    exact = {theirs: ours for theirs, ours in profile.line_types.items() if not theirs.endswith("*")}
    families = {theirs[:-1]: ours for theirs, ours in profile.line_types.items() if theirs.endswith("*")}
    cases = [f"when lower({told}) = {_quoted(theirs.lower())} then '{ours}'" for theirs, ours in exact.items()]
    cases += [
        f"when starts_with(lower({told}), {_quoted(theirs.lower())}) then '{families[theirs]}'"
        for theirs in sorted(families, key=len, reverse=True)
    ]
    return f"case {' '.join(cases)} end" if cases else "cast(null as varchar)"


def _number(profile: PayoutProfile, text: str, currency: str) -> str:
    point = profile.money.decimal
    plain = text if point == "." else f"replace(replace({text}, '.', ''), ',', '.')"
    number = f"case when regexp_full_match({text}, '{_EXACT[point]}') then try_cast({plain} as decimal(18, 4)) end"
    if profile.money.smallest_units:
        whole = f"case when regexp_full_match({text}, '{_WHOLE}') then {text}::hugeint end"
        number = (
            f"try_cast(cast({whole} * smallest_unit({currency}) as decimal(38, 0)) * 0.0001::decimal(5, 4)"
            " as decimal(18, 4))"
        )
    return number


def _amount(profile: PayoutProfile, text: dict[str, str], name: str, currency: str) -> str:
    """SQL: a signed amount from one column (with or without a sign column) or from debit and credit."""
    if f"{name}_amount" in text:
        number = _number(profile, text[f"{name}_amount"], currency)
        sign = text.get(f"{name}_sign")
        if sign is None:
            return f"({number})"
        return f"({number}) * case when lower({sign}) = {_quoted(profile.money.debit.lower())} then -1 else 1 end"
    if f"{name}_debit" in text:
        credit, debit = (_number(profile, text[f"{name}_{part}"], currency) for part in ("credit", "debit"))
        return f"(coalesce({credit}, 0) - coalesce({debit}, 0))"
    return "cast(null as decimal(18, 4))"


def _is_exact(profile: PayoutProfile, text: dict[str, str], name: str) -> str:
    """SQL: whatever is in the columns of an amount is one, and it is clear which way it goes."""
    parts = [text[column] for column in (f"{name}_amount", f"{name}_debit", f"{name}_credit") if column in text]
    if name == "gross" and "customer_amount" in text:
        parts.append(text["customer_amount"])
    if not parts:
        return "true"
    pattern = _WHOLE if profile.money.smallest_units else _EXACT[profile.money.decimal]
    checks = [f"coalesce(regexp_full_match({part}, '{pattern}'), true)" for part in parts]
    if (sign := text.get(f"{name}_sign")) and f"{name}_amount" in text:
        amount = text[f"{name}_amount"]
        known = f"lower({sign}) in ({_words((profile.money.debit, profile.money.credit))})"
        checks.append(
            f"({amount} is null or regexp_full_match({amount}, '[+-]?[0.,]*')"
            f" or (coalesce({known}, false) and not starts_with({amount}, '-')))"
        )
    return " and ".join(checks)


def _is_told(text: dict[str, str], name: str) -> str:
    parts = [text[column] for column in (f"{name}_amount", f"{name}_debit", f"{name}_credit") if column in text]
    return f"coalesce({', '.join(parts)}) is not null"


def _instant(profile: PayoutProfile, text: dict[str, str]) -> str:
    told, times = text["happened_at"], profile.times
    if times.format is not None and "%z" in times.format:
        return f"case when regexp_matches({told}, '{_OFFSET}$') then try_strptime({told}, {_quoted(times.format)})::timestamptz end"
    local = (
        f"case when regexp_full_match({told}, '{_LOCAL}') then try_cast(replace({told}, ',', '.') as timestamp) end"
        if times.format is None
        else f"try_strptime({told}, {_quoted(times.format)})"
    )
    zone = _quoted(times.zone)
    if "time_zone" in text:
        words = " ".join(f"when {_quoted(word.upper())} then {_quoted(known)}" for word, known in times.zones.items())
        zone = f"case coalesce(upper({text['time_zone']}), '') when '' then {zone} {words} end"
    return (
        f"case when regexp_full_match({told}, '{_LOCAL} ?{_OFFSET}') then try_cast(replace({told}, ',', '.') as timestamptz)"
        f" else timezone({zone}, {local}) end"
    )


def _words(words: Sequence[str]) -> str:
    return ", ".join(_quoted(word.lower()) for word in words) or "null"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _told(column: str, reason: str) -> str:
    return f"struct_pack(column_name := '{column}', reason := {reason})"
