from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hr_centra_pipeline_tests.fuzz import ESCAPE, edges, transport

_EDGES = sorted(edges.shares())


@pytest.mark.parametrize("edge", _EDGES)
@settings(max_examples=3, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**31))
def test_whatever_comes_in_is_landed_quarantined_refused_or_not_covered(edge: str, seed: int) -> None:
    outcomes = edges.one((edge, 60, seed))
    assert outcomes.total() == 60
    assert not edges.escapes({edge: outcomes})


@pytest.mark.slow
@pytest.mark.parametrize("edge", _EDGES)
def test_thousands_of_inputs_too(edge: str) -> None:
    for seed in range(5):
        assert not edges.escapes({edge: edges.one((edge, 1000, seed))})


def test_an_exception_of_a_stage_is_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr("hr_centra_pipeline.sources.centra.judged.errors_in", breaks)
    found = {"transport": transport.run(50, 1)}
    assert edges.escapes(found)
    assert edges.escapes(found)[0].startswith(f"transport: {ESCAPE}: ZeroDivisionError")
