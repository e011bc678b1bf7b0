"""What every page is made with: the templates, who is logged in, how amounts and times look, and pages of a long list.

A module of pages is ``views_<what>.py`` with ``ROUTES``, a list of Starlette's ``Route``, listed in ``app.py``. A view is a plain
function (Starlette runs it in a thread), reads ``page_store.opened(settings_of(request))`` and answers ``page(request, ...)``::

    def show_health(request: Request) -> Response:
        with page_store.opened(settings_of(request)) as rows:
            feeds = rows.execute("select * from feeds order by name limit 200").fetchall()
        return page(request, "health.html", title="Health", section="health", feeds=feeds)

    ROUTES = [Route("/health", show_health)]

Its template extends ``layout.html``: blocks ``main`` and, for buttons beside the heading, ``actions``. Macros of ``_macros.html``
are lists' pages, states and amounts; ``_forms.html`` has a form for each decision (import both ``with context``). Neither a
``style`` attribute nor a script works: the site's policy refuses them. A path parameter is a name to look up, never part of a file's path.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from hr_centra_pipeline.core import page_addresses
from hr_centra_pipeline.core.kinds import OWNERS
from hr_centra_pipeline.core.money import decimals
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.pages import page_store
from hr_centra_pipeline.pages.visitors import Visitor

if TYPE_CHECKING:
    from hr_centra_pipeline.pages.login import Login

NOTICES: Mapping[str, str] = {
    "recorded": "Recorded. The pipeline carries it out with its next run; what came of it is listed under Decisions.",
    "again": "This form was sent before: it was recorded once.",
}
"""What a page says after a form was sent, by the word that the address carries."""


@dataclass(frozen=True)
class Site:
    """What the application knows. ``address``: where it is reached, for links on the terminal."""

    settings: Settings
    login: Login
    address: str


def site_of(request: Request) -> Site:
    """The site that a request came to."""
    return cast("Site", request.app.state.site)


def settings_of(request: Request) -> Settings:
    """The settings that the site was started with."""
    return site_of(request).settings


def page(request: Request, template: str, *, title: str, status: int = 200, **given: Any) -> HTMLResponse:
    """A page. ``section``: the entry of the navigation that it belongs to; everything else is the template's.

    Everything that is put into a template is escaped.
    """
    site = site_of(request)
    who: Visitor | None = getattr(request.state, "visitor", None)
    token = site.login.forms.token(who.session, who.id) if who is not None else ""
    notice = NOTICES.get(request.query_params.get("notice", ""), "")
    text = (
        templates()
        .get_template(template)
        .render(
            {
                "title": title, "visitor": who, "form_token": token, "new_key": new_key, "section": "", "here": _here(request),
                "asked": request.query_params.get("q", "")[:200] if request.url.path == page_addresses.SEARCH else "",
                "as_of": page_store.as_of(site.settings) if who is not None else None, "notice": notice,
                "can_log_out": site.login.way != "proxy", **given,
            }
        )
    )  # fmt: skip
    return HTMLResponse(text, status)


def _here(request: Request) -> str:
    """This page's own path, for a form to come back to; without what was said after the last form."""
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "notice"]
    return request.scope["path"] + (f"?{urlencode(query, quote_via=quote)}" if query else "")


def new_key() -> str:
    """What a form is known by: sent twice, it is one decision."""
    return uuid.uuid4().hex


# ---------------------------------------------------------------- lists


@dataclass(frozen=True)
class Pager:
    """One page of a long list, and the addresses of the others."""

    number: int
    total: int
    size: int
    path: str
    query: tuple[tuple[str, str], ...]

    @property
    def last(self) -> int:
        """The last page's number."""
        return max(1, -(-self.total // self.size))

    @property
    def offset(self) -> int:
        """How many rows come before this page."""
        return (self.number - 1) * self.size

    @property
    def first_row(self) -> int:
        """The number of this page's first row, from 1; 0 of an empty list."""
        return min(self.total, self.offset + 1)

    @property
    def last_row(self) -> int:
        """The number of this page's last row."""
        return min(self.total, self.offset + self.size)

    def at(self, number: int) -> str:
        """The address of a page, with the same filters."""
        return f"{self.path}?{urlencode([*self.query, ('page', str(number))], quote_via=quote)}"


def pager(request: Request, total: int, size: int = 50) -> Pager:
    """The page of a list that ``?page=`` asks for, within what there is."""
    given = request.query_params.get("page", "1")
    number = int(given) if given.isascii() and given.isdecimal() and len(given) <= 9 else 1
    query = tuple((n, v) for n, v in request.query_params.multi_items() if n not in ("page", "notice"))
    found = Pager(1, total, size, request.scope["path"], query)
    return Pager(max(1, min(number, found.last)), total, size, found.path, query)


# ---------------------------------------------------------------- how things look


def money(amount: object, currency: object = "") -> str:
    """``1,234.50 EUR``, from a Decimal or the text of one; ``–`` where there is none."""
    if amount is None or amount == "":
        return "–"
    try:
        exact = amount if isinstance(amount, Decimal) else Decimal(str(amount))
    except InvalidOperation:
        return str(amount)
    unit = str(currency or "")
    return f"{exact:,.{decimals(exact, unit or 'EUR')}f} {unit}".rstrip().replace("-", "−")


def moment(given: object) -> Markup | str:
    """A time in UTC, to the minute: ``2026-11-30 22:15``, as a ``<time>`` element; ``–`` where there is none."""
    when = as_time(given)
    if when is None:
        return "–" if given in (None, "") else str(given)
    return Markup('<time datetime="{}">{}</time>').format(f"{when:%Y-%m-%dT%H:%M:%SZ}", f"{when:%Y-%m-%d %H:%M}")


def day(given: object) -> Markup | str:
    """A date: ``2026-11-30``; of a time, its day in UTC."""
    if isinstance(given, date) and not isinstance(given, datetime):
        return given.isoformat()
    when = as_time(given)
    if when is None:
        return "–" if given in (None, "") else str(given)
    return Markup('<time datetime="{0}">{0}</time>').format(f"{when:%Y-%m-%d}")


def as_time(given: object) -> datetime | None:
    """A time in UTC, from a datetime or ISO text; a text without a zone is UTC already. ``None``: it is neither."""
    if isinstance(given, str):
        try:
            given = datetime.fromisoformat(given)
        except ValueError:
            return None
    if not isinstance(given, datetime):
        return None
    return given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)


def words(code: object) -> str:
    """A code as words: ``customer_service`` is ``customer service``."""
    return str(code).replace("_", " ")


def size(count: int) -> str:
    """Bytes as people read them: ``1.4 MB``."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{amount:,.0f} {unit}" if unit == "bytes" else f"{amount:,.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} GB"


@cache
def templates() -> Environment:
    """The templates of the pages. Everything is escaped, whatever the file is called; a name that is not given is an error."""
    environment = Environment(
        loader=PackageLoader("hr_centra_pipeline.pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"money": money, "moment": moment, "day": day, "words": words, "size": size}
    environment.globals |= {"at": page_addresses, "teams": OWNERS, "style": f"/static/pages.css?v={_style_version()}"}
    return environment


def style() -> bytes:
    """The one style sheet."""
    return resources.files("hr_centra_pipeline.pages").joinpath("static/pages.css").read_bytes()


@cache
def _style_version() -> str:
    return sha256(style()).hexdigest()[:12]
