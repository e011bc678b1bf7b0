"""Answers of Happy Returns' partner API, changed at random: used, refused by name, or the questions end."""

from __future__ import annotations

import json
import random
import re
import tempfile
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hr_centra_pipeline.core.errors import Unreachable
from hr_centra_pipeline.sources.calls.bounded import Received
from hr_centra_pipeline.sources.happy_returns.partner_client import Answer, PartnerApi, PartnerRefused
from hr_centra_pipeline_tests.fuzz import ESCAPE, odd
from hr_centra_pipeline_tests.sources.happy_returns.partner import KEY, RETAILER, Time, unit

SHARE = 0.5
_FROM, _TO = datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 9, 2, tzinfo=UTC)
_STATUSES = (200, 200, 200, 200, 200, 200, 201, 204, 302, 400, 401, 404, 429, 500, 503)
_TYPES = ("application/json", "application/json; charset=utf-8", "text/html", "text/plain", "", "\x00")
_FULL = '{ ErrorMessage: "too many requests: limit 0.500000 requests/sec, leaky bucket size 30" }'
_LONGEST_WAIT = 400.0  # seconds, for one call


class _Session:
    """In place of a connection: always the same answer."""

    def __init__(self) -> None:
        self.answer = Received(200)

    def exchange(self, *_: Any, **__: Any) -> Received:
        return self.answer


def run(count: int, seed: int) -> Counter[str]:
    """Outcomes of so many answers."""
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        time, session = Time(), _Session()
        api = PartnerApi("http://127.0.0.1:1", KEY, RETAILER, Path(folder) / "bucket", clock=time, sleep=time.sleep)
        api._session = session  # type: ignore[assignment]
        for _ in range(count):
            session.answer = _answer(rng)
            time.slept.clear()
            try:
                outcomes[_asked(api, rng)] += 1
            except Unreachable:
                outcomes["no more questions: unreachable"] += 1
            except PartnerRefused:
                outcomes["no more questions: key or address"] += 1
            except Exception as error:  # noqa: BLE001 - whatever comes out is what is looked for
                outcomes[f"{ESCAPE}: {type(error).__name__}: {str(error)[:100]!r} (seed {seed})"] += 1
            if sum(time.slept) > _LONGEST_WAIT:
                outcomes[f"{ESCAPE}: waited {sum(time.slept):.0f} s (seed {seed})"] += 1
    return outcomes


def _answer(rng: random.Random) -> Received:
    status = rng.choice(_STATUSES)
    body: Any = rng.choice((
        {"items": [unit(), unit(2)], "cursor": "c2"},
        {"shipments": [{"shipmentID": "45678", "itemCount": 3}, {"id": 7}]},
        {"shipmentID": "45678", "items": [unit()], "page": {"hasNextPage": True, "endCursor": "x"}},
        {"items": [unit()], "links": {"next": "https://partner.example.com/return?cursor=c2"}},
        [{"id": "1"}],
    ))  # fmt: skip
    data = json.dumps(odd.changed(body, rng) if rng.random() < 0.8 else body).encode()
    if status == 429:
        data = _FULL.encode()
    if rng.random() < 0.3:
        data = odd.bytes_changed(data, rng)
    kind = rng.choice(_TYPES) if rng.random() < 0.2 else _TYPES[0]
    headers: Mapping[str, str] = {"Content-Type": kind}
    return Received(status, data, headers)


def _asked(api: PartnerApi, rng: random.Random) -> str:
    match rng.randrange(3):
        case 0:
            answer = api.returns("orderNumber", "1001", rng.choice((None, "c1", "c2")))
        case 1:
            answer = api.outbound_shipments(_FROM, _TO)
            if answer.body is not None:
                found, nameless = api.listed(answer)
                if nameless < 0 or not all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", one.shipment_id) for one in found):
                    return f"{ESCAPE}: an id that is none"
        case _:
            answer = api.shipment_contents("45678", rng.choice((None, "x")))
    return _judged(answer)


def _judged(answer: Answer) -> str:
    if answer.problem is not None:
        if answer.rows or answer.cursor or len(answer.problem) > 500 or KEY in answer.problem:
            return f"{ESCAPE}: a refused answer that is used, or a reason without end"
        return "refused by name"
    if answer.cursor is not None and not (0 < len(answer.cursor) <= 2_000 and answer.cursor.isprintable()):
        return f"{ESCAPE}: a cursor that cannot be sent"
    return "used" if answer.rows else "nothing found"
