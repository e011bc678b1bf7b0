"""The reconciliation: every open item, key by key, from the present facts and the history of what was open before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hr_centra_pipeline.reconciliation import shadow
from hr_centra_pipeline.warehouse import models, watermarks
from hr_centra_pipeline.warehouse.database import Connection

_HERE = "reconciliation"
_LEARNS_EVERY = timedelta(days=1)
_NEVER = datetime(1990, 1, 1, tzinfo=UTC)
# Planned before the push, and made once more: what the push has given since counts.
_EXCEPTIONS = ("reconciliation.exceptions",)
# From what is found to what is open: these are made from the findings and the history alone.
_SETTLED = ("open_now", "unseen", "closings", "reconciliation.exception_events", "reconciliation.exceptions")
_AGAIN = ("effects.replacements", "effects.value_given_back")


@dataclass(frozen=True)
class ReconciliationReport:
    """Open exceptions by kind, and how many opened, reopened and closed just now."""

    open_by_kind: dict[str, int]
    opened: int
    reopened: int
    closed: int


def reconcile(connection: Connection, now: datetime) -> ReconciliationReport:
    """Fill ``reconciliation.*`` again and append what changed to ``reconciliation.exception_events``.

    Looks at the active orders and at what is open. Reads ``push.ledger``'s last committed state: what a push has just
    confirmed is not a gap.
    """
    before = _events(connection)
    done = set() if _is_lateness_old(connection, now) else {models.makers()["reconciliation.lateness"]}
    given = _given(connection, now) | {"run": next_run(connection)}
    models.run(connection, models.made_in(_HERE), {_HERE}, given, again=_AGAIN, done=done)
    shadow.keep_verdict(connection, now)
    watermarks.write(connection, watermarks.RECONCILIATION, watermarks.newest_batch(connection), now)
    after = _events(connection)
    rows = connection.execute("select kind, count(*) from reconciliation.exceptions group by kind order by kind")
    return ReconciliationReport(
        open_by_kind=dict(rows.fetchall()),
        **{event: after.get(event, 0) - before.get(event, 0) for event in ("opened", "reopened", "closed")},
    )


def find(connection: Connection, now: datetime) -> None:
    """Fill the temporary table ``findings``: what looks wrong now in the active orders, due or not; and what ``settle`` reads."""
    done = {*_settling(), models.makers()["reconciliation.lateness"]}
    models.run(connection, _EXCEPTIONS, {_HERE}, _given(connection, now), again=_AGAIN, done=done)


def settle(connection: Connection, now: datetime, run_number: int) -> None:
    """Append to the history what opened, changed and closed since the last run, and fill ``reconciliation.exceptions``."""
    found = {model.file for model in models.order(_EXCEPTIONS, {_HERE}, _AGAIN)} - _settling()
    models.run(connection, _EXCEPTIONS, {_HERE}, {"now": now, "run": run_number}, again=_AGAIN, done=found)


def _settling() -> set[str]:
    return {models.makers()[name] for name in _SETTLED}


def _given(connection: Connection, now: datetime) -> dict[str, Any]:
    last = watermarks.find(connection, watermarks.RECONCILIATION)
    since = watermarks.read(connection, watermarks.RECONCILIATION)
    return {"now": now, "since": since, "last_run_at": last.updated_at if last else _NEVER}


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
