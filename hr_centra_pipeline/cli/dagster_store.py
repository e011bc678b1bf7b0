"""The last runs, the daemon and the schedule, read from Dagster's SQLite files without Dagster, which takes seconds to load."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hr_centra_pipeline.core.settings import Settings

JOBS = ("sync", "event_sync")
_STATES = {"SUCCESS": "done", "FAILURE": "failed", "CANCELED": "failed", "STARTED": "running", "STARTING": "running"}
_WAIT_SECONDS = 1.0


@dataclass(frozen=True)
class LastRun:
    """The last run of a job. ``state``: done, failed, running or queued; ``said``: what its failed step said."""

    job: str
    run_id: str
    state: str
    started_at: datetime | None
    seconds: float | None
    said: str = ""


@dataclass(frozen=True)
class DagsterState:
    """``runs``: the last one of each job. ``schedule``: on, off, or by its default (None)."""

    runs: tuple[LastRun, ...]
    daemon_heard_at: datetime | None
    schedule: str | None


def dagster_state(settings: Settings) -> DagsterState | None:
    """What the files hold; ``None``: there are none yet, or the instance keeps its records elsewhere, as in PostgreSQL."""
    home = Path(os.environ.get("DAGSTER_HOME") or settings.home / "dagster")
    records = home / "history" / "runs.db"
    if not records.is_file():
        return None
    try:
        with closing(_opened(records)) as connection:
            runs = tuple(run for job in JOBS if (run := _last(connection, home, job)) is not None)
            heard = connection.execute("select max(timestamp) from daemon_heartbeats").fetchone()[0]
        return DagsterState(runs, _instant(heard), _schedule(home / "schedules" / "schedules.db"))
    except sqlite3.DatabaseError:
        return None  # `hr-centra doctor` names what is wrong with it


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_WAIT_SECONDS)


def _last(connection: sqlite3.Connection, home: Path, job: str) -> LastRun | None:
    row = connection.execute(
        "select run_id, status, start_time, end_time from runs where pipeline_name = ? order by id desc limit 1", [job]
    ).fetchone()
    if row is None:
        return None
    run_id, status, started, ended = row
    state = _STATES.get(status, "queued")
    return LastRun(
        job, run_id, state, datetime.fromtimestamp(started, UTC) if started else None,
        ended - started if started and ended else None,
        _said(home / "history" / "runs" / f"{run_id}.db") if state == "failed" else "",
    )  # fmt: skip


def _said(path: Path) -> str:
    """The words of the step that failed first; those of what it came from, since Dagster wraps them."""
    if not path.is_file():
        return ""
    with closing(_opened(path)) as connection:
        row = connection.execute(
            "select event from event_logs where dagster_event_type = 'STEP_FAILURE' order by id limit 1"
        ).fetchone()
    error: Any = json.loads(row[0])["dagster_event"]["event_specific_data"].get("error") if row else None
    words = ""
    while error:
        words, error = str(error.get("message") or words), error.get("cause")
    return words.partition(": ")[2].strip() or words.strip()


def _schedule(path: Path) -> str | None:
    if not path.is_file():
        return None
    with closing(_opened(path)) as connection:
        rows = connection.execute("select status, instigator_body from instigators").fetchall()
    for status, body in rows:
        if '"hourly_sync"' in body:
            return {"RUNNING": "on", "STOPPED": "off"}.get(status)
    return None


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None
