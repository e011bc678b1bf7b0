"""What ``doctor`` finds about Dagster: its instance, its daemon, the schedule and the sensors."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import dagster as dg

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration.embedding import Embedding
from hr_centra_pipeline.orchestration.event_sensor import SENSOR
from hr_centra_pipeline.orchestration.instance import dagster_home, has_no_records
from hr_centra_pipeline.orchestration.jobs import SCHEDULE, schedule_status
from hr_centra_pipeline.oversight.findings import Finding

_DAEMON_SECONDS = 300.0
_SECTION = "Dagster"


def findings(settings: Settings) -> Iterator[Finding]:
    """Every look."""
    home = dagster_home(settings)
    if not (home / "dagster.yaml").exists():
        yield Finding(
            _SECTION, "note", f"{home} has no dagster.yaml yet",
            "The first sync writes one for SQLite. For Postgres, copy dagster.postgres.yaml there first (docs/going-live.md).",
        )  # fmt: skip
        return
    os.environ["DAGSTER_HOME"] = str(home)
    try:
        if has_no_records(home / "dagster.yaml"):
            yield Finding(_SECTION, "note", f"{home} holds no records of runs yet", "The first sync makes them.")
            return
        instance = dg.DagsterInstance.get()
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a custom dagster.yaml or database is a finding
        yield Finding(
            _SECTION, "error", f"{home / 'dagster.yaml'}: {str(error).strip().splitlines()[0]}",
            "Correct it, or delete the file: the default one is written again.", True,
        )  # fmt: skip
        return
    with instance:
        yield Finding(_SECTION, "ok", f"instance {home}, records in {type(instance.run_storage).__name__}")
        heard = [status.last_heartbeat for status in instance.get_daemon_statuses().values() if status.last_heartbeat]
        newest = max((one.timestamp for one in heard), default=0.0)
        is_daemon_up = time.time() - newest <= _DAEMON_SECONDS
        if not is_daemon_up:
            yield Finding(
                _SECTION, "warning", "no daemon is running: no schedule, no alerts" if not newest else
                f"the daemon was last heard of {(time.time() - newest) / 3600:.1f} hours ago",
                "Start dagster-daemon (docs/operations.md), one on this machine.",
            )  # fmt: skip
        else:
            yield Finding(_SECTION, "ok", "the daemon is running")
        default = schedule_status(Embedding())
        states = {state.instigator_name: state.status.value for state in instance.all_instigator_state()}
        status = states.get(SCHEDULE, default.value)
        is_on = status in ("RUNNING", "DECLARED_IN_CODE") and (
            status == "RUNNING" or default is dg.DefaultScheduleStatus.RUNNING
        )
        yield Finding(
            _SECTION, "ok" if is_on else "warning", f"the schedule {SCHEDULE} is {'on' if is_on else 'off'}",
            "" if is_on else "Switch it on in the UI (Automation), or: dagster schedule start hourly_sync",
        )  # fmt: skip
        if settings.happy_returns_secrets or settings.centra_secrets:
            yield _event_sensor(is_on=states.get(SENSOR) != "STOPPED", is_daemon_up=is_daemon_up)
        own_lines = (SCHEDULE, SENSOR)
        stopped = sorted(name for name, value in states.items() if value == "STOPPED" and name not in own_lines)
        if stopped:
            yield Finding(
                _SECTION,
                "warning",
                f"switched off: {', '.join(stopped)}",
                "Switch them on in the UI (Automation): alerts come from them.",
            )


def _event_sensor(*, is_on: bool, is_daemon_up: bool) -> Finding:
    """The sensor is on by default where a webhook secret is set."""
    name = SENSOR
    if not is_on:
        return Finding(
            _SECTION, "warning", f"the sensor {name} is off: nothing syncs when something happens",
            f"Switch it on in the UI (Automation), or: dagster sensor start {name} -m hr_centra_pipeline.definitions",
        )  # fmt: skip
    if not is_daemon_up:
        return Finding(
            _SECTION, "warning", f"the sensor {name} needs the daemon: nothing syncs when something happens",
            "Start dagster-daemon (docs/operations.md).",
        )  # fmt: skip
    return Finding(_SECTION, "ok", f"the sensor {name} is on")
