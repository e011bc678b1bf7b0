"""What Happy Returns knows as signed webhook deliveries, with all that happens to deliveries on their way.

Each change of a return is one delivery with a fate: it arrives, arrives twice, behind the next one, days late, after a file that
holds the same, unsigned, or not at all. What did not arrive is repaired in the end by an export file or by an answer of the
partner API; refunds and their amounts come by file, as nothing else carries them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Protocol

from hr_centra_pipeline_tests.harness import Harness, Key

FATES = {
    "arrives": 10, "arrives twice": 3, "arrives behind the next": 3, "arrives late": 3, "is lost": 3, "is unsigned": 1,
    "is signed wrongly": 1, "arrives after its file": 2,
}  # fmt: skip
_LATE_HOURS = (1.0, 90.0)  # less than what passes before the verdict
# Columns of units by their names in a delivery.
_NAMES = {
    "return_id": "happyReturnsReturnID", "order_number": "orderNumber", "sku": "sku", "item_id": "happyReturnsItemID",
    "express_code": "happyReturnsExpressCode", "refund_type": "refundType", "exchange_sku": "exchangeSku",
    "dropoff_method": "dropoffMethod", "received_channel": "receivedChannel", "received_at": "receivedAt",
    "approved_at": "approvedAt", "disposition": "disposition", "warehouse_received_at": "warehouseReceivedAt",
}  # fmt: skip
_NOT_AT_THE_START = ("received_channel", "received_at", "approved_at", "disposition", "warehouse_received_at")
_MAY_BE_LEFT_OUT = (
    "express_code",
    "dropoff_method",
    "received_channel",
    "warehouse_received_at",
)  # decides nothing here
_NOISE = (
    b"", b"not JSON", b"[]", b"[" * 5_000, b'{"event": "return_photo_added", "typeID": "front", "items": []}',
    b'{"event": "return_status_updated", "typeID": "approved", "items": "none"}',
    b'{"event": "return_status_updated", "typeID": "approved", "items": [{"sku": 7}]}', b"\xff\xfe\x00\x01" * 300,
)  # fmt: skip


class Gate(Protocol):
    """Where deliveries are handed in. ``kills``: how often it was killed and started again."""

    kills: int

    def post(self, body: bytes, signature: str | None) -> str | None:
        """The id under which it is kept; ``None``: it was refused."""
        ...

    def close(self) -> None:
        """Nothing runs any more."""
        ...


@dataclass
class EventFeed:
    """The deliveries of one scenario. ``accepted``: those that were answered 2xx, by id, with the hash of the body."""

    harness: Harness
    gate: Gate
    secret: str
    random: Random
    answers: Path  # where an answer of the partner API waits for the next run
    fates: Counter[str] = field(default_factory=Counter)
    accepted: dict[str, str] = field(default_factory=dict)
    let_in: list[str] = field(default_factory=list)  # deliveries that ought to have been refused
    _late: list[tuple[datetime, bytes]] = field(default_factory=list)
    _behind: list[bytes] = field(default_factory=list)
    _missed: dict[Key, None] = field(default_factory=dict)
    _by_api: dict[Key, None] = field(default_factory=dict)
    _known: set[Key] = field(default_factory=set)
    _asked: int = 0

    # ---------------------------------------------------------------- sending

    def send(self) -> None:
        """What changed, each with its fate, and what was held back until now, in any order; at times something is repaired."""
        changed, now = self.harness.take_changes(), self.harness.clock.now()
        ready, self._behind = self._behind, []
        for of_return, units in self._by_return([one for one in changed if one[0] != "refunds"]):
            if of_return not in self._known and self.random.random() < 0.5:
                ready += self._on_its_way(self._started(of_return, units), [], now)
            ready += self._on_its_way(self._state(of_return, units), [of_return, *units], now)
            self._known |= {of_return, *units}
        # At once: an amount is waited for only until a day after the drop-off, and these were days ago.
        if refunds := [one for one in changed if one[0] == "refunds"]:
            self.harness.write_files(refunds)
        ready += [body for due, body in self._late if due <= now]
        self._late = [one for one in self._late if one[0] > now]
        if self.random.random() < 0.05:
            ready.append(self.random.choice(_NOISE))
        self.random.shuffle(ready)
        for body in ready:
            self._post(body)
        if self.random.random() < 0.4:
            self.repair()

    def settle(self) -> None:
        """Everything that is still under way arrives, and what was lost is repaired."""
        bodies = [*self._behind, *(body for _, body in self._late)]
        self._behind, self._late = [], []
        self.random.shuffle(bodies)
        for body in bodies:
            self._post(body)
        # What only an answer brought is asked for again: a database that was put back may not have it.
        self._missed |= self._by_api
        self._by_api = {}
        self.repair()

    def repair(self) -> None:
        """What no delivery brought is in the next file, or in an answer of the partner API."""
        missed, self._missed = self._missed, {}
        units = [one for one in missed if one[0] == "items"]
        if units and self.random.random() < 0.5:
            asked = self.random.sample(units, self.random.randint(1, len(units)))
            self._answer(asked)
            self._by_api |= dict.fromkeys(asked)
            missed = {one: None for one in missed if one not in set(asked)}
        if missed:
            self.fates["is repaired by a file"] += len(missed)
            self.harness.write_files(missed)

    # ---------------------------------------------------------------- one delivery

    def _on_its_way(self, body: bytes, rows: Sequence[Key], now: datetime) -> list[bytes]:
        """What arrives of it now. ``rows``: whose whole state it holds."""
        (fate,) = self.random.choices(list(FATES), list(FATES.values()))
        self.fates[fate] += 1
        rows = [one for one in rows if self.harness.has(one)]
        match fate:
            case "arrives twice":
                self._behind.append(body)
                return [body]
            case "arrives behind the next":
                self._behind.append(body)
                return []
            case "arrives late":
                self._late.append((now + timedelta(hours=self.random.uniform(*_LATE_HOURS)), body))
                return []
            case "arrives after its file":
                self.harness.write_files(rows)
                self._behind.append(body)
                return []
            case "is lost" | "is unsigned" | "is signed wrongly":
                self._missed |= dict.fromkeys(rows)
                if fate != "is lost" and self.gate.post(body, None if fate == "is unsigned" else secrets.token_hex(32)):
                    self.let_in.append(f"a delivery that {fate} was answered 2xx")
                return []
        return [body]

    def _post(self, body: bytes) -> None:
        delivery_id = self.gate.post(body, hmac.new(self.secret.encode(), body, "sha256").hexdigest())
        if delivery_id is not None:
            self.accepted[delivery_id] = hashlib.sha256(body).hexdigest()

    def _by_return(self, changed: Sequence[Key]) -> Iterable[tuple[Key, list[Key]]]:
        """(return on an order, its changed units): a delivery is about one order of one return."""
        found: dict[Key, list[Key]] = {}
        for one in changed:
            row = self.harness.row(one)
            units = found.setdefault(("returns", f"{row['return_id']}/{row['order_number']}"), [])
            if one[0] == "items":
                units.append(one)
        for of_return, units in found.items():
            if units:
                yield of_return, units

    # ---------------------------------------------------------------- bodies

    def _started(self, of_return: Key, units: Sequence[Key]) -> bytes:
        """The shopper has started it: nothing was handed in yet."""
        row = self.harness.row(of_return) if self.harness.has(of_return) else {}
        items = []
        for one in units:
            shown = self._shown({**self.harness.row(one), **dict.fromkeys(_NOT_AT_THE_START)})
            items.append({**shown, "startedAt": row.get("created_at")} if row and self.random.random() < 0.7 else shown)
        method = {"event": "return_dropoff_method_created", "typeID": "return-bar"}
        return _body("started", items, [method])

    def _state(self, of_return: Key, units: Sequence[Key]) -> bytes:
        """Units as they are now."""
        row = self.harness.row(of_return) if self.harness.has(of_return) else {"refund_status": "approved"}
        items = []
        for one in units:
            shown = self._shown(self.harness.row(one), is_known=one in self._known)
            if one in self._known or self.random.random() < 0.7:
                shown["updatedAt"] = self.harness.row(one)["updated_at"]
            if row.get("created_at"):
                shown["startedAt"] = row["created_at"]
            items.append(shown)
        return _body(str(row["refund_status"]), items, self.random.choice(([], None, ...)))

    def _shown(self, row: dict[str, Any], *, is_known: bool = False) -> dict[str, Any]:
        """``is_known``: what was told of the unit before may be left out."""
        shown: dict[str, Any] = {}
        for column, name in _NAMES.items():
            value = row.get(column)
            if is_known and column in _MAY_BE_LEFT_OUT and self.random.random() < 0.2:
                continue
            if value not in (None, ""):
                shown[name] = str(value)
            elif (blank := self.random.choice(("", None, ...))) is not ...:
                shown[name] = blank
        return shown

    def _answer(self, units: Sequence[Key]) -> None:
        """An answer of the partner API: units of any returns, as they are when it is asked."""
        self._asked += 1
        self.fates["is repaired by the API"] += len(units)
        items = [{**self._shown(row), "updatedAt": row["updated_at"]} for row in map(self.harness.row, units)]
        file = self.answers / f"{self._asked:06d}.json"
        file.with_suffix(".part").write_text(json.dumps({"items": items}), encoding="utf-8")
        file.with_suffix(".part").rename(file)


def _body(status: str, items: Sequence[dict[str, Any]], others: Any) -> bytes:
    body = {"event": "return_status_updated", "typeID": status, "retailerID": "modern-retailer", "items": items}
    return json.dumps(body if others is ... else {**body, "otherEvents": others}).encode()
