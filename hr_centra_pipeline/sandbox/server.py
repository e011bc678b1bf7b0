"""The sandbox as one HTTP server on loopback: Centra's two APIs, the control API, and the shop behind them."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio.to_thread
import simplejson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from hr_centra_pipeline.sandbox import interventions
from hr_centra_pipeline.sandbox.centra import order_api_server
from hr_centra_pipeline.sandbox.centra.api import Grant, IntegrationApi, Reply
from hr_centra_pipeline.sandbox.centra.quota import Plan, Quotas, retry_after
from hr_centra_pipeline.sandbox.centra.store import CentraSettings, CentraStore
from hr_centra_pipeline.sandbox.centra.used import Used, leaves
from hr_centra_pipeline.sandbox.centra.webhook_plugin import WebhookPlugin
from hr_centra_pipeline.sandbox.faults import Fault, Faults
from hr_centra_pipeline.sandbox.happy_returns import partner_server
from hr_centra_pipeline.sandbox.happy_returns.partner_server import Answer, PartnerServer
from hr_centra_pipeline.sandbox.happy_returns.vendor_settings import RETAILER
from hr_centra_pipeline.sandbox.happy_returns.webhooks import HappyReturnsWebhooks
from hr_centra_pipeline.sandbox.sandbox_clock import SandboxClock
from hr_centra_pipeline.sandbox.webhooks.postman import Postman

_ORDER_API = "/centra/order-api"
_PARTNER_API = "/happy-returns"
_VENDORS = ("happy_returns", "centra")
DEFAULT_NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)


@dataclass(frozen=True)
class SandboxSettings:
    """``speed``: how much faster than real time the quota buckets refill. ``retry_after``: http_date, iso or unix.

    ``schema_path``: serve this schema instead of the documented one (SDL, or the JSON answer of an introspection query);
    what it lacks is missing for clients, too.
    """

    plan: Plan = "growth"
    speed: float = 1.0
    retry_after: str = "http_date"
    schema_path: Path | None = None
    centra: CentraSettings = field(default_factory=CentraSettings)


class Sandbox:
    """One sandbox home: clock, Centra's store, exports, credentials; and what happened to each request."""

    def __init__(self, home: Path, settings: SandboxSettings | None = None) -> None:
        self.home = home
        self.settings = settings or SandboxSettings()
        home.mkdir(parents=True, exist_ok=True)
        self.exports.mkdir(exist_ok=True)
        self.payouts.mkdir(exist_ok=True)
        self.clock = SandboxClock(home / "clock")
        if not self.clock.path.exists():
            self.clock.advance_to(DEFAULT_NOW)
        self.store = CentraStore(home / "centra.sqlite", self.clock, self.settings.centra)
        self.quotas = Quotas(self.settings.plan, self.settings.speed)
        self._used = Used()
        self.api = IntegrationApi(self.store, self.quotas, used=self._used, schema_path=self.settings.schema_path)
        self.faults = Faults()
        self.log: list[dict[str, Any]] = []
        self.server: uvicorn.Server | None = None
        self.port = 0
        kept = self._kept()
        self.token = kept.get("token") or secrets.token_urlsafe(24)
        self.order_api_key = kept.get("order_api_key") or secrets.token_urlsafe(24)
        self.partner_api_key = kept.get("happy_returns_api_key") or secrets.token_urlsafe(24)
        self.webhook_secrets = {
            vendor: kept.get(f"{vendor}_webhook_secret") or secrets.token_urlsafe(24) for vendor in _VENDORS
        }
        self.api.tokens[self.token] = Grant()
        self.partner_api = PartnerServer(self.records_path, self.clock, self.partner_api_key, self.settings.speed)
        self.postman = Postman(self.clock)
        self._webhooks: dict[str, HappyReturnsWebhooks | WebhookPlugin] = {}
        self._opening = threading.Lock()

    def close(self) -> None:
        """Stop sending, and close all files."""
        self.postman.close()
        for one in self._webhooks.values():
            one.outbox.close()
        self.partner_api.close()
        self.store.close()

    @property
    def records_path(self) -> Path:
        """Happy Returns' own records."""
        return self.home / "happy_returns.sqlite"

    # ---------------------------------------------------------------- what the vendors push

    @property
    def happy_returns(self) -> HappyReturnsWebhooks:
        """Happy Returns' webhooks, and the settings of its partner API."""
        found = self.webhooks_of("happy_returns")
        assert isinstance(found, HappyReturnsWebhooks)  # noqa: S101 - made below
        return found

    def webhooks_of(self, vendor: str) -> HappyReturnsWebhooks | WebhookPlugin:
        """What a vendor pushes.

        Raises:
            ValueError: there is no such vendor.
        """
        if vendor not in _VENDORS:
            raise ValueError(f"vendor must be one of {', '.join(_VENDORS)}")
        with self._opening:
            if vendor not in self._webhooks:
                self._webhooks[vendor] = (
                    WebhookPlugin(self.home / "centra.sqlite", self.clock)
                    if vendor == "centra"
                    else HappyReturnsWebhooks(self.records_path)
                )
            return self._webhooks[vendor]

    def subscribe(self, vendor: str, url: str, secret: str | None = None, **settings: Any) -> None:
        """A vendor pushes there from now on, signed with this secret, or with the one in ``sandbox.json``.

        Raises:
            ValueError: no such vendor or setting.
        """
        webhooks = self.webhooks_of(vendor)
        webhooks.configure(settings)
        if secret is not None:
            self.webhook_secrets[vendor] = secret
        webhooks.outbox.subscribe(url, self.webhook_secrets[vendor], self.clock.now())
        self.store.push_changes()
        self.postman.start(vendor, webhooks)
        if self.port:
            self.announce(self.port)

    def unsubscribe(self, vendor: str, url: str | None = None) -> None:
        """A vendor pushes there no more; without a URL: nowhere."""
        self.webhooks_of(vendor).outbox.unsubscribe(url)
        self.store.push_changes()
        if self.port:
            self.announce(self.port)

    def is_subscribed(self, vendor: str) -> bool:
        """Whether a vendor pushes to anybody; a file that has no such table yet is left as it is."""
        path = self.home / "centra.sqlite" if vendor == "centra" else self.records_path
        if not path.exists():
            return False
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            named = connection.execute("select 1 from sqlite_master where name = 'subscriptions'").fetchone()
            return bool(named) and connection.execute("select 1 from subscriptions limit 1").fetchone() is not None

    def go_on_sending(self) -> None:
        """Send what a killed sandbox has left."""
        for vendor in _VENDORS:
            if self.is_subscribed(vendor):
                self.postman.start(vendor, self.webhooks_of(vendor))

    @property
    def payouts(self) -> Path:
        """Where the payment providers' settlement files appear."""
        return self.home / "payouts"

    @property
    def exports(self) -> Path:
        """The export files of Happy Returns."""
        return self.home / "exports"

    def used(self) -> dict[str, list[str]]:
        """What clients have used since the start: see ``Used.shown``."""
        return self._used.shown()

    def unknown_keys(self) -> list[str]:
        """Keys that were sent to the Order API since the start and that no document lists: ``POST /order currency``."""
        return sorted(set(self._used.unknown_keys))

    def count_rest(self, call: str, given: Any) -> list[str]:
        """Count the keys of a call to the Order API; answers those that its documents don't list."""
        unknown = order_api_server.unknown_keys(call, given)
        self._used.rest_keys |= {f"{call} {path}" for path in leaves(given)}
        self._used.unknown_keys |= {f"{call} {path}" for path in unknown}
        return unknown

    def configure(self, **changes: Any) -> CentraSettings:
        """Change settings of the shop while it runs.

        Raises:
            ValueError: there is no such setting.
        """
        known = {one.name: one for one in fields(CentraSettings)}
        if unknown := sorted(set(changes) - set(known)):
            raise ValueError(f"no such setting: {', '.join(unknown)}")
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()
        }
        if given.get("unknown_words") is False:
            self.store.forget_extra_words()
        self.store.settings = replace(self.store.settings, **given)
        self.api.refresh()
        return self.store.settings

    def person(self, name: str, given: Mapping[str, Any]) -> interventions.Act:
        """Let somebody act in the admin; it is in the log between the requests.

        Raises:
            ValueError: see :func:`interventions.act`.
        """
        done = interventions.act(self.store, name, given, self.clock.now())
        self.log.append(
            {
                "person": name, "given": {key: str(value) for key, value in given.items()}, "made": done.made,
                "refused": done.refused, "operations": [], "mutations": [], "path": "", "status": 0,
                "unknown_keys": [],
            }
        )  # fmt: skip
        return done

    @property
    def credentials_path(self) -> Path:
        """Addresses and credentials of this sandbox, for this user only."""
        return self.home / "sandbox.json"

    def _kept(self) -> dict[str, str]:
        try:
            kept: dict[str, str] = json.loads(self.credentials_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return kept

    def announce(self, port: int) -> dict[str, Any]:
        """Write ``sandbox.json``; answers its content."""
        self.port = port
        base = f"http://127.0.0.1:{port}"
        note = {
            "graphql_url": f"{base}/centra/graphql", "order_api_url": f"{base}{_ORDER_API}",
            "control_url": f"{base}/control", "token": self.token, "order_api_key": self.order_api_key,
            "exports": str(self.exports), "payouts": str(self.payouts),
            "clock_file": str(self.clock.path), "pid": os.getpid(), "port": port,
            "happy_returns_api_url": f"{base}{_PARTNER_API}", "happy_returns_api_key": self.partner_api_key,
            "happy_returns_retailer_id": RETAILER,
            **{f"{vendor}_webhook_secret": secret for vendor, secret in self.webhook_secrets.items()},
            **{f"{vendor}_subscribed": self.is_subscribed(vendor) for vendor in _VENDORS},
        }  # fmt: skip
        fresh = self.credentials_path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(note, indent=2), encoding="utf-8")
        fresh.replace(self.credentials_path)
        return note


Handler = Callable[[Request, bytes, Fault | None], Reply]


def create_app(sandbox: Sandbox) -> Starlette:
    """The ASGI application of one sandbox."""
    # Imported here: control knows the shop, the shop needs nothing of the server.
    from hr_centra_pipeline.sandbox.control import control_routes

    def endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            body = await request.body()
            return await anyio.to_thread.run_sync(_answer, sandbox, request, body, handler)

        return answer

    def graphql(request: Request, body: bytes, fault: Fault | None) -> Reply:
        return _graphql(sandbox, request, body, fault)

    def rest(request: Request, body: bytes, _: Fault | None) -> Reply:
        return _rest(sandbox, request, body)

    def partner(request: Request, body: bytes, fault: Fault | None) -> Reply:
        return _partner(sandbox, request, body, fault)

    return Starlette(
        routes=[
            Route("/centra/graphql", endpoint(graphql), methods=["POST"]),
            Route(f"{_ORDER_API}/order", endpoint(rest), methods=["POST"]),
            Route(f"{_ORDER_API}/order/{{number:int}}", endpoint(rest), methods=["POST"]),
            Route(f"{_ORDER_API}/orders", endpoint(rest), methods=["GET", "PUT"]),
            Route(f"{_PARTNER_API}/return", endpoint(partner), methods=["POST"]),
            Route(f"{_PARTNER_API}/outbound-shipments", endpoint(partner), methods=["GET"]),
            Route(f"{_PARTNER_API}/outbound-shipment/{{shipment_id}}", endpoint(partner), methods=["GET"]),
            Route(f"{_PARTNER_API}/webhooks", endpoint(partner), methods=["GET"]),
            *control_routes(sandbox),
        ]
    )


def _answer(sandbox: Sandbox, request: Request, body: bytes, handler: Handler) -> Response:
    started = time.monotonic()
    request_id = secrets.token_hex(8)
    names = _names(request, body)
    fault = sandbox.faults.next_for(names)
    if fault and fault.kind == "person_before":
        _person(sandbox, fault, body)
    reply = _before(sandbox, request, fault) or handler(request, body, fault)
    if fault and fault.kind == "person_after":
        _person(sandbox, fault, body)
    response = _after(sandbox, fault, reply)
    sandbox.log.append(
        {
            "request_id": request_id, "path": request.url.path, "method": request.method,
            "operations": reply.operations or names, "mutations": reply.mutations, "status": response.status_code,
            "unknown_keys": reply.unknown_keys, "fault": fault.kind if fault else None,
            "milliseconds": round(1000 * (time.monotonic() - started)),
        }
    )  # fmt: skip
    response.headers["X-Request-Id"] = request_id
    return response


def _person(sandbox: Sandbox, fault: Fault, body: bytes) -> None:
    """Somebody acts on what the request is about."""
    given = simplejson.loads(body or b"{}", use_decimal=True)
    about = interventions.what_a_request_is_about(given.get("variables") or given, str(given.get("query") or ""))
    sandbox.person(fault.act, {**about, **fault.given})


def _names(request: Request, body: bytes) -> list[str]:
    """What faults can be aimed at: the operation's name, or method and path of the Order API."""
    if request.url.path.endswith("/graphql"):
        try:
            named = json.loads(body)
        except ValueError:
            return []
        text = str(named.get("query") or "") if isinstance(named, dict) else ""
        name = named.get("operationName") if isinstance(named, dict) else None
        return str(name).split("_") if name else text.split("{", 1)[0].split("(", 1)[0].split()[1:2]
    path = request.url.path.removeprefix(_ORDER_API).removeprefix(_PARTNER_API)
    # Of GET /outbound-shipment/17 also GET /outbound-shipment; a name once.
    return list(dict.fromkeys([f"{request.method} {path}", f"{request.method} /{path.split('/')[1]}"]))


def _before(sandbox: Sandbox, request: Request, fault: Fault | None) -> Reply | None:
    match fault.kind if fault else None:
        case "delay" if fault:
            time.sleep(fault.seconds)
        case "rate_limited" if fault and request.url.path.startswith(_PARTNER_API):
            return _replied(partner_server.limited(fault.seconds or 1.0, sandbox.happy_returns.mishaps()))
        case "rate_limited" if fault:
            return _limited(sandbox, fault.seconds or 1.0)
        case "error_before" if fault:
            return Reply(fault.status, {"message": "Internal Server Error"})
        case "dropped_before":
            return Reply(0, {})
    return None


def _after(sandbox: Sandbox, fault: Fault | None, reply: Reply) -> Response:
    text = simplejson.dumps(reply.body, use_decimal=True)
    match fault.kind if fault else None:
        case "error_after" | "error_half_way" if fault:
            return Response('{"message": "Internal Server Error"}', fault.status, media_type="application/json")
        case "dropped_after" | "dropped_before" | "dropped_half_way":
            return _Cut()
        case "truncated":
            return Response(text[: len(text) // 2], 200, media_type="application/json")
        case "wrong_content_type":
            return HTMLResponse("<html><body>Service temporarily unavailable</body></html>", 200)
        case "empty_body":
            return Response(b"", 200, media_type="application/json")
        case "no_content_with_body":
            return _NoContentWithBody()
    if reply.has_no_body:
        return Response(status_code=reply.status, headers=reply.headers)
    return Response(text, reply.status, headers=reply.headers, media_type="application/json")


class _Cut(Response):
    """Cuts the connection without a single byte."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Abort the transport: ASGI has no word for it, so that the server's own request object is asked."""
        receive.__self__.transport.abort()


class _NoContentWithBody(Response):
    """204, and a body all the same, which no HTTP server sends by itself: the bytes go to the transport directly."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Write the answer and close."""
        transport = receive.__self__.transport
        transport.write(
            b"HTTP/1.1 204 No Content\r\nContent-Type: application/json\r\nContent-Length: 12\r\n"
            b'Connection: close\r\n\r\n{"items":[]}'
        )
        transport.close()


def _partner(sandbox: Sandbox, request: Request, body: bytes, fault: Fault | None) -> Reply:
    api, settings = sandbox.partner_api, sandbox.happy_returns.mishaps()
    call = request.url.path.removeprefix(_PARTNER_API).split("/")[1]
    # Not documented, assumption: behaviour.partner_api_limits
    is_limited = call == "return" or (call.startswith("outbound") and settings.limits_shipments)
    answer = api.refused(request.headers.get("X-Hr-Apikey"), is_limited=is_limited, settings=settings)
    if answer is None:
        match call:
            case "return":
                try:
                    given = json.loads(body or b"{}")
                except ValueError:
                    given = None
                answer = api.find_returns(given, settings)
            case "outbound-shipments":
                answer = api.list_shipments(request.query_params)
            case "outbound-shipment":
                answer = api.shipment_contents(request.path_params["shipment_id"], request.query_params)
            case _:
                answer = api.webhooks([one["url"] for one in sandbox.happy_returns.outbox.subscriptions()])
    if fault and fault.kind == "unknown_enum":
        answer.body = partner_server.with_unknown_words(answer.body)
    return _replied(answer)


def _replied(answer: Answer) -> Reply:
    return Reply(answer.status, answer.body, answer.headers, has_no_body=answer.body is None)


def _limited(sandbox: Sandbox, seconds: float) -> Reply:
    headers = {"Retry-After": retry_after(seconds, sandbox.settings.retry_after)}
    return Reply(429, {"message": "Too Many Requests"}, headers)


def _graphql(sandbox: Sandbox, request: Request, body: bytes, fault: Fault | None) -> Reply:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    grant = sandbox.api.tokens.get(token) if scheme.lower() == "bearer" else None
    if grant is None or (grant.expires_at and grant.expires_at <= datetime.now(UTC)):
        return Reply(403, {"message": "Invalid or expired token"})
    sandbox.api.refresh()
    wait = sandbox.quotas.take(REQUEST_COUNT=1)
    if wait:
        return _limited(sandbox, wait)
    try:
        given = simplejson.loads(body, use_decimal=True)
        assert isinstance(given, dict)  # noqa: S101 - answered as a bad request below
    except (ValueError, AssertionError):
        return Reply(400, {"errors": [{"message": "The body is not a JSON object"}]})
    ready = sandbox.api.prepare(grant, given)
    if isinstance(ready, Reply):
        return ready
    # Not documented, assumption: behaviour.aliased_mutations_count_each
    wait = sandbox.quotas.take(QUERY_COMPLEXITY=ready.cost.complexity, MUTATION_COUNT=len(ready.cost.mutations))
    if wait:
        return _limited(sandbox, wait)
    sandbox.store.let_providers_answer(sandbox.clock.now())
    return sandbox.api.execute(ready, half=fault is not None and fault.kind.endswith("_half_way"))


def _rest(sandbox: Sandbox, request: Request, body: bytes) -> Reply:
    if request.headers.get("API-Authorization") != sandbox.order_api_key:
        return Reply(401, order_api_server.refused("Unauthorized"))
    store = sandbox.store
    numbered = "number" in request.path_params
    call = "POST /order/{number}" if numbered else f"{request.method} {request.url.path.removeprefix(_ORDER_API)}"
    if call in store.settings.disabled_endpoints:
        return Reply(200, order_api_server.refused("This endpoint is disabled in the plugin"))
    try:
        given = (
            dict(request.query_params) if request.method == "GET" else simplejson.loads(body or b"{}", use_decimal=True)
        )
    except ValueError:
        given = None
    if not isinstance(given, dict):
        return Reply(400, order_api_server.refused("The body is not a JSON object"))
    store.let_providers_answer(sandbox.clock.now())
    unknown = sandbox.count_rest(call, given)
    if request.method == "GET":
        try:
            return Reply(200, order_api_server.read_orders(store, given), unknown_keys=unknown)
        except ValueError:
            return Reply(200, order_api_server.refused("Invalid parameter"), unknown_keys=unknown)
    if numbered:
        answer = order_api_server.complete_order(store, request.path_params["number"])
    else:
        answer = (order_api_server.update_order if request.method == "PUT" else order_api_server.create_order)(
            store, given
        )
    return Reply(200, answer, mutations=[call], unknown_keys=unknown)


# ---------------------------------------------------------------- running


class _Server(uvicorn.Server):
    """Runs in any thread; answers its port once it listens."""

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.servers[0].sockets[0].getsockname()[1])


def _configure(sandbox: Sandbox, port: int) -> _Server:
    return _Server(
        uvicorn.Config(
            create_app(sandbox), host="127.0.0.1", port=port, log_level="critical", access_log=False, lifespan="off",
            timeout_graceful_shutdown=1,
        )
    )  # fmt: skip


def serve(
    home: Path, port: int = 0, settings: SandboxSettings | None = None, *, on_start: Callable[[Any], None] | None = None
) -> None:
    """Serve a sandbox home on loopback until it is stopped; ``on_start`` gets the content of ``sandbox.json``."""
    sandbox = Sandbox(home, settings)
    sandbox.go_on_sending()
    server = _configure(sandbox, port)
    sandbox.server = server

    def announce() -> None:
        while not server.started and not server.should_exit:
            time.sleep(0.01)
        if server.started:
            note = sandbox.announce(server.port)
            if on_start:
                on_start(note)

    threading.Thread(target=announce, daemon=True).start()
    server.run()
    sandbox.close()


@dataclass(frozen=True)
class RunningSandbox:
    """A sandbox that answers: addresses, credentials, and its parts for tests to look into."""

    sandbox: Sandbox
    graphql_url: str
    order_api_url: str
    control_url: str
    token: str
    order_api_key: str
    exports: Path
    payouts: Path
    clock_file: Path
    partner_api_url: str

    @property
    def store(self) -> CentraStore:
        """Centra's store, for seeding and looking."""
        return self.sandbox.store

    @property
    def clock(self) -> SandboxClock:
        """The sandbox's clock."""
        return self.sandbox.clock

    def environment(self) -> dict[str, str]:
        """The variables that point the pipeline here."""
        return {
            "CENTRA_GRAPHQL_URL": self.graphql_url, "CENTRA_TOKEN": self.token,
            "CENTRA_ORDER_API_URL": self.order_api_url, "CENTRA_ORDER_API_KEY": self.order_api_key,
            "HAPPY_RETURNS_EXPORTS": str(self.exports), "HR_CENTRA_PAYOUTS": str(self.payouts),
            "HR_CENTRA_NOW": f"@{self.clock_file}",
        }  # fmt: skip

    def event_environment(self) -> dict[str, str]:
        """The variables that switch on webhooks and the partner API, in addition."""
        return {
            "HAPPY_RETURNS_API_URL": self.partner_api_url, "HAPPY_RETURNS_API_KEY": self.sandbox.partner_api_key,
            "HAPPY_RETURNS_RETAILER_ID": RETAILER,
            "HAPPY_RETURNS_WEBHOOK_SECRET": self.sandbox.webhook_secrets["happy_returns"],
            "CENTRA_WEBHOOK_SECRET": self.sandbox.webhook_secrets["centra"],
        }  # fmt: skip


@contextmanager
def running_sandbox(home: Path, settings: SandboxSettings | None = None) -> Iterator[RunningSandbox]:
    """A sandbox in a thread of this process, on a free loopback port. Default: quotas refill 1,000 times faster."""
    sandbox = Sandbox(home, settings or SandboxSettings(speed=1000.0))
    sandbox.go_on_sending()
    server = _configure(sandbox, 0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    note = sandbox.announce(server.port)
    try:
        yield RunningSandbox(
            sandbox, note["graphql_url"], note["order_api_url"], note["control_url"], note["token"],
            note["order_api_key"], sandbox.exports, sandbox.payouts, sandbox.clock.path,
            note["happy_returns_api_url"],
        )  # fmt: skip
    finally:
        server.should_exit = True
        thread.join(timeout=5)
        sandbox.close()
