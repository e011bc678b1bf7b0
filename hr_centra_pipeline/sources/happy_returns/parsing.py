"""SQL that turns a file's texts into typed columns, and says of each row what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hr_centra_pipeline.core.money import LIMIT, SQL_TYPE
from hr_centra_pipeline.sources.happy_returns.export_kinds import Kind
from hr_centra_pipeline.sources.happy_returns.export_profiles import Profile
from hr_centra_pipeline.sources.intake.instants import instant

_UNIT = r"^(.+)-(\d{1,9})-(\d{1,9})$"
_CURRENCY = r"^([A-Z]{3}|[€£])\s*|\s*([A-Z]{3}|[€£])$"
_EXACT = {
    ".": r"[+-]?\d{1,14}(\.\d{1,4})?",
    ",": r"[+-]?(\d{1,14}|\d{1,3}(\.\d{3}){1,4})(,\d{1,4})?",
}
_EXPECTED = {"TIMESTAMPTZ": "is not a time", "BIGINT": "is not a whole number", SQL_TYPE: "is not an exact amount"}
SEPARATOR = "chr(31)"

MOST_CHARACTERS = 200
"""The longest id, code or word; free texts may be longer."""

# Texts for people: what is in them decides nothing.
_FREE = frozenset({"product_name", "return_reason", "failure_reason"})
_LISTS = frozenset({"item_ids"})
# A row without one of these, or with another one in its place, is about something else.
_IDS = frozenset({"item_id", "return_id", "order_number", "order_line_item_id", "refund_id", "shipment_id"})
_KNOWN_OF_UNIT = frozenset({"refund_type"})
# Digits that a spreadsheet turns into a number with decimals; an article may be called so.
_NUMBERS = _IDS | {
    "order_id",
    "product_variant_id",
    "exchange_order_number",
    "gift_card_id",
    "external_rma_id",
    "tracking",
}

# What programs write in place of a value, whatever its case.
_NOTHING = r"(?i)null|\(null\)|<null>|none|nil|nan|n/a|na|undefined|\\n|-{1,3}"
_SHEET_ERROR = (
    r"(?i)#(n/a|nv|ref!|bezug!|value!|wert!|name\?|num!|zahl!|null!|div/0!|calc!|spill!|field!|getting_data|#+)"
)
_ROUNDED = r"(?i)[+-]?(\d+[.,]\d+e\+?\d+|\d+e\+\d+)"
_DECIMAL = r"\d+\.0+"
_STRUCTURE = r"[\[{].*[\]}]?"
# Read over all codes of a row at once: any of these may be in one of them. A pattern is quick where it begins with a character.
_SUSPECT = {
    "\x1f": r"\x1f(?i:(null|.null.|none|nil|nan|n/a|na|undefined|\\n|-{1,3})\x1f|#[a-z#]|[\[{])",
    ".": r"\.(0+\x1f|\d+[eE]\d)",
    ",": r",\d+[eE]\d",
    "e+": r"e\+\d",
    "E+": r"E\+\d",
}

# Blanks that no trim() knows, and what has no width at all; then what ends lines, rings bells and the like.
_BLANKS = r"[\s\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]"
_NO_WIDTH = (
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]"
)
_CONTROL = r"[\x00-\x1f\x7f-\x9f]"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _pattern(pattern: str) -> str:
    """A regular expression as SQL: its escapes of characters are RE2's."""
    return _quoted(re.sub(r"\\u([0-9a-f]{4})", r"\\x{\1}", pattern))


def texts(
    kind: Kind, profile: Profile, headers: list[str], *, is_plain: bool = True, is_partial: bool = False
) -> dict[str, str]:
    """Our column -> SQL for its trimmed text (``null`` when blank or not in the file).

    ``is_plain``: the file holds nothing but characters of ASCII that can be seen. Else blanks and what is invisible are
    taken off both ends of every text, and what has no width out of every id, code, word, amount and time.
    Of items, too: ``base_line_item_id``, the line id without its -offset-total.
    """
    position = {header: f"h{number}" for number, header in enumerate(headers)}
    mapped = profile.columns[kind.name]
    found = {}
    more = [STARTED_AT] if is_partial and kind.name == "items" else []
    for column in [*kind.brought, *(kind.known - set(kind.brought)), *more]:
        header = column if column in more else mapped.get(column)
        if header in position:
            found[column] = _cleaned(position[header], column, is_plain=is_plain)
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
            text = found[column]
            found[column] = (
                f"case when {text} is not null then {text} when {_is_unit(line)} then {_parts(line)}.{part} end"
            )
        found["base_line_item_id"] = f"case when {_is_unit(line)} then {_parts(line)}.line else {line} end"
    return found


def _cleaned(text: str, column: str, *, is_plain: bool) -> str:
    # trim() knows all of Unicode and takes its time; read_csv made null of what is empty.
    spaced = f"{text} < '!' or ends_with({text}, ' ')"
    clean = f"case when {spaced} then nullif(trim({text}), '') else {text} end"
    if not is_plain:
        ends = f"(?:{_BLANKS}|{_NO_WIDTH})+"
        visible = text if column in _FREE else f"regexp_replace({text}, {_pattern(_NO_WIDTH)}, '', 'g')"
        trimmed = f"regexp_replace(regexp_replace({visible}, {_pattern('^' + ends)}, ''), {_pattern(ends + '$')}, '')"
        inside = trimmed if column in _FREE else f"nfc_normalize({trimmed})"
        clean = f"case when regexp_matches({text}, '[^!-~]') then nullif({inside}, '') else {text} end"
    if column in _LISTS:
        # A list as JSON or a database writes it: ["IT-1", "IT-2"], {IT-1,IT-2}.
        return f"""nullif(trim(regexp_replace({clean}, '[\\[\\]{{}}()"''\\s]+', ' ', 'g')), '')"""
    return clean


def _parts(line: str) -> str:
    return f"regexp_extract({line}, '{_UNIT}', ['line', 'place', 'pieces'])"


def _is_unit(line: str) -> str:
    """SQL: a line id that ends in -offset-total, with an offset below the total."""
    parts = _parts(line)
    return f"coalesce(try_cast({parts}.place as bigint) < try_cast({parts}.pieces as bigint), false)"


def typed(kind: Kind, profile: Profile, *, is_partial: bool = False) -> dict[str, str]:
    """Our column -> SQL for its typed value, from its text ``t_…``; what does not fit is null."""
    columns = {**kind.brought, "updated_at": "TIMESTAMPTZ"}
    if is_partial and kind.name == "items":
        columns[STARTED_AT] = "TIMESTAMPTZ"
    return {name: _typed(f"t_{name}", name, sql, profile) for name, sql in columns.items()}


def _typed(text: str, name: str, sql: str, profile: Profile) -> str:
    match sql:
        case "TIMESTAMPTZ":
            return instant_of(text, profile)
        case "VARCHAR":
            if name == "order_number":
                text = f"nullif(ltrim({text}, '# '), '')"
            elif name in _CODES - _IDS:
                is_nothing = f"looks_mangled and regexp_full_match({text}, {_pattern(_NOTHING)})"
                text = f"case when {is_nothing} then null else {text} end"
            return _word(text, profile.words.get(name, {}))
        case _ if sql == SQL_TYPE:
            plain = f"regexp_replace({text}, '{_CURRENCY}', '', 'g')"
            point = profile.money.decimal
            number = plain if point == "." else f"replace(replace({plain}, '.', ''), ',', '.')"
            return f"case when regexp_full_match({plain}, '{_EXACT[point]}') then try_cast({number} as {SQL_TYPE}) end"
        case _:  # a cast alone would round 1.5
            return f"case when regexp_full_match({text}, '[+-]?\\d{{1,18}}') then try_cast({text} as {sql}) end"


# When the state of a partial row is from, where it reports no time of its own: what has happened to it last.
_HAPPENED = {
    "items": ("received_at", "hub_received_at", "warehouse_received_at", "approved_at", "refunded_at", "started_at"),
    "returns": ("created_at", "started_at", "dropped_off_at", "last_approved_at"),
    "shipments": ("departed_at",),
}
STARTED_AT = "started_at"
"""Of a partial row of a unit, beside its columns: when its return was started."""


def told_time(kind: Kind, *, is_partial: bool) -> str:
    """SQL for the time of a row's state as it reports it, from typed values.

    Of partial rows: ``{updated_at, latest_at}``. That a return is in its state is from the time of that state, if it reports it.
    """
    if not is_partial:
        return "updated_at"
    latest = f"greatest({', '.join(_HAPPENED[kind.name])})" if kind.name in _HAPPENED else "null"
    if kind.name == "returns":
        latest = f"""case refund_status
            when 'dropped-off' then case when dropped_off_at is not null then {latest} end
            when 'approved' then case when last_approved_at is not null then {latest} end
            when 'partly-approved' then case when last_approved_at is not null then {latest} end
            when 'expired' then expired_at
            when 'failed' then null
            else {latest} end"""
    return f"struct_pack(updated_at := updated_at, latest_at := cast({latest} as timestamptz))"


# Neither 'infinity' nor the year 1 that some systems write for "none".
MACROS = """
create or replace temp macro sane_instant(i) as
    case when i between timestamptz '1990-01-01 00:00:00+00' and timestamptz '2200-01-01 00:00:00+00' then i end;
"""


def instant_of(text: str, profile: Profile) -> str:
    """SQL for the instant that a text holds, as a profile reads times; null where it holds none. Needs ``MACROS``."""
    return f"sane_instant({instant(text, _quoted(profile.times.zone), profile.times.format)})"


def _word(text: str, words: Mapping[str, str]) -> str:
    if not words:
        return text
    cases = " ".join(f"when {_quoted(theirs)} then {_quoted(ours)}" for theirs, ours in words.items())
    return f"case {text} {cases} else {text} end"


_CODES = _NUMBERS | {
    "express_code", "sku", "upc", "exchange_sku", "label_barcode", "bag_barcode", "retailer_id", "destination_address_id",
}  # fmt: skip


def codes(kind: Kind) -> str:
    """SQL for the codes of a row, one after the other."""
    return f"concat_ws({SEPARATOR}, '', {', '.join(f't_{name}' for name in kind.brought if name in _CODES)}, '')"


def looks_mangled() -> str:
    """SQL over ``codes`` of a row: one of them may be none. Asked first, since few are."""
    cases = " ".join(  # a CASE, since a bare OR would look for all of them in every row
        f"when contains(codes, {_quoted(part)}) and regexp_matches(codes, {_pattern(pattern)}) then true"
        for part, pattern in _SUSPECT.items()
    )
    return f"case {cases} else false end"


def problem(kind: Kind, *, is_plain: bool = True, is_partial: bool = False) -> str:
    """SQL for what is wrong with a row: ``{column, reason}`` of the first thing, or null.

    Expects texts (``t_…``) and typed values beside each other, ``looks_mangled``, and the parameter ``now``.
    Types first, then codes, then the predicates of the declaration. ``is_partial``: what a row does not say of a known unit
    is known of it.
    """
    columns = {**kind.brought, "updated_at": "TIMESTAMPTZ"}
    cases = []
    for name, sql in columns.items():
        if sql in _EXPECTED:
            reason = f"{_quoted(_EXPECTED[sql] + ': ')} || left(t_{name}, 60)"
            cases.append(f"when t_{name} is not null and {name} is null then {_told(name, reason)}")
        if sql == SQL_TYPE:
            reason = f"'is beyond what an amount may be, {LIMIT:,}: ' || left(t_{name}, 60)"
            cases.append(f"when abs({name}) >= {LIMIT} then {_told(name, reason)}")
    cases += [
        f"when {name} > {_latest(name)} then {_told(name, _in_future(name))}" for name in columns if _is_past(name)
    ]
    limited = [name for name in kind.brought if kind.brought[name] == "VARCHAR" and name not in _FREE | _LISTS]
    longest = ", ".join(f"strlen(t_{name})" for name in limited)
    too_long = " ".join(
        f"when length(t_{name}) > {MOST_CHARACTERS} then "
        + _told(name, f"'is longer than {MOST_CHARACTERS} characters: ' || left(t_{name}, 60)")
        for name in limited
    )
    cases.append(
        f"when greatest({longest}) > {MOST_CHARACTERS} and (case {too_long} end) is not null then case {too_long} end"
    )
    mangled = f"case {' '.join(_mangled(kind))} end"
    cases.append(f"when case when looks_mangled then ({mangled}) is not null end then {mangled}")
    if not is_plain:
        cases += [
            f"when regexp_matches(t_{name}, '{_CONTROL}') then {_told(name, _quoted('holds a control character'))}"
            for name in limited
        ]
    if kind.name == "refunds":
        for name in (name for name, sql in columns.items() if sql == SQL_TYPE):
            reason = f"'is in another currency than ' || currency || ': ' || t_{name}"
            cases.append(
                f"when regexp_extract(t_{name}, '[A-Z]{{3}}') not in ('', currency) then {_told(name, reason)}"
            )
    for name, reason, predicate in kind.declared.predicates():
        if name in kind.brought:
            value = name if kind.brought[name] != "VARCHAR" else f"left({name}, 60)"
            is_missing = predicate.endswith(" is null")
            if is_missing and is_partial and name in _KNOWN_OF_UNIT:
                continue
            shown = _quoted(reason) if is_missing else f"{_quoted(reason + ': ')} || {value}"
            word = "null" if is_missing or kind.declared.declared[name].values is None else value
            cases.append(f"when {predicate} then {_told(name, shown, word)}")
    return "case " + " ".join(cases) + " end"


def _is_past(name: str) -> bool:
    """Times of what has happened: not when a label expires."""
    return name.endswith("_at") and name != "expired_at"


def _latest(name: str) -> str:
    """The state of a row is not from after now, and no more than an hour ahead of our clock: it may report local time."""
    return "$now::timestamptz + interval 1 hour" if name == "updated_at" else "$now::timestamptz + interval 1 day"


def _in_future(name: str) -> str:
    return f"'is in the future: ' || left(t_{name}, 60)"


def _mangled(kind: Kind) -> list[str]:
    """What spreadsheets and programs make of codes: a row with one of these may be about anything."""
    cases = []
    for name in kind.brought:
        if name not in _CODES:
            continue
        wrong = [(_SHEET_ERROR, "is the error of a spreadsheet"), (_ROUNDED, "was rounded by a spreadsheet"),
                 (_STRUCTURE, "is a list or an object")]  # fmt: skip
        if name in _NUMBERS:
            wrong.append((_DECIMAL, "was turned into a number"))
        if name in _IDS:
            wrong.append((_NOTHING, "says that there is none"))
        cases += [
            f"when regexp_full_match(t_{name}, {_pattern(pattern)}) then "
            + _told(name, f"{_quoted(reason + ': ')} || left(t_{name}, 60)")
            for pattern, reason in wrong
        ]
    return cases


def _told(column: str, reason: str, word: str = "null") -> str:
    return f"struct_pack(column_name := {_quoted(column)}, reason := {reason}, word := {word}::varchar)"


def row_hash(kind: Kind) -> str:
    """SQL for the SHA-256 of a row's texts, e-mail as its token."""
    columns = [f"coalesce(t_{name}, '')" for name in [*kind.brought, "updated_at"]]
    if kind.name == "returns":
        columns.append("coalesce(customer_token, '')")
    return f"sha256(concat_ws({SEPARATOR}, {', '.join(columns)}))"


def kept_texts(kind: Kind, profile: Profile) -> str:
    """SQL for a row's texts as JSON, by column, where the profile interprets them: so that another profile can read them later.

    Without words, formats or zones of its own a row's texts are its typed values.
    """
    if not interprets(profile):
        return "cast(null as varchar)"
    members = ", ".join(f"{name} := t_{name}" for name in [*kind.brought, "updated_at"])
    return f"to_json(struct_pack({members}))::varchar"


def interprets(profile: Profile) -> bool:
    """The profile gives texts another meaning than they have by themselves."""
    return bool(profile.words) or profile.times != type(profile.times)() or profile.money != type(profile.money)()
