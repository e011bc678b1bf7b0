"""The sensor that looks at the inbox and requests a sync when something happened. With an empty inbox it costs next to nothing."""

import json
import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import lru_cache

import dagster as dg

from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.inbox.inbox_store import Inbox, Waiting
from hr_centra_pipeline.orchestration.embedding import Embedding
from hr_centra_pipeline.orchestration.partitions import EVENT_SYNC_JOB, SYNC_JOB
from hr_centra_pipeline.oversight import published

SENSOR = "sync_on_events"
_INTERVAL_SECONDS = 15
_LONGEST_WAIT_SECONDS = 3600
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class _Seen:
    """What the last ticks saw: the oldest waiting delivery, since when by the real clock, and the syncs requested for it."""

    oldest: str
    since: float
    requests: int = 0
    requested_at: float = 0.0


def sync_on_events(embedding: Embedding) -> dg.SensorDefinition:
    """The sensor; on by default where a webhook secret is set."""
    given = embedding.settings()
    is_on = bool(given.happy_returns_secrets or given.centra_secrets)

    @dg.sensor(
        name=embedding.name(SENSOR),
        job_name=embedding.name(EVENT_SYNC_JOB),
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED,
        description="Requests a sync of what the inbox brought, once the oldest delivery has waited for [events] debounce_seconds. "
        "One at a time, and none while a sync is running, which takes them along.",
    )
    def made(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Reads the inbox's index and, only when something waits, the policy and the unfinished runs. Calls no vendor."""
        settings = embedding.settings()
        waiting = _inbox(settings.inbox).waiting()
        if waiting.oldest_at is None:
            if context.cursor:
                context.update_cursor("")
            return dg.SkipReason("Nothing is waiting in the inbox.")
        now = time.time()
        seen = _seen(context.cursor, waiting.oldest_at, now)
        reason = _not_yet(context, embedding, settings, waiting, seen, now)
        if reason is None:
            seen = _Seen(seen.oldest, seen.since, seen.requests + 1, now)
        if (cursor := json.dumps(asdict(seen))) != context.cursor:
            context.update_cursor(cursor)
        return dg.SkipReason(reason) if reason else dg.RunRequest()

    return made


@lru_cache(maxsize=1)
def _inbox(address: str) -> Inbox:
    return Inbox.open(address)


def _seen(cursor: str | None, oldest_at: datetime, now: float) -> _Seen:
    """The same as before while the same delivery is the oldest; a new beginning when that has landed."""
    oldest = oldest_at.isoformat()
    if cursor:
        seen = _Seen(**json.loads(cursor))
        if seen.oldest == oldest:
            # A clock that was set back: what it has counted begins again, and nothing waits for it to catch up.
            return replace(seen, since=min(seen.since, now), requested_at=min(seen.requested_at, now))
    return _Seen(oldest, now)


def _not_yet(
    context: dg.SensorEvaluationContext,
    embedding: Embedding,
    settings: Settings,
    waiting: Waiting,
    seen: _Seen,
    now: float,
) -> str | None:
    """Why no sync is requested; ``None``: one is."""
    waits = f"{waiting.count:,} deliver{'y is' if waiting.count == 1 else 'ies are'} waiting"
    debounce = load_policy(settings.policy_path).policy.events.debounce_seconds
    assert waiting.oldest_at is not None  # noqa: S101 - the caller has looked
    # By the clock that deliveries are stamped with; by the real one should that be stopped.
    age = max((clock.now(embedding.environment()) - waiting.oldest_at).total_seconds(), now - seen.since)
    if age < debounce:
        return f"{waits}, the oldest for {max(age, 0):.0f} s: gathered for {debounce} s."
    if published.as_of(settings) is None:
        return f"{waits}. The first sync has to be the hourly one, which reads everything."
    running = [
        run
        for job in (EVENT_SYNC_JOB, SYNC_JOB)
        for run in context.instance.get_runs(
            filters=dg.RunsFilter(job_name=embedding.name(job), statuses=_UNFINISHED), limit=1
        )
    ]
    if running:
        return f"{waits}. Run {running[0].run_id[:8]} ({running[0].job_name}) is waiting or running."
    if seen.requests:
        # A sync was requested, and has ended without landing the oldest: it failed, or cannot land it.
        wait = min(max(debounce, _INTERVAL_SECONDS) * 2**seen.requests, _LONGEST_WAIT_SECONDS)
        left = seen.requested_at + wait - now
        if left > 0:
            tries = f"{seen.requests} sync{'s' if seen.requests > 1 else ''}"
            return f"{waits}. {tries} did not land the oldest: tried again in {left:.0f} s."
    return None
