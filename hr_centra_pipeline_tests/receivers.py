"""A webhook and a mail server that take what is sent to them, or refuse it: real servers on free loopback ports."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


def free_port() -> int:
    """A port that nobody listens on, for servers that cannot choose one themselves."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Hook:
    """What arrived at a webhook: (path, text)."""

    url: str = ""
    status: int = 200
    got: list[tuple[str, str]] = field(default_factory=list)
    beats: int = 0

    def texts(self) -> list[str]:
        return [text for _, text in self.got]


@contextmanager
def webhook() -> Iterator[Hook]:
    """Slack as far as we use it; ``/beat`` is a dead man's switch."""
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if hook.status == 200:
                hook.got.append((self.path, body["text"]))
            self.send_response(hook.status)
            self.end_headers()

        def do_GET(self) -> None:
            hook.beats += self.path == "/beat"
            self.send_response(hook.status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    hook.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Mailbox:
    """What arrived by mail."""

    url: str = ""
    refuses: bool = False
    got: list[Message] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.refuses:
            return "451 Not now"
        self.got.append(message_from_bytes(envelope.content))
        return "250 OK"


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """A mail server that wants a login."""
    user, password, box = "robot", "p@ss", Mailbox()

    def check(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (user.encode(), password.encode())
        return AuthResult(success=good, handled=False)

    controller = Controller(
        box, hostname="127.0.0.1", port=free_port(), authenticator=check, auth_required=True, auth_require_tls=False
    )
    controller.start()
    box.url = f"smtp://{user}:{password.replace('@', '%40')}@127.0.0.1:{controller.port}"
    try:
        yield box
    finally:
        controller.stop()
