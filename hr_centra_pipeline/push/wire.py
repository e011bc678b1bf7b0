"""The calls of a packet: committed before they leave, their outcome kept afterwards, nothing personal in either."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from hr_centra_pipeline.push.guards import Gate
from hr_centra_pipeline.push.journal import Attempt, Journal
from hr_centra_pipeline.push.packets import Packet
from hr_centra_pipeline.sources.centra import operations
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.errors import CentraError, UnknownOutcome
from hr_centra_pipeline.sources.centra.order_api import CREATE_ORDER, OrderApiClient
from hr_centra_pipeline.warehouse.database import Warehouse

_PERSONAL = frozenset({"address", "deliveryAddress", "invoiceAddress", "email", "customerId"})
_OUR_LINE = re.compile(r"\[hr-centra [^\]\n]*\]")
_PAGE_SIZE = 100


@dataclass(frozen=True)
class Call:
    """One writing call: the name of a GraphQL operation with its variables, or an Order API call with its body."""

    operation: str
    variables: Mapping[str, Any]


@dataclass(frozen=True)
class Answered:
    """What a writing call came to. ``refusal``: Centra said no and did nothing; ``path`` to what it is about."""

    payload: Mapping[str, Any]
    refusal: str | None = None
    path: tuple[str, ...] = ()
    code: int | None = None


@dataclass
class Wire:
    """Reads freely; writes through the gate and the journal. ``begun``: the packet as the journal has it since its last call."""

    client: CentraClient
    order_api: OrderApiClient
    warehouse: Warehouse
    journal: Journal
    gate: Gate
    writes: int = 0
    clock: Callable[[], float] = time.monotonic
    _begun: dict[str, Packet] = field(default_factory=dict)

    def read(self, operation: str, variables: Mapping[str, Any], *, is_personal: bool = False) -> dict[str, Any]:
        """The data of a query."""
        return self.client.execute(operation, variables).data

    def read_all(self, operation: str, variables: Mapping[str, Any], connection: str) -> list[dict[str, Any]]:
        """Every node of a connection."""
        return [node for page in self.client.pages(operation, variables, connection, _PAGE_SIZE) for node in page]

    def begun(self, packet: Packet) -> Packet:
        """The packet as it was committed before its last call; itself when none was made."""
        return self._begun.get(packet.key, packet)

    def forget(self, packet: Packet) -> None:
        """The packet's state was settled."""
        self._begun.pop(packet.key, None)

    def write(self, packet: Packet, call: Call) -> Answered:
        """Make one writing call of the packet's step.

        Raises:
            Halted: the kill switch is on or the time is up; nothing left.
            Transient, Permanent: nothing was done.
            UnknownOutcome: nobody knows.
        """
        self.gate.check()
        attempt = Attempt(
            attempt_id=secrets.token_hex(8),
            packet_key=packet.key,
            step=packet.step,
            operation=call.operation,
            real_started_at=datetime.now(UTC),
            request=redacted(call.variables),
        )
        self._begun[packet.key] = self.journal.begin(self.begun(packet), attempt)
        self.writes += 1
        started = self.clock()
        try:
            answered, request_id, status = self._send(call)
        except CentraError as error:
            outcome = "unknown" if isinstance(error, UnknownOutcome) else "not_done"
            self.journal.keep(
                replace(
                    attempt, outcome=outcome, request_id=error.request_id, http_status=error.http_status,
                    latency_ms=self._since(started), message=str(error),
                )
            )  # fmt: skip
            raise
        self.journal.keep(
            replace(
                attempt, outcome="refused" if answered.refusal else "done", request_id=request_id, http_status=status,
                latency_ms=self._since(started), message=answered.refusal, response=redacted(answered.payload),
            )
        )  # fmt: skip
        return answered

    def _since(self, started: float) -> int:
        return round(1000 * (self.clock() - started))

    def _send(self, call: Call) -> tuple[Answered, str, int]:
        if call.operation == CREATE_ORDER:
            made = self.order_api.create_order(call.variables)
            return Answered(made.body, made.refusal, (), made.code), made.request_id, made.http_status
        answer = self.client.execute(call.operation, call.variables)
        payload = answer.data[operations.load(call.operation).mutations[0]]
        if not answer.errors:
            return Answered(payload), answer.request_id, answer.http_status
        refusal = "; ".join(str(error.get("message")) for error in answer.errors)
        path = tuple(str(part) for part in answer.errors[0].get("path") or ())
        return Answered(payload, refusal, path), answer.request_id, answer.http_status

    def refused_units(self, packet: Packet) -> set[str]:
        """Units of the packet that are refused by now, or whose approval was withdrawn, as last read."""
        with self.warehouse.transaction() as connection:
            rows = connection.execute(
                "select return_item_id from effects.units where is_refused and return_item_id in (select unnest(?::varchar[]))",
                [packet.payload["units"]],
            ).fetchall()
        return {unit for (unit,) in rows}


def redacted(value: Any) -> Any:
    """A request or answer without anything personal: no address, and of a comment only our own lines and keys."""
    if isinstance(value, Mapping):
        return {name: "…" if name in _PERSONAL else _comment(name, inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [redacted(inner) for inner in value]
    return value


def _comment(name: str, value: Any) -> Any:
    if name == "internalComment" and isinstance(value, str) and "[hr-centra " in value:
        return "\n".join(_OUR_LINE.findall(value))
    return redacted(value)
