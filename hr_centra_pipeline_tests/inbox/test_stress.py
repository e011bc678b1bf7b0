from __future__ import annotations

from pathlib import Path

import pytest

from hr_centra_pipeline_tests.inbox import stress

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not stress.is_installed(), reason="wrk is not installed"),
]


def test_nothing_is_lost_under_load_and_in_trouble(tmp_path: Path) -> None:
    """A small form of `make inbox`."""
    only = ["steady SQLite", "killed SQLite", "restarted PostgreSQL"]
    found = {outcome.name: outcome for outcome in stress.many(2, 500, 1_000, tmp_path, only)}
    assert {name: outcome.is_well for name, outcome in found.items()} == dict.fromkeys(only, True)
    assert found["steady SQLite"].statuses == {200: 1_000, 0: 0}
