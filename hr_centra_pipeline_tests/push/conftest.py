from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hr_centra_pipeline_tests.desk import Desk, desk


@pytest.fixture
def at_desk(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as opened:
        yield opened
