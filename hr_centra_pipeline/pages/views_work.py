"""The routes of the pages that people work with: home, search, a return, the worklist, an exception, the warehouse, health."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from sqlite3 import Connection
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hr_centra_pipeline.core import page_addresses
from hr_centra_pipeline.core.kinds import OWNERS
from hr_centra_pipeline.decisions.decision_kinds import about_exception, about_return
from hr_centra_pipeline.pages import decided, views, worklist
from hr_centra_pipeline.pages.page_file import reading
from hr_centra_pipeline.pages.site import decisions_of, settings_of, show
from hr_centra_pipeline.pages.views import View
from hr_centra_pipeline.pages.worklist import Filter

_Looks = Callable[[Connection, Request], View]


def _page(look: _Looks) -> Callable[[Request], Response]:
    """A route's function: the view of one snapshot of the publication."""

    def answer(request: Request) -> Response:
        with reading(settings_of(request).published) as connection:
            found = look(connection, request)
        return show(request, found)

    return answer


def _home(connection: Connection, _: Request) -> View:
    return views.home(connection)


def _search(connection: Connection, request: Request) -> View:
    return views.search(connection, request.query_params)


def _return(connection: Connection, request: Request) -> View:
    name = request.path_params["return_id"]
    return _with(views.one_return(connection, name), decisions=decisions_of(request, about_return(name)))


def _worklist(connection: Connection, request: Request) -> View:
    return views.worklist_page(connection, request.query_params, decided.assigned(request), decided.people(request))


def _exception(connection: Connection, request: Request) -> View:
    name = request.path_params["exception_id"]
    return _with(
        views.one_exception(connection, name, decided.assigned(request)),
        decisions=decisions_of(request, about_exception(name)), people=decided.people(request), teams=OWNERS,
    )  # fmt: skip


def _with(view: View, **given: Any) -> View:
    return replace(view, given={**view.given, **given})


def _warehouse(connection: Connection, request: Request) -> View:
    return views.warehouse(connection, request.query_params)


def _warehouse_print(connection: Connection, request: Request) -> View:
    return views.warehouse_print(connection, request.query_params)


def _health(connection: Connection, request: Request) -> View:
    return views.health(connection, datetime.now(UTC), decided.waiting(request))


def _file(request: Request) -> Response:
    """The worklist of a filter as CSV."""
    settings, wanted = settings_of(request), Filter.of(request.query_params)
    with reading(settings.published) as connection:
        text = "".join(worklist.lines_of_file(connection, wanted, decided.assigned(request), settings.pages_url))
    name = "-".join(part for part in ("worklist", wanted.state, wanted.team, wanted.kind) if part)
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


ROUTES = [
    Route("/", _page(_home)),
    Route(page_addresses.SEARCH, _page(_search)),
    Route("/returns/{return_id:path}", _page(_return)),
    Route(page_addresses.WORKLIST, _page(_worklist)),
    Route(f"{page_addresses.WORKLIST}.csv", _file),
    Route("/exceptions/{exception_id:path}", _page(_exception)),
    Route(page_addresses.WAREHOUSE, _page(_warehouse)),
    Route(f"{page_addresses.WAREHOUSE}/print", _page(_warehouse_print)),
    Route(page_addresses.HEALTH, _page(_health)),
]
"""Its routes, for ``app.py``."""
