"""How failures reach Dagster: what is tried again, what stops at once, what goes on, and in which words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.definitions import defs
from hr_centra_pipeline.orchestration.asset_steps import Step
from hr_centra_pipeline.orchestration.assets import landing_assets
from hr_centra_pipeline.orchestration.embedding import Embedding
from hr_centra_pipeline.orchestration.run import HrCentra
from hr_centra_pipeline.sandbox.server import RunningSandbox, running_sandbox
from hr_centra_pipeline_tests.cases import mostly_slow
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY

_BY_NAME = {step.name: step for step in landing_assets.ASSETS}
EXPORTS, WAREHOUSES, STOCK = (
    _BY_NAME[name] for name in ("happy_returns_exports", "centra_warehouses", "centra_stock_changes")
)


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSandbox]:
    home = tmp_path / "data"
    home.mkdir()
    policy = EXAMPLE_POLICY.read_text(encoding="utf-8") + "\n[centra]\nretry_wait_seconds = 0\n"
    (home / "policy.toml").write_text(policy, encoding="utf-8")
    with running_sandbox(tmp_path / "sandbox") as opened:
        opened.store.add_warehouse("Main")
        environment = {**opened.environment(), "HR_CENTRA_HOME": str(home), "HR_CENTRA_MODE": "live"}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
        yield opened


class Result:
    """A run of some landing steps, and what Dagster kept of it."""

    def __init__(self, *steps: Step) -> None:
        with dg.instance_for_test() as instance:
            run = dg.materialize(
                [step.defined(Embedding()) for step in steps],
                resources={"hr_centra": HrCentra()},
                instance=instance,
                raise_on_error=False,
            )
            self.success = run.success
            self.types = [event.event_type_value for event in run.all_node_events]
            self.failures = [event.step_failure_data for event in run.all_node_events if event.is_step_failure]
            self.checks = {check.check_name: check for check in run.get_asset_check_evaluations()}
            self.kept = "\n".join(str(entry) for entry in instance.all_logs(run.run_id))
            stored = instance.get_run_by_id(run.run_id)
            self.tags: dict[str, Any] = dict(stored.tags) if stored else {}

    @property
    def retries(self) -> int:
        return self.types.count("STEP_UP_FOR_RETRY")


def down(sandbox: RunningSandbox, times: int, operation: str = "PullWarehouses") -> None:
    """Each reading call is repeated three times by the client itself."""
    sandbox.sandbox.faults.arm({"kind": "error_before", "target": operation, "times": times, "status": 503})


def test_a_step_that_centra_cuts_short_is_tried_again_and_then_complete(sandbox: RunningSandbox) -> None:
    down(sandbox, 4)
    result = Result(WAREHOUSES)
    assert (result.success, result.retries) == (True, 1)
    assert result.checks["the_pull_was_completed"].passed


def test_what_stays_cut_short_goes_on_with_a_failed_check_that_says_it_all(sandbox: RunningSandbox) -> None:
    down(sandbox, 999)
    result = Result(WAREHOUSES)
    assert (result.success, result.retries) == (True, 2)
    check = result.checks["the_pull_was_completed"]
    assert not check.passed
    assert str(check.description).startswith(
        "Centra PullWarehouses: it answered 503, 4 times in a row. Nothing was changed; try again"
    )
    told = {name: value.value for name, value in check.metadata.items()}
    assert (told["vendor"], told["operation"], told["http_status"], told["class"]) == (
        "Centra", "PullWarehouses", "503", "Transient",
    )  # fmt: skip
    assert str(told["request_id"]) in str(check.description)


def test_all_steps_of_a_run_share_three_retries_so_that_an_outage_is_not_waited_for_again_and_again(
    sandbox: RunningSandbox,
) -> None:
    down(sandbox, 999)
    down(sandbox, 999, "PullStockChanges")
    assert Result(WAREHOUSES, STOCK).retries == 3


def test_a_wrong_token_fails_the_run_at_once_and_nothing_runs_it_again(sandbox: RunningSandbox) -> None:
    sandbox.sandbox.api.tokens.clear()
    result = Result(WAREHOUSES)
    assert (result.success, result.retries) == (False, 0)
    (failure,) = result.failures
    assert failure.user_failure_data is not None
    words = str(failure.user_failure_data.description)
    assert words.startswith("Centra ")
    assert (
        "The token or key is wrong or has expired (tokens live 30 days): make a new one in Centra. (HTTP 403, request "
        in words
    )
    assert failure.user_failure_data.metadata["vendor"].value == "Centra"
    assert result.tags["dagster/retry_on_asset_or_op_failure"] == "false"


def test_a_place_of_the_exports_that_is_gone_is_tried_again_and_the_rest_goes_on(
    sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAPPY_RETURNS_EXPORTS", "/nowhere/exports")
    result = Result(EXPORTS)
    assert (result.success, result.retries) == (True, 2)
    check = result.checks["the_exports_were_readable"]
    assert (check.passed, check.description) == (False, "HAPPY_RETURNS_EXPORTS=/nowhere/exports is not a folder.")


@pytest.mark.parametrize("mistake", ["address", "profile"])
def test_a_mistake_of_the_configuration_is_no_weather(
    sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mistake: str
) -> None:
    if mistake == "address":
        monkeypatch.setenv("HAPPY_RETURNS_EXPORTS", "gopher://exports")
    else:
        (tmp_path / "data" / "profiles").mkdir()
        (tmp_path / "data" / "profiles" / "ours.toml").write_text("name =", encoding="utf-8")
    result = Result(EXPORTS)
    assert (result.success, result.retries) == (False, 0)
    (failure,) = result.failures
    assert failure.user_failure_data is not None
    assert ("gopher" if mistake == "address" else "ours.toml") in str(failure.user_failure_data.description)


@pytest.mark.parametrize("trouble", mostly_slow(["revoked", "down", "broken"], "revoked"))
def test_no_secret_is_in_any_event_of_a_run_that_goes_wrong(
    sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], trouble: str
) -> None:
    marked = {
        "HR_CENTRA_SMTP_URL": "smtp://robot:MARKED-SMTP@127.0.0.1:9", "HR_CENTRA_HEARTBEAT_URL": "http://127.0.0.1:9/MARKED-BEAT",
        "HR_CENTRA_ALERT_WEBHOOK": "http://127.0.0.1:9/MARKED-HOOK", "DAGSTER_PG_PASSWORD": "MARKED-PG",
        "HAPPY_RETURNS_EXPORTS": "sftp://user:MARKED-SFTP@127.0.0.1:9/exports",
    }  # fmt: skip
    for name, value in marked.items():
        monkeypatch.setenv(name, value)
    if trouble == "revoked":
        sandbox.sandbox.api.tokens.clear()
    elif trouble == "down":
        down(sandbox, 999)
    else:
        sandbox.sandbox.faults.arm({"kind": "wrong_content_type", "target": "", "times": 999})
    result = Result(EXPORTS, WAREHOUSES)
    assert len(result.kept) > 1000
    captured = capfd.readouterr()
    for text in (result.kept, captured.out, captured.err):
        assert "MARKED" not in text
        assert sandbox.token not in text
        assert sandbox.order_api_key not in text


def test_the_jobs_say_that_a_failed_step_is_not_worth_another_run() -> None:
    for name in ("sync", "backfill"):
        job = defs.resolve_job_def(name)
        assert job.tags["dagster/retry_on_asset_or_op_failure"] == "false"
        assert job.executor_def.name == dg.in_process_executor.name


def test_the_command_line_ends_with_the_step_s_own_words_and_exit_code_2_for_a_wrong_token(
    sandbox: RunningSandbox,
) -> None:
    from hr_centra_pipeline.core.errors import ConfigurationError
    from hr_centra_pipeline.core.settings import Settings
    from hr_centra_pipeline.orchestration import once

    sandbox.sandbox.api.tokens.clear()
    with pytest.raises(
        ConfigurationError, match=r"^Centra \w+: refused: .*make a new one in Centra\. \(HTTP 403, request [\w-]+\)"
    ) as caught:
        once.sync(defs, Settings.from_environment())
    assert not isinstance(caught.value, RunFailed)
    assert "Traceback" not in str(caught.value)
