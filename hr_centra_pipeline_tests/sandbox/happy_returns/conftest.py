from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import requests

from hr_centra_pipeline.sandbox.server import RunningSandbox, running_sandbox
from hr_centra_pipeline.sandbox.shop.assortment import Assortment, Order
from hr_centra_pipeline.sandbox.shop.shop import Shop
from hr_centra_pipeline.sandbox.shop.stories import Story
from hr_centra_pipeline.sandbox.shop.workshop import Workshop
from hr_centra_pipeline_tests.sandbox.inbox_stub import InboxStub, inbox_stub

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@dataclass
class Place:
    """A shop with orders and no past, its sandbox, and an inbox that is not subscribed yet."""

    running: RunningSandbox
    inbox: InboxStub
    workshop: Workshop
    shop: Shop
    written: bool = False

    def control(self, name: str, body: dict[str, Any] | None = None) -> Any:
        url = f"{self.running.control_url}/{name}"
        answer = requests.get(url, timeout=10) if body is None else requests.post(url, json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def subscribe(self, **settings: Any) -> None:
        """Happy Returns pushes to the inbox; nothing by chance unless it is asked for."""
        calm = {"method_changes": 0, "surprises": 0, "topics": ["return.asn"]}
        self.control("subscribe", {"url": f"{self.inbox.url}/happy-returns/main", "secret": "s3", **calm, **settings})

    def order(self, units: int = 1) -> Order:
        sizes = self.workshop.shop.sizes[:units]
        return self.workshop.shop.sell(NOW - timedelta(days=9), [(size, 1) for size in sizes], customer=0)

    def story(self, *orders: Order, method: str = "return-bar", after: timedelta = MINUTE) -> Story:
        """A return of all units of these orders that starts so long after now."""
        pieces = [self.workshop.piece(unit) for order in orders for unit in order.units]
        story = self.workshop.story(list(orders), pieces, method, NOW + after)
        story.hash_mark = False
        return story

    def live(self, **time: float) -> None:
        """Time passes by the minute, and everything that is due is sent."""
        if not self.written:
            self.shop.write_down(self.workshop, NOW, seed=1)
            self.written = True
        seconds = timedelta(**time).total_seconds()
        left = self.control("live", {"seconds": seconds, "drain": True})["due"]
        assert not any(left.values())

    def partner(self, method: str, path: str, key: str | None = "", **given: Any) -> requests.Response:
        headers = {} if key is None else {"X-Hr-Apikey": key or self.running.sandbox.partner_api_key}
        return requests.request(
            method, f"{self.running.partner_api_url}/{path}", headers=headers, timeout=10,
            params=given if method == "GET" else None, json=given if method == "POST" else None,
        )  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with inbox_stub() as inbox, running_sandbox(tmp_path) as running:
        running.clock.advance_to(NOW)
        random = Random(1)
        assortment = Assortment(running.store, random)
        with running.store.write():
            assortment.open()
        yield Place(running, inbox, Workshop(assortment, random), Shop(tmp_path, running.store, running.clock))
