"""Bodies of webhook deliveries and of the partner API's answers into the landing tables: rows that say what they say."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from hr_centra_pipeline.sources.happy_returns import event_bodies, parsing, row_landing
from hr_centra_pipeline.sources.happy_returns.event_bodies import LAST, Bad, Problem, Reading, Refused, Row, read_body
from hr_centra_pipeline.sources.happy_returns.event_reading import EventProfile, Message
from hr_centra_pipeline.sources.happy_returns.export_kinds import KINDS, Kind, KindName
from hr_centra_pipeline.sources.happy_returns.identity import NO_PLACE, UNKNOWN_UNIT
from hr_centra_pipeline.sources.happy_returns.row_landing import Counts, Rows, Source
from hr_centra_pipeline.sources.happy_returns.units_of_feeds import OTHER_FEED
from hr_centra_pipeline.sources.intake import rejected
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection

Feed = Literal["events", "api"]

# Returns before units, as files are landed.
_ORDER: tuple[KindName, ...] = ("returns", "items", "shipments", "bags")
_PLAIN = bytes(range(0x20, 0x7F)) + b"\n"
OTHER_RETAILER: Problem = "other_retailer"


@dataclass(frozen=True)
class Asked:
    """What an answer has to be about. ``retailer``: whose; ``express_code`` or ``order_numbers``: by which returns were asked for.

    ``returns`` and ``orders``: of the returns that are known by that code; none: nothing is known of it.
    """

    retailer: str
    express_code: str | None = None
    order_numbers: tuple[str, ...] = ()
    returns: frozenset[str] = frozenset()
    orders: frozenset[str] = frozenset()

    def is_about(self, texts: Mapping[str, str]) -> bool:
        """Whether a row is what was asked for. An answer need not name a return's code; then the return or its order tells."""
        order = _order(texts.get("order_number", ""))
        if self.order_numbers:
            return order in {_order(one) for one in self.order_numbers}
        if self.express_code is None:
            return True
        code = texts.get("express_code", "").upper()
        if code and code != self.express_code.upper():
            return False
        known = bool(self.returns or self.orders)
        return not known or texts.get("return_id") in self.returns or order in {_order(one) for one in self.orders}


def _order(number: str) -> str:
    return number.strip().lstrip("#").casefold()


@dataclass(frozen=True)
class Body:
    """One body. ``name``: its ``source_file``, such as ``event 0190…`` or ``api 17``.

    ``message``: what it is, where its sender knows (the answer of a look-up of returns is a ``return``); else the profile says.
    ``given``: columns that its sender knows and the body may not hold, such as the shipment whose contents it is.
    ``is_again``: it was landed before, and may bring more now. ``sha256``: of its bytes as they came, should they differ now.
    ``asked``: what an answer has to be about; its other rows are set aside.
    """

    name: str
    feed: Feed
    received_at: datetime
    data: bytes
    message: Message | None = None
    given: Mapping[str, str] = field(default_factory=dict)
    is_again: bool = False
    sha256: str | None = None
    asked: Asked | None = None


@dataclass(frozen=True)
class BodyReport:
    """What became of one body: rows read = landed + rejected + repeated. ``problem``: it was refused as a whole.

    ``waits_for``: units that no feed knows yet, of which it does not say enough, and returns of which another feed has to say
    more before its units can be distinguished. ``source_time``: of its latest row.
    """

    name: str
    rows_read: int = 0
    rows_landed: int = 0
    rows_rejected: int = 0
    rows_repeated: int = 0
    problem: str | None = None
    problem_code: str | None = None
    batch: int | None = None
    message: Message | None = None
    event: str | None = None
    type_id: str | None = None
    other_events: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()
    source_time: datetime | None = None


@dataclass
class _Read:
    """A body on its way. ``wrong``: (kind, what is wrong) of what is rejected."""

    body: Body
    batch: int
    sha256: str
    reading: Reading | None = None
    refused: Refused | None = None
    counts: Counts = field(default_factory=Counts)
    wrong: list[tuple[str | None, Bad]] = field(default_factory=list)
    waits_for: list[str] = field(default_factory=list)
    source_time: datetime | None = None


def land_bodies(
    connection: Connection, bodies: Sequence[Body], profile: EventProfile, now: datetime
) -> list[BodyReport]:
    """Land bodies of one feed in the order of their arrival, in the caller's transaction. Answers a report each, in that order.

    What cannot be read is set aside in ``quarantine.rejected_rows`` under the body's name.
    """
    if not bodies:
        return []
    batches = watermarks.next_batches(connection, len(bodies))
    found = [_read(body, batch, profile) for body, batch in zip(bodies, batches, strict=True)]
    _refuse_other_retailers(connection, found, now)
    _take_latest(connection, found, profile)
    with tempfile.TemporaryDirectory() as scratch:
        for name in _ORDER:
            bringing = [one for one in found if one.reading and not one.refused and one.reading.rows.get(name)]
            for together in _rounds(bringing, name):
                _land_rows(connection, together, KINDS[name], profile, Path(scratch), now)
    _count_again(connection, found)
    for one in found:
        _set_aside(connection, one, now)
    return [_report(one) for one in found]


def _read(body: Body, batch: int, profile: EventProfile) -> _Read:
    found = _Read(body, batch, body.sha256 or event_bodies.sha256_of(body.data))
    try:
        found.reading = read_body(body.data, profile, body.received_at, body.message, body.given)
    except Refused as error:
        found.refused = error
        return found
    if body.asked and found.reading.message == "return":
        _keep_to(body.asked, found.reading)
    found.wrong = [(_KIND_OF[found.reading.message], bad) for bad in found.reading.bad]
    found.counts = Counts(read=len(found.wrong), rejected=len(found.wrong))
    return found


def _keep_to(asked: Asked, reading: Reading) -> None:
    """Rows that nobody asked for are not landed."""
    for row in reading.rows.get("items", ()):
        if not asked.is_about(row.texts):
            of = row.texts.get("order_number", "") or row.texts.get("return_id", "")
            reading.bad.append(Bad(row.place, None, f"is not of the return that was asked for, but of order {of[:60]}"))
    foreign = {bad.place for bad in reading.bad}
    reading.rows["items"] = [row for row in reading.rows.get("items", ()) if row.place not in foreign]
    pairs = {(row.texts.get("return_id"), row.texts.get("order_number")) for row in reading.rows["items"]}
    reading.rows["returns"] = [
        row
        for row in reading.rows.get("returns", ())
        if (row.texts.get("return_id"), row.texts.get("order_number")) in pairs
    ]


_KIND_OF: dict[Message, KindName] = {"return": "items", "label": "bags", "outbound": "shipments"}


def _refuse_other_retailers(connection: Connection, found: Sequence[_Read], now: datetime) -> None:
    """A body of another retailer than those that this database is about is refused; the first that is landed is the one."""
    known = row_landing.retailers(connection)
    for one in found:
        if one.refused or not one.reading or not one.reading.retailers:
            continue
        if not known and any(one.reading.rows.values()):
            known = [one.reading.retailers[0]]
            row_landing.accept_first_retailer(connection, known[0], now)
        asked = one.body.asked
        others = [name for name in one.reading.retailers if name not in known or (asked and name != asked.retailer)]
        if others and known:
            why = row_landing.of_another_retailer([asked.retailer] if asked else known, others[0][:200])
            one.refused = Refused(OTHER_RETAILER, why, "retailer_id", others[0][:200])
            one.wrong, one.counts = [], Counts()


def _take_latest(connection: Connection, found: Sequence[_Read], profile: EventProfile) -> None:
    """Of several times of one return the latest, as the profile reads times; what is not a time is left to the check of its row."""
    told = [
        (number, place, text)
        for number, one in enumerate(found)
        if one.reading
        for place, texts in one.reading.last_of.items()
        for text in texts
    ]
    if not told:
        return
    connection.execute(parsing.MACROS)
    latest = connection.execute(
        f"""
        select number, place, arg_max(text, {parsing.instant_of("text", profile.as_texts)})
        from (select unnest($numbers::bigint[]) as number, unnest($places::bigint[]) as place, unnest($texts::varchar[]) as text)
        group by number, place
        """,  # noqa: S608 - our own words
        dict(zip(("numbers", "places", "texts"), (list(column) for column in zip(*told, strict=True)), strict=True)),
    ).fetchall()
    by_row = {(number, place): text for number, place, text in latest if text is not None}
    for number, one in enumerate(found):
        if one.reading and one.reading.last_of:
            one.reading.rows["returns"] = [
                Row(row.place, {**row.texts, LAST: by_row.get((number, row.place), row.texts.get(LAST, ""))})
                for row in one.reading.rows["returns"]
            ]


def _rounds(bringing: Sequence[_Read], name: KindName) -> Iterator[list[_Read]]:
    """Bodies that can be landed together. A unit without an id is known by what was landed before it, body by body:
    of each return and order one body at a time.
    """
    if name != "items" or all(row.texts.get("item_id") for one in bringing for row in _rows_of(one, name)):
        if bringing:
            yield list(bringing)
        return
    rounds: list[list[_Read]] = []
    last: dict[tuple[str | None, str | None], int] = {}
    for one in bringing:
        pairs = {(row.texts.get("return_id"), row.texts.get("order_number")) for row in _rows_of(one, name)}
        place = 1 + max(last.get(pair, -1) for pair in pairs)
        last.update(dict.fromkeys(pairs, place))
        if place == len(rounds):
            rounds.append([])
        rounds[place].append(one)
    yield from rounds


def _rows_of(one: _Read, name: KindName) -> Sequence[Row]:
    return one.reading.rows.get(name, ()) if one.reading else ()


def _land_rows(
    connection: Connection, together: Sequence[_Read], kind: Kind, profile: EventProfile, scratch: Path, now: datetime
) -> None:
    """Rows of one kind: texts into a CSV, and from there as those of files."""
    headers = profile.headers[kind.name]
    path = scratch / "rows.csv"
    bases: list[int] = []
    base = 0
    with path.open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(["", *headers])
        for one in together:
            bases.append(base)
            for row in _rows_of(one, kind.name):
                writer.writerow([base + row.place, *(row.texts.get(column, "") for column in headers)])
            base += 1 + max(row.place for row in _rows_of(one, kind.name))
    rows = Rows(
        kind,
        profile.as_texts,
        headers,
        [
            Source(
                one.body.name,
                one.batch,
                one.body.received_at,
                is_again=one.body.is_again,
                tells_method=bool(one.reading and one.reading.tells_method),
            )
            for one in together
        ],
        bases,
        feed=together[0].body.feed,
        dated=tuple(sorted({column for columns in profile.return_.sets.values() for column in columns})),
        is_plain=_is_plain(path.read_bytes(), sum(len(_rows_of(one, kind.name)) for one in together)),
    )
    row_landing.check(connection, rows, path, now)
    row_landing.land(connection, rows, now)
    found = row_landing.accounts(connection)
    for place, account in found.items():
        one = together[place]
        landed = account.counts
        one.counts = Counts(
            one.counts.read + landed.read,
            one.counts.landed + landed.landed,
            one.counts.rejected + landed.rejected,
            one.counts.repeated + landed.repeated,
        )
        one.wrong += [(kind.name, Bad(*wrong)) for wrong in account.wrong]
        one.source_time = max(filter(None, (one.source_time, account.last_at)), default=None)
    if kind.name == "items":
        for place, awaited in connection.execute(
            """
            select distinct file, return_item_id as awaited
            from identified where problem.reason = $unknown
            union
            -- What is known by its line may be known by another id.
            select file, 'return ' || return_id || ' of order ' || order_number
            from identified
            where problem.reason = $unknown and starts_with(return_item_id, 'unit-')
                or problem.reason = $no_place or problem.word = $other_feed
            order by all
            """,
            {"unknown": UNKNOWN_UNIT, "no_place": NO_PLACE, "other_feed": OTHER_FEED},
        ).fetchall():
            if awaited is not None:
                together[place].waits_for.append(awaited)


def _is_plain(data: bytes, rows: int) -> bool:
    """Nothing but characters of ASCII that can be seen, and no line ends inside of values."""
    return data.count(b"\n") == rows + 1 and not data.translate(None, delete=_PLAIN)


def _count_again(connection: Connection, found: Sequence[_Read]) -> None:
    """Of a body that is read again, what it brought before counts as landed."""
    again = [one for one in found if one.body.is_again]
    if not again:
        return
    landed = dict(
        connection.execute(
            """
            select source_file, count(distinct (kind, source_line))
            from (
                select kind, source_file, source_line from landing.happy_returns_rows
                union all
                select 'bags', source_file, source_line from landing.happy_returns_bags
            )
            where source_file in (select unnest($names::varchar[])) group by source_file
            """,
            {"names": [one.body.name for one in again]},
        ).fetchall()
    )
    for one in again:
        good = one.counts.read - one.counts.rejected
        count = min(landed.get(one.body.name, 0), good)
        one.counts = replace(one.counts, landed=count, repeated=good - count)


def _set_aside(connection: Connection, one: _Read, now: datetime) -> None:
    name = one.body.name
    if one.body.is_again:
        rejected.forget(connection, name, one.sha256)
    if one.refused:
        refused = one.refused
        whole: rejected.Rejected = (None, refused.column, refused.problem, None, refused.word)
        rejected.set_aside(connection, name, None, one.sha256, [whole], one.batch, now)
    by_kind: dict[str | None, list[rejected.Rejected]] = {}
    for kind, bad in sorted(one.wrong, key=lambda wrong: wrong[1].place):
        raw = one.reading.raw(bad.place) if one.reading else None
        by_kind.setdefault(kind, []).append((bad.place, bad.column, bad.reason, raw, bad.word))
    for kind, rows in by_kind.items():
        rejected.set_aside(connection, name, kind, one.sha256, rows, one.batch, now)


def _report(one: _Read) -> BodyReport:
    counts, reading = one.counts, one.reading
    report = BodyReport(
        one.body.name, counts.read, counts.landed, counts.rejected, counts.repeated,
        batch=one.batch, waits_for=tuple(one.waits_for), source_time=one.source_time,
    )  # fmt: skip
    if one.refused:
        report = replace(report, problem=rejected.kept_text(one.refused.problem), problem_code=one.refused.code)
    if reading:
        others = tuple(f"{event} {type_id}".strip() for event, type_id in reading.others)
        report = replace(
            report, message=reading.message, event=reading.event, type_id=reading.type_id, other_events=others
        )
    return report
