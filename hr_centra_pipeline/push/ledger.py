"""``push.ledger``: one row per effect and its state. Every change of a state goes through ``apply``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from hr_centra_pipeline.core.codes import Said, code_of
from hr_centra_pipeline.push.states import ALLOWED, REOPENED, ForbiddenMoveError, State
from hr_centra_pipeline.warehouse import models
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.made import makes


def _as_text(table: Mapping[State | None, frozenset[State]]) -> list[str]:
    return [f"{before or 'nothing'} > {after}" for before, allowed in table.items() for after in sorted(allowed)]


ALLOWED_MOVES = _as_text(ALLOWED)
REOPENED_MOVES = _as_text(REOPENED)


@dataclass(frozen=True)
class Move:
    """Effects that move into a state. ``packet_key`` and ``reason`` are set as given; ``None`` keeps the other two.

    ``reason``: with its code where it is one of our reasons (``core/codes.py``), else Centra's words.
    """

    effect_keys: Sequence[str]
    state: State
    reason: str | None = None
    packet_key: str | None = None
    centra_id: str | None = None
    travels_alone: bool | None = None


def move(connection: Connection, moves: Sequence[Move], now: datetime) -> None:
    """Move effects, all or none. What is confirmed already stays so: Centra has shown it meanwhile.

    Raises:
        ForbiddenMoveError: a move is not allowed for one of them, or the ledger does not know it.
    """
    rows = [(key, one) for one in moves for key in dict.fromkeys(one.effect_keys)]
    if not rows:
        return
    asked = {
        "effect_key": [key for key, _ in rows],
        "state": [one.state for _, one in rows],
        "reason": [one.reason for _, one in rows],
        "reason_code": [code_of(one.reason) for _, one in rows],
        "packet_key": [one.packet_key for _, one in rows],
        "centra_id": [one.centra_id for _, one in rows],
        "travels_alone": [one.travels_alone for _, one in rows],
    }
    connection.execute(
        """
        create or replace temp table requested_moves as
        select
            unnest($effect_key::varchar[]) as effect_key, unnest($state::varchar[]) as state,
            unnest($reason::varchar[]) as reason, unnest($reason_code::varchar[]) as reason_code,
            unnest($packet_key::varchar[]) as packet_key,
            unnest($centra_id::varchar[]) as centra_id, unnest($travels_alone::boolean[]) as travels_alone
        """,
        asked,
    )
    connection.execute(
        """
        create or replace temp table moves as
        select ledger.* replace (
            asked.state as state, asked.reason as reason, asked.reason_code as reason_code,
            asked.packet_key as packet_key, $now as updated_at,
            coalesce(asked.centra_id, ledger.centra_id) as centra_id,
            coalesce(asked.travels_alone, ledger.travels_alone) as travels_alone,
            case when asked.state = 'confirmed' then $now end as confirmed_at
        )
        from push.ledger
        join requested_moves as asked using (effect_key)
        where ledger.state <> 'confirmed'
        """,
        {"now": now},
    )
    if _one(connection, "select count(*) from requested_moves anti join push.ledger using (effect_key)"):
        raise ForbiddenMoveError(f"the ledger does not know every one of {', '.join(key for key, _ in rows)}")
    apply(connection)


def note_first_sent(connection: Connection, effect_keys: Sequence[str], at: datetime) -> None:
    """Remember when a call with these effects left first: it may arrive late. ``at``: by the earlier one of the two clocks."""
    connection.execute(
        """
        update push.ledger set first_sent_at = $at
        where first_sent_at is null and effect_key in (select unnest($effect_keys::varchar[]))
        """,
        {"at": at, "effect_keys": list(effect_keys)},
    )


def note_reason(connection: Connection, effect_keys: Sequence[str], state: State, reason: str) -> None:
    """Say why effects are still in a state (what held them back, what the last look-up showed)."""
    connection.execute(
        """
        update push.ledger set reason = $reason, reason_code = $reason_code
        where state = $state and effect_key in (select unnest($effect_keys::varchar[]))
            and (reason is distinct from $reason or reason_code is distinct from $reason_code)
        """,
        {"reason": reason, "reason_code": code_of(reason), "state": state, "effect_keys": list(effect_keys)},
    )


def settle_amounts(connection: Connection) -> None:
    """Where Centra settles the tax of a credit, its amount becomes what was really given back.

    Reads staging, what the push itself was answered, and the active orders.
    """
    models.run(connection, ["push/settled_amounts.sql"])
    connection.execute(
        """
        update push.ledger set amount = settled_amounts.amount
        from settled_amounts
        where settled_amounts.effect_key = ledger.effect_key and settled_amounts.amount is distinct from ledger.amount
        """
    )


def follow_returns(connection: Connection) -> None:
    """Where Centra shows another Return under the key of a packet than the one of our rows, and that one is gone, they name it.

    So it is after a database was restored that does not know of the second time. Reads staging and the active orders.
    """
    models.run(connection, ["packet_returns"])
    # A replacement order's number is not a Return's id: what the ledger names is only changed where it is that Return.
    for table, theirs in (
        ("ledger", "state = 'confirmed' and "),
        ("packets", "state in ('sending', 'unknown', 'confirmed') and "),
    ):
        connection.execute(
            f"""
            update push.{table} set centra_id = made_return_id::varchar
            from packet_returns
            where {theirs} packet_returns.packet_key = {table}.packet_key and made_return_id <> recorded_return_id
                and {table}.centra_id = recorded_return_id::varchar
            """  # noqa: S608 - our own words
        )


def reopen_gone(connection: Connection, return_id: str, now: datetime, reason: Said) -> list[str]:
    """Plan effects of a return again of which somebody has deleted in Centra what we had made; answers their keys."""
    models.run(connection, ["gone_returns"])
    gone = connection.execute(
        """
        select packet_key, members from gone_returns
        where packet_key in (select packet_key from push.ledger where return_id = $return_id)
            -- What was ordered again since then has its goods: beginning again would give them twice.
            and not exists (
                select 1 from push.ledger as again
                join push.ledger as first using (return_item_id)
                where list_contains(gone_returns.members, first.effect_key) and first.effect_kind = 'exchange_order'
                    and again.effect_kind = 'exchange_order' and again.effect_key <> first.effect_key
            )
        union all
        select packet_key, members from push.packets
        where state = 'unknown' and trouble = 'gone'
            and packet_key in (select packet_key from push.ledger where return_id = $return_id)
        """,
        {"return_id": return_id},
    ).fetchall()
    keys = [key for _, members in gone for key in members]
    connection.execute(
        """
        create or replace temp table moves as
        select * replace (
            'planned' as state, $reason as reason, $reason_code as reason_code, $now as updated_at, null as centra_id,
            null as confirmed_at
        )
        from push.ledger where effect_key in (select unnest($keys::varchar[])) and not is_foreign
        """,
        {"reason": reason, "reason_code": reason.code, "now": now, "keys": keys},
    )
    apply(connection, allowed=[*ALLOWED_MOVES, *REOPENED_MOVES])
    connection.execute(
        "update push.packets set state = 'disbanded', message = ?, message_code = ?, trouble = null, updated_at = ?"
        " where packet_key in (select unnest(?::varchar[]))",
        [reason, reason.code, now, [key for key, _ in gone]],
    )
    # A replacement that somebody canceled is ordered again, on the Return that is still there.
    canceled = connection.execute(
        """
        update push.packets set step = 'create_order', trouble = null, message = $reason, message_code = $reason_code,
            updated_at = $now
        where state = 'unknown' and trouble = 'canceled'
            and packet_key in (select packet_key from push.ledger where return_id = $return_id)
        returning members
        """,
        {"reason": reason, "reason_code": reason.code, "now": now, "return_id": return_id},
    ).fetchall()
    return keys + [key for (members,) in canceled for key in members]


@makes(
    "push.ledger",
    "One row per effect and its state.",
    reads=(
        "operations.contract",
        "packet_returns",
        "push/gone_returns.sql",
        "push/half_done.sql",
        "push/record_plan.sql",
        "push/release_foreign.sql",
        "push/settled_amounts.sql",
    ),
    loops={"push.packets": "a plan is recorded beside the packets of the last push, before it makes its own"},
)
def apply(connection: Connection, moves: str = "moves", *, allowed: Sequence[str] | None = None) -> None:
    """Merge the rows of ``moves`` (new ledger rows), if every one of them is an allowed move; else write nothing."""
    forbidden = connection.execute(
        f"""
        select moves.effect_key, ledger.state, moves.state
        from {moves} as moves
        left join push.ledger using (effect_key)
        where not list_contains($allowed::varchar[], concat_ws(' > ', coalesce(ledger.state, 'nothing'), moves.state))
        limit 1
        """,  # noqa: S608 - our own names
        {"allowed": list(ALLOWED_MOVES if allowed is None else allowed)},
    ).fetchone()
    if forbidden:
        key, before, after = forbidden
        raise ForbiddenMoveError(f"effect {key} may not go from {before or 'nothing'} to {after}")
    connection.execute(
        f"""
        merge into push.ledger using {moves} as moves on ledger.effect_key = moves.effect_key
        when matched then update by name
        when not matched then insert by name
        """
    )


def _one(connection: Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
