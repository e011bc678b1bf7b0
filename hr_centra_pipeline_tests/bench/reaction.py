"""From the webhook of a Return Bar's scan to the refund confirmed in Centra, in real time: receiver, daemon, sensor, runs, quota.

Beside it the same shop by hourly files: the wait for the next file and the schedule's minute are computed from the shop's clock,
the time from the beginning of that sync to each refund is measured in a real one. And what the sensor costs while nothing comes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import requests

from hr_centra_pipeline.inbox.inbox_store import Inbox
from hr_centra_pipeline.sandbox.server import RunningSandbox, SandboxSettings, running_sandbox
from hr_centra_pipeline.sandbox.shop.shop import Shop
from hr_centra_pipeline_tests.bench.measured import Measured
from hr_centra_pipeline_tests.receivers import free_port
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY, UNTIL, WITH_GIFT_CARDS
from hr_centra_pipeline_tests.torture.gates import ServedInbox

RETURNS = int(os.environ.get("BENCH_REACTION_RETURNS", "200"))
MINUTES = float(os.environ.get("BENCH_REACTION_MINUTES", "60"))
IDLE_MINUTES = float(os.environ.get("BENCH_REACTION_IDLE_MINUTES", "4"))
AIM_SECONDS = 180
SCHEDULE_MINUTE = 7  # of the hourly sync, as it is shipped
_PAST_RETURNS = 20
_SETTLES_SECONDS = 60.0  # after a daemon's start, before what it costs is measured
_LAST_REFUND_SECONDS = 600.0
_EVENT_SYNC = "event_sync"
_BIN = Path(sys.executable).parent
_ROOT = Path(__file__).parents[2]
# No refund row is waited for: neither webhook nor partner API has them, and the row of a Return Bar's refund comes hours later.
_POLICY = {r"(?m)^# \[components\]$": "[components]", r"(?m)^# amount_wait_hours = 24 ": "amount_wait_hours = 0 "}


@dataclass
class Scanned:
    """One return. Seconds of the real clock; ``None``: it has not happened."""

    return_id: str
    order_number: int
    scanned_at: float
    shop_time: datetime
    delivered_at: float | None = None
    refunded_at: float | None = None

    @property
    def reaction(self) -> float | None:
        """Seconds from the webhook to the refund."""
        if self.delivered_at is None or self.refunded_at is None:
            return None
        return self.refunded_at - self.delivered_at


@dataclass
class Pipeline:
    """A home whose daemon and code server run, or do not."""

    home: Path
    environment: dict[str, str]
    code_port: int = field(default_factory=free_port)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def workspace(self) -> Path:
        return self.home / "workspace.yaml"

    def cli(self, *arguments: str) -> None:
        """Run a command, which has to succeed."""
        command = [sys.executable, "-m", "hr_centra_pipeline.cli.main", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def dagster(self, *arguments: str) -> None:
        """A command of Dagster's own; it is repeated until the code server answers."""
        command = [str(_BIN / "dagster"), *arguments, "-w", str(self.workspace)]
        for _ in range(20):
            done = subprocess.run(command, cwd=_ROOT, env=self.environment, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return
            time.sleep(3)
        raise AssertionError(done.stdout + done.stderr)

    def start(self, **changes: str) -> None:
        """As in production: one code server, one daemon that connects to it."""
        self.workspace.write_text(
            f"load_from: [{{grpc_server: {{host: 127.0.0.1, port: {self.code_port}, location_name: hr_centra_pipeline}}}}]\n",
            encoding="utf-8",
        )
        server = [
            str(_BIN / "dagster"), "code-server", "start", "-m", "hr_centra_pipeline.definitions", "--host", "127.0.0.1",
            "--port", str(self.code_port),
        ]  # fmt: skip
        with (self.home / "daemon.log").open("ab") as log:
            for command in (server, [str(_BIN / "dagster-daemon"), "run", "-w", str(self.workspace)]):
                self.processes.append(
                    subprocess.Popen(
                        command, cwd=_ROOT, env={**self.environment, **changes}, stdout=log, stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )  # fmt: skip

    def stop(self) -> None:
        """End both, and what they have started."""
        for process in self.processes:
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, number)
                    process.wait(timeout=20)
                    break
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue
        self.processes.clear()

    def cpu_seconds(self) -> float:
        """CPU that daemon, code server and all that they started have used so far."""
        total = 0.0
        for process in self.processes:
            top = psutil.Process(process.pid)
            for one in (top, *top.children(recursive=True)):
                try:
                    used = one.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                total += used.user + used.system + used.children_user + used.children_system
        return total

    def runs(self) -> list[dg.RunRecord]:
        """Runs so far."""
        os.environ["DAGSTER_HOME"] = self.environment["DAGSTER_HOME"]  # its dagster.yaml asks for it
        with dg.DagsterInstance.get() as instance:
            return list(instance.get_run_records())


# ---------------------------------------------------------------- the shop


def _control(sandbox: RunningSandbox, name: str, **body: Any) -> Any:
    answer = requests.post(f"{sandbox.control_url}/{name}", json=body, timeout=120)
    answer.raise_for_status()
    return answer.json()


@contextmanager
def _shop(folder: Path, orders: int) -> Iterator[RunningSandbox]:
    """A shop at Centra's default quota, in real time, with orders that may come back."""
    settings = SandboxSettings(plan="growth", speed=1.0, centra=WITH_GIFT_CARDS)
    with running_sandbox(folder / "sandbox", settings) as sandbox:
        shop = Shop(sandbox.sandbox.home, sandbox.store, sandbox.clock)
        shop.seed(seed=7, returns=_PAST_RETURNS, start=UNTIL - timedelta(days=45), until=UNTIL, trouble=False)
        shop.close()
        _control(sandbox, "sell", orders=orders)
        yield sandbox


def _home(folder: Path, sandbox: RunningSandbox, **more: str) -> Pipeline:
    """A home that has read everything, and has nothing left to send."""
    home = folder / "data"
    home.mkdir(parents=True)
    policy = EXAMPLE_POLICY.read_text(encoding="utf-8")
    for pattern, text in _POLICY.items():
        policy, count = re.subn(pattern, text, policy)
        assert count == 1, pattern
    (home / "policy.toml").write_text(policy, encoding="utf-8")
    own = {name: value for name, value in os.environ.items() if not name.startswith(("HR_CENTRA_", "DAGSTER_"))}
    environment = {
        **own, **sandbox.environment(), "HR_CENTRA_HOME": str(home), "HR_CENTRA_MODE": "live",
        "DAGSTER_HOME": str(home / "dagster"), **more,
    }  # fmt: skip
    pipeline = Pipeline(home, environment)
    for _ in range(3):
        before = len(sandbox.sandbox.log)
        pipeline.cli("sync")
        if not any(entry["mutations"] for entry in sandbox.sandbox.log[before:]):
            break
    return pipeline


class _Clock(threading.Thread):
    """Lets the shop's time pass as the real one does."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        super().__init__(daemon=True)
        self._sandbox = sandbox
        self._ends = threading.Event()
        self.problem: Exception | None = None

    def run(self) -> None:
        passed, began = 0, time.monotonic()
        while not self._ends.wait(0.5):
            due = int(time.monotonic() - began)
            if due > passed:
                try:
                    _control(self._sandbox, "live", seconds=due - passed)
                except requests.RequestException as error:
                    self.problem = error
                    return
                passed = due

    def stop(self) -> None:
        self._ends.set()
        self.join(timeout=30)


class _Refunds(threading.Thread):
    """Notes when each order's refund is there, in Centra's own records."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        super().__init__(daemon=True)
        self._sandbox = sandbox
        self._ends = threading.Event()
        self.seen: dict[int, float] = {}

    def run(self) -> None:
        while not self._ends.wait(0.5):
            now = time.time()
            for row in self._sandbox.store.rows(
                "select distinct order_number from payments where entry_type = 'REFUND' and status = 'SUCCESS'"
                " and return_id is not null"
            ):
                self.seen.setdefault(int(row["order_number"]), now)

    def stop(self) -> None:
        self._ends.set()
        self.join(timeout=30)


# ---------------------------------------------------------------- by events


@dataclass
class Reaction:
    """What was measured. ``idle``: CPU seconds an hour with the inbox on and empty, and without it."""

    scanned: list[Scanned]
    runs: list[tuple[float, float, float]]  # of the runs that follow events: requested, begun, ended
    idle: tuple[float, float] = (0.0, 0.0)
    idle_runs: int = 0
    by_files: list[float] = field(default_factory=list)

    @property
    def reactions(self) -> list[float]:
        """Of those that were refunded, sorted."""
        return sorted(one.reaction for one in self.scanned if one.reaction is not None)

    @property
    def missing(self) -> int:
        """Returns that were not refunded in the end."""
        return len(self.scanned) - len(self.reactions)


def react(folder: Path, returns: int, minutes: float, idle_minutes: float) -> Reaction:
    """Scan returns one after another, and watch what becomes of them."""
    with ExitStack() as stack:
        sandbox = stack.enter_context(_shop(folder, returns))
        home = folder / "data"
        events = {**sandbox.event_environment(), "HR_CENTRA_INBOX": str(home / "inbox.sqlite")}
        pipeline = _home(folder, sandbox, **events)
        inbox = ServedInbox(pipeline.environment).start()
        stack.callback(inbox.stop)
        _control(sandbox, "subscribe", vendor="happy_returns", url=f"{inbox.url}/happy-returns/main")
        clock, refunds = _Clock(sandbox), _Refunds(sandbox)
        for thread in (clock, refunds):
            thread.start()
            stack.callback(thread.stop)
        stack.callback(pipeline.stop)
        pipeline.start()
        told = _idle(pipeline, idle_minutes)
        idle_runs = len([record for record in pipeline.runs() if record.dagster_run.job_name == _EVENT_SYNC])
        pipeline.dagster("schedule", "start", "hourly_sync")
        scanned = _scan(sandbox, returns, minutes)
        _await_refunds(scanned, refunds)
        assert clock.problem is None, clock.problem
        _note_deliveries(pipeline.environment["HR_CENTRA_INBOX"], scanned)
        pipeline.dagster("schedule", "stop", "hourly_sync")
        runs = [
            (record.create_timestamp.timestamp(), record.start_time or 0.0, record.end_time or 0.0)
            for record in pipeline.runs()
            if record.dagster_run.job_name == _EVENT_SYNC
        ]
        pipeline.stop()
        # Without a secret there is no inbox; what is in it stays there.
        pipeline.start(HAPPY_RETURNS_WEBHOOK_SECRET="", CENTRA_WEBHOOK_SECRET="")
        without = _idle(pipeline, idle_minutes)
        return Reaction(scanned, sorted(runs), (told, without), idle_runs)


def _idle(pipeline: Pipeline, minutes: float) -> float:
    """CPU seconds an hour while nothing happens; 0 if that is not measured."""
    if not minutes:
        return 0.0
    pipeline.dagster("schedule", "list")  # answered: everything is loaded
    time.sleep(_SETTLES_SECONDS)
    before = pipeline.cpu_seconds()
    time.sleep(60 * minutes)
    return (pipeline.cpu_seconds() - before) * 60 / minutes


def _scan(sandbox: RunningSandbox, returns: int, minutes: float) -> list[Scanned]:
    found, began = [], time.monotonic()
    for number in range(returns):
        time.sleep(max(0.0, began + 60 * minutes * number / returns - time.monotonic()))
        at = time.time()
        planted = _control(sandbox, "scan")
        found.append(
            Scanned(
                planted["return_id"], int(planted["order_number"]), at,
                datetime.fromisoformat(planted["at"]).astimezone(UTC),
            )
        )  # fmt: skip
    return found


def _await_refunds(scanned: Sequence[Scanned], refunds: _Refunds) -> None:
    deadline = time.monotonic() + _LAST_REFUND_SECONDS
    while time.monotonic() < deadline and not all(one.order_number in refunds.seen for one in scanned):
        time.sleep(0.5)
    for one in scanned:
        one.refunded_at = refunds.seen.get(one.order_number)


def _note_deliveries(address: str, scanned: Sequence[Scanned]) -> None:
    """When the first delivery came that says that a return is approved; its id begins with that millisecond."""
    inbox, first = Inbox.open(address), dict[str, float]()
    for summary in reversed(inbox.deliveries(vendor="happy_returns", most=1_000_000)):
        delivery = inbox.find(summary.delivery_id)
        body = json.loads(delivery.body) if delivery is not None else {}
        if body.get("typeID") != "approved":
            continue
        at = (int(summary.delivery_id[:16], 16) >> 16) / 1000
        for item in body["items"]:
            first.setdefault(str(item["happyReturnsReturnID"]), at)
    inbox.close()
    for one in scanned:
        one.delivered_at = first.get(one.return_id)


# ---------------------------------------------------------------- by hourly files


def by_files(folder: Path, returns: int) -> list[float]:
    """Seconds from the beginning of an hourly sync to each refund, of so many returns that are in its files."""
    with _shop(folder, returns) as sandbox:
        pipeline = _home(folder, sandbox)
        for _ in range(returns):
            _control(sandbox, "scan")
        _control(sandbox, "live", seconds=3600)
        refunds = _Refunds(sandbox)
        refunds.start()
        time.sleep(1)  # what was refunded before
        before, began = set(refunds.seen), time.time()
        pipeline.cli("sync")
        time.sleep(1)
        refunds.stop()
        return sorted(at - began for number, at in refunds.seen.items() if number not in before)


def computed(scanned: Sequence[Scanned], seconds: Sequence[float]) -> list[float]:
    """What each return would have waited from the moment of its webhook: for the file of its hour, for the schedule's minute
    after it, and for its turn in the sync.
    """
    waits = []
    for number, one in enumerate(scanned):
        held = (one.delivered_at or one.scanned_at) - one.scanned_at
        told_at = one.shop_time + timedelta(seconds=held)
        file_at = one.shop_time.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        sync_at = file_at + timedelta(minutes=SCHEDULE_MINUTE)
        turn = seconds[number * len(seconds) // len(scanned)]
        waits.append((sync_at - told_at).total_seconds() + turn)
    return sorted(waits)


# ---------------------------------------------------------------- figures


def percentile(values: Sequence[float], percent: int) -> float:
    """Of sorted values, the nearest rank."""
    return values[max(0, -(-percent * len(values) // 100) - 1)]


def where_seconds_go(found: Reaction) -> Mapping[str, float]:
    """Medians: from the webhook until a run is requested, until it has begun, and until the refund is there."""
    parts: dict[str, list[float]] = {"until a run is requested": [], "until it has begun": [], "until the refund": []}
    for one in found.scanned:
        if one.delivered_at is None or one.refunded_at is None:
            continue
        run = next((run for run in found.runs if run[1] <= one.refunded_at <= (run[2] or float("inf"))), None)
        if run is not None:
            parts["until a run is requested"].append(run[0] - one.delivered_at)
            parts["until it has begun"].append(run[1] - run[0])
            parts["until the refund"].append(one.refunded_at - run[1])
    return {name: statistics.median(seconds) for name, seconds in parts.items() if seconds}


def measured(found: Reaction) -> list[Measured]:
    """Rows of the table."""
    ours, files = found.reactions, found.by_files
    holds = [one.delivered_at - one.scanned_at for one in found.scanned if one.delivered_at is not None]
    rows = [
        Measured(f"{what} of {len(ours)}: webhook to refund", mine, "hourly files (computed)", theirs, aim)
        for what, mine, theirs, aim in (
            ("reaction p50", percentile(ours, 50), percentile(files, 50), ""),
            ("reaction p95", percentile(ours, 95), percentile(files, 95), f"< {AIM_SECONDS} s"),
            ("reaction max", ours[-1], files[-1], ""),
        )
    ]
    rows.append(Measured("before it: scan to webhook, p50", statistics.median(holds), "Happy Returns' hold", 60.0, ""))
    on, off = found.idle
    if on and off:
        rows.append(Measured("idle: CPU of daemon and code server, an hour", on, "without an inbox", off, ""))
    return rows


def measure() -> list[Measured]:
    """All of it; what does not fit the table is printed."""
    return measured(run(RETURNS, MINUTES, IDLE_MINUTES))


def run(returns: int, minutes: float, idle_minutes: float) -> Reaction:
    """Both feeds, one after the other."""
    with tempfile.TemporaryDirectory() as name:
        found = react(Path(name) / "events", returns, minutes, idle_minutes)
        an_hour = max(1, round(returns * 60 / max(minutes, 60)))
        found.by_files = computed(found.scanned, by_files(Path(name) / "files", an_hour))
    print(
        f"reaction: {returns} returns in {minutes:g} minutes, {found.missing} not refunded, {len(found.runs)} runs by events"
    )
    print(
        "  " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in where_seconds_go(found).items()) + " (medians)"
    )
    print(
        f"  hourly files: computed from the file of the hour and minute {SCHEDULE_MINUTE}, and a measured sync of {an_hour}"
    )
    if idle_minutes:
        print(
            f"  idle: measured over {idle_minutes:g} minutes each, scaled to an hour; runs by events meanwhile: {found.idle_runs}"
        )
    assert not found.missing, "some returns were not refunded"
    return found


def main() -> None:
    """This measure alone, with sizes of its own."""
    parser = argparse.ArgumentParser(prog="python -m hr_centra_pipeline_tests.bench.reaction")
    parser.add_argument("--returns", type=int, default=RETURNS)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--idle-minutes", type=float, default=IDLE_MINUTES, help="0: leave it out")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # so that nothing is left running
    found = run(given.returns, given.minutes, given.idle_minutes)
    for row in measured(found):
        print(" | ".join(row.row()))


if __name__ == "__main__":
    main()
