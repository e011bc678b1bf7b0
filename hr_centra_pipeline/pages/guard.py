"""Before any page: the host, who it is, where a form came from, and how much may be sent in how many seconds.

After it: headers that keep a page from being framed, cached, or run with anything external. An ASGI application around the site.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hr_centra_pipeline.core import addresses
from hr_centra_pipeline.pages.login import Login, Unknown, new_session_for_forms
from hr_centra_pipeline.pages.site import Site, refusal
from hr_centra_pipeline.pages.visitors import Visitor

_log = logging.getLogger(__name__)

OPEN_PATHS = ("/login", "/ping")
"""With ``/static/``, all that is answered to somebody without a login."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LONGEST_TARGET = 4_000
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # No path or query leaves with a link. "no-referrer" would also take away the Origin of our own forms.
    "Referrer-Policy": "strict-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data: https:; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
}
_DIGITS = re.compile(r"\d{1,12}")

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


@dataclass(frozen=True)
class Bounds:
    """What is accepted. ``upload_paths``: where a file may be sent; everything else is a form."""

    form_bytes: int = 64 << 10
    upload_bytes: int = (25 << 20) + (64 << 10)  # a file, and the form around it
    form_seconds: float = 15.0
    upload_seconds: float = 120.0
    uploads_at_once: int = 3
    upload_paths: frozenset[str] = frozenset()


class _Refused(Exception):
    def __init__(self, status: int, heading: str, text: str) -> None:
        super().__init__(text)
        self.status, self.heading = status, heading


class Guard:
    """The site, guarded. ``hosts``: names that it may be called by; ``origin``: of its public address."""

    def __init__(self, app: Starlette, site: Site, *, hosts: Collection[str], bounds: Bounds | None = None) -> None:
        self._app = app
        self._site = site
        self._login: Login = site.login
        self._hosts = frozenset(host.casefold() for host in hosts)
        self._bounds = bounds or Bounds()
        self._uploads = asyncio.Semaphore(self._bounds.uploads_at_once)
        address = urlsplit(site.settings.pages_url)
        self._origin = f"{address.scheme}://{address.netloc}".casefold()

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """One request, or the life of the process."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        began, request = time.monotonic(), Request(scope)
        scope["app"] = self._app
        scope.setdefault("state", {})
        status = 500

        async def guarded(message: _Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = self._with_ours(message["headers"], scope)
            await send(message)

        try:
            await self._answer(scope, receive, guarded, request)
        except _Refused as refused:
            response = refusal(request, refused.status, refused.heading, str(refused))
            if refused.status in (408, 413):
                response.headers["Connection"] = "close"  # the rest of the body is not read
            await response(scope, receive, guarded)
        finally:
            who: Visitor | None = scope["state"].get("visitor")
            # A path without its query: what somebody searches for may be a person's address.
            _log.info(
                "%s %s %s %d %.0f ms", who.id if who else "-", scope["method"], quote(scope["path"], safe="/"), status,
                (time.monotonic() - began) * 1_000,
            )  # fmt: skip

    async def _answer(self, scope: _Message, receive: _Receive, send: _Send, request: Request) -> None:
        """Raises:
        _Refused: as an error page says.
        """
        method, path = str(scope["method"]), str(scope["path"])
        self._check_host(request)
        if len(path) + len(scope["query_string"]) > _LONGEST_TARGET:
            raise _Refused(414, "Too long", "The address is too long.")
        if method not in ("GET", "HEAD", "POST"):
            raise _Refused(405, "Not possible", "Pages are read, and forms are sent; there is nothing else.")
        if method == "POST":
            self._check_origin(request)
        is_open = path in OPEN_PATHS or path.startswith("/static/")
        session: str | None = None
        if not is_open:
            who = await run_in_threadpool(self._login.visitor, request)
            if isinstance(who, Unknown):
                await self._turn_away(request, who, scope, receive, send)
                return
            if not who.session:  # the proxy's user in a new browser
                session = new_session_for_forms()
                who = Visitor(who.id, who.name, who.login, who.teams, who.rights, session)
            scope["state"]["visitor"] = who
        if session is not None:
            plain_send, cookie = send, self._cookie(session)

            async def send_with_cookie(message: _Message) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message["headers"], (b"set-cookie", cookie)]
                await plain_send(message)

            send = send_with_cookie
        if method != "POST":
            await self._app(scope, receive, send)
            return
        is_upload = path in self._bounds.upload_paths
        if is_upload and self._uploads.locked():
            raise _Refused(503, "Busy", "Several files are being uploaded at this moment. Send it again in a minute.")
        if is_upload:
            async with self._uploads:
                body = await self._body(request, receive, is_upload=True)
                await self._app(scope, _again(body), send)
        else:
            body = await self._body(request, receive, is_upload=False)
            await self._app(scope, _again(body), send)

    def _check_host(self, request: Request) -> None:
        given = request.headers.getlist("host")
        name = _name_of(given[0]) if len(given) == 1 else None
        if name is None or name not in self._hosts:
            raise _Refused(400, "Another host", "These pages are not served under this name: see HR_CENTRA_PAGES_URL.")

    def _check_origin(self, request: Request) -> None:
        """A form comes from a page of this site: browsers say so themselves, and nobody else can make them."""
        origin, site = request.headers.getlist("origin"), request.headers.getlist("sec-fetch-site")
        host = request.headers.get("host", "").casefold()
        ours = {self._origin}
        if addresses.is_loopback(_name_of(host) or ""):
            ours.add(f"http://{host}")
        is_ours = len(origin) <= 1 and len(site) <= 1 and bool(origin or site)
        if origin and origin[0].casefold() not in ours:
            is_ours = False
        if site and site[0] != "same-origin":
            is_ours = False
        if not is_ours:
            raise _Refused(403, "Not from here", "This form was not sent from a page of this site. Nothing was done.")

    async def _turn_away(self, request: Request, who: Unknown, scope: _Message, receive: _Receive, send: _Send) -> None:
        if who.why:
            raise _Refused(401, "Not logged in", who.why)
        if scope["method"] == "POST":
            raise _Refused(
                401, "Not logged in", "The session has ended. Go back, copy what you wrote, and log in again."
            )
        query = scope["query_string"].decode("ascii", "replace")
        wanted = quote(scope["path"], safe="/") + (f"?{query}" if query else "")
        response: Response = RedirectResponse(
            f"/login?next={quote(wanted, safe='')}" if wanted != "/" else "/login", 303
        )
        await response(scope, receive, send)

    async def _body(self, request: Request, receive: _Receive, *, is_upload: bool) -> bytes:
        """The whole body, within bounds, so that whatever parses it cannot be kept waiting.

        Raises:
            _Refused: it is too large, or takes too long.
        """
        most = self._bounds.upload_bytes if is_upload else self._bounds.form_bytes
        seconds = self._bounds.upload_seconds if is_upload else self._bounds.form_seconds
        too_large = _Refused(413, "Too large", f"At most {most >> 10:,} kB can be sent here.")
        length = request.headers.get("content-length", "0")
        if not _DIGITS.fullmatch(length) or int(length) > most:
            raise too_large
        parts: list[bytes] = []
        count = 0
        try:
            async with asyncio.timeout(seconds):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise _Refused(400, "Cut off", "The form did not arrive completely. Nothing was done.")
                    parts.append(message.get("body", b""))
                    count += len(parts[-1])
                    if count > most:
                        raise too_large
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise _Refused(408, "Too slow", "The form took too long to arrive. Nothing was done.") from None

    def _cookie(self, session: str) -> bytes:
        response = Response()
        self._login.keep(response, session)
        return response.headers["set-cookie"].encode("latin-1")

    def _with_ours(self, headers: Collection[tuple[bytes, bytes]], scope: _Message) -> list[tuple[bytes, bytes]]:
        is_static = scope["path"].startswith("/static/")
        ours = {**_HEADERS, "Cache-Control": "public, max-age=86400" if is_static else "no-store"}
        if self._login.is_secure:
            ours["Strict-Transport-Security"] = "max-age=31536000"
        given = {name.lower() for name, _ in headers}
        return [
            *headers,
            *(
                (name.lower().encode(), value.encode())
                for name, value in ours.items()
                if name.lower().encode() not in given
            ),
        ]


def _name_of(host: str) -> str | None:
    """A Host header without its port."""
    try:
        name = urlsplit(f"//{host}").hostname
        _ = urlsplit(f"//{host}").port
    except ValueError:
        return None
    if not name or not re.fullmatch(r"[A-Za-z0-9.:_-]+", name) or re.search(r"[/?#@\\]", host):
        return None
    return name.casefold()


def _again(body: bytes) -> _Receive:
    """A body that was read, for the application to read."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> _Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive
