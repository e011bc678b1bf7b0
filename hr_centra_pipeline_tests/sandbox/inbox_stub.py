"""A real HTTP server that takes what the sandbox pushes, and answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Arrived:
    path: str
    headers: dict[str, str]
    body: bytes
    at: datetime | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class InboxStub:
    """``statuses``: of the next answers, 200 when there are no more. ``now``: what its clock says."""

    url: str = ""
    got: list[Arrived] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    now: Callable[[], datetime | None] = lambda: None

    def events(self) -> list[str]:
        """What arrived of returns: primary, then the others."""
        return [
            " < ".join([one["typeID"], *(other["typeID"] for other in one.get("otherEvents") or [])])
            for one in (arrived.json for arrived in self.got)
            if isinstance(one, dict) and one["event"].startswith("return_") and "items" in one
        ]


@contextmanager
def inbox_stub() -> Iterator[InboxStub]:
    stub = InboxStub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = stub.statuses.pop(0) if stub.statuses else 200
            stub.got.append(Arrived(self.path, dict(self.headers), body, stub.now()))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    stub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
