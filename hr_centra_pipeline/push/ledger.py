"""``push.ledger``: one row per effect and its state. Every change of a state goes through ``_apply``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hr_centra_pipeline.push.states import ALLOWED, ForbiddenMoveError, State
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection, run_sql

_PACKAGE = "hr_centra_pipeline.push"
_ALLOWED = [f"{before or 'nothing'} > {after}" for before, allowed in ALLOWED.items() for after in sorted(allowed)]


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
    again when its input or the policy changed; keys that Centra shows are confirmed; returns that somebody else made for
    a unit are adopted. An effect that is being sent or in doubt moves only when Centra shows it finished.

    Raises:
        ForbiddenMoveError: the plan asks for a move that the table of states does not allow; nothing is written.
    """
    since = watermarks.read(connection, watermarks.LEDGER)
    run_sql(connection, _PACKAGE, "record_plan.sql", {"now": now, "since": since})
    counts = dict(
        connection.execute(
            "select case when is_foreign then 'adopted' else state end, count(*) from moves group by all"
        ).fetchall()
    )
    _apply(connection)
    if _one(connection, "select count(*) from push.ledger where return_id is null"):
        run_sql(connection, _PACKAGE, "recover_identity.sql")
    watermarks.write(connection, watermarks.LEDGER, watermarks.read(connection, watermarks.OBSERVED), now)
    # A packet whose every member Centra shows finished has nothing left to do.
    connection.execute(
        """
        update push.packets set state = 'confirmed', step = 'done', updated_at = $now
        where state in ('sending', 'unknown') and not exists (
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
        in_doubt=counts.get("unknown", 0),
        ledger_rows=_one(connection, "select count(*) from push.ledger"),
    )


def move(
    connection: Connection,
    effect_keys: Sequence[str],
    state: State,
    now: datetime,
    *,
    reason: str | None = None,
    packet_key: str | None = None,
    centra_id: str | None = None,
    travels_alone: bool | None = None,
) -> None:
    """Move effects into a state. ``packet_key`` and ``reason`` are set as given; ``None`` keeps the other two.

    Raises:
        ForbiddenMoveError: the move is not allowed for one of them, or the ledger does not know it.
    """
    connection.execute(
        """
        create or replace temp table moves as
        select ledger.* replace (
            $state as state, $reason as reason, $packet_key as packet_key, $now as updated_at,
            coalesce($centra_id, centra_id) as centra_id, coalesce($travels_alone, travels_alone) as travels_alone
        )
        from push.ledger
        where effect_key in (select unnest($effect_keys::varchar[]))
        """,
        {
            "state": state,
            "reason": reason,
            "packet_key": packet_key,
            "now": now,
            "centra_id": centra_id,
            "travels_alone": travels_alone,
            "effect_keys": list(effect_keys),
        },
    )
    if _one(connection, "select count(*) from moves") != len(set(effect_keys)):
        raise ForbiddenMoveError(f"the ledger does not know every one of {', '.join(effect_keys)}")
    _apply(connection)


def note_reason(connection: Connection, effect_keys: Sequence[str], state: State, reason: str) -> None:
    """Say why effects are still in a state (what held them back, what the last look-up showed)."""
    connection.execute(
        """
        update push.ledger set reason = $reason
        where state = $state and effect_key in (select unnest($effect_keys::varchar[]))
        """,
        {"reason": reason, "state": state, "effect_keys": list(effect_keys)},
    )


def _apply(connection: Connection) -> None:
    """Merge the rows of ``moves``, if every one of them is an allowed move; else write nothing."""
    forbidden = connection.execute(
        """
        select moves.effect_key, ledger.state, moves.state
        from moves
        left join push.ledger using (effect_key)
        where not list_contains($allowed::varchar[], concat_ws(' > ', coalesce(ledger.state, 'nothing'), moves.state))
        limit 1
        """,
        {"allowed": _ALLOWED},
    ).fetchone()
    if forbidden:
        key, before, after = forbidden
        raise ForbiddenMoveError(f"effect {key} may not go from {before or 'nothing'} to {after}")
    connection.execute(
        """
        merge into push.ledger using moves on ledger.effect_key = moves.effect_key
        when matched then update by name
        when not matched then insert by name
        """
    )


def _one(connection: Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
