"""The reconciliation: every open item, key by key, from the present facts and the history of what was open before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hr_centra_pipeline.warehouse.database import Connection, run_sql

_PACKAGE = "hr_centra_pipeline.reconciliation"
# Families of kinds; each adds rows to the temporary table `findings`.
_KINDS = (
    "sources.sql", "orphans.sql", "credits.sql", "stock.sql", "exchanges.sql", "rejected_writes.sql", "stalled.sql",
    "refund_facts.sql", "refund_match.sql", "refund_mismatches.sql",
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
    for name in ("findings.sql", *_KINDS, "open_now.sql", "history.sql", "families.sql", "settled_orders.sql"):
        run_sql(connection, _PACKAGE, name, {"now": now})
    after = _events(connection)
    rows = connection.execute("select kind, count(*) from reconciliation.exceptions group by kind order by kind")
    return ReconciliationReport(
        open_by_kind=dict(rows.fetchall()),
        **{event: after.get(event, 0) - before.get(event, 0) for event in ("opened", "reopened", "closed")},
    )


def _events(connection: Connection) -> dict[str, int]:
    return dict(
        connection.execute("select event, count(*) from reconciliation.exception_events group by event").fetchall()
    )
