"""What Centra announces: a hint names an object that changed, and is no more than a reason to pull it by its id.

Hints come by Centra's webhook, which the inbox has kept, and from its event queue (``event_queue.py``). Nothing relies on
them: polls find what they do not bring.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Any, TypeGuard
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.inbox.inbox_store import Delivery, Inbox
from hr_centra_pipeline.sources.centra.judged import shown
from hr_centra_pipeline.sources.intake import rejected
from hr_centra_pipeline.sources.intake.halves import by_halves
from hr_centra_pipeline.sources.intake.rejected import Rejected
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.made import makes

KIND = "centra_hints"
"""Of what is set aside of deliveries and of the queue, in quarantine."""
WEBHOOK, QUEUE = "webhook", "queue"

ORDER, SHIPMENT, RETURN, STOCK_CHANGE, PAYMENT = "order", "shipment", "return", "stock_change", "payment"
PULLED = (ORDER, SHIPMENT, RETURN, STOCK_CHANGE, PAYMENT)
"""Types of objects that a hint has pulled; any other is noted, and nothing is read because of it."""

_PAYLOAD = "payload"  # the form field that holds the events
_MOST_FIELDS = 20  # of a form
_MOST_EVENTS = 10_000  # of one delivery: Centra documents 100
_LARGEST_ID = 2**31  # a GraphQL Int
_LONGEST_WORD = 100  # characters of a type or change that we keep
_LONGEST_TEXT = 500  # characters of an event that is set aside
_AT_ONCE, _BYTES_AT_ONCE = 500, 16 << 20  # deliveries that are read and landed together
_MOST_OBJECTS = 5_000  # of a type that one run pulls because of hints; the others wait for the next


@dataclass(frozen=True)
class Hint:
    """One change that was announced. ``place``: in its source, from 1; ``order_number``: of a payment, where it is shown."""

    place: int
    object_type: str
    object_id: int
    change: str
    happened_at: datetime | None
    order_number: str | None = None


@dataclass
class HintReport:
    """What came. ``events`` were ``landed``, landed earlier (``repeated``) or ``rejected``; ``ignored`` of those that landed
    are about nothing that is pulled.
    """

    deliveries: int = 0
    events: int = 0
    landed: int = 0
    repeated: int = 0
    rejected: int = 0
    ignored: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, more: HintReport) -> None:
        """Count what came besides."""
        for name, value in vars(more).items():
            setattr(self, name, getattr(self, name) + value)


# ---------------------------------------------------------------- the webhook


def take(inbox: Inbox, warehouse: Warehouse, policy: Policy, now: datetime) -> HintReport:
    """Land what waits in the inbox of Centra's deliveries. A crash before they are marked lands nothing twice.

    Raises:
        StoreFailed: the inbox cannot be read or written.
        NotNow: the database cannot be written; nothing is marked.
    """
    report = HintReport()
    zone = ZoneInfo(policy.events.centra_time_zone)
    for deliveries in inbox.waiting_now("centra", most=_AT_ONCE, most_bytes=_BYTES_AT_ONCE):
        for some, landed, why in by_halves(
            warehouse, deliveries, lambda connection, some: _land_deliveries(connection, some, zone, now)
        ):
            report.add(landed or _refuse(warehouse, some[0], why, now))
        inbox.mark_landed([delivery.delivery_id for delivery in deliveries])
    return report


def _refuse(warehouse: Warehouse, delivery: Delivery, why: str, now: datetime) -> HintReport:
    """A delivery that spoils a transaction is set aside as a whole."""
    with warehouse.transaction() as connection:
        refused = [_rejected(None, why, None)]
        batch = watermarks.next_batch(connection)
        set_aside(connection, delivery.delivery_id, delivery.body_sha256, refused, batch, now)
    return HintReport(deliveries=1, events=1, rejected=1)


def _land_deliveries(
    connection: Connection, deliveries: Sequence[Delivery], zone: ZoneInfo, now: datetime
) -> HintReport:
    report = HintReport()
    batch = watermarks.next_batch(connection)
    # Delivered once, landed once: what came back (a crash, a replay by a person) is pulled again and not landed again.
    known = _pull_again(connection, WEBHOOK, [delivery.delivery_id for delivery in deliveries])
    rows: list[tuple[str, datetime, Hint]] = []
    for delivery in deliveries:
        hints, refused = read(delivery.body, zone)
        report.deliveries += 1
        report.events += len(hints) + len(refused)
        report.rejected += len(refused)
        set_aside(connection, delivery.delivery_id, delivery.body_sha256, refused, batch, now)
        if delivery.delivery_id in known:
            report.repeated += len(hints)
        else:
            rows += [(delivery.delivery_id, delivery.received_at, hint) for hint in hints]
    insert(connection, WEBHOOK, rows, batch, report, now)
    return report


def read(body: bytes, zone: ZoneInfo) -> tuple[list[Hint], list[Rejected]]:
    """The events of a delivery: those that name an object, and what is wrong with the others. Never raises."""
    try:
        form = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return [], [_rejected(None, "it is not a form of Centra's webhook", None)]
    given = form.get(_PAYLOAD, [])
    if len(given) != 1:
        return [], [_rejected(None, f"it has {len(given) or 'no'} form field{'s'[: len(given) != 1]} payload", None)]
    try:
        payload = json.loads(given[0])
    except (ValueError, RecursionError):
        return [], [_rejected(None, "its payload is not valid JSON", given[0])]
    events = payload.get("events") if isinstance(payload, Mapping) else None
    if not isinstance(events, list):
        return [], [_rejected(None, "its payload has no list of events", given[0])]
    hints: list[Hint] = []
    refused: list[Rejected] = []
    for place, event in enumerate(events[:_MOST_EVENTS], start=1):
        found = _hint(place, event, zone)
        if isinstance(found, Hint):
            hints.append(found)
        else:
            refused.append(_rejected(place, found, event))
    if len(events) > _MOST_EVENTS:
        refused.append(
            _rejected(None, f"it has {len(events):,} events: those beyond {_MOST_EVENTS:,} are not read", None)
        )
    return hints, refused


def _hint(place: int, event: Any, zone: ZoneInfo) -> Hint | str:
    """The hint of an event, or what is wrong with it."""
    if not isinstance(event, Mapping):
        return "is not an object"
    object_id = id_of(event.get("id"))
    if object_id is None:
        return "id is not the number of an object"
    of, action = event.get("type"), event.get("action")
    if not of or not _is_word(of):
        return "type is not a word"
    if not _is_word(action):
        return "action is not a word"
    return Hint(place, of, object_id, action, instant_of(event.get("date"), zone))


def _is_word(value: Any) -> TypeGuard[str]:
    """A short text that can be shown: no half of a character is."""
    return isinstance(value, str) and len(value) <= _LONGEST_WORD and value.isprintable()


def id_of(value: Any) -> int | None:
    """The number of an object, as a number or as a text; ``None``: it is neither."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= len(str(_LARGEST_ID)):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 < value < _LARGEST_ID else None


def instant_of(value: Any, zone: ZoneInfo) -> datetime | None:
    """When it happened; Centra's webhook gives no offset, so that the zone is a guess. ``None``: it cannot be read."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _rejected(place: int | None, reason: str, text: Any) -> Rejected:
    kept = None if text is None else shown(text)[:_LONGEST_TEXT]
    return place, None, reason, kept, None


def set_aside(
    connection: Connection, source_id: str, sha256: str, refused: Sequence[Rejected], batch: int, now: datetime
) -> None:
    """Keep what of a source cannot be read, by name, once."""
    if refused:
        source = f"centra event {source_id}"
        rejected.forget(connection, source, sha256)
        rejected.set_aside(connection, source, KIND, sha256, refused, batch, now)


# ---------------------------------------------------------------- landing


def _pull_again(connection: Connection, feed: str, source_ids: Sequence[str]) -> set[str]:
    """Which of these have landed before; what they name is pulled once more."""
    rows = connection.execute(
        """
        update landing.centra_hints set pulled_at = null
        where feed = $feed and source_id in (select unnest($ids::varchar[])) and note is null
        returning source_id
        """,
        {"feed": feed, "ids": list(source_ids)},
    ).fetchall()
    return {source_id for (source_id,) in rows} | known(connection, feed, source_ids)


def known(connection: Connection, feed: str, source_ids: Sequence[str]) -> set[str]:
    """Which of these have landed before."""
    rows = connection.execute(
        "select distinct source_id from landing.centra_hints"
        " where feed = ? and source_id in (select unnest(?::varchar[]))",
        [feed, list(source_ids)],
    ).fetchall()
    return {source_id for (source_id,) in rows}


@makes(
    "landing.centra_hints",
    "One row per change that Centra announced, by its webhook or in its event queue, and when its object was pulled for it.",
    kind="source",
)
def insert(
    connection: Connection,
    feed: str,
    rows: Iterable[tuple[str, datetime, Hint]],
    batch: int,
    report: HintReport,
    now: datetime,
) -> None:
    """Append hints, each with its source and when that arrived; what is about nothing that is pulled is noted as done."""
    given = list(rows)
    if not given:
        return
    notes = [_note(hint) for _, _, hint in given]
    report.landed += len(given)
    report.ignored += sum(note is not None for note in notes)
    columns: dict[str, list[Any]] = {
        "source_id": [source for source, _, _ in given],
        "place": [hint.place for _, _, hint in given],
        "object_type": [hint.object_type for _, _, hint in given],
        "object_id": [hint.object_id for _, _, hint in given],
        "change": [hint.change for _, _, hint in given],
        "order_number": [hint.order_number for _, _, hint in given],
        "happened_at": [hint.happened_at for _, _, hint in given],
        "received_at": [received_at for _, received_at, _ in given],
        "note": notes,
        "pulled_at": [None if note is None else now for note in notes],
    }
    connection.execute(
        f"insert into landing.centra_hints ({', '.join(columns)}, feed, landed_at, batch)"
        f" select {', '.join(['unnest(?)'] * len(columns))}, ?, ?, ?",
        [*columns.values(), feed, now, batch],
    )


def _note(hint: Hint) -> str | None:
    """Why nothing is pulled because of a hint; ``None``: its object is."""
    if hint.object_type not in PULLED:
        return f"{hint.object_type}: nothing is read because of it"
    if hint.object_type == PAYMENT and not hint.order_number:
        return "payment: it names no order, so that nothing is read because of it"
    return None


# ---------------------------------------------------------------- what is to be pulled


@dataclass(frozen=True)
class Named:
    """Objects that hints name and that were not pulled because of them yet; of payments the orders that they are on.

    ``batch``: up to where hints were looked at.
    """

    ids: Mapping[str, Sequence[int]] = field(default_factory=dict)
    payment_orders: Sequence[str] = ()
    batch: int = watermarks.NOTHING

    def of(self, object_type: str) -> Sequence[int]:
        """The ids of one type, the longest waiting ones first."""
        return self.ids.get(object_type, ())


def named(connection: Connection) -> Named:
    """What waits to be pulled: each object once, however often it was named."""
    rows = connection.execute(
        """
        select object_type, object_id, any_value(order_number), max(batch)
        from landing.centra_hints
        where pulled_at is null and object_type in (select unnest(?::varchar[]))
            -- the others are not read
            and batch >= (select min(batch) from landing.centra_hints where pulled_at is null)
        group by object_type, object_id
        qualify row_number() over (partition by object_type order by min(batch), object_id) <= ?
        order by min(batch), object_id
        """,
        [list(PULLED), _MOST_OBJECTS],
    ).fetchall()
    ids: dict[str, list[int]] = {}
    for of, object_id, _, _ in rows:
        ids.setdefault(of, []).append(object_id)
    numbers = [number for of, _, number, _ in rows if of == PAYMENT and number]
    return Named(ids, list(dict.fromkeys(numbers)), max((batch for *_, batch in rows), default=watermarks.NOTHING))


def mark_pulled(
    connection: Connection, object_type: str, ids: Collection[int], batch: int, now: datetime, note: str | None = None
) -> None:
    """Hints up to a batch that name these are dealt with."""
    if ids:
        connection.execute(
            """
            update landing.centra_hints set pulled_at = ?, note = ?
            where pulled_at is null and object_type = ? and object_id in (select unnest(?::bigint[])) and batch <= ?
            """,
            [now, note, object_type, list(ids), batch],
        )


def all_named(found: Named) -> list[int]:
    """Every id, whatever it is of: whether there is anything to pull."""
    return list(chain.from_iterable(found.ids.values()))
