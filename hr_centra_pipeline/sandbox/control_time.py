"""Control routes by which time passes, and what is planted in it: the shop's hours and seconds, scans, sales."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from hr_centra_pipeline.sandbox.control_route import Body, control_route

if TYPE_CHECKING:
    from hr_centra_pipeline.sandbox.server import Sandbox
    from hr_centra_pipeline.sandbox.shop.shop import Shop

_DRAINS_FOR_SECONDS = 60


class Time:
    """The shop's time, moved by one request after another, or by itself."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._lock = threading.Lock()
        self._speed = 0.0
        self._runner: threading.Thread | None = None

    @contextmanager
    def _shop(self) -> Iterator[Shop]:
        # Imported here: the shop is only needed when its clock moves.
        from hr_centra_pipeline.sandbox.shop.shop import Shop

        with self._lock:
            shop = Shop(self._sandbox.home, self._sandbox.store, self._sandbox.clock)
            try:
                yield shop
            finally:
                shop.close()

    def advance(self, body: Body) -> Any:
        """Hours pass, each with its export files; of a fraction, as with seconds. With ``drain`` each is sent before the next."""
        hours = float(body.get("hours", 1))
        if not hours.is_integer():
            return self.live({**body, "seconds": 3600 * hours})
        answer = self._now()
        for step in [1] * int(hours) if body.get("drain") else [int(hours)]:
            with self._shop() as shop:
                shop.advance(step)
            answer = self._passed(body)
        return answer

    def live(self, body: Body) -> Any:
        """Seconds pass, ``step`` of them at a time; with ``drain`` what is due is sent after each step."""
        seconds = float(body["seconds"])
        step = float(body.get("step") or seconds)
        while True:
            with self._shop() as shop:
                shop.live(min(step, seconds))
            seconds -= step
            if seconds <= 0:
                return self._passed(body)
            self._passed(body)

    def run(self, body: Body) -> Any:
        """Time passes by itself, so many times as fast as outside; 0: it stops."""
        self._speed = float(body.get("speed", 1))
        if self._speed and self._runner is None:
            self._runner = threading.Thread(target=self._go_on, name="time", daemon=True)
            self._runner.start()
        return self._now()

    def _go_on(self) -> None:
        before, left = time.monotonic(), 0.0
        while self._speed:
            time.sleep(0.2)
            now = time.monotonic()
            left += (now - before) * self._speed
            before = now
            if left >= 1:
                with self._shop() as shop:
                    shop.live(int(left))
                left -= int(left)
                self._sandbox.postman.wake()
        self._runner = None

    def scan(self, body: Body) -> Any:
        """See ``Scans.scan``."""
        given = {name: value for name, value in body.items() if name not in ("drain", "seconds_to_drain")}
        planted = self._with_scans(lambda scans: scans.scan(given))
        return {**self._passed(body), **planted}

    def sell(self, body: Body) -> Any:
        """See ``Scans.sell``."""
        return {"orders": self._with_scans(lambda scans: scans.sell(int(body.get("orders", 1))))}

    def correct(self, body: Body) -> Any:
        """Happy Returns' support corrects fields of a return, a unit or a refund; the hour's export brings it."""
        with self._shop() as shop:
            changed = shop.correct(str(body["row"]), body["changes"])
        return {**self._now(), "changed": changed}

    def _with_scans(self, act: Callable[[Any], Any]) -> Any:
        # Imported here: the shop is only needed when something happens in it.
        from hr_centra_pipeline.sandbox.shop.scans import Scans

        with self._lock:
            return act(Scans(self._sandbox.home, self._sandbox.store, self._sandbox.clock))

    def clock(self, _: Body) -> Any:
        """What time it is in the sandbox."""
        return {"now": self._sandbox.clock.now().isoformat(), "speed": self._speed}

    def drain(self, body: Body) -> Any:
        """Wait until everything that is due is sent."""
        left = self._sandbox.postman.drain(float(body.get("seconds", _DRAINS_FOR_SECONDS)))
        return {**self._now(), "due": left}

    def _passed(self, body: Body) -> Any:
        self._sandbox.postman.wake()
        if not body.get("drain"):
            return self._now()
        return self.drain({"seconds": body.get("seconds_to_drain", _DRAINS_FOR_SECONDS)})

    def _now(self) -> Body:
        return {"status": "ok", "now": self._sandbox.clock.now().isoformat()}


def time_routes(sandbox: Sandbox) -> list[Route]:
    """The routes of the shop's time."""
    time_ = Time(sandbox)
    return [
        control_route("advance", time_.advance, "POST"), control_route("live", time_.live, "POST"),
        control_route("run", time_.run, "POST"), control_route("clock", time_.clock, "GET"),
        control_route("drain", time_.drain, "POST"), control_route("scan", time_.scan, "POST"),
        control_route("sell", time_.sell, "POST"), control_route("correct", time_.correct, "POST"),
    ]  # fmt: skip
