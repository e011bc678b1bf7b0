"""The plugin "Centra Webhook" in its mode Integration API: it pushes what has changed, up to 100 events a call."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from hr_centra_pipeline.sandbox.sandbox_clock import SandboxClock
from hr_centra_pipeline.sandbox.webhooks.outbox import Delivery, Mishaps, Outbox

SCHEMA = """
create table if not exists plugin_events (
    id integer primary key autoincrement, type text, action text, reference integer, at text
);
"""
_MOST_RETRIES = 3
TYPES: Mapping[str, str] = {"Order": "order", "Shipment": "shipment", "Return": "return", "Customer": "customer"}


@dataclass(frozen=True)
class PluginSettings(Mishaps):
    """``types``: what is ticked in the plugin. ``actions``: the word for a kind of change. ``time_zone``: of its dates, which
    show no offset. ``clock_off_seconds``: how far the clock that signs is off.
    """

    types: tuple[str, ...] = ("order", "shipment", "return")
    # Not documented, assumption: behaviour.webhook_plugin_actions
    actions: Mapping[str, str] = field(
        default_factory=lambda: {
            "CREATED": "create", "UPDATED": "update", "DELETED": "delete", "COMPLETED": "update",
            "DEPENDENT_DATA_CHANGED": "update",
        }
    )  # fmt: skip
    # Not documented, assumption: behaviour.webhook_plugin_dates
    time_zone: str = "Europe/Stockholm"
    most_events: int = 100
    clock_off_seconds: float = 0.0
    signs_with: str = "shop"  # the shop's clock, or the real one


class WebhookPlugin:
    """What is due in Centra's own file; the store notes what changes, and it is gathered here before it is sent."""

    def __init__(self, path: Path, clock: SandboxClock) -> None:
        self.outbox = Outbox.at(path)
        self._clock = clock

    def mishaps(self) -> PluginSettings:
        """What is set now."""
        settings = self.outbox.settings(PluginSettings())
        return replace(settings, retries=min(settings.retries, _MOST_RETRIES))

    def configure(self, given: Mapping[str, Any]) -> PluginSettings:
        """Change settings.

        Raises:
            ValueError: there is no such setting.
        """
        return self.outbox.configure(PluginSettings(), given)

    def headers(self, delivery: Delivery) -> dict[str, str]:
        """``X-Centra-Signature``: over the time and the raw body, still url-encoded."""
        settings = self.mishaps()
        now = self._clock.now().timestamp() if settings.signs_with == "shop" else time.time()
        shown = {"Content-Type": "application/x-www-form-urlencoded"}
        if delivery.signature != "missing":
            shown["X-Centra-Signature"] = signature(
                delivery.secret,
                int(now + settings.clock_off_seconds),
                delivery.body,
                is_good=delivery.signature == "good",
            )
        return shown

    def gather(self) -> None:
        """Put what has happened into deliveries, the oldest first."""
        while self.outbox.rows("select 1 as x from plugin_events limit 1"):
            settings = self.mishaps()
            with self.outbox.transaction():
                found = self.outbox.rows("select * from plugin_events order by id limit ?", [settings.most_events])
                if not found:
                    return
                self.outbox.rows("delete from plugin_events where id <= ?", [found[-1]["id"]])
                self._put(
                    [self._shown(row, settings) for row in found if row["type"] in settings.types], found, settings
                )

    def _put(self, events: list[dict[str, Any]], rows: list[dict[str, Any]], settings: PluginSettings) -> None:
        if events:
            body = urlencode({"payload": json.dumps({"events": events})}).encode()
            now = self._clock.now()
            about = {"events": [f"{one['type']}/{one['action']}/{one['id']}" for one in events]}
            self.outbox.put("events", f"events {rows[0]['id']}", about, body, now, now, settings)

    def _shown(self, row: dict[str, Any], settings: PluginSettings) -> dict[str, Any]:
        at = datetime.fromisoformat(row["at"]).astimezone(ZoneInfo(settings.time_zone))
        return {
            "type": row["type"], "action": settings.actions.get(row["action"], row["action"].lower()),
            "date": f"{at:%Y-%m-%d %H:%M:%S}.{row['id'] * 7919 % 1_000_000:06d}", "id": row["reference"],
        }  # fmt: skip


def signature(secret: str, at: int, body: bytes, *, is_good: bool = True) -> str:
    """``t=<unix>,v1=<hex>``: HMAC-SHA-256 of ``<t>.<raw body>``."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest if is_good else digest[::-1]}"
