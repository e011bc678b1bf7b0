"""Programs of ours that a command starts, and that end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager


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
