"""One comparison: two things done in turn, several times, and the ratio of their medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """Median seconds of ours and of what stands next to it."""

    what: str
    seconds: float
    next_to: str
    other_seconds: float
    aim: str

    def row(self) -> tuple[str, ...]:
        """As a row of the table."""
        ratio = self.seconds / self.other_seconds
        return (self.what, f"{self.seconds:.2f}", self.next_to, f"{self.other_seconds:.2f}", f"{ratio:.2f}", self.aim)


def in_turn(rounds: int, *jobs: Callable[[], object]) -> list[float]:
    """Median seconds of each job; they take turns, so that a slow moment of the machine hits all of them."""
    taken: list[list[float]] = [[] for _ in jobs]
    for _ in range(rounds):
        for position, job in enumerate(jobs):
            started = time.perf_counter()
            job()
            taken[position].append(time.perf_counter() - started)
    return [statistics.median(times) for times in taken]
