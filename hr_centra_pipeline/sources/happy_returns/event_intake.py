"""Deliveries of the inbox into the landing tables: each is landed, repeated or refused by name; twice changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime

from hr_centra_pipeline.core.errors import Unreachable
from hr_centra_pipeline.inbox.inbox_store import Delivery, Inbox, StoreFailed
from hr_centra_pipeline.sources.happy_returns import retyping
from hr_centra_pipeline.sources.happy_returns.event_bodies import Refused, read_body
from hr_centra_pipeline.sources.happy_returns.event_landing import OTHER_RETAILER, Body, BodyReport, land_bodies
from hr_centra_pipeline.sources.happy_returns.event_reading import EventProfile
from hr_centra_pipeline.sources.intake import rejected
from hr_centra_pipeline.sources.intake.halves import by_halves
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.made import makes

_LOG = logging.getLogger(__name__)
_VENDOR = "happy_returns"
_AT_ONCE = 2_000  # deliveries that are landed in one transaction
_BYTES_AT_ONCE = 64_000_000


@dataclass(frozen=True)
class EventReport:
    """Counts of one look at the inbox. ``refused``: deliveries that could not be used as a whole; ``repeated``: same bytes."""

    deliveries: int = 0
    refused: int = 0
    repeated: int = 0
    rows_read: int = 0
    rows_landed: int = 0
    rows_rejected: int = 0
    rows_repeated: int = 0

    def with_all_of(self, others: EventReport) -> EventReport:
        """With the deliveries of another look."""
        return EventReport(*(getattr(self, one.name) + getattr(others, one.name) for one in fields(self)))

    def plus(self, one: BodyReport) -> EventReport:
        """With one delivery more."""
        return replace(
            self,
            deliveries=self.deliveries + 1,
            refused=self.refused + (one.problem is not None),
            rows_read=self.rows_read + one.rows_read,
            rows_landed=self.rows_landed + one.rows_landed,
            rows_rejected=self.rows_rejected + one.rows_rejected,
            rows_repeated=self.rows_repeated + one.rows_repeated,
        )


@dataclass(frozen=True)
class _Known:
    """What landing holds of a delivery. ``is_good``: reading it again would bring nothing more."""

    sha256: str
    is_good: bool


def take_events(
    warehouse: Warehouse, inbox: Inbox, profile: EventProfile, now: datetime, *, is_only_feed: bool = False
) -> EventReport:
    """Land every delivery of Happy Returns that waits in the inbox, portion by portion, in the order of arrival.

    A portion is committed before its deliveries are marked as landed: after a crash in between they are found landed
    already. Deliveries that the store calls landed and this database lacks (it was restored or recreated) are taken again; so
    are those that were refused, in part or whole, once another profile, retailer or unit may say otherwise, and once a day those
    that could not be landed. What arrives meanwhile is left to the next look: this one ends however much comes. Rows that were
    landed are typed again by a profile whose words or times changed; what else it changes takes `hr-centra inbox replay`.

    Each look is noted in ``landing.inbox_looks``. ``is_only_feed``: there are no export files, and this look replaces theirs.

    Raises:
        Unreachable: the inbox cannot be read or written, or the database cannot be written now; what was landed stays.
    """
    retyping.retype(warehouse, [profile.as_texts], now, is_partial=True)
    report = EventReport()
    try:
        _take_back(warehouse, inbox, now)
        _look_again(warehouse, inbox, profile, now)
        for deliveries in inbox.waiting_now(_VENDOR, most=_AT_ONCE, most_bytes=_BYTES_AT_ONCE):
            report = _land(warehouse, deliveries, profile, now, report)
            inbox.mark_landed([one.delivery_id for one in deliveries])
            warehouse.yield_to_others()
    except StoreFailed as error:
        _note_look(warehouse, now, report, is_only_feed=is_only_feed, problem=str(error))
        raise Unreachable(str(error)) from error
    _note_look(warehouse, now, report, is_only_feed=is_only_feed)
    return report


@makes("landing.inbox_looks", "One row per look for webhook deliveries in the inbox.", kind="source")
def _note_look(
    warehouse: Warehouse, now: datetime, report: EventReport, *, is_only_feed: bool, problem: str | None = None
) -> None:
    with warehouse.transaction() as connection:
        connection.execute(
            "insert into landing.inbox_looks (looked_at, deliveries, is_only_feed, is_complete, problem, batch)"
            " values (?, ?, ?, ?, ?, ?)",
            [now, report.deliveries, is_only_feed, problem is None, problem, watermarks.next_batch(connection)],
        )  # fmt: skip


def _take_back(warehouse: Warehouse, inbox: Inbox, now: datetime) -> None:
    """Deliveries that the store calls landed and this database lacks wait again.

    All ids are compared when the database is new or was put back (``meta.turns``), when it lacks one of the newest (its file was
    put back by a copy), and with the first look of a day when it has not as many as the store, back to the oldest one there: a
    store that was emptied holds fewer.
    """
    newest, oldest = inbox.newest_landed(_VENDOR), inbox.oldest_id()
    with warehouse.transaction() as connection:
        row = connection.execute(
            """
            select
                (select count(*) from landing.events where delivery_id >= $oldest),
                (select count(*) from landing.events where delivery_id in (select unnest($newest::varchar[]))),
                coalesce((select max(batch) from meta.turns) > max(batch), max(batch) is null),
                coalesce(max(looked_at) < date_trunc('day', $now::timestamptz), true)
            from landing.inbox_looks where is_complete
            """,
            {"now": now, "oldest": oldest or "", "newest": newest},
        ).fetchone() or (0, 0, True, True)
    count, known, has_turned, is_new_day = int(row[0]), int(row[1]), bool(row[2]), bool(row[3])
    is_less = known < len(newest) or (is_new_day and inbox.landed_count(_VENDOR) != count)
    if not has_turned and not is_less:
        return
    for ids in inbox.landed_ids(_VENDOR):
        with warehouse.transaction() as connection:
            missing = connection.execute(
                "select unnest($ids::varchar[]) as delivery_id except select delivery_id from landing.events",
                {"ids": ids},
            ).fetchall()
        if missing:
            _LOG.info("%s deliveries are not in this database: they are taken again", len(missing))
            inbox.mark_waiting([delivery_id for (delivery_id,) in missing])


def _look_again(warehouse: Warehouse, inbox: Inbox, profile: EventProfile, now: datetime) -> None:
    """What was refused, in part or whole, and may be read now waits again; of what could not be landed nobody knows, so daily."""
    with warehouse.transaction() as connection:
        rows = connection.execute(
            """
            with
            refused_deliveries as (
                from landing.events where problem is not null or rows_rejected > 0
            ),

            -- One row per delivery whose unit another feed knows by now.
            known_units as (
                select distinct delivery_id
                from (select delivery_id, unnest(waits_for) as return_item_id from refused_deliveries) as waiting
                semi join (from landing.happy_returns_items where refund_type is not null) as landed using (return_item_id)
            ),

            -- One row per delivery of whose return another feed has said more since.
            known_returns as (
                select distinct delivery_id
                from (select delivery_id, batch, unnest(waits_for) as awaited from refused_deliveries) as waiting
                join (
                    select 'return ' || return_id || ' of order ' || order_number as awaited, max(batch) as batch
                    from landing.happy_returns_items
                    where feed <> 'events' and batch > (select min(batch) from refused_deliveries where waits_for is not null)
                    group by all
                ) as landed using (awaited)
                where landed.batch > waiting.batch
            ),

            -- One row per delivery of a retailer that was accepted since.
            accepted_deliveries as (
                select distinct refused.delivery_id
                from refused_deliveries as refused
                join quarantine.rejected_rows as rejected
                    on rejected.source_file = 'event ' || refused.delivery_id and rejected.column_name = 'retailer_id'
                join meta.belongs_to as accepted on accepted.name = 'retailer' and accepted.value = rejected.word
                where refused.problem_code = $other_retailer
            )

            select delivery_id from refused_deliveries
            where profiles_sha256 is distinct from $profile
                or (problem_code = 'cannot_be_landed' and landed_at < date_trunc('day', $now::timestamptz))
            union
            from known_units
            union
            from known_returns
            union
            from accepted_deliveries
            """,
            {"profile": profile.sha256, "other_retailer": OTHER_RETAILER, "now": now},
        ).fetchall()
    if rows:
        _LOG.info("%s deliveries that were refused are read again", len(rows))
        inbox.mark_waiting([delivery_id for (delivery_id,) in rows])


def _land(
    warehouse: Warehouse, deliveries: Sequence[Delivery], profile: EventProfile, now: datetime, report: EventReport
) -> EventReport:
    """Land deliveries, together where that works; those that spoil it are refused.

    Raises:
        NotNow: what fails is not theirs.
    """
    for some, landed, why in by_halves(
        warehouse, deliveries, lambda connection, some: _land_portion(connection, some, profile, now, EventReport())
    ):
        if landed is not None:
            report = report.with_all_of(landed)
            continue
        (one,) = some
        with warehouse.transaction() as connection:
            batch = watermarks.next_batch(connection)
            said = BodyReport(_name(one), problem=rejected.kept_text(why), problem_code="cannot_be_landed", batch=batch)
            rejected.forget(connection, said.name, one.body_sha256)
            rejected.set_aside(
                connection, said.name, None, one.body_sha256, [(None, None, why, None, None)], batch, now
            )
            _keep(connection, [(one, said, None)], profile, now)
        report = report.plus(said)
    return report


def _land_portion(
    connection: Connection, deliveries: Sequence[Delivery], profile: EventProfile, now: datetime, report: EventReport
) -> EventReport:
    known = _known(connection, deliveries, profile)
    first = _first_of(connection, deliveries)
    fresh: list[Delivery] = []
    repeated: list[tuple[Delivery, str]] = []
    last = dict.fromkeys(first, -1)
    for place, one in enumerate(deliveries):
        noted = known.get(one.delivery_id)
        if noted is not None and noted.is_good:
            continue  # landed before a crash, or nothing more to get out of it
        earlier = first.setdefault(one.body_sha256, one.delivery_id)
        before = last.get(one.body_sha256)
        last[one.body_sha256] = place
        if (
            noted is None
            and before is not None
            and not _is_told_again(connection, one, deliveries[before + 1 : place], profile, was_landed=before < 0)
        ):
            repeated.append((one, earlier))
        else:
            fresh.append(one)
    bodies = [
        Body(
            _name(one), "events", one.received_at, one.body,
            is_again=one.delivery_id in known, sha256=one.body_sha256,
        )
        for one in fresh
    ]  # fmt: skip
    reports = land_bodies(connection, bodies, profile, now)
    notes: list[tuple[Delivery, BodyReport, str | None]] = [
        (one, said, None) for one, said in zip(fresh, reports, strict=True)
    ]
    for one, batch in zip(
        (one for one, _ in repeated), watermarks.next_batches(connection, len(repeated)), strict=True
    ):
        notes.append((one, BodyReport(_name(one), batch=batch), first[one.body_sha256]))
    _keep(connection, notes, profile, now)
    for _, said, _ in notes:
        report = report.plus(said)
    return replace(report, repeated=report.repeated + len(repeated))


def _is_told_again(
    connection: Connection, one: Delivery, between: Sequence[Delivery], profile: EventProfile, *, was_landed: bool
) -> bool:
    """The same bytes are news again once something else was reported about their return: a shopper chose a method, another, and
    the first again. ``between``: what is landed together with them, since they came last or, if they were landed before, since
    then.
    """
    try:
        rows = read_body(one.body, profile, one.received_at).rows.get("returns", ())
    except Refused:
        return False
    returns = [row.texts["return_id"] for row in rows if row.texts.get("return_id")]
    if any(
        other.body_sha256 != one.body_sha256 and any(name.encode() in other.body for name in returns)
        for other in between
    ):
        return True
    if not was_landed:
        return False
    row = connection.execute(
        """
        select exists (
            from (
                select return_id, batch from landing.happy_returns_returns
                union all
                select return_id, batch from landing.happy_returns_items
            )
            where return_id in (select unnest($returns::varchar[]))
                and batch > (select max(batch) from landing.events where body_sha256 = $sha256)
        )
        """,
        {"returns": returns, "sha256": one.body_sha256},
    ).fetchone()
    return bool(row and row[0])


def _name(one: Delivery) -> str:
    return f"event {one.delivery_id}"


def _known(connection: Connection, deliveries: Sequence[Delivery], profile: EventProfile) -> dict[str, _Known]:
    """By id: deliveries that were landed or refused already."""
    rows = connection.execute(
        """
        select
            delivery_id, body_sha256,
            -- a repeated one brings nothing, whatever is said about the first
            repeats is not null
            or (problem is null and rows_rejected = 0 and profiles_sha256 is not distinct from $profile)
        from landing.events where delivery_id in (select unnest($ids::varchar[]))
        """,
        {"ids": [one.delivery_id for one in deliveries], "profile": profile.sha256},
    ).fetchall()
    return {delivery_id: _Known(sha256, is_good) for delivery_id, sha256, is_good in rows}


def _first_of(connection: Connection, deliveries: Sequence[Delivery]) -> dict[str, str]:
    """By hash: the delivery that brought these bytes first, of those that were landed or refused."""
    rows = connection.execute(
        """
        select body_sha256, arg_min(delivery_id, batch) from landing.events
        where repeats is null and body_sha256 in (select unnest($hashes::varchar[]))
        group by body_sha256
        """,
        {"hashes": list({one.body_sha256 for one in deliveries})},
    ).fetchall()
    return dict(rows)


@makes(
    "landing.events",
    "One row per webhook delivery of Happy Returns that was read, with its counts or why it was refused.",
    reads=("landing.happy_returns_items", "landing.happy_returns_returns", "meta.turns", "quarantine.rejected_rows"),
    kind="source",
)
def _keep(
    connection: Connection,
    notes: Sequence[tuple[Delivery, BodyReport, str | None]],
    profile: EventProfile,
    now: datetime,
) -> None:
    """A row of ``landing.events`` per delivery, in place of the one that it had. The last of each: the delivery that it repeats."""
    if not notes:
        return
    ids = [one.delivery_id for one, _, _ in notes]
    connection.execute("delete from landing.events where delivery_id in (select unnest(?::varchar[]))", [ids])
    rows: dict[str, tuple[str, list[object]]] = {
        "delivery_id": ("varchar", list(ids)),
        "shop": ("varchar", [one.shop for one, _, _ in notes]),
        "received_at": ("timestamptz", [one.received_at for one, _, _ in notes]),
        "body_sha256": ("varchar", [one.body_sha256 for one, _, _ in notes]),
        "byte_size": ("bigint", [len(one.body) for one, _, _ in notes]),
        "message": ("varchar", [said.message for _, said, _ in notes]),
        "event": ("varchar", [_short(said.event) for _, said, _ in notes]),
        "type_id": ("varchar", [_short(said.type_id) for _, said, _ in notes]),
        "other_events": ("varchar[]", [[str(_short(one)) for one in said.other_events] for _, said, _ in notes]),
        "rows_read": ("bigint", [said.rows_read for _, said, _ in notes]),
        "rows_landed": ("bigint", [said.rows_landed for _, said, _ in notes]),
        "rows_rejected": ("bigint", [said.rows_rejected for _, said, _ in notes]),
        "rows_repeated": ("bigint", [said.rows_repeated for _, said, _ in notes]),
        "problem": ("varchar", [said.problem for _, said, _ in notes]),
        "problem_code": ("varchar", [said.problem_code for _, said, _ in notes]),
        "repeats": ("varchar", [earlier for _, _, earlier in notes]),
        "waits_for": ("varchar[]", [list(said.waits_for) or None for _, said, _ in notes]),
        "source_time": ("timestamptz", [said.source_time for _, said, _ in notes]),
        "batch": ("bigint", [said.batch for _, said, _ in notes]),
    }
    connection.execute(
        f"""
        insert into landing.events ({", ".join(rows)}, profile, profiles_sha256, landed_at)
        select {", ".join(f"unnest(${name}::{sql}[])" for name, (sql, _) in rows.items())}, $profile_name, $profile_sha256, $now
        """,
        {
            **{name: values for name, (_, values) in rows.items()},
            "profile_name": profile.name, "profile_sha256": profile.sha256, "now": now,
        },
    )  # fmt: skip


def _short(word: str | None) -> str | None:
    return None if word is None else rejected.kept_text(word[:200])
