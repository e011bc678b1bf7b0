from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
import simplejson

from hr_centra_pipeline.sandbox.centra.store import CentraStore, NewLine, NewOrder
from hr_centra_pipeline.sandbox.server import RunningSandbox, SandboxSettings, running_sandbox

SOLD = datetime(2026, 9, 1, 10, tzinfo=UTC)
SHIPPED = datetime(2026, 9, 2, 10, tzinfo=UTC)


@dataclass(frozen=True)
class Sale:
    """One shipped order: two dresses at 199.90 SEK and a shirt at 100.00, shipping 49.00, voucher 30.00."""

    number: int
    shipment: int
    dresses: int  # shipment line
    shirt: int  # shipment line


def furnish(store: CentraStore) -> None:
    for name in ("Main", "Outlet", "Quarantine"):
        store.add_warehouse(name)
    for sku, product in (("DRESS-S", "Dress"), ("SHIRT-M", "Shirt")):
        store.add_product_size(
            sku=sku, ean=f"735000{len(product)}", upc=None, product_number=product.upper(), product_name=product,
            variant_name="Blue", size=sku[-1], stock={1: 20},
        )  # fmt: skip
    store.add_customer(email="ada@example.com", first_name="Ada", last_name="L", country="SE")


def sell(store: CentraStore, *, captured: bool = True) -> Sale:
    lines = [
        NewLine("DRESS-S", 2, Decimal("199.90"), Decimal("249.90"), Decimal(25)),
        NewLine("SHIRT-M", 1, Decimal("100.00"), Decimal("100.00"), Decimal(25)),
    ]
    placed = store.add_order(
        NewOrder(1, "SEK", "SE", lines, SOLD, shipping=Decimal("49.00"), voucher=Decimal("30.00"), captured=captured)
    )
    shipment = store.ship(placed.number, at=SHIPPED, warehouse_id=1)
    dresses, shirt = (
        row["id"] for row in store.rows("select id from shipment_lines where shipment_id = ? order by id", [shipment])
    )
    return Sale(placed.number, shipment, dresses, shirt)


Ask = Callable[..., Any]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[RunningSandbox]:
    with running_sandbox(tmp_path) as running:
        furnish(running.store)
        yield running


def ask(
    running: RunningSandbox, query: str, variables: dict[str, Any] | None = None, token: str = ""
) -> requests.Response:
    return requests.post(
        running.graphql_url,
        data=simplejson.dumps({"query": query, "variables": variables or {}}, use_decimal=True),
        headers={"Authorization": f"Bearer {token or running.token}", "Content-Type": "application/json"},
        timeout=10,
    )


def data(running: RunningSandbox, query: str, variables: dict[str, Any] | None = None) -> Any:
    answer = simplejson.loads(ask(running, query, variables).text, use_decimal=True)
    assert "errors" not in answer, answer
    return answer["data"]


def slow(speed: float = 1.0, **settings: Any) -> SandboxSettings:
    return SandboxSettings(speed=speed, **settings)


def control(running: RunningSandbox, name: str, body: dict[str, Any] | None = None) -> Any:
    if body is None:
        return requests.get(f"{running.control_url}/{name}", timeout=10).json()
    return requests.post(f"{running.control_url}/{name}", json=body, timeout=10).json()


def order_api(running: RunningSandbox, method: str = "POST", path: str = "order", **body: Any) -> Any:
    """A call to the Order API; creating without more: one dress for nothing, to Sweden. ``None`` leaves a key out."""
    if method == "POST" and path == "order":
        usual = {
            "products": [{"sku": "DRESS-S", "qty": 1, "unitPrice": 0}], "shippingValue": 0,
            "address": {"email": "a@b.c", "country": "SE"},
        }  # fmt: skip
        body = {**usual, **body}
    given = {name: value for name, value in body.items() if value is not None}
    return requests.request(
        method,
        f"{running.order_api_url}/{path}",
        headers={"API-Authorization": running.order_api_key},
        timeout=10,
        params=given if method == "GET" else None,
        json=None if method == "GET" else given,
    ).json()


def shown_order(running: RunningSandbox, number: int, fields: str) -> Any:
    (found,) = data(running, "{ orders(where: {number: [%d]}) { %s } }" % (number, fields))["orders"]
    return found
