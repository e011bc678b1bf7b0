from __future__ import annotations

import gzip
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hr_centra_pipeline.cli.main import main
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.inbox import inbox_backup
from hr_centra_pipeline.inbox.inbox_store import Inbox, Received
from hr_centra_pipeline.oversight import inbox_privacy
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.inbox.conftest import address_of
from hr_centra_pipeline_tests.inbox.receiving import sha256
from hr_centra_pipeline_tests.postgres import Postgres

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
ANNA = "anna+shop@example.com"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("HR_CENTRA_HOME", str(tmp_path))
    monkeypatch.setenv("HR_CENTRA_NOW", NOW.isoformat())
    return Settings.from_environment()


def item(email: str) -> bytes:
    return b'{"event": "return_status_updated", "items": [{"email": "%s", "orderNumber": "1001"}]}' % email.encode()


def kept(settings: Settings, *bodies: bytes, days_ago: float = 0) -> list[str]:
    inbox = Inbox.open(settings.inbox)
    at = NOW - timedelta(days=days_ago)
    ids = inbox.keep([Received("happy_returns", "main", at, {}, body) for body in bodies])
    inbox.close()
    return ids


def body_of(settings: Settings, delivery_id: str) -> bytes:
    inbox = Inbox.open(settings.inbox)
    found = inbox.find(delivery_id)
    inbox.close()
    assert found is not None
    return found.body


SPELLED = {
    "as it is": ANNA, "upper case": ANNA.upper(), "JSON": "anna\\u002bshop\\u0040example.com",
    "all of it escaped": "".join(f"\\u{ord(one):04x}" for one in ANNA), "a form": "anna%2Bshop%40example.com",
}  # fmt: skip


@pytest.mark.parametrize("spelled", SPELLED.values(), ids=SPELLED)
def test_a_person_is_erased_from_bodies_however_the_address_is_spelled(settings: Settings, spelled: str) -> None:
    one, other = kept(settings, item(spelled), item("joanna+shop@example.com"))
    assert inbox_privacy.holding(settings, [ANNA]) == 1
    assert inbox_privacy.forget(settings, [ANNA], NOW) == {"inbox": 1}
    assert body_of(settings, one) == item("")
    assert body_of(settings, other) == item("joanna+shop@example.com")
    inbox = Inbox.open(settings.inbox)
    found = inbox.find(one)
    assert found is not None
    assert (found.body_sha256, found.erased_at) == (sha256(item(spelled)), NOW)
    assert inbox_privacy.forget(settings, [ANNA], NOW) == {}


def test_an_erased_person_is_in_no_file_of_the_inbox_and_of_its_backups(settings: Settings, tmp_path: Path) -> None:
    kept(settings, item(ANNA), b"x" * 50_000 + item(ANNA))  # the second is on pages of its own
    inbox = Inbox.open(settings.inbox)
    inbox.keep_apart([Received("happy_returns", "main", NOW, {}, item(ANNA), "wrong_signature")])
    (tmp_path / "backups").mkdir()
    copy = inbox_backup.take(settings.inbox, tmp_path / "backups")
    assert copy is not None
    assert inbox_privacy.forget(settings, [ANNA], NOW) == {"inbox": 3, f"backups/{copy.name}": 3}
    inbox.close()
    holding = [file for file in tmp_path.rglob("*") if file.is_file() and ANNA.encode() in file.read_bytes()]
    assert holding == []


def test_a_packed_body_that_holds_the_person_loses_everything(settings: Settings) -> None:
    one, other = kept(settings, gzip.compress(item(ANNA)), gzip.compress(item("bert@example.com")))
    assert inbox_privacy.forget(settings, [ANNA], NOW) == {"inbox": 1}
    assert body_of(settings, one) == b""
    assert body_of(settings, other) != b""


OLD = {
    "as it is": (item(ANNA), item("")),
    "two of them": (b'["a@x.com","b@y.org"]', b'["",""]'),
    "escaped": (b'{"email":"anna\\u002bshop\\u0040example.com"}', b'{"email":""}'),
    "with umlauts": ('{"email":"jörg@müller.de"}'.encode(), b'{"email":""}'),
    "in a form": (b"payload=%7B%22email%22%3A%22anna%40example.com%22%7D", b"payload=%7B%22email%22%3A%22%22%7D"),
    "with a name": (b'"Anna <anna@example.com>"', b'"Anna <>"'),
    "all of it escaped": (b'"\\u0061\\u006e\\u0040\\u0078\\u002e\\u0064"', b'""'),
    "in a form, with a plus": (b"a=1&email=anna%2Bshop%40x.de&b=2", b"a=1&email=&b=2"),
    "in markup": (b"<a>anna&#64;x.de</a>", b"<a></a>"),
    "an @ alone": (b'"@ x", "a@", "@b"', b'"@ x", "a@", "@b"'),
    "none": (b'{"sku": "A-1", "price": "12 @ 3"}', b'{"sku": "A-1", "price": "12 @ 3"}'),
    "not text": (b"\xff\xfe\x00", b"\xff\xfe\x00"),
}  # fmt: skip


@pytest.mark.parametrize("case", OLD)
def test_whatever_looks_like_an_address_is_erased_when_it_is_old(case: str) -> None:
    body, erased = OLD[case]
    assert inbox_privacy.of_anyone(body) == erased


@pytest.mark.parametrize("unit", [b"a", b"@", b"a@", b"\\u0040", b"%40", b"%", b"&#64;", b"anna@x.de "])
def test_looking_for_addresses_takes_no_longer_than_a_body_is_long(unit: bytes) -> None:
    body = unit * (1_000_000 // len(unit))
    began = time.process_time()
    inbox_privacy.of_anyone(body)
    assert time.process_time() - began < 2


def test_only_addresses_in_old_deliveries_are_erased_and_each_is_looked_at_once(settings: Settings) -> None:
    old, new = kept(settings, item(ANNA), days_ago=401)[0], kept(settings, item(ANNA))[0]
    assert inbox_privacy.erase_old(settings, 400, NOW) == 1
    assert (body_of(settings, old), body_of(settings, new)) == (item(""), item(ANNA))
    assert inbox_privacy.erase_old(settings, 400, NOW) == 0
    assert inbox_privacy.erase_old(settings, 400, NOW + timedelta(days=401)) == 1
    assert body_of(settings, new) == item("")


def test_an_inbox_that_was_never_used_has_nothing_to_erase(settings: Settings, tmp_path: Path) -> None:
    assert inbox_privacy.erase_old(settings, 400, NOW) == 0
    assert inbox_privacy.forget(settings, [ANNA], NOW) == {}
    assert not (tmp_path / "inbox.sqlite").exists()


def test_a_person_is_erased_from_an_inbox_in_postgresql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: Postgres
) -> None:
    monkeypatch.setenv("HR_CENTRA_INBOX", address_of(postgres))
    settings = Settings.from_environment()
    (one,) = kept(settings, item("anna.of.postgres@example.com"))
    assert inbox_privacy.forget(settings, ["anna.of.postgres@example.com"], NOW) == {"inbox": 1}
    assert body_of(settings, one) == item("")


@pytest.mark.slow
def test_the_command_erases_a_person_who_is_in_the_inbox_alone_and_does_not_name_it_as_a_file_to_delete(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    migrate.prepare(Warehouse(settings.database))
    (one,) = kept(settings, item(ANNA))
    monkeypatch.setattr("sys.argv", ["hr-centra", "forget", ANNA, "--by", "Data protection", "--yes"])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert ended.value.code == 0, printed
    assert "1 in inbox" in printed.out
    assert "delete them yourself" not in printed.out
    assert json.loads(body_of(settings, one))["items"][0]["email"] == ""
