from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.routing import Route

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.decisions.decision_store import DecisionStore
from hr_centra_pipeline.pages.app import check_settings, routes, serve
from hr_centra_pipeline.pages.forms import local_path
from hr_centra_pipeline.pages.login import opened_login
from hr_centra_pipeline.pages.people_file import LoginSettings, Person, load_people
from hr_centra_pipeline_tests.pages.serving import PASSWORD, PROXY_SECRET, Browser, Served, people_file, served

ROOT = Path(__file__).parents[2]
PROVEN = {"X-Hr-Centra-Proxy-Secret": PROXY_SECRET}
PUBLIC = ("/login", "/ping", "/static/{name}")


@pytest.fixture(scope="module")
def with_link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("link")) as site:
        yield site


@pytest.fixture
def with_passwords(tmp_path: Path) -> Iterator[Served]:
    people_file(tmp_path, anna=["decide", "close"], victor=[])
    with served(tmp_path) as site:
        yield site


@pytest.fixture(scope="module")
def behind_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("proxy")
    people_file(home, by="proxy", anna=["close"])
    with served(home) as site:
        yield site


def an_address(route: Route) -> str:
    return re.sub(r"\{[^}]+\}", "2026-09", route.path)


def test_without_a_login_no_page_is_shown_and_no_form_is_taken(with_link: Served) -> None:
    assert len(routes()) > 20
    for route in routes():
        assert isinstance(route, Route)
        if route.path in PUBLIC:
            continue
        if "GET" in (route.methods or ()):
            answer = with_link.get(an_address(route))
            assert (answer.status_code, answer.content) == (303, b""), route.path
            assert answer.headers["location"].startswith("/login")
        else:
            assert with_link.browser().post(an_address(route), {}).status_code == 401, route.path
    assert with_link.get("/anything/else").status_code == 303
    assert with_link.get("/ping").text == "ok\n"


def test_the_link_of_the_terminal_opens_one_session_and_the_next_one_is_printed(with_link: Served) -> None:
    link = with_link.links[-1].removeprefix(with_link.address)
    first, second = with_link.browser(), with_link.browser()
    assert first.get(link).status_code == 303
    assert first.get("/manual").status_code == 200
    assert second.get(link).status_code == 401
    assert second.get("/manual").status_code == 303
    assert with_link.links[-1] != link
    assert second.get(with_link.links[-1].removeprefix(with_link.address)).status_code == 303


def test_a_user_and_their_password_open_a_session_that_a_script_or_another_site_cannot_use(
    with_passwords: Served,
) -> None:
    anna = with_passwords.browser()
    answer = anna.log_in("Anna@Example.com", next_="/manual?q=1")
    assert answer.headers["location"] == "/manual?q=1"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/;" in cookie
    assert "domain" not in cookie
    assert anna.get("/manual").status_code == 200


def test_with_https_the_session_is_kept_from_plain_http_and_from_other_hosts(tmp_path: Path) -> None:
    people_file(tmp_path, anna=[])
    with served(tmp_path, {"HR_CENTRA_PAGES_URL": "https://returns.example.com"}) as site:
        answer = site.browser().log_in("anna@example.com")
        assert answer.headers["set-cookie"].startswith("__Host-hr_centra=")
        assert "Secure" in answer.headers["set-cookie"]
        assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_a_wrong_password_and_an_unknown_user_are_answered_alike(with_passwords: Served) -> None:
    known = with_passwords.browser().log_in("victor@example.com", "wrong")
    unknown = with_passwords.browser().log_in("mallory@example.com", "wrong")
    assert known.status_code == unknown.status_code == 401
    assert known.text.replace("victor", "mallory") == unknown.text
    assert "set-cookie" not in known.headers


def test_a_session_that_somebody_else_chose_is_not_the_one_after_logging_in(with_passwords: Served) -> None:
    victim = with_passwords.browser()
    victim.session.cookies.set("hr_centra", "chosen-by-mallory")
    assert victim.log_in("anna@example.com").status_code == 303
    mallory = with_passwords.browser()
    mallory.session.cookies.set("hr_centra", "chosen-by-mallory")
    assert mallory.get("/manual").status_code == 303


def test_logging_out_ends_the_session_for_whoever_has_copied_it(with_passwords: Served) -> None:
    anna = with_passwords.logged_in("anna@example.com")
    copied = dict(anna.session.cookies)
    assert anna.post("/logout", {"form_token": anna.token()}).status_code == 303
    assert with_passwords.get("/manual", cookies=copied).status_code == 303


def test_a_new_password_and_a_removal_end_sessions_at_once(with_passwords: Served) -> None:
    home = with_passwords.settings.home
    anna, victor = (with_passwords.logged_in(f"{name}@example.com") for name in ("anna", "victor"))
    people_file(home, anna=[])  # a new hash of hers, and nothing of his
    assert anna.get("/manual").status_code == 303
    assert victor.get("/manual").status_code == 303
    assert with_passwords.browser().log_in("victor@example.com").status_code == 401


def test_a_file_with_a_mistake_changes_nothing_while_the_site_runs(with_passwords: Served) -> None:
    anna = with_passwords.logged_in("anna@example.com")
    (with_passwords.settings.home / "people.toml").write_text('login.by = "passwords"\npeople = 3\n', encoding="utf-8")
    assert anna.get("/manual").status_code == 200


def test_after_eight_failed_attempts_a_user_waits_and_others_do_not(with_passwords: Served) -> None:
    for _ in range(8):
        assert with_passwords.browser().log_in("anna@example.com", "wrong").status_code == 401
    refused = with_passwords.browser().log_in("anna@example.com", PASSWORD)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 901
    assert with_passwords.browser().log_in("victor@example.com").status_code == 303


def test_a_session_ends_when_it_is_idle_and_at_the_latest_after_its_hours(tmp_path: Path) -> None:
    now = [1_000.0]
    people_file(tmp_path, anna=[])
    with served(tmp_path, clock=lambda: now[0]) as site:
        idle, busy = site.logged_in("anna@example.com"), site.logged_in("anna@example.com")
        now[0] += 7.9 * 3600
        assert busy.get("/manual").status_code == 200
        now[0] += 0.2 * 3600
        assert idle.get("/manual").status_code == 303
        assert busy.get("/manual").status_code == 200
        now[0] += 4 * 3600
        assert busy.get("/manual").status_code == 303


def test_many_logins_at_once_each_get_a_session_of_their_own(with_passwords: Served) -> None:
    found: list[Browser] = []
    threads = [
        threading.Thread(target=lambda: found.append(with_passwords.logged_in("anna@example.com"))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.session.cookies["hr_centra"] for one in found}) == 6


@pytest.mark.parametrize(
    "given",
    ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "/\tx//evil", "javascript:alert(1)", "",
     "http:evil.example", "///evil.example", "/login?next=/login", "/a\r\nSet-Cookie: x=1", "x/y", "/" + "a" * 600],
)  # fmt: skip
def test_after_logging_in_nobody_is_sent_to_another_site(given: str) -> None:
    assert local_path(given) == "/"


def test_a_page_that_was_asked_for_is_shown_after_logging_in(with_passwords: Served) -> None:
    assert local_path("/worklist?team=finance&kind=x#part") == "/worklist?team=finance&kind=x#part"
    sent = with_passwords.browser().log_in("anna@example.com", next_="//evil.example/x")
    assert sent.headers["location"] == "/"


# ---------------------------------------------------------------- behind a proxy


def test_the_proxys_user_is_believed_with_the_secret_and_from_a_trusted_address_only(behind_proxy: Served) -> None:
    user = {"X-Forwarded-Email": "Anna@Example.com"}
    welcome = behind_proxy.get("/manual", headers={**user, **PROVEN})
    assert welcome.status_code == 200
    assert "anna@example.com" in welcome.text.lower()
    assert behind_proxy.get("/manual", headers=user).status_code == 401
    assert behind_proxy.get("/manual", headers={**user, "X-Hr-Centra-Proxy-Secret": "a guess"}).status_code == 401
    assert behind_proxy.get("/manual", headers=PROVEN).status_code == 401
    assert behind_proxy.get("/manual", headers={**PROVEN, "X-Forwarded-User": "anna"}).status_code == 401
    assert behind_proxy.get("/manual", headers={**PROVEN, "X-Forwarded-Email": "<b>anna</b>"}).status_code == 401


def test_a_header_from_an_address_that_is_not_trusted_is_ignored(tmp_path: Path) -> None:
    people_file(tmp_path, by="proxy", anna=["decide"])
    path = tmp_path / "people.toml"
    path.write_text('login.trusted_proxies = ["192.0.2.7"]\n' + path.read_text(encoding="utf-8"), encoding="utf-8")
    with served(tmp_path) as site:
        forged = {"X-Forwarded-Email": "anna@example.com", "X-Forwarded-For": "192.0.2.7", "X-Real-IP": "192.0.2.7"}
        assert site.get("/manual", headers={**forged, **PROVEN}).status_code == 401


def test_a_user_header_that_comes_twice_is_refused(behind_proxy: Served) -> None:
    import http.client

    connection = http.client.HTTPConnection(behind_proxy.address.removeprefix("http://"), timeout=10)
    connection.putrequest("GET", "/manual")
    for name, value in [
        *PROVEN.items(),
        ("X-Forwarded-Email", "mallory@example.com"),
        ("X-Forwarded-Email", "anna@example.com"),
    ]:
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()


def test_somebody_whom_the_proxy_lets_in_may_note_and_somebody_who_is_listed_has_their_rights(
    behind_proxy: Served,
) -> None:
    (behind_proxy.settings.exported / "2026-09").mkdir(parents=True, exist_ok=True)
    write_pack(behind_proxy.settings.exported / "2026-09")
    victor = Browser(behind_proxy, {"X-Forwarded-Email": "victor@example.com", **PROVEN})
    assert victor.decide("note", exception_id="EX-1", note="seen").status_code == 303
    assert victor.decide("close", month="2026-09").status_code == 403
    anna = Browser(behind_proxy, {"X-Forwarded-Email": "anna@example.com", **PROVEN})
    assert anna.decide("close", month="2026-09").status_code == 303
    kept = DecisionStore(behind_proxy.settings).recent()
    assert [(one.kind, one.who.user_id, one.who.login) for one in kept] == [
        ("close", "anna@example.com", "proxy"), ("note", "victor@example.com", "proxy"),
    ]  # fmt: skip


def write_pack(folder: Path) -> None:
    (folder / "manifest.json").write_text(
        '{"month": "2026-09", "cut_off": "2026-10-01T00:00:00Z", "is_over": true, "status": "ties", "standing": "open",'
        ' "signed_by": {}, "content_sha256": "", "open_items": 0, "late_items": 0, "code_version": "1", "policy_sha256": "",'
        ' "files": [{"name": "open_items.csv", "bytes": 5, "sha256": "00", "rows": 0}]}',
        encoding="utf-8",
    )
    (folder / "open_items.csv").write_text("kind\n", encoding="utf-8")


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('login.by = "ldap"', "login.by"),
        ("", "login: is missing"),
        ('login.by = "proxy"\nlogin.trusted_proxies = ["localhost"]', "is not an IP address"),
        ('login.by = "proxy"\nlogin.user_header = "X Y"', "login.user_header"),
        ('login.by = "passwords"\n[people."a"]\nteams = ["sales"]', "'sales' is not a team"),
        ('login.by = "passwords"\n[people."a"]\nmay = ["everything"]', "people.a.may"),
        ('login.by = "passwords"\n[people."a"]\npassword = "secret"', "is not a hash"),
        ('login.by = "passwords"\n[people."a<b>"]', "is not an id"),
        ('login.by = "passwords"\n[people."A@x"]\n[people."a@x"]', "the same person"),
        ('login.by = "passwords"\nlogin.idle_hours = 13', "absolute_hours"),
        ('login.by = "passwords"\npeople.a.rights = []', "not a setting that is known here"),
        ("not toml", "not valid TOML"),
    ],
)
def test_a_mistake_in_the_file_is_named_and_no_password_is_repeated(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "people.toml"
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=re.escape(said)) as raised:
        load_people(path)
    assert str(path) in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    people_file(tmp_path, anna=[])
    (tmp_path / "people.toml").chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_people(tmp_path / "people.toml")


def test_the_example_is_valid_and_explains_every_setting(tmp_path: Path) -> None:
    text = (ROOT / "data" / "people.example.toml").read_text(encoding="utf-8")
    path = tmp_path / "people.toml"
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    people = load_people(path)
    assert people is not None
    assert people.people
    for name in (*LoginSettings.model_fields, *Person.model_fields):
        assert re.search(rf"^(# )?{name} = ", text, re.MULTILINE), name


def settings_of(home: Path, **environment: str) -> Settings:
    return Settings.from_environment({"HR_CENTRA_HOME": str(home), **environment})


def test_the_site_is_not_exposed_without_a_login_or_without_tls(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="HR_CENTRA_PAGES_URL"):
        serve(settings_of(tmp_path), "0.0.0.0", 0, listening=pytest.fail)  # noqa: S104 - refused
    public = settings_of(tmp_path, HR_CENTRA_PAGES_URL="https://returns.example.com")
    with pytest.raises(ConfigurationError, match=r"people\.toml"):
        serve(public, "0.0.0.0", 0, listening=pytest.fail)  # noqa: S104 - refused
    with pytest.raises(ConfigurationError, match="https://"):
        check_settings(settings_of(tmp_path, HR_CENTRA_PAGES_URL="http://returns.example.com"), "127.0.0.1", {})
    with pytest.raises(ConfigurationError, match="a host only"):
        check_settings(settings_of(tmp_path, HR_CENTRA_PAGES_URL="https://example.com/returns"), "127.0.0.1", {})


def test_a_secret_of_the_proxy_that_could_be_guessed_is_refused(tmp_path: Path) -> None:
    people_file(tmp_path, by="proxy")
    for secret in ("", "short"):
        with pytest.raises(ConfigurationError, match="HR_CENTRA_PAGES_PROXY_SECRET"):
            opened_login(settings_of(tmp_path, HR_CENTRA_PAGES_PROXY_SECRET=secret))


def test_variables_of_the_download_page_say_what_has_replaced_them(tmp_path: Path) -> None:
    for name in ("HR_CENTRA_DOWNLOADS_URL", "HR_CENTRA_DOWNLOADS_TOKEN"):
        with pytest.raises(ConfigurationError, match=f"{name}.*HR_CENTRA_PAGES_URL"):
            check_settings(settings_of(tmp_path), "127.0.0.1", {name: "x"})
