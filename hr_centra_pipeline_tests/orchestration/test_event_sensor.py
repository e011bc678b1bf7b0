"""When a sync is requested because something happened: a real inbox, a real Dagster instance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from hr_centra_pipeline.definitions import defs
from hr_centra_pipeline.inbox.inbox_store import Inbox, Received
from hr_centra_pipeline.orchestration import event_sensor
from hr_centra_pipeline.orchestration.embedding import Embedding
from hr_centra_pipeline.orchestration.partitions import EVENT_SYNC_JOB, SYNC_JOB, follows_events
from hr_centra_pipeline.oversight import published
from hr_centra_pipeline_tests.cases import mostly_slow
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Bench:
    """An inbox, and ticks of the sensor at times that the test says."""

    def __init__(self, home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.instance = home, instance
        self.inbox = Inbox.open(str(home / "inbox.sqlite"))
        self.cursor: str | None = None
        self.real = 1_790_000_000.0
        monkeypatch.setattr(event_sensor, "time", SimpleNamespace(time=lambda: self.real))
        self.at(NOW)
        (home / "published").mkdir()

    def at(self, now: datetime) -> None:
        (self.home / "clock").write_text(now.isoformat(), encoding="utf-8")

    def came(self, at: datetime, vendor: str = "centra") -> str:
        return self.inbox.keep([Received(vendor, "main", at, {}, b"payload=1")])[0]

    def tick(self) -> dg.RunRequest | str:
        """What a tick asks for, or why nothing."""
        context = dg.build_sensor_context(self.instance, cursor=self.cursor)
        found = event_sensor.sync_on_events(Embedding())(context)
        self.cursor = context.cursor
        assert isinstance(found, dg.RunRequest | dg.SkipReason)
        return str(found.skip_message) if isinstance(found, dg.SkipReason) else found

    def run(self, job: str, status: dg.DagsterRunStatus, **tags: str) -> dg.DagsterRun:
        return self.instance.create_run_for_job(defs.resolve_job_def(job), status=status, tags=tags)


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as opened:
        yield opened


@pytest.fixture
def bench(tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    (tmp_path / "policy.toml").write_text(EXAMPLE_POLICY.read_text(encoding="utf-8"), encoding="utf-8")
    for name, value in {
        "HR_CENTRA_HOME": tmp_path, "HR_CENTRA_NOW": f"@{tmp_path / 'clock'}", "HR_CENTRA_INBOX": tmp_path / "inbox.sqlite",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(published, "as_of", lambda _settings: NOW)
    event_sensor._inbox.cache_clear()
    yield Bench(tmp_path, instance, monkeypatch)
    for run in instance.get_runs():
        instance.delete_run(run.run_id)
    event_sensor._inbox.cache_clear()


def test_an_empty_inbox_asks_for_nothing_and_makes_no_store(bench: Bench) -> None:
    assert bench.tick() == "Nothing is waiting in the inbox."
    assert not (bench.home / "inbox.sqlite").exists()
    assert bench.cursor is None


def test_a_burst_is_gathered_until_the_oldest_has_waited_for_the_debounce(bench: Bench) -> None:
    bench.came(NOW - 30 * SECOND)
    bench.came(NOW - SECOND)
    assert bench.tick() == "2 deliveries are waiting, the oldest for 30 s: gathered for 60 s."
    bench.at(NOW + 30 * SECOND)
    assert isinstance(bench.tick(), dg.RunRequest)


def test_a_clock_that_was_stopped_does_not_hold_a_delivery_for_ever(bench: Bench) -> None:
    bench.came(NOW)
    assert isinstance(bench.tick(), str)
    bench.real += 61
    assert isinstance(bench.tick(), dg.RunRequest)


def test_a_clock_that_was_set_back_does_not_hold_a_delivery_until_it_catches_up(bench: Bench) -> None:
    bench.came(NOW)
    assert isinstance(bench.tick(), str)
    bench.real -= 86_400
    bench.at(NOW - timedelta(days=1))
    assert isinstance(bench.tick(), str)
    bench.real += 61
    assert isinstance(bench.tick(), dg.RunRequest)
    bench.real -= 86_400
    assert isinstance(bench.tick(), str)
    bench.real += 121
    assert isinstance(bench.tick(), dg.RunRequest)


@pytest.mark.parametrize("job", mostly_slow([SYNC_JOB, EVENT_SYNC_JOB], EVENT_SYNC_JOB))
@pytest.mark.parametrize(
    "status",
    mostly_slow([dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED], dg.DagsterRunStatus.STARTED),
)
def test_none_is_requested_beside_a_sync_that_waits_or_runs(
    bench: Bench, job: str, status: dg.DagsterRunStatus
) -> None:
    bench.came(NOW - 90 * SECOND)
    run = bench.run(job, status)
    assert bench.tick() == f"1 delivery is waiting. Run {run.run_id[:8]} ({job}) is waiting or running."
    bench.instance.report_run_canceled(run)
    assert isinstance(bench.tick(), dg.RunRequest)


def test_a_backfill_is_no_reason_to_wait(bench: Bench) -> None:
    bench.came(NOW - 90 * SECOND)
    bench.run("backfill", dg.DagsterRunStatus.STARTED)
    assert isinstance(bench.tick(), dg.RunRequest)


def test_a_sync_that_left_the_oldest_is_tried_again_with_growing_pauses(bench: Bench) -> None:
    delivery = bench.came(NOW - 90 * SECOND)
    assert isinstance(bench.tick(), dg.RunRequest)
    waited = []
    for _ in range(8):
        begun = bench.real
        while isinstance(bench.tick(), str):
            bench.real += 120
        waited.append(bench.real - begun)
    assert waited == [120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert "did not land the oldest: tried again in" in str(bench.tick())
    # Once it has landed, the next one is not held by what went wrong before.
    bench.inbox.mark_landed([delivery])
    assert bench.tick() == "Nothing is waiting in the inbox."
    bench.came(NOW - 90 * SECOND)
    assert isinstance(bench.tick(), dg.RunRequest)


def test_the_first_sync_of_a_shop_is_the_hourly_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "as_of", lambda _settings: None)
    bench.came(NOW - 90 * SECOND)
    assert "The first sync has to be the hourly one" in str(bench.tick())


def test_only_a_run_of_its_job_follows_events() -> None:
    assert follows_events({"hr_centra/job": "event_sync"})
    assert not follows_events({"hr_centra/job": "sync"})


def test_it_runs_by_itself_only_where_a_webhook_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HAPPY_RETURNS_WEBHOOK_SECRET", "CENTRA_WEBHOOK_SECRET"):
        monkeypatch.delenv(name, raising=False)
    assert event_sensor.sync_on_events(Embedding()).default_status is dg.DefaultSensorStatus.STOPPED
    monkeypatch.setenv("CENTRA_WEBHOOK_SECRET", "s3")
    assert event_sensor.sync_on_events(Embedding()).default_status is dg.DefaultSensorStatus.RUNNING
