"""The site on a free loopback port, asked over real HTTP."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests
import uvicorn
from argon2 import PasswordHasher

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.pages.app import application
from hr_centra_pipeline.pages.guard import LOOPBACK, Bounds
from hr_centra_pipeline.pages.login import Login, opened_login

PASSWORD = "correct horse battery staple"
PROXY_SECRET = "a secret of the proxy"
_CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@dataclass
class Served:
    """A running site. ``links``: those that were printed on the terminal."""

    address: str
    settings: Settings
    login: Login
    links: list[str] = field(default_factory=list)

    def get(self, path: str, **more: Any) -> requests.Response:
        """Ask as somebody without a session."""
        return requests.get(self.address + path, timeout=20, allow_redirects=False, **more)

    def browser(self) -> Browser:
        """A browser without a session."""
        return Browser(self)

    def with_link(self) -> Browser:
        """A browser that has opened the newest link."""
        found = Browser(self)
        assert found.get(self.links[-1].removeprefix(self.address)).status_code == 303
        return found

    def logged_in(self, user: str, password: str = PASSWORD) -> Browser:
        """A browser that has logged in with a password."""
        found = Browser(self)
        assert found.log_in(user, password).status_code == 303
        return found


class Browser:
    """Keeps cookies, and says where its forms come from, as browsers do."""

    def __init__(self, site: Served, headers: dict[str, str] | None = None) -> None:
        self.site = site
        self.session = requests.Session()
        self.session.headers.update(headers or {})

    def get(self, path: str, **more: Any) -> requests.Response:
        """Open a page."""
        return self.session.get(self.site.address + path, timeout=20, allow_redirects=False, **more)

    def post(self, path: str, data: Any = None, *, origin: str | None = "", **more: Any) -> requests.Response:
        """Send a form from a page of the site, unless another ``origin`` is given."""
        headers = {} if origin is None else {"Origin": origin or self.site.address}
        headers |= more.pop("headers", {})
        return self.session.post(
            self.site.address + path, data=data, headers=headers, timeout=20, allow_redirects=False, **more
        )

    def log_in(self, user: str, password: str = PASSWORD, next_: str = "/") -> requests.Response:
        """Send the form of the login."""
        return self.post("/login", {"user": user, "password": password, "next": next_})

    def token(self) -> str:
        """What the forms of this session carry; behind a proxy, the frame of a page has no form to read it from."""
        page = self.get("/manual/glossary")
        found = re.search(r'name="form_token" value="([0-9a-f]{64})"', page.text)
        user = str(self.session.headers.get("X-Forwarded-Email", ""))
        return found[1] if found else self.site.login.forms.token(self.session.cookies["hr_centra"], user)

    def decide(self, kind: str, once: str = "", **fields: Any) -> requests.Response:
        """Send the form of a decision."""
        files = fields.pop("files", None)
        data = {"form_token": self.token(), "once": once or uuid4().hex, **fields}
        return self.post(f"/decisions/{kind}", data, files=files)


def people_file(home: Path, by: str = "passwords", **may: list[str]) -> None:
    """``people.toml`` with these people, each with the password of the tests."""
    lines = [f'login.by = "{by}"']
    for name, rights in may.items():
        lines += [f'[people."{name}@example.com"]', f"may = {rights}", f'password = "{_CHEAP.hash(PASSWORD)}"']
    path = home / "people.toml"
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def served(
    home: Path, environment: dict[str, str] | None = None, *, bounds: Bounds | None = None, clock: Any = None
) -> Iterator[Served]:
    """Serve the pages of a home."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = Settings.from_environment(
            {"HR_CENTRA_HOME": str(home), "HR_CENTRA_PAGES_PROXY_SECRET": PROXY_SECRET, "HR_CENTRA_PAGES_URL": address,
             **(environment or {})}
        )  # fmt: skip
        links: list[str] = []
        login = opened_login(settings, told=links.append, clock=clock)
        app = application(settings, login, address, hosts=LOOPBACK, bounds=bounds)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="critical", proxy_headers=False, access_log=False, ws="none")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        if login.way == "link":
            login.new_link(address)
        try:
            yield Served(address, settings, login, links)
        finally:
            server.should_exit = True
            thread.join(timeout=10)
