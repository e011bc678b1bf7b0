"""``hr-centra dev``: the Dagster UI and daemon on the demo's shop, and the download page beside it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hr_centra_pipeline.cli import sandbox
from hr_centra_pipeline.cli.demo import opened_home, point_here, write_env
from hr_centra_pipeline.cli.table import echo
from hr_centra_pipeline.core import addresses
from hr_centra_pipeline.core.errors import ConfigurationError


def run_dev(port: int) -> None:
    """Serve the sandbox and the UI until Ctrl-C; loopback only.

    Raises:
        ConfigurationError: the port is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise ConfigurationError(
                f"--port {port}: this port is in use by another program; choose another."
            ) from None
    # Imported here: Dagster takes seconds.
    from hr_centra_pipeline import definitions  # noqa: F401 - a wrong setting is reported before anything is started
    from hr_centra_pipeline.orchestration.instance import prepare_dagster_home

    home = opened_home()
    with ended_by_signals(), sandbox.served(home / "sandbox") as note:
        settings = point_here(home, note)
        write_env(home, note)
        prepare_dagster_home(settings)
        echo(f"Dagster UI: http://127.0.0.1:{port}   (Ctrl-C ends it; the hourly schedule is on)")
        echo(f"Downloads:  {addresses.shown(settings.downloads_url)}")
        downloads = [sys.executable, "-m", "hr_centra_pipeline.cli.main", "downloads"]
        command = [
            # `dg dev`, which it recommends, wants a project's folder: an installed package has none.
            sys.executable, "-W", "ignore:Function `dev_command` is superseded", "-m", "dagster", "dev",
            "-m", "hr_centra_pipeline.definitions", "--host", "127.0.0.1", "--port", str(port),
        ]  # fmt: skip
        with running(downloads, stdout=subprocess.DEVNULL), running(command) as dagster:
            dagster.wait()


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Any signal to end (SIGTERM, a closed terminal) ends the block as Ctrl-C does: its children are stopped."""

    def end(number: int, _frame: object) -> None:
        for one in before:
            signal.signal(one, signal.SIG_IGN)  # a second one must not stop the stopping
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except KeyboardInterrupt:
        echo("Stopped.")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def running(command: list[str], stdout: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A child, in a group of its own so that what it starts is stopped with it at the end of the block."""
    process = subprocess.Popen(command, env=os.environ, stdout=stdout, start_new_session=True)  # noqa: S603 - our own commands
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a child and all that it has started: first asked, then killed."""
    for number, seconds in ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + seconds
        while _is_alive(process) and time.monotonic() < deadline:
            time.sleep(0.05)
    process.wait(timeout=5)


def _is_alive(process: subprocess.Popen[bytes]) -> bool:
    process.poll()  # a child that has exited counts as alive until it is polled
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True
