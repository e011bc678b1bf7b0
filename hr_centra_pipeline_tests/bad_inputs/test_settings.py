"""Wrong variables, arguments and profiles: exit code 2, one message, nothing made."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from hr_centra_pipeline.core.errors import ConfigurationError, Unreachable
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.intake.places import Place
from hr_centra_pipeline_tests.bad_inputs.conftest import Command

ENVIRONMENT: dict[str, tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]] = {
    "an unknown mode": ({"HR_CENTRA_MODE": "prod"}, ("plan",), ("HR_CENTRA_MODE='prod'", "dry_run", "live")),
    "a clock that is a word": ({"HR_CENTRA_NOW": "noon"}, ("sync",), ("HR_CENTRA_NOW", "'noon'", "ISO 8601")),
    "a clock without an offset": ({"HR_CENTRA_NOW": "2026-09-30T12:00:00"}, ("sync",), ("HR_CENTRA_NOW", "no UTC offset")),
    "a clock in the future": ({"HR_CENTRA_NOW": "2199-01-01T00:00:00Z"}, ("sync",), ("HR_CENTRA_NOW", "is in the future")),
    "a clock file that is not there": ({"HR_CENTRA_NOW": "@/nowhere/clock"}, ("sync",), ("HR_CENTRA_NOW=@/nowhere/clock", "cannot read the clock file")),
    "no exports": ({"HAPPY_RETURNS_EXPORTS": ""}, ("sync",), ("HAPPY_RETURNS_EXPORTS", "not set")),
    "no address": ({"CENTRA_GRAPHQL_URL": ""}, ("sync",), ("CENTRA_GRAPHQL_URL", "not set")),
    "no credentials": ({"CENTRA_TOKEN": "", "CENTRA_ORDER_API_KEY": ""}, ("sync",), ("CENTRA_TOKEN, CENTRA_ORDER_API_KEY: not set",)),
    "no database yet": ({}, ("plan",), ("there is no database yet", "run `hr-centra sync` first")),
    "nobody to forget": ({}, ("forget", "a@b.example", "--by", "dpo", "--yes"), ("there is no database yet",)),
}  # fmt: skip

ARGUMENTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a month that is none": (("export", "--month", "2026-13"), ("--month 2026-13", "like 2026-09")),
    "a month in words": (("export", "--month", "September"), ("--month September", "like 2026-09")),
    "a day that is none": (("backfill", "--from", "2026-02-30", "--to", "2026-03-01"), ("--from 2026-02-30", "like 2026-09-30")),
    "a day in words": (("backfill", "--from", "2026-02-01", "--to", "today"), ("--to today", "like 2026-09-30")),
    "days in the wrong order": (("backfill", "--from", "2026-03-01", "--to", "2026-02-01"), ("the first day is after the last one",)),
    "days before the first partition": (("backfill", "--from", "2019-01-01", "--to", "2019-02-01"), ("name days from 2026-04-01 to today",)),
    "days that are not yet": (("backfill", "--from", "2026-09-01", "--to", "2026-12-01"), ("to today, 2026-09-30",)),
}  # fmt: skip

USAGE: dict[str, tuple[tuple[str, ...], str]] = {
    "an unknown command": (("synchronise",), "synchronise"),
    "an unknown option": (("plan", "--everything"), "--everything"),
    "an option without its value": (("export", "--month"), "--month"),
    "a missing option": (("backfill", "--from", "2026-01-01"), "--to"),
    "an unknown plan of the sandbox": (("sandbox", "serve", "--plan", "platinum"), "growth"),
}  # fmt: skip

PROFILE = 'name = "ours"\n[columns.returns]\nreturn_id = "Return"\norder_number = "Order"\nrefund_status = "Status"\n'
PROFILES: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "not TOML": ("name = ours", ("ours.toml", "line 1")),
    "not UTF-8": (b'name = "\xe9"', ("ours.toml", "is not UTF-8")),
    "empty": ("", ("ours.toml", "name")),
    "no columns": ('name = "ours"', ("ours.toml", "columns")),
    "an unknown kind": (PROFILE.replace("columns.returns", "columns.parcels"), ("ours.toml", "columns.parcels")),
    "an unknown column": (PROFILE + 'colour = "Colour"\n', ("columns.returns: colour: no such column",)),
    "a column that must be mapped": (PROFILE.replace('refund_status = "Status"\n', ""), ("columns.returns: refund_status: must be mapped",)),
    "one header for two columns": (PROFILE.replace('"Status"', '"Order"'), ("the header 'Order' is mapped to two columns",)),
    "an unknown delimiter": ('delimiter = "~"\n' + PROFILE, ("ours.toml", "delimiter")),
    "an unknown zone": (PROFILE + '[times]\nzone = "Mars/Olympus"\n', ("zone 'Mars/Olympus' is not in the IANA list",)),
    "an unknown decimal sign": (PROFILE + '[money]\ndecimal = ";"\n', ("ours.toml", "money.decimal")),
    "words of a column that is none": (PROFILE + '[words.colour]\nrot = "red"\n', ("words.colour: no such text column",)),
    "a word that we do not know": (PROFILE + '[words.refund_status]\noffen = "open"\n', ("words.refund_status: 'offen' is mapped to 'open'", "started")),
    "an unknown section": (PROFILE + "[sums]\nx = 1\n", ("ours.toml", "sums")),
    "a header that is a number": (PROFILE.replace('"Return"', "7"), ("ours.toml", "columns.returns.return_id")),
}  # fmt: skip


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_a_wrong_variable_is_named_before_anything_is_made(
    name: str, home: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables, arguments, words = ENVIRONMENT[name]
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    told = command(*arguments)
    assert told.code == 2
    told.is_clear(*words)
    assert sorted(file.name for file in home.iterdir()) == ["policy.toml"]


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_wrong_argument_is_named_with_an_example(name: str, home: Path, command: Command) -> None:
    arguments, words = ARGUMENTS[name]
    told = command(*arguments)
    assert told.code == 2
    told.is_clear(*words)
    assert sorted(file.name for file in home.iterdir()) == ["policy.toml"]


def test_a_port_that_is_taken_is_reported(command: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        told = command("dev", "--port", port)
    assert told.code == 2
    told.is_clear(f"--port {port}", "this port is in use by another program")


@pytest.mark.parametrize("name", USAGE)
def test_wrong_usage_is_exit_code_2(name: str, command: Command) -> None:
    arguments, word = USAGE[name]
    told = command(*arguments)
    assert told.code == 2
    told.is_clear(word, lines=12)


@pytest.mark.parametrize("name", PROFILES)
def test_a_wrong_header_profile_is_named_with_its_place(name: str, home: Path, command: Command) -> None:
    given, words = PROFILES[name]
    (home / "profiles").mkdir()
    (home / "profiles" / "ours.toml").write_bytes(given if isinstance(given, bytes) else given.encode())
    told = command("doctor", "--offline", "--json")
    assert told.code == 2
    assert [word for word in words if word not in told.said.replace("\\\\", "\\")] == [], told.said
    assert "Traceback" not in told.said


@pytest.mark.parametrize("token", ["", " ", "abc def", "abc\n", "abc\r\n", "töken", "a\tb", "\x00"], ids=repr)
def test_a_token_that_does_not_fit_a_header_is_reported_without_showing_it(token: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"^CENTRA_TOKEN: empty, or with blanks or line breaks in it\. Copy it again\.$"
    ):
        CentraClient("http://127.0.0.1:9", token)


@pytest.mark.parametrize(
    ("address", "kind", "word"),
    [
        ("gopher://host/exports", ConfigurationError, "gopher"),
        ("s4://bucket/exports", ConfigurationError, "s4"),
        ("/nowhere/exports", Unreachable, "is not a folder"),
        ("sftp://user:geheim@127.0.0.1:9/exports", Unreachable, "127.0.0.1"),
    ],
)
def test_an_address_of_the_exports_that_leads_nowhere_is_reported_without_its_password(
    address: str, kind: type[Exception], word: str
) -> None:
    with pytest.raises(kind) as caught:
        Place(address, "HAPPY_RETURNS_EXPORTS").listed()
    assert "HAPPY_RETURNS_EXPORTS=" in str(caught.value)
    assert word in str(caught.value)
    assert "geheim" not in str(caught.value)
