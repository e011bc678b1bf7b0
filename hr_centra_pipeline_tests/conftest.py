from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY

# A busy machine is slow: time is no property of what is tested.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


@pytest.fixture
def prepared(tmp_path: Path) -> Iterator[Connection]:
    """An empty database of this program, with the example policy in live mode, inside a transaction."""
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    migrate.prepare(warehouse)
    with warehouse.transaction() as connection:
        write_policy(connection, load_policy(EXAMPLE_POLICY).policy, "live")
        yield connection
