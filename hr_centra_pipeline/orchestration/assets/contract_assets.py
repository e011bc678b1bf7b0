"""The contract with this Centra: what we rely on next to what it has, looked at before anything is sent."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from hr_centra_pipeline.orchestration.asset_steps import step
from hr_centra_pipeline.orchestration.asset_tables import key, results, spec
from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.sources.centra.contract_record import refresh

TABLE = "operations.contract"
_LOOKED = "this_centra_was_checked_within_a_day"


@step(
    "centra_contract",
    specs=[
        spec(TABLE, "landing", "data", kinds=["graphql"]),
    ],
    check_specs=[
        dg.AssetCheckSpec(
            _LOOKED, asset=key(TABLE), description="Once a day, and whenever policy, program or Centra's version change."
        )
    ],
)  # fmt: skip
def centra_contract(context: Any, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """Its schema once a day, with signs and words of old objects. A Centra that does not answer is asked by the next sync."""
    report = refresh(run.client, run.order_api, run.warehouse, run.policy.policy, run.now)
    check = dg.AssetCheckResult(
        asset_key=key(TABLE), check_name=_LOOKED, passed=report.problem is None, severity=dg.AssetCheckSeverity.WARN,
        description=report.problem,
    )  # fmt: skip
    yield from results(run.warehouse, [TABLE], {"looked": report.looked, **report.rows}, {TABLE: [check]})


ASSETS = [centra_contract]
