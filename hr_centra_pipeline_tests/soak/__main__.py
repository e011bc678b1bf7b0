"""Run it: ``python -m hr_centra_pipeline_tests.soak [--hours 72] [--pace 60]``; ends with a verdict and exit code 0 or 1."""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import dagster as dg

from hr_centra_pipeline.core.keys import effect_keys_in
from hr_centra_pipeline_tests.postgres import binaries
from hr_centra_pipeline_tests.soak.faults import FAULTS, Fault
from hr_centra_pipeline_tests.soak.scenario import BIN, ROOT, Scenario, opened

_GAP = timedelta(minutes=90)
_QUEUE_SECONDS = 240.0


def main() -> int:
    """Parse, run, judge."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--hours", type=int, default=72, help="hours of the shop's life")
    parser.add_argument("--pace", type=float, default=60, help="real seconds of each; the schedule ticks every minute")
    parser.add_argument("--returns", type=int, default=120)
    parser.add_argument("--seed", type=int, default=11)
    given = parser.parse_args()
    if binaries() is None:
        print("PostgreSQL is not installed: apt-get install postgresql", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # so that nothing is left running
    folder = Path(tempfile.mkdtemp(prefix="hr-centra-soak-"))
    print(f"{given.hours} hours, one each {given.pace:.0f} s, {given.returns} returns; everything lies in {folder}")
    with opened(folder, returns=given.returns, pace=given.pace, seed=given.seed) as scenario:
        live(scenario, given.hours, given.pace)
        problems = judge(scenario, given.hours)
    print("\n".join(f"  BAD   {problem}" for problem in problems) or "  GOOD  nothing is wrong")
    print(f"verdict: {'FAILED' if problems else 'passed'}")
    return 1 if problems else 0


def live(scenario: Scenario, hours: int, pace: float) -> None:
    """The first sync by hand, then hour after hour, faults in between."""
    first = scenario.cli("sync")
    assert first.returncode == 0, first.stdout + first.stderr
    scenario.start_daemon()
    scenario.instance()
    switch(scenario, "start")
    began = time.monotonic()
    faults = [fault for fault in FAULTS if fault.ends < hours]
    for hour in range(1, hours + 1):
        scenario.hour = hour
        _until(scenario, began + hour * pace)
        for fault in faults:
            if fault.ends == hour:
                fault.end(scenario)
                scenario.say(f"over:   {fault.name}")
        starting = [fault for fault in faults if fault.begins == hour]
        between = [fault for fault in starting if not fault.is_midway]
        if starting:  # a fault in the middle of a sync means one that has just begun, not one that is about to end
            scenario.wait_until_idle(pace)
        for fault in between:
            fault.begin(scenario)
            scenario.say(f"begins: {fault.name}")
        scenario.shop.advance(1)
        for fault in starting:
            if fault.is_midway:
                scenario.wait_for("a sync under way", lambda: scenario.running() is not None, 2 * pace + 60)
                fault.begin(scenario)
                scenario.say(f"begins: {fault.name}")
    scenario.hour = hours + 1
    scenario.say("the last hour is over")
    switch(scenario, "stop")
    if not scenario.wait_until_idle(_QUEUE_SECONDS):
        scenario.say("runs are still under way")
    time.sleep(max(60.0, pace))  # the sensors look every half minute
    scenario.kill_pipeline()


def switch(scenario: Scenario, how: str) -> None:
    """What a person does in the UI: ``start`` or ``stop`` the schedule."""
    command = [str(BIN / "dagster"), "schedule", how, "hourly_sync", "-w", str(scenario.workspace)]
    for _ in range(20):  # the code server takes a while
        done = subprocess.run(command, cwd=ROOT, env=scenario.environment, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        time.sleep(3)
    raise AssertionError(done.stdout + done.stderr)


def _until(scenario: Scenario, moment: float) -> None:
    while time.monotonic() < moment:
        scenario.look_after_daemon()
        time.sleep(min(1.0, max(0.05, moment - time.monotonic())))


# ---------------------------------------------------------------- the verdict


def judge(scenario: Scenario, hours: int) -> list[str]:
    """What is wrong: gaps, doubles, alerts, runs; from the sandbox's records and raw pulls, not from the pipeline's own checks."""
    problems = settle(scenario)
    problems += gaps(scenario)
    problems += doubles(scenario)
    problems += alerts(scenario, [fault for fault in FAULTS if fault.ends < hours])
    problems += runs(scenario)
    return problems


def settle(scenario: Scenario) -> list[str]:
    """Syncs by hand until nothing is written any more."""
    for _ in range(5):
        before = len(scenario.sandbox.sandbox.log)
        done = scenario.cli("sync")
        if done.returncode:
            return [f"a sync by hand failed: {done.stderr.strip()}"]
        if not [entry for entry in scenario.sandbox.sandbox.log[before:] if entry["mutations"]]:
            break
    else:
        return ["five syncs by hand, and each still writes"]
    left = scenario.rows("select kind, detail from reconciliation.exceptions")
    states = dict(scenario.rows("select state, count(*) from push.ledger group by state"))
    print(f"\neffects: {states}")
    problems = [f"open at the end: {kind}: {detail}" for kind, detail in left if "RT-NEW" not in detail]
    return problems + [
        f"{count} effects are {state}" for state, count in states.items() if state in ("unknown", "sending")
    ]


def gaps(scenario: Scenario) -> list[str]:
    """Every pause between two complete pulls of orders is in the table, and was caught up."""
    times = [
        at
        for (at,) in scenario.rows(
            "select distinct fetched_at from landing.centra_pulls where is_complete and object = 'orders' order by 1"
        )
    ]
    pauses = [(one, other) for one, other in pairwise(times) if other - one > _GAP]
    told = {(one, other): caught for one, other, caught in scenario.rows(
        "select gap_from, gap_to, caught_up_at from operations.coverage_gaps where source = 'centra orders'"
    )}  # fmt: skip
    print(f"syncs that read Centra: {len(times)}; pauses longer than {_GAP}: {len(pauses)}, recorded: {len(told)}")
    for one, other in pauses:
        print(f"  {one:%a %H:%M} to {other:%a %H:%M}, caught up {told.get((one, other))}")
    problems = [f"the pause {one} to {other} is not recorded" for one, other in pauses if (one, other) not in told]
    problems += [f"recorded, but there was no pause: {gap}" for gap in told if gap not in pauses]
    return problems + [f"not caught up: {gap}" for gap, caught in told.items() if caught is None]


def doubles(scenario: Scenario) -> list[str]:
    """Each effect is in Centra once, and no Return was paid twice."""
    ledger = scenario.sandbox.store.records()
    texts = [("return", row["comment"]) for row in ledger["returns"]]
    texts += [("stock change", row["comment"]) for row in ledger["stock_changes"]]
    texts += [("order", row["internal_comment"]) for row in ledger["orders"]]
    counted = Counter((place, key) for place, text in texts for key in effect_keys_in(text))
    refunds = Counter(return_id for _, return_id, kind, _, _ in ledger["payments"] if kind == "REFUND")
    print(f"effect keys in Centra: {len(counted)}; Returns paid: {len(refunds)}")
    problems = [f"{key} is there {times} times as {place}" for (place, key), times in counted.items() if times > 1]
    return problems + [f"Return {one} was paid {times} times" for one, times in refunds.items() if times > 1]


def alerts(scenario: Scenario, faults: list[Fault]) -> list[str]:
    """Each fault raised its alerts, once each, and nothing else was reported."""
    left = [(path.strip("/"), text) for path, text in scenario.hook.got]
    print(f"alerts: {len(left)}; the daemon was started again {scenario.daemon_restarts} times")
    problems = []
    for fault in faults:
        for team, pattern in fault.alerts:
            found = [one for one in left if one[0] == team and re.search(pattern, one[1], re.DOTALL)]
            if not found:
                problems.append(f"{fault.name}: nobody was alerted ({team}, {pattern})")
                continue
            left.remove(found[0])
            print(f"  {fault.name}: told to {team}: {found[0][1].splitlines()[0]}")
    return problems + [f"told to {team} without a fault: {text[:400]}" for team, text in left]


def runs(scenario: Scenario) -> list[str]:
    """No run and no slot is left behind."""
    with scenario.instance() as instance:
        statuses = Counter(run.status.value for run in instance.get_runs())
        slots = instance.event_log_storage.get_concurrency_info("duckdb").active_slot_count
        ticks = Counter(
            tick.status.value
            for state in instance.all_instigator_state()
            for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id)
            if state.name == "hourly_sync"
        )
    print(f"runs: {dict(statuses)}; ticks of the schedule: {dict(ticks)}; pool slots taken at the end: {slots}")
    finished = {
        dg.DagsterRunStatus.SUCCESS.value,
        dg.DagsterRunStatus.FAILURE.value,
        dg.DagsterRunStatus.CANCELED.value,
    }
    problems = [f"{count} runs are {status}" for status, count in statuses.items() if status not in finished]
    return problems + ([f"{slots} pool slots are still taken"] if slots else [])


if __name__ == "__main__":
    sys.exit(main())
