"""What the soak runs: sandbox and webhook in this process; Postgres, the daemon and its runs in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import dagster as dg
import psutil

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration import run_lock
from hr_centra_pipeline.sandbox.server import RunningSandbox, SandboxSettings, running_sandbox
from hr_centra_pipeline.sandbox.shop.shop import Shop
from hr_centra_pipeline.warehouse import lock
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.postgres import Postgres, running_postgres
from hr_centra_pipeline_tests.receivers import Hook, free_port, webhook
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY, UNTIL, WITH_GIFT_CARDS

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED,
]  # fmt: skip


@dataclass
class Scenario:
    """The pipeline under soak. ``hour``: hours of the shop's life so far."""

    folder: Path
    sandbox: RunningSandbox
    shop: Shop
    postgres: Postgres
    hook: Hook
    environment: dict[str, str]
    hour: int = 0
    daemon: subprocess.Popen[bytes] | None = None
    daemon_is_wanted: bool = False
    daemon_restarts: int = 0
    code_server: subprocess.Popen[bytes] | None = None
    code_port: int = field(default_factory=free_port)
    log: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """A line of the report, with the shop's time."""
        line = f"hour {self.hour:3}  {self.sandbox.clock.now():%a %H:%M}  {text}"
        self.log.append(line)
        print(line, flush=True)

    @property
    def home(self) -> Path:
        return self.folder / "data"

    # ---------------------------------------------------------------- the pipeline

    def start_daemon(self) -> None:
        """As in production: one code server, one daemon that connects to it."""
        self.daemon_is_wanted = True
        with (self.folder / "daemon.log").open("ab") as output:
            if self.code_server is None or self.code_server.poll() is not None:
                self.code_server = subprocess.Popen(
                    [
                        str(BIN / "dagster"), "code-server", "start", "-m", "hr_centra_pipeline.definitions",
                        "--host", "127.0.0.1", "--port", str(self.code_port),
                    ],
                    cwd=ROOT, env=self.environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
            self.daemon = subprocess.Popen(
                [str(BIN / "dagster-daemon"), "run", "-w", str(self.workspace)],
                cwd=ROOT, env=self.environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace.yaml"

    def kill_pipeline(self) -> None:
        """The machine of the pipeline goes down: the daemon, its code server and every run at once."""
        self.daemon_is_wanted = False
        for process in (self.daemon, self.code_server):
            if process is not None:
                kill(process.pid)
                process.wait()
        for pid in self.run_processes():
            kill(pid)
        self.daemon = self.code_server = None

    def look_after_daemon(self) -> None:
        """What systemd does: a daemon that ended is started again."""
        if not self.daemon_is_wanted or self.daemon is None:
            return
        dead_server = self.code_server is not None and self.code_server.poll() is not None
        if self.daemon.poll() is not None or dead_server:
            if dead_server:
                kill(self.daemon.pid)
                self.daemon.wait()
            self.daemon_restarts += 1
            self.say(f"the daemon had ended (exit code {self.daemon.returncode}), started again in ten seconds")
            time.sleep(10)
            self.start_daemon()

    def run_processes(self) -> list[int]:
        """Processes that execute runs of ours: those that hold, or wait for, the sync lock."""
        found = []
        for process in psutil.process_iter(["cmdline", "environ"]):
            command, environment = process.info["cmdline"] or [], process.info["environ"] or {}
            ours = environment.get("HR_CENTRA_HOME") == str(self.home)
            if ours and any("python" in part for part in command) and process.pid != os.getpid():
                found.append(process.pid)
        return found

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hr_centra_pipeline.cli.main", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=900)

    # ---------------------------------------------------------------- looking

    def instance(self) -> dg.DagsterInstance:
        os.environ.update(self.environment)
        return dg.DagsterInstance.get()

    def unfinished(self) -> list[dg.DagsterRun]:
        with self.instance() as instance:
            return list(instance.get_runs(filters=dg.RunsFilter(statuses=_UNFINISHED)))

    def wait_for(self, what: str, condition: Any, seconds: float) -> bool:
        """Whether a condition came true in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.look_after_daemon()
            if condition():
                return True
            time.sleep(0.5)
        self.say(f"waited {seconds:.0f} s in vain for {what}")
        return False

    def wait_until_idle(self, seconds: float) -> bool:
        return self.wait_for("the runs to end", lambda: not self.unfinished(), seconds)

    def running(self) -> tuple[str, int] | None:
        """The sync that holds the lock now, and its process."""
        for run in self.unfinished():
            tag = run.tags.get(run_lock.PROCESS_TAG)
            if run.status is dg.DagsterRunStatus.STARTED and tag and not run_lock.is_dead(tag):
                return run.run_id, int(tag.partition(":")[2].partition("@")[0])
        return None

    def has_succeeded(self, run_id: str) -> bool:
        """Whether a run came to its end."""
        with self.instance() as instance:
            run = instance.get_run_by_id(run_id)
        return run is not None and run.status is dg.DagsterRunStatus.SUCCESS

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        settings = Settings.from_environment(self.environment)
        with (
            lock.held(settings.lock_path, "soak", wait_seconds=120),
            Warehouse(settings.database).transaction() as connection,
        ):
            return connection.execute(query).fetchall()


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@contextmanager
def opened(folder: Path, *, returns: int, pace: float, seed: int) -> Iterator[Scenario]:
    """A shop without planted trouble, so that every alert is about a fault of the soak."""
    home = folder / "data"
    home.mkdir(parents=True)
    policy = EXAMPLE_POLICY.read_text(encoding="utf-8")
    policy += "\n[centra]\nretry_wait_seconds = 1\n\n[alerts]\nsilent_after_hours = 4\n\n[coverage]\nexports_every_hours = 0\n"
    (home / "policy.toml").write_text(policy, encoding="utf-8")
    dagster_home = home / "dagster"
    dagster_home.mkdir()
    shipped = resources.files("hr_centra_pipeline.orchestration").joinpath("dagster.postgres.yaml").read_text("utf-8")
    (dagster_home / "dagster.yaml").write_text(shipped, encoding="utf-8")
    with ExitStack() as stack:
        hook = stack.enter_context(webhook())
        postgres = stack.enter_context(running_postgres())
        speed = 3600 / max(pace, 1)  # Centra's quotas refill by the shop's hours
        sandbox = stack.enter_context(
            running_sandbox(folder / "sandbox", SandboxSettings(speed=speed, centra=WITH_GIFT_CARDS))
        )
        shop = Shop(sandbox.sandbox.home, sandbox.store, sandbox.clock)
        shop.seed(seed=seed, returns=returns, start=UNTIL - timedelta(days=45), until=UNTIL, trouble=False)
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("HR_CENTRA_", "DAGSTER_"))
        }
        environment |= {
            **sandbox.environment(), **postgres.environment(), "HR_CENTRA_HOME": str(home), "HR_CENTRA_MODE": "live",
            "DAGSTER_HOME": str(dagster_home), "HR_CENTRA_SYNC_CRON": "* * * * *",
            "HR_CENTRA_ALERT_WEBHOOK": f"{hook.url}/data",
            **{
                f"HR_CENTRA_ALERT_WEBHOOK_{team.upper()}": f"{hook.url}/{team}"
                for team in ("finance", "warehouse", "customer_service")
            },
        }  # fmt: skip
        scenario = Scenario(folder, sandbox, shop, postgres, hook, environment)
        scenario.workspace.write_text(
            f"load_from: [{{grpc_server: {{host: 127.0.0.1, port: {scenario.code_port}, location_name: hr_centra_pipeline}}}}]\n",
            encoding="utf-8",
        )
        try:
            yield scenario
        finally:
            scenario.kill_pipeline()
