"""The partner API, as far as it reads: returns by one criterion, outbound shipments, and whether a key is good."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from hr_centra_pipeline.sandbox.happy_returns import payloads
from hr_centra_pipeline.sandbox.happy_returns.leaky_bucket import LeakyBucket
from hr_centra_pipeline.sandbox.happy_returns.records import Records
from hr_centra_pipeline.sandbox.happy_returns.vendor_settings import RETAILER, HappyReturnsSettings
from hr_centra_pipeline.sandbox.sandbox_clock import SandboxClock

Row = dict[str, Any]
_CRITERIA = {"orderNumber": "order_number", "email": "email", "happyReturnsExpressCode": "express_code"}
_LARGEST_PAGE, _USUAL_PAGE = 1000, 50


@dataclass
class Answer:
    """Status and body; ``None``: no body at all."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class PartnerServer:
    """Reads what Happy Returns' records say now. It has no connection of its own until it is asked something."""

    def __init__(self, path: Path, clock: SandboxClock, key: str, speed: float) -> None:
        self._path = path
        self._clock = clock
        self._key = key
        self._bucket = LeakyBucket(speed)
        self._opened: Records | None = None

    @property
    def _records(self) -> Records:
        if self._opened is None:
            self._opened = Records(self._path)
            self._opened.find_units_by_return()
        return self._opened

    def close(self) -> None:
        """Close the file, if it was opened."""
        if self._opened is not None:
            self._opened.close()

    # ---------------------------------------------------------------- before anything is looked up

    def refused(self, key: str | None, *, is_limited: bool, settings: HappyReturnsSettings) -> Answer | None:
        """401 without a key, 403 with a wrong one, 429 when the bucket is full."""
        if not key:
            return Answer(401, {"ErrorMessage": "missing API key"})
        if key != self._key:
            return Answer(403, {"ErrorMessage": "invalid API key"})
        if is_limited and (wait := self._bucket.take(settings.requests_a_second, settings.bucket_size)):
            return limited(wait, settings)
        return None

    def webhooks(self, urls: list[str]) -> Answer:
        """``GET /webhooks``: who is subscribed; used to check a key."""
        return Answer(200, {"webhooks": [{"url": url} for url in urls]})

    # ---------------------------------------------------------------- finding

    def find_returns(self, given: Any, settings: HappyReturnsSettings) -> Answer:
        """``POST /return``: all units that match exactly one criterion, page by page; 204 when there are none."""
        if not isinstance(given, dict) or not given.get("happyReturnsRetailerID"):
            return Answer(400, {"ErrorMessage": "happyReturnsRetailerID is required"})
        named = [name for name in _CRITERIA if given.get(name)]
        # Not documented, assumption: behaviour.partner_api_one_criterion
        if len(named) != 1:
            return Answer(400, {"ErrorMessage": f"give exactly one of {', '.join(_CRITERIA)}"})
        start = _place(given.get("cursor"))
        if start is None:
            return Answer(400, {"ErrorMessage": "invalid cursor"})
        # Not documented, assumption: behaviour.partner_api_order_number
        found = (
            [] if given["happyReturnsRetailerID"] != RETAILER else self._units(named[0], str(given[named[0]]), settings)
        )
        page = found[start : start + settings.page_items]
        if not page:
            # Not documented, assumption: behaviour.partner_api_nothing_found
            return Answer(204)
        body: Row = {"items": page}
        if start + settings.page_items < len(found):
            body[settings.cursor_key] = _cursor(start + settings.page_items)
        else:
            payloads.put_blank(body, settings.cursor_key, settings.last_cursor, Random(0))
        return Answer(200, body)

    def _units(self, name: str, value: str, settings: HappyReturnsSettings) -> list[Row]:
        values = [value]
        if name == "orderNumber" and settings.matches_any_hash:
            values = [value.lstrip("#"), f"#{value.lstrip('#')}"]
        column = _CRITERIA[name]
        matching = [
            row
            for one in values
            for row in self._records.rows(
                f"select state from rows where kind = 'items' and json_extract(state, '$.{column}') = ?"  # noqa: S608 - our own names
                " order by key",
                [one],
            )
        ]
        items = [json.loads(row["state"]) for row in matching]
        shown = []
        for item in sorted(items, key=lambda one: Random(str(one.get("item_id"))).random()):
            of = self._records.units_of(str(item.get("return_id")))[1].get(str(item.get("order_number")), {})
            unit = payloads.unit(item, of, settings)
            if settings.fields == "inferred" and of.get("refund_status"):
                unit["status"] = of["refund_status"]
            shown.append(unit)
        return shown

    # ---------------------------------------------------------------- outbound shipments

    def list_shipments(self, given: Mapping[str, str]) -> Answer:
        """``GET /outbound-shipments``: those that left in a window, by default in the last day."""
        now = self._clock.now()
        try:
            until = _instant(given["endDateTime"]) if given.get("endDateTime") else now
            # Not documented, assumption: behaviour.partner_api_shipment_window
            since = _instant(given["startDateTime"]) if given.get("startDateTime") else until - timedelta(days=1)
        except ValueError:
            return Answer(400, {"ErrorMessage": "startDateTime and endDateTime must be ISO 8601"})
        if not given.get("retailerID"):
            return Answer(400, {"ErrorMessage": "retailerID is required"})
        left: dict[str, list[Row]] = {}
        for row in self._records.rows("select state from rows where kind = 'shipments' order by key"):
            state = json.loads(row["state"])
            if given["retailerID"] == RETAILER:
                left.setdefault(str(state["shipment_id"]), []).append(state)
        heads = [payloads.shipment_head(name, rows) for name, rows in left.items()]
        shown = [head for head in heads if since <= datetime.fromisoformat(head["departureDate"]) < until]
        return Answer(200, {"shipments": sorted(shown, key=lambda head: str(head["shipmentID"]))})

    def shipment_contents(self, shipment_id: str, given: Mapping[str, str]) -> Answer:
        """``GET /outbound-shipment/{id}``: its units, page by page."""
        rows = self._records.shipment(shipment_id)
        try:
            size = int(given.get("page[size]") or _USUAL_PAGE)
        except ValueError:
            size = 0
        start = _place(given.get("page[after]"))
        if not rows:
            return Answer(404, {"ErrorMessage": "no such shipment"})
        if start is None or not 1 <= size <= _LARGEST_PAGE:
            return Answer(400, {"ErrorMessage": f"page[size] must be 1 to {_LARGEST_PAGE}, page[after] a cursor"})
        units = [payloads.second_form(row, *self._records.item_of(row)) for row in rows[start : start + size]]
        more = start + size < len(rows)
        page = {"hasNextPage": more, "endCursor": _cursor(start + size) if more else None}
        return Answer(200, {**payloads.shipment_head(shipment_id, rows), "items": units, "page": page})


def limited(wait: float, settings: HappyReturnsSettings) -> Answer:
    """429: how long to wait is in the body alone."""
    text = f"too many requests: limit {settings.requests_a_second:f} requests/sec, leaky bucket size {wait:g}"
    return Answer(429, {"ErrorMessage": text})


def with_unknown_words(body: Any) -> Any:
    """The same with words and keys that no document lists."""
    if isinstance(body, dict) and isinstance(body.get("items"), list) and body["items"]:
        first, *others = body["items"]
        changed = {**first, "status": "under-review", "dropoffMethod": "locker", "sustainabilityScore": 3.5}
        return {**body, "items": [changed, *others], "schemaRevision": 7}
    return {**body, "schemaRevision": 7} if isinstance(body, dict) else body


def _cursor(place: int) -> str:
    return base64.urlsafe_b64encode(f"after:{place}".encode()).decode()


def _place(cursor: Any) -> int | None:
    if not cursor:
        return 0
    try:
        return int(base64.urlsafe_b64decode(str(cursor)).decode().removeprefix("after:"))
    except ValueError:
        return None


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
