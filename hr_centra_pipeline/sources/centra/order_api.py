"""Centra's REST Order API: the only way to make an order. It has an address and a key of its own."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from hr_centra_pipeline.core import addresses
from hr_centra_pipeline.sources.calls.credential import Credential
from hr_centra_pipeline.sources.centra.centra_errors import Permanent, Transient, UnknownOutcome
from hr_centra_pipeline.sources.centra.judged import shown
from hr_centra_pipeline.sources.centra.transport import BeforeCall, Clock, Reply, Sleep, Transport

CREATE_ORDER = "POST /order"
READ_ORDER = "GET /orders"
NUMBER_IS_TAKEN = -5
OUT_OF_STOCK = -2
_NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_CODE = re.compile(r"-?[0-9]{1,6}", re.ASCII)


@dataclass(frozen=True)
class OrderAnswer:
    """``refusal`` and ``code``: why Centra made nothing; else ``numbers`` are those of the orders made (it may split
    one call into several). ``latency`` in seconds.
    """

    numbers: tuple[str, ...]
    refusal: str | None
    code: int | None
    body: Mapping[str, Any]
    request_id: str
    http_status: int
    latency: float


class OrderApiClient:
    """Makes and reads orders. Not for several threads at once."""

    def __init__(
        self,
        url: str,
        key: SecretStr | str,
        *,
        clock: Clock = time.time,
        sleep: Sleep = time.sleep,
        before_call: BeforeCall = lambda: None,
    ) -> None:
        self._url = url.rstrip("/")
        credential = Credential("API-Authorization", key, variable="CENTRA_ORDER_API_KEY")
        self._transport = Transport(
            credential, vendor="Centra's Order API", clock=clock, sleep=sleep, before_call=before_call
        )

    def __repr__(self) -> str:
        return f"OrderApiClient({addresses.shown(self._url)!r})"

    def create_order(self, body: Mapping[str, Any], *, gate: BeforeCall = lambda: None) -> OrderAnswer:
        """``POST /order``; Decimals are written as exact JSON numbers. ``gate`` is passed right before it leaves.

        Raises:
            Transient, Permanent, UnknownOutcome: as for the GraphQL client. A refusal is an answer, not an error.
        """
        reply = self._transport.send(
            "POST", f"{self._url}/order", operation=CREATE_ORDER, writes=True, body=body, gate=gate
        )
        numbers, is_refused = _numbers(reply.body), reply.body.get("status") == "no"
        if is_refused and numbers == ():
            return _answer(reply, (), shown(reply.body.get("msg") or "refused without a reason"))
        if not numbers or is_refused:
            problem = "it said neither no nor an order number, or both. Whether an order was made must be looked up."
            raise self._transport.refused(UnknownOutcome, CREATE_ORDER, problem, reply)
        return _answer(reply, numbers, None)

    def read_order(self, number: int | str) -> dict[str, Any] | None:
        """``GET /orders?order=N``: one order as this API shows it (times without offset, its number as ``orderId``).

        ``None``: not shown, which does not prove that the number is free: the plugin shows only its own markets, and only
        the statuses that are ticked in it.

        Raises:
            Transient: it shows no orders at all; and as for the GraphQL client.
            Permanent: its orders have no ``orderId``.
        """
        reply = self._transport.send(
            "GET", f"{self._url}/orders", operation=READ_ORDER, writes=False, query={"order": str(number)}
        )
        if reply.body.get("status") == "no":
            return None
        found = reply.body.get("orders")
        if not isinstance(found, list):
            raise self._transport.refused(Transient, READ_ORDER, "the answer holds no orders. Try again later.", reply)
        if found and not any(isinstance(one, Mapping) and "orderId" in one for one in found):
            problem = (
                "its orders have no orderId, so that they cannot be distinguished. An update of hr-centra is needed."
            )
            raise self._transport.refused(Permanent, READ_ORDER, problem, reply)
        orders = [one for one in found if isinstance(one, Mapping)]
        return next((dict(one) for one in orders if shown(one.get("orderId")) == str(number)), None)


def _numbers(body: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The numbers of the orders that were made; ``None``: something is there in their place that is not a number."""
    given = body.get("orders") or body.get("order") or []
    each = given if isinstance(given, list) else [given]
    numbers = [one.get("order") if isinstance(one, Mapping) else one for one in each]
    if not all(isinstance(one, str | int) and _NUMBER.fullmatch(shown(one)) for one in numbers):
        return None
    return tuple(shown(one) for one in numbers)


def _answer(reply: Reply, numbers: tuple[str, ...], refusal: str | None) -> OrderAnswer:
    code = shown(reply.body.get("code")).strip()
    return OrderAnswer(
        numbers=numbers,
        refusal=refusal,
        code=int(code) if refusal is not None and _CODE.fullmatch(code) else None,
        body=reply.body,
        request_id=reply.request_id,
        http_status=reply.http_status,
        latency=reply.latency,
    )
