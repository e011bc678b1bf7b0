"""The last table of the demo: a scan reaches the inbox over HTTP, and the table says how long each step took."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from hr_centra_pipeline.cli import demo, demo_events
from hr_centra_pipeline.cli.demo_events import Step
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.inbox.inbox_store import Inbox
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.shops import shop_scenario


def test_a_scan_reaches_the_inbox_and_nothing_is_left_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with shop_scenario(tmp_path, monkeypatch, returns=3) as shop:
        migrate.prepare(shop.warehouse)
        synced: list[int] = []

        def sync() -> None:
            settings = Settings.from_environment()
            assert settings.has_events
            synced.append(Inbox.open(settings.inbox).waiting("happy_returns").count)

        monkeypatch.setattr(demo_events, "_sync", sync)
        note = shop.sandbox.sandbox.announce(shop.sandbox.sandbox.port)
        steps = demo_events.one_return(shop.settings, note)
        assert not shop.sandbox.sandbox.is_subscribed("happy_returns")
    assert synced == [1]
    assert [step.what for step in steps] == [
        "scanned at a Return Bar", "Happy Returns gathers the events of a return", "delivery received", "sync by events",
        "not refunded yet",
    ]  # fmt: skip
    assert "HAPPY_RETURNS_WEBHOOK_SECRET" not in os.environ
    assert not [one for one in psutil.Process().children(recursive=True) if "inbox" in " ".join(one.cmdline())]


@pytest.mark.parametrize("own", ["the-user's-own", None])
def test_a_webhook_secret_of_the_user_s_own_is_in_use_again_afterwards(
    monkeypatch: pytest.MonkeyPatch, own: str | None
) -> None:
    monkeypatch.delenv("HAPPY_RETURNS_WEBHOOK_SECRET", raising=False)
    if own:
        monkeypatch.setenv("HAPPY_RETURNS_WEBHOOK_SECRET", own)
    with demo_events._secret_of({"happy_returns_webhook_secret": "sandbox"}):
        assert os.environ["HAPPY_RETURNS_WEBHOOK_SECRET"] == "sandbox"
    assert os.environ.get("HAPPY_RETURNS_WEBHOOK_SECRET") == own


def test_the_table_tells_the_shop_s_seconds_from_ours(capsys: pytest.CaptureFixture[str]) -> None:
    demo_events.show([Step("gathered", "one delivery", 60, is_shops=True), Step("received", "kept", 0.123)])
    out = capsys.readouterr().out
    assert "60 *" in out
    assert "0.12" in out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 118


def test_the_policy_of_the_demo_waits_for_no_refund_row(tmp_path: Path) -> None:
    from hr_centra_pipeline.core.policy import load_policy

    (tmp_path / "policy.toml").write_text(demo._policy(), encoding="utf-8")
    assert load_policy(tmp_path / "policy.toml").policy.components.amount_wait_hours == 0


def test_a_shop_that_no_delivery_was_landed_for_has_not_shown_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.from_environment({"HR_CENTRA_HOME": str(tmp_path)})
    migrate.prepare(Warehouse(settings.database))
    assert not demo_events.was_shown(settings)
