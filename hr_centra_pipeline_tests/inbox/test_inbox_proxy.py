"""The shipped nginx configuration in front of a receiver: deliveries arrive as they were signed, and nothing else gets in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests

from hr_centra_pipeline.inbox.inbox_store import Inbox
from hr_centra_pipeline_tests.inbox.receiving import ADDRESS, CENTRA_ADDRESS, centra_signed, receiving, signed, until
from hr_centra_pipeline_tests.nginx import certificate, needs_nginx, started
from hr_centra_pipeline_tests.receivers import free_port

pytestmark = needs_nginx


@dataclass
class Outside:
    """The way in."""

    port: int
    certificate: str
    inbox: Inbox

    def call(self, path: str, body: bytes = b"", headers: dict[str, str] | None = None, method: str = "POST") -> int:
        address = f"https://localhost:{self.port}{path}"
        answer = requests.request(method, address, data=body, headers=headers, verify=self.certificate, timeout=30)
        return answer.status_code


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    folder = tmp_path_factory.mktemp("proxy")
    port = free_port()
    for name in ("operators", "viewers"):
        (folder / f"{name}.htpasswd").write_text("", encoding="utf-8")
    certificate(folder)
    inbox = Inbox.open(str(folder / "inbox.sqlite"))
    with receiving(inbox) as behind:
        replaced = {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl", "/etc/hr-centra/": f"{folder}/",
            "127.0.0.1:3081": f"127.0.0.1:{behind}",
        }  # fmt: skip
        nginx = started(folder, "hr-centra.conf", replaced)
        found = Outside(port, str(folder / "tls.crt"), inbox)
        try:
            until(lambda: _is_up(found))
            yield found
        finally:
            nginx.terminate()
            nginx.wait()
    inbox.close()


def _is_up(found: Outside) -> bool:
    try:
        return found.call("/", method="GET") == 401
    except requests.RequestException:
        return False


def test_deliveries_arrive_as_they_were_signed(outside: Outside) -> None:
    body = b'{"items": [{"email": "a\\u0040b.de"}]}\n\xff'
    assert outside.call(ADDRESS, body, {**signed(body), "Cookie": "a=b"}) == 200
    form = b"payload=%7B%22events%22%3A%5B%5D%7D"
    assert outside.call(CENTRA_ADDRESS, form, centra_signed(form)) == 200
    kept = [
        *outside.inbox.take("happy_returns", most=9, most_bytes=999),
        *outside.inbox.take("centra", most=9, most_bytes=999),
    ]
    assert [one.body for one in kept] == [body, form]


def test_nothing_else_gets_in(outside: Outside) -> None:
    assert outside.call(ADDRESS, b"unsigned") == 401
    assert outside.call(ADDRESS, method="GET") == 403
    assert outside.call("/health", method="GET") == 401  # the login of operators
    assert outside.call("/happy-returns/../health", method="GET") == 401
    assert outside.call(ADDRESS, b"x" * (4 << 20 | 1)) == 413
