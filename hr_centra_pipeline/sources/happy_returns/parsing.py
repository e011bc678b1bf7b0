"""SQL that turns a file's texts into typed columns, and says of each row what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping

from hr_centra_pipeline.core.money import LIMIT, SQL_TYPE
from hr_centra_pipeline.sources.happy_returns.kinds import Kind
from hr_centra_pipeline.sources.happy_returns.profiles import Profile

_OFFSET = r"(Z|z|[+-]\d\d:?\d\d)$"
_UNIT = r"^(.+)-(\d{1,9})-(\d{1,9})$"
_CURRENCY = r"^([A-Z]{3}|[€£])\s*|\s*([A-Z]{3}|[€£])$"
_EXACT = {
    ".": r"[+-]?\d{1,14}(\.\d{1,4})?",
    ",": r"[+-]?(\d{1,14}|\d{1,3}(\.\d{3}){1,4})(,\d{1,4})?",
}
_EXPECTED = {"TIMESTAMPTZ": "is no time", "BIGINT": "is no whole number", SQL_TYPE: "is no exact amount"}
SEPARATOR = "chr(31)"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def texts(kind: Kind, profile: Profile, headers: list[str]) -> dict[str, str]:
    """Our column -> SQL for its trimmed text (``null`` when blank or not in the file).

    Of items, too: ``base_line_item_id``, the line id without its -offset-total.
    """
    position = {header: f"h{number}" for number, header in enumerate(headers)}
    mapped = profile.columns[kind.name]
    found = {}
    for column in [*kind.brought, *(kind.known - set(kind.brought))]:
        header = mapped.get(column)
        if header in position:
            found[column] = _trimmed(position[header])
        else:
            found[column] = "cast(null as varchar)"
    if kind.name == "refunds":
        total = found["total_refunded"]  # amounts may carry their currency: 4.95 EUR
        found["currency"] = f"""coalesce({found["currency"]}, case
            when {total} like '%€%' then 'EUR' when {total} like '%£%' then 'GBP'
            else nullif(regexp_extract({total}, '[A-Z]{{3}}'), '') end)"""
    if kind.name == "items":
        line = found["order_line_item_id"]
        for column, part in (("unit_offset", "place"), ("line_quantity", "pieces")):
            found[column] = f"coalesce({found[column]}, case when {_is_unit(line)} then {_parts(line)}.{part} end)"
        found["base_line_item_id"] = f"case when {_is_unit(line)} then {_parts(line)}.line else {line} end"
    return found


def _trimmed(text: str) -> str:
    # trim() knows all of Unicode and takes its time; read_csv made null of what is empty.
    spaced = f"starts_with({text}, ' ') or ends_with({text}, ' ')"
    return f"case when {spaced} then nullif(trim({text}), '') else {text} end"


def _parts(line: str) -> str:
    return f"regexp_extract({line}, '{_UNIT}', ['line', 'place', 'pieces'])"


def _is_unit(line: str) -> str:
    """SQL: a line id that ends in -offset-total, with an offset below the total."""
    parts = _parts(line)
    return f"coalesce(try_cast({parts}.place as bigint) < try_cast({parts}.pieces as bigint), false)"


def typed(kind: Kind, profile: Profile) -> dict[str, str]:
    """Our column -> SQL for its typed value, from its text ``t_…``; what does not fit is null."""
    columns = {**kind.brought, "updated_at": "TIMESTAMPTZ"}
    return {name: _typed(f"t_{name}", name, sql, profile) for name, sql in columns.items()}


def _typed(text: str, name: str, sql: str, profile: Profile) -> str:
    match sql:
        case "TIMESTAMPTZ":
            return _instant(text, profile)
        case "VARCHAR":
            return _word(
                f"nullif(ltrim({text}, '# '), '')" if name == "order_number" else text, profile.words.get(name, {})
            )
        case _ if sql == SQL_TYPE:
            plain = f"regexp_replace({text}, '{_CURRENCY}', '', 'g')"
            point = profile.money.decimal
            number = plain if point == "." else f"replace(replace({plain}, '.', ''), ',', '.')"
            return f"case when regexp_full_match({plain}, '{_EXACT[point]}') then try_cast({number} as {SQL_TYPE}) end"
        case _:  # a cast alone would round 1.5
            return f"case when regexp_full_match({text}, '[+-]?\\d{{1,18}}') then try_cast({text} as {sql}) end"


# Neither 'infinity' nor the year 1 that some systems write for "none".
MACROS = """
create or replace temp macro sane_instant(i) as
    case when i between timestamptz '1990-01-01 00:00:00+00' and timestamptz '2200-01-01 00:00:00+00' then i end;
"""


def _instant(text: str, profile: Profile) -> str:
    return f"sane_instant({_parsed_instant(text, profile)})"


def _parsed_instant(text: str, profile: Profile) -> str:
    zone = _quoted(profile.times.zone)
    if profile.times.format is not None:
        local = f"timezone({zone}, try_strptime({text}, {_quoted(profile.times.format)}))"
        return (
            f"coalesce({local}, case when regexp_matches({text}, '{_OFFSET}') then try_cast({text} as timestamptz) end)"
        )
    if profile.times.zone == "UTC":
        return f"try_cast({text} as timestamptz)"  # the session's zone is UTC
    with_offset = f"regexp_matches({text}, '{_OFFSET}')"
    local = f"timezone({zone}, try_cast({text} as timestamp))"
    return f"case when {with_offset} then try_cast({text} as timestamptz) else {local} end"


def _word(text: str, words: Mapping[str, str]) -> str:
    if not words:
        return text
    cases = " ".join(f"when {_quoted(theirs)} then {_quoted(ours)}" for theirs, ours in words.items())
    return f"case {text} {cases} else {text} end"


def problem(kind: Kind) -> str:
    """SQL for what is wrong with a row: ``{column, reason}`` of the first thing, or null.

    Expects texts (``t_…``) and typed values beside each other. Types first, then the predicates of the declaration.
    """
    columns = {**kind.brought, "updated_at": "TIMESTAMPTZ"}
    cases = []
    for name, sql in columns.items():
        if sql in _EXPECTED:
            reason = f"{_quoted(_EXPECTED[sql] + ': ')} || t_{name}"
            cases.append(f"when t_{name} is not null and {name} is null then {_told(name, reason)}")
        if sql == SQL_TYPE:
            reason = f"'is beyond what an amount may be, {LIMIT:,}: ' || t_{name}"
            cases.append(f"when abs({name}) >= {LIMIT} then {_told(name, reason)}")
    if kind.name == "refunds":
        for name in (name for name, sql in columns.items() if sql == SQL_TYPE):
            reason = f"'is in another currency than ' || currency || ': ' || t_{name}"
            cases.append(
                f"when regexp_extract(t_{name}, '[A-Z]{{3}}') not in ('', currency) then {_told(name, reason)}"
            )
    for name, reason, predicate in kind.declared.predicates():
        if name in kind.brought:
            shown = _quoted(reason) if predicate.endswith(" is null") else f"{_quoted(reason + ': ')} || {name}"
            cases.append(f"when {predicate} then {_told(name, shown)}")
    return "case " + " ".join(cases) + " end"


def _told(column: str, reason: str) -> str:
    return f"struct_pack(column_name := {_quoted(column)}, reason := {reason})"


def row_hash(kind: Kind) -> str:
    """SQL for the SHA-256 of a row's texts, e-mail as its token."""
    columns = [f"coalesce(t_{name}, '')" for name in [*kind.brought, "updated_at"]]
    if kind.name == "returns":
        columns.append("coalesce(customer_token, '')")
    return f"sha256(concat_ws({SEPARATOR}, {', '.join(columns)}))"
