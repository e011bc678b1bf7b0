from __future__ import annotations

import logging
import traceback
from pathlib import Path

import pytest
from pydantic import SecretStr

from hr_centra_pipeline.core import addresses
from hr_centra_pipeline.core.errors import ConfigurationError, Unreachable
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.oversight.delivery import Mail, Webhook
from hr_centra_pipeline.oversight.doctor import settings_table
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.intake.places import Place

_PASSWORDS = [
    "hunter2/x",
    "hun/ter2",
    "hunter2?",
    "hun#ter2",
    "hunter2@x",
    "hunt:er2",
    "/hunter2",
    "hun%2Fter2",
    "[hunter2",
]


def _leaks(text: str, password: str) -> bool:
    return any(part in text for part in ("hunter2", "ter2", "hun", "er2") if part in password)


@pytest.mark.parametrize("password", _PASSWORDS)
@pytest.mark.parametrize(
    "address", ["sftp://me:{}@127.0.0.1:9/in", "ftp://me:{}@127.0.0.1/in", "s3://key:{}@bucket/in"]
)
def test_a_password_with_any_character_in_it_is_never_shown(
    address: str, password: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    given = address.format(password)
    shown = [addresses.shown(given), *(one.value for one in settings_table({"HAPPY_RETURNS_EXPORTS": given}, None, {}))]
    shown.append(repr(Settings.from_environment({"HAPPY_RETURNS_EXPORTS": given, "HR_CENTRA_PAYOUTS": given})))
    try:
        Place(given, "HAPPY_RETURNS_EXPORTS").close()
    except (ConfigurationError, Unreachable) as error:
        shown += [str(error), "".join(traceback.format_exception(error))]
    assert not [text for text in [*shown, caplog.text] if _leaks(text, password)]


def test_a_password_with_a_reserved_character_is_refused_with_the_fix() -> None:
    with pytest.raises(ConfigurationError, match=r"sftp://…: a user name or password .* \(/ as %2F") as caught:
        Place("sftp://me:hun/ter2@host/in", "HAPPY_RETURNS_EXPORTS")
    assert "ter2" not in str(caught.value)


def test_a_password_that_is_percent_encoded_is_decoded_for_the_server() -> None:
    assert addresses.problem("sftp://me:hun%2Fter%402@host:22/in") is None
    assert addresses.without_login("sftp://me:hun%2Fter%402@host:22/in") == (
        "sftp://host:22/in",
        {"username": "me", "password": "hun/ter@2"},
    )
    for plain in (
        "/srv/exports",
        "data/x@y",
        "s3://bucket/a@b",
        "sftp://me@host/a@b",
        "https://[::1]:8/x",
        "file:///a:b",
    ):
        assert addresses.problem(plain) is None


def test_tokens_in_a_query_are_not_shown_either() -> None:
    given = "https://shop.centra.com/graphql?token=hunter2#hunter2"
    assert addresses.shown(given) == "https://shop.centra.com/graphql…"
    assert "hunter2" not in repr(CentraClient(given, "a-token"))
    assert addresses.hide(f"GET {given} failed: hunter2", given) == "GET https://shop.centra.com/graphql… failed: …"
    assert addresses.shown("https://host/x?token=hunter2@y") == "https://…"
    assert addresses.shown("sftp://me@host/a@b") == "sftp://me@host/a@b"
    assert addresses.shown("sftp://me:hunter2@host/in") == "sftp://me:…@host/in"
    assert addresses.shown("https://hunter2@host/x") == "https://…@host/x"


@pytest.mark.parametrize("password", _PASSWORDS[:5])
def test_webhooks_and_mail_servers_with_such_passwords_are_refused_without_showing_them(password: str) -> None:
    for make in (
        lambda: Webhook(SecretStr(f"https://me:{password}@hooks.example/x")),
        lambda: Mail(SecretStr(f"smtps://me:{password}@mail.example:465"), "a@b.example", ["c@d.example"]),
    ):
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert not _leaks("".join(traceback.format_exception(caught.value)), password)


def test_a_folder_that_is_missing_says_so_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="nowhere"):
        Place(str(tmp_path / "nowhere"), "HAPPY_RETURNS_EXPORTS").listed()
