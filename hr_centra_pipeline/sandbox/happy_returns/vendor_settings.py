"""What is not documented about Happy Returns' webhooks and its partner API, as settings."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from hr_centra_pipeline.sandbox.webhooks.outbox import Delivery, Mishaps

RETAILER = "demo-shop"
TOPICS = ("return.asn", "return.label.update", "outbound_shipment.asn", "outbound_shipment.asn.v2")


@dataclass(frozen=True)
class HappyReturnsSettings(Mishaps):
    """How it pushes (webhooks), what its items look like (both feeds), and how its API answers.

    ``fields``: ``inferred``, or ``documented`` for the twelve that the vendor's page shows. ``times``: how the names of
    times end: ``At`` or ``Date``. ``blanks``: how a value that the shop's platform did not pass is written: ``empty``,
    ``null``, ``absent`` or ``mixed``; the same for ``otherEvents`` without a member. ``units``: whether an event names
    ``all`` units of its order, or those that ``changed``. ``words``: status of a row -> ``typeID``.
    ``method_changes``, ``surprises``: share of the returns whose shopper chooses another method first; share of the
    events that bring something unknown (a key, an event, a word).
    ``cursor_key``, ``last_cursor``: name of the next page's cursor, and what it is on the last page.
    ``matches_any_hash``: an order number is found with and without its ``#``.
    """

    holds_seconds: float = 60.0
    topics: tuple[str, ...] = TOPICS
    # Not documented, assumption: behaviour.return_event_signature
    signature_algorithm: str = "sha256"
    signature_prefix: str = ""
    # Not documented, assumption: behaviour.return_event_fields
    fields: str = "inferred"
    times: str = "At"
    blanks: str = "mixed"
    omits: tuple[str, ...] = ()
    units: str = "all"
    words: Mapping[str, str] = field(default_factory=lambda: {"partly-approved": "approved"})
    method_changes: float = 0.05
    surprises: float = 0.02
    # The partner API.
    # Not documented, assumption: behaviour.partner_api_cursor
    cursor_key: str = "cursor"
    last_cursor: str = "absent"
    page_items: int = 50
    matches_any_hash: bool = False
    requests_a_second: float = 0.5
    bucket_size: float = 1.0
    limits_shipments: bool = True

    def signed(self, delivery: Delivery) -> str:
        """The signature of a delivery's raw bytes."""
        digest = hmac.new(delivery.secret.encode(), delivery.body, getattr(hashlib, self.signature_algorithm))
        text = digest.hexdigest()
        if delivery.signature == "bad":
            text = text[::-1] if text != text[::-1] else "0" * len(text)
        return self.signature_prefix + text
