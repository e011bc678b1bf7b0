"""The shipped nginx configuration in front of the shipped webserver commands: nobody gets in without a login."""

from __future__ import annotations

import base64
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests

from hr_centra_pipeline_tests.nginx import OPENSSL, ROOT, certificate, needs_nginx, started
from hr_centra_pipeline_tests.receivers import free_port

pytestmark = needs_nginx


@dataclass(frozen=True)
class Proxy:
    """The proxy, and who may knock."""

    port: int
    certificate: str

    def ask(self, path: str, user: str | None = None, **more: Any) -> requests.Response:
        auth = (user, f"{user}-password") if user else None
        method = "POST" if "json" in more else "GET"
        url = f"https://127.0.0.1:{self.port}{path}"
        return requests.request(
            method, url, auth=auth, verify=self.certificate, timeout=30, allow_redirects=False, **more
        )

    def upgrade(self, path: str, user: str | None = None) -> str:
        """The first line that answers a websocket handshake."""
        login = base64.b64encode(f"{user}:{user}-password".encode()).decode()
        lines = [
            f"GET {path} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: graphql-ws",
            *([f"Authorization: Basic {login}"] if user else []), "", "",
        ]  # fmt: skip
        context = ssl.create_default_context(cafile=self.certificate)
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=30) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as line,
        ):
            line.sendall("\r\n".join(lines).encode())
            return line.recv(200).split(b"\r\n")[0].decode()


def started_by(unit: str, port: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """The command of a shipped unit, on a free port and without our code (which the proxy is not about)."""
    text = (ROOT / "deploy" / "systemd" / f"hr-centra-{unit}.service").read_text(encoding="utf-8")
    found = re.search(r"^ExecStart=/opt/hr-centra/\.venv/bin/(.+)$", text, re.MULTILINE)
    assert found
    program, *arguments = found[1].split()
    command = " ".join(arguments).replace("-w /opt/hr-centra/deploy/workspace.yaml", "--empty-workspace")
    command = re.sub(r"--port \d+", f"--port {port}", command)
    return subprocess.Popen(
        [str(Path(sys.executable).parent / program), *command.split()], env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("proxy")
    operators, viewers, outside = free_port(), free_port(), free_port()
    (folder / "dagster").mkdir()
    (folder / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    for name, users in (("operators", ["anna"]), ("viewers", ["anna", "victor"])):
        lines = [f"{user}:{hashed(f'{user}-password')}" for user in users]
        (folder / f"{name}.htpasswd").write_text("\n".join(lines) + "\n", encoding="utf-8")
    certificate(folder)
    replaced = {
        "listen 443 ssl": f"listen 127.0.0.1:{outside} ssl", "/etc/hr-centra/": f"{folder}/",
        "127.0.0.1:3000": f"127.0.0.1:{operators}",
        "127.0.0.1:3001": f"127.0.0.1:{viewers}",
    }  # fmt: skip
    with dg.DagsterInstance.from_config(str(folder / "dagster")) as instance:
        instance.get_runs_count()  # its SQLite files are made once, not by two servers at the same moment
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER_", "HR_CENTRA_"))}
    environment["DAGSTER_HOME"] = str(folder / "dagster")
    with ExitStack() as stack:
        servers = [started_by("ui", operators, environment), started_by("viewer", viewers, environment)]
        servers.append(started(folder, "hr-centra.conf", replaced))
        for server in servers:
            stack.callback(server.wait)
            stack.callback(server.terminate)
        found = Proxy(outside, str(folder / "tls.crt"))
        deadline = time.monotonic() + 120
        while not answers(found, "/", "anna") or not answers(found, "/view/", "victor"):
            ended = [server.args for server in servers if server.poll() is not None]
            assert not ended, f"ended by themselves: {ended}"
            assert time.monotonic() < deadline, (folder / "error.log").read_text(encoding="utf-8")
            time.sleep(0.5)
        yield found


def hashed(password: str) -> str:
    done = subprocess.run([str(OPENSSL), "passwd", "-apr1", password], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def answers(proxy: Proxy, path: str, user: str) -> bool:
    try:
        return proxy.ask(path, user).status_code == 200
    except requests.RequestException:
        return False


PERMISSIONS = "{ permissions { permission value } }"


@pytest.mark.parametrize("path", ["/", "/graphql", "/server_info", "/view/", "/view/graphql"])
def test_without_a_login_nothing_is_shown(proxy: Proxy, path: str) -> None:
    assert proxy.ask(path).status_code == 401
    assert proxy.ask(path, "mallory").status_code == 401


def test_operators_get_the_ui_and_may_change_things(proxy: Proxy) -> None:
    assert "Dagster" in proxy.ask("/", "anna").text
    shown = proxy.ask("/graphql", "anna", json={"query": PERMISSIONS}).json()["data"]["permissions"]
    assert {one["permission"]: one["value"] for one in shown}["launch_pipeline_execution"] is True


def test_viewers_see_everything_and_may_change_nothing(proxy: Proxy) -> None:
    assert "Dagster" in proxy.ask("/view/", "victor").text
    shown = proxy.ask("/view/graphql", "victor", json={"query": PERMISSIONS}).json()["data"]["permissions"]
    assert {one["permission"] for one in shown if one["value"]} == set()
    assert len(shown) > 5


@pytest.mark.parametrize("path", ["/", "/graphql", "/view/../graphql", "/view/%2e%2e/graphql"])
def test_viewers_do_not_get_to_the_operators_side(proxy: Proxy, path: str) -> None:
    url = f"https://127.0.0.1:{proxy.port}{path}"
    request = requests.Request("POST", url, json={"query": PERMISSIONS}, auth=("victor", "victor-password")).prepare()
    request.url = url  # as it is written: requests would tidy it
    answer = requests.Session().send(request, verify=proxy.certificate, timeout=30)
    assert answer.status_code == 401


def test_the_ui_s_websocket_goes_through_with_a_login_only(proxy: Proxy) -> None:
    assert proxy.upgrade("/graphql").split()[1] == "401"
    assert proxy.upgrade("/graphql", "anna").split()[1] == "101"
    assert proxy.upgrade("/view/graphql", "victor").split()[1] == "101"


def test_answers_carry_the_headers_that_keep_browsers_careful(proxy: Proxy) -> None:
    headers = proxy.ask("/", "anna").headers
    assert headers["Strict-Transport-Security"].startswith("max-age=")
    assert headers["X-Frame-Options"] == "DENY"
    assert proxy.ask("/").headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.slow
def test_the_webservers_listen_on_loopback_only() -> None:
    for unit in ("code", "ui", "viewer", "pages"):
        text = (ROOT / "deploy" / "systemd" / f"hr-centra-{unit}.service").read_text(encoding="utf-8")
        assert "--host 127.0.0.1" in text
