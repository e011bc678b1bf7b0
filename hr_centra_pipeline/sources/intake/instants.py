"""SQL that reads an instant from a text: every offset counts, and what is not a time by itself is none."""

from __future__ import annotations

_DAY = r"\d{4}[-/]\d{1,2}[-/]\d{1,2}"
_TIME = r"[T ]\d{1,2}:\d\d(:\d\d(\.\d{1,9})?)?"
_OFFSET = r"[+-](0\d|1[0-4])(:?[0-5]\d)?"
# A cast would take more: words for zones, which it carries over to the next rows, and offsets of days.
_WITHOUT_OFFSET = f"{_DAY}({_TIME})?"
_WITH_OFFSET = f"{_DAY}{_TIME}(Z|{_OFFSET})"
_OTHERWISE_WITH_OFFSET = f"({_DAY}{_TIME}) ?(z|UTC|GMT|{_OFFSET})"
# What most exports write. Without a blank a cast takes nothing else of this shape; LIKE costs a fifth of a pattern.
_USUAL = "20__-__-__T__:__:__Z"
_USUAL_WITH_OFFSET = "20__-__-__T__:__:__+__:__"


def quoted(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def instant(text: str, zone: str, format: str | None = None) -> str:
    """SQL for the instant that a text holds, null where it holds none.

    Args:
        text: SQL of the text.
        zone: SQL of the zone of times without an offset.
        format: strptime's, for texts that are not ISO 8601. With ``%z`` the offset is the text's own.
    """
    if format is None:
        if zone == "'UTC'":  # the session's zone
            plain = (
                f"when regexp_full_match({text}, '{_DAY}({_TIME}(Z|{_OFFSET})?)?') then try_cast({text} as timestamptz)"
            )
            return f"case {_usual(text)} {plain} {_odd(text)} end"
        local = (
            f"when regexp_full_match({text}, '{_WITHOUT_OFFSET}') then timezone({zone}, try_cast({text} as timestamp))"
        )
        return f"case {_usual(text)} {local} {_iso(text)} {_odd(text)} end"
    parsed = f"try_strptime({text}, {quoted(format)})"
    if "%z" in format:
        far = f"regexp_matches({text}, '[+-](1[5-9]|[2-9]\\d)(:?\\d\\d)?$')"
        return f"case when not {far} then {parsed}::timestamptz end"
    return f"coalesce(timezone({zone}, {parsed}), case {_iso(text)} {_odd(text)} end)"


def _usual(text: str) -> str:
    with_offset = f"{text} like '{_USUAL_WITH_OFFSET}' and substr({text}, 21, 5) < '15' and substr({text}, 24, 1) < '6'"
    return f"when not contains({text}, ' ') and ({text} like '{_USUAL}' or {with_offset}) then try_cast({text} as timestamptz)"


def _iso(text: str) -> str:
    return f"when regexp_full_match({text}, '{_WITH_OFFSET}') then try_cast({text} as timestamptz)"


def _odd(text: str) -> str:
    """ISO 8601 with a blank before the offset, or with a word for UTC."""
    plain = f"regexp_replace(regexp_replace({text}, ' ?(z|UTC|GMT)$', 'Z'), ' ([+-])', '\\1')"
    return f"when regexp_full_match({text}, '{_OTHERWISE_WITH_OFFSET}') then try_cast({plain} as timestamptz)"
