"""Keeps us below Centra's quotas, which are shared with the shop's other integrations: a part is always left to them.

A bucket that is used down to that part is refilled all the same, so that leaving it costs no throughput in the long run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hr_centra_pipeline.sources.centra.centra_errors import Transient
from hr_centra_pipeline.sources.centra.transport import Clock, Sleep

Read = Callable[[], Sequence[Mapping[str, Any]]]
"""Asks Centra for its rate limits, which costs a request itself."""

_SECONDS = {"TEN_SECONDS": 10.0, "ONE_HOUR": 3600.0}
LEFT_TO_OTHERS = 0.1  # of every bucket, unless the policy says otherwise
_LEFT_IN_SMALL_BUCKETS = 0.25  # of ten seconds' quota: what one of the others may take at once is more of it
_SMALL = 60.0  # seconds
_OF_ONE_QUERY = 0.5  # of the smallest complexity bucket: a query over the whole bucket would be refused for good
_READING_HOLDS = 60.0  # seconds: after that, look again what the others use
_FRESH = 10.0  # seconds: before we sleep, the reading is no older than this; and no sleep is longer
_FRESH_AT_FIRST = 1.0  # seconds: the same, until we have learned how fast the bucket is refilled
_LONGEST_WAIT = 3900.0  # seconds: by then even an hour's bucket has been refilled
_SHORTEST_NAP = 0.01  # seconds
_LEAST_SECONDS = 1.0  # between two readings, to learn from them how fast a bucket is refilled
_LEAST_UNITS = 10  # gained in between, for the same: they are reported in whole ones
_LEAST_RATE = 0.05  # of the nominal one: however much the others use now, it will not stay so


@dataclass
class _Bucket:
    """``remaining`` as we reckon it now; ``rate``: units per second that it gains, less what the others take.

    ``read`` at ``since``: the reading that the rate is learned against, and what we have ``spent`` from then on.
    """

    kind: str
    seconds: float
    quota: int
    remaining: float
    rate: float
    reserve: float
    read: float
    since: float
    spent: float = 0.0
    is_known: bool = False  # whether the rate was learned; it is the nominal one until then

    def wait(self, cost: float) -> float:
        """Seconds until ``cost`` fits above the reserve. What never fits waits for a full bucket."""
        wanted = min(cost, self.quota - self.reserve)
        missing = wanted + self.reserve - self.remaining
        return max(0.0, missing / self.rate) if wanted > 0 else 0.0

    def take(self, cost: float) -> None:
        """Take, or give back."""
        self.remaining -= cost
        self.spent += cost

    def show(self, remaining: int, now: float) -> None:
        """Take over a reading; when enough has passed since the one before, learn from both."""
        self.remaining = remaining
        passed, nominal = now - self.since, self.quota / self.seconds
        gained = remaining - self.read + self.spent
        if passed < _LEAST_SECONDS or (abs(gained) < _LEAST_UNITS and passed * nominal < _LEAST_UNITS):
            return
        if remaining >= self.quota or self.read >= self.quota:
            self.rate = max(self.rate, gained / passed)  # a full bucket gains nothing more: this is a lower bound
        else:
            self.rate = max(_LEAST_RATE * nominal, (self.rate + gained / passed) / 2)
        self.read, self.since, self.spent, self.is_known = remaining, now, 0.0, True


class RateLimiter:
    """Token buckets as ``rateLimits`` showed them last, refilled by the real clock since then.

    ``left_to_others``: the part of every bucket that we never touch.
    """

    def __init__(self, clock: Clock, sleep: Sleep, *, left_to_others: float = LEFT_TO_OTHERS) -> None:
        self._clock, self._sleep, self._left = clock, sleep, left_to_others
        self._buckets: dict[tuple[str, float], _Bucket] = {}
        self._refilled_at = self._read_at = clock()
        self._is_stale = True
        self._complexity: dict[str, float] = {}  # operation -> what it cost last

    def observe(self, rate_limits: Sequence[Mapping[str, Any]]) -> None:
        """Take over what ``rateLimits`` answered, and learn from it how fast the buckets are refilled."""
        now = self._clock()
        found = {}
        for row in rate_limits:
            seconds = _SECONDS.get(row["intervalSeconds"])
            if seconds is None or row["quota"] <= 0:
                continue
            key, quota, remaining = (row["type"], seconds), row["quota"], row["remainingQuota"]
            bucket = self._buckets.get(key)
            if bucket is None or bucket.quota != quota:
                left = max(self._left, _LEFT_IN_SMALL_BUCKETS) if seconds < _SMALL else self._left
                bucket = _Bucket(
                    row["type"], seconds, quota, remaining, quota / seconds, quota * left, remaining, since=now
                )
            else:
                bucket.show(remaining, now)
            found[key] = bucket
        self._buckets = found
        self._refilled_at = self._read_at = now
        self._is_stale = False

    def admit(self, operation: str, mutations: int, read: Read, *, times: int = 1) -> None:
        """Return when a request fits that holds this operation so many ``times`` (with ``mutations`` in all).

        Never sleeps when there is room, nor by an old reading.
        """
        self._take(
            {
                "REQUEST_COUNT": 1.0,
                "MUTATION_COUNT": float(mutations),
                "QUERY_COMPLEXITY": times * self._complexity.get(operation, 0.0),
            },
            read,
        )

    def reserve(self, mutations: int, read: Read) -> None:
        """Return when so many mutations fit, and keep them: who looks before it writes must not wait in between."""
        self._take({"MUTATION_COUNT": float(mutations)}, read)

    def give_back(self, mutations: int) -> None:
        """Reserved mutations that were not made."""
        for bucket in self._of("MUTATION_COUNT"):
            bucket.take(-mutations)

    def distrust(self) -> None:
        """Centra has limited us all the same: read again before the next request."""
        self._is_stale = True

    def _take(self, costs: Mapping[str, float], read: Read) -> None:
        if self._is_stale or self._age() > _READING_HOLDS:
            self.observe(read())
        until = self._clock() + _LONGEST_WAIT
        while bucket := self._short_of(costs):
            if self._clock() > until:
                problem = f"its quota {bucket.kind} stayed used up for more than an hour: see which integration uses it"
                raise Transient(f"{problem}. Nothing was done; try again later.", operation="rate limits")
            fresh = _FRESH if bucket.is_known else _FRESH_AT_FIRST
            if self._age() < fresh:
                self._sleep(min(max(bucket.wait(costs[bucket.kind]), _SHORTEST_NAP), fresh))
            else:
                self.observe(read())
        self._refill()
        for bucket in self._buckets.values():
            bucket.take(costs.get(bucket.kind, 0.0))

    def learn(self, operation: str, complexity: int, *, times: int = 1) -> None:
        """What an operation really cost: the difference to what was taken for it is taken now."""
        before = times * self._complexity.get(operation, 0.0)
        self._complexity[operation] = complexity / times
        for bucket in self._of("QUERY_COMPLEXITY"):
            bucket.take(complexity - before)

    def fitting_size(self, operation: str, size: int) -> int:
        """How many objects a page of this operation may have, when its last one had ``size``."""
        quotas = [bucket.quota for bucket in self._of("QUERY_COMPLEXITY")]
        cost = self._complexity.get(operation, 0.0)
        most = min(quotas, default=0) * _OF_ONE_QUERY
        return max(1, int(size * most / cost)) if 0 < most < cost else size

    def seconds_for(self, mutations: int) -> float:
        """How long so many mutations will take with the present quotas: the binding bucket decides."""
        self._refill()
        return max(
            (
                max(0.0, mutations - max(0.0, bucket.remaining - bucket.reserve)) / bucket.rate
                for bucket in self._of("MUTATION_COUNT")
            ),
            default=0.0,
        )

    def most_at_once(self) -> int:
        """How many mutations can ever be reserved together."""
        return int(min((bucket.quota - bucket.reserve for bucket in self._of("MUTATION_COUNT")), default=1_000_000))

    def _age(self) -> float:
        return self._clock() - self._read_at

    def _of(self, kind: str) -> list[_Bucket]:
        return [bucket for bucket in self._buckets.values() if bucket.kind == kind]

    def _refill(self) -> None:
        now = self._clock()
        passed = max(0.0, now - self._refilled_at)
        for bucket in self._buckets.values():
            bucket.remaining = min(bucket.quota, bucket.remaining + passed * bucket.rate)
        self._refilled_at = now

    def _short_of(self, costs: Mapping[str, float]) -> _Bucket | None:
        """The bucket that makes us wait longest, if one does."""
        self._refill()
        waits = [(bucket.wait(costs[bucket.kind]), bucket) for bucket in self._buckets.values() if bucket.kind in costs]
        wait, bucket = max(waits, key=lambda pair: pair[0], default=(0.0, None))
        return bucket if wait > 0 else None
