"""The download page: months, their state, and their files. Read only, from exported packs, never from the warehouse.

What can be fetched is what a month's manifest lists, looked up by name; no path is ever put together from a request.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from hr_centra_pipeline.core import addresses, months
from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.publishing.pack import MANIFEST, SUMMARY, months_with_packs, read_manifest
from hr_centra_pipeline.publishing.summary import pages

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_TYPES = {
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".csv": "text/csv; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet", ".html": "text/html; charset=utf-8", ".json": "application/json",
}  # fmt: skip
_SAFE = {
    "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'",
}  # fmt: skip
_Next = Callable[[Request], Awaitable[Response]]


def downloads(settings: Settings, *, token: str = "", hosts: Sequence[str] = _LOOPBACK) -> Starlette:
    """The application. ``token``: asked for by HTTP Basic (any user name) or as a bearer token; empty: nobody is asked.

    ``hosts``: names under which it may be called, so that no other page can reach it through a name of its own.
    """

    async def guarded(request: Request, call: _Next) -> Response:
        if token and not _knows(request.headers.get("authorization", ""), token):
            response: Response = PlainTextResponse(
                "Give the token as password (any user name).",
                401,
                {"WWW-Authenticate": 'Basic realm="hr-centra downloads"'},
            )
        else:
            response = await call(request)
        response.headers.update(_SAFE)
        return response

    def overview(_: Request) -> Response:
        packs = [read_manifest(settings.exported / month) for month in months_with_packs(settings)]
        return _page("Returns, month by month", month=None, packs=[pack for pack in packs if pack is not None])

    def month_page(request: Request) -> Response:
        month, pack = _pack(settings, request.path_params["month"])
        if pack is None:
            return _missing()
        return _page(f"Returns, {month}", month=month, pack=pack, pack_tables=list(_tables(pack)))

    def one_file(request: Request) -> Response:
        month, pack = _pack(settings, request.path_params["month"])
        listed = {MANIFEST, *(file["name"] for file in pack["files"])} if pack is not None else set()
        name = next((one for one in listed if one == request.path_params["name"] and Path(one).name == one), None)
        path = settings.exported / month / name if name is not None else None
        if path is None or not path.is_file():
            return _missing()
        shown = name in (SUMMARY, MANIFEST)
        return FileResponse(
            path, media_type=_TYPES.get(path.suffix, "application/octet-stream"),
            filename=None if shown else f"{month}-{path.name}" if month not in path.name else path.name,
        )  # fmt: skip

    return Starlette(
        routes=[
            Route("/", overview), Route("/{month}/", month_page), Route("/{month}/{name}", one_file),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts)), Middleware(BaseHTTPMiddleware, dispatch=guarded),
        ],
    )  # fmt: skip


def serve(settings: Settings, host: str, port: int, *, listening: Callable[[str], None]) -> None:
    """Serve until stopped. Beyond loopback only with ``HR_CENTRA_DOWNLOADS_TOKEN``. ``listening`` gets the address.

    Raises:
        ConfigurationError: the host is exposed and there is no token, or one that could be guessed.
        RunFailed: nothing can listen there: the host is not one of this machine, or the port is in use.
    """
    token = settings.downloads_token.get_secret_value()
    if not addresses.is_loopback(host) and len(token) < 16:
        raise ConfigurationError(
            f"--host {host} can be reached from other machines: set HR_CENTRA_DOWNLOADS_TOKEN to a secret of 16 characters "
            'or more, and put TLS in front (docs/operations.md, "Behind a login").'
        )
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise RunFailed(
            f"--host {host} --port {port}: {error.strerror or error}. Choose another with --port."
        ) from None
    app = downloads(settings, token=token, hosts=_LOOPBACK if addresses.is_loopback(host) else ("*",))
    with listener:
        listening(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        uvicorn.Server(uvicorn.Config(app, log_level="warning", server_header=False)).run(sockets=[listener])


def _knows(header: str, token: str) -> bool:
    kind, _, value = header.partition(" ")
    if kind.lower() == "bearer":
        given = value.strip()
    elif kind.lower() == "basic":
        try:
            given = base64.b64decode(value, validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    else:
        return False
    return hmac.compare_digest(given.encode(), token.encode())


def _pack(settings: Settings, text: str) -> tuple[str, dict[str, Any] | None]:
    if not months.is_month(text):
        return text, None
    return text, read_manifest(settings.exported / text)


def _tables(pack: dict[str, Any]) -> Iterator[dict[str, Any]]:
    by_name = {file["name"]: file for file in pack["files"]}
    for name, file in by_name.items():
        if name.endswith(".csv"):
            parquet = by_name.get(f"{Path(name).stem}.parquet", {})
            yield {
                "name": Path(name).stem, "rows": file.get("rows", 0), "csv_bytes": file["bytes"], "sha256": file["sha256"],
                "parquet_bytes": parquet.get("bytes"),
            }  # fmt: skip


def _page(title: str, **given: Any) -> Response:
    return HTMLResponse(pages().get_template("downloads.html").render(title=title, **given))


def _missing() -> Response:
    return PlainTextResponse("There is no such file here.", 404)
