"""Landed rows are typed again when their profile changes: a corrected profile corrects the past, too."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from datetime import datetime

from hr_centra_pipeline.sources.happy_returns import parsing
from hr_centra_pipeline.sources.happy_returns.export_kinds import KINDS, Kind, KindName
from hr_centra_pipeline.sources.happy_returns.export_profiles import Profile
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection, Warehouse

_LOG = logging.getLogger(__name__)
# What a row is about is for good, and what was made of its line id.
_FOR_GOOD = frozenset(
    {"item_id", "return_id", "order_number", "order_line_item_id", "unit_offset", "line_quantity", "refund_id", "shipment_id"}
)  # fmt: skip

# The facts that push/latest_reports.sql compares: a row in which one of them has changed is a new report as of now; any other
# row stays a report as of the batch in which it was landed.
_FACTS: dict[KindName, frozenset[str]] = {
    "returns": frozenset({"created_at", "refund_status"}),
    "items": frozenset(
        {
            "sku", "upc", "received_channel", "dropoff_method", "condition", "disposition", "refund_type", "exchange_sku",
            "approved_at", "received_at", "hub_received_at", "warehouse_received_at",
        }
    ),
    "refunds": frozenset(
        {
            "status", "gift_card_id", "refund_type", "currency", "item_subtotal", "discount", "tax", "shipping_refund",
            "processing_fee", "fee_basis", "item_ids",
        }
    ),
    "shipments": frozenset(),
    "bags": frozenset(),
}  # fmt: skip


def retype(warehouse: Warehouse, profiles: Sequence[Profile], now: datetime, *, is_partial: bool = False) -> int:
    """Type landed rows by the present profiles, where these say something else than before. Answers how many rows changed.

    Words, amounts and times count; which header holds a column does not: only a file can say that. A row that does not fit
    the profile any more stays as it is. Every row of what changed gets a new batch, in the order of the old ones, so that
    all readers look at it again; since when it says what it says stays in ``said_batch``. ``is_partial``: rows that say what they
    say, of events and of the partner API.
    """
    changed = 0
    with warehouse.transaction() as connection:
        known = {
            (profile, kind): sha256
            for profile, kind, sha256 in connection.execute(
                "select profile, kind, sha256 from landing.profiles"
            ).fetchall()
        }
        for profile in profiles:
            for kind in (KINDS[name] for name in profile.columns):
                present = _fingerprint(profile)
                before = known.get((profile.name, kind.name))
                if before == present:
                    continue
                count = (
                    _retype(connection, kind, profile, now, is_partial=is_partial)
                    if _was_used(connection, kind, profile)
                    else 0
                )
                changed += count
                connection.execute(
                    "delete from landing.profiles where profile = ? and kind = ?", [profile.name, kind.name]
                )
                connection.execute(
                    "insert into landing.profiles (profile, kind, sha256, typed_at) values (?, ?, ?, ?)",
                    [profile.name, kind.name, present, now],
                )
    return changed


def _fingerprint(profile: Profile) -> str:
    return hashlib.sha256(profile.model_dump_json(include={"times", "money", "words"}).encode()).hexdigest()


def _was_used(connection: Connection, kind: Kind, profile: Profile) -> bool:
    row = connection.execute(
        f"select exists (from landing.happy_returns_{kind.name} where profile = ?)",
        [profile.name],
    ).fetchone()
    return bool(row and row[0])


def _retype(connection: Connection, kind: Kind, profile: Profile, now: datetime, *, is_partial: bool) -> int:
    table = f"landing.happy_returns_{kind.name}"
    columns = {**kind.brought, "updated_at": "TIMESTAMPTZ"}
    landed = {
        name: f"{name}::varchar" if name in kind.brought and sql == "VARCHAR" else "null"
        for name, sql in columns.items()
    }
    texts = ", ".join(f"coalesce(texts ->> '$.{name}', {landed[name]}) as t_{name}" for name in columns)
    typed = ", ".join(f"{sql} as {name}" for name, sql in parsing.typed(kind, profile).items())
    mended = [name for name in kind.brought if name not in _FOR_GOOD and name not in kind.key]
    # Without texts only words can be read again: amounts and times are what they were.
    values = ", ".join(
        f"typed.{name}"
        if kind.brought[name] == "VARCHAR"
        else f"case when landed.texts is null then landed.{name} else typed.{name} end as {name}"
        for name in mended
    )
    source_time, deliveries = "coalesce(typed.updated_at, landed.source_time)", ""
    if is_partial:  # what a body reports has happened by the time it came
        bounded = "least(typed.updated_at, events.received_at, landed.landed_at)"
        source_time = f"case when typed.updated_at is null then landed.source_time else {bounded} end"
        deliveries = "left join landing.events as events on landed.source_file = 'event ' || events.delivery_id"
    connection.execute(parsing.MACROS)
    connection.execute(
        f"""
        create or replace temp table retyped as
        with landed_texts as (
            select rowid as landed_row, {texts} from {table} where profile = $profile
        ),

        texts_with_codes as (
            select *, {parsing.looks_mangled()} as looks_mangled from (select *, {parsing.codes(kind)} as codes from landed_texts)
        ),

        typed_rows as (
            select *, {typed} from texts_with_codes
        ),

        rows_with_problems as (
            select *, {parsing.problem(kind, is_plain=False, is_partial=is_partial)} as problem from typed_rows
        )

        select
            landed_row, typed.problem is null or landed.texts is null as fits, {values},
            {source_time} as source_time
        from rows_with_problems as typed
        join {table} as landed on landed.rowid = typed.landed_row
        {deliveries}
        """,  # noqa: S608 - our own names
        {"profile": profile.name, "now": now},
    )
    all_mended = [*mended, "source_time"]
    differs = " or ".join(f"retyped.{name} is distinct from landed.{name}" for name in all_mended)
    connection.execute(
        f"""
        create or replace temp table changed_rows as
        select retyped.*, landed.{", landed.".join(kind.key)}
        from retyped join {table} as landed on landed.rowid = retyped.landed_row
        where {differs}
        """.replace("retyped.*", "retyped.landed_row, retyped.fits")  # noqa: S608 - our own names
    )
    count, misfits = connection.execute(
        "select count(*) filter (where fits), count(*) filter (where not fits) from changed_rows"
    ).fetchone() or (0, 0)
    if misfits:
        _LOG.warning(
            "%s landed rows of %s do not fit the profile %s any more and stay as they are",
            misfits,
            kind.name,
            profile.name,
        )
    if not count:
        return 0
    _LOG.info("%s landed rows of %s are typed again by the profile %s", count, kind.name, profile.name)
    says_otherwise = " or ".join(
        f"retyped.{name} is distinct from landed.{name}" for name in all_mended if name in _FACTS[kind.name]
    )
    connection.execute(
        f"""
        update {table} as landed set
            {", ".join(f"{name} = retyped.{name}" for name in all_mended)},
            said_batch = case when {says_otherwise or "false"} then $batch else landed.said_batch end
        from retyped
        where retyped.landed_row = landed.rowid and retyped.fits
        """,  # noqa: S608 - our own names
        {"batch": watermarks.next_batch(connection)},
    )
    _show_to_readers(connection, kind)
    return int(count)


def _show_to_readers(connection: Connection, kind: Kind) -> None:
    """New batches for all rows of the keys that changed, in the order of the old ones."""
    table, key = f"landing.happy_returns_{kind.name}", ", ".join(kind.key)
    connection.execute(
        f"""
        create or replace temp table new_batches as
        select batch, row_number() over (order by batch) as place
        from (select distinct batch from {table} semi join (from changed_rows where fits) as changed using ({key}))
        """  # noqa: S608 - our own names
    )
    connection.execute(
        """
        create or replace temp table numbers as
        select number, row_number() over (order by number) as place
        from (select nextval('landing.batch_numbers') as number from new_batches)
        """
    )
    connection.execute(
        f"""
        update {table} as landed set batch = renumbered.number, said_batch = coalesce(landed.said_batch, landed.batch)
        from (
            select rows.rowid as landed_row, numbers.number
            from {table} as rows
            semi join (from changed_rows where fits) as changed using ({key})
            join new_batches using (batch)
            join numbers using (place)
        ) as renumbered
        where renumbered.landed_row = landed.rowid
        """  # noqa: S608 - our own names
    )
