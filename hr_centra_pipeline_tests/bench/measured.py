"""One comparison: two things done in turn, several times, and the ratio of their medians."""

from __future__ import annotations

import re
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """A figure of ours and of what stands next to it: median seconds, unless ``unit`` says otherwise."""

    what: str
    ours: float
    next_to: str
    other: float
    aim: str
    unit: str = "s"

    def row(self) -> tuple[str, ...]:
        """As a row of the table."""
        ratio = self.ours / self.other
        return (self.what, self._told(self.ours), self.next_to, self._told(self.other), f"{ratio:.2f}", self.aim)

    def _told(self, figure: float) -> str:
        return f"{figure:,.2f} {self.unit}".strip()


def in_turn(rounds: int, *jobs: Callable[[], object]) -> list[float]:
    """Median seconds of each job; they take turns, so that a slow moment of the machine hits all of them."""
    taken: list[list[float]] = [[] for _ in jobs]
    for _ in range(rounds):
        for position, job in enumerate(jobs):
            started = time.perf_counter()
            job()
            taken[position].append(time.perf_counter() - started)
    return [statistics.median(times) for times in taken]


def own_peak() -> float:
    """The most memory that this process ever held, in GiB. Of its own image: ``ru_maxrss`` begins with its parent's."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) / 1024 / 1024


def peak_of(module: str, *arguments: str, environment: Mapping[str, str]) -> float:
    """Run a module in a process of its own; answers its peak memory in GiB."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "peak"
        command = [sys.executable, "-m", __name__, str(place), module, *arguments]
        subprocess.run(command, env=dict(environment), check=True, stdout=subprocess.DEVNULL)
        return float(place.read_text(encoding="utf-8"))


def _run_and_tell(place: str, module: str, *arguments: str) -> None:
    sys.argv[1:] = arguments
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        Path(place).write_text(str(own_peak()), encoding="utf-8")


if __name__ == "__main__":
    _run_and_tell(*sys.argv[1:])
