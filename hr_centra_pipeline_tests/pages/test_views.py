"""The pages that people work with, over ASGI: what they show, of nothing and of something, and that data is never markup."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hr_centra_pipeline.publishing.page_tables import PAGE_TABLES, PAGES_DATABASE
from hr_centra_pipeline_tests.pages.page_fixture import email_of, exception_id, return_id
from hr_centra_pipeline_tests.pages.site_client import TestClient, assign, document, home_of, logged_in, note

EVERY_PAGE = (
    "/", "/search", "/search?q=101-MOSS-S", "/worklist", "/worklist?state=dry_run", "/worklist?state=closed&team=finance",
    "/worklist?overdue=1", "/worklist?assignee=-", "/warehouse", "/warehouse?box=OB-0003", "/warehouse?warehouse=Main",
    "/warehouse/print", "/warehouse/print?list=arrivals", "/health",
)  # fmt: skip
HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>`<b>` javascript:alert(3) {{ 7*7 }}"


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def links(self) -> set[str]:
        """Where its links and forms lead."""
        return {address for _, given in self.found if (address := given.get("href") or given.get("action"))}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return home_of(tmp_path_factory.mktemp("home"), returns=80, exceptions=60)


@pytest.fixture(scope="module")
def site(home: Path) -> Iterator[TestClient]:
    assign(home, exception_id(0), "mia@example.com")
    with logged_in(home) as client:
        yield client


def one_value(home: Path, query: str) -> str:
    with closing(sqlite3.connect(home / "published" / PAGES_DATABASE)) as connection:
        return str(connection.execute(query).fetchone()[0])


@pytest.mark.parametrize("returns", [0, 80])
def test_every_page_answers_with_nothing_and_with_something_and_shows_no_placeholder(
    site: TestClient, tmp_path: Path, returns: int
) -> None:
    client = site if returns else logged_in(home_of(tmp_path, returns=0, exceptions=0))
    for path in EVERY_PAGE:
        answer = client.get(path)
        assert answer.status_code == (404 if "q=" in path and not returns else 200), path
        page = Elements(answer.text)
        assert not re.search(r"\bNone\b(?!\.)|\[\]|Undefined|\bnull\b", page.text), path
        assert [tag for tag, _ in page.found].count("h1") == 1, path


def test_every_link_of_a_page_to_another_of_these_pages_leads_somewhere(site: TestClient) -> None:
    elsewhere = ("/finance", "/manual", "/decisions", "/static/", "/logout")
    seen: set[str] = set()
    left = ["/", "/worklist?state=closed", "/search?q=101-MOSS-S", "/warehouse"]
    while left and len(seen) < 90:
        path = left.pop(0)
        if path in seen:
            continue
        seen.add(path)
        answer = site.get(path)
        assert answer.status_code == 200, path
        if "html" in answer.headers["content-type"]:
            links = {link.partition("#")[0] for link in Elements(answer.text).links()}
            left += [link for link in sorted(links) if link.startswith("/") and not link.startswith(elsewhere)]
    assert {re.split(r"[/?]", path)[1] for path in seen} >= {
        "",
        "returns",
        "exceptions",
        "worklist",
        "warehouse",
        "health",
    }


@pytest.mark.parametrize("sort", ["return", "order", "express_code", "rma", "unit", "email_token"])
def test_a_name_of_one_return_leads_to_its_story(site: TestClient, home: Path, sort: str) -> None:
    name = one_value(home, f"select name from names where kind = '{sort}' order by return_id")
    found = one_value(home, f"select return_id from names where kind = '{sort}' order by return_id")
    for typed in (name, f"  {name.upper()} ", *([f"#{name}"] if sort == "order" else [])):
        answer = site.get("/search", params={"q": typed})
        assert (answer.status_code, answer.headers.get("location")) == (303, f"/returns/{found}"), typed


def test_an_address_is_looked_up_by_its_token_and_an_exception_by_its_id(site: TestClient, home: Path) -> None:
    answer = site.get("/search", params={"q": f" {email_of(return_id(7)).upper()} "})
    assert answer.headers.get("location") == f"/returns/{return_id(7)}"
    of_it = one_value(home, f"select coalesce(return_id, '') from exceptions where exception_id = '{exception_id(3)}'")
    answer = site.get("/search", params={"q": exception_id(3).lower()})
    assert answer.headers.get("location", "") == (f"/returns/{of_it}" if of_it else "")


def test_a_name_of_several_returns_lists_all_of_them_a_page_at_a_time(tmp_path: Path) -> None:
    home = home_of(tmp_path, returns=200, exceptions=0)
    client = logged_in(home)
    path, listed = "/search?q=101-MOSS-S", []
    for _ in range(10):
        page = Elements(client.get(path).text)
        listed += sorted(link.rpartition("/")[2] for link in page.links() if link.startswith("/returns/"))
        further = [given["href"] for tag, given in page.found if tag == "a" and given.get("rel") == "next"]
        if not further or further[0] is None:
            break
        path = further[0]
    assert len(listed) > 50
    with closing(sqlite3.connect(home / "published" / PAGES_DATABASE)) as connection:
        query = "select return_id from names where name = '101-moss-s' order by return_id"
        assert listed == [row[0] for row in connection.execute(query)]


def test_a_search_without_a_hit_says_what_can_be_searched_and_how_old_the_data_is(site: TestClient) -> None:
    answer = site.get("/search?q=RT-does-not-exist")
    assert answer.status_code == 404
    assert "No return has the name “RT-does-not-exist”" in answer.text
    for word in ("express code", "RMA", "SKU", "tracking number", "e-mail", "2026-09-30 12:00"):
        assert word in answer.text


def test_a_story_shows_what_it_waits_for_who_must_act_and_the_refund_to_copy(site: TestClient, home: Path) -> None:
    name = one_value(home, "select return_id from returns where waits_for = 'goods' and open_exceptions = 0")
    page = Elements(site.get(f"/returns/{name}").text)
    assert "waits for the goods" in page.text
    assert "Who must act: Carrier" in page.text
    boxes = [given for tag, given in page.found if tag == "textarea"]
    assert len(boxes) == 1
    assert "readonly" in boxes[0]
    assert re.search(r"Refund of [\d.]+ [A-Z]{3} = items .* − voucher share .* \+ shipping .* − return fee ", page.text)


def test_an_exception_shows_its_entry_of_the_manual_its_history_and_its_evidence(site: TestClient, home: Path) -> None:
    name = one_value(home, "select exception_id from exceptions where kind = 'double_credit' and state = 'open'")
    page = Elements(site.get(f"/exceptions/{name}").text)
    assert "More was given back for one unit than was paid for it" in page.text
    assert "/manual/exceptions#double_credit" in page.links()
    assert "items-20260908T1200Z.csv" in page.text
    assert "More: docs/" not in page.text
    noted = one_value(home, "select exception_id from exceptions where last_note is not null")
    assert "Asked the carrier" in site.get(f"/exceptions/{noted}").text


def test_what_is_open_only_in_the_dry_run_is_not_among_what_is_open(site: TestClient, home: Path) -> None:
    for state in ("open", "dry_run"):
        page = Elements(site.get(f"/worklist?state={state}&assignee=*").text)
        assert page.text
    kinds = Elements(site.get("/worklist?state=dry_run").text)
    shown = {link.rpartition("/")[2] for link in kinds.links() if link.startswith("/exceptions/")}
    with closing(sqlite3.connect(home / "published" / PAGES_DATABASE)) as connection:
        dry = {row[0] for row in connection.execute("select exception_id from exceptions where state = 'dry_run'")}
    assert shown == dry != set()
    assert "overdue" not in "".join(
        re.findall(r'<td data-label="Due">.*?</td>', site.get("/worklist?state=dry_run").text)
    )
    first = Elements(site.get("/").text).text
    assert f"{len(dry)} exceptions are open only because nothing is sent" in " ".join(first.split())


@pytest.mark.parametrize(
    "path", ["/returns/RT-9", "/returns/..%2f..%2fetc", "/exceptions/EX0", "/exceptions/%00", "/returns/%F0%9F%98%80/x"]
)
def test_what_is_not_there_is_answered_with_help_to_find_it(site: TestClient, path: str) -> None:
    answer = site.get(path)
    assert answer.status_code == 404
    assert 'role="search"' in answer.text


def test_without_a_publication_or_with_one_of_another_program_the_pages_say_to_sync(tmp_path: Path) -> None:
    client = logged_in(tmp_path)
    for path in (*EVERY_PAGE, "/worklist.csv", "/returns/x", "/exceptions/x"):
        answer = client.get(path)
        assert answer.status_code == 503, path
        assert "hr-centra sync" in answer.text
    home_of(tmp_path / "b", returns=1, exceptions=0)
    with closing(sqlite3.connect(tmp_path / "b" / "published" / PAGES_DATABASE)) as connection:
        connection.execute("pragma user_version = 999")
    assert logged_in(tmp_path / "b").get("/").status_code == 503


def test_no_text_of_the_data_is_markup_on_any_page(tmp_path: Path) -> None:
    home = home_of(tmp_path, returns=24, exceptions=20)
    with closing(sqlite3.connect(home / "published" / PAGES_DATABASE)) as connection, connection:
        for table in PAGE_TABLES:
            codes = {
                *table.key,
                "state",
                "kind",
                "owner_team",
                "currency",
                "overdue",
                "movement",
                "level",
                "area",
                "return_id",
                "overdue_amount",
                "oldest",
            }
            for name, column in table.columns.items():
                is_plain = column.sql == "text" and not re.search(
                    r"JSON|when|end of|exact|later than|time|hash", column.meaning
                )
                if is_plain and name not in codes:
                    connection.execute(f"update {table.name} set {name} = ?", [f"{HOSTILE} {name}"])
        for row_id, history, evidence in connection.execute(
            "select exception_id, history, evidence from exceptions"
        ).fetchall():
            events = [
                event | {"by": HOSTILE, "note": HOSTILE, "detail": HOSTILE, "proof": HOSTILE}
                for event in json.loads(history)
            ]
            found = json.loads(evidence) | {HOSTILE: HOSTILE, "source_file": HOSTILE}
            connection.execute(
                "update exceptions set history = ?, evidence = ? where exception_id = ?",
                [json.dumps(events), json.dumps(found), row_id],
            )
        for row_id, text in connection.execute("select return_id, story from returns").fetchall():
            story = json.loads(text)
            for part in ("units", "sent", "timeline", "waits", "exceptions", "reports"):
                for one in story[part]:
                    for name in ("sku", "product_name", "reason", "condition", "what", "who", "unit", "words", "detail",
                                 "next_step", "effects", "rule", "centra_id", "disposition", "last_event"):  # fmt: skip
                        if name in one:
                            one[name] = HOSTILE
            connection.execute("update returns set story = ? where return_id = ?", [json.dumps(story), row_id])
    assign(home, exception_id(1), HOSTILE[:200])
    note(home, exception_id(1), HOSTILE)
    document(home, exception_id(1), HOSTILE)
    client = logged_in(home)
    paths = [*EVERY_PAGE, *(f"/returns/{return_id(number)}" for number in range(4)),
             *(f"/exceptions/{exception_id(number)}" for number in range(4))]  # fmt: skip
    seen = 0
    for path in paths:
        page = Elements(client.get(path).text)
        assert {tag for tag, _ in page.found} & {"img", "script", "b", "iframe", "object"} == set(), path
        for tag, attributes in page.found:
            assert not [name for name in attributes if name.startswith("on")], (path, tag)
            assert not re.match(r"\s*(javascript:|data:.)(?!$)", attributes.get("href") or ""), (path, tag)
        assert "49 " not in page.text
        seen += "<img src=x onerror=alert(1)>" in page.text
    assert seen >= 12


TEXTS = st.text(max_size=30) | st.sampled_from(
    (
        "'; drop table exceptions --",
        "\x00",
        "%",
        "_",
        "../../etc/passwd",
        "a" * 1000,
        "<script>",
        "*",
        "-",
        "1e999",
        "{{7*7}}",
    )
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(("/worklist", "/worklist.csv", "/search", "/warehouse", "/warehouse/print")),
    query=st.dictionaries(
        st.sampled_from(
            (
                "q",
                "team",
                "kind",
                "state",
                "assignee",
                "overdue",
                "after",
                "warehouse",
                "box",
                "boxes",
                "units",
                "graded",
                "held",
                "list",
            )
        ),
        TEXTS,
    ),
)
def test_a_query_of_any_values_is_answered_and_what_is_typed_is_text(
    site: TestClient, path: str, query: dict[str, str]
) -> None:
    answer = site.get(path, params=query)
    assert answer.status_code in (200, 303, 404, 414)
    if "html" in answer.headers.get("content-type", ""):
        assert "script" not in {tag for tag, _ in Elements(answer.text).found}
