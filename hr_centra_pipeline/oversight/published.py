"""What was published last, for those who watch: they never open the warehouse."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter

import duckdb

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.oversight.exception_texts import COLUMNS, SHOWN, ExceptionLine, line, money
from hr_centra_pipeline.publishing.publish import DATABASE


@dataclass(frozen=True)
class Overdue:
    """Exceptions of one team that have just passed their second window: how many, their money, the first ones, all their ids."""

    team: str
    count: int
    money: str
    lines: tuple[ExceptionLine, ...]
    exception_ids: tuple[str, ...]


def as_of(settings: Settings) -> datetime | None:
    """The decision time of the run that published last; ``None`` before the first one."""
    if not (settings.published / DATABASE).exists():
        return None
    with _opened(settings) as connection:
        row = connection.execute("select as_of from meta.published").fetchone()
    return row[0] if row else None


def overdue_since(settings: Settings, since: datetime | None, until: datetime, after: timedelta) -> list[Overdue]:
    """Open exceptions, by team, whose due time plus ``after`` is later than ``since`` (``None``: ever), up to ``until``."""
    with _opened(settings) as connection:
        found = connection.execute(
            f"""
            select owner_team, {COLUMNS} from reconciliation.exceptions
            where overdue and due_at + $after <= $until and ($since is null or due_at + $after > $since)
            order by owner_team, due_at, exception_id
            """,  # noqa: S608 - our own words
            {"after": after, "since": since, "until": until},
        )
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return [
        Overdue(
            team, len(mine), money((row["currency"], row["amount"]) for row in mine),
            tuple(line(row) for row in mine[:SHOWN]), tuple(sorted(row["exception_id"] for row in mine)),
        )
        for team, mine in ((team, list(of)) for team, of in groupby(rows, key=itemgetter("owner_team")))
    ]  # fmt: skip


def _opened(settings: Settings) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(settings.published / DATABASE, read_only=True)
    connection.execute("set timezone = 'UTC'")
    return connection
