"""``hr-centra dev``: the Dagster UI and daemon on the demo's shop, and the download page beside it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import typer

from hr_centra_pipeline.cli import sandbox
from hr_centra_pipeline.cli.demo import opened_home, point_here
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
            raise ConfigurationError(f"--port {port}: another program has this port; give another one.") from None
    # Imported here: Dagster takes seconds.
    from hr_centra_pipeline.orchestration.instance import prepare_dagster_home

    home = opened_home()
    with sandbox.served(home / "sandbox") as note:
        settings = point_here(home, note)
        prepare_dagster_home(settings)
        typer.echo(f"Dagster UI: http://127.0.0.1:{port}   (Ctrl-C ends it; the hourly schedule is on)")
        typer.echo(f"Downloads:  {addresses.shown(settings.downloads_url)}")
        downloads = [sys.executable, "-m", "hr_centra_pipeline.cli.main", "downloads"]
        command = [
            sys.executable, "-m", "dagster", "dev", "-m", "hr_centra_pipeline.definitions", "--host", "127.0.0.1",
            "--port", str(port),
        ]  # fmt: skip
        page = subprocess.Popen(downloads, env=os.environ, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
        try:
            subprocess.run(command, env=os.environ, check=False)  # noqa: S603 - our own command
        except KeyboardInterrupt:
            typer.echo("Stopped.")
        finally:
            page.terminate()
            page.wait(timeout=10)
