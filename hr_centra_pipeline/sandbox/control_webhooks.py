"""Control routes of what the vendors push: who is subscribed, what goes wrong on the way, what was sent; Centra's queue."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from hr_centra_pipeline.sandbox.control_route import Body, control_route

if TYPE_CHECKING:
    from hr_centra_pipeline.sandbox.server import Sandbox

_USUAL = "happy_returns"


def webhook_routes(sandbox: Sandbox) -> list[Route]:
    """The routes of webhooks and events."""

    def subscribe(body: Body) -> Any:
        given = dict(body)
        vendor, url = str(given.pop("vendor", _USUAL)), str(given.pop("url"))
        sandbox.subscribe(vendor, url, given.pop("secret", None), **given)
        return subscriptions({})

    def unsubscribe(body: Body) -> Any:
        sandbox.unsubscribe(str(body.get("vendor", _USUAL)), body.get("url"))
        return subscriptions({})

    def subscriptions(_: Body) -> Any:
        return {
            vendor: sandbox.webhooks_of(vendor).outbox.subscriptions() if sandbox.is_subscribed(vendor) else []
            for vendor in ("happy_returns", "centra")
        }

    def webhooks(body: Body) -> Any:
        given = dict(body)
        return asdict(sandbox.webhooks_of(str(given.pop("vendor", _USUAL))).configure(given))

    def deliveries(body: Body) -> Any:
        outbox = sandbox.webhooks_of(str(body.get("vendor", _USUAL))).outbox
        return outbox.deliveries(after=int(body.get("after", 0)), with_bodies=bool(body.get("bodies")))

    def consume(body: Body) -> Any:
        """Another program with our integration name confirms the oldest events of the queue: we never see them."""
        integration = str(body.get("integration_name") or sandbox.store.settings.integration_name)
        return {"confirmed": sandbox.store.consume_events(integration, int(body.get("events", 20)))}

    return [
        control_route("subscribe", subscribe, "POST"), control_route("unsubscribe", unsubscribe, "POST"),
        control_route("subscriptions", subscriptions, "GET"), control_route("webhooks", webhooks, "POST"),
        control_route("deliveries", deliveries, "GET"), control_route("consume", consume, "POST"),
    ]  # fmt: skip
