"""The six quota buckets: requests, mutations and complexity, per 10 seconds and per hour, refilled at a constant rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal

Plan = Literal["growth", "enhanced", "high_volume", "enterprise"]
_INTERVALS = {"TEN_SECONDS": 10, "ONE_HOUR": 3600}
# (per 10 seconds, per hour)
PLANS: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "growth": {
        "REQUEST_COUNT": (60, 5_000), "MUTATION_COUNT": (20, 1_800), "QUERY_COMPLEXITY": (250_000, 30_000_000),
    },
    "enhanced": {
        "REQUEST_COUNT": (150, 20_000), "MUTATION_COUNT": (50, 4_500), "QUERY_COMPLEXITY": (900_000, 90_000_000),
    },
    "high_volume": {
        "REQUEST_COUNT": (450, 40_000), "MUTATION_COUNT": (150, 7_000), "QUERY_COMPLEXITY": (1_800_000, 180_000_000),
    },
    "enterprise": {
        "REQUEST_COUNT": (1_500, 85_000), "MUTATION_COUNT": (500, 25_000),
        "QUERY_COMPLEXITY": (4_000_000, 400_000_000),
    },
}  # fmt: skip


@dataclass
class _Bucket:
    quota: int
    interval: int
    left: float
    at: float

    def refill(self, now: float, speed: float) -> None:
        self.left = min(self.quota, self.left + (now - self.at) * speed * self.quota / self.interval)
        self.at = now


class Quotas:
    """Token buckets of one environment, shared by every token. ``speed``: how much faster than real time they refill."""

    def __init__(self, plan: Plan = "growth", speed: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.speed = speed
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets = {
            (kind, interval): _Bucket(quota, seconds, quota, clock())
            for kind, quotas in PLANS[plan].items()
            for (interval, seconds), quota in zip(_INTERVALS.items(), quotas, strict=True)
        }

    def take(self, **costs: int) -> float:
        """Take from every bucket of the named kinds, or from none; answers the seconds to wait (0: taken)."""
        with self._lock:
            now = self._clock()
            wait = 0.0
            for (kind, _), bucket in self._buckets.items():
                bucket.refill(now, self.speed)
                missing = costs.get(kind, 0) - bucket.left
                if missing > 0:
                    wait = max(wait, missing * bucket.interval / bucket.quota / self.speed)
            if not wait:
                for (kind, _), bucket in self._buckets.items():
                    bucket.left -= costs.get(kind, 0)
            return wait

    def use(self, kind: str, interval: str, amount: int) -> None:
        """Another integration of the shop uses some of a bucket."""
        with self._lock:
            self._buckets[kind, interval].left -= amount

    def capacity(self, kind: str) -> int:
        """The smallest bucket of a kind: nothing that costs more can ever pass."""
        return min(bucket.quota for (of, _), bucket in self._buckets.items() if of == kind)

    def shown(self) -> list[dict[str, Any]]:
        """What ``rateLimits`` answers."""
        with self._lock:
            now = self._clock()
            for bucket in self._buckets.values():
                bucket.refill(now, self.speed)
            return [
                {
                    "type": kind, "interval_seconds": interval, "quota": bucket.quota,
                    "used_quota": bucket.quota - int(bucket.left), "remaining_quota": int(bucket.left),
                }
                for (kind, interval), bucket in self._buckets.items()
            ]  # fmt: skip


def retry_after(seconds: float, style: str) -> str:
    """``Retry-After`` as a timestamp of the real clock: HTTP date (whole seconds), ISO 8601 or Unix."""
    # Not documented, assumption: behaviour.retry_after
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    if style == "iso":
        return at.isoformat(timespec="milliseconds")
    at = at.replace(microsecond=0) + timedelta(seconds=1)
    return str(int(at.timestamp())) if style == "unix" else format_datetime(at, usegmt=True)
