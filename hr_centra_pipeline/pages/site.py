"""What every page is made with: the templates, who is logged in, and what a page says after a form was sent.

A module of pages has ``ROUTES``, a list of Starlette's ``Route``, which ``app.py`` lists. A view is a plain function (Starlette
runs it in a thread) that reads ``page_file.reading(settings_of(request).published)`` and answers ``page(request, template, ...)``.
A template extends ``layout.html`` and fills its blocks ``title`` and ``content``; forms come from ``_forms.html``, imported
``with context``. Neither a ``style`` attribute nor a script works: the site's policy refuses them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from hr_centra_pipeline.core import page_addresses
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.decisions.decision_kinds import Arguments
from hr_centra_pipeline.decisions.decision_store import DecisionStore, Kept
from hr_centra_pipeline.pages.page_file import NothingPublished, publication, reading
from hr_centra_pipeline.pages.page_words import FILTERS
from hr_centra_pipeline.pages.views import View
from hr_centra_pipeline.pages.visitors import Visitor

if TYPE_CHECKING:
    from hr_centra_pipeline.pages.login import Login

NOTICES: Mapping[str, str] = {
    "recorded": "Recorded. The pipeline carries it out with its next run; the result is then listed under Decisions.",
    "again": "This form had been sent before. It was recorded once.",
}
"""What a page says after a form was sent, by the word that its address carries."""
_UNSAID = {"kind", "sha256", "media_type", "bytes", "shown", "content_sha256"}
STYLES = ("views.css", "print.css", "pages.css")
NAVIGATION = (
    ("Worklist", page_addresses.WORKLIST), ("Warehouse", page_addresses.WAREHOUSE), ("Finance", page_addresses.FINANCE),
    ("Health", page_addresses.HEALTH), ("Decisions", page_addresses.DECISIONS), ("Manual", page_addresses.MANUAL),
)  # fmt: skip


@dataclass(frozen=True)
class Site:
    """What the application knows. ``address``: where it is reached, for links on the terminal."""

    settings: Settings
    login: Login
    address: str
    store: DecisionStore


def site_of(request: Request) -> Site:
    """The site that a request came to."""
    return cast("Site", request.app.state.site)


def settings_of(request: Request) -> Settings:
    """The settings that the site was started with."""
    return site_of(request).settings


def decisions_of(request: Request, subject: str, most: int = 50) -> list[Kept]:
    """The newest decisions about a subject of ``decisions/decision_kinds.py``, such as ``about_exception(...)``."""
    store = site_of(request).store
    return store.recent(most, about=subject) if store.exists else []


def show(request: Request, view: View) -> Response:
    """The page of a view, or the way to another page."""
    if view.address is not None:
        return RedirectResponse(view.address, 303)
    return page(request, view.template, view.status, **view.given)


def page(request: Request, template: str, status: int = 200, **given: Any) -> HTMLResponse:
    """A page. Everything that is put into a template is escaped."""
    return HTMLResponse(
        templates().get_template(template).render({**_frame(request), **given}), status
    )  # fmt: skip


def refusal(request: Request, status: int, heading: str, text: str) -> HTMLResponse:
    """A page that says why not, and what to do."""
    return page(request, "refused.html", status, heading=heading, text=text)


def must_exist(request: Request, exists: bool) -> None:
    """Answer 404 where what is asked for does not exist.

    Raises:
        HTTPException: it does not.
    """
    if not exists:
        raise HTTPException(404, f"There is no page at {request.scope['path'][:200]}.")


def _frame(request: Request) -> dict[str, Any]:
    site = site_of(request)
    who: Visitor | None = getattr(request.state, "visitor", None)
    path = request.scope["path"]
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "notice"]
    return {
        "visitor": who,
        "form_token": site.login.forms.token(who.session, who.id) if who is not None else "",
        "new_key": new_key,
        "here": path + (f"?{urlencode(query, quote_via=quote)}" if query else ""),
        "section": next((name for name, start in NAVIGATION if path == start or path.startswith(f"{start}/")), ""),
        "asked": request.query_params.get("q", "")[:200] if path == page_addresses.SEARCH else "",
        "last_sync": _last_sync(site.settings) if who is not None else None,
        "notice": NOTICES.get(request.query_params.get("notice", "")),
        "can_log_out": site.login.way != "proxy",
    }


def _last_sync(settings: Settings) -> str | None:
    try:
        with reading(settings.published) as connection:
            return str(publication(connection)["as_of"])
    except NothingPublished:
        return None


def new_key() -> str:
    """What a form is known by: sent twice, it is one decision."""
    return uuid.uuid4().hex


def size(count: int) -> str:
    """Bytes as people read them: ``1.4 MB``."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{amount:,.0f} {unit}" if unit == "bytes" else f"{amount:,.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} GB"


def said(arguments: Arguments) -> list[tuple[str, Any]]:
    """What a decision says, by argument: what a person typed or chose, without hashes and sizes."""
    return [(name, value) for name, value in arguments.model_dump(exclude=_UNSAID).items() if value]


@cache
def templates() -> Environment:
    """The templates of the pages. Everything is escaped, whatever the file is called; a name that is not given is an error."""
    environment = Environment(
        loader=PackageLoader("hr_centra_pipeline.pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {**FILTERS, "size": size, "json": json.dumps, "said": said}
    environment.globals |= {
        "addresses": page_addresses, "navigation": NAVIGATION, "style": style_address,
    }  # fmt: skip
    return environment


@cache
def style(name: str) -> bytes:
    """A style sheet."""
    return resources.files("hr_centra_pipeline.pages").joinpath("static", name).read_bytes()


@cache
def style_address(name: str) -> str:
    """A style sheet's address, which changes with its content."""
    return f"/static/{name}?v={sha256(style(name)).hexdigest()[:12]}"
