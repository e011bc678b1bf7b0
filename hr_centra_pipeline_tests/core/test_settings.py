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
