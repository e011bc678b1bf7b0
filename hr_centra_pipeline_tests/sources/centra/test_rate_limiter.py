from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic.alias_generators import to_camel

from hr_centra_pipeline.sandbox.centra.quota import Quotas
from hr_centra_pipeline.sources.centra.rate_limiter import RateLimiter
from hr_centra_pipeline_tests.sources.centra.conftest import Clock

GROWTH_MUTATIONS_PER_HOUR = 1_800


class Vendor:
    """The sandbox's buckets on a clock that passes only when somebody sleeps."""

    def __init__(self, clock: Clock) -> None:
        self.buckets = Quotas("growth", clock=clock)
        self.readings = 0

    def read(self) -> list[dict[str, Any]]:
        self.readings += 1
        assert self.buckets.take(REQUEST_COUNT=1) == 0
        return self.shown()

    def shown(self) -> list[dict[str, Any]]:
        return [{to_camel(name): value for name, value in row.items()} for row in self.buckets.shown()]

    def take(self, mutations: int = 0, complexity: int = 0) -> float:
        return self.buckets.take(REQUEST_COUNT=1, MUTATION_COUNT=mutations, QUERY_COMPLEXITY=complexity)

    def left(self, kind: str, interval: str) -> int:
        shown = [tuple(row.values()) for row in self.buckets.shown()]
        return next(int(row[-1]) for row in shown if row[:2] == (kind, interval))


def test_there_is_no_sleep_while_there_is_room(clock: Clock) -> None:
    vendor, limiter = Vendor(clock), RateLimiter(clock, clock.sleep)
    for _ in range(15):
        limiter.admit("ChangeStock", 1, vendor.read)
        assert vendor.take(mutations=1) == 0
    assert clock.slept == []
    assert vendor.readings == 1


def test_many_mutations_are_paced_so_that_none_is_limited_and_others_have_room(clock: Clock) -> None:
    vendor, limiter = Vendor(clock), RateLimiter(clock, clock.sleep)
    started = clock.now
    for _ in range(3_000):
        limiter.admit("ChangeStock", 1, vendor.read)
        assert vendor.take(mutations=1) == 0
        assert vendor.left("MUTATION_COUNT", "TEN_SECONDS") >= 4
        assert vendor.left("MUTATION_COUNT", "ONE_HOUR") >= GROWTH_MUTATIONS_PER_HOUR * 0.09
    hours = (clock.now - started) / 3600
    # The hour's bucket binds: nine tenths of it at once, then as fast as it is refilled, and not much slower.
    fastest = (3_000 - 0.9 * GROWTH_MUTATIONS_PER_HOUR) / GROWTH_MUTATIONS_PER_HOUR
    assert fastest <= hours < fastest * 1.05


def test_what_other_integrations_use_is_noticed(clock: Clock) -> None:
    vendor, limiter = Vendor(clock), RateLimiter(clock, clock.sleep)
    limiter.admit("ChangeStock", 1, vendor.read)
    vendor.buckets.use("MUTATION_COUNT", "ONE_HOUR", 1_700)
    clock.now += 61
    limiter.admit("ChangeStock", 1, vendor.read)
    assert clock.slept  # 100 and a minute's refill are left: less than the tenth that is not ours
    assert vendor.left("MUTATION_COUNT", "ONE_HOUR") >= 178


def test_the_more_is_left_to_others_the_sooner_we_wait(clock: Clock) -> None:
    vendor, limiter = Vendor(clock), RateLimiter(clock, clock.sleep, left_to_others=0.9)
    for _ in range(200):
        limiter.admit("ChangeStock", 1, vendor.read)
        assert vendor.take(mutations=1) == 0
    assert vendor.left("MUTATION_COUNT", "ONE_HOUR") >= GROWTH_MUTATIONS_PER_HOUR * 0.89


def test_with_another_integration_that_never_stops_we_take_what_is_left_and_are_not_limited(clock: Clock) -> None:
    vendor, limiter = Vendor(clock), RateLimiter(clock, clock.sleep)
    vendor.buckets.use("MUTATION_COUNT", "ONE_HOUR", 1_500)  # the hour's stock is gone: only the refill is left
    started = told = clock.now
    for _ in range(400):
        limiter.admit("ChangeStock", 1, vendor.read)
        while told + 5 <= clock.now:  # the other one makes a fifth of what is refilled
            told += 5
            vendor.buckets.use("MUTATION_COUNT", "ONE_HOUR", 1 if round(told - started) % 10 else 0)
        assert vendor.take(mutations=1) == 0
    ours = 400 / (clock.now - started)
    assert ours > 0.9 * 0.4  # of half a mutation a second, less the other's tenth


def test_a_quota_that_is_refilled_faster_than_its_name_says_is_used(clock: Clock) -> None:
    vendor, limiter = Vendor(clock), RateLimiter(clock, clock.sleep)
    vendor.buckets.speed = 20.0
    vendor.buckets.use("MUTATION_COUNT", "ONE_HOUR", 1_600)
    started = clock.now
    for _ in range(2_000):
        limiter.admit("ChangeStock", 1, vendor.read)
        assert vendor.take(mutations=1) == 0
        clock.now += 0.02
    assert 2_000 / (clock.now - started) > 0.9 * 20 * GROWTH_MUTATIONS_PER_HOUR / 3600
    assert vendor.readings < 300


def test_reserved_mutations_are_kept_and_given_back(clock: Clock) -> None:
    vendor, limiter = Vendor(clock), RateLimiter(clock, clock.sleep)
    limiter.reserve(10, vendor.read)
    assert limiter.most_at_once() == 15  # a quarter of ten seconds' quota is left to others
    limiter.reserve(5, vendor.read)
    assert clock.slept == []
    limiter.give_back(15)
    limiter.reserve(15, vendor.read)
    assert clock.slept == []
    assert vendor.take(mutations=15) == 0
    limiter.reserve(5, vendor.read)
    assert clock.slept
    assert limiter.seconds_for(0) == 0
    assert limiter.seconds_for(1_800) > 300


def test_after_a_limit_the_quotas_are_read_again(clock: Clock) -> None:
    vendor, limiter = Vendor(clock), RateLimiter(clock, clock.sleep)
    limiter.admit("ChangeStock", 1, vendor.read)
    vendor.buckets.use("MUTATION_COUNT", "TEN_SECONDS", 15)
    limiter.distrust()
    limiter.admit("ChangeStock", 1, vendor.read)
    assert vendor.readings >= 2
    assert clock.slept


def test_a_costly_query_waits_for_its_complexity(clock: Clock) -> None:
    vendor, limiter = Vendor(clock), RateLimiter(clock, clock.sleep)
    for _ in range(20):
        limiter.admit("PullReturns", 0, vendor.read)
        assert vendor.take(complexity=60_000) == 0
        limiter.learn("PullReturns", 60_000)
    assert clock.slept


def test_a_query_larger_than_our_share_is_sent_when_the_bucket_is_full(clock: Clock) -> None:
    vendor, limiter = Vendor(clock), RateLimiter(clock, clock.sleep)
    limiter.admit("PullReturns", 0, vendor.read)
    limiter.learn("PullReturns", 245_000)
    limiter.admit("PullReturns", 0, vendor.read)  # it ends
    assert sum(clock.slept) < 60


def test_a_plan_without_limits_stops_nobody(clock: Clock) -> None:
    limiter = RateLimiter(clock, clock.sleep)
    limiter.admit("ChangeStock", 1, list)
    assert clock.slept == []


def test_a_page_that_costs_more_than_half_of_the_bucket_becomes_smaller(clock: Clock) -> None:
    vendor, limiter = Vendor(clock), RateLimiter(clock, clock.sleep)
    limiter.admit("PullReturns", 0, vendor.read)
    assert limiter.fitting_size("PullReturns", 100) == 100
    limiter.learn("PullReturns", 125_000)
    assert limiter.fitting_size("PullReturns", 100) == 100
    limiter.learn("PullReturns", 500_000)
    assert limiter.fitting_size("PullReturns", 100) == 25
    assert limiter.fitting_size("PullReturns", 1) == 1


# What an operation costs is only known after it was sent once: up to the part that is always left, that is no trouble.
COSTS = {"A": (0, 50_000), "B": (4, 0), "C": (1, 30_000), "D": (0, 10)}


@given(steps=st.lists(st.tuples(st.sampled_from(sorted(COSTS)), st.floats(0, 30)), min_size=1, max_size=120))
def test_whatever_is_sent_centra_never_has_to_limit_it(steps: list[tuple[str, float]]) -> None:
    clock = Clock()
    vendor, limiter = Vendor(clock), RateLimiter(clock, clock.sleep)
    for name, pause in steps:
        mutations, complexity = COSTS[name]
        limiter.admit(name, mutations, vendor.read)
        assert vendor.take(mutations=mutations, complexity=complexity) == 0
        limiter.learn(name, complexity)
        clock.now += pause
