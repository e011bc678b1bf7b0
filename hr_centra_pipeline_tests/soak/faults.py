"""The faults of the soak: when each begins and ends, and the alerts that it must raise, no more and no fewer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hr_centra_pipeline.sandbox.centra.api import Grant
from hr_centra_pipeline_tests.soak.scenario import Scenario, kill


@dataclass(frozen=True)
class Fault:
    """``begin`` and ``end`` at hours of the shop's life. ``alerts``: (team, regular expression of the text), each once.

    ``is_midway``: it begins while a sync is under way, instead of between two.
    """

    name: str
    begins: int
    ends: int
    begin: Callable[[Scenario], None]
    end: Callable[[Scenario], None] = lambda _: None
    alerts: tuple[tuple[str, str], ...] = ()
    is_midway: bool = False


def centra_goes_down(scenario: Scenario) -> None:
    scenario.sandbox.sandbox.faults.arm({"kind": "error_before", "target": "", "times": 1_000_000, "status": 503})


def centra_is_back(scenario: Scenario) -> None:
    scenario.sandbox.sandbox.faults.clear()


def postgres_goes_down(scenario: Scenario) -> None:
    scenario.postgres.stop()


def postgres_is_back(scenario: Scenario) -> None:
    scenario.postgres.start()


def pipeline_goes_down(scenario: Scenario) -> None:
    scenario.kill_pipeline()


def pipeline_is_back(scenario: Scenario) -> None:
    scenario.start_daemon()


def sync_is_killed(scenario: Scenario) -> None:
    """One that was over when the signal came (looking takes a while on a busy machine) was not killed: then the next one is."""
    for _ in range(5):
        found = scenario.running()
        if found is not None:
            run_id, pid = found
            kill(pid)
            if not scenario.has_succeeded(run_id):
                return
        scenario.wait_for("a sync under way", lambda: scenario.running() is not None, 180)
    raise AssertionError("five syncs were over before they could be killed")


def token_is_revoked(scenario: Scenario) -> None:
    scenario.sandbox.sandbox.api.tokens.pop(scenario.sandbox.token)


def token_is_back(scenario: Scenario) -> None:
    scenario.sandbox.sandbox.api.tokens[scenario.sandbox.token] = Grant()


def vendor_adds_a_column(scenario: Scenario) -> None:
    """In one file; the next ordinary export does not have it any more."""
    (order,) = scenario.sandbox.store.rows("select number from orders order by number limit 1")
    now = scenario.sandbox.clock.now()
    header = "return_id,order_number,refund_status,return_method,updated_at,carbon_footprint\n"
    row = f"RT-NEW,{order['number']},expired,mail,{now:%Y-%m-%dT%H:%M:%SZ},12\n"
    (scenario.sandbox.exports / f"returns-{now:%Y%m%dT%H%M}Z-new.csv").write_text(header + row, encoding="utf-8")


def nobody_takes_alerts(scenario: Scenario) -> None:
    scenario.hook.status = 503
    vendor_adds_a_column(scenario)


def alerts_are_taken_again(scenario: Scenario) -> None:
    scenario.hook.status = 200


FAULTS = (
    Fault(
        "Centra answers 503", 8, 12, centra_goes_down, centra_is_back,
        alerts=(("data", r"failed checks? for data.*pull was completed.*Centra \w+: it answered 503.*HTTP 503, request"),),
    ),
    Fault(
        "Postgres goes down in the middle of a sync", 20, 21, postgres_goes_down, postgres_is_back, is_midway=True,
        alerts=(("data", r"sync failed"),),
    ),
    Fault(
        "the pipeline's machine is down", 32, 37, pipeline_goes_down, pipeline_is_back,
        alerts=(("data", r"No sync has succeeded.*5 hours old|No sync has succeeded.*6 hours old"),),
    ),
    Fault(
        "a sync is killed", 46, 47, sync_is_killed, is_midway=True,
        alerts=(("data", r"sync failed\*\n.*died without reporting an error"),),
    ),
    Fault(
        "the token is revoked", 52, 54, token_is_revoked, token_is_back,
        alerts=(("data", r"sync failed at .*Centra \w+: refused: .*token or key is wrong or has expired.*HTTP 403, request"),),
    ),
    Fault(
        "Happy Returns adds a column, while the webhook refuses alerts", 60, 62, nobody_takes_alerts, alerts_are_taken_again,
        alerts=(("data", r"happy returns has no unknown words.*new column returns\.carbon_footprint"),),
    ),
)  # fmt: skip
