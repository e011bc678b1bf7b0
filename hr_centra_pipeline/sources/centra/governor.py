"""Keeps us below Centra's quotas, which are shared with the shop's other integrations: a part is always left to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hr_centra_pipeline.sources.centra.transport import Clock, Sleep

_SECONDS = {"TEN_SECONDS": 10.0, "ONE_HOUR": 3600.0}
LEFT_TO_OTHERS = 0.2  # of every bucket
_OF_ONE_QUERY = 0.5  # of the smallest complexity bucket: a query over the whole bucket would be refused for good
_READING_HOLDS = 60.0  # seconds: after that, look again what the others use
_LONGEST_NAP = 10.0  # seconds: then look again, the others may have stopped


@dataclass
class _Bucket:
    kind: str
    seconds: float
    quota: int
    remaining: float
    left_to_others: float

    @property
    def reserve(self) -> float:
        return self.quota * self.left_to_others

    def wait(self, cost: float) -> float:
        """Seconds until ``cost`` fits above the reserve. What never fits waits for a full bucket."""
        wanted = min(cost, self.quota - self.reserve)
        missing = wanted + self.reserve - self.remaining
        return max(0.0, missing * self.seconds / self.quota) if wanted > 0 else 0.0


class Governor:
    """Token buckets as ``rateLimits`` showed them last, refilled by our own clock since then."""

    def __init__(self, clock: Clock, sleep: Sleep, left_to_others: float = LEFT_TO_OTHERS) -> None:
        self._clock, self._sleep, self._left_to_others = clock, sleep, left_to_others
        self._buckets: list[_Bucket] = []
        self._refilled_at = self._read_at = clock()
        self._complexity: dict[str, float] = {}  # operation -> what it cost last

    def observe(self, rate_limits: Sequence[Mapping[str, Any]]) -> None:
        """Take over what ``rateLimits`` answered."""
        self._buckets = [
            _Bucket(
                row["type"], _SECONDS[row["intervalSeconds"]], row["quota"], row["remainingQuota"], self._left_to_others
            )
            for row in rate_limits
            if row["intervalSeconds"] in _SECONDS and row["quota"] > 0
        ]
        self._refilled_at = self._read_at = self._clock()

    def admit(self, operation: str, mutations: int, read: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        """Return when this operation fits; ``read`` asks Centra for its rate limits (which costs a request itself).

        Never sleeps when there is room; before it sleeps, it makes sure by a fresh reading.
        """
        costs = {
            "REQUEST_COUNT": 1.0,
            "MUTATION_COUNT": float(mutations),
            "QUERY_COMPLEXITY": self._complexity.get(operation, 0.0),
        }
        is_fresh = False
        if not self._buckets or self._age() > _READING_HOLDS:
            self.observe(read())
            is_fresh = True
        while (wait := self._wait(costs)) > 0:
            if is_fresh:
                self._sleep(min(wait, _LONGEST_NAP))
                is_fresh = False
                if wait <= _LONGEST_NAP:
                    break
            else:
                self.observe(read())
                is_fresh = True
        self._refill()
        for bucket in self._buckets:
            bucket.remaining -= costs.get(bucket.kind, 0.0)

    def learn(self, operation: str, complexity: int) -> None:
        """What an operation really cost: the difference to what was taken for it is taken now."""
        before = self._complexity.get(operation, 0.0)
        self._complexity[operation] = float(complexity)
        for bucket in self._buckets:
            if bucket.kind == "QUERY_COMPLEXITY":
                bucket.remaining -= complexity - before

    def fitting_size(self, operation: str, size: int) -> int:
        """How many objects a page of this operation may have, when its last one had ``size``."""
        quotas = [bucket.quota for bucket in self._buckets if bucket.kind == "QUERY_COMPLEXITY"]
        cost = self._complexity.get(operation, 0.0)
        most = min(quotas, default=0) * _OF_ONE_QUERY
        return max(1, int(size * most / cost)) if 0 < most < cost else size

    def _age(self) -> float:
        return self._clock() - self._read_at

    def _refill(self) -> None:
        now = self._clock()
        passed = max(0.0, now - self._refilled_at)
        for bucket in self._buckets:
            bucket.remaining = min(bucket.quota, bucket.remaining + passed * bucket.quota / bucket.seconds)
        self._refilled_at = now

    def _wait(self, costs: Mapping[str, float]) -> float:
        self._refill()
        return max((bucket.wait(costs.get(bucket.kind, 0.0)) for bucket in self._buckets), default=0.0)
