"""A small storm that has to be clean, and senders that are broken on purpose, which the same storm has to catch."""

from __future__ import annotations

from pathlib import Path

import pytest

from hr_centra_pipeline_tests.torture.storm import Mix, storm

SMALL = Mix(returns=6, steps=10, faults=1.0)
# More of what tells a broken sender: calls that are lost, and people between plan and push.
HARSH = Mix(returns=8, steps=10, faults=1.5, acts=0.8)


def test_a_small_storm_leaves_nothing_twice_nothing_lost_and_nothing_stuck(tmp_path: Path) -> None:
    found = storm(tmp_path, 11, 1, SMALL)
    assert found.verdict.told() == ""
    assert found.verdict.effects > 0
    assert found.kills > 0
    assert found.faults > 0


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["no_read_back", "new_key_per_attempt", "no_last_look"])
def test_a_broken_sender_is_caught(tmp_path: Path, broken: str) -> None:
    found = storm(tmp_path, 12, 10, HARSH, broken=broken, until_caught=True)
    assert not found.verdict.is_clean, f"{found.kills} kills and {found.faults} faults did not show it"
