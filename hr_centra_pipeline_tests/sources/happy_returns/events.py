"""Webhook deliveries and answers of the partner API beside the exports of ``conftest.Harness``."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hr_centra_pipeline.inbox.inbox_store import Inbox, Received
from hr_centra_pipeline.sources.happy_returns.event_intake import EventReport, take_events
from hr_centra_pipeline.sources.happy_returns.event_landing import Asked, Body, BodyReport, land_bodies
from hr_centra_pipeline.sources.happy_returns.event_reading import EventProfile, load_event_profile
from hr_centra_pipeline_tests.sources.happy_returns.conftest import NOW, Harness

UNIT = {
    "happyReturnsReturnID": "RT-1", "purchasedAt": "2026-09-01T08:00:00-05:00", "email": "shopper@example.com",
    "orderNumber": "1001", "orderLineItemID": "77-0-1", "sku": "SKU-1", "happyReturnsItemID": "IT-1",
    "happyReturnsExpressCode": "HRAAAAAA", "refundType": "refund", "startedAt": "2026-09-19T08:00:00Z",
}  # fmt: skip
STARTED = {"event": "return_status_updated", "typeID": "started", "retailerID": "shop", "items": [UNIT]}
METHOD = {"event": "return_dropoff_method_created", "typeID": "mail", "retailerID": "shop", "items": [UNIT]}
LABEL = {
    "event": "return_label_update", "typeID": "", "retailerID": "shop", "webhookType": "return.label.update",
    "labelID": "BAG-1", "happyReturnsReturnID": "RT-1", "happyReturnsExpressCode": "HRAAAAAA",
}  # fmt: skip
OUTBOUND = {
    "orderNumber": "1001", "sku": "SKU-1", "shippingBoxBarcode": "SB-1", "tracking": "1Z1", "carrier": "ups",
    "departureDate": "2026-09-23T08:00:00Z", "happyReturnsRetailerID": "shop", "happyReturnsExpressCode": "HRAAAAAA",
    "happyReturnsItemID": "IT-1",
}  # fmt: skip


def status(type_id: str, *units: dict[str, Any], **more: Any) -> dict[str, Any]:
    """``return.asn`` about a status."""
    return {**STARTED, "typeID": type_id, "items": list(units) or [UNIT], **more}


@dataclass
class Events:
    """The inbox of one merchant, beside its exports."""

    harness: Harness
    inbox: Inbox
    home: Path
    number: int = 0
    ids: list[str] = field(default_factory=list)

    @property
    def profile(self) -> EventProfile:
        return load_event_profile(self.home / "event_profiles")

    def own_profile(self, *changes: tuple[str, str]) -> None:
        """The shipped profile with texts replaced, in the home's folder."""
        folder = self.home / "event_profiles"
        folder.mkdir(exist_ok=True)
        shipped = Path(load_event_profile.__code__.co_filename).parent / "event_profiles" / "default.toml"
        text = shipped.read_text()
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        (folder / "default.toml").write_text(text)

    def post(self, *bodies: Any, at: datetime = NOW - timedelta(hours=1)) -> list[str]:
        """Deliver bodies (JSON, or bytes as they are), a second apart."""
        received = []
        for body in bodies:
            self.number += 1
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            received.append(Received("happy_returns", "main", at + timedelta(seconds=self.number), {}, data))
        ids = self.inbox.keep(received)
        self.ids += ids
        return ids

    def take(self, now: datetime = NOW) -> EventReport:
        report = take_events(self.harness.warehouse, self.inbox, self.profile, now)
        assert self.inbox.waiting().count == 0
        wrong = "select * from landing.events where rows_read <> rows_landed + rows_rejected + rows_repeated"
        assert self.harness.rows(wrong) == []
        return report

    def stage(self, *bodies: Any, at: datetime = NOW - timedelta(hours=1)) -> EventReport:
        """Deliver, land and stage."""
        self.post(*bodies, at=at)
        report = self.take()
        self.harness.refresh()
        return report

    def answer(self, body: Any, at: datetime = NOW - timedelta(hours=1), asked: Asked | None = None) -> BodyReport:
        """An answer of ``POST /return``, landed."""
        self.number += 1
        data = json.dumps(body).encode()
        with self.harness.warehouse.transaction() as connection:
            (report,) = land_bodies(
                connection, [Body(f"api {self.number}", "api", at, data, "return", asked=asked)], self.profile, NOW
            )
        return report

    def rejected(self) -> list[tuple[Any, ...]]:
        return self.harness.rows(
            "select kind, source_line, column_name, reason from quarantine.rejected_rows where starts_with(source_file, 'event ')"
            " order by all"
        )
