from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hr_centra_pipeline_tests.harness import Harness, harness


@pytest.fixture
def at_harness(tmp_path: Path) -> Iterator[Harness]:
    with harness(tmp_path) as opened:
        yield opened
