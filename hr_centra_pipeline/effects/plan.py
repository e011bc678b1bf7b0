"""The plan: every effect that is due and not in Centra, set-based, from the latest state of everything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from hr_centra_pipeline.warehouse import models, watermarks
from hr_centra_pipeline.warehouse.database import Connection, run_sql


@dataclass(frozen=True)
class PlanReport:
    """Pending effects by kind, how many of them are blocked, and their money by kind and currency."""

    pending: dict[str, int]
    blocked: dict[str, int]
    money: dict[tuple[str, str], Decimal]


def plan(connection: Connection, now: datetime) -> PlanReport:
    """Fill ``effects.*`` again, of the active orders. Planning twice gives the same keys.

    Reads ``push.ledger``'s last committed state, and what of Centra's landed objects it has not taken over yet.
    """
    since = watermarks.read(connection, watermarks.LEDGER)
    given = {"now": now, "since": since}
    models.run(connection, [*models.made_in("effects"), "pending_effects"], {"effects"}, given)
    watermarks.write(connection, watermarks.OBSERVED, watermarks.newest_batch(connection), now)
    rows = connection.execute(
        "select effect_kind, currency, count(*), count(blocked_by), sum(amount) from pending_effects group by all"
    ).fetchall()
    pending: dict[str, int] = {}
    blocked: dict[str, int] = {}
    money: dict[tuple[str, str], Decimal] = {}
    for kind, currency, count, held, amount in rows:
        pending[kind] = pending.get(kind, 0) + count
        blocked[kind] = blocked.get(kind, 0) + held
        if currency and amount is not None:
            money[kind, currency] = amount
    return PlanReport(pending, blocked, money)


def define_pending_effects(connection: Connection) -> None:
    """Make the temp view ``pending_effects``, as the last plan left its tables, for queries that run without a plan."""
    run_sql(connection, "hr_centra_pipeline.effects", "pending_effects.sql")
