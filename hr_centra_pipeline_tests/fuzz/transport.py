"""Centra's answers at the transport: what our clients, models and tables make of what no schema would allow."""

from __future__ import annotations

import copy
import gzip
import json
import random
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import simplejson
from graphql import build_schema, introspection_from_schema

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sources.calls.bounded import BoundedSession, Received
from hr_centra_pipeline.sources.calls.credential import Credential
from hr_centra_pipeline.sources.centra import centra_contract, centra_landing, centra_operations, centra_staging
from hr_centra_pipeline.sources.centra.centra_errors import CentraError, Permanent, UnknownOutcome
from hr_centra_pipeline.sources.centra.centra_objects import Order, Return, Shipment, StockChange
from hr_centra_pipeline.sources.centra.centra_objects import Warehouse as CentraWarehouse
from hr_centra_pipeline.sources.centra.client import Answer, Asked, CentraClient
from hr_centra_pipeline.sources.centra.order_api import OrderApiClient
from hr_centra_pipeline.sources.centra.pull import consumer, with_all_lines
from hr_centra_pipeline.sources.centra.pull_progress import Pull
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests.fuzz import ESCAPE, odd
from hr_centra_pipeline_tests.sources.centra import payloads

SHARE = 4.0
_NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
_OVER_HTTP = 0.01  # of all inputs
_LANDED_EVERY = 500  # inputs: what fitted of them goes through the real tables
_JSON = {"Content-Type": "application/json"}
_POLICY = Policy.model_validate(
    {
        "cutover": datetime(2026, 6, 1, tzinfo=UTC), "dispositions": {"sellable": {"warehouse_id": 1}},
        "pays_through": {"refund": "centra", "gift-card": "elsewhere"}, "centra": {"page_size": 50, "reference_paths": ["a.0.b"]},
    }
)  # fmt: skip
_LIMITS = {
    "rateLimits": [{"type": "REQUEST_COUNT", "intervalSeconds": "TEN_SECONDS", "quota": 10**6, "remainingQuota": 10**6}]
}


def run(count: int, seed: int) -> Counter[str]:
    """Outcomes of so many answers: read, refused, in doubt, objects landed or refused by name."""
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, _raw_server() as (url, served):
        fuzzing = _Fuzzing(rng, Path(folder), url, served)
        for number in range(1, count + 1):
            try:
                outcomes[fuzzing.one()] += 1
            except Exception as error:  # noqa: BLE001 - whatever comes out is what is looked for
                outcomes[_escaped(error, seed)] += 1
            if number % _LANDED_EVERY == 0 or number == count:
                try:
                    fuzzing.land()
                except Exception as error:  # noqa: BLE001 - as above
                    outcomes[_escaped(error, seed)] += 1
    return outcomes


def _escaped(error: Exception, seed: int) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "?"
    return f"{ESCAPE}: {type(error).__name__} at {where}: {str(error)[:100]!r} (seed {seed})"


class _Answering:
    """A session in memory: our quotas are answered, anything else with what was given."""

    def __init__(self) -> None:
        self.given = Received(200)
        self.limits = _bytes({"data": _LIMITS})

    def exchange(self, *_: Any, data: bytes | None, **__: Any) -> Received:
        if data is not None and b'"ReadRateLimits"' in data:
            return Received(200, self.limits, _JSON)
        return self.given


class _Fuzzing:
    def __init__(self, rng: random.Random, folder: Path, url: str, served: dict[str, bytes]) -> None:
        self.rng, self.url, self.served = rng, url, served
        self.session = _Answering()
        self.now = 1_790_000_000.0
        self.rows: dict[centra_landing.Target, list[centra_landing.Row]] = {}
        self.warehouse = Warehouse(folder / "warehouse.duckdb")
        migrate.prepare(self.warehouse)
        with self.warehouse.transaction() as connection:
            write_policy(connection, _POLICY, "live")
        self.client = CentraClient("http://127.0.0.1/", "token", clock=self.clock, sleep=self.sleep)
        self.order_api = OrderApiClient("http://127.0.0.1", "key", clock=self.clock, sleep=self.sleep)
        self.client._transport._session = self.order_api._transport._session = self.session  # type: ignore[assignment]

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def one(self) -> str:
        """One input."""
        if self.rng.random() < _OVER_HTTP:
            return self.over_http()
        name = self.rng.choice(list(_EDGES))
        body, use = _EDGES[name]
        self.session.given = self.received(body(self.rng))
        return f"{name}: {use(self)}"

    def received(self, body: Any) -> Received:
        """A body changed as a value or as bytes, with status and headers as they may be."""
        rng = self.rng
        kind = rng.random()
        content = _bytes(odd.changed(body, rng) if kind < 0.9 else body)
        if kind >= 0.95:
            content = odd.bytes_changed(content, rng)
        status, headers = 200, dict(_JSON)
        if rng.random() < 0.1:
            status = rng.choice((200, 204, 301, 400, 401, 404, 408, 429, 499, 500, 503, 999))
            headers["Retry-After"] = rng.choice(("", "5", "x", "1e400", "-1", "9" * 400, "Wed, 99 Sep 2026", "nan"))
        if rng.random() < 0.1:
            headers[rng.choice(("Content-Type", "Date", "X-Request-Id"))] = rng.choice(
                ("", "text/html", "application/json; x", "Wed, 30 Sep 2026 12:00:00 GMT", "0" * 500, "\t", "Mon, 99")
            )
        return Received(status, content, headers)

    def over_http(self) -> str:
        """The same over a socket, its HTTP changed as well."""
        rng = self.rng
        body = self.received(_EDGES["warehouses"][0](rng)).content
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
        if rng.random() < 0.3:
            body, head = gzip.compress(body), head + b"Content-Encoding: gzip\r\n"
        answer = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        self.served["answer"] = odd.bytes_changed(answer, rng) if rng.random() < 0.5 else answer
        client = CentraClient(self.url, "token", clock=self.clock, sleep=self.sleep)
        credential = Credential("Authorization", "token", variable="CENTRA_TOKEN")
        client._transport._session = BoundedSession(credential, most_seconds=5, most_bytes=10**6)
        try:
            if rng.random() < 0.5:
                return f"over HTTP: {_outcome(client.execute, 'PullWarehouses', {'limit': 200, 'page': 1})}"
            return f"over HTTP: {_outcome(client.execute, 'DeleteReturn', {'id': 1})}"
        finally:
            client._transport._session.close()

    # ---------------------------------------------------------------- what is done with an answer

    def write(self) -> str:
        """A mutation: done, refused, certainly not done, or in doubt; never an odd type in what the push is given."""
        return _became(self.rng.choice((self.alone, self.together))())

    def alone(self) -> Answer | CentraError:
        try:
            return self.client.execute("DeleteReturn", {"id": 1})
        except CentraError as error:
            return error

    def together(self) -> Answer | CentraError:
        (outcome,) = self.client.execute_together([Asked("DeleteReturn", {"id": 1})])
        return outcome

    def two(self) -> str:
        """Two mutations in one request: each has an outcome of its own."""
        outcomes = self.client.execute_together([Asked("DeleteReturn", {"id": 1}), Asked("DeleteReturn", {"id": 2})])
        assert len(outcomes) == 2
        kinds = ["not done" if isinstance(one, CentraError) else "done" for one in outcomes]
        kinds = [
            "in doubt" if isinstance(one, UnknownOutcome) else kind for one, kind in zip(outcomes, kinds, strict=True)
        ]
        return " and ".join(kinds)

    def limits(self) -> str:
        """The quotas themselves are odd."""
        self.session.limits = self.session.given.content if self.session.given.status_code == 200 else b""
        try:
            client = CentraClient("http://127.0.0.1/", "token", clock=self.clock, sleep=self.sleep)
            client._transport._session = self.session  # type: ignore[assignment]
            self.session.given = Received(200, _bytes({"data": {"warehouses": []}}), _JSON)
            return _outcome(client.execute, "PullWarehouses", {"limit": 200, "page": 1})
        finally:
            self.session.limits = _bytes({"data": _LIMITS})

    def order(self) -> str:
        return _outcome(self.order_api.create_order, {"number": 1})

    def order_shown(self) -> str:
        return _outcome(self.order_api.read_order, 1001)

    def page(self, operation: str, connection: str, model: Any, target: centra_landing.Target, row: Any) -> str:
        """A page of objects: each is kept for the tables, or refused by name."""
        pull = Pull(connection, self.client, self.warehouse, _POLICY, _NOW)
        landed = 0
        try:
            for raws in self.client.pages(operation, {}, connection, 50):
                given = [with_all_lines(self.client, raw) for raw in raws] if model is StockChange else consumer(raws)
                fitting = pull.fitting(model, given)
                landed += len(fitting)
                self.rows.setdefault(target, []).extend(row(one) for one in fitting)
                if len(fitting) < len(given) and not pull.problems:
                    raise AssertionError("an object was neither landed nor named")
        except CentraError:
            return "not covered"
        return "refused by name" if pull.problems else f"{'landed' if landed else 'nothing to land'}"

    def warehouses(self) -> str:
        pull = Pull("warehouses", self.client, self.warehouse, _POLICY, _NOW)
        try:
            raws = self.client.objects("PullWarehouses", {"limit": 200, "page": 1}, "warehouses")
        except CentraError:
            return "not covered"
        fitting = pull.fitting(CentraWarehouse, raws)
        self.rows.setdefault(centra_landing.WAREHOUSES, []).extend(centra_landing.warehouse_row(one) for one in fitting)
        return "refused by name" if pull.problems else "landed"

    def introspection(self) -> str:
        """What should be a schema."""
        try:
            centra_contract.schema_of(centra_contract.asked(self.client))
        except CentraError:
            return "not covered"
        except centra_contract.NotASchema:
            return "refused by name"
        return "read"

    def land(self) -> None:
        """What fitted goes into the real tables, and through their SQL."""
        with self.warehouse.transaction() as connection:
            for target, rows in self.rows.items():
                centra_landing.land(connection, target, rows, _NOW)
        self.rows.clear()
        centra_staging.refresh(self.warehouse, _NOW + timedelta(seconds=1))


def _became(outcome: Answer | CentraError) -> str:
    if isinstance(outcome, CentraError):
        return "in doubt" if isinstance(outcome, UnknownOutcome) else "not done"
    for error in outcome.errors:
        assert isinstance(error["message"], str)
        assert all(isinstance(part, str) for part in error["path"])
    return "refused" if outcome.errors else "done"


def _outcome(call: Callable[..., Any], *arguments: Any) -> str:
    try:
        found = call(*arguments)
    except UnknownOutcome:
        return "in doubt"
    except Permanent:
        return "refused by name"
    except CentraError:
        return "not covered"
    return "read" if found is not None else "read: nothing"


def _bytes(body: Any) -> bytes:
    return simplejson.dumps(body, use_decimal=True, default=str).encode("utf-8", "surrogatepass")


# ---------------------------------------------------------------- valid answers


def _page(connection: str, nodes: Callable[[int, int], Any]) -> Callable[[random.Random], Any]:
    def body(rng: random.Random) -> Any:
        edges = [{"node": nodes(rng.randrange(1, 10**6), rng.randrange(1, 10**6))} for _ in range(rng.choice((1, 2)))]
        found = {"pageInfo": {"hasNextPage": False, "endCursor": None}, "edges": edges}
        return {
            "data": {connection: found},
            "extensions": {"complexity": 7, "appVersion": "1.2", "deprecatedFieldsUsed": []},
        }

    return body


def _return(number: int, order: int) -> Any:
    lines = [payloads.return_line(number, "80", "16")]
    refunds = [{**payloads.payment(number, "REFUND", "-80", of=number), "paramsJSON": json.dumps({"a": [{"b": "X"}]})}]
    return payloads.a_return(
        number, order, lines=lines, refundPaymentHistory=refunds, comment="RMA HRABC123 x@y.example"
    )


def _order(number: int, _: int) -> Any:
    return payloads.order(
        number, paymentHistory=[payloads.payment(number, "CAPTURE", "100")], internalComment="[hr-centra x]"
    )


_MUTATION: dict[str, Any] = {
    "data": {"deleteReturn": {"userErrors": [{"message": "no", "path": ["input", "lines", "0"]}], "userWarnings": []}},
    "errors": [{"message": "Not found", "path": ["deleteReturn"], "extensions": {"category": "graphql"}}],
    "extensions": {"complexity": 11, "appVersion": "1.2", "deprecatedFieldsUsed": ["x"]},
}


def _mutation(rng: random.Random) -> Any:
    body = copy.deepcopy(_MUTATION)
    for member in ("errors", "extensions"):
        if rng.random() < 0.6:
            del body[member]
    if rng.random() < 0.5:
        body["data"]["deleteReturn"]["userErrors"] = []
    return body


def _two_mutations(rng: random.Random) -> Any:
    body = _mutation(rng)
    payload = body["data"]["deleteReturn"]
    body["data"] = {"deleteReturn_0": payload, "deleteReturn_1": copy.deepcopy(payload)}
    return body


_SCHEMA = introspection_from_schema(build_schema("type Query { orders: Int } enum OrderStatus { SHIPPED }"))


def _schema(_: random.Random) -> Any:
    return {"data": copy.deepcopy(dict(_SCHEMA))}


def _paging(
    connection: str, operation: str, model: Any, target: centra_landing.Target, row: Any
) -> Callable[[_Fuzzing], str]:
    return lambda fuzzing: fuzzing.page(operation, connection, model, target, row)


_EDGES: dict[str, tuple[Callable[[random.Random], Any], Callable[[_Fuzzing], str]]] = {
    "returns": (
        _page("returnConnection", _return),
        _paging("returnConnection", "PullReturns", Return, centra_landing.RETURNS, centra_landing.return_row),
    ),
    "orders": (
        _page("orderConnection", _order),
        _paging("orderConnection", "PullOrders", Order, centra_landing.ORDERS, centra_landing.order_row),
    ),
    "shipments": (
        _page("shipmentConnection", payloads.shipment),
        _paging("shipmentConnection", "PullShipments", Shipment, centra_landing.SHIPMENTS, centra_landing.shipment_row),
    ),
    "stock changes": (
        _page("stockChangeConnection", lambda one, two: payloads.stock_change(one, "PK", (two, "SKU-1", 1))),
        _paging(
            "stockChangeConnection",
            "PullStockChanges",
            StockChange,
            centra_landing.STOCK_CHANGES,
            centra_landing.stock_change_row,
        ),
    ),
    "warehouses": (
        lambda rng: {
            "data": {"warehouses": [{"id": rng.randrange(9), "name": "A", "status": "ACTIVE", "stockMaster": "CENTRA"}]}
        },
        _Fuzzing.warehouses,
    ),
    "a write": (_mutation, _Fuzzing.write),
    "two writes": (_two_mutations, _Fuzzing.two),
    "quotas": (lambda _: {"data": copy.deepcopy(_LIMITS)}, _Fuzzing.limits),
    "POST /order": (
        lambda rng: rng.choice(({"status": "ok", "orders": ["1"]}, {"status": "no", "msg": "no", "code": -2})),
        _Fuzzing.order,
    ),
    "GET /orders": (
        lambda _: {"status": "ok", "orders": [{"orderId": "1001", "status": "shipped", "total": Decimal(5)}]},
        _Fuzzing.order_shown,
    ),
    "introspection": (_schema, _Fuzzing.introspection),
}
assert set(centra_operations.names()) >= {"DeleteReturn", "PullWarehouses"}


# ---------------------------------------------------------------- a socket


@contextmanager
def _raw_server() -> Iterator[tuple[str, dict[str, bytes]]]:
    """Answers each request with the bytes that are given, whatever they are, and closes the connection."""
    served: dict[str, bytes] = {"answer": b""}
    limits = _bytes({"data": _LIMITS})
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    text = b""
                    while b'"variables"' not in text:
                        text += connection.recv(65536)
                    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: "
                    is_limits = b'"ReadRateLimits"' in text
                    connection.sendall(head + b"%d\r\n\r\n" % len(limits) + limits if is_limits else served["answer"])
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/", served
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)
