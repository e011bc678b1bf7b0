"""The reconciliation: every open item, key by key, from the present facts and the history of what was open before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from hr_centra_pipeline.core import reasons
from hr_centra_pipeline.reconciliation import shadow
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection, run_sql

_PACKAGE = "hr_centra_pipeline.reconciliation"
_LEARNS_EVERY = timedelta(days=1)
# Families of kinds; each adds rows to the temporary table `findings`.
_KINDS = (
    "delays.sql", "sources.sql", "doubts.sql", "doubles.sql",
    "orphans.sql", "credits.sql", "corrected.sql", "stock.sql", "exchanges.sql", "rejected_writes.sql", "stalled.sql",
    "status.sql", "stock_of_nobody.sql",
    "refund_facts.sql", "tax_readings.sql", "unpaid_credits.sql", "payouts.sql", "refund_match.sql", "refund_matched.sql",
    "refund_mismatches.sql", "systematic_cents.sql",
)  # fmt: skip


@dataclass(frozen=True)
class ReconciliationReport:
    """Open exceptions by kind, and how many opened, reopened and closed just now."""

    open_by_kind: dict[str, int]
    opened: int
    reopened: int
    closed: int


def reconcile(connection: Connection, now: datetime) -> ReconciliationReport:
    """Fill ``reconciliation.*`` anew and append what changed to ``reconciliation.exception_events``.

    Looks at the orders in play and at what is open. Reads ``push.ledger``'s last committed state: what a push has just
    confirmed is no gap.
    """
    before = _events(connection)
    if _is_lateness_old(connection, now):
        run_sql(connection, _PACKAGE, "lateness.sql", {"now": now})
    find(connection, now)
    run_number = next_run(connection)
    for name in ("shadow.sql", "open_now.sql", "history.sql", "families.sql", "settled_orders.sql"):
        run_sql(connection, _PACKAGE, name, {"now": now, "run": run_number})
    shadow.keep_verdict(connection, now)
    watermarks.write(connection, watermarks.RECONCILIATION, watermarks.newest_batch(connection), now)
    after = _events(connection)
    rows = connection.execute("select kind, count(*) from reconciliation.exceptions group by kind order by kind")
    return ReconciliationReport(
        open_by_kind=dict(rows.fetchall()),
        **{event: after.get(event, 0) - before.get(event, 0) for event in ("opened", "reopened", "closed")},
    )


def find(connection: Connection, now: datetime) -> None:
    """Fill the temporary table ``findings``: what looks wrong now in the orders in play, due or not."""
    since = watermarks.read(connection, watermarks.RECONCILIATION)
    for name in ("paid_units.sql", "bookings_of_orders.sql"):
        run_sql(connection, "hr_centra_pipeline.matching", name, {"since": since})
    # What the push has given since the plan counts, and what it cannot find any more.
    for name in (
        "packet_returns.sql", "replacements.sql", "settled_returns.sql", "payers_seen.sql", "paid_through.sql",
        "value_given_back.sql", "fees_charged.sql", "costs_reported.sql", "whole_orders.sql", "booked_movements.sql",
    ):  # fmt: skip
        run_sql(connection, "hr_centra_pipeline.effects", name)
    run_sql(connection, "hr_centra_pipeline.push", "gone.sql")
    for name in ("findings.sql", *_KINDS):
        run_sql(connection, _PACKAGE, name, {"now": now, "since": since, **reasons.PARAMETERS})


def _is_lateness_old(connection: Connection, now: datetime) -> bool:
    """What is learned from months does not change by the hour."""
    row = connection.execute("select max(computed_at) from reconciliation.lateness").fetchone()
    return not row or row[0] is None or row[0] <= now - _LEARNS_EVERY


def next_run(connection: Connection) -> int:
    """The number of a run that writes to the history: rows of an earlier run were known before."""
    row = connection.execute("select nextval('reconciliation.run_numbers')").fetchone()
    assert row is not None  # noqa: S101 - a sequence always answers
    return int(row[0])


def _events(connection: Connection) -> dict[str, int]:
    return dict(
        connection.execute("select event, count(*) from reconciliation.exception_events group by event").fetchall()
    )
