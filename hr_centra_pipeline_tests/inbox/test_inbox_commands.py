from __future__ import annotations

import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hr_centra_pipeline.cli.main import main
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.inbox.inbox_store import Inbox, Received
from hr_centra_pipeline.oversight import inbox_findings
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.inbox.receiving import SECRET, centra_signed, signed

Run = Callable[..., str]
NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
BODY = b'{"event": "return_label_update"}'


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    monkeypatch.setenv("HR_CENTRA_HOME", str(tmp_path))
    monkeypatch.setenv("HR_CENTRA_NOW", NOW.isoformat())
    monkeypatch.setenv("HAPPY_RETURNS_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("COLUMNS", "140")
    return Inbox.open(Settings.from_environment().inbox)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*words: str, code: int = 0) -> str:
        monkeypatch.setattr("sys.argv", ["hr-centra", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert ended.value.code == code, printed
        return printed.out + printed.err

    return command


def received(
    body: bytes = BODY, *, hours_ago: float = 1, vendor: str = "happy_returns", verdict: str = "verified"
) -> Received:
    at = NOW - timedelta(hours=hours_ago)
    headers = signed(body) if vendor == "happy_returns" else centra_signed(body, at.timestamp())
    return Received(vendor, "main", at, {name.lower(): value for name, value in headers.items()}, body, verdict)


def test_deliveries_are_listed_newest_first_with_their_state(inbox: Inbox, run: Run) -> None:
    assert run("inbox", "list") == f"No deliveries in {inbox.address}.\n"
    first, second = inbox.keep([received(hours_ago=30), received(vendor="centra")])
    inbox.mark_landed([first])
    lines = [line.split() for line in run("inbox", "list").splitlines() if "main" in line]
    assert [(line[0], line[1], line[-1]) for line in lines] == [
        (second, "2026-09-30", "waiting"),
        (first, "2026-09-29", "landed"),
    ]
    assert first not in run("inbox", "list", "--from", "2026-09-30")
    assert second not in run("inbox", "list", "--to", "2026-09-29")
    assert "more than 1" in run("inbox", "list", "--most", "1")
    assert "one of waiting" in run("inbox", "list", "--state", "lost", code=2)
    assert "one of happy_returns" in run("inbox", "list", "--vendor", "narvar", code=2)


def test_a_delivery_is_shown_with_what_a_terminal_would_obey_made_visible(
    inbox: Inbox,
    tmp_path: Path,
    run: Run,
) -> None:
    body = b"\x1b]0;title\x07\xff{\x00" + b"x" * 50_000
    (one,) = inbox.keep([Received("happy_returns", "main", NOW, {"x-note": "a\x1b[2J\nb"}, body)])
    printed = run("inbox", "show", one)
    assert "\x1b" not in printed
    assert "\x00" not in printed
    assert "x-note: a\\x1b[2J\\nb" in printed
    assert "\\x1b]0;title\\x07\\xff{\\x00xxx" in printed
    assert "bytes more" in printed
    assert len(printed) < 25_000
    run("inbox", "show", one, "--to", str(tmp_path / "body"))
    assert (tmp_path / "body").read_bytes() == body
    assert stat.S_IMODE((tmp_path / "body").stat().st_mode) == 0o600
    assert "cannot be written" in run("inbox", "show", one, "--to", str(tmp_path / "body"), code=2)
    assert "no delivery has this id" in run("inbox", "show", "0" * 32, code=2)


def test_deliveries_land_again_by_id_or_by_period(inbox: Inbox, run: Run) -> None:
    ids = inbox.keep([received(hours_ago=50), received(hours_ago=26), received()])
    inbox.mark_landed(ids)
    run("inbox", "replay", ids[2])
    assert inbox.waiting().count == 1
    assert "2 deliveries" in run("inbox", "replay", "--from", "2026-09-28", "--to", "2026-09-29")
    assert inbox.waiting().count == 3
    assert "no delivery that verified" in run("inbox", "replay", "0" * 32, code=2)
    assert "Name deliveries" in run("inbox", "replay", code=2)


def test_what_did_not_verify_is_verified_again_once_the_secret_is_right(
    inbox: Inbox,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noise = Received("happy_returns", "main", NOW, {"x-hr-signature": "00" * 32}, b"noise", "wrong_signature")
    inbox.keep_apart([received(verdict="wrong_signature"), noise, received(vendor="centra", verdict="stale")])
    monkeypatch.setenv("HAPPY_RETURNS_WEBHOOK_SECRET", "not yet")
    printed = run("inbox", "replay", "--unverified")
    assert "0 of 3 verify now" in printed
    assert "3 stay apart: 1 of centra (no secret is set), 2 of happy returns (wrong signature)." in printed
    assert "HMAC-SHA256 of the body, in hex, in the header X-Hr-Signature" in printed
    assert f"[signature] of a profile in {Settings.from_environment().home}/event_profiles/" in printed
    assert "3 did not verify, and are kept apart: hr-centra inbox list --state apart" in run("inbox", "list")
    assert "kept apart" not in run("inbox", "list", "--to", "2026-09-29")
    monkeypatch.setenv("HAPPY_RETURNS_WEBHOOK_SECRET", SECRET)
    assert "1 of 3 verify now" in run("inbox", "replay", "--unverified")
    (one,) = inbox.take("happy_returns", most=9, most_bytes=1_000)
    assert (one.body, one.verdict) == (BODY, "verified_later")
    monkeypatch.setenv("CENTRA_WEBHOOK_SECRET", "centra-test-secret")
    assert "1 of 1 verify now" in run(
        "inbox", "replay", "--unverified", "--vendor", "centra"
    )  # its age does not matter
    assert [one.verdict for one in inbox.deliveries(state="apart")] == ["wrong_signature"]
    (centra, happy_returns) = [line.split() for line in run("inbox", "counts").splitlines() if "2026" in line]
    assert centra[1:] == ["centra", "0", "1", "stale", "1", "–"]
    assert happy_returns[1:] == ["happy_returns", "0", "2", "wrong", "signature", "1", "–"]


def test_counts_show_each_day_of_each_vendor(inbox: Inbox, run: Run) -> None:
    assert run("inbox", "counts") == f"No deliveries in {inbox.address}.\n"
    inbox.keep_all([received()], [received(verdict="no_signature")], {("happy_returns", "per_second"): 3})
    (line,) = [line for line in run("inbox", "counts").splitlines() if "2026" in line]
    assert line.split()[0] == "2026-09-30"
    assert "1 no signature" in line
    assert "3 per second" in line


def test_nothing_is_received_without_a_secret(inbox: Inbox, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HAPPY_RETURNS_WEBHOOK_SECRET")
    assert "nothing is accepted unsigned" in run("inbox", "serve", code=2)
    monkeypatch.setenv("HAPPY_RETURNS_WEBHOOK_SECRET", SECRET)
    assert "Choose another with --port" in run("inbox", "serve", "--host", "192.0.2.1", code=1)
    assert "letters, digits" in run("inbox", "serve", "--shop", "a/b", code=2)


def test_a_backup_has_the_deliveries_too(inbox: Inbox, run: Run, tmp_path: Path) -> None:
    migrate.prepare(Warehouse(tmp_path / "warehouse.duckdb"))
    (one,) = inbox.keep([received()])
    printed = run("backup")
    (copy,) = (tmp_path / "backups").glob("inbox.*.sqlite")
    assert str(copy) in printed
    found = Inbox.open(str(copy)).find(one)
    assert found is not None
    assert found.body == BODY
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "backups").iterdir()} == {0o600}


def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    return [(one.level, one.told) for one in inbox_findings.findings(Settings.from_environment(), NOW)]


def test_doctor_says_whether_deliveries_come_verify_and_land(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ("note", f"{inbox.address} does not exist yet") in told(monkeypatch)
    inbox.keep([received(hours_ago=5)])
    inbox.keep_all([], [received(verdict="no_signature")], {("happy_returns", "body_bytes"): 2})
    found = told(monkeypatch)
    assert ("ok", "deliveries of Happy Returns are verified by their secrets") in found
    assert ("warning", "1 delivery waits to land, the oldest since 2026-09-30 07:00 UTC") in found
    assert ("warning", "1 delivery of Happy Returns did not verify on 2026-09-30: no signature") in found
    assert ("note", "2 requests of happy_returns were refused on 2026-09-30: body bytes") in found
    monkeypatch.delenv("HAPPY_RETURNS_WEBHOOK_SECRET")
    assert told(monkeypatch)[0][0] == "warning"


def test_doctor_says_nothing_of_an_inbox_where_no_webhook_was_ever_set_up(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HAPPY_RETURNS_WEBHOOK_SECRET")
    assert told(monkeypatch) == []


def test_doctor_warns_of_deliveries_that_wait_for_longer_than_syncs_by_events_take(inbox: Inbox) -> None:
    def levels(debounce: int) -> list[str]:
        found = inbox_findings.findings(Settings.from_environment(), NOW, debounce_seconds=debounce)
        return [one.level for one in found if "to land" in one.told]

    inbox.keep([received(hours_ago=0.1)])  # six minutes
    assert levels(60) == ["warning"]
    assert levels(120) == ["ok"]


def test_doctor_names_what_a_wrong_signature_is_compared_with_until_it_verifies(inbox: Inbox, tmp_path: Path) -> None:
    inbox.keep_apart([received(verdict="wrong_signature")])
    inbox.keep([received()])

    def fixes() -> list[str]:
        found = inbox_findings.findings(Settings.from_environment(), NOW)
        return [one.fix for one in found if "did not verify" in one.told]

    (fix,) = fixes()
    assert "HMAC-SHA256 of the body, in hex, in the header X-Hr-Signature" in fix
    assert f"[signature] of a profile in {tmp_path}/event_profiles/" in fix
    (apart,) = inbox.deliveries(state="apart")
    inbox.accept(apart.delivery_id)
    assert fixes() == []


def test_doctor_finds_deliveries_that_wait_in_the_store_of_before(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (one,) = inbox.keep([received()])
    monkeypatch.setenv("HR_CENTRA_INBOX", str(tmp_path / "other.sqlite"))
    left = f"1 delivery waits in {tmp_path}/inbox.sqlite, which is not the inbox in the settings"
    assert ("warning", left) in told(monkeypatch)
    inbox.mark_landed([one])
    assert left not in [text for _, text in told(monkeypatch)]
