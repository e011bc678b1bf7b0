from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic.alias_generators import to_camel

from hr_centra_pipeline.sandbox.centra.quota import Quotas
from hr_centra_pipeline.sources.centra.governor import Governor
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
        return [{to_camel(name): value for name, value in row.items()} for row in self.buckets.shown()]

    def take(self, mutations: int = 0, complexity: int = 0) -> float:
        return self.buckets.take(REQUEST_COUNT=1, MUTATION_COUNT=mutations, QUERY_COMPLEXITY=complexity)

    def left(self, kind: str, interval: str) -> int:
        shown = [tuple(row.values()) for row in self.buckets.shown()]
        return next(int(row[-1]) for row in shown if row[:2] == (kind, interval))


def test_there_is_no_sleep_while_there_is_room(clock: Clock) -> None:
    vendor, governor = Vendor(clock), Governor(clock, clock.sleep)
    for _ in range(15):
        governor.admit("ChangeStock", 1, vendor.read)
        assert vendor.take(mutations=1) == 0
    assert clock.slept == []
    assert vendor.readings == 1


def test_many_mutations_are_paced_so_that_none_is_limited_and_others_have_room(clock: Clock) -> None:
    vendor, governor = Vendor(clock), Governor(clock, clock.sleep)
    started = clock.now
    for _ in range(3_000):
        governor.admit("ChangeStock", 1, vendor.read)
        assert vendor.take(mutations=1) == 0
        assert vendor.left("MUTATION_COUNT", "TEN_SECONDS") >= 3
        assert vendor.left("MUTATION_COUNT", "ONE_HOUR") >= GROWTH_MUTATIONS_PER_HOUR * 0.19
    hours = (clock.now - started) / 3600
    # The hour's bucket binds: four fifths of it at once, then as fast as it is refilled, and not much slower.
    fastest = (3_000 - 0.8 * GROWTH_MUTATIONS_PER_HOUR) / GROWTH_MUTATIONS_PER_HOUR
    assert fastest <= hours < fastest * 1.1


def test_what_other_integrations_use_is_noticed(clock: Clock) -> None:
    vendor, governor = Vendor(clock), Governor(clock, clock.sleep)
    governor.admit("ChangeStock", 1, vendor.read)
    vendor.buckets.use("MUTATION_COUNT", "ONE_HOUR", 1_500)
    clock.now += 61
    governor.admit("ChangeStock", 1, vendor.read)
    assert clock.slept  # 300 and a minute's refill are left: less than the fifth that is not ours
    assert vendor.left("MUTATION_COUNT", "ONE_HOUR") >= 360


def test_a_costly_query_waits_for_its_complexity(clock: Clock) -> None:
    vendor, governor = Vendor(clock), Governor(clock, clock.sleep)
    for _ in range(20):
        governor.admit("PullReturns", 0, vendor.read)
        assert vendor.take(complexity=60_000) == 0
        governor.learn("PullReturns", 60_000)
    assert clock.slept


def test_a_query_larger_than_our_share_is_sent_when_the_bucket_is_full(clock: Clock) -> None:
    vendor, governor = Vendor(clock), Governor(clock, clock.sleep)
    governor.admit("PullReturns", 0, vendor.read)
    governor.learn("PullReturns", 245_000)
    governor.admit("PullReturns", 0, vendor.read)  # it ends
    assert sum(clock.slept) < 60


def test_a_plan_without_limits_stops_nobody(clock: Clock) -> None:
    governor = Governor(clock, clock.sleep)
    governor.admit("ChangeStock", 1, list)
    assert clock.slept == []


def test_a_page_that_costs_more_than_half_of_the_bucket_becomes_smaller(clock: Clock) -> None:
    vendor, governor = Vendor(clock), Governor(clock, clock.sleep)
    governor.admit("PullReturns", 0, vendor.read)
    assert governor.fitting_size("PullReturns", 100) == 100
    governor.learn("PullReturns", 125_000)
    assert governor.fitting_size("PullReturns", 100) == 100
    governor.learn("PullReturns", 500_000)
    assert governor.fitting_size("PullReturns", 100) == 25
    assert governor.fitting_size("PullReturns", 1) == 1


# What an operation costs is only known after it was sent once: up to the fifth that is always left, that is no trouble.
COSTS = {"A": (0, 50_000), "B": (4, 0), "C": (1, 30_000), "D": (0, 10)}


@given(steps=st.lists(st.tuples(st.sampled_from(sorted(COSTS)), st.floats(0, 30)), min_size=1, max_size=120))
def test_whatever_is_sent_centra_never_has_to_limit_it(steps: list[tuple[str, float]]) -> None:
    clock = Clock()
    vendor, governor = Vendor(clock), Governor(clock, clock.sleep)
    for name, pause in steps:
        mutations, complexity = COSTS[name]
        governor.admit(name, mutations, vendor.read)
        assert vendor.take(mutations=mutations, complexity=complexity) == 0
        governor.learn(name, complexity)
        clock.now += pause
