from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import hypothesis
import pytest

from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY


def _on_one_thread(connect: Any, *where: Any, config: dict[str, Any] | None = None, **more: Any) -> Any:
    return connect(*where, config={"threads": 1, **(config or {})}, **more)


# A busy machine is slow: time is no property of what is tested.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

# Each core has a process of tests: more threads of DuckDB in each of them only get in each other's way.
duckdb.connect = functools.partial(_on_one_thread, duckdb.connect)


@pytest.fixture
def prepared(tmp_path: Path) -> Iterator[Connection]:
    """An empty database of this program, with the example policy in live mode, inside a transaction."""
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    migrate.prepare(warehouse)
    with warehouse.transaction() as connection:
        write_policy(connection, load_policy(EXAMPLE_POLICY).policy, "live")
        yield connection
