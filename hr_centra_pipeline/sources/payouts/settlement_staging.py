"""Staging of settlement lines: each payout as its last file reports it, each type as the present layouts map it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from hr_centra_pipeline.sources.payouts.settlement_profiles import PayoutProfile
from hr_centra_pipeline.sources.payouts.settlement_typing import type_of
from hr_centra_pipeline.warehouse import models, watermarks
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.made import makes

_HERE = "sources/payouts"


def refresh(warehouse: Warehouse, now: datetime, profiles: Sequence[PayoutProfile] = ()) -> int:
    """Recompute the lines when some were landed or the layouts map types otherwise; answers how many payouts changed.

    Orders of changed lines are looked at again.
    """
    mapped = hashlib.sha256(repr([(one.provider, one.line_types) for one in profiles]).encode()).hexdigest()[:16]
    with warehouse.transaction() as connection:
        newest = connection.execute("select coalesce(max(batch), -1) from landing.payout_lines").fetchone()
        if newest is None or newest[0] <= watermarks.read(connection, watermarks.PAYOUTS, mapped):
            return 0
        _write_types(connection, profiles)
        models.run(connection, models.made_in(_HERE), {_HERE}, {"now": now})
        watermarks.write(connection, watermarks.PAYOUTS, int(newest[0]), now, made_with=mapped)
        counted = connection.execute(
            "select count(*) from (select distinct provider, account, payout_id from changed_payout_lines)"
        ).fetchone()
        return int(counted[0]) if counted else 0


@makes(
    "payout_types",
    "One row per word of a provider for a kind of line, and what it means by the present layouts.",
    reads=("landing.payout_lines",),
)
def _write_types(connection: Connection, profiles: Sequence[PayoutProfile]) -> None:
    """``payout_types``: what each word that was landed means by the present layouts; of several of one provider the last."""
    connection.execute(
        "create or replace temp table payout_types (provider varchar, told_type varchar, line_type varchar, place integer)"
    )
    for place, profile in enumerate(profiles):
        connection.execute(
            f"""
            insert into payout_types
            select provider, told_type, {type_of(profile, "told_type")} as line_type, ?
            from (select distinct provider, told_type from landing.payout_lines where provider = ?)
            where line_type is not null
            """,  # noqa: S608 - our own names
            [place, profile.provider],
        )
    connection.execute(
        "delete from payout_types as older using payout_types as newer"
        " where newer.provider = older.provider and newer.told_type = older.told_type and newer.place > older.place"
    )
