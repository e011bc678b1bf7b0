"""The step of the partner API: nothing without a key, a warning when it cannot be asked, never a failure of the run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import SecretStr

from hr_centra_pipeline.core.errors import ConfigurationError, Unreachable
from hr_centra_pipeline.core.policy import LoadedPolicy, load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration.assets import backfill_assets, partner_assets
from hr_centra_pipeline.orchestration.assets.partner_assets import ask_partner
from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.orchestration.run_lock import BehindTheLock, is_held
from hr_centra_pipeline.sources.happy_returns.partner_client import PartnerRefused
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests import staged
from hr_centra_pipeline_tests.receivers import free_port
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY
from hr_centra_pipeline_tests.sources.happy_returns.partner import KEY, RETAILER, Given, Partner, Request, partner

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)


@pytest.fixture
def served() -> Iterator[Partner]:
    with partner(lambda request: Given(body={"shipments": []}) if request.method == "GET" else Given(204)) as server:
        yield server


def run_of(home: Path, **given: Any) -> Run:
    """What the step needs of a run."""
    warehouse = Warehouse(home / "warehouse.duckdb")
    staged.prepare_a_copy(warehouse)
    loaded = load_policy(EXAMPLE_POLICY)
    few = loaded.policy.partner_api.model_copy(update={"look_back_days": 1, "requests_per_run": 2})
    policy = LoadedPolicy(policy=loaded.policy.model_copy(update={"partner_api": few}), path=loaded.path, sha256="x")
    with warehouse.transaction() as connection:
        write_policy(connection, policy.policy, "live")
    settings = Settings(home=home, database=warehouse.path, policy_path=EXAMPLE_POLICY, **given)
    return cast("Run", SimpleNamespace(settings=settings, warehouse=warehouse, policy=policy, now=NOW, window=None))


def key_at(url: str, **given: Any) -> dict[str, Any]:
    return {"partner_api_key": SecretStr(KEY), "retailer_id": RETAILER, "partner_api_url": url, **given}


def steps(run: Run) -> list[Any]:
    """What the step reports: one result per table."""
    return list(partner_assets.partner_api.compute(None, run))


def test_without_a_key_nothing_is_asked_or_written(tmp_path: Path, served: Partner) -> None:
    run = run_of(tmp_path, partner_api_url=served.url)
    assert ask_partner(run) == (None, None)
    assert served.got == []
    with run.warehouse.transaction() as connection:
        assert connection.execute("select count(*) from landing.partner_looks").fetchall() == [(0,)]
    assert not list(tmp_path.glob("*.bucket"))


def test_with_a_key_it_is_asked_and_the_check_passes(tmp_path: Path, served: Partner) -> None:
    results = steps(run_of(tmp_path, **key_at(served.url)))
    assert [one.check_results[0].passed for one in results if one.check_results] == [True]
    assert {request.path for request in served.got} == {"/outbound-shipments"}
    assert all(one.metadata["requests"] == len(served.got) for one in results)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (Given(401, {}), PartnerRefused),
        (Given(429, b"leaky bucket size 120"), Unreachable),
    ],
)
def test_what_cannot_be_asked_is_a_warning(
    tmp_path: Path, served: Partner, given: Given, problem: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hr_centra_pipeline.orchestration.assets.partner_assets.time.sleep", lambda _: None)
    served.respond = lambda _: given
    run = run_of(tmp_path, **key_at(served.url))
    assert isinstance(ask_partner(run)[1], problem)
    (check,) = [check for one in steps(run) for check in one.check_results]
    assert not check.passed
    assert check.severity.value == "WARN"
    assert KEY not in str(check.description)


def test_an_api_that_is_away_or_misconfigured_lets_the_run_go_on(tmp_path: Path) -> None:
    _, problem = ask_partner(run_of(tmp_path / "away", **key_at(f"http://127.0.0.1:{free_port()}")))
    assert isinstance(problem, Unreachable)
    for given in ({"retailer_id": ""}, {"partner_api_url": "http://partner.example.com"}):
        name = next(iter(given))
        _, problem = ask_partner(run_of(tmp_path / name, **{**key_at("http://127.0.0.1:1"), **given}))
        assert isinstance(problem, ConfigurationError)


def test_runs_of_one_home_share_a_bucket(tmp_path: Path, served: Partner, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("hr_centra_pipeline.orchestration.assets.partner_assets.time.sleep", waits.append)
    run = run_of(tmp_path, **key_at(served.url))
    ask_partner(run)
    ask_partner(run)
    assert len(served.got) >= 2
    assert len(waits) == len(served.got) - 1
    assert max(waits) > 1


def test_a_backfill_asks_about_its_days_in_short_slices_behind_the_lock(
    tmp_path: Path, served: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hr_centra_pipeline.orchestration.assets.partner_assets.time.sleep", lambda _: None)
    run = run_of(tmp_path, **key_at(served.url))
    lock_path = tmp_path / "sync.lock"
    warehouse = BehindTheLock(tmp_path / "warehouse.duckdb", lock_path, "a test")
    given = cast("Any", run)
    given.warehouse, given.window = warehouse, (NOW - timedelta(days=9), NOW - timedelta(days=8))
    held: list[bool] = []

    def respond(_: Request) -> Given:
        held.append(is_held(lock_path))
        return Given(body={"shipments": []})

    served.respond = respond
    assert backfill_assets.asked_partner(run, warehouse) == {"look_ups": 0, "look_ups_left": 0}
    assert [request.query["startDateTime"] for request in served.got] == ["2026-09-21T12:00:00Z"]
    assert held == [False]


def test_a_backfill_without_a_key_asks_nothing(tmp_path: Path, served: Partner) -> None:
    run = run_of(tmp_path, partner_api_url=served.url)
    warehouse = BehindTheLock(tmp_path / "warehouse.duckdb", tmp_path / "sync.lock", "a test")
    assert backfill_assets.asked_partner(run, warehouse) == {}
    assert served.got == []
