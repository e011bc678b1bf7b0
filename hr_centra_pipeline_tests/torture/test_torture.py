"""A small chaos run that has to be clean, and senders that are broken on purpose, which the same chaos run has to catch."""

from __future__ import annotations

from pathlib import Path

import pytest

from hr_centra_pipeline_tests.torture.chaos_run import Mix, chaos_run

SMALL = Mix(returns=6, steps=10, faults=1.0)
# Most kills while something is landed; corrections and backups that are put back, too.
BY_EVENTS = Mix(returns=4, steps=3, faults=0.3, corrections=0.7, events=0.3, lost_ledgers=0.3)
# More of what tells a broken sender: calls that are lost, and people who refund by hand between plan and push.
LOSSY = Mix(returns=8, steps=10, faults=1.5)
CROWDED = Mix(returns=12, steps=8, faults=0.3, acts=2.0, by_hand=8)
# Happy Returns gives the money itself while our payment is half done.
HALF_DONE = Mix(returns=8, steps=10, faults=1.0, paid_elsewhere=0.8)


@pytest.mark.slow  # the one by events has files in between, and is the small form
def test_a_small_chaos_run_leaves_nothing_twice_nothing_lost_and_nothing_stuck(tmp_path: Path) -> None:
    found = chaos_run(tmp_path, 11, 1, SMALL)
    assert found.verdict.told() == ""
    assert found.verdict.effects > 0
    assert found.kills > 0
    assert found.faults > 0


def test_deliveries_that_are_lost_doubled_reordered_and_late_lead_to_the_same_books_as_files(tmp_path: Path) -> None:
    found = chaos_run(tmp_path, 11, 1, BY_EVENTS, feed="events", serves_inbox=False)
    assert found.verdict.told() == ""
    assert found.verdict.effects > 0
    assert found.kills > 0
    assert found.deliveries > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "mix"),
    [
        ("no_read_back", LOSSY), ("new_key_per_attempt", LOSSY), ("no_last_look", CROWDED),
        ("no_second_question", HALF_DONE),
    ],
)  # fmt: skip
def test_a_broken_sender_is_caught(tmp_path: Path, broken: str, mix: Mix) -> None:
    found = chaos_run(tmp_path, 12, 10, mix, broken=broken, until_caught=True)
    assert not found.verdict.is_clean, f"{found.kills} kills and {found.faults} faults did not show it"


@pytest.mark.slow
@pytest.mark.parametrize("mix", [LOSSY, CROWDED, HALF_DONE])
def test_the_right_sender_passes_the_chaos_run_that_catches_the_broken_ones(tmp_path: Path, mix: Mix) -> None:
    verdict = chaos_run(tmp_path, 12, 3, mix).verdict
    assert verdict.is_clean, verdict.told()  # what is raced, nobody can prevent
