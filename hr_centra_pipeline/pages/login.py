"""Logging in: by a proxy's login, with a password, or with the link that is printed on the terminal.

``Login.visitor`` says who has made a request; ``ROUTES`` are ``/login`` and ``/logout``.
"""

from __future__ import annotations

import getpass
import hmac
import ipaddress
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.pages.forms import form_of, local_path, posted
from hr_centra_pipeline.pages.people_file import LoginSettings, PeopleFile, Person, Way, problem_of_id, user_id
from hr_centra_pipeline.pages.sessions import Attempts, Clock, FormKey, Sessions
from hr_centra_pipeline.pages.site import page, site_of
from hr_centra_pipeline.pages.visitors import Visitor, owner_of_machine, visitor_of

SECRET_VARIABLE = "HR_CENTRA_PAGES_PROXY_SECRET"  # noqa: S105 - a variable's name
SECRET_HEADER = "x-hr-centra-proxy-secret"  # noqa: S105 - a header's name
_SHORTEST_SECRET = 16
_LONGEST_PASSWORD = 1_000
_HASHER = PasswordHasher()
_AT_ONCE = threading.BoundedSemaphore(2)  # a hash takes 64 MiB


@dataclass(frozen=True)
class Unknown:
    """Somebody without a login; ``why`` is for them, where there is something that they or their admin can do."""

    why: str = ""


@dataclass
class Login:
    """How people log in here. ``told``: gets the link of the terminal, each time there is a new one."""

    people: PeopleFile
    settings: LoginSettings
    proxy_secret: str = ""
    is_secure: bool = False  # the pages' address is https
    told: Callable[[str], None] = lambda _: None
    clock: Clock | None = None
    sessions: Sessions = field(init=False)
    forms: FormKey = field(default_factory=FormKey)

    def __post_init__(self) -> None:
        ticking: dict[str, Any] = {"clock": self.clock} if self.clock else {}
        idle, absolute = self.settings.idle_hours, self.settings.absolute_hours
        self.sessions = Sessions(idle_hours=idle, absolute_hours=absolute, **ticking)
        self.by_user, self.by_address = Attempts(8, **ticking), Attempts(40, **ticking)
        self._link = ""
        self._link_lock = threading.Lock()
        self._nobody = _HASHER.hash(secrets.token_hex(8)) if self.way == "passwords" else ""

    @property
    def way(self) -> Way:
        """Proxy, passwords or link."""
        return self.settings.by

    @property
    def cookie(self) -> str:
        """The cookie's name: with https, browsers take it from this host only."""
        return "__Host-hr_centra" if self.is_secure else "hr_centra"

    def visitor(self, request: Request) -> Visitor | Unknown:
        """Who has made a request."""
        if self.way == "proxy":
            return self._of_proxy(request)
        given = request.cookies.get(self.cookie, "")
        session = self.sessions.find(given) if given else None
        if session is None:
            return Unknown()
        if self.way == "link":
            return owner_of_machine(session.user, given)
        people = self.people.now()
        person = people.find(session.user) if people is not None else None
        if person is None or not hmac.compare_digest(person.password, session.proof):
            self.sessions.end(given)
            return Unknown()
        return visitor_of(session.user, person, "passwords", given)

    def _of_proxy(self, request: Request) -> Visitor | Unknown:
        """The user header counts from a proxy that is trusted and has proven itself; otherwise it is as if there were none."""
        if not self.is_trusted(request):
            return Unknown("This address is reached through the login in front of it only.")
        secret = request.headers.getlist(SECRET_HEADER)
        if len(secret) != 1 or not hmac.compare_digest(secret[0].encode(), self.proxy_secret.encode()):
            return Unknown(f"The proxy has not proven itself: does it send {SECRET_HEADER}?")
        given = request.headers.getlist(self.settings.user_header)
        if len(given) != 1 or not given[0].strip():
            return Unknown("The proxy named no user, or several.")
        if problem_of_id(given[0].strip()) is not None:
            return Unknown("The proxy named a user whose name is not an e-mail address or a user name.")
        people = self.people.now()
        # The cookie ties forms to this browser; who it is comes from the proxy with each request.
        return visitor_of(
            given[0], people.find(given[0]) if people else None, "proxy", request.cookies.get(self.cookie, "")
        )

    def is_trusted(self, request: Request) -> bool:
        """Whether the other end of the connection itself, whatever headers say, is a trusted proxy."""
        try:
            peer = ipaddress.ip_address(request.client.host if request.client else "")
        except ValueError:
            return False
        mapped = peer.ipv4_mapped if isinstance(peer, ipaddress.IPv6Address) else None
        return any((mapped or peer) == ipaddress.ip_address(one) for one in self.settings.trusted_proxies)

    def address_of(self, request: Request) -> str:
        """Whose attempts are counted: the other end, or whom a trusted proxy names last."""
        if self.is_trusted(request) and (named := request.headers.getlist("x-forwarded-for")):
            return named[-1].rpartition(",")[2].strip()[:64]
        return request.client.host if request.client else ""

    # ---------------------------------------------------------------- the link

    def new_link(self, base: str) -> None:
        """Print a link that opens one session; the one before it no longer works."""
        with self._link_lock:
            self._link = secrets.token_urlsafe(32)
            link = f"{base}/login?token={self._link}"
        self.told(link)

    def take_link(self, token: str) -> bool:
        """Whether this is the link; it is used up then."""
        with self._link_lock:
            fits = bool(self._link) and hmac.compare_digest(token.encode("utf-8", "replace"), self._link.encode())
            if fits:
                self._link = ""
            return fits

    # ---------------------------------------------------------------- passwords

    def check(self, given: str, password: str) -> Person | None:
        """The person whose password it is. Somebody unknown takes as long as somebody known."""
        people = self.people.now()
        person = people.find(given) if people is not None else None
        hashed = person.password if person is not None and person.password else self._nobody
        with _AT_ONCE:
            fits = is_password(hashed, password)
        return person if fits and person is not None and person.password else None

    def keep(self, response: Response, session: str) -> None:
        """Give the browser its session."""
        response.set_cookie(
            self.cookie, session, path="/", httponly=True, samesite="lax", secure=self.is_secure,
            max_age=self.settings.absolute_hours * 3600,
        )  # fmt: skip


def hash_of(password: str) -> str:
    """What ``people.toml`` keeps of a password.

    Raises:
        ConfigurationError: it is too short to be one, or absurdly long.
    """
    if not 12 <= len(password) <= _LONGEST_PASSWORD:
        raise ConfigurationError("A password has 12 characters or more; several words are easy to remember.")
    return _HASHER.hash(password)


def is_password(hashed: str, password: str) -> bool:
    """Whether a password has this hash."""
    try:
        return _HASHER.verify(hashed, password[:_LONGEST_PASSWORD])
    except (VerificationError, InvalidHashError):
        return False


def opened_login(
    settings: Settings, *, told: Callable[[str], None] = lambda _: None, clock: Clock | None = None
) -> Login:
    """The login that ``people.toml`` asks for; without the file, the link on the terminal.

    Raises:
        ConfigurationError: the file has a mistake, or the proxy's secret is missing or could be guessed.
    """
    people = PeopleFile.opened(settings.home / "people.toml")
    chosen = people.people.login if people.people is not None else LoginSettings(by="link")
    secret = settings.pages_proxy_secret.get_secret_value()
    if chosen.by == "proxy" and len(secret) < _SHORTEST_SECRET:
        raise ConfigurationError(
            f'{SECRET_VARIABLE}: people.toml has [login] by = "proxy": set it to a secret of {_SHORTEST_SECRET} characters or '
            'more that the proxy sends, too (docs/operations.md, "Behind a login").'
        )
    return Login(people, chosen, secret, settings.pages_url.startswith("https://"), told, clock)


def new_session_for_forms() -> str:
    """What ties forms to a browser whose user the proxy names."""
    return secrets.token_urlsafe(32)


# ---------------------------------------------------------------- /login, /logout


def show_login(request: Request) -> Response:
    """The form; or, with the link of the terminal, the start."""
    login = site_of(request).login
    next_ = local_path(request.query_params.get("next", ""))
    if login.way == "link" and (token := request.query_params.get("token")):
        if login.take_link(token):
            response: Response = RedirectResponse(next_, 303)
            login.keep(response, login.sessions.open(user_id(getpass.getuser())))
            login.new_link(site_of(request).address)
            return response
        return page(
            request, "login.html", title="Log in", status=401, way=login.way, next=next_, user="",
            problem="This link was used already, or is not the last one. Take the newest from the terminal.",
        )  # fmt: skip
    return page(request, "login.html", way=login.way, next=next_, user="", problem="")


async def log_in(request: Request) -> Response:
    """With a user name and a password."""
    login = site_of(request).login
    if login.way != "passwords":
        return page(request, "login.html", 403, way=login.way, next="/", user="", problem="")
    form = await form_of(request)
    user, password = user_id(form.text("user", 200)), form.text("password", _LONGEST_PASSWORD, strip=False)
    next_ = local_path(form.text("next", 500))
    return await run_in_threadpool(_log_in, request, login, user, password, next_)


def _log_in(request: Request, login: Login, user: str, password: str, next_: str) -> Response:
    keys = (login.by_user, ("user", user)), (login.by_address, ("address", login.address_of(request)))
    wait = max(attempts.wait_seconds(key) for attempts, key in keys)
    given: Mapping[str, Any] = {"way": login.way, "next": next_, "user": user}
    if wait:
        response = page(
            request, "login.html", 429, **given,
            problem=f"Too many failed attempts. Try again in {-(-wait // 60)} minutes.",
        )  # fmt: skip
        response.headers["Retry-After"] = str(wait)
        return response
    person = login.check(user, password)
    if person is None:
        for attempts, key in keys:
            attempts.failed(key)
        return page(
            request, "login.html", 401, **given, problem="This is not a user's name and their password."
        )  # fmt: skip
    login.by_user.forget(("user", user))
    if old := request.cookies.get(login.cookie):
        login.sessions.end(old)
    answer = RedirectResponse(next_, 303)
    login.keep(answer, login.sessions.open(user, person.password))
    return answer


async def log_out(request: Request) -> Response:
    """End the session. Behind a proxy, the proxy has a way to log out of its own."""
    await posted(request)
    login = site_of(request).login
    login.sessions.end(request.cookies.get(login.cookie, ""))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(login.cookie, path="/", httponly=True, samesite="lax", secure=login.is_secure)
    return response


ROUTES = [
    Route("/login", show_login, methods=["GET"]),
    Route("/login", log_in, methods=["POST"]),
    Route("/logout", log_out, methods=["POST"]),
]
