"""The pages without what a site adds: login, navigation, forms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jinja2 import ChoiceLoader, DictLoader, Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.pages.routes import routes
from hr_centra_pipeline.pages.views import View
from hr_centra_pipeline.pages.words import FILTERS
from hr_centra_pipeline.pages.worklist import Assigned

_LAYOUT = """<!doctype html><html lang="en"><head><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{% block title %}{% endblock %}</title></head><body><main>{% block content %}{% endblock %}</main></body></html>"""


def plain_site(home: Path, assigned: Mapping[str, str] | None = None) -> Starlette:
    """The application, on the publication of a home."""
    environment = Environment(
        loader=ChoiceLoader([DictLoader({"layout.html": _LAYOUT}), PackageLoader("hr_centra_pipeline.pages")]),
        autoescape=select_autoescape(["html"]), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(FILTERS)

    def show(_: Request, view: View) -> Response:
        return HTMLResponse(environment.get_template(view.template).render(**view.given), view.status)

    settings = Settings.from_environment({"HR_CENTRA_HOME": str(home)})
    return Starlette(
        routes=routes(
            settings,
            show,
            assigned=lambda: Assigned(assigned or {}),
            people=lambda: ["mia@example.com"],
            waiting=lambda: 2,
        )
    )
