"""One body of JSON, taken apart: which message it is, and the texts of the rows that it brings."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Literal, NamedTuple

from hr_centra_pipeline.sources.happy_returns.event_reading import Columns, EventProfile, Message, Paths
from hr_centra_pipeline.sources.happy_returns.export_kinds import KindName

MOST_ITEMS = 10_000
"""A body with more units is refused."""
MOST_DEPTH = 100
"""A body that is nested deeper is refused."""
LAST = "last_approved_at"
"""Of a return: the latest of its units'."""
_MOST_TEXT = 20_000  # characters of one value
_MOST_NAME = 200  # of a retailer
_MOST_OTHERS = 1_000  # events that were merged into one
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{\]}]')

Problem = Literal[
    "not_utf8", "not_json", "too_deep", "wrong_type", "unknown_event", "other_retailer", "no_items", "too_many_items",
    "cannot_be_landed",
]  # fmt: skip
"""Why a body is refused as a whole."""


class Refused(Exception):
    """The body cannot be used as a whole. ``column`` and ``word``: what of it is on no list."""

    def __init__(self, code: Problem, problem: str, column: str | None = None, word: str | None = None) -> None:
        super().__init__(problem)
        self.code: Problem = code
        self.problem = problem
        self.column = column
        self.word = word


class Row(NamedTuple):
    """A row that a body brings: the place of its unit, from 1, and its texts by column."""

    place: int
    texts: Mapping[str, str]


class Bad(NamedTuple):
    """What of a body cannot be read: the unit's place, or 0 for the body itself."""

    place: int
    column: str | None
    reason: str
    word: str | None = None


@dataclass
class Reading:
    """A body that could be read. ``retailers``: whose it is, as far as it says.

    ``last_of``: by place of a row of ``returns``, different times of its units, of which the latest is its ``last_approved_at``.
    ``tells_method``: its newest event is that the drop-off method was chosen.
    """

    message: Message
    event: str | None = None
    type_id: str | None = None
    others: list[tuple[str, str]] = field(default_factory=list)
    retailers: list[str] = field(default_factory=list)
    rows: dict[KindName, list[Row]] = field(default_factory=dict)
    bad: list[Bad] = field(default_factory=list)
    last_of: dict[int, tuple[str, ...]] = field(default_factory=dict)
    items: Sequence[Any] = ()
    tells_method: bool = False

    def raw(self, place: int) -> str | None:
        """A unit as it came, for people to look at."""
        if not 0 < place <= len(self.items):
            return None
        try:
            return json.dumps(self.items[place - 1], ensure_ascii=False).encode("utf-8", "replace").decode()
        except RecursionError:
            return None


class _Object(dict[str, Any]):
    """A JSON object. ``folded``: its members by their names in small letters, and those that have two values."""

    folded: dict[str, Any]
    twice: frozenset[str]


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    found = _Object(pairs)
    folded: dict[str, Any] = {}
    twice = set()
    for name, value in pairs:
        short = name.casefold()
        if _is_blank(folded.get(short)):
            folded[short] = value
        elif not _is_blank(value) and folded[short] != value:
            twice.add(short)
    found.folded, found.twice = folded, frozenset(twice)
    return found


def _is_blank(value: Any) -> bool:
    """Missing, null and empty are the same: no value."""
    return value is None or value == "" or value == [] or value == {} or (isinstance(value, str) and not value.strip())


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


class _Literal(str):
    """A number as it is written."""

    __slots__ = ()


def parsed(data: bytes) -> Any:
    """A body's JSON, numbers as they are written.

    Raises:
        Refused: it is not JSON, or too deep.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("not_utf8", f"is not UTF-8 (byte {error.start + 1})") from None
    if _is_deep(text):
        raise Refused("too_deep", f"is nested deeper than {MOST_DEPTH} levels")
    try:
        return json.loads(
            text, parse_int=_Literal, parse_float=_Literal, parse_constant=_no_constant, object_pairs_hook=_object
        )
    except (ValueError, RecursionError) as error:
        raise Refused("not_json", f"is not JSON ({str(error)[:100]})") from None


def _is_deep(text: str) -> bool:
    """Brackets outside of texts; a body with few of them is not looked through."""
    if text.count("[") + text.count("{") <= MOST_DEPTH:
        return False
    depth = 0
    for token in _TOKEN.finditer(text):
        letter = token[0]
        if letter in "[{":
            depth += 1
            if depth > MOST_DEPTH:
                return True
        elif letter in "]}":
            depth -= 1
    return False


def sha256_of(data: bytes) -> str:
    """By which the same bytes are known again."""
    return hashlib.sha256(data).hexdigest()


def read_body(
    data: bytes,
    profile: EventProfile,
    received_at: datetime,
    message: Message | None = None,
    given: Mapping[str, str] | None = None,
) -> Reading:
    """Take a body apart. ``message``: what it is, where that is known; else the profile says. ``given``: columns that every row
    has that the body does not say otherwise.

    Raises:
        Refused: it cannot be used as a whole.
    """
    try:
        found = _read(parsed(data), profile, received_at, message)
    except _Twice as error:
        raise Refused("wrong_type", f"names {error} twice, with two values") from None
    except _Half as error:
        raise Refused("wrong_type", str(error)) from None
    for kind, rows in found.rows.items() if given else ():
        more = {column: text for column, text in (given or {}).items() if column in profile.headers[kind]}
        found.rows[kind] = [Row(row.place, {**more, **row.texts}) for row in rows]
    return found


def _read(whole: Any, profile: EventProfile, received_at: datetime, message: Message | None) -> Reading:
    if not isinstance(whole, _Object | list):
        raise Refused("wrong_type", "is neither an object nor a list")
    top = whole if isinstance(whole, _Object) else _object([])
    envelope = profile.envelope
    event, type_id = _text(top, (), envelope.event), _text(top, (), envelope.type_id)
    is_answer = message is not None
    message = message or _message(whole, top, event, profile)
    reading = Reading(message, event or None, type_id or None)
    if message == "label":
        reading.items = [top]
    else:
        paths, of_answers = (
            (profile.return_.items, profile.api.items)
            if message == "return"
            else (profile.outbound.items, profile.api.contents)
        )
        paths = (*paths, *filter(None, of_answers)) if is_answer else paths
        reading.items = whole if isinstance(whole, list) else _items(top, paths)
    if len(reading.items) > MOST_ITEMS:
        raise Refused("too_many_items", f"holds more than {MOST_ITEMS:,} units")
    units = []
    for place, item in enumerate(reading.items, 1):
        if isinstance(item, _Object):
            units.append((place, item))
        else:
            reading.bad.append(Bad(place, None, "is not a JSON object"))
    told = [_retailer(one, envelope.retailer_id) for one in (top, *(unit for _, unit in units))]
    reading.retailers = list(dict.fromkeys(one for one in told if one))
    match message:
        case "return":
            _read_return(reading, top, units, profile, received_at)
        case "label":
            reading.rows["bags"] = _rows(reading, top, units, profile.label.columns)
        case "outbound":
            reading.rows["shipments"] = _rows(reading, top, units, profile.outbound.columns)
    return reading


def _message(whole: Any, top: _Object, event: str, profile: EventProfile) -> Message:
    """By ``webhookType``, else by event, else by shape: a bare list of units is an outbound shipment."""
    known: tuple[tuple[Message, Sequence[str], Sequence[str]], ...] = (
        ("return", profile.return_.webhook_types, profile.return_.events),
        ("label", profile.label.webhook_types, profile.label.events),
        ("outbound", profile.outbound.webhook_types, profile.outbound.events),
    )
    webhook = _text(top, (), profile.envelope.webhook_type)
    found: Message | None = None
    if webhook:
        found = next((name for name, types, _ in known if _is_one_of(webhook, types)), None)
    if event:
        by_event = next((name for name, _, events in known if _is_one_of(event, events)), None)
        if by_event is None and (found is None or found == "return"):
            raise Refused("unknown_event", f"is an event that the profile does not know: {event[:60]}", "event", event)
        found = found or by_event
    if found is None and webhook:
        raise Refused(
            "unknown_event", f"is a webhook that the profile does not know: {webhook[:60]}", "webhookType", webhook
        )
    if found is None and (isinstance(whole, list) or not _is_blank(_value(top, (), profile.outbound.items))):
        found = "outbound"
    if found is None:
        raise Refused("unknown_event", "names no event, and holds no units")
    return found


def _is_one_of(word: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(word.lower(), pattern.lower()) for pattern in patterns)


def _items(top: _Object, paths: Paths) -> Sequence[Any]:
    found = _value(top, (), paths)
    if _is_blank(found):
        raise Refused("no_items", f"holds no units ({', '.join(paths)})")
    if not isinstance(found, list):
        raise Refused("wrong_type", f"its units are not a list ({', '.join(paths)})")
    return found


# ---------------------------------------------------------------- return.asn


def _read_return(
    reading: Reading, top: _Object, units: Sequence[tuple[int, _Object]], profile: EventProfile, received_at: datetime
) -> None:
    """``items``: a row per unit; ``returns``: a row per return and order."""
    asn = profile.return_
    reading.others = _others(reading, top, profile)
    happened = [(reading.event or "", reading.type_id or ""), *reading.others]
    status = next((type_id for event, type_id in happened if _is_one_of(event, asn.status_events)), None)
    method = next((type_id for event, type_id in happened if _is_one_of(event, asn.method_events) and type_id), None)
    reading.tells_method = bool(method) and _is_one_of(happened[0][0], asn.method_events)
    if status == "":
        reading.bad.append(Bad(0, "refund_status", "is missing: the event names no status"))
        status = None
    status = status and _known_word(status, profile.words.get("refund_status", {}))
    dated = asn.sets.get(profile.words.get("refund_status", {}).get(status, status), ()) if status else ()
    items: list[Row] = []
    returns: dict[tuple[str, str], list[Row]] = {}
    for row in _rows(reading, top, units, asn.columns.items):
        texts = dict(row.texts)
        if method and not texts.get("dropoff_method"):
            texts["dropoff_method"] = method
        for column in dated:
            texts.setdefault(column, _written(received_at, profile))
        items.append(Row(row.place, texts))
    known = {row.place for row in items}
    for row in _rows(reading, top, [one for one in units if one[0] in known], asn.columns.returns):
        pair = (row.texts.get("return_id", ""), row.texts.get("order_number", ""))
        if all(pair):  # else its units are rejected for it already
            returns.setdefault(pair, []).append(row)
    retailer = {"retailer_id": reading.retailers[0]} if reading.retailers else {}
    reading.rows["returns"] = [
        Row(one.place, {**retailer, **one.texts})
        for one in (_of_return(rows, status, method) for rows in returns.values())
    ]
    for rows in returns.values():
        approvals = tuple(dict.fromkeys(row.texts[LAST] for row in rows if LAST in row.texts))
        if len(approvals) > 1:
            reading.last_of[rows[0].place] = approvals
    reading.rows["items"] = items


def _others(reading: Reading, top: _Object, profile: EventProfile) -> list[tuple[str, str]]:
    """Events that were merged into this one, the newest first; unknown ones are set aside by their name."""
    told = _value(top, (), profile.envelope.other_events)
    if _is_blank(told):
        return []
    if not isinstance(told, list) or len(told) > _MOST_OTHERS:
        reading.bad.append(Bad(0, "otherEvents", "is not a list of events"))
        return []
    found = []
    for one in told:
        unit = one if isinstance(one, _Object) else _object([])
        try:
            event, type_id = _text(unit, (), profile.envelope.event), _text(unit, (), profile.envelope.type_id)
        except _Half as error:
            reading.bad.append(Bad(0, "otherEvents", str(error)))
            continue
        if not event:
            reading.bad.append(Bad(0, "otherEvents", "names no event"))
        elif _is_one_of(event, profile.return_.events):
            found.append((event, type_id))
        elif not _is_one_of(event, profile.return_.ignored_events):
            why = f"is an event that the profile does not know: {event[:60]}"
            reading.bad.append(Bad(0, "otherEvents", why, event))
    return found


def _known_word(word: str, words: Mapping[str, str]) -> str:
    """A status as the profile spells it: its capitals do not matter."""
    return word if word in words else word.lower()


def _written(received_at: datetime, profile: EventProfile) -> str:
    """The time of a delivery, as the profile reads times."""
    form = profile.times.format or ""
    return received_at.astimezone(UTC).strftime(form if "%z" in form else "%Y-%m-%dT%H:%M:%S.%fZ")


def _of_return(rows: Sequence[Row], status: str | None, method: str | None) -> Row:
    """The row of a return and order, from those of its units: what they say first."""
    texts: dict[str, str] = {}
    for row in rows:
        for column, text in row.texts.items():
            texts.setdefault(column, text)
    methods = {row.texts.get("dropoff_method", "") for row in rows}
    if method:
        texts["dropoff_method"] = method
    elif len(methods) > 1:
        texts.pop("dropoff_method", None)  # they differ: it is not one of the return
    # A return of which we hear was started; its status never falls by an event.
    at_least = "dropped-off" if texts.get("dropped_off_at") else "started"
    texts["refund_status"] = status or texts.get("refund_status") or at_least
    return Row(rows[0].place, texts)


# ---------------------------------------------------------------- values


def _rows(reading: Reading, top: _Object, units: Iterable[tuple[int, _Object]], columns: Columns) -> list[Row]:
    """A row per unit, with the columns that it holds a value for; what names a value twice, or is half a character, is bad."""
    rows = []
    for place, unit in units:
        texts: dict[str, str] = {}
        problem: Bad | None = None
        for column, paths in columns.items():
            try:
                text = _text(unit, (top,), paths)
            except _Twice as error:
                problem = problem or Bad(place, column, f"is there twice, with two values: {error}")
                continue
            except _Half as error:
                problem = problem or Bad(place, None, str(error))
                continue
            if text:
                texts[column] = text
        if problem is None:
            rows.append(Row(place, texts))
        elif problem not in reading.bad and all(problem.place != one.place for one in reading.bad):
            reading.bad.append(problem)
    return rows


class _Twice(Exception):
    """A name with two values."""


class _Half(Exception):
    """A text with half of a character in it: it can be neither stored nor compared."""

    def __init__(self) -> None:
        super().__init__("holds half a character (a lone surrogate)")


def _value(unit: _Object, around: Sequence[_Object], paths: Paths) -> Any:
    """The first value of several paths that is one, in the unit, else around it.

    Raises:
        _Twice: its name is there twice.
    """
    for path in paths:
        for scope in (unit, *around):
            found: Any = scope
            for name in path.casefold().split("."):
                if not isinstance(found, _Object) or name not in found.folded:
                    found = None
                    break
                if name in found.twice:
                    raise _Twice(name)
                found = found.folded[name]
            if not _is_blank(found):
                return found
    return None


def _text(unit: _Object, around: Sequence[_Object], paths: Paths) -> str:
    """A value as a file would hold it; "" for none. A list of plain values is one text, anything else its JSON.

    Raises:
        _Twice, _Half: it cannot be used.
    """
    value = _value(unit, around, paths)
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return _whole(_bounded(str(value).strip()))
        case list() if all(isinstance(one, str) for one in value):
            return _whole(_bounded(", ".join(str(one).strip() for one in value if not _is_blank(one))))
        case _:
            return _whole(_bounded(json.dumps(value, ensure_ascii=False)))


def _bounded(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT]


def _whole(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _Half from None
    return text


def _retailer(unit: _Object, paths: Paths) -> str:
    """Whose it is; "" where that is not said.

    Raises:
        Refused: by something that is not a name.
    """
    if not isinstance(_value(unit, (), paths), str | None):
        raise Refused("wrong_type", "its retailer is not a text", "retailer_id")
    name = _text(unit, (), paths)
    if len(name) > _MOST_NAME or not name.isprintable():
        raise Refused("wrong_type", "its retailer is too long, or has characters that cannot be shown", "retailer_id")
    return name
