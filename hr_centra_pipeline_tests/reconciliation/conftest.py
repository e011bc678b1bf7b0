from __future__ import annotations

import pytest

from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline_tests.reconciliation.ledger_fixture import LedgerFixture


@pytest.fixture
def ledger(prepared: Connection) -> LedgerFixture:
    return LedgerFixture(prepared)
