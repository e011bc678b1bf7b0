"""A partner API that answers as a test says, over real HTTP; and a clock that moves only when somebody sleeps."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

KEY = "key-of-a-test-4711"
RETAILER = "modern-retailer"


@dataclass(frozen=True)
class Request:
    """One request as it arrived; ``body``: its JSON."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Given:
    """What is answered. ``cut``: so many bytes less than its length says."""

    status: int = 200
    body: Any = None
    content_type: str | None = "application/json"
    cut: int = 0
    location: str = ""

    @property
    def data(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body).encode()


Respond = Callable[[Request], Given]


@dataclass
class Partner:
    """The server: ``respond`` may be changed; ``got``: what arrived."""

    url: str
    respond: Respond
    got: list[Request] = field(default_factory=list)


@contextmanager
def partner(respond: Respond) -> Iterator[Partner]:
    """Serves until the block ends."""
    one = Partner("", respond)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(
                self.command, parts.path, dict(parse_qsl(parts.query)), json.loads(raw) if raw else None,
                {name.lower(): value for name, value in self.headers.items()},
            )  # fmt: skip
            one.got.append(request)
            given = one.respond(request)
            self.send_response(given.status)
            if given.content_type:
                self.send_header("Content-Type", given.content_type)
            if given.location:
                self.send_header("Location", given.location)
            self.send_header("Content-Length", str(len(given.data) + given.cut))
            self.end_headers()
            self.wfile.write(given.data)
            self.close_connection = bool(given.cut)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _answer

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    one.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield one
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Time:
    """Unix seconds; sleeping moves it."""

    now: float = 1_790_000_000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def unit(number: int = 1, **more: Any) -> dict[str, Any]:
    """One entry of ``items``, with the fields that are documented."""
    return {
        "happyReturnsReturnID": f"5035789d-f873-4bad-b2f3-{number:012d}", "purchasedAt": "2026-09-01T16:26:05-05:00",
        "email": "customer@example.com", "orderNumber": str(1000 + number), "orderID": "5324938444866",
        "orderLineItemID": "13377523220546-0-5", "sku": "SKU-1", **more,
    }  # fmt: skip
