"""The journal: what became known in which run, so that a month can be reported as it was on any day, and a closed one stays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hr_centra_pipeline.core.version import code_version
from hr_centra_pipeline.reconciliation.reconcile import next_run
from hr_centra_pipeline.warehouse import models
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.made import makes


@dataclass(frozen=True)
class JournalReport:
    """Entries that this run added: facts that are new, changed or gone."""

    entries: int


@makes(
    "month_end.journal_runs",
    "One row per run that entered something in the journal.",
    reads=("month_end.fact_journal", "month_end.match_journal", "month_end.opening_position"),
)
def remember(connection: Connection, now: datetime, policy_sha256: str) -> JournalReport:
    """Enter what the refund facts and the match say now and did not say before.

    To be called right after the reconciliation, in its transaction: the facts have to be whole. Nothing new, nothing is written.
    """
    run_number = next_run(connection)
    models.run(connection, ["month_end/journal.sql"], (), {"now": now, "run": run_number})
    row = connection.execute(
        """
        select
            (select count(*) from month_end.fact_journal where run_number = $run)
            + (select count(*) from month_end.match_journal where run_number = $run)
            + (select count(*) from month_end.opening_position where run_number = $run),
            (select max_by((code_version, policy_sha256), run_number) from month_end.journal_runs)
                is distinct from ($code, $policy)
        """,
        {"run": run_number, "code": code_version(), "policy": policy_sha256},
    ).fetchone()
    entries, is_other_program = row or (0, False)
    if entries or is_other_program:
        connection.execute(
            "insert into month_end.journal_runs (run_number, recorded_at, entries, code_version, policy_sha256)"
            " values (?, ?, ?, ?, ?)",
            [run_number, now, entries, code_version(), policy_sha256],
        )
    return JournalReport(entries)
