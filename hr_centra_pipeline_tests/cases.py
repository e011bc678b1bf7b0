"""Cases of one test: some run each time, the others with `make slow`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def mostly_slow(cases: Iterable[Any], *kept: Any) -> list[Any]:
    """All cases, of which those that are not ``kept`` are marked as slow."""
    return [pytest.param(*_values(case), marks=() if case in kept else pytest.mark.slow) for case in cases]


def _values(case: Any) -> tuple[Any, ...]:
    return case if isinstance(case, tuple) else (case,)
