"""A wrong policy: exit code 2 and one line per mistake, with file, line, setting and what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from hr_centra_pipeline_tests.bad_inputs.conftest import Command

# name -> (what is replaced in the example policy, by what, words of the message)
MISTAKES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "no cut-over": ("cutover = 2026-08-27T00:00:00Z", "", ("cutover", "is missing; the file must say it")),
    "cut-over without a zone": ("2026-08-27T00:00:00Z", "2026-08-27T00:00:00", ("cutover", "timezone")),
    "cut-over that is a word": ("2026-08-27T00:00:00Z", '"soon"', ("cutover", "found 'soon'")),
    "nobody pays for gift cards": ('gift-card = "gift_card"', "", ("pays_through: say who pays for gift-card", "elsewhere")),
    "an unknown payer": ('refund = "centra"', 'refund = "bank"', ("pays_through.refund", "'centra'", "found 'bank'")),
    "pays_through for exchanges": ('refund = "centra"', 'refund = "centra"\nexchange = "centra"', ("pays_through.exchange",)),
    "a grade without a warehouse": ("warehouse_id = 1            # Main", "", ("dispositions.sellable", 'give either a warehouse_id, or stock = "none"')),
    "a grade with both": ('stock = "none"', 'stock = "none"\nwarehouse_id = 1', ("dispositions.missing", "give either")),
    "a warehouse that is a word": ("warehouse_id = 2 ", 'warehouse_id = "Outlet" ', ("dispositions.b-grade.warehouse_id", "found 'Outlet'")),
    "an unknown stock action": ('stock = "none"', 'stock = "burn"', ("dispositions.missing.stock", "found 'burn'")),
    "a negative hold": ("hold_hours = 0              # damaged", "hold_hours = -1             # damaged", ("dispositions.damaged.hold_hours", "found -1")),
    "a misspelt section": ("[exchange_orders]", "[exchange_order]", ("exchange_order", "is not a setting that is known here (misspelt?)")),
    "a misspelt setting": ("first_number", "frist_number", ("exchange_orders.frist_number", "misspelt?")),
    "too few order numbers": ("last_number = 999999", "last_number = 900005", ("exchange_orders", "reserve at least 10,000 order numbers")),
    "an order number that is a word": ("first_number = 900000", 'first_number = "R900"', ("exchange_orders.first_number", "found 'R900'")),
    "a fee as a binary number": ('EUR = "4.95"', "EUR = 4.95", ("components.fee.amounts.mail.EUR", 'write the amount as text, "4.95"')),
    "a negative fee": ('EUR = "4.95"', 'EUR = "-4.95"', ("components.fee.amounts.mail.EUR", "found '-4.95'")),
    "a fee that is a word": ('EUR = "4.95"', 'EUR = "free"', ("components.fee.amounts.mail.EUR", "found 'free'")),
    "a currency that is none": ('EUR = "4.95"', 'Euro = "4.95"', ("components.fee.amounts.mail.Euro",)),
    "a duplicate key": ("first_number = 900000", "first_number = 900000\nfirst_number = 1", ("not valid TOML", "line")),
    "an open quote": ('refund = "centra"', 'refund = "centra', ("not valid TOML", "line")),
}  # fmt: skip

# Appended to the example policy.
ADDITIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "an unknown trigger": ('[triggers.by_method]\nmail = "someday"', ("triggers.by_method.mail", "found 'someday'")),
    "an unknown exchange trigger": ('[triggers]\nexchange = "never"', ("triggers.exchange", "found 'never'")),
    "a tolerance as a binary number": ("[tolerance.CHF]\nabsolute = 0.05", ("tolerance.CHF.absolute", 'write the amount as text, "0.05"')),
    "a tolerance of no currency": ('[tolerance.euros]\nabsolute = "0.05"', ("tolerance.euros",)),
    "an unknown mode": ('[modes]\ncredit_note = "on"', ("modes.credit_note", "found 'on'")),
    "an unknown effect": ('[modes]\nrefunds = "live"', ("modes.refunds", "misspelt?")),
    "an unknown exception": ("[exceptions.late_parcel]\nowner_team = \"data\"\nwindow_hours = 1", ("exceptions.late_parcel: unknown kind 'late_parcel'; known are",)),
    "an unknown owner": ('[exceptions.stalled_return]\nowner_team = "logistics"\nwindow_hours = 1', ("exceptions.stalled_return.owner_team", "found 'logistics'")),
    "a negative window": ('[exceptions.stalled_return]\nowner_team = "warehouse"\nwindow_hours = -5', ("exceptions.stalled_return.window_hours", "found -5")),
    "an exception without an owner": ("[exceptions.stalled_return]\nwindow_hours = 5", ("exceptions.stalled_return.owner_team", "is missing")),
    "a page that Centra refuses": ("[centra]\npage_size = 500", ("centra.page_size", "found 500")),
    "a text that holds no key": ("[centra]\ndescription_limit = 10", ("centra.description_limit", "found 10")),
    "a pattern that is none": ('[centra]\ncustomer_return_patterns = ["(open"]', ("centra.customer_return_patterns", "(open")),
    "an unknown status target": ('[status]\nstatus_target = "shop"', ("status.status_target", "found 'shop'")),
    "an unknown unit cost": ('[restock]\nunit_cost = "average"', ("restock.unit_cost", "found 'average'")),
    "a cap of nothing": ("[caps]\neffects_per_run = 0", ("caps.effects_per_run", "found 0")),
    "alerts of an unknown team": ('[alerts.email]\nlogistics = ["a@b.example"]', ("alerts.email.logistics",)),
    "alerts that never repeat": ("[alerts]\nrepeat_hours = 0", ("alerts.repeat_hours", "found 0")),
    "a day that is none": ('[coverage]\naccepted_days = ["Christmas"]', ("coverage.accepted_days.0", "found 'Christmas'")),
    "a retention of nothing": ("[retention]\nruns_days = 0", ("retention.runs_days", "found 0")),
    "privacy for ever": ('[privacy]\nkeep_days = "forever"', ("privacy.keep_days", "found 'forever'")),
    "lateness of nothing": ("[lateness]\nunapproved_days = 0", ("lateness.unapproved_days", "found 0")),
}  # fmt: skip

# Whole files.
FILES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "not UTF-8": (b"cutover = 2026-08-27T00:00:00Z # \xe9t\xe9", ("not UTF-8 text (byte 33)",)),
    "binary": (bytes(range(256)), ("not UTF-8 text",)),
    "JSON": (b'{"cutover": "2026-08-27T00:00:00Z"}', ("not valid TOML",)),
}


def changed(home: Path, text: str) -> None:
    (home / "policy.toml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_policy_is_reported_with_its_place(name: str, home: Path, command: Command) -> None:
    old, new, words = MISTAKES[name]
    text = (home / "policy.toml").read_text(encoding="utf-8")
    assert text.count(old) >= 1
    changed(home, text.replace(old, new, 1))
    told = command("plan")
    assert told.code == 2
    told.is_clear(f"{home}/policy.toml", *words)


@pytest.mark.parametrize("name", ADDITIONS)
def test_a_mistake_in_an_optional_setting_is_reported_with_its_place(name: str, home: Path, command: Command) -> None:
    addition, words = ADDITIONS[name]
    text = (home / "policy.toml").read_text(encoding="utf-8")
    changed(home, f"{text}\n{addition}\n")
    told = command("plan")
    assert told.code == 2
    told.is_clear(f"{home}/policy.toml", *words)
    if "not valid TOML" not in told.said:  # the line is named, too: that of the addition
        line = int(told.said.split("policy.toml:")[1].split(":")[0])
        assert line > len(text.splitlines())


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_a_policy_is_reported(name: str, home: Path, command: Command) -> None:
    data, words = FILES[name]
    (home / "policy.toml").write_bytes(data)
    told = command("plan")
    assert told.code == 2
    told.is_clear(f"{home}/policy.toml", *words)


def test_a_policy_that_is_not_there_says_where_to_copy_it_from(home: Path, command: Command) -> None:
    (home / "policy.toml").unlink()
    told = command("plan")
    assert told.code == 2
    told.is_clear(f"{home}/policy.toml", "No such file", "Copy data/policy.example.toml there")


def test_a_folder_instead_of_a_policy_is_reported(home: Path, command: Command) -> None:
    (home / "policy.toml").unlink()
    (home / "policy.toml").mkdir()
    told = command("plan")
    assert told.code == 2
    told.is_clear(f"{home}/policy.toml", "is a folder", "Copy data/policy.example.toml there")


def test_several_mistakes_are_reported_at_once_each_in_its_line(home: Path, command: Command) -> None:
    text = (home / "policy.toml").read_text(encoding="utf-8")
    changed(home, text.replace("warehouse_id = 2 ", 'warehouse_id = "x" ').replace('EUR = "4.95"', "EUR = 4.95"))
    told = command("plan")
    assert told.code == 2
    told.is_clear("dispositions.b-grade", "components.fee", lines=2)
