"""One comparison: two things done in turn, several times, and the ratio of their medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


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
