from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hr_centra_pipeline_tests.month_end.books import Books, open_books


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    with open_books(tmp_path) as opened:
        yield opened
