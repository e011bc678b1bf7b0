from __future__ import annotations

import pytest

from hr_centra_pipeline_tests.fuzz import settlements


@pytest.mark.parametrize("seed", [1, 2])
def test_each_row_of_a_changed_settlement_file_is_landed_quarantined_or_refused_by_name(seed: int) -> None:
    found = settlements.run(600, seed)
    assert found.total() == 600
    assert {outcome.partition(":")[0] for outcome in found} == {"landed", "quarantined", "refused"}
