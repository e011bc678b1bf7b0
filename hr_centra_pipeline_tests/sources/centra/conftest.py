from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sandbox.centra.store import GIFT_CARD_BY_EMAIL, CentraSettings, CentraStore, NewLine, NewOrder
from hr_centra_pipeline.sandbox.server import RunningSandbox, SandboxSettings, running_sandbox
from hr_centra_pipeline.sources.centra.client import CentraClient
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
        "refund_type": "refund", "feeds": "files", "source_time": NOW, "source_file": "items.csv", "source_line": 1,
        "landed_batch": 1, **given,
    }  # fmt: skip
    with warehouse.transaction() as connection:
        names, marks = ", ".join(item), ", ".join("?" * len(item))
        connection.execute(f"insert into staging.return_items ({names}) values ({marks})", list(item.values()))


# ---------------------------------------------------------------- a Centra to connect to


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@dataclass
class Shop:
    """A running sandbox with some orders in it, and a client for it."""

    sandbox: RunningSandbox
    client: CentraClient

    @property
    def store(self) -> CentraStore:
        return self.sandbox.store

    def add_order(self, *, at: datetime, number: int | None = None, price: str = "79.95", voucher: str = "0") -> int:
        """One unit of SKU-1 and two of SKU-2, placed and shipped; answers the order's number."""
        placed = self.store.add_order(
            NewOrder(
                customer_id=1, currency="EUR", country="DE", created_at=at, number=number, shipping=Decimal("4.90"),
                voucher=Decimal(voucher),
                lines=[
                    NewLine("SKU-1", 1, Decimal(price), Decimal("99.95"), Decimal(25)),
                    NewLine("SKU-2", 2, Decimal("10.01"), Decimal("10.01"), Decimal(25)),
                ],
            )
        )  # fmt: skip
        self.store.ship(placed.number, at=at, warehouse_id=1)
        return placed.number

    def shipment_of(self, number: int) -> tuple[int, list[int]]:
        """Its (only) shipment with the ids of its lines."""
        (shipment,) = self.store.rows("select id from shipments where order_number = ?", [number])
        lines = self.store.rows("select id from shipment_lines where shipment_id = ? order by id", [shipment["id"]])
        return shipment["id"], [line["id"] for line in lines]

    def fault(self, **given: Any) -> None:
        requests.post(f"{self.sandbox.control_url}/faults", json=given, timeout=5).raise_for_status()

    def asked(self) -> list[str]:
        """The operations that arrived, in order, without readings of the rate limits."""
        names = [name for entry in self.sandbox.sandbox.log for name in entry["operations"]]
        return [name for name in names if name != "ReadRateLimits"]

    def client_with(self, *permissions: str) -> CentraClient:
        """A client whose token may do no more than this."""
        answer = requests.post(
            f"{self.sandbox.control_url}/tokens", json={"permissions": permissions}, timeout=5
        ).json()
        return CentraClient(self.sandbox.graphql_url, answer["token"], sleep=lambda _: None)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    settings = SandboxSettings(speed=1000.0, centra=CentraSettings(gift_card_members=GIFT_CARD_BY_EMAIL))
    with running_sandbox(tmp_path / "sandbox", settings) as sandbox:
        store = sandbox.store
        store.add_warehouse("Main")
        store.add_warehouse("Outlet")
        for number in (1, 2):
            store.add_product_size(
                sku=f"SKU-{number}", ean=f"EAN-{number}", upc=None, product_number=f"P{number}", product_name="Shirt",
                variant_name="Blue", size="M", stock={1: 1000, 2: 5},
            )  # fmt: skip
        store.add_customer(email="jane@doe.example", first_name="Jane", last_name="Doe", country="DE")
        yield Shop(sandbox, CentraClient(sandbox.graphql_url, sandbox.token, sleep=lambda _: None))
