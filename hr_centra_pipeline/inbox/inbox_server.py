"""``hr-centra inbox serve``: the receiver behind uvicorn, with bounds that uvicorn does not have, until it is stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hr_centra_pipeline.core import addresses
from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.inbox.inbox_store import Inbox
from hr_centra_pipeline.inbox.receiver import (
    HEAD_TOO_SLOW,
    TOO_MANY_CONNECTIONS,
    Answer,
    Bounds,
    Receiver,
    head_too_large,
    written,
)
from hr_centra_pipeline.inbox.signatures import verifiers

if TYPE_CHECKING:
    from uvicorn._types import ASGIApplication

_log = logging.getLogger(__name__)

_IDLE_SECONDS = 30
_STOP_SECONDS = 20
_BACKLOG = 2_048
_FIRST_PASSED = 3  # where sd_listen_fds(3) begins to count


def bounded_protocol(bounds: Bounds, count: Callable[[str, str], None]) -> type[HttpToolsProtocol]:
    """Uvicorn's HTTP/1.1 with three bounds more: seconds and bytes of a request's head, and connections at once.

    ``count`` gets the path, as far as it has come, and the name of the bound. A connection that asks nothing is closed uncounted.
    """

    class BoundedProtocol(HttpToolsProtocol):
        _head_timer: asyncio.TimerHandle | None = None
        _head_size = 0
        _is_in_head = True
        _has_begun = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > bounds.connections:
                self._refuse(TOO_MANY_CONNECTIONS)
                return
            self._await_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():  # what still comes after our last answer is not read
                return
            was_in_head = self._is_in_head
            super().data_received(data)
            if self._is_in_head and was_in_head:
                self._head_size += len(data)
                if self._head_size > bounds.head_bytes and not self.transport.is_closing():
                    self._refuse(head_too_large(bounds))

        def on_message_begin(self) -> None:
            self._await_head()
            self._has_begun = True
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._is_in_head = self._has_begun = False
            self._stop_timer()
            super().on_headers_complete()

        def _await_head(self) -> None:
            self._is_in_head, self._head_size = True, 0
            self._stop_timer()
            self._head_timer = self.loop.call_later(bounds.head_seconds, self._give_up)

        def _stop_timer(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

        def _give_up(self) -> None:
            if self.transport.is_closing():
                return
            if self._has_begun:
                self._refuse(HEAD_TOO_SLOW)
            else:
                self.transport.close()

        def _refuse(self, answer: Answer) -> None:
            path = self.url.decode("latin-1") if self._has_begun else ""
            count(path, answer.bound or "")
            self.transport.write(written(answer))
            self.transport.close()

    return BoundedProtocol


def serve(
    settings: Settings,
    host: str,
    port: int,
    *,
    shops: Sequence[str] = ("main",),
    bounds: Bounds | None = None,
    listening: Callable[[str], None],
) -> None:
    """Receive until SIGTERM or Ctrl-C; what has been accepted by then is committed or answered 503. ``listening`` gets the address.

    Where systemd passes a socket, that one is listened on, whatever ``host`` and ``port`` are.

    Raises:
        ConfigurationError: no webhook secret is set, the store's address or an event profile is wrong.
        RunFailed: nothing can listen there: the host is not one of this machine, or the port is in use.
    """
    bounds = bounds or Bounds()
    known = verifiers(settings)
    if not known:
        raise ConfigurationError(
            "HAPPY_RETURNS_WEBHOOK_SECRET, CENTRA_WEBHOOK_SECRET: neither is set; nothing is accepted unsigned. Set the secret of"
            " each webhook that you subscribe to."
        )
    inbox = Inbox.open(settings.inbox)
    app = Receiver(inbox, known, shops=shops, bounds=bounds)
    listener = _inherited() or _listener(host, port)
    host, port = listener.getsockname()[:2]
    if not addresses.is_loopback(host):
        _log.warning(
            "--host %s can be reached from other machines, without TLS: put a proxy before it (docs/events.md).", host
        )
    _allow_files(bounds.connections * 2)
    with listener:
        listening(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        try:
            server(app, bounds).run(sockets=[listener])
        finally:
            inbox.close()


def _listener(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=_BACKLOG
        )
    except OSError as error:
        raise RunFailed(
            f"--host {host} --port {port}: {error.strerror or error}. Choose another with --port."
        ) from None


def _inherited() -> socket.socket | None:
    """The socket that systemd listens on for us (``hr-centra-inbox.socket``): while we restart, senders wait in its queue."""
    is_ours = os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS") == "1"
    return socket.socket(fileno=_FIRST_PASSED) if is_ours else None


def server(app: Receiver, bounds: Bounds) -> uvicorn.Server:
    """Uvicorn with our bounds, not running yet."""
    config = uvicorn.Config(
        cast("ASGIApplication", app),
        http=bounded_protocol(bounds, app.count_refused),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_STOP_SECONDS,
        backlog=_BACKLOG,
    )
    return uvicorn.Server(config)


def _allow_files(number: int) -> None:
    """A connection is an open file; many systems allow 1,024 unless they are asked for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(number, hard)), hard))
