"""The control API of the sandbox: faults, the request log, the clock. Loopback only, never part of a vendor's API."""

from __future__ import annotations

import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hr_centra_pipeline.sandbox.centra.api import Grant

if TYPE_CHECKING:
    from hr_centra_pipeline.sandbox.server import Sandbox

Body = dict[str, Any]


def control_routes(sandbox: Sandbox) -> list[Route]:
    """The routes below ``/control``."""
    advancing = threading.Lock()

    def health(_: Body) -> Any:
        return {"status": "ok", "now": sandbox.clock.now().isoformat()}

    def arm(body: Body) -> Any:
        return asdict(sandbox.faults.arm(body))

    def armed(_: Body) -> Any:
        return sandbox.faults.armed()

    def disarm(_: Body) -> Any:
        sandbox.faults.clear()
        return []

    def log(_: Body) -> Any:
        return sandbox.log

    def records(_: Body) -> Any:
        return sandbox.store.records()

    def used(_: Body) -> Any:
        return sandbox.used()

    def unknown_keys(_: Body) -> Any:
        return sandbox.unknown_keys()

    def settings(body: Body) -> Any:
        return asdict(sandbox.configure(**body))

    def unknown_words(body: Body) -> Any:
        sandbox.configure(unknown_words=bool(body.get("on", True)))
        return sorted(f"{enum}.{word}" for enum, word in sandbox.store.extra_words())

    def word(body: Body) -> Any:
        sandbox.store.force_word(str(body["kind"]), int(body["id"]), str(body["word"]))
        sandbox.api.refresh()
        return body

    def advance(body: Body) -> Any:
        # Imported here: the shop is only needed when its clock moves.
        from hr_centra_pipeline.sandbox.shop.shop import Shop

        hours = float(body.get("hours", 1))
        with advancing:
            shop = Shop(sandbox.home, sandbox.store, sandbox.clock)
            try:
                if hours.is_integer():
                    shop.advance(int(hours))
                else:
                    shop.live(3600 * hours)
            finally:
                shop.close()
        return passed(body)

    def live(body: Body) -> Any:
        # Imported here: the shop is only needed when its clock moves.
        from hr_centra_pipeline.sandbox.shop.shop import Shop

        with advancing:
            shop = Shop(sandbox.home, sandbox.store, sandbox.clock)
            try:
                shop.live(float(body["seconds"]))
            finally:
                shop.close()
        return passed(body)

    def scan(body: Body) -> Any:
        # Imported here: the shop is only needed when something happens in it.
        from hr_centra_pipeline.sandbox.shop.scans import Scans

        with advancing:
            planted = Scans(sandbox.home, sandbox.store, sandbox.clock).scan(body)
        return {**passed(body), **planted}

    def sell(body: Body) -> Any:
        # Imported here: the shop is only needed when something happens in it.
        from hr_centra_pipeline.sandbox.shop.scans import Scans

        with advancing:
            return {"orders": Scans(sandbox.home, sandbox.store, sandbox.clock).sell(int(body.get("orders", 1)))}

    def passed(body: Body) -> Any:
        sandbox.postman.wake()
        left = sandbox.postman.drain(float(body.get("seconds_to_drain", 60))) if body.get("drain") else None
        return {**health({}), **({"due": left} if left is not None else {})}

    def drain(body: Body) -> Any:
        return {**health({}), "due": sandbox.postman.drain(float(body.get("seconds", 60)))}

    def subscribe(body: Body) -> Any:
        given = dict(body)
        vendor, url = str(given.pop("vendor", "happy_returns")), str(given.pop("url"))
        sandbox.subscribe(vendor, url, given.pop("secret", None), **given)
        return subscriptions({})

    def unsubscribe(body: Body) -> Any:
        sandbox.unsubscribe(str(body.get("vendor", "happy_returns")), body.get("url"))
        return subscriptions({})

    def subscriptions(_: Body) -> Any:
        return {
            vendor: sandbox.webhooks_of(vendor).outbox.subscriptions() if sandbox.is_subscribed(vendor) else []
            for vendor in ("happy_returns", "centra")
        }

    def webhooks(body: Body) -> Any:
        given = dict(body)
        return asdict(sandbox.webhooks_of(str(given.pop("vendor", "happy_returns"))).configure(given))

    def deliveries(body: Body) -> Any:
        outbox = sandbox.webhooks_of(str(body.get("vendor", "happy_returns"))).outbox
        return outbox.deliveries(after=int(body.get("after", 0)), with_bodies=bool(body.get("bodies")))

    def clock(_: Body) -> Any:
        return {"now": sandbox.clock.now().isoformat()}

    def quota(body: Body) -> Any:
        sandbox.quotas.use(body["type"], body["interval"], int(body["use"]))
        return sandbox.quotas.shown()

    def person(body: Body) -> Any:
        return asdict(sandbox.person(str(body.get("act")), body.get("given") or {}))

    def tokens(body: Body) -> Any:
        permissions, expires = body.get("permissions"), body.get("expires_at")
        grant = Grant(
            frozenset(permissions) if permissions is not None else None,
            datetime.fromisoformat(expires) if expires else None,
            body.get("store_id"),
        )
        return {"token": sandbox.api.new_token(grant)}

    def stop(_: Body) -> Any:
        if sandbox.server is not None:
            sandbox.server.should_exit = True
        return {"status": "stopping"}

    return [
        _route("health", health, "GET"), _route("faults", arm, "POST"), _route("faults", armed, "GET"),
        _route("faults", disarm, "DELETE"), _route("log", log, "GET"), _route("records", records, "GET"),
        _route("used", used, "GET"), _route("unknown-keys", unknown_keys, "GET"),
        _route("settings", settings, "POST"), _route("unknown-words", unknown_words, "POST"),
        _route("word", word, "POST"), _route("advance", advance, "POST"), _route("live", live, "POST"),
        _route("scan", scan, "POST"), _route("sell", sell, "POST"), _route("drain", drain, "POST"),
        _route("subscribe", subscribe, "POST"), _route("unsubscribe", unsubscribe, "POST"),
        _route("subscriptions", subscriptions, "GET"), _route("webhooks", webhooks, "POST"),
        _route("deliveries", deliveries, "GET"), _route("clock", clock, "GET"), _route("quota", quota, "POST"),
        _route("person", person, "POST"), _route("tokens", tokens, "POST"), _route("stop", stop, "POST"),
    ]  # fmt: skip


def _route(name: str, handler: Callable[[Body], Any], method: str) -> Route:
    async def answer(request: Request) -> Response:
        text = await request.body()
        try:
            body = {**request.query_params, **json.loads(text or b"{}")}
            return JSONResponse(await anyio.to_thread.run_sync(handler, body))
        except (ValueError, KeyError) as error:
            return JSONResponse({"message": f"control/{name}: {error}"}, status_code=400)

    endpoint: Callable[[Request], Awaitable[Response]] = answer
    return Route(f"/control/{name}", endpoint, methods=[method])
