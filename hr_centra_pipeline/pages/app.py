"""The site of the pages, put together, and where it listens."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from hr_centra_pipeline.core import addresses
from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.core.retired_variables import RETIRED
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.decisions.decision_store import DecisionStore, StoreFailed, TooManyWaiting
from hr_centra_pipeline.pages import login as logging_in
from hr_centra_pipeline.pages import views_decisions, views_finance, views_manual, views_work
from hr_centra_pipeline.pages.forms import Refused
from hr_centra_pipeline.pages.guard import LOOPBACK, Bounds, Guard
from hr_centra_pipeline.pages.login import Login, opened_login
from hr_centra_pipeline.pages.page_file import NothingPublished
from hr_centra_pipeline.pages.site import STYLES, Site, page, refusal, style

_log = logging.getLogger(__name__)
_HEADINGS = {403: "Not allowed", 404: "Not found", 405: "Not possible"}


def routes() -> list[BaseRoute]:
    """Every page; a module of pages is listed here."""
    return [
        Route("/ping", _ping),
        Route("/static/{name}", _style),
        *logging_in.ROUTES,
        *views_work.ROUTES,
        *views_manual.ROUTES,
        *views_finance.ROUTES,
        *views_decisions.ROUTES,
    ]


def application(
    settings: Settings, login: Login, address: str, *, hosts: tuple[str, ...] = (), bounds: Bounds | None = None
) -> Guard:
    """The site, guarded. ``hosts``: names it may be called by beside that of ``HR_CENTRA_PAGES_URL``."""
    app = Starlette(
        routes=routes(),
        exception_handlers={
            HTTPException: _told, Refused: _refused, NothingPublished: _unpublished, StoreFailed: _busy,
            TooManyWaiting: _busy, Exception: _failed,
        },
    )  # fmt: skip
    site = Site(settings, login, address, DecisionStore(settings))
    app.state.site = site
    app.router.redirect_slashes = False  # an address is right or it is not
    name = urlsplit(settings.pages_url).hostname or ""
    return Guard(app, site, hosts=(name, *hosts), bounds=bounds or Bounds(upload_paths=views_decisions.UPLOAD_PATHS))


def serve(settings: Settings, host: str, port: int, *, listening: Callable[[str], None]) -> None:
    """Serve until stopped. ``listening`` gets each line for the terminal: the address, and the link to log in with.

    Raises:
        ConfigurationError: a setting is wrong, or the site would be exposed without a login or without TLS in front.
        RunFailed: nothing can listen there: the host is not one of this machine, or the port is in use.
    """
    check_settings(settings, host)
    is_here = addresses.is_loopback(host)
    login = opened_login(settings, told=lambda link: listening(f"Log in:  {link}"))
    if not is_here and login.way == "link":
        raise ConfigurationError(
            f"--host {host} can be reached from other machines: write people.toml, with a proxy's login or with passwords "
            '(docs/operations.md, "Behind a login").'
        )
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise RunFailed(
            f"--host {host} --port {port}: {error.strerror or error}. Choose another with --port."
        ) from None
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    app = application(settings, login, address, hosts=LOOPBACK if is_here else ())
    with listener:
        listening(f"Pages:   {address}   (Ctrl-C ends it)")
        if login.way == "link":
            login.new_link(address)
        # The peer's address is the connection's own: who the user is hangs on it, so no header may change it.
        uvicorn.Server(
            uvicorn.Config(
                app, log_level="warning", server_header=False, proxy_headers=False, access_log=False, ws="none",
                limit_concurrency=200, timeout_keep_alive=10, timeout_graceful_shutdown=10, h11_max_incomplete_event_size=32 << 10,
            )
        ).run(sockets=[listener])  # fmt: skip


def check_settings(settings: Settings, host: str, environment: Mapping[str, str] | None = None) -> None:
    """Check what the pages need.

    Raises:
        ConfigurationError: the pages' address has a path, or no TLS beyond this machine; or a retired variable is set.
    """
    env = os.environ if environment is None else environment
    for name, what_to_do in RETIRED.items():
        if env.get(name):
            raise ConfigurationError(f"{name}: {what_to_do}")
    parts = urlsplit(settings.pages_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or parts.username:
        raise ConfigurationError(
            "HR_CENTRA_PAGES_URL: write a scheme and a host only, such as https://returns.example.com."
        )
    is_exposed = not addresses.is_loopback(host) or not addresses.is_loopback(parts.hostname)
    if is_exposed and parts.scheme != "https":
        raise ConfigurationError(
            "HR_CENTRA_PAGES_URL: people on other machines reach the pages, so write https://; a proxy has the certificate "
            '(docs/operations.md, "Behind a login").'
        )


def _ping(_: Request) -> Response:
    return PlainTextResponse("ok\n")


def _style(request: Request) -> Response:
    name = next((one for one in STYLES if one == request.path_params["name"]), None)
    return Response(style(name), media_type="text/css") if name else PlainTextResponse("Not found.\n", 404)


def _told(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    text = str(getattr(error, "detail", ""))
    if status == 404 and text == "Not Found":
        text = "There is no such page."
    if status == 405:
        text = "This page is not changed by a form."
    return refusal(request, status, _HEADINGS.get(status, "Not possible"), text)


def _refused(request: Request, error: Exception) -> Response:
    return refusal(request, getattr(error, "status", 400), "Not recorded", str(error))


def _busy(request: Request, error: Exception) -> Response:
    _log.warning("%s: %s", request.scope["path"], error)
    if isinstance(error, TooManyWaiting):
        return refusal(request, 503, "Not recorded", f"{error} Nothing was recorded; send the form again later.")
    text = "Decisions cannot be read or recorded now; the log of hr-centra pages says why. Nothing was recorded: try again later."
    return refusal(request, 503, "Not possible now", text)


def _unpublished(request: Request, error: Exception) -> Response:
    return page(request, "unpublished.html", 503, text=str(error))


def _failed(request: Request, error: Exception) -> Response:
    del error  # the server logs it, with where it happened
    return refusal(
        request, 500, "Something went wrong here", "It was recorded in the log of hr-centra pages. Nothing was changed."
    )
