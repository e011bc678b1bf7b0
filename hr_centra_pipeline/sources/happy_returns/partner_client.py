"""Happy Returns' partner API, of which only what reads is called: look-ups of returns, outbound shipments, the check of the key.

Nothing is repeated but what a full bucket (429) turned away: everything else is asked again by a later run.
"""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import parse_qs, quote, urlsplit

import requests
import simplejson
from pydantic import SecretStr

from hr_centra_pipeline.core import addresses
from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed, Unreachable
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.sources.calls.bounded import BoundedSession, Received, Unbounded
from hr_centra_pipeline.sources.calls.credential import Credential
from hr_centra_pipeline.sources.calls.outcomes import is_about_certificate, no_number, was_never_sent
from hr_centra_pipeline.sources.happy_returns.partner_bucket import FILE, Clock, LeakyBucket, Sleep
from hr_centra_pipeline.sources.happy_returns.partner_facts import ApiFacts

VENDOR = "Happy Returns' partner API"
Criterion = Literal["orderNumber", "happyReturnsExpressCode"]
"""What a return is looked up by. The API takes an e-mail, too, which is never sent."""
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
Call = Literal["returns", "outbound_shipments", "shipment_contents", "webhooks"]
READS: Mapping[Call, tuple[str, str]] = {
    "returns": ("POST", "/return"),
    "outbound_shipments": ("GET", "/outbound-shipments"),
    "shipment_contents": ("GET", "/outbound-shipment/{id}"),
    "webhooks": ("GET", "/webhooks"),
}
"""Everything that is ever requested. Others of its calls refund, expire and book: there is no way to them here."""

_MOST_BYTES = 16 * 2**20  # of an answer, unpacked
_MOST_SECONDS = 60.0
_ATTEMPTS = 4  # of a call that meets a full bucket
_LONGEST_WAIT = 300.0  # seconds, for one call in all
_USUAL_WAIT = 10.0  # seconds, when a full bucket does not say how long
_MOST_OF_A_WAIT = 120.0
_LONGEST_CURSOR = 2_000
_LONGEST_VALUE = 100
_SHOWN = 300
_SHIPMENT = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_ACCESS = frozenset({requests.codes.unauthorized, requests.codes.forbidden})
_NUMBER = r"[\"':=\s(of]{0,12}(\d{1,6}(?:\.\d{1,6})?)\s*(ms|milliseconds?)?"
_WAITS = tuple(
    re.compile(pattern + _NUMBER, re.IGNORECASE)
    for pattern in (
        r"bucket[\s_-]*size", r"retry[\s_-]*(?:after|in)", r"(?:try|again)[\s_-]*(?:again[\s_-]*)?(?:in|after)",
        r"wait(?:[\s_-]*(?:for|seconds?|time))?", r"bucket", r"seconds",
    )
)  # fmt: skip
_RATE = re.compile(r"limit[\s\"':=]{0,5}(\d{1,4}(?:\.\d{1,8})?)\s*requests?\s*(?:/|per)\s*s", re.IGNORECASE)
_ENDS = ("hasNextPage", "hasNext", "has_next", "hasMore", "has_more")
_HOLDERS = ("", "pageInfo", "page", "paging", "pagination", "meta")


class PartnerRefused(RunFailed):
    """The key or the address is refused: every other call will be, until a person changes something."""


@dataclass(frozen=True)
class Answer:
    """What one call answered. ``problem``: why nothing of it can be used; ``rows``: entries of its list.

    ``cursor``: of the next page. Without a body nothing was found. ``was_asked``: false of what nothing can be asked by.
    """

    http_status: int | None
    data: bytes = b""
    body: Any = None
    rows: int = 0
    cursor: str | None = None
    problem: str | None = None
    was_asked: bool = True

    @property
    def sha256(self) -> str | None:
        """Of its body."""
        return hashlib.sha256(self.data).hexdigest() if self.data else None


@dataclass(frozen=True)
class ListedShipment:
    """An outbound shipment as a list names it. ``content_sha256``: of what the list says of it."""

    shipment_id: str
    content_sha256: str


class PartnerApi:
    """Reads, as fast as the bucket lets us. Not for several threads at once.

    ``before_call`` runs before each request: what the caller holds open and should not hold while it waits.
    """

    def __init__(
        self,
        url: str,
        key: SecretStr | str,
        retailer_id: str,
        bucket_path: Path,
        facts: ApiFacts | None = None,
        *,
        clock: Clock = time.time,
        sleep: Sleep = time.sleep,
        before_call: Callable[[], object] = lambda: None,
    ) -> None:
        self.facts = facts or ApiFacts()
        self._url = _checked(url)
        if not retailer_id or not retailer_id.isprintable() or len(retailer_id) > _LONGEST_VALUE:
            raise ConfigurationError(
                "HAPPY_RETURNS_RETAILER_ID: not set, and each look-up names it. It is the retailer's slug, as the exports show it."
            )
        self.retailer_id = retailer_id
        self._credential = Credential("X-Hr-Apikey", key, variable="HAPPY_RETURNS_API_KEY")
        self._session = BoundedSession(self._credential, most_bytes=_MOST_BYTES, most_seconds=_MOST_SECONDS)
        self._bucket = LeakyBucket(bucket_path, self.facts.requests_per_second, clock=clock, sleep=sleep)
        self._before_call = before_call
        self.requests = 0  # that left
        self.limited = 0  # of them with 429
        self.wait_left = math.inf  # seconds that all calls together may still wait

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        facts: ApiFacts | None = None,
        *,
        sleep: Sleep = time.sleep,
        before_call: Callable[[], object] = lambda: None,
    ) -> PartnerApi | None:
        """The API of the settings; ``None``: there is no key.

        Raises:
            ConfigurationError: there is a key, and the address or the retailer is missing or wrong.
        """
        if not settings.partner_api_key.get_secret_value():
            return None
        return cls(
            settings.partner_api_url, settings.partner_api_key, settings.retailer_id, settings.home / FILE, facts,
            sleep=sleep, before_call=before_call,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"PartnerApi({addresses.shown(self._url)!r})"

    def returns(self, criterion: Criterion, value: str, cursor: str | None = None) -> Answer:
        """``POST /return``: one page of the units of the returns that one criterion finds. Status 204: there is none.

        Raises:
            Unreachable: there is no answer; a later run may get one.
            PartnerRefused: the key or the address is refused.
        """
        if criterion not in CRITERIA:
            raise ValueError(f"{criterion} is not what returns are looked up by")
        if not value or len(value) > _LONGEST_VALUE or not value.isprintable():
            problem = "not asked: its number or code is empty, too long or has characters that cannot be shown"
            return Answer(None, problem=problem, was_asked=False)
        body = {"happyReturnsRetailerID": self.retailer_id, criterion: value}
        if cursor is not None:
            body[self.facts.cursor_parameter] = cursor
        answer = self._asked("returns", body=body)
        if answer.problem or answer.body is None:
            return answer
        if not isinstance(answer.body, dict):
            return _odd(answer, f"its answer is a JSON {_kind(answer.body)}, not an object")
        return self._with_rows(answer, self.facts.items, cursor)

    def outbound_shipments(self, start: datetime, end: datetime) -> Answer:
        """``GET /outbound-shipments`` of a window.

        Raises:
            Unreachable, PartnerRefused: as ``returns``.
        """
        query = {
            "retailerID": self.retailer_id, "startDateTime": _instant(start), "endDateTime": _instant(end),
        }  # fmt: skip
        answer = self._asked("outbound_shipments", query=query)
        return answer if answer.problem or answer.body is None else self._with_rows(answer, self.facts.shipments, None)

    def listed(self, answer: Answer) -> tuple[list[ListedShipment], int]:
        """The shipments of a list, and how many of its entries name none."""
        entries = _list_at(answer.body, self.facts.shipments) or []
        found, nameless = [], 0
        for entry in entries:
            shipment_id = entry if isinstance(entry, str | int) else _first(entry, self.facts.shipment_ids)
            text = str(shipment_id) if isinstance(shipment_id, str | int) and not isinstance(shipment_id, bool) else ""
            if not _SHIPMENT.fullmatch(text):
                nameless += 1
                continue
            content = simplejson.dumps(entry, use_decimal=True, sort_keys=True).encode()
            found.append(ListedShipment(text, hashlib.sha256(content).hexdigest()))
        return found, nameless

    def shipment_contents(self, shipment_id: str, after: str | None = None) -> Answer:
        """``GET /outbound-shipment/{id}``: one page of its units.

        Raises:
            Unreachable, PartnerRefused: as ``returns``.
        """
        if not _SHIPMENT.fullmatch(shipment_id):
            problem = "not asked: its id has characters that an id does not have"
            return Answer(None, problem=problem, was_asked=False)
        query = {"page[size]": str(self.facts.page_size)} | ({} if after is None else {"page[after]": after})
        answer = self._asked("shipment_contents", query=query, shipment_id=shipment_id)
        return answer if answer.problem or answer.body is None else self._with_rows(answer, self.facts.contents, after)

    def check_key(self) -> Answer:
        """``GET /webhooks``, which answers 200 to a valid key.

        Raises:
            Unreachable, PartnerRefused: as ``returns``.
        """
        return self._asked("webhooks")

    # ---------------------------------------------------------------- one call

    def _asked(
        self,
        call: Call,
        *,
        body: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        shipment_id: str = "",
    ) -> Answer:
        method, path = READS[call]
        url = self._url + path.replace("{id}", quote(shipment_id, safe=""))
        left = _LONGEST_WAIT
        for attempt in range(_ATTEMPTS):
            received = self._sent(call, method, url, body, query)
            if isinstance(received, Answer):
                return received
            if received.status_code != requests.codes.too_many_requests:
                return self._read(call, received)
            self.limited += 1
            text = received.content[:2_000].decode("utf-8", "replace")
            if (rate := rate_of(text)) is not None:
                self._bucket.slow_down(rate)
            # Others of the same partner may fill it, too: each further 429 waits longer than it asks for.
            wait = min(max(wait_of(text), self._bucket.interval) * 2**attempt, _MOST_OF_A_WAIT)
            if wait > left:
                break
            left -= wait
            self._bucket.hold(wait)
        raise self._unreachable(
            call, "its bucket stays full: another program uses the same key. The next run asks again."
        )

    def _sent(
        self, call: Call, method: str, url: str, body: Mapping[str, str] | None, query: Mapping[str, str] | None
    ) -> Received | Answer:
        self._before_call()
        waited = self._bucket.take(self.wait_left)
        if waited is None:
            raise self._unreachable(
                call,
                "it would have to wait for longer than a run may ([partner_api] wait_seconds_per_run): the next one asks again.",
            )
        self.wait_left -= waited
        self.requests += 1
        headers = {"Accept": "application/json"} | ({} if body is None else {"Content-Type": "application/json"})
        data = None if body is None else simplejson.dumps(dict(body)).encode()
        try:
            return self._session.exchange(method, url, params=query, data=data, headers=headers)
        except Unbounded as error:
            return Answer(None, problem=f"{error}; reading stopped")
        except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, requests.exceptions.InvalidSchema):
            raise ConfigurationError(
                f"HAPPY_RETURNS_API_URL={addresses.shown(self._url)}: is not an address."
            ) from None
        except requests.RequestException as error:
            if is_about_certificate(error):
                problem = "its certificate is not trusted. Correct HAPPY_RETURNS_API_URL, or install the certificate."
                raise PartnerRefused(f"{VENDOR} ({call}): {problem}") from None
            if was_never_sent(error):
                raise self._unreachable(call, f"no connection ({type(error).__name__})") from None
            return Answer(None, problem=f"the connection broke before the answer was complete ({type(error).__name__})")

    def _read(self, call: Call, received: Received) -> Answer:
        status, data = received.status_code, received.content
        if status in _ACCESS:
            step = "Make a new key in Happy Returns' dashboard (settings, API access), and set HAPPY_RETURNS_API_KEY."
            raise PartnerRefused(f"{VENDOR} ({call}): the key is refused (HTTP {status}). {step}")
        if (status == requests.codes.not_found and call != "shipment_contents") or 300 <= status < 400:
            step = "Correct HAPPY_RETURNS_API_URL."
            raise PartnerRefused(f"{VENDOR} ({call}): there is nothing at this address (HTTP {status}). {step}")
        if status == requests.codes.no_content:
            return (
                Answer(status, data, problem="it says 204 (nothing) and sends a body")
                if data.strip()
                else Answer(status)
            )
        if status != requests.codes.ok:
            return Answer(status, data, problem=f"it answered {status}: {self._words(data)}".rstrip(": "))
        if not data.strip():
            return Answer(status, problem="it says 200 and sends no body")
        kind = received.headers.get("Content-Type", "")
        if "html" in kind.lower() or data.lstrip()[:1] == b"<":
            return Answer(status, data, problem="its answer is a page for people (HTML), not JSON")
        try:
            body = simplejson.loads(data, use_decimal=True, parse_constant=no_number)
        except (ValueError, RecursionError, ArithmeticError) as error:
            why = str(error)[:120] or type(error).__name__
            return Answer(status, data, problem=f"its answer is not JSON, or is cut off ({why})")
        if not isinstance(body, dict | list):
            return Answer(status, data, problem=f"its answer is a JSON {_kind(body)}, not an object")
        return Answer(status, data, body)

    def _with_rows(self, answer: Answer, paths: Sequence[str], cursor: str | None) -> Answer:
        rows = _list_at(answer.body, paths)
        if rows is None:
            return _odd(answer, f"its answer has no list of {paths[0]}")
        following = self._cursor(answer.body, cursor) if rows else None
        return Answer(answer.http_status, answer.data, answer.body, len(rows), following)

    def _cursor(self, body: Any, sent: str | None) -> str | None:
        if not isinstance(body, Mapping) or any(
            _at(body, f"{holder}.{name}".lstrip(".")) is False for holder in _HOLDERS for name in _ENDS
        ):
            return None
        for path in self.facts.cursors:
            given = _at(body, path)
            if isinstance(given, int) and not isinstance(given, bool):
                given = str(given)
            if not isinstance(given, str) or not 0 < len(given) <= _LONGEST_CURSOR or not given.isprintable():
                continue
            text = _of_an_address(given, self.facts.cursor_parameter)
            if text and text != sent:  # the one that was sent, repeated, leads nowhere
                return text
        return None

    def _words(self, data: bytes) -> str:
        """The vendor's own words in a refusal, cut short; nothing of them that may be a person's."""
        text = " ".join(data[:4_000].decode("utf-8", "replace").split())
        if text[:1] == "<":
            return "a page for people (HTML)"
        hidden = self._credential.hidden(re.sub(r"\S+@\S+", "***", text))
        return "".join(one if one.isprintable() else "?" for one in hidden[:_SHOWN])

    def _unreachable(self, call: Call, problem: str) -> Unreachable:
        return Unreachable(f"{VENDOR} ({call}) at {addresses.shown(self._url)}: {problem}")


def wait_of(text: str) -> float:
    """Seconds that the body of a 429 asks to wait: ``leaky bucket size X`` and other ways to say it; bounded.

    There is no ``Retry-After``; what says nothing is given ten seconds.
    """
    for pattern in _WAITS:
        if found := pattern.search(text):
            seconds = float(found[1]) / (1000 if found[2] else 1)
            return min(seconds, _MOST_OF_A_WAIT)
    return _USUAL_WAIT


def rate_of(text: str) -> float | None:
    """Requests a second that the body of a 429 says are allowed; ``None``: it does not say."""
    found = _RATE.search(text)
    rate = float(found[1]) if found else 0.0
    return max(rate, 0.01) if rate > 0 else None


def _checked(url: str) -> str:
    """An address that a key may be sent to.

    Raises:
        ConfigurationError: it is none, or would send the key in the clear to another machine.
    """
    shown = addresses.shown(url)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigurationError(f"HAPPY_RETURNS_API_URL={shown}: is not an address.") from None
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or parts.username:
        raise ConfigurationError(f"HAPPY_RETURNS_API_URL={shown}: write it like https://partner.happyreturns.com.")
    if parts.scheme == "http" and not addresses.is_loopback(host):
        raise ConfigurationError(
            f"HAPPY_RETURNS_API_URL={shown}: is not encrypted, the key would travel in the clear. Write https://."
        )
    return url.rstrip("/")


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _at(value: Any, path: str) -> Any:
    for part in path.split(".") if path else ():
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def _first(value: Any, paths: Sequence[str]) -> Any:
    return next((found for path in paths if path and (found := _at(value, path)) not in (None, "")), None)


def _list_at(value: Any, paths: Sequence[str]) -> list[Any] | None:
    return next((found for path in paths if isinstance(found := _at(value, path), list)), None)


def _of_an_address(text: str, parameter: str) -> str:
    """A cursor; of an address of the next page the one in its query."""
    if "?" not in text:
        return "" if text.startswith(("http://", "https://")) else text
    query = parse_qs(urlsplit(text).query)
    return next((query[name][0] for name in (parameter, "cursor", "page[after]", "after") if name in query), "")


def _odd(answer: Answer, problem: str) -> Answer:
    return Answer(answer.http_status, answer.data, answer.body, problem=problem)


def _kind(value: Any) -> str:
    kinds = {list: "array", dict: "object", str: "text", bool: "truth value", type(None): "null"}
    return kinds.get(type(value), "number")
