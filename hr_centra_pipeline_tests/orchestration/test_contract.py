"""The contract with Centra in the UI: a step before the push, and a check that lists what differs with its remedy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hr_centra_pipeline.orchestration.asset_tables import LINES
from hr_centra_pipeline.orchestration.assets import contract_assets, oversight
from hr_centra_pipeline.orchestration.embedding import Embedding
from hr_centra_pipeline.orchestration.markdown import as_text
from hr_centra_pipeline.orchestration.run import HrCentra
from hr_centra_pipeline.sandbox.server import RunningSandbox, SandboxSettings, running_sandbox
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY
from hr_centra_pipeline_tests.sources.centra.schemas import FIVE, write_introspection

FITS, ASSUMED = "this_centra_fits_every_operation_of_ours", "this_centra_is_as_we_assume"


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSandbox]:
    """A Centra whose schema differs in five places, and a home that points to it."""
    home = tmp_path / "data"
    home.mkdir()
    (home / "policy.toml").write_text(EXAMPLE_POLICY.read_text(encoding="utf-8"), encoding="utf-8")
    settings = SandboxSettings(speed=1000.0, schema_path=write_introspection(tmp_path / "schema.json", *FIVE))
    with running_sandbox(tmp_path / "sandbox", settings) as opened:
        for name, value in {**opened.environment(), "HR_CENTRA_HOME": str(home)}.items():
            monkeypatch.setenv(name, value)
        yield opened


def checks() -> dict[str, Any]:
    """The checks of one run of the step and the standing alarms, by name."""
    with dg.instance_for_test() as instance:
        run = dg.materialize(
            [one.defined(Embedding()) for one in (*contract_assets.ASSETS, *oversight.CHECKS)],
            resources={"hr_centra": HrCentra()},
            instance=instance,
            raise_on_error=False,
        )
        assert run.success
        return {check.check_name: check for check in run.get_asset_check_evaluations()}


def test_the_check_lists_every_difference_with_its_remedy(sandbox: RunningSandbox) -> None:
    found = checks()
    assert found["this_centra_was_checked_within_a_day"].passed
    fits = found[FITS]
    assert (fits.passed, fits.severity, fits.metadata["owner_team"].value) == (
        False,
        dg.AssetCheckSeverity.ERROR,
        "data",
    )
    told = as_text(fits.metadata[LINES].value)
    for place in ("OrderSort.orderDate_DESC", "cancelDirectToConsumerOrder(id:)", "issueCredit", "StockChangeInput.reason",
                  "PaymentHistoryEntryType.REFUND_FAILED"):  # fmt: skip
        assert place in told
    assert "Set centra.words.payment_type.refund_failed to the words of your Centra" in told
    assert "Not sent until then: gift cards." in told
    words = found[ASSUMED]
    assert (words.passed, words.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "REFUND_REJECTED" in as_text(words.metadata[LINES].value)


def test_a_centra_that_does_not_answer_fails_its_own_check_and_no_run(
    sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    sandbox.sandbox.faults.arm({"kind": "error_before", "target": "IntrospectionQuery", "times": 99, "status": 503})
    found = checks()
    looked = found["this_centra_was_checked_within_a_day"]
    assert (looked.passed, "503" in looked.description) == (False, True)
    assert found[FITS].passed
