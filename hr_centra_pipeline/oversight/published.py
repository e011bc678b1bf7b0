"""What was published last, for those who watch: they never open the warehouse."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import duckdb

from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.publishing.publish import DATABASE

_SHOWN = 8


@dataclass(frozen=True)
class Overdue:
    """Exceptions of one team that have just passed their second window."""

    team: str
    count: int
    amounts: dict[str, Decimal]
    lines: tuple[str, ...]


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
        rows = connection.execute(
            """
            select owner_team, kind, coalesce(return_id, order_number, ''), currency, amount, due_at, next_step
            from reconciliation.exceptions
            where overdue and due_at + $after <= $until and ($since is null or due_at + $after > $since)
            order by owner_team, due_at, exception_id
            """,
            {"after": after, "since": since, "until": until},
        ).fetchall()
    found = []
    for team in dict.fromkeys(row[0] for row in rows):
        mine = [row for row in rows if row[0] == team]
        amounts: dict[str, Decimal] = {}
        for _, _, _, currency, amount, _, _ in mine:
            if currency and amount is not None:
                amounts[currency] = amounts.get(currency, Decimal(0)) + amount
        lines = [
            f"{kind} {subject}{f' {shown(amount, currency)}' if currency and amount is not None else ''},"
            f" due {due_at:%Y-%m-%d %H:%M}: {next_step}"
            for _, kind, subject, currency, amount, due_at, next_step in mine[:_SHOWN]
        ]
        if len(mine) > _SHOWN:
            lines.append(f"… and {len(mine) - _SHOWN} more in reconciliation.exceptions")
        found.append(Overdue(team, len(mine), amounts, tuple(lines)))
    return found


def _opened(settings: Settings) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(settings.published / DATABASE, read_only=True)
    connection.execute("set timezone = 'UTC'")
    return connection
