"""The plan: every effect that is due and not in Centra, set-based, from the latest state of everything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from hr_centra_pipeline.core import reasons
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection, run_sql

_FILES = (
    "payers_seen.sql", "paid_through.sql", "observed.sql", "units.sql", "packet_returns.sql", "replacements.sql",
    "settled_returns.sql", "value_given_back.sql", "fees_charged.sql", "costs_reported.sql", "whole_orders.sql", "credit_notes.sql",
    "bundles.sql", "paid_in_part.sql", "booked_movements.sql", "inventory_adjustments.sql", "exchange_orders.sql",
    "status_updates.sql",
)  # fmt: skip
PENDING = (
    "pending_credit_notes", "pending_inventory_adjustments", "pending_exchange_orders", "pending_status_updates",
)  # fmt: skip


@dataclass(frozen=True)
class PlanReport:
    """Pending effects by kind, how many of them are blocked, and their money by kind and currency."""

    pending: dict[str, int]
    blocked: dict[str, int]
    money: dict[tuple[str, str], Decimal]


def plan(connection: Connection, now: datetime) -> PlanReport:
    """Fill ``effects.*`` anew, of the orders in play. Planning twice gives the same keys.

    Reads ``push.ledger``'s last committed state, and what of Centra's landed objects it has not taken over yet.
    """
    since = watermarks.read(connection, watermarks.LEDGER)
    for name in ("paid_units.sql", "bookings_of_orders.sql"):
        run_sql(connection, "hr_centra_pipeline.matching", name, {"since": since})
    for name in _FILES:
        run_sql(connection, "hr_centra_pipeline.effects", name, {"now": now, "since": since, **reasons.PARAMETERS})
    watermarks.write(connection, watermarks.OBSERVED, watermarks.newest_batch(connection), now)
    every = " union all by name ".join(f"from effects.{name}" for name in PENDING)
    rows = connection.execute(
        f"select effect_kind, currency, count(*), count(blocked_by), sum(amount) from ({every}) group by all"  # noqa: S608 - our own names
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
