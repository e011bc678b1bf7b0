"""A server that answers as reported: for what the sandbox never does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

LIMITS = {
    "rateLimits": [{"type": "REQUEST_COUNT", "intervalSeconds": "TEN_SECONDS", "quota": 60, "remainingQuota": 60}]
}
Respond = Callable[[dict[str, Any]], tuple[int, dict[str, str], bytes]]


@contextmanager
def answering(respond: Respond) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that answers each request as instructed (its rate limits apart): for what the sandbox never does."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            given = {**json.loads(body), "raw": body.decode()}
            if given["operationName"] == "ReadRateLimits":
                headers: dict[str, str] = {}
                status, answer = 200, json.dumps({"data": LIMITS}).encode()
            else:
                asked.append(given)
                status, headers, answer = respond(given)
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/graphql", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def always(body: Any, status: int = 200, **headers: str) -> Respond:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda _: (status, headers, text)
