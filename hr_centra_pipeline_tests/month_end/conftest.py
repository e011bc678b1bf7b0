from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hr_centra_pipeline_tests.month_end.ledger_fixture import LedgerFixture, open_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LedgerFixture]:
    with open_ledger(tmp_path) as opened:
        yield opened
