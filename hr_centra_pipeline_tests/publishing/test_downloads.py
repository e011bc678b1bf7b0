from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import uvicorn
from openpyxl import load_workbook

from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.publishing.downloads import downloads, serve
from hr_centra_pipeline_tests.publishing.conftest import MONTH, Shop

CHROMIUM = Path("/usr/bin/chromium")
TOKEN = "a token of some length"


@contextmanager
def served(settings: Settings, token: str = "") -> Iterator[str]:
    """The page on a free loopback port, as its address."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(downloads(settings, token=token), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listening.close()


@pytest.fixture
def page(shop: Shop) -> Iterator[str]:
    shop.export()
    (shop.settings.home / "secret.txt").write_text("not for readers", encoding="utf-8")
    (shop.settings.exported / MONTH / "stray.txt").write_text("not of the pack", encoding="utf-8")
    with served(shop.settings) as address:
        yield address


def test_the_page_lists_months_with_their_status_and_a_month_its_files(page: str) -> None:
    overview = requests.get(page, timeout=10).text
    assert f'href="/{MONTH}/"' in overview
    assert "does not tie" in overview
    month = requests.get(f"{page}/{MONTH}/", timeout=10).text
    for name in (f"month-end-{MONTH}.xlsx", "summary.html", "rollforward.csv", "open_items.parquet", "manifest.json"):
        assert f'href="/{MONTH}/{name}"' in month or name == "open_items.parquet"
        assert requests.get(f"{page}/{MONTH}/{name}", timeout=10).status_code == 200


def test_a_download_is_the_exported_file_byte_by_byte(page: str, shop: Shop) -> None:
    name = f"month-end-{MONTH}.xlsx"
    answer = requests.get(f"{page}/{MONTH}/{name}", timeout=10)
    assert answer.content == (shop.settings.exported / MONTH / name).read_bytes()
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        f"/{MONTH}/../secret.txt", f"/{MONTH}/..%2Fsecret.txt", f"/{MONTH}/..%2f..%2fsecret.txt", "/../secret.txt",
        "/%2e%2e/secret.txt", f"/{MONTH}/%2e%2e/%2e%2e/secret.txt", f"/{MONTH}/..\\secret.txt", f"/{MONTH}/....//secret.txt",
        f"/{MONTH}//etc/passwd", "/etc/passwd", f"/{MONTH}/%00", f"/{MONTH}/stray.txt", "/..%2f/secret.txt", f"//{MONTH}/stray.txt",
        f"/{MONTH}/summary.html%00.csv", "/2026-3/summary.html", f"/{MONTH}%2F../secret.txt", f"/{MONTH}/warehouse.duckdb",
    ],
)  # fmt: skip
def test_nothing_but_the_files_of_a_pack_can_be_reached(page: str, path: str) -> None:
    # As it stands: `requests` would tidy the path up before sending it.
    connection = http.client.HTTPConnection(page.removeprefix("http://"), timeout=10)
    connection.putrequest("GET", path, skip_host=False)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status in (404, 400, 307)
    assert b"not for readers" not in body
    assert b"not of the pack" not in body


def test_nothing_can_be_written(page: str) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert requests.request(method, f"{page}/{MONTH}/summary.html", timeout=10).status_code == 405


def test_another_host_name_is_turned_away(page: str) -> None:
    assert requests.get(page, headers={"Host": "evil.example"}, timeout=10).status_code == 400


def test_with_a_token_nobody_gets_in_without_it(shop: Shop) -> None:
    shop.export()
    with served(shop.settings, TOKEN) as address:
        for path in ("/", f"/{MONTH}/", f"/{MONTH}/rollforward.csv"):
            assert requests.get(address + path, timeout=10).status_code == 401
            assert requests.get(address + path, auth=("any", "wrong"), timeout=10).status_code == 401
            assert requests.get(address + path, auth=("any", TOKEN), timeout=10).status_code == 200
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            assert requests.get(address + path, headers=bearer, timeout=10).status_code == 200
        broken = {"Authorization": "Basic %%%"}
        assert requests.get(address, headers=broken, timeout=10).status_code == 401


def test_it_is_not_exposed_without_a_token_that_is_hard_to_guess(shop: Shop) -> None:
    for token in ("", "short"):
        settings = Settings.from_environment(
            {"HR_CENTRA_HOME": str(shop.settings.home), "HR_CENTRA_DOWNLOADS_TOKEN": token}
        )
        with pytest.raises(ConfigurationError, match="HR_CENTRA_DOWNLOADS_TOKEN"):
            serve(settings, "0.0.0.0", 0, listening=pytest.fail)  # noqa: S104 - refused


def test_a_port_in_use_is_refused_before_its_address_is_shown(shop: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RunFailed, match=f"--port {port}: .*in use"):
            serve(shop.settings, "127.0.0.1", port, listening=pytest.fail)


@pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed")
def test_in_a_real_browser_a_reader_finds_the_month_its_charts_and_its_workbook(page: str, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        try:
            tab = browser.new_page()
            troubles: list[str] = []
            tab.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
            tab.on("pageerror", lambda error: troubles.append(str(error)))
            tab.goto(page)
            assert tab.locator("td .pill", has_text="does not tie").is_visible()
            tab.get_by_role("link", name=MONTH, exact=True).click()
            tab.wait_for_url(f"**/{MONTH}/")
            with tab.expect_download() as waiting:
                tab.get_by_role("link", name="Workbook").click()
            saved = tmp_path / waiting.value.suggested_filename
            waiting.value.save_as(saved)
            assert load_workbook(saved).sheetnames[0] == "1 Summary"
            tab.get_by_role("link", name="Summary with charts").click()
            tab.wait_for_url("**/summary.html")
            assert tab.locator("svg").count() >= 3
            assert tab.locator("svg").first.is_visible()
            box = tab.locator("svg").first.bounding_box()
            assert box is not None
            assert box["width"] > 300
            assert [text for text in troubles if "favicon" not in text and "404" not in text] == []
        finally:
            browser.close()
