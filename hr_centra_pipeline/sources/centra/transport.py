"""One HTTP exchange with Centra, and what its outcome means for who sent it. Both of Centra's APIs go through here."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

import requests
import simplejson
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from hr_centra_pipeline.core import addresses
from hr_centra_pipeline.sources.calls.bounded import BoundedSession, Received, TooLarge, Unbounded
from hr_centra_pipeline.sources.calls.credential import Credential
from hr_centra_pipeline.sources.calls.outcomes import is_about_certificate, no_number, was_never_sent
from hr_centra_pipeline.sources.centra.centra_errors import (
    AnswerTooLarge,
    CentraError,
    Limited,
    Misconfigured,
    Permanent,
    Transient,
    UnknownOutcome,
)
from hr_centra_pipeline.sources.centra.judged import errors_in, shown, text_of_error
from hr_centra_pipeline.sources.centra.retry_after import seconds_to_wait
from hr_centra_pipeline.sources.centra.texts import whole_characters

Clock = Callable[[], float]  # Unix seconds: the real time, whatever time decisions are made for
Sleep = Callable[[float], None]
BeforeCall = Callable[[], object]

_ATTEMPTS = 4
_LIMITED_ATTEMPTS = 6
_LONGEST_WAIT = 900.0  # seconds, for one call in all
_LONGEST_ID = 100  # characters of a request id
_OUR_MISTAKE_BELOW = 500
_ACCESS = frozenset({401, 403, 404})  # token, key or address
_MAY_HOLD_HALVES = re.compile(rb"\\u[dD][89a-fA-F]")  # a surrogate, of a pair or alone
_CLOSED_BY_CENTRA = 499  # it ran too long: what it did is not reported


@dataclass(frozen=True)
class Reply:
    """A JSON object that came back. ``latency`` in seconds; ``server_time``: the other side's clock, if it sent one."""

    body: dict[str, Any]
    request_id: str
    http_status: int
    latency: float
    server_time: datetime | None = None


class _Again(Exception):
    """Certainly nothing was done: a reading call without an answer, or one that never left. It may be repeated."""

    def __init__(self, problem: str, http_status: int | None) -> None:
        super().__init__(problem)
        self.problem, self.http_status = problem, http_status


class Transport:
    """Sends to one API of Centra; ``before_call`` runs before each call. Not for several threads at once."""

    def __init__(
        self,
        credential: Credential,
        *,
        vendor: str,
        clock: Clock = time.time,
        sleep: Sleep = time.sleep,
        before_call: BeforeCall = lambda: None,
    ) -> None:
        self._credential, self._vendor = credential, vendor
        self._clock, self._sleep, self._before_call = clock, sleep, before_call
        self._session = BoundedSession(credential)
        self.requests = 0  # that were answered
        self.limited = 0  # of them with 429

    def send(
        self,
        method: str,
        url: str,
        *,
        operation: str,
        writes: bool,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        waits_out_limits: bool = True,
        gate: BeforeCall = lambda: None,
    ) -> Reply:
        """One call; reading ones are repeated a few times, writing ones only when Centra certainly did nothing.

        ``gate`` is passed right before the request leaves, after every wait; what it raises comes out as it is, and
        nothing was sent. Without ``waits_out_limits`` a 429 is ``Limited``: the caller looks again before it writes.

        Raises:
            Transient, Permanent, UnknownOutcome: see there.
        """
        call = _Call(method, url, operation, writes, body, query, str(uuid.uuid4()), waits_out_limits, gate)
        retrying = Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.5, max=20),
            retry=retry_if_exception_type(_Again),
            sleep=self._sleep,
            retry_error_callback=lambda state: self._gave_up(call, state),
        )
        reply: Reply = retrying(self._once, call)
        return reply

    def _once(self, call: _Call) -> Reply:
        left = _LONGEST_WAIT
        for attempt in range(_LIMITED_ATTEMPTS):
            started = time.monotonic()
            response = self._sent(call)
            latency = time.monotonic() - started
            self.requests += 1
            if response.status_code != requests.codes.too_many_requests:
                return self._read(call, response, latency)
            self.limited += 1
            asked = seconds_to_wait(response.headers.get("Retry-After"), self._clock())
            # Its clock may be behind ours: each further 429 waits a little longer than what was asked for.
            wait = max(10.0 if asked is None else asked, 0.5 * 2**attempt if attempt else 0.0)
            if not call.waits_out_limits:
                raise self._limited(call, wait)
            if wait > left:
                break
            left -= wait
            self._sleep(wait)
        problem = "its quota is used up for longer than we wait: try again later, or see which integration uses it"
        raise self._error(Transient, call, problem, requests.codes.too_many_requests)

    def _limited(self, call: _Call, wait: float) -> CentraError:
        limited = self._error(
            Limited, call, "its quota is used up. Nothing was done.", requests.codes.too_many_requests
        )
        assert isinstance(limited, Limited)  # noqa: S101 - made just now
        limited.seconds = wait
        return limited

    def _sent(self, call: _Call) -> Received:
        self._before_call()
        call.gate()
        try:
            return self._session.exchange(
                call.method,
                call.url,
                params=call.query,
                data=None if call.body is None else simplejson.dumps(call.body, use_decimal=True).encode(),
                headers={
                    "Content-Type": "application/json",
                    "Accept": "application/json",
                    "X-Request-Id": call.request_id,
                },
            )
        except Unbounded as error:
            self._given_up(call, error)
        except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, requests.exceptions.InvalidSchema):
            problem = f"{addresses.shown(call.url)!r} is not an address. Correct the address in the environment."
            raise self._error(Misconfigured, call, problem) from None
        except requests.RequestException as error:
            if is_about_certificate(error):
                problem = "its certificate is not trusted. Correct the address, or install the certificate."
                raise self._error(Misconfigured, call, problem) from None
            told = f"no connection ({type(error).__name__})"
            if was_never_sent(error):
                raise _Again(f"{told}; nothing was sent", None) from None
            self._doubtful(call, f"the connection broke ({type(error).__name__})", None)

    def _read(self, call: _Call, response: Received, latency: float) -> Reply:
        status = response.status_code
        if status == _CLOSED_BY_CENTRA or status >= _OUR_MISTAKE_BELOW or status == requests.codes.request_timeout:
            self._doubtful(call, f"it answered {status}", status)
        if status >= requests.codes.multiple_choices:
            kind = Misconfigured if status < requests.codes.bad_request or status in _ACCESS else Permanent
            raise self._error(kind, call, self._refusal(response), status)
        try:
            body = _json_object(response)
        except (ValueError, RecursionError, ArithmeticError) as error:
            self._doubtful(call, f"its answer is unreadable ({str(error)[:200] or type(error).__name__})", status)
        given_id = response.headers.get("X-Request-Id") or ""
        request_id = given_id if given_id.isprintable() and 0 < len(given_id) <= _LONGEST_ID else call.request_id
        return Reply(body, request_id, status, latency, _time_of(response))

    def _refusal(self, response: Received) -> str:
        told = _told(response)
        match response.status_code:
            case 401 | 403:
                step = "The token or key is wrong or has expired (tokens live 30 days): make a new one in Centra."
            case 404:
                step = "The address in the environment is wrong, or the endpoint is switched off in Centra."
            case status if status < requests.codes.bad_request:
                step = "It redirects elsewhere: put the final address into the environment."
            case _:
                step = "The request itself was refused: `hr-centra doctor` checks our operations against your Centra."
        return f"refused: {told} {step}"

    def _doubtful(self, call: _Call, problem: str, http_status: int | None) -> NoReturn:
        """Nobody knows whether it was done: a reading call is repeated, a writing one is not."""
        if call.writes:
            step = "Whether it was done is not known: it is looked up before anything is sent again."
            raise self._error(UnknownOutcome, call, f"{problem}. {step}", http_status) from None
        raise _Again(problem, http_status) from None

    def _given_up(self, call: _Call, error: Unbounded) -> NoReturn:
        """An answer without end. A reading call is not repeated: it would be as long again."""
        if call.writes:
            self._doubtful(call, str(error), None)
        kind = AnswerTooLarge if isinstance(error, TooLarge) else Transient
        raise self._error(kind, call, f"{error}. Nothing was changed; reading stopped.") from None

    def _gave_up(self, call: _Call, state: RetryCallState) -> NoReturn:
        last = state.outcome.exception() if state.outcome else None
        problem = last.problem if isinstance(last, _Again) else "no answer"
        status = last.http_status if isinstance(last, _Again) else None
        told = f"{problem}, {_ATTEMPTS} times in a row. Nothing was changed; try again later."
        raise self._error(Transient, call, told, status) from None

    def _error(self, kind: type[CentraError], call: _Call, problem: str, http_status: int | None = None) -> CentraError:
        return kind(
            self._credential.hidden(problem),
            operation=call.operation,
            request_id=call.request_id,
            http_status=http_status,
            vendor=self._vendor,
        )

    def refused(self, kind: type[CentraError], operation: str, problem: str, reply: Reply) -> CentraError:
        """An error about an answer that could be read."""
        return kind(
            self._credential.hidden(problem),
            operation=operation,
            request_id=reply.request_id,
            http_status=reply.http_status,
            vendor=self._vendor,
        )


@dataclass(frozen=True)
class _Call:
    method: str
    url: str
    operation: str
    writes: bool
    body: Mapping[str, Any] | None
    query: Mapping[str, str] | None
    request_id: str
    waits_out_limits: bool
    gate: BeforeCall


def _json_object(response: Received) -> dict[str, Any]:
    """The body, its numbers exact.

    Raises:
        ValueError: it is none.
    """
    content_type = response.headers.get("Content-Type", "")
    if "json" not in content_type.lower():
        raise ValueError(f"content type {content_type[:40]!r}")
    body = simplejson.loads(response.content, use_decimal=True, parse_constant=no_number)
    if _MAY_HOLD_HALVES.search(response.content):
        body = whole_characters(body)
    if not isinstance(body, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - unreadable, like the others
    return body


def _time_of(response: Received) -> datetime | None:
    try:
        at = parsedate_to_datetime(response.headers["Date"])
    except (LookupError, ValueError, TypeError, ArithmeticError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _told(response: Received) -> str:
    """The vendor's own words in a refusal, cut short."""
    try:
        body = _json_object(response)
        other = body.get("message") or body.get("msg")
        words = [text_of_error(error) for error in errors_in(body)] or ([shown(other)] if other else [])
        told = "; ".join(words)
    except (ValueError, RecursionError, ArithmeticError):
        told = ""
    return f"{told[:500] or f'HTTP {response.status_code}'}."
