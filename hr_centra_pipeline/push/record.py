"""Recording a plan: what is desired and what Centra shows becomes the ledger's next state."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from hr_centra_pipeline.push import call_journal, ledger, recover
from hr_centra_pipeline.warehouse import models, watermarks
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.made import makes

_DECISIONS = ("adoptions", "ties", "exchange_decisions")


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
    again when its input or the policy changed; keys that Centra shows are confirmed; what another user did for a unit is
    adopted, and planned again when it is gone. What a change of settings alone makes due, of what was known before, is asked
    about. What Centra shows half done and no packet in doubt carries is in doubt from
    now on (our database was lost, or a call arrived late): it will be finished, never begun again.

    Raises:
        ForbiddenMoveError: the plan asks for a move that the table of states does not allow; nothing is written.
    """
    call_journal.note_crashed(connection, now)  # a crash left these: their attempts are kept before anything else moves
    ledger.follow_returns(connection)
    models.run_file(connection, "push/release_foreign.sql", {"now": now})
    ledger.apply(connection, "released_effects", allowed=ledger.REOPENED_MOVES)
    since = watermarks.read(connection, watermarks.LEDGER)
    done = models.run(connection, ["desired_effects"])
    settings = _settings_now(connection)
    newest = watermarks.newest_batch(connection)
    changed, done = _settings_changed(connection, settings, done)
    parameters = {"now": now, "since": since, "newest_batch": newest, **changed}
    models.run(connection, ["push/record_plan.sql"], (), parameters, done=done)
    counts = dict(
        connection.execute(
            "select case when is_foreign then 'adopted' else state end, count(*) from moves group by all"
        ).fetchall()
    )
    ledger.apply(connection)
    _note_settings(connection, settings, now)
    recovered = recover.half_done(connection, now)
    if _one(connection, "select count(*) from push.ledger where return_id is null"):
        models.run_file(connection, "push/recover_identity.sql")
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


@dataclass(frozen=True)
class _Settings:
    """Hashes of what is due and of amounts; who pays; ``parts``: what is due, apart from each other, as JSON."""

    fingerprint: str
    amounts: str | None
    payers: str | None
    parts: str | None


@makes(
    "steady_units",
    "One row per unit of which all that was landed says one grade; filled for a first plan only.",
    reads=("desired_effects", "landing.happy_returns_items"),
    loops={"push.ledger": "a first plan is one before which the ledger is empty"},
)
def _settings_changed(
    connection: Connection, present: _Settings, done: frozenset[str]
) -> tuple[dict[str, object], frozenset[str]]:
    """Up to where everything was planned by other settings (``None``: by these); and whether anything ever was.

    Fills ``latest_reports`` (when Happy Returns last said what an effect of ``desired_effects`` hangs on), ``decided_effects``,
    ``touched_effects``, and ``steady_units``: units of ``desired_effects`` of which all that was landed says one grade
    (filled for a first plan only). ``done``: models that have run; answered with those that ran now.
    """
    last = connection.execute(
        "select batch, fingerprint, amounts, payers, parts, decisions from push.settings_seen"
        " order by batch desc, seen_to desc limit 1"
    ).fetchone()
    batch, seen = (last[0], _Settings(*last[1:5])) if last else (None, present)
    # An earlier version kept no more than the fingerprint.
    is_due_changed = present.fingerprint != seen.fingerprint
    are_amounts_changed = seen.amounts is not None and present.amounts != seen.amounts
    are_payers_changed = is_due_changed and present.payers != seen.payers
    changed_batch = batch if is_due_changed or are_amounts_changed else None
    is_first_plan = last is None and not _one(connection, "select count(*) from push.ledger")
    is_asked = changed_batch is not None or is_first_plan
    is_asked = is_asked or bool(_one(connection, "select count(*) from push.ledger where asked_batch is not null"))
    touched_grades, is_cutover_same = _touched(seen, present)
    done = models.run(connection, ["latest_reports"], (), {"is_asked": is_asked}, done=done)
    parameters = {
        "is_changed": changed_batch is not None,
        "changed_batch": changed_batch,
        "touched_grades": None if are_amounts_changed else touched_grades,
        "is_cutover_same": is_cutover_same,
        # An earlier version did not count them: none is new.
        **(json.loads(last[5]) if last and last[5] else _decisions(connection)),
    }
    done = models.run(connection, ["touched_effects"], (), parameters, done=done)
    connection.execute(
        """
        create or replace temp table steady_units as
        select return_item_id from landing.happy_returns_items
        semi join desired_effects using (return_item_id)
        where disposition is not null and $is_first_plan
        group by return_item_id having count(distinct disposition) = 1
        """,
        {"is_first_plan": is_first_plan},
    )
    changed = {
        "past_batch": batch if is_due_changed else None,
        "changed_batch": changed_batch,
        "payers_changed": are_payers_changed,
        "is_first_plan": is_first_plan,
    }
    return changed, done


def _touched(seen: _Settings, present: _Settings) -> tuple[list[str] | None, bool]:
    """Of which grades alone something else is done now (``None``: every unit is touched), and whether the cut-over is the same."""
    if seen.parts is None or present.parts is None:
        return None, False
    before, after = json.loads(seen.parts), json.loads(present.parts)
    is_cutover_same = before["cutover"] == after["cutover"]
    if not is_cutover_same or before["rules"] != after["rules"]:
        return None, is_cutover_same
    said, says = ({grade["disposition"]: grade for grade in parts["grades"]} for parts in (before, after))
    return [word for word in {*said, *says} if said.get(word) != says.get(word)], True


def _decisions(connection: Connection) -> dict[str, int]:
    """How many decisions people have made, by table."""
    return {
        table: _one(connection, f"select count(*) from push.{table}")  # noqa: S608 - our own names
        for table in _DECISIONS
    }


def _settings_now(connection: Connection) -> _Settings:
    return _Settings(*(models.run_file(connection, "push/settings_now.sql").fetchone() or ("", "", "", None)))


@makes(
    "push.settings_seen",
    "One row per fingerprint of the settings that plans were made with, and from when to when.",
    reads=("push/settings_now.sql",),
)
def _note_settings(connection: Connection, present: _Settings, now: datetime) -> None:
    """Everything that is known now is planned by the present settings."""
    given = {
        "batch": watermarks.newest_batch(connection), "now": now, "decisions": json.dumps(_decisions(connection)),
        **asdict(present),
    }  # fmt: skip
    updated = connection.execute(
        """
        update push.settings_seen set batch = $batch, seen_to = $now, amounts = $amounts, payers = $payers,
            parts = $parts, decisions = $decisions
        where fingerprint = $fingerprint and coalesce(amounts, $amounts) = $amounts and (batch, seen_to) = (
            select (batch, seen_to) from push.settings_seen order by batch desc, seen_to desc limit 1
        )
        """,
        given,
    ).fetchone()
    if not (updated and updated[0]):
        connection.execute(
            "insert into push.settings_seen (fingerprint, batch, seen_from, seen_to, amounts, payers, parts, decisions)"
            " values ($fingerprint, $batch, $now, $now, $amounts, $payers, $parts, $decisions)",
            given,
        )


def _one(connection: Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
