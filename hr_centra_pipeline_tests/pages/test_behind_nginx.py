"""The shipped nginx configuration in front of the pages, with a stand-in for the OIDC login that oauth2-proxy is."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from hr_centra_pipeline.decisions.decision_store import DecisionStore
from hr_centra_pipeline_tests.nginx import certificate, needs_nginx, started
from hr_centra_pipeline_tests.pages.serving import PROXY_SECRET, Served, people_file, served
from hr_centra_pipeline_tests.receivers import free_port

pytestmark = needs_nginx


class _Oidc(BaseHTTPRequestHandler):
    """Answers as oauth2-proxy does: 202 with the user of a session, 401 without; the way to the provider."""

    def do_GET(self) -> None:
        user = re.search(r"sso=(\w+)", self.headers.get("Cookie", ""))
        if self.path.startswith("/oauth2/auth"):
            self.send_response(202 if user else 401)
            if user:
                self.send_header("X-Auth-Request-Email", f"{user[1]}@example.com")
        else:
            self.send_response(302)
            self.send_header("Location", "https://login.example.com/authorize")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *given: Any) -> None:
        """Nothing is printed."""


class Front:
    """The public address of the pages."""

    def __init__(self, folder: Path, port: int, site: Served) -> None:
        self.folder, self.port, self.site = folder, port, site

    def ask(self, path: str, user: str = "", method: str = "GET", **more: Any) -> requests.Response:
        headers = {"Host": f"pages.example.com:{self.port}", **more.pop("headers", {})}
        if user:
            headers["Cookie"] = f"sso={user}; {more.pop('cookie', '')}"
        return requests.request(
            method, f"https://127.0.0.1:{self.port}{path}", headers=headers, verify=str(self.folder / "tls.crt"), timeout=20,
            allow_redirects=False, **more,
        )  # fmt: skip


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder, home, port = tmp_path_factory.mktemp("front"), tmp_path_factory.mktemp("home"), free_port()
    people_file(home, by="proxy", anna=["decide"])
    certificate(folder)
    with ExitStack() as stack:
        login = ThreadingHTTPServer(("127.0.0.1", 0), _Oidc)
        threading.Thread(target=login.serve_forever, daemon=True).start()
        stack.callback(login.shutdown)
        site = stack.enter_context(served(home, {"HR_CENTRA_PAGES_URL": "https://pages.example.com"}))
        (folder / "pages-proxy-secret.conf").write_text(
            f'proxy_set_header X-Hr-Centra-Proxy-Secret "{PROXY_SECRET}";\n', encoding="utf-8"
        )
        replaced = {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl", "/etc/hr-centra/": f"{folder}/",
            "/var/log/nginx/": f"{folder}/", "127.0.0.1:3080": site.address.removeprefix("http://"),
            "127.0.0.1:4180": f"127.0.0.1:{login.server_address[1]}",
        }  # fmt: skip
        server = started(folder, "hr-centra-pages.conf", replaced, logs=True)
        stack.callback(server.wait)
        stack.callback(server.terminate)
        found, deadline = Front(folder, port, site), time.monotonic() + 30
        while True:
            try:
                found.ask("/ping", "anna")
                break
            except requests.ConnectionError:
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield found


def test_without_the_login_in_front_everything_leads_to_it(front: Front) -> None:
    for path in ("/", "/manual", "/finance", "/search?q=x", "/login", "/static/pages.css"):
        answer = front.ask(path)
        assert answer.status_code in (302, 401)
        assert "Manual" not in answer.text
        assert answer.headers["location"] == "https://login.example.com/authorize"


def test_the_login_in_front_says_who_it_is_and_a_forged_header_does_not(front: Front) -> None:
    assert "anna@example.com" in front.ask("/manual", "anna").text
    forged = {
        "X-Forwarded-Email": "anna@example.com",
        "X-Hr-Centra-Proxy-Secret": PROXY_SECRET,
        "X-Forwarded-For": "192.0.2.1",
    }
    page = front.ask("/manual", "victor", headers=forged).text
    assert "victor@example.com" in page
    assert "anna@example.com" not in page
    assert front.site.get("/manual", headers={"X-Forwarded-Email": "anna@example.com"}).status_code == 401


def test_a_decision_is_made_through_it_and_not_from_another_site(front: Front) -> None:
    opened = front.ask("/manual", "anna")
    name, _, session = opened.headers["set-cookie"].partition(";")[0].partition("=")
    assert name == "__Host-hr_centra"
    token = front.site.login.forms.token(session, "anna@example.com")
    data = {"form_token": token, "once": uuid4().hex, "name": "RT-1", "why": "ours"}
    given: dict[str, Any] = {"method": "POST", "data": data, "cookie": f"{name}={session}"}
    assert front.ask("/decisions/adopt", "anna", headers={"Origin": "https://evil.example"}, **given).status_code == 403
    ours = {"Origin": "https://pages.example.com"}
    assert (
        front.ask("/decisions/adopt", "victor", headers=ours, **given).status_code == 403
    )  # the form was shown to anna
    assert front.ask("/decisions/adopt", "anna", headers=ours, **given).status_code == 303
    kept = DecisionStore(front.site.settings).recent()
    assert [(one.kind, one.who.user_id, one.who.login) for one in kept] == [("adopt", "anna@example.com", "proxy")]


def test_its_log_does_not_have_what_was_searched_for(front: Front) -> None:
    front.ask("/manual?q=shopper@example.com", "anna")
    text = (front.folder / "hr-centra-pages.log").read_text(encoding="utf-8")
    assert '"GET /manual" 200' in text
    assert "shopper" not in text
