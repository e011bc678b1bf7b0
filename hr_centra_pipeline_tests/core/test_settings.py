from __future__ import annotations

from pathlib import Path

import pytest

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.settings import Settings


def test_everything_has_a_place_below_home(tmp_path: Path) -> None:
    settings = Settings.from_environment({"HR_CENTRA_HOME": str(tmp_path)})
    assert settings.database == tmp_path / "warehouse.duckdb"
    assert settings.policy_path == tmp_path / "policy.toml"
    assert settings.mode == "dry_run"


def test_secrets_are_not_shown() -> None:
    settings = Settings.from_environment({"CENTRA_TOKEN": "top-secret-token", "CENTRA_ORDER_API_KEY": "top-secret-key"})
    assert "top-secret" not in repr(settings)
    assert "top-secret" not in settings.model_dump_json()
    assert settings.centra_token.get_secret_value() == "top-secret-token"


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="dry_run"):
        Settings.from_environment({"HR_CENTRA_MODE": "wet_run"})


def test_all_missing_variables_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError, match="CENTRA_GRAPHQL_URL, CENTRA_TOKEN: not set"):
        Settings.from_environment({}).required("centra_graphql_url", "centra_token")


def test_the_inbox_is_a_file_of_the_home_unless_an_address_says_otherwise(tmp_path: Path) -> None:
    home = {"HR_CENTRA_HOME": str(tmp_path)}
    assert Settings.from_environment(home).inbox == str(tmp_path / "inbox.sqlite")
    address = "postgresql://inbox:s3cret@db/inbox"
    settings = Settings.from_environment({**home, "HR_CENTRA_INBOX": address})
    assert settings.inbox == address
    assert "s3cret" not in repr(settings)


def test_two_webhook_secrets_are_accepted_while_one_replaces_the_other() -> None:
    settings = Settings.from_environment(
        {"HAPPY_RETURNS_WEBHOOK_SECRET": "new-secret", "HAPPY_RETURNS_WEBHOOK_SECRET_OLD": "old-secret"}
    )
    assert [secret.get_secret_value() for secret in settings.happy_returns_secrets] == ["new-secret", "old-secret"]
    assert settings.centra_secrets == ()
    assert "secret'" not in repr(settings)
    assert "-secret" not in settings.model_dump_json()


def test_exports_may_be_unset_when_webhooks_bring_the_returns() -> None:
    with pytest.raises(ConfigurationError, match="HAPPY_RETURNS_EXPORTS"):
        Settings.from_environment({}).required("exports")
    with_events = Settings.from_environment({"HAPPY_RETURNS_WEBHOOK_SECRET": "secret"})
    assert with_events.has_events
    with_events.required("exports")


def test_the_partner_api_has_an_address_without_being_asked() -> None:
    settings = Settings.from_environment({"HAPPY_RETURNS_API_URL": "", "HAPPY_RETURNS_API_KEY": " key \n"})
    assert settings.partner_api_url == "https://partner.happyreturns.com"
    assert settings.partner_api_key.get_secret_value() == "key"
