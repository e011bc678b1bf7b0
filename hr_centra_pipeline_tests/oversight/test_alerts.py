from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.oversight import delivery
from hr_centra_pipeline.oversight.alerts import Alert, AlertReport, Line, fingerprint, over, send_alerts
from hr_centra_pipeline_tests.receivers import Hook, Mailbox, mail_server, webhook

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def hook() -> Iterator[Hook]:
    with webhook() as opened:
        yield opened


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server() as opened:
        yield opened


@pytest.fixture
def policy() -> Policy:
    return Policy.model_validate(
        {
            "cutover": NOW, "dispositions": {"sellable": {"warehouse_id": 1}},
            "pays_through": {"refund": "centra", "gift-card": "gift_card"},
            "alerts": {"email": {"finance": ["cfo@shop.example", "ap@shop.example"]}},
        }
    )  # fmt: skip


def settings(tmp_path: Path, **more: str) -> Settings:
    return Settings.from_environment({"HR_CENTRA_HOME": str(tmp_path), **more})


def alert(*events: str, team: str = "data", trouble: str = "centra is down") -> Alert:
    return Alert(
        team, "Trouble", tuple(Line(trouble, event, f"{trouble} in {event}") for event in events), "see the runs"
    )


def test_an_alert_goes_to_the_webhook_of_its_team_else_to_the_common_one(
    tmp_path: Path, hook: Hook, policy: Policy
) -> None:
    given = settings(
        tmp_path, HR_CENTRA_ALERT_WEBHOOK=f"{hook.url}/all", HR_CENTRA_ALERT_WEBHOOK_WAREHOUSE=f"{hook.url}/warehouse"
    )
    assert send_alerts([alert("1", team="warehouse"), alert("2", trouble="other")], given, policy, NOW) == AlertReport(
        sent=2
    )
    assert hook.got == [
        ("/warehouse", "*Trouble*\ncentra is down in 1\n\nsee the runs"),
        ("/all", "*Trouble*\nother in 2\n\nsee the runs"),
    ]


def test_what_slack_would_take_for_markup_is_escaped(tmp_path: Path, hook: Hook, policy: Policy) -> None:
    given = settings(tmp_path, HR_CENTRA_ALERT_WEBHOOK=hook.url)
    send_alerts([Alert("data", "a < b & <!channel>", (Line("x", "1", "<script>"),))], given, policy, NOW)
    assert hook.texts() == ["*a &lt; b &amp; &lt;!channel&gt;*\n&lt;script&gt;"]


def test_a_team_with_addresses_gets_mail_too(tmp_path: Path, hook: Hook, box: Mailbox, policy: Policy) -> None:
    given = settings(tmp_path, HR_CENTRA_ALERT_WEBHOOK=hook.url, HR_CENTRA_SMTP_URL=box.url)
    send_alerts([alert("1", team="finance"), alert("2", team="data", trouble="other")], given, policy, NOW)
    (message,) = box.got
    assert (message["Subject"], message["To"]) == ("[hr-centra] Trouble", "cfo@shop.example, ap@shop.example")
    assert "centra is down in 1" in message.get_payload()
    assert len(hook.got) == 2


def test_the_same_trouble_is_reported_again_only_after_a_while_with_how_many_were_held_back(
    tmp_path: Path, hook: Hook, policy: Policy
) -> None:
    given = settings(tmp_path, HR_CENTRA_ALERT_WEBHOOK=hook.url)
    reports = [send_alerts([alert(f"run {hour}")], given, policy, NOW + hour * HOUR) for hour in range(26)]
    assert [report.sent for report in reports] == [1, *[0] * 23, 1, 0]
    assert sum(report.held_back for report in reports) == 24
    assert "(23 more like this since 2026-09-30T12:00 were not reported)" in hook.texts()[1]


def test_the_same_list_is_never_reported_twice_until_it_was_over(tmp_path: Path, hook: Hook, policy: Policy) -> None:
    given = settings(tmp_path, HR_CENTRA_ALERT_WEBHOOK=hook.url)

    def report(day: int, text: str, identity: str) -> int:
        one = Alert("data", "Overdue", (Line("list", f"run {day}", text, identity),))
        return send_alerts([one], given, policy, NOW + timedelta(days=day)).sent

    assert [report(0, "EX1, EX2", "a"), report(2, "EX2, EX1 in other words", "a"), report(9, "EX1, EX2", "a")] == [
        1,
        0,
        0,
    ]
    assert report(10, "EX1, EX2, EX3", "b") == 1
    over(["list"], given, NOW + timedelta(days=11))
    assert report(12, "EX1, EX2, EX3", "b") == 1, "it was over, and is back"


def test_an_event_that_was_reported_is_not_reported_again_when_its_tick_runs_again(
    tmp_path: Path, hook: Hook, policy: Policy
) -> None:
    given = settings(tmp_path, HR_CENTRA_ALERT_WEBHOOK=hook.url)
    for _ in range(3):
        send_alerts([alert("1")], given, policy, NOW)
    send_alerts([alert("2")], given, policy, NOW + 24 * HOUR)
    assert len(hook.got) == 2
    assert "more like this" not in hook.texts()[1]


def test_only_the_new_lines_of_an_alert_are_reported(tmp_path: Path, hook: Hook, policy: Policy) -> None:
    given = settings(tmp_path, HR_CENTRA_ALERT_WEBHOOK=hook.url)
    send_alerts([alert("run 1", trouble="orders")], given, policy, NOW)
    both = Alert("data", "Trouble", (Line("orders", "run 2", "orders again"), Line("returns", "run 2", "returns now")))
    assert send_alerts([both], given, policy, NOW + HOUR) == AlertReport(sent=1, held_back=1)
    assert hook.texts()[1] == "*Trouble*\nreturns now"


def test_what_is_over_is_reported_at_once_when_it_comes_back_unless_it_flaps(
    tmp_path: Path, hook: Hook, policy: Policy
) -> None:
    given = settings(tmp_path, HR_CENTRA_ALERT_WEBHOOK=hook.url)
    send_alerts([alert("1")], given, policy, NOW)
    over(["centra is down"], given, NOW + HOUR)
    assert send_alerts([alert("2")], given, policy, NOW + HOUR).sent == 0
    over(["centra is down"], given, NOW + 3 * HOUR)
    assert send_alerts([alert("3")], given, policy, NOW + 3 * HOUR).sent == 1


def test_a_delivery_that_fails_is_raised_and_what_arrived_is_not_sent_again(
    tmp_path: Path, hook: Hook, box: Mailbox, policy: Policy
) -> None:
    given = settings(tmp_path, HR_CENTRA_ALERT_WEBHOOK=hook.url, HR_CENTRA_SMTP_URL=box.url)
    box.refuses = True
    for _ in range(2):
        with pytest.raises(RunFailed, match=r"not delivered by mail to cfo@shop\.example"):
            send_alerts([alert("1", team="finance")], given, policy, NOW)
    assert len(hook.got) == 1
    box.refuses = False
    send_alerts([alert("1", team="finance")], given, policy, NOW)
    assert (len(hook.got), len(box.got)) == (1, 1)


@pytest.mark.parametrize("status", [404, 410, 500, 302])
def test_a_webhook_that_refuses_is_named_without_its_secret(
    tmp_path: Path, hook: Hook, policy: Policy, status: int
) -> None:
    hook.status = status
    given = settings(tmp_path, HR_CENTRA_ALERT_WEBHOOK=f"{hook.url}/services/T000/SECRET")
    with pytest.raises(RunFailed, match=rf"webhook 127\.0\.0\.1: it answered {status}") as caught:
        send_alerts([alert("1")], given, policy, NOW)
    assert "SECRET" not in str(caught.value)
    hook.status = 200
    assert send_alerts([alert("1")], given, policy, NOW).sent == 1


def test_a_webhook_that_is_not_there_is_a_failure_too(tmp_path: Path, policy: Policy) -> None:
    given = settings(tmp_path, HR_CENTRA_ALERT_WEBHOOK="http://127.0.0.1:9/SECRET")
    with pytest.raises(RunFailed, match="ConnectionError") as caught:
        send_alerts([alert("1")], given, policy, NOW)
    assert "SECRET" not in str(caught.value)


def test_a_wrong_password_of_the_mail_server_is_a_failure_without_the_password(
    tmp_path: Path, box: Mailbox, policy: Policy
) -> None:
    given = settings(tmp_path, HR_CENTRA_SMTP_URL=box.url.replace("robot:p%40ss", "robot:geheim"))
    with pytest.raises(RunFailed, match="SMTPAuthenticationError") as caught:
        send_alerts([alert("1", team="finance")], given, policy, NOW)
    assert "geheim" not in str(caught.value)


def test_a_mail_address_that_is_none_is_a_mistake_of_the_configuration(tmp_path: Path, policy: Policy) -> None:
    given = settings(tmp_path, HR_CENTRA_SMTP_URL="mail.shop.example:25")
    with pytest.raises(ConfigurationError, match=r"HR_CENTRA_SMTP_URL: write smtp://host"):
        delivery.channels(given, policy, "finance")


def test_with_no_channel_nobody_is_alerted_and_it_says_so(tmp_path: Path, policy: Policy) -> None:
    assert send_alerts([alert("1")], settings(tmp_path), policy, NOW) == AlertReport(nobody=1)


def test_a_damaged_memory_reports_twice_rather_than_not_at_all(tmp_path: Path, hook: Hook, policy: Policy) -> None:
    given = settings(tmp_path, HR_CENTRA_ALERT_WEBHOOK=hook.url)
    send_alerts([alert("1")], given, policy, NOW)
    (tmp_path / "alerts.json").write_text('{"half', encoding="utf-8")
    assert send_alerts([alert("1")], given, policy, NOW).sent == 1


def test_the_same_trouble_has_the_same_fingerprint_whatever_its_ids_and_figures() -> None:
    first = "Centra PullOrders: it answered 502 (request 4c9a7a2e-7f0b-4b0a-9d0e-0f6f6b1d2a11)"
    second = "Centra PullOrders: it answered 503 (request 11112222-7f0b-4b0a-9d0e-0f6f6b1d2a11)"
    assert fingerprint("run", first) == fingerprint("run", second) != fingerprint("run", "Centra PullReturns: …")


def test_the_heartbeat_is_pinged_and_a_dead_one_is_reported(tmp_path: Path, hook: Hook) -> None:
    delivery.beat(settings(tmp_path))
    delivery.beat(settings(tmp_path, HR_CENTRA_HEARTBEAT_URL=f"{hook.url}/beat"))
    assert hook.beats == 1
    hook.status = 500
    with pytest.raises(RunFailed, match="HR_CENTRA_HEARTBEAT_URL"):
        delivery.beat(settings(tmp_path, HR_CENTRA_HEARTBEAT_URL=f"{hook.url}/beat"))
