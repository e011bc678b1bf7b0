"""The arithmetic of the bench *reaction*: percentiles, what hourly files would take, and where the seconds go."""

from __future__ import annotations

from datetime import UTC, datetime

from hr_centra_pipeline_tests.bench.reaction import Reaction, Scanned, computed, measured, percentile, where_seconds_go

AT = datetime(2026, 9, 30, 12, 40, tzinfo=UTC)


def scanned(number: int, *, refunded: float | None = 90.0) -> Scanned:
    """A return that was scanned at second 1,000, delivered a minute later, and refunded so many seconds after that."""
    return Scanned(f"RT-{number}", number, 1_000.0, AT, 1_060.0, None if refunded is None else 1_060.0 + refunded)


def test_a_percentile_is_the_nearest_rank() -> None:
    seconds = [float(one) for one in range(1, 201)]
    assert (percentile(seconds, 50), percentile(seconds, 95), percentile([7.0], 95)) == (100.0, 190.0, 7.0)


def test_hourly_files_take_until_the_schedule_s_minute_after_their_hour_and_a_turn_in_the_sync() -> None:
    # Delivered at 12:41; the file of that hour is there at 13:00, and the sync begins at 13:07.
    assert computed([scanned(1), scanned(2)], [10.0, 30.0]) == [26 * 60 + 10.0, 26 * 60 + 30.0]


def test_the_seconds_go_into_gathering_into_the_start_of_a_run_and_into_the_sync() -> None:
    found = Reaction([scanned(1), scanned(2, refunded=None)], runs=[(1_120.0, 1_130.0, 1_170.0)])
    assert where_seconds_go(found) == {
        "until a run is requested": 60.0, "until it has begun": 10.0, "until the refund": 20.0,
    }  # fmt: skip
    assert found.missing == 1


def test_the_table_has_reaction_hold_and_idle_cost() -> None:
    found = Reaction([scanned(1)], runs=[], idle=(40.0, 20.0), by_files=[1_570.0])
    rows = [one.row() for one in measured(found)]
    assert rows[1] == (
        "reaction p95 of 1: webhook to refund",
        "90.00 s",
        "hourly files (computed)",
        "1,570.00 s",
        "0.06",
        "< 180 s",
    )
    assert rows[3][1] == "60.00 s"
    assert rows[4][4] == "2.00"
