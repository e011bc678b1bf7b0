"""Recording a plan: what is desired and what Centra shows becomes the ledger's next state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hr_centra_pipeline.push import journal, ledger, recover
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection, run_sql

_PACKAGE = "hr_centra_pipeline.push"


@dataclass(frozen=True)
class PlanRecord:
    """How many effects moved into each state when a plan was recorded, and the ledger's size afterwards."""

    planned: int
    withdrawn: int
    confirmed: int
    adopted: int
    in_doubt: int
    ledger_rows: int


def record_plan(connection: Connection, now: datetime) -> PlanRecord:
    """Merge the plan (``effects.pending_*``) and what Centra shows (``effects.observed``) into the ledger.

    New effects become planned; what is not desired any more before it was sent is withdrawn; a refused effect is planned
    again when its input or the policy changed; keys that Centra shows are confirmed; what somebody else did for a unit is
    adopted, and planned again when it is gone. What Centra shows half done and no packet in doubt carries is in doubt from
    now on (our database was lost, or a call arrived late): it will be finished, never begun again.

    Raises:
        ForbiddenMoveError: the plan asks for a move that the table of states does not allow; nothing is written.
    """
    journal.in_doubt(connection, now)  # a crash left these: their attempts are kept before anything else moves
    run_sql(connection, _PACKAGE, "release_foreign.sql", {"now": now})
    ledger.apply(connection, allowed=ledger.REOPENED_MOVES)
    since = watermarks.read(connection, watermarks.LEDGER)
    run_sql(connection, _PACKAGE, "desired.sql")
    run_sql(connection, _PACKAGE, "record_plan.sql", {"now": now, "since": since})
    counts = dict(
        connection.execute(
            "select case when is_foreign then 'adopted' else state end, count(*) from moves group by all"
        ).fetchall()
    )
    ledger.apply(connection)
    recovered = recover.half_done(connection, now)
    if _one(connection, "select count(*) from push.ledger where return_id is null"):
        run_sql(connection, _PACKAGE, "recover_identity.sql")
    ledger.settle_amounts(connection)
    watermarks.write(connection, watermarks.LEDGER, watermarks.read(connection, watermarks.OBSERVED), now)
    # A packet whose every member Centra shows finished has nothing left to do.
    connection.execute(
        """
        update push.packets set state = 'confirmed', step = 'done', trouble = null, updated_at = $now
        where state = 'unknown' and not exists (
            select 1 from push.ledger
            where list_contains(packets.members, ledger.effect_key) and ledger.state <> 'confirmed'
        )
        """,
        {"now": now},
    )
    return PlanRecord(
        planned=counts.get("planned", 0),
        withdrawn=counts.get("withdrawn", 0),
        confirmed=counts.get("confirmed", 0),
        adopted=counts.get("adopted", 0),
        in_doubt=recovered,
        ledger_rows=_one(connection, "select count(*) from push.ledger"),
    )


def _one(connection: Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
