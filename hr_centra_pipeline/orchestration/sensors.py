"""Sensors that alert people, and one that fails orphaned runs. They read Dagster's events and what is published, never
the warehouse.

Plain sensors with a cursor of their own, not ``run_failure_sensor``: that one moves on when a delivery fails (the alert would be
lost), and it does not see runs of the command line.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from hr_centra_pipeline.core import clock, page_addresses
from hr_centra_pipeline.core.policy import Policy, load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration import markdown, run_lock
from hr_centra_pipeline.orchestration.asset_tables import FOUND, IDENTITY, LINES, PAGES, TEAM, TOLD_ELSEWHERE
from hr_centra_pipeline.orchestration.embedding import Embedding
from hr_centra_pipeline.orchestration.failures import words_of
from hr_centra_pipeline.orchestration.partitions import JOB_TAG, JOBS
from hr_centra_pipeline.oversight import delivery, exception_texts, published
from hr_centra_pipeline.oversight.alerts import Alert, AlertReport, Line, fingerprint, over, send_alerts
from hr_centra_pipeline.oversight.exception_texts import ExceptionLine
from hr_centra_pipeline.oversight.watch import OVERDUE

_RUNS_AT_ONCE = 50
_RETRY_TAG = "dagster/retry_number"  # only the first attempt is reported, not its automatic retries
_RUNNING = dg.DefaultSensorStatus.RUNNING
_DATA = "data"

Outcome = dg.SensorResult | dg.SkipReason


@dataclass(frozen=True)
class Sensor:
    """A sensor before it has the names and the environment of a set of definitions."""

    tick: Callable[[dg.SensorEvaluationContext, Embedding], Outcome]
    seconds: int
    description: str

    def defined(self, embedding: Embedding) -> dg.SensorDefinition:
        """As Dagster's, on by default."""

        @dg.sensor(
            name=embedding.name(self.tick.__name__),
            minimum_interval_seconds=self.seconds,
            default_status=_RUNNING,
            description=self.description,
        )
        def made(context: dg.SensorEvaluationContext) -> Outcome:
            return self.tick(context, embedding)

        return made


def _every(
    seconds: int, description: str
) -> Callable[[Callable[[dg.SensorEvaluationContext, Embedding], Outcome]], Sensor]:
    return lambda tick: Sensor(tick, seconds, description)


def _watch(embedding: Embedding) -> tuple[Settings, Policy, datetime]:
    settings = embedding.settings()
    return settings, load_policy(settings.policy_path).policy, clock.now(embedding.environment())


def _is_ours(run: dg.DagsterRun, embedding: Embedding) -> bool:
    """A run of one of our jobs, or one in which one of our steps has begun. Others' are theirs to report."""
    return run.job_name in {embedding.name(job) for job in JOBS} or not run.tags.keys().isdisjoint(
        (JOB_TAG, run_lock.PROCESS_TAG)
    )


def _changes(
    context: dg.SensorEvaluationContext, *types: dg.DagsterEventType
) -> tuple[list[tuple[int, str, dg.DagsterEvent]], int | None]:
    """(storage id, run id, event) of runs that ended since the cursor, in order, and the new cursor; none at the first tick."""
    instance = context.instance
    if context.cursor is None:
        newest = [instance.fetch_run_status_changes(one, limit=1).records for one in types]
        return [], max((records[0].storage_id for records in newest if records), default=0)
    since = int(context.cursor)
    found = []
    for one in types:
        wanted = dg.RunStatusChangeRecordsFilter(event_type=one, after_storage_id=since)  # type: ignore[arg-type]
        records = instance.fetch_run_status_changes(wanted, limit=_RUNS_AT_ONCE, ascending=True).records
        found += [
            (record.storage_id, record.run_id, record.event_log_entry.dagster_event)
            for record in records
            if record.event_log_entry.dagster_event is not None
        ]
    found.sort(key=lambda one: one[0])
    found = found[:_RUNS_AT_ONCE]
    return found, (found[-1][0] if found else None)


def _ended(context: dg.SensorEvaluationContext, cursor: int | None, report: AlertReport, idle: str) -> Outcome:
    if cursor is not None:
        context.update_cursor(str(cursor))
    said = f"{report.sent} sent, {report.held_back} suppressed"
    if report.nobody:
        said += f"; {report.nobody} without a webhook or mail (HR_CENTRA_ALERT_WEBHOOK, HR_CENTRA_SMTP_URL)"
    return dg.SkipReason(said if report != AlertReport() else idle)


def _footer(settings: Settings, run: dg.DagsterRun, team: str = _DATA) -> str:
    """Where to read on: the run for the data team, the team's worklist for the others, who have no login to Dagster."""
    if team != _DATA:
        return f"Worklist of {_spoken(team)}: {settings.pages_url}{page_addresses.of_worklist(team=team)}"
    return f"Run {run.run_id[:8]} of {run.job_name}" + (
        f": {settings.ui_url}/runs/{run.run_id}" if settings.ui_url else ""
    )


def _spoken(team: str) -> str:
    return team.replace("_", " ")


# ---------------------------------------------------------------- failed runs


@_every(
    30,
    "Reports failed runs (first attempt only) to the data team. A failed delivery fails the tick and is retried.",
)
def alert_on_failed_runs(context: dg.SensorEvaluationContext, embedding: Embedding) -> Outcome:
    """One alert per failed run; the same failure again within ``repeat_hours`` is counted, not reported."""
    settings, policy, now = _watch(embedding)
    changes, cursor = _changes(context, dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS)
    alerts = []
    for _, run_id, event in changes:
        run = context.instance.get_run_by_id(run_id)
        if run is None or _RETRY_TAG in run.tags or not _is_ours(run, embedding):
            continue
        if event.event_type is dg.DagsterEventType.RUN_SUCCESS:
            over([one for one in _known(settings) if one.startswith(f"run | {run.job_name} |")], settings, now)
            continue
        where, words = failure_of(context.instance, run, event)
        line = Line(fingerprint("run", run.job_name, where, words), run_id, words)
        alerts.append(Alert(_DATA, f"{run.job_name} failed{where and f' at {where}'}", (line,), _footer(settings, run)))
    return _ended(context, cursor, send_alerts(alerts, settings, policy, now), "No run has failed since the last tick.")


def _known(settings: Settings) -> list[str]:
    try:
        return list(json.loads((settings.home / "alerts.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return []


def failure_of(instance: dg.DagsterInstance, run: dg.DagsterRun, event: dg.DagsterEvent) -> tuple[str, str]:
    """Where a run failed and why, as it reported it; a crash without a failed step is reported as such."""
    steps, words = [], []
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        failed = entry.dagster_event
        if failed is None:
            continue
        data = failed.step_failure_data
        told = data.user_failure_data.description if data.user_failure_data else None
        said = told or (words_of(data.error) if data.error else "no message")
        if said not in words:  # a run that could not begin fails in each of its first steps
            steps.append(failed.step_key or "")
            words.append(said)
    process = run.tags.get(run_lock.PROCESS_TAG)
    if not words and process is not None and run_lock.is_dead(process):
        # Dagster's monitoring may notice a crash before us, and reports only that it did.
        words.append(run_lock.crash_message(process))
    return ", ".join(dict.fromkeys(steps)), "\n".join(
        dict.fromkeys(words)
    ) or event.message or "It ended without a message."


# ---------------------------------------------------------------- failed checks


@_every(
    30,
    "Reports failed checks of every finished run, successful ones too, to the team that owns the check or its asset.",
)
def alert_on_failed_checks(context: dg.SensorEvaluationContext, embedding: Embedding) -> Outcome:
    """One alert per run and team; a check that stays failed is reported again after ``repeat_hours``."""
    settings, policy, now = _watch(embedding)
    changes, cursor = _changes(
        context, dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_CANCELED
    )
    owner = _owner_of(context)
    alerts = []
    for _, run_id, _ in changes:
        run = context.instance.get_run_by_id(run_id)
        if run is None or _RETRY_TAG in run.tags or not _is_ours(run, embedding):
            continue
        failed: dict[str, list[Line]] = {}
        passed = []
        for entry in context.instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
            event = entry.dagster_event
            if event is None:
                continue
            found = event.asset_check_evaluation_data
            asset = embedding.plain(found.asset_key)
            if asset is None:
                continue
            name = f"{asset.to_user_string().replace('/', '.')}: {found.check_name.replace('_', ' ')}"
            known = fingerprint("check", name)
            if found.passed:
                passed.append(known)
                continue
            if TOLD_ELSEWHERE in found.metadata:
                continue
            line = Line(known, run_id, _told(found, name, settings), str(_value(found, IDENTITY, "")))
            if found.check_name in OVERDUE:  # work of that team, with a message of its own
                team, count = owner(found), int(_value(found, FOUND, 0))
                alerts.append(Alert(team, f"{_overdue(count)} of {_spoken(team)}", (line,)))
            else:
                failed.setdefault(owner(found), []).append(line)
        over(passed, settings, now)
        alerts += [
            Alert(team, f"{len(lines)} failed check{'s' if len(lines) > 1 else ''} for {_spoken(team)}", tuple(lines),
                _footer(settings, run, team))
            for team, lines in sorted(failed.items())
        ]  # fmt: skip
    return _ended(
        context, cursor, send_alerts(alerts, settings, policy, now), "No check has failed since the last tick."
    )


def _told(found: dg.AssetCheckEvaluation, name: str, settings: Settings) -> str:
    """A failed check in words: of overdue exceptions each with its page, else what the check lists."""
    if (team := OVERDUE.get(found.check_name)) and (shown := _value(found, PAGES, [])):
        lines = [ExceptionLine(text, path) for text, path in shown]
        count = int(_value(found, FOUND, len(lines)))
        return f"The longest overdue first:\n\n{exception_texts.listed(lines, count, team, settings.pages_url)}"
    level = "Warning" if found.severity == dg.AssetCheckSeverity.WARN else "ERROR"
    listed = found.metadata.get(LINES)
    said = markdown.as_text(str(listed.value)) if listed is not None else found.description or "no details"
    return f"{level}: check failed: {name}\n{said}"


def _value(found: dg.AssetCheckEvaluation, name: str, default: Any) -> Any:
    value = found.metadata.get(name)
    return default if value is None else value.value


def _overdue(count: int) -> str:
    return f"{count} overdue exception{'' if count == 1 else 's'}"


def _owner_of(context: dg.SensorEvaluationContext) -> Callable[[dg.AssetCheckEvaluation], str]:
    graph = context.repository_def.asset_graph if context.repository_def else None

    def owner(found: dg.AssetCheckEvaluation) -> str:
        told = found.metadata.get(TEAM)
        if told is not None:
            return str(told.value)
        owners = graph.get(found.asset_key).owners if graph and graph.has(found.asset_key) else []
        teams = [one.removeprefix("team:") for one in owners if one.startswith("team:")]
        return teams[0] if teams else _DATA

    return owner


# ---------------------------------------------------------------- what stays overdue, and silence


@_every(
    60,
    "Reports an exception that is still overdue after a second window to its team and to the data team, once.",
)
def escalate_overdue_exceptions(context: dg.SensorEvaluationContext, embedding: Embedding) -> Outcome:
    """Reads the published exceptions; the cursor is the publication up to which all were reported."""
    settings, policy, now = _watch(embedding)
    until = published.as_of(settings)
    since = datetime.fromisoformat(context.cursor) if context.cursor else None
    if until is None or (since and until <= since):
        return dg.SkipReason("Nothing was published since the last tick.")
    after = timedelta(hours=policy.alerts.escalate_after_hours)
    alerts = []
    for late in published.overdue_since(settings, since, until, after):
        title = f"{_overdue(late.count)} of {_spoken(late.team)}: no action taken"
        text = (
            f"Overdue for {policy.alerts.escalate_after_hours} hours or more"
            f"{f', {late.money} at stake' if late.money else ''}. Who takes care of it?\n\n"
            + exception_texts.listed(late.lines, late.count, late.team, settings.pages_url)
        )
        event = hashlib.sha256("\n".join(late.exception_ids).encode()).hexdigest()[:16]  # the same list, the same alert
        for team in dict.fromkeys((late.team, _DATA)):
            alerts.append(Alert(team, title, (Line(f"escalation | {late.team} | {team} | {event}", event, text),)))
    report = send_alerts(alerts, settings, policy, now)
    context.update_cursor(until.isoformat())
    return _ended(context, None, report, "No exception has passed its second window.")


@_every(
    60,
    "Alerts the data team after [alerts] silent_after_hours without a publication; else pings the external heartbeat.",
)
def alert_on_silence(context: dg.SensorEvaluationContext, embedding: Embedding) -> Outcome:
    """A sync that never starts fails nothing: only the age of the published tables shows it."""
    settings, policy, now = _watch(embedding)
    last = published.as_of(settings)
    if last is None:
        return dg.SkipReason("Nothing has been published yet.")
    known = fingerprint("silence")
    age = now - last
    if age < timedelta(hours=policy.alerts.silent_after_hours):
        over([known], settings, now)
        delivery.beat(settings)
        return dg.SkipReason(f"Published {age.total_seconds() / 60:.0f} minutes ago.")
    text = (
        f"The published tables are as of {last:%Y-%m-%d %H:%M} UTC, {age.total_seconds() / 3600:.0f} hours old: since then no "
        "sync has completed. Check the runs, the schedule and the daemon; the next sync catches up on what was missed.\n"
        f"{settings.pages_url}{page_addresses.HEALTH}"
    )
    report = send_alerts(
        [Alert(_DATA, "No sync has succeeded", (Line(known, last.isoformat(), text),))], settings, policy, now
    )
    return _ended(context, None, report, "Reported before.")


@_every(
    30,
    "Marks runs whose process died as failed, so that they free their slot and the next sync can start.",
)
def fail_orphaned_runs(context: dg.SensorEvaluationContext, embedding: Embedding) -> Outcome:
    """Dagster's default launcher does not notice a killed run before ``max_runtime_seconds`` is over."""
    orphaned = run_lock.fail_orphaned_runs(context.instance)
    return dg.SkipReason(
        f"Marked as failed: {', '.join(one[:8] for one in orphaned)}." if orphaned else "Every active run is alive."
    )


SENSORS = [
    alert_on_failed_runs,
    alert_on_failed_checks,
    escalate_overdue_exceptions,
    alert_on_silence,
    fail_orphaned_runs,
]
