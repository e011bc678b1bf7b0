from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline.warehouse.policy_tables import write_policy

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def policy() -> Policy:
    return Policy.model_validate(
        {
            "cutover": datetime(2026, 6, 1, tzinfo=UTC),
            "dispositions": {"sellable": {"warehouse_id": 1}},
            "pays_through": {"refund": "centra", "gift-card": "gift_card"},
            "centra": {"page_size": 2, "history_days": 120},
        }
    )


@pytest.fixture
def warehouse(tmp_path: Path, policy: Policy) -> Warehouse:
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    migrate.prepare(warehouse)
    with warehouse.transaction() as connection:
        write_policy(connection, policy, "live")
    return warehouse


class Rows:
    """Questions that tests ask of the warehouse."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def __call__(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self._warehouse.transaction() as connection:
            return connection.execute(sql, list(parameters)).fetchall()


@pytest.fixture
def rows(warehouse: Warehouse) -> Rows:
    return Rows(warehouse)


def add_item(warehouse: Warehouse, order_number: str, **given: Any) -> None:
    """A staged return unit, as the Happy Returns side leaves it."""
    item = {
        "return_item_id": f"item-{order_number}", "return_id": "RET-1", "order_number": order_number,
        "refund_type": "refund", "source_time": NOW, "source_file": "items.csv", "source_line": 1, "landed_batch": 1,
        **given,
    }  # fmt: skip
    with warehouse.transaction() as connection:
        names, marks = ", ".join(item), ", ".join("?" * len(item))
        connection.execute(f"insert into staging.return_items ({names}) values ({marks})", list(item.values()))
