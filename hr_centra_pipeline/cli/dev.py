"""``hr-centra dev``: the Dagster UI and daemon on the demo's shop, and the pages for the teams beside it."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hr_centra_pipeline.cli import sandbox
from hr_centra_pipeline.cli.child_processes import running
from hr_centra_pipeline.cli.demo import opened_home, point_here, write_env
from hr_centra_pipeline.cli.table import echo
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
    from hr_centra_pipeline.orchestration.instance import WORKSPACE, prepare_dagster_home

    home = opened_home()
    with ended_by_signals(), sandbox.served(home / "sandbox") as note:
        settings = point_here(home, note)
        write_env(home, note)
        prepare_dagster_home(settings)
        echo(f"Dagster UI: http://127.0.0.1:{port}   (Ctrl-C ends it; the hourly schedule is on)")
        # It prints its address, and a link to log in with.
        pages = [sys.executable, "-m", "hr_centra_pipeline.cli.main", "pages"]
        command = [
            # `dg dev`, which it recommends, wants a project's folder: an installed package has none.
            sys.executable, "-W", "ignore:Function `dev_command` is superseded", "-m", "dagster", "dev",
            "-w", str(WORKSPACE), "--host", "127.0.0.1", "--port", str(port),
        ]  # fmt: skip
        with running(pages), running(command) as dagster:
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
