"""``/manual``: the pages of the manual, and their pictures."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hr_centra_pipeline.core.page_addresses import MANUAL
from hr_centra_pipeline.pages import manual
from hr_centra_pipeline.pages.site import must_exist, page


def show_index(request: Request) -> Response:
    """What there is to read."""
    found = [one for name in manual.names() if (one := manual.manual_page(name)) is not None]
    return page(
        request, "manual_index.html", first=[one for one in found if one.name in manual.FIRST],
        others=[one for one in found if one.name not in manual.FIRST],
    )  # fmt: skip


def show_page(request: Request) -> Response:
    """One page."""
    found = manual.manual_page(request.path_params["name"].strip("/"))
    must_exist(request, found is not None)
    return page(request, "manual.html", found=found)


def show_image(request: Request) -> Response:
    """One picture."""
    found = manual.image(request.path_params["name"])
    must_exist(request, found is not None)
    content, media_type = found or (b"", "")
    return Response(content, media_type=media_type)


ROUTES = [
    Route(MANUAL, show_index), Route(f"{MANUAL}/", show_index), Route(f"{MANUAL}/images/{{name}}", show_image),
    Route(f"{MANUAL}/{{name:path}}", show_page),
]  # fmt: skip
