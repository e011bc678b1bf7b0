"""The control API of the sandbox: faults, the request log, the clock. Loopback only, never part of a vendor's API."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from hr_centra_pipeline.sandbox.centra.api import Grant
from hr_centra_pipeline.sandbox.control_route import Body, control_route
from hr_centra_pipeline.sandbox.control_time import time_routes
from hr_centra_pipeline.sandbox.control_webhooks import webhook_routes

if TYPE_CHECKING:
    from hr_centra_pipeline.sandbox.server import Sandbox


def control_routes(sandbox: Sandbox) -> list[Route]:
    """The routes below ``/control``."""

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
            body.get("integration_name"),
        )
        return {"token": sandbox.api.new_token(grant)}

    def stop(_: Body) -> Any:
        if sandbox.server is not None:
            sandbox.server.should_exit = True
        return {"status": "stopping"}

    return [
        control_route("health", health, "GET"), control_route("faults", arm, "POST"),
        control_route("faults", armed, "GET"), control_route("faults", disarm, "DELETE"),
        control_route("log", log, "GET"), control_route("records", records, "GET"), control_route("used", used, "GET"),
        control_route("unknown-keys", unknown_keys, "GET"), control_route("settings", settings, "POST"),
        control_route("unknown-words", unknown_words, "POST"), control_route("word", word, "POST"),
        control_route("quota", quota, "POST"), control_route("person", person, "POST"),
        control_route("tokens", tokens, "POST"), control_route("stop", stop, "POST"),
        *time_routes(sandbox), *webhook_routes(sandbox),
    ]  # fmt: skip
