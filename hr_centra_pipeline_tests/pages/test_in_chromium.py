"""The pages in a real browser: on a desktop and a phone, by keyboard, for a screen reader, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline_tests.pages.page_fixture import exception_id, return_id
from hr_centra_pipeline_tests.pages.served_site import served
from hr_centra_pipeline_tests.pages.site_client import assign, home_of, note

CHROMIUM = Path("/usr/bin/chromium")
WIDTHS = (1280, 390, 360)
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed")
PAGES = {
    "home": "/", "search": "/search?q=101-MOSS-S", "nothing found": "/search?q=nothing", "return": f"/returns/{return_id(1)}",
    "worklist": "/worklist", "dry run": "/worklist?state=dry_run", "exception": f"/exceptions/{exception_id(2)}",
    "warehouse": "/warehouse", "to print": "/warehouse/print", "health": "/health", "decisions": "/decisions",
    "finance": "/finance", "manual": "/manual/pages",
}  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    home = home_of(tmp_path_factory.mktemp("browser"), returns=40, exceptions=10)
    assign(home, exception_id(2), "mia@example.com")
    note(home, exception_id(2), "The carrier was asked; " + "averylongwordwithoutaspace" * 8)
    with served(home) as address:
        yield address


@pytest.fixture(scope="module")
def tab(browser: Any, site: tuple[str, str]) -> Any:
    """A tab of somebody who is logged in; ``troubles`` of it are what the browser complained about."""
    context = browser.new_context()
    tab = context.new_page()
    tab.troubles = []
    tab.on("console", lambda message: tab.troubles.append(message.text) if message.type == "error" else None)
    tab.goto(site[1])
    return tab


def test_no_page_is_wider_than_a_desktop_or_a_phone_and_the_browser_complains_of_nothing(
    tab: Any, site: tuple[str, str]
) -> None:
    too_wide = []
    for name, path in PAGES.items():
        tab.goto(site[0] + path)
        for width in WIDTHS:
            tab.set_viewport_size({"width": width, "height": 900})
            if (found := tab.evaluate("document.documentElement.scrollWidth")) > width:
                too_wide.append(f"{name}: {found} at {width}")
    assert too_wide == []
    assert [text for text in tab.troubles if "404" not in text] == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_serious_on_any_page(tab: Any, site: tuple[str, str], width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab.set_viewport_size({"width": width, "height": 900})
    tab.emulate_media(color_scheme=scheme)
    findings = []
    for name, path in PAGES.items():
        tab.goto(site[0] + path)
        response = axe.run(tab, options={"resultTypes": ["violations"]}).response
        assert len(response["passes"]) > 5
        findings += [
            f"{name}: {found['id']}: {found['nodes'][0]['html'][:150]}"
            for found in response["violations"]
            if found["impact"] in ("serious", "critical")
        ]
    tab.evaluate("document.querySelector('main').append(document.createElement('input'))")
    planted = axe.run(tab, options={"runOnly": {"type": "rule", "values": ["label"]}}).response["violations"]
    tab.emulate_media(color_scheme="light")
    assert [found["impact"] for found in planted] == ["critical"]
    assert findings == []


def test_a_return_is_found_and_an_exception_noted_by_keyboard_alone(tab: Any, site: tuple[str, str]) -> None:
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.goto(site[0])
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the content"
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.id") == "q"
    tab.keyboard.type(return_id(1))
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"**/returns/{return_id(1)}")
    assert "Return " in tab.locator("h1").inner_text()

    tab.goto(f"{site[0]}/exceptions/{exception_id(3)}")
    summary = tab.locator("summary", has_text="Write a note")
    summary.focus()
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    tab.keyboard.type("Asked at the desk <b>twice</b>")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**notice=recorded**")
    assert tab.get_by_text("Recorded.").is_visible()
    assert tab.get_by_text("Asked at the desk <b>twice</b>").is_visible()


def test_ticked_exceptions_of_the_worklist_are_assigned_together(tab: Any, site: tuple[str, str]) -> None:
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.goto(f"{site[0]}/worklist")
    boxes = tab.locator('input[name="exception_id"][type="checkbox"]')
    boxes.nth(0).check()
    boxes.nth(1).check()
    tab.locator("summary", has_text="Assign those that are ticked").click()
    tab.locator("#assign-person").fill("bo@example.com")
    tab.get_by_role("button", name="Assign those that are ticked").click()
    tab.wait_for_url("**notice=recorded**")
    assert tab.locator('td[data-label="Assigned to"]', has_text="bo@example.com").count() == 2
    tab.goto(f"{site[0]}/worklist?assignee=bo%40example.com")
    assert tab.locator(".summary strong").first.inner_text() == "2"


def test_a_list_to_print_is_black_on_white_with_a_box_to_tick_for_each_unit(tab: Any, site: tuple[str, str]) -> None:
    tab.emulate_media(media="print", color_scheme="dark")
    tab.goto(f"{site[0]}/warehouse/print")
    assert tab.locator(".tickbox").count() == 10
    assert not tab.get_by_role("link", name="Back").is_visible()
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    tab.emulate_media(media="screen", color_scheme="light")
