from __future__ import annotations

import pytest

from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline_tests.reconciliation.books import Books


@pytest.fixture
def books(prepared: Connection) -> Books:
    return Books(prepared)
