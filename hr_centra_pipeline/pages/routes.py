"""The addresses of the pages that people work with. How a page is framed, and who may see it, is the site's (``show``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from sqlite3 import Connection

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from hr_centra_pipeline.core import page_addresses
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.pages import views, worklist
from hr_centra_pipeline.pages.page_file import NothingPublished, reading
from hr_centra_pipeline.pages.views import View
from hr_centra_pipeline.pages.worklist import Assigned, Filter

Show = Callable[[Request, View], Response]


def routes(
    settings: Settings, show: Show, *, assigned: Callable[[], Assigned], people: Callable[[], Sequence[str]],
    waiting: Callable[[], int],
) -> list[Route]:  # fmt: skip
    """The routes. ``assigned``: who has which exception; ``people``: who can; ``waiting``: decisions not carried out yet."""

    def page(path: str, view: Callable[[Connection, Request], View]) -> Route:
        def answer(request: Request) -> Response:
            try:
                with reading(settings.published) as connection:
                    found = view(connection, request)
            except NothingPublished as error:
                found = View("unpublished.html", {"text": str(error)}, 503)
            return show(request, found) if found.address is None else RedirectResponse(found.address, 303)

        return Route(path, answer, methods=["GET"])

    def file(request: Request) -> Response:
        wanted = Filter.of(request.query_params)

        def lines() -> list[str]:
            with reading(settings.published) as connection:
                return list(worklist.lines_of_file(connection, wanted, assigned(), settings.pages_url))

        try:
            text = lines()
        except NothingPublished as error:
            return show(request, View("unpublished.html", {"text": str(error)}, 503))
        name = "-".join(part for part in ("worklist", wanted.state, wanted.team, wanted.kind) if part)
        return StreamingResponse(
            iter(text),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
        )

    return [
        page("/", lambda connection, _: views.home(connection)),
        page(page_addresses.SEARCH, lambda connection, request: views.search(connection, request.query_params)),
        page(
            "/returns/{return_id:path}",
            lambda connection, request: views.one_return(connection, request.path_params["return_id"]),
        ),
        page(
            page_addresses.WORKLIST,
            lambda connection, request: views.worklist_page(connection, request.query_params, assigned(), people()),
        ),
        Route(f"{page_addresses.WORKLIST}.csv", file, methods=["GET"]),
        page(
            "/exceptions/{exception_id}",
            lambda connection, request: views.one_exception(
                connection, request.path_params["exception_id"], assigned()
            ),
        ),
        page(page_addresses.WAREHOUSE, lambda connection, request: views.warehouse(connection, request.query_params)),
        page(
            f"{page_addresses.WAREHOUSE}/print",
            lambda connection, request: views.warehouse_print(connection, request.query_params),
        ),
        page(page_addresses.HEALTH, lambda connection, _: views.health(connection, datetime.now(UTC), waiting())),
    ]
