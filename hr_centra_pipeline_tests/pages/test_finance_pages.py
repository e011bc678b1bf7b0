from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.publishing import page_tables
from hr_centra_pipeline.publishing.page_tables import PAGES_DATABASE
from hr_centra_pipeline_tests.pages import page_fixture
from hr_centra_pipeline_tests.pages.serving import Browser, served
from hr_centra_pipeline_tests.pages.test_guard import MARKUP, MONTH, pack


@pytest.fixture(scope="module")
def finance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A home with a month that two things block, a pack, and 60 payouts of which 5 do not agree."""
    home = tmp_path_factory.mktemp("finance")
    pack(home / "exports" / MONTH, content_sha256="c" * 64)
    (home / "published").mkdir()
    path = home / "published" / PAGES_DATABASE
    page_fixture.fill(path, returns=2, exceptions=0)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("delete from months")
        connection.execute("delete from payouts")
        insert(connection, "months", [month(MONTH), month("2026-08", standing="certified", blocks=[], signed=True)])
        insert(connection, "payouts", [payout(number) for number in range(60)])
        connection.commit()
    with served(home) as site:
        yield site.with_link()


def insert(connection: sqlite3.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    declared = next(one for one in page_tables.PAGE_TABLES if one.name == table)
    connection.executemany(declared.insert, [dict.fromkeys(declared.columns) | row for row in rows])


def month(
    name: str, standing: str = "open", blocks: list[dict[str, Any]] | None = None, *, signed: bool = False
) -> dict[str, Any]:
    blocking = [
        {"code": "does_not_tie", "count": 3, "text": "3 components of the month end do not tie."},
        {"code": "source_not_covered", "count": 1, "text": f"1 sources do not cover the month, such as {MARKUP}."},
    ]  # fmt: skip
    signatures = [{"role": "preparer", "by": "Anna", "at": "2026-09-03T10:00:00Z", "comment": None}] if signed else []
    return {
        "month": name, "standing": standing, "is_over": 1, "status": "ties" if signed else "does_not_tie",
        "signatures": json.dumps(signatures), "moved": "[]", "blocks": json.dumps(blocking if blocks is None else blocks),
        "open_items": 7, "has_pack": 1,
    }  # fmt: skip


def payout(number: int) -> dict[str, Any]:
    settled = number >= 5
    return {
        "payout_tie_id": f"P-{number:03}", "verdict": "agrees" if settled else "short", "is_settled": int(settled),
        "return_id": f"RT-{number}", "order_number": str(number), "provider": "adyen", "reference": MARKUP, "currency": "EUR",
        "credited": "1234.5000", "settled": "1234.5000" if settled else "1000.0000", "difference": "0" if settled else "-234.5",
        "happened_at": f"2026-09-{number % 28 + 1:02}T08:00:00Z", "row_hash": "x",
    }  # fmt: skip


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_months_say_what_blocks_a_clean_close_and_lead_to_the_work(finance: Browser) -> None:
    html = finance.get("/finance").text
    assert html.index(f">{MONTH}<") < html.index(">2026-08<")
    assert "3 components of the month end do not tie." in html
    assert 'href="/worklist?kind=source_not_covered"' in html
    assert "certified" in html
    assert "Anna preparer" in text_of(html)


def test_an_open_month_can_be_closed_and_a_closed_one_signed_with_the_hash_that_is_shown(finance: Browser) -> None:
    opened, closed = finance.get(f"/finance/{MONTH}/").text, finance.get("/finance/2026-08/").text
    assert 'action="/decisions/close"' in opened
    assert 'name="accept"' in opened  # it is not clean: a reason is asked for
    assert 'action="/decisions/sign"' not in opened
    assert 'action="/decisions/sign"' in closed
    assert 'action="/decisions/reopen"' in closed
    assert 'action="/decisions/close"' not in closed


def test_payouts_that_do_not_agree_come_first_and_long_lists_have_pages(finance: Browser) -> None:
    first = finance.get("/finance/payouts").text
    assert first.count("RT-") >= 50
    assert first.index("short") < first.index("/returns/RT-0")
    assert "−234.50 EUR" in first
    assert "1,234.50 EUR" in first
    second = finance.get("/finance/payouts?page=2").text
    assert text_of(second).count("RT-") == 10
    only = finance.get("/finance/payouts?verdict=short").text
    assert text_of(only).count("RT-") == 5
    for odd in ("?page=0", "?page=-1", "?page=x", "?page=999999", f"?verdict={MARKUP}"):
        assert finance.get(f"/finance/payouts{odd}").status_code == 200


def test_names_of_files_and_references_are_text(finance: Browser) -> None:
    for path in ("/finance", f"/finance/{MONTH}/", "/finance/payouts"):
        html = finance.get(path).text
        assert "<script" not in html
        assert "&lt;script&gt;" in html


def test_where_nothing_was_published_the_page_says_what_to_do(tmp_path: Path) -> None:
    with served(tmp_path) as site:
        answer = site.with_link().get("/finance")
        assert answer.status_code == 503
        assert "hr-centra sync" in answer.text


def test_a_month_that_does_not_exist_is_not_found(finance: Browser) -> None:
    for path in ("/finance/2019-01/", "/finance/nothing/", "/finance/nothing", f"/finance/{MONTH}/nothing.csv"):
        assert finance.get(path).status_code == 404
    assert finance.get(f"/finance/{MONTH}").headers["location"] == f"/finance/{MONTH}/"
