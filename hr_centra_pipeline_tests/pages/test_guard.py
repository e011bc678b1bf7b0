from __future__ import annotations

import http.client
import json
import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from starlette.routing import Route

from hr_centra_pipeline.decisions.decision_store import DecisionStore
from hr_centra_pipeline.pages.app import routes
from hr_centra_pipeline.pages.guard import Bounds
from hr_centra_pipeline.pages.views_decisions import UPLOAD_PATHS
from hr_centra_pipeline_tests.pages.serving import Browser, Served, people_file, served

MONTH = "2026-09"
PDF = b"%PDF-1.4 a receipt"
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'"
BOUNDS = Bounds(form_bytes=20_000, upload_bytes=60_000, form_seconds=0.4, upload_seconds=5, upload_paths=UPLOAD_PATHS)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("guarded")
    people_file(home, anna=["decide", "close"], victor=[])
    pack(home / "exports" / MONTH)
    (home / "secret.txt").write_text("not for readers", encoding="utf-8")
    (home / "exports" / MONTH / "stray.txt").write_text("not of the pack", encoding="utf-8")
    with served(home, bounds=BOUNDS) as running:
        yield running


@pytest.fixture(scope="module")
def anna(site: Served) -> Browser:
    return site.logged_in("anna@example.com")


@pytest.fixture(scope="module")
def victor(site: Served) -> Browser:
    return site.logged_in("victor@example.com")


def pack(folder: Path, **more: object) -> None:
    """A month's pack as readers see it: its manifest, and two of its files."""
    folder.mkdir(parents=True)
    (folder / "open_items.csv").write_text("kind\n", encoding="utf-8")
    (folder / "summary.html").write_text("<style>p { color: red }</style><p>fine</p>", encoding="utf-8")
    manifest = {
        "month": MONTH, "cut_off": "2026-10-01T00:00:00Z", "is_over": True, "status": "ties", "standing": "open", "signed_by": {},
        "content_sha256": "", "open_items": 0, "late_items": 0, "code_version": "1", "policy_sha256": "",
        "files": [{"name": name, "bytes": 5, "sha256": "00", "rows": 0} for name in ("open_items.csv", "summary.html")], **more,
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def kept(site: Served) -> int:
    return len(DecisionStore(site.settings).recent(1_000))


def raw(site: Served, path: str, cookie: str = "", **headers: str) -> tuple[int, bytes]:
    """A request whose path is sent as it is, which `requests` would tidy up."""
    connection = http.client.HTTPConnection(site.address.removeprefix("http://"), timeout=10)
    connection.putrequest("GET", path, skip_host="Host" in headers)
    for name, value in {"Cookie": f"hr_centra={cookie}", **headers}.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


# ---------------------------------------------------------------- hosts and paths


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "evil.example#127.0.0.1", ""]
)
def test_another_host_name_is_turned_away(site: Served, anna: Browser, host: str) -> None:
    status, body = raw(site, "/manual", anna.session.cookies["hr_centra"], Host=host)
    assert status == 400
    assert b"Exceptions" not in body


@pytest.mark.parametrize(
    "path",
    [
        f"/finance/{MONTH}/../secret.txt", f"/finance/{MONTH}/..%2Fsecret.txt", f"/finance/{MONTH}/..%2f..%2fsecret.txt",
        f"/finance/{MONTH}/%2e%2e/%2e%2e/secret.txt", f"/finance/{MONTH}/..\\secret.txt", f"/finance/{MONTH}//etc/passwd",
        f"/finance/{MONTH}/%00", f"/finance/{MONTH}/stray.txt", f"/finance/{MONTH}/open_items.csv%00.html",
        "/finance/../secret.txt", "/finance/2026-9/open_items.csv", "/finance/..%2fsecret.txt/", "/static/../site.py",
        "/static/..%2fsite.py", "/static/%2e%2e/site.py", "/manual/../../pyproject", "/manual/..%2f..%2fREADME",
        "/manual/images/..%2fglossary.md", "/manual/%2fetc%2fpasswd", "/decisions/files/..%2f..%2fsecret.txt",
    ],
)  # fmt: skip
def test_nothing_is_reached_through_a_path(site: Served, anna: Browser, path: str) -> None:
    status, body = raw(site, path, anna.session.cookies["hr_centra"])
    assert status in (404, 400)
    for text in (b"not for readers", b"not of the pack", b"root:", b"import annotations", b"# "):
        assert text not in body


def test_files_of_a_pack_are_as_exported_and_its_summary_can_do_nothing(site: Served, anna: Browser) -> None:
    table = anna.get(f"/finance/{MONTH}/open_items.csv")
    assert table.content == b"kind\n"
    assert table.headers["content-disposition"] == f'attachment; filename="{MONTH}-open_items.csv"'
    summary = anna.get(f"/finance/{MONTH}/summary.html")
    assert "sandbox" in summary.headers["content-security-policy"]
    assert "script-src" not in summary.headers["content-security-policy"]
    assert summary.headers["x-content-type-options"] == "nosniff"


# ---------------------------------------------------------------- forms of other sites


@pytest.mark.parametrize(
    ("origin", "headers"),
    [
        ("https://evil.example", {}), ("null", {}), ("http://127.0.0.1:1", {}), (None, {}),
        ("", {"Sec-Fetch-Site": "cross-site"}), ("", {"Sec-Fetch-Site": "same-site"}), (None, {"Sec-Fetch-Site": "cross-site"}),
    ],
)  # fmt: skip
def test_a_form_of_another_site_changes_nothing_even_with_the_right_token(
    site: Served, anna: Browser, origin: str | None, headers: dict[str, str]
) -> None:
    before = kept(site)
    data = {"form_token": anna.token(), "once": uuid4().hex, "exception_id": "EX-1", "note": "x"}
    assert anna.post("/decisions/note", data, origin=origin, headers=headers).status_code == 403
    assert kept(site) == before


def test_every_form_needs_the_token_of_its_own_session(site: Served, anna: Browser, victor: Browser) -> None:
    before = kept(site)
    posts = [
        route.path for route in routes()
        if isinstance(route, Route) and "POST" in (route.methods or ()) and route.path != "/login"
    ]  # fmt: skip
    assert len(posts) == 14
    other = site.logged_in("anna@example.com")  # of the same person, in another browser
    for path in posts:
        for token in (None, "", "0" * 64, victor.token(), other.token()):
            data = {
                "once": uuid4().hex,
                "exception_id": "EX-1",
                "note": "x",
                **({} if token is None else {"form_token": token}),
            }
            assert anna.post(path, data).status_code == 403, (path, token)
    assert (
        anna.post("/decisions/note", {"form_token": [anna.token(), anna.token()], "once": uuid4().hex}).status_code
        == 400
    )
    assert kept(site) == before


def test_a_form_that_is_sent_twice_is_one_decision(site: Served, anna: Browser) -> None:
    before, once = kept(site), uuid4().hex
    first = anna.decide("note", once, exception_id="EX-2", note="called the carrier", back="/finance?x=1")
    again = anna.decide(
        "note", once, exception_id="EX-2", note="called the carrier", back="/finance?x=1&notice=recorded"
    )
    assert first.headers["location"] == "/finance?x=1&notice=recorded"
    assert again.headers["location"] == "/finance?x=1&notice=again"
    assert kept(site) == before + 1
    assert anna.decide("note", once, exception_id="EX-2", note="another note").status_code == 400
    assert anna.decide("note", "not-a-key", exception_id="EX-2", note="x").status_code == 400
    assert kept(site) == before + 1


def test_after_a_form_nobody_is_sent_to_another_site(anna: Browser) -> None:
    answer = anna.decide("note", exception_id="EX-2", note="x", back="//evil.example/")
    assert answer.headers["location"] == "/?notice=recorded"


# ---------------------------------------------------------------- rights


def test_a_right_that_somebody_does_not_have_is_refused_and_its_form_is_not_shown(
    site: Served, victor: Browser
) -> None:
    before = kept(site)
    fields = {"name": "RT-1", "unit": "IT-1", "why": "x", "month": MONTH, "role": "preparer", "names": "E-1"}
    for kind in ("approve", "adopt", "tie", "raise", "reorder", "pay-instead", "close", "reopen", "sign"):
        assert victor.decide(kind, **fields).status_code == 403, kind
    for kind in ("workbook", "document"):
        assert victor.decide(kind, month=MONTH, files={"file": ("a.pdf", PDF)}).status_code == 403
    assert 'action="/decisions/close"' not in victor.get(f"/finance/{MONTH}/").text
    assert kept(site) == before
    assert not (site.settings.home / "decision_files").exists()


def test_each_kind_of_form_is_kept_with_who_sent_it_and_listed_as_waiting(tmp_path: Path) -> None:
    people_file(tmp_path, anna=["decide", "close"])
    pack(tmp_path / "exports" / MONTH)
    with served(tmp_path) as site:
        anna = site.logged_in("anna@example.com")
        shown = json.dumps({"effect_key": "E-1", "approval_sha256": "a" * 64, "amount": "12.50", "currency": "EUR"})
        forms: dict[str, dict[str, Any]] = {
            "note": {"exception_id": "EX-1", "note": "a note", "decision": "chase"},
            "assign": {"exception_id": ["EX-1", "EX-2"], "person": "Victor@Example.com"},
            "approve": {"names": ["E-1"], "shown": shown, "why": "checked"},
            "adopt": {"name": "RT-1", "why": "ours"},
            "tie": {"form": "refund", "name": "77", "units": "IT-1=12.50\nIT-2", "why": "by phone"},
            "raise": {"effect_type": "credit_note", "hours": "12", "effects": "", "why": "sale"},
            "reorder": {"unit": "IT-1", "why": "back in stock"},
            "pay-instead": {"unit": "IT-2", "why": "sold out"},
            "close": {"month": MONTH, "accept": ""},
            "reopen": {"month": MONTH, "why": "a mistake"},
            "sign": {"month": MONTH, "role": "preparer", "content_sha256": "b" * 64},
        }
        for kind, fields in forms.items():
            assert anna.decide(kind, **fields).status_code == 303, kind
        assert anna.decide("document", month=MONTH, title="receipt", files={"file": ("a.pdf", PDF)}).status_code == 303
        found = DecisionStore(site.settings).recent()
        assert {one.kind for one in found} == {kind.replace("-", "_") for kind in (*forms, "document")}
        assert len(found) == len(forms) + 2  # two were ticked
        assert {(one.who.user_id, one.who.login, one.who.address) for one in found} == {
            ("anna@example.com", "password", "127.0.0.1")
        }
        listed = anna.get("/decisions").text
        assert listed.count("waits for the pipeline") == len(found)
        document = next(one for one in found if one.kind == "document")
        saved = anna.get(f"/decisions/files/{document.decision_id}")
        assert saved.content == PDF
        assert saved.headers["content-disposition"] == 'attachment; filename="a.pdf"'
        assert "receipt" in anna.get(f"/finance/{MONTH}/").text


def test_what_a_form_gets_wrong_is_named(anna: Browser) -> None:
    for kind, fields, said in (
        ("note", {"exception_id": "EX-1"}, "write a note"),
        ("assign", {"person": "victor"}, "Tick at least one"),
        ("adopt", {"name": "RT-1"}, "why: is empty"),
        ("tie", {"form": "refund", "name": "7", "units": "IT-1=abc", "why": "x"}, "amount"),
        ("close", {"month": "2026-13"}, "must be a month like"),
        ("sign", {"month": MONTH, "role": "boss"}, "role"),
        ("raise", {"effect_type": "anything", "why": "x"}, "must be one of"),
    ):
        answer = anna.decide(kind, **fields)
        assert answer.status_code == 400, kind
        assert said in answer.text, answer.text


# ---------------------------------------------------------------- markup in data


def test_markup_in_data_is_text_on_every_page(site: Served, anna: Browser) -> None:
    assert anna.decide("note", exception_id=MARKUP[:190], note=MARKUP).status_code == 303
    assert anna.decide("adopt", name=MARKUP[:190], why=MARKUP).status_code == 303
    upload = {"file": (f"{MARKUP}.pdf".replace('"', ""), PDF)}
    assert anna.decide("document", month=MONTH, title=MARKUP, files=upload).status_code == 303
    for path in (
        "/decisions",
        f"/finance/{MONTH}/",
        f"/decisions?about={MARKUP}",
        f"/nothing/{MARKUP}",
        f"/finance/{MARKUP}/",
    ):
        text = anna.get(path).text
        assert "<script" not in text.lower()
        assert "<img" not in text.lower()
    assert "&lt;script&gt;" in anna.get("/decisions").text
    assert "&lt;script&gt;" in site.browser().log_in(MARKUP, "wrong").text
    headers = anna.get(f"/decisions/files/{DecisionStore(site.settings).recent(1)[0].decision_id}").headers
    assert "<" not in headers["content-disposition"]


# ---------------------------------------------------------------- bounds


def test_more_than_fits_is_refused_unread(site: Served, anna: Browser) -> None:
    before = kept(site)
    assert anna.decide("note", exception_id="EX-1", note="x" * 30_000).status_code == 413
    assert anna.decide("note", exception_id="EX-1", note="x" * 3_000).status_code == 400
    assert anna.decide("document", month=MONTH, files={"file": ("a.pdf", PDF + b"x" * 70_000)}).status_code == 413
    assert anna.decide("document", month=MONTH, files={"file": ("a.pdf", PDF + b"x" * 30_000)}).status_code == 303
    assert anna.decide("note", files={"file": ("a.pdf", PDF + b"x" * 30_000)}).status_code == 413
    chunks = (b"x" * 10_000 for _ in range(5))  # a body that does not say how long it is
    assert anna.post("/decisions/note", chunks).status_code == 413
    assert anna.get(f"/manual?{'x' * 5_000}").status_code == 414
    assert kept(site) == before + 1


def test_a_body_that_never_ends_is_given_up(site: Served, anna: Browser) -> None:
    host, port = site.address.removeprefix("http://").split(":")
    lines = [
        "POST /decisions/note HTTP/1.1", f"Host: {host}:{port}", f"Origin: {site.address}", "Content-Length: 100",
        "Content-Type: application/x-www-form-urlencoded", f"Cookie: hr_centra={anna.session.cookies['hr_centra']}", "", "form",
    ]  # fmt: skip
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall("\r\n".join(lines).encode())
        assert line.recv(1_000).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("body", [b"\x00\xff\xfe", b"--x\r\nnot a form", b"a=" + b"%" * 300, b"&" * 2_000])
@pytest.mark.parametrize(
    "kind",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "multipart/form-data"],
)
def test_a_body_that_is_not_a_form_is_refused_in_one_line(site: Served, anna: Browser, body: bytes, kind: str) -> None:
    answer = anna.post("/decisions/note", body, headers={"Content-Type": kind})
    assert answer.status_code in (400, 403)
    assert "Traceback" not in answer.text


def test_only_reading_and_sending_forms_is_possible(anna: Browser) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert anna.session.request(method, f"{anna.site.address}/manual", timeout=10).status_code == 405
    assert anna.post("/finance").status_code in (403, 405)
    assert anna.get("/decisions/close").status_code == 405


# ---------------------------------------------------------------- headers, errors, log


def test_every_answer_keeps_others_out_and_nothing_is_cached(site: Served, anna: Browser) -> None:
    answers = [
        anna.get(path)
        for path in ("/manual", "/finance", "/nothing", "/ping", "/login", f"/finance/{MONTH}/open_items.csv")
    ]
    answers += [site.get("/worklist"), anna.post("/decisions/note", {}), anna.decide("note")]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert "base-uri 'none'" in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "strict-origin"
        assert "server" not in answer.headers or "uvicorn" in answer.headers["server"]
    assert "unsafe" not in anna.get("/manual").headers["content-security-policy"]
    style = re.search(r'href="(/static/pages\.css\?v=\w+)"', anna.get("/manual").text)
    assert style
    assert site.get(style[1]).headers["cache-control"].startswith("public")


def test_no_page_has_a_script_or_a_style_of_its_own(anna: Browser) -> None:
    for path in (
        "/manual",
        "/manual/exceptions",
        "/manual/operations",
        "/finance",
        f"/finance/{MONTH}/",
        "/decisions",
        "/login",
    ):
        text = anna.get(path).text
        assert not re.search(r"<script|<style|<[^>]*\s(style|on\w+)=|javascript:", text), path


def test_an_error_says_nothing_about_the_machine(tmp_path: Path) -> None:
    people_file(tmp_path, anna=["close"])
    (tmp_path / "decisions.sqlite").write_bytes(b"not a database" * 500)
    with served(tmp_path) as site:
        anna = site.logged_in("anna@example.com")
        answer = anna.get("/decisions")
        assert answer.status_code in (500, 503)
        for text in (str(tmp_path), "Traceback", "sqlite3", ".py"):
            assert text not in answer.text


def test_the_log_has_who_and_which_page_and_never_what_was_searched_for(
    site: Served, anna: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="hr_centra_pipeline.pages"):
        anna.get("/manual?q=shopper@example.com")
        site.get("/search?q=shopper@example.com")
        anna.get("/finance/a%0aforged line")
    assert "anna@example.com GET /manual 200" in caplog.text
    assert "- GET /search 303" in caplog.text
    assert "shopper" not in caplog.text
    assert "\nforged" not in caplog.text
    assert anna.session.cookies["hr_centra"] not in caplog.text
