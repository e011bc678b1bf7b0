"""Who is reported what: sensors on a real Dagster instance, alerts to a real webhook."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from hr_centra_pipeline.core import processes
from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.orchestration import run_lock, sensors
from hr_centra_pipeline.orchestration.asset_tables import FOUND, IDENTITY, PAGES, TEAM
from hr_centra_pipeline.orchestration.embedding import Embedding
from hr_centra_pipeline_tests.receivers import Hook, webhook
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    (tmp_path / "policy.toml").write_text(EXAMPLE_POLICY.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "clock").write_text(NOW.isoformat(), encoding="utf-8")
    with webhook() as opened:
        for name, value in {
            "HR_CENTRA_HOME": str(tmp_path), "HR_CENTRA_NOW": f"@{tmp_path / 'clock'}", "HR_CENTRA_MODE": "dry_run",
            "HR_CENTRA_ALERT_WEBHOOK": f"{opened.url}/data", "HR_CENTRA_ALERT_WEBHOOK_FINANCE": f"{opened.url}/finance",
            "HR_CENTRA_ALERT_WEBHOOK_WAREHOUSE": f"{opened.url}/warehouse",
            "HR_CENTRA_HEARTBEAT_URL": f"{opened.url}/beat", "HR_CENTRA_UI_URL": "https://ui.shop.example/",
            "HR_CENTRA_PAGES_URL": "https://returns.shop.example/",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        yield opened


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as opened:
        yield opened


class Words:
    """What the little graph does: how its step fails, which checks do."""

    error: Exception | None = None
    refunds_tie = True
    goods_tie = True
    overdue: list[tuple[str, str]] = []  # noqa: RUF012 - (exception id, words)


words = Words()


@pytest.fixture(autouse=True)
def _all_is_well() -> None:
    words.error, words.refunds_tie, words.goods_tie, words.overdue = None, True, True, []


@dg.multi_asset(
    name="books",
    specs=[
        dg.AssetSpec(["books", "refunds"], owners=["team:finance"]),
        dg.AssetSpec(["books", "goods"], owners=["team:finance"]),
    ],
    check_specs=[
        dg.AssetCheckSpec("refunds_tie", asset=["books", "refunds"]),
        dg.AssetCheckSpec("goods_tie", asset=["books", "goods"]),
        dg.AssetCheckSpec("finance_has_no_overdue_exception", asset=["books", "refunds"]),
    ],
)
def ledger() -> Iterator[Any]:
    if words.error:
        raise words.error
    yield dg.MaterializeResult(
        asset_key=["books", "refunds"],
        check_results=[
            dg.AssetCheckResult(
                asset_key=["books", "refunds"],
                check_name="refunds_tie",
                passed=words.refunds_tie,
                description="3 of 9 differ",
            ),
            dg.AssetCheckResult(
                asset_key=["books", "refunds"], check_name="finance_has_no_overdue_exception", passed=not words.overdue,
                severity=dg.AssetCheckSeverity.WARN, metadata={
                    FOUND: 20, TEAM: "finance", IDENTITY: " ".join(sorted(one for one, _ in words.overdue)),
                    PAGES: dg.MetadataValue.json([(text, f"/exceptions/{one}") for one, text in words.overdue]),
                },
            ),
        ],
    )  # fmt: skip
    yield dg.MaterializeResult(
        asset_key=["books", "goods"],
        check_results=[
            dg.AssetCheckResult(
                asset_key=["books", "goods"], check_name="goods_tie", passed=words.goods_tie, severity=dg.AssetCheckSeverity.WARN,
                description="2 found, listed below.",
                metadata={"owner_team": "warehouse", "troubles": dg.MetadataValue.md("- RT\\-1 is missing\n- RT\\-2 is missing")},
            )
        ],
    )  # fmt: skip


SENSOR = {one.tick.__name__: one.defined(Embedding()) for one in sensors.SENSORS}
DEFS = dg.Definitions(assets=[ledger], jobs=[dg.define_asset_job("sync", selection="*")], sensors=list(SENSOR.values()))
SYNC = DEFS.resolve_job_def("sync")


def run(instance: dg.DagsterInstance, **tags: str) -> str:
    return str(SYNC.execute_in_process(instance=instance, raise_on_error=False, tags=tags).run_id)


class Ticks:
    """One sensor, tick after tick, with its cursor; a tick that raises leaves the cursor where it was."""

    def __init__(self, sensor: Callable[..., Any], instance: dg.DagsterInstance) -> None:
        self.sensor, self.instance = sensor, instance
        self.cursor: str | None = None

    def __call__(self) -> str:
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, repository_def=DEFS.get_repository_def()
        )
        said = self.sensor(context)
        self.cursor = context.cursor
        return str(said.skip_message)


def test_a_failed_run_is_reported_once_with_its_step_its_words_and_its_address(
    hook: Hook, instance: dg.DagsterInstance
) -> None:
    tick = Ticks(SENSOR["alert_on_failed_runs"], instance)
    words.error = RunFailed("Centra PullOrders: it answered 500. Try again later. (HTTP 500, request 77)")
    run(instance)
    tick()
    assert hook.got == []  # what happened before the sensor was switched on is history
    run_id = run(instance)
    tick()
    tick()
    assert hook.got == [
        (
            "/data",
            "*sync failed at books*\nCentra PullOrders: it answered 500. Try again later. (HTTP 500, request 77)\n\n"
            f"Run {run_id[:8]} of sync: https://ui.shop.example/runs/{run_id}",
        )
    ]


def test_the_same_failure_every_hour_is_one_alert_and_another_failure_is_another(
    hook: Hook, instance: dg.DagsterInstance
) -> None:
    tick = Ticks(SENSOR["alert_on_failed_runs"], instance)
    tick()
    for status in (500, 502, 503):
        words.error = RunFailed(f"Centra PullOrders: it answered {status}.")
        run(instance)
    assert tick() == "1 sent, 2 suppressed"
    words.error = RunFailed("The disk is full.")
    run(instance)
    assert tick() == "1 sent, 0 suppressed"
    assert len(hook.got) == 2


def test_automatic_retries_are_not_reported(hook: Hook, instance: dg.DagsterInstance) -> None:
    tick = Ticks(SENSOR["alert_on_failed_runs"], instance)
    tick()
    words.error = RunFailed("boom")
    run(instance, **{"dagster/retry_number": "1", "dagster/parent_run_id": "x"})
    assert tick() == "No run has failed since the last tick."
    assert hook.got == []


def started_in(instance: dg.DagsterInstance, process: subprocess.Popen[bytes]) -> dg.DagsterRun:
    """A run that a process of this machine executes."""
    alive = processes.named(process.pid)
    return instance.create_run_for_job(SYNC, status=dg.DagsterRunStatus.STARTED, tags={run_lock.PROCESS_TAG: alive})


def test_a_run_that_was_killed_is_marked_as_failed_and_reported_although_no_step_failed(
    hook: Hook, instance: dg.DagsterInstance
) -> None:
    tick = Ticks(SENSOR["alert_on_failed_runs"], instance)
    tick()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = started_in(instance, process)
        mark = Ticks(SENSOR["fail_orphaned_runs"], instance)
        assert mark() == "Every active run is alive."
        process.kill()
        process.wait()
    assert mark() == f"Marked as failed: {started.run_id[:8]}."
    assert tick() == "1 sent, 0 suppressed"
    ((_, text),) = hook.got
    assert text.startswith("*sync failed*\n")
    assert "died without reporting an error (killed, or out of memory)" in text


def test_a_death_that_dagster_notices_first_is_reported_in_the_same_words(
    hook: Hook, instance: dg.DagsterInstance
) -> None:
    tick = Ticks(SENSOR["alert_on_failed_runs"], instance)
    tick()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = started_in(instance, process)
        process.kill()
        process.wait()
    instance.report_run_failed(started)
    assert tick() == "1 sent, 0 suppressed"
    assert "died without reporting an error (killed, or out of memory)" in hook.got[0][1]


def test_a_run_of_another_machine_is_left_alone(instance: dg.DagsterInstance, hook: Hook) -> None:
    tags = {run_lock.PROCESS_TAG: "elsewhere:1@1"}
    started = instance.create_run_for_job(SYNC, status=dg.DagsterRunStatus.STARTED, tags=tags)
    assert Ticks(SENSOR["fail_orphaned_runs"], instance)() == "Every active run is alive."
    found = instance.get_run_by_id(started.run_id)
    assert found is not None
    assert not found.is_finished


def test_failed_checks_of_a_green_run_are_reported_to_who_owns_them(hook: Hook, instance: dg.DagsterInstance) -> None:
    runs, checks = Ticks(SENSOR["alert_on_failed_runs"], instance), Ticks(SENSOR["alert_on_failed_checks"], instance)
    runs(), checks()
    words.refunds_tie = words.goods_tie = False
    run_id = run(instance)
    assert runs() == "No run has failed since the last tick."
    assert checks() == "2 sent, 0 suppressed"
    found = instance.get_run_by_id(run_id)
    assert found is not None
    assert found.status is dg.DagsterRunStatus.SUCCESS
    # the run is the data team's: others have no login to Dagster
    assert hook.got == [
        (
            "/finance",
            "*1 failed check for finance*\nERROR: check failed: books.refunds: refunds tie\n3 of 9 differ\n\n"
            "Worklist of finance: https://returns.shop.example/worklist?team=finance",
        ),
        (
            "/warehouse",
            "*1 failed check for warehouse*\nWarning: check failed: books.goods: goods tie\n- RT-1 is missing\n- RT-2 is missing"
            "\n\nWorklist of warehouse: https://returns.shop.example/worklist?team=warehouse",
        ),
    ]


def test_overdue_exceptions_come_with_their_pages_and_the_same_list_never_comes_again(
    hook: Hook, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    tick = Ticks(SENSOR["alert_on_failed_checks"], instance)
    tick()
    first = [("EX1", "Double credit: return RT-1, 7.00 EUR.\nNext: Decide."), ("EX2", "Fee <of> RT-2.\nNext: Compare.")]
    reworded = [("EX2", "Fee of RT-2, still."), ("EX1", "Double credit of RT-1.")]
    said = []
    for hour, words.overdue in ((0, first), (30, reworded), (60, reworded), (61, [*first, ("EX3", "Third.")])):
        (tmp_path / "clock").write_text((NOW + timedelta(hours=hour)).isoformat(), encoding="utf-8")
        run(instance)
        said.append(tick())
    assert said == ["1 sent, 0 suppressed", *["No check has failed since the last tick."] * 2, "1 sent, 0 suppressed"]
    assert hook.got[0] == (
        "/finance",
        "*20 overdue exceptions of finance*\nThe longest overdue first:\n\n"
        "Double credit: return RT-1, 7.00 EUR.\nNext: Decide.\nhttps://returns.shop.example/exceptions/EX1\n\n"
        "Fee &lt;of&gt; RT-2.\nNext: Compare.\nhttps://returns.shop.example/exceptions/EX2\n\n"
        "… and 18 more: https://returns.shop.example/worklist?team=finance&amp;overdue=1",
    )
    assert "Third." in hook.texts()[1]


def test_a_check_that_stays_failed_is_reported_again_a_day_later(
    hook: Hook, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    tick = Ticks(SENSOR["alert_on_failed_checks"], instance)
    tick()
    words.refunds_tie = False
    for hour in range(25):
        (tmp_path / "clock").write_text((NOW + timedelta(hours=hour)).isoformat(), encoding="utf-8")
        if hour % 8 == 0:
            run(instance)
        tick()
    assert len(hook.got) == 2
    assert "(2 more like this since" in hook.texts()[1]


def test_an_alert_that_cannot_be_delivered_fails_its_tick_and_comes_with_the_next(
    hook: Hook, instance: dg.DagsterInstance
) -> None:
    tick = Ticks(SENSOR["alert_on_failed_checks"], instance)
    tick()
    words.refunds_tie = False
    run(instance)
    hook.status = 503
    for _ in range(2):
        with pytest.raises(RunFailed, match="it answered 503"):
            tick()
    hook.status = 200
    assert tick() == "1 sent, 0 suppressed"


# ---------------------------------------------------------------- what is published


def publish(home: Path, as_of: datetime, *exceptions: tuple[str, str, datetime]) -> None:
    """A published copy with (owner, return, due) of open exceptions."""
    (home / "published").mkdir(exist_ok=True)
    fresh = home / "published" / "new.duckdb"
    with duckdb.connect(fresh) as connection:
        connection.execute("create schema meta; create schema reconciliation")
        connection.execute("create table meta.published as select ?::timestamptz as as_of", [as_of])
        connection.execute(
            "create table reconciliation.exceptions (exception_id varchar, owner_team varchar, kind varchar,"
            " return_id varchar, return_item_id varchar, order_number varchar, currency varchar, amount decimal(18, 4),"
            " opened_at timestamptz, due_at timestamptz, overdue boolean, detail varchar, next_step varchar)"
        )
        for owner, return_id, due in exceptions:
            connection.execute(
                "insert into reconciliation.exceptions values"
                " (?, ?, 'double_credit', ?, null, '1001', 'EUR', 12.5, ?, ?, ?, 'Paid twice', 'Decide.')",
                [f"EX {return_id}", owner, return_id, due - timedelta(days=3), due, due <= as_of],
            )
    fresh.replace(home / "published" / "published.duckdb")


def test_an_exception_that_stays_overdue_is_reported_to_its_team_and_to_data_once(
    hook: Hook, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    tick = Ticks(SENSOR["escalate_overdue_exceptions"], instance)
    late = ("finance", "RT-1", NOW - timedelta(hours=49))
    publish(tmp_path, NOW, late, ("finance", "RT-2", NOW - timedelta(hours=47)), ("warehouse", "RT-3", NOW))
    assert tick() == "2 sent, 0 suppressed"
    assert [path for path, _ in hook.got] == ["/finance", "/data"]
    text = hook.texts()[0]
    assert text.startswith("*1 overdue exception of finance: no action taken*\n")
    assert text == (
        "*1 overdue exception of finance: no action taken*\n"
        "Overdue for 48 hours or more, 12.50 EUR at stake. Who takes care of it?\n\n"
        "Double credit: return RT-1, order 1001, 12.50 EUR, open since 2026-09-25 11:00, was due 2026-09-28 11:00 UTC. "
        "Paid twice.\nNext: Decide.\nhttps://returns.shop.example/exceptions/EX%20RT-1\n\n"
        "In the worklist: https://returns.shop.example/worklist?team=finance&amp;overdue=1"
    )
    assert tick() == "Nothing was published since the last tick."
    publish(tmp_path, NOW + timedelta(hours=2), late, ("finance", "RT-2", NOW - timedelta(hours=47)))
    tick()
    assert "RT-2" in hook.texts()[2]
    assert "RT-1" not in hook.texts()[2]
    assert len(hook.got) == 4
    tick.cursor = (
        None  # the sensor was switched off and on: what was reported as one list is not reported again as that list
    )
    publish(tmp_path, NOW + timedelta(hours=2), late)
    assert tick() == "No exception has passed its second window."
    assert len(hook.got) == 4


def test_when_nothing_is_published_for_hours_data_is_alerted_and_the_heartbeat_stops(
    hook: Hook, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    tick = Ticks(SENSOR["alert_on_silence"], instance)
    assert tick() == "Nothing has been published yet."
    publish(tmp_path, NOW - timedelta(hours=1))
    assert tick() == "Published 60 minutes ago."
    assert (hook.beats, hook.got) == (1, [])
    publish(tmp_path, NOW - timedelta(hours=5))
    assert tick() == "1 sent, 0 suppressed"
    assert tick() == "Reported before."
    ((path, text),) = hook.got
    assert path == "/data"
    assert "as of 2026-09-30 07:00 UTC, 5 hours old" in text
    assert hook.beats == 1


def test_every_sensor_runs_by_default_and_says_what_it_does() -> None:
    assert len(sensors.SENSORS) == 5
    for sensor in SENSOR.values():
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
        assert sensor.description
