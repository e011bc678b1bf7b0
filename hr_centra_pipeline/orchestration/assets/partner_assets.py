"""Happy Returns' partner API: what it is asked in a run, and what it answered."""

import time
from collections.abc import Iterator
from typing import Any

import dagster as dg

from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.orchestration import failures
from hr_centra_pipeline.orchestration.asset_steps import step
from hr_centra_pipeline.orchestration.asset_tables import key, results, spec
from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.sources.happy_returns import partner_asking
from hr_centra_pipeline.sources.happy_returns.event_reading import load_event_profile
from hr_centra_pipeline.sources.happy_returns.partner_asking import PartnerReport
from hr_centra_pipeline.sources.happy_returns.partner_client import PartnerApi

_ANSWERS, _SHIPMENTS, _LOOKS = "landing.partner_answers", "landing.partner_shipments", "landing.partner_looks"
_TABLES = (_ANSWERS, _SHIPMENTS, _LOOKS)
_ASKED = "the_partner_api_could_be_asked"


@step(
    "partner_api",
    specs=[spec(name, "landing", "data", kinds=["json"]) for name in _TABLES],
    check_specs=[
        dg.AssetCheckSpec(
            _ASKED, asset=key(_ANSWERS),
            description="With HAPPY_RETURNS_API_KEY: the partner API answered and took the key. Else the run goes on without it.",
        )
    ],
)  # fmt: skip
def partner_api(context: Any, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """Look up what no feed has reported. Without a key it does nothing; what it cannot ask is asked by the next run."""
    report, problem = ask_partner(run)
    metadata: dict[str, Any] = {"note": "HAPPY_RETURNS_API_KEY is not set"}
    if report is not None:
        metadata = {name: value for name, value in vars(report).items() if isinstance(value, int)}
    check = dg.AssetCheckResult(
        asset_key=key(_ANSWERS), check_name=_ASKED, passed=problem is None, severity=dg.AssetCheckSeverity.WARN,
        description=str(problem) if problem else None, metadata=failures.told(problem) if problem else {},
    )  # fmt: skip
    yield from results(run.warehouse, _TABLES, metadata, {_ANSWERS: [check]})


def ask_partner(run: Run) -> tuple[PartnerReport | None, ConfigurationError | RunFailed | None]:
    """What a run asked (``None``: there is no key), and what stopped it. The rest of the run does not depend on it."""

    def sleep(seconds: float) -> None:
        run.warehouse.yield_to_others()
        time.sleep(seconds)

    if not run.settings.partner_api_key.get_secret_value():
        return None, None
    try:
        profile = load_event_profile(run.settings.home / "event_profiles")
        api = PartnerApi.from_settings(
            run.settings, profile.api, sleep=sleep, before_call=run.warehouse.yield_to_others
        )
    except ConfigurationError as error:
        return PartnerReport(), error
    if api is None:
        return None, None
    report = partner_asking.ask(run.warehouse, api, profile, run.policy.policy.partner_api, run.now, window=run.window)
    return report, report.problem


ASSETS = [partner_api]
