"""One HTTP exchange, bounded: seconds in all, however slowly bytes drip in, and bytes as they are once unpacked."""

from __future__ import annotations

import contextlib
import socket
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

MOST_BYTES = 24 * 2**20  # of an answer, unpacked: a page of Centra's largest orders has a few million
MOST_SECONDS = 90.0  # from the first packet to the last: its Order API may take 20
_TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two packets
_AT_ONCE = 1 << 16


class Unbounded(Exception):
    """An answer was given up: it took too long, or is too large. The request has left."""


class TooLarge(Unbounded):
    """It has more bytes than we take."""


class TooSlow(Unbounded):
    """It took more seconds than we wait."""


@dataclass(frozen=True)
class Received:
    """An answer: all of it, unpacked."""

    status_code: int
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=CaseInsensitiveDict)


class BoundedSession:
    """Sends requests over kept connections. Not for several threads at once."""

    def __init__(self, auth: AuthBase, *, most_bytes: int = MOST_BYTES, most_seconds: float = MOST_SECONDS) -> None:
        self._most_bytes, self._most_seconds = most_bytes, most_seconds
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._session = requests.Session()
        self._session.auth = auth
        adapter = _Adapter(self._sockets)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def exchange(
        self, method: str, url: str, *, params: Mapping[str, str] | None, data: bytes | None, headers: Mapping[str, str]
    ) -> Received:
        """Send one request and read its whole answer.

        Raises:
            TooLarge, TooSlow: the answer was given up.
            requests.RequestException: there is no answer, or its packing is broken.
        """
        is_over = threading.Event()
        watch = threading.Timer(self._most_seconds, self._cut, [is_over])
        watch.daemon = True
        watch.start()
        try:
            received = self._exchange(method, url, params, data, headers)
        except requests.RequestException:
            if is_over.is_set():
                raise TooSlow(self._too_slow) from None
            raise
        finally:
            watch.cancel()
        if is_over.is_set():
            raise TooSlow(self._too_slow)
        return received

    @property
    def _too_slow(self) -> str:
        return f"its answer took more than {self._most_seconds:g} s"

    def close(self) -> None:
        """Closes the kept connections; the next request opens its own."""
        self._session.close()

    def _exchange(
        self, method: str, url: str, params: Mapping[str, str] | None, data: bytes | None, headers: Mapping[str, str]
    ) -> Received:
        with self._session.request(
            method, url, params=params, data=data, headers=dict(headers), timeout=_TIMEOUT, allow_redirects=False,
            stream=True,
        ) as response:  # fmt: skip
            content = bytearray()
            for chunk in response.iter_content(_AT_ONCE):
                content += chunk
                if len(content) > self._most_bytes:
                    raise TooLarge(f"its answer has more than {self._most_bytes:,} bytes")
            return Received(response.status_code, bytes(content), response.headers)

    def _cut(self, is_over: threading.Event) -> None:
        """Whatever is being read ends now. The read itself can't be timed: a byte in time restarts every timeout."""
        is_over.set()
        for one in list(self._sockets):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(one, socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    """Knows the sockets of its connections, so that a slow one can be cut off."""

    def __init__(self, sockets: weakref.WeakSet[socket.socket]) -> None:
        self._classes = {
            "http": _watched(HTTPConnectionPool, HTTPConnection, sockets),
            "https": _watched(HTTPSConnectionPool, HTTPSConnection, sockets),
        }
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._classes

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._classes
        return manager


def _watched(pool: Any, connection: Any, sockets: weakref.WeakSet[socket.socket]) -> Any:
    class Watched(connection):  # type: ignore[misc]
        def _new_conn(self) -> socket.socket:
            made: socket.socket = super()._new_conn()
            sockets.add(made)  # before its handshake
            return made

        def connect(self) -> None:
            super().connect()
            if isinstance(self.sock, socket.socket):
                sockets.add(self.sock)  # TLS is a socket of its own

    return type(pool.__name__, (pool,), {"ConnectionCls": Watched})
