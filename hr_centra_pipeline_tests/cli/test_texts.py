"""What data, policy and settings say is text on the terminal: no markup, no escape sequence."""

from __future__ import annotations

import io
import logging
import re
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Self

import pytest
from pydantic import SecretStr
from rich.text import Text

import hr_centra_pipeline.cli
from hr_centra_pipeline.cli import doctor_command, explain, plan_command, table
from hr_centra_pipeline.cli.progress_bar import progress
from hr_centra_pipeline.cli.table import DataConsole, DataTable, echo
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.oversight.delivery import Mail
from hr_centra_pipeline.oversight.findings import Finding
from hr_centra_pipeline.push.preview import Preview
from hr_centra_pipeline.reconciliation.story import Line, OpenException, Story, Wait
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY

EVIL = "[/x] [modes] [red]SKU[/red] :smile: \x1b[2J\x1b]0;owned\x07 \x9b31m \r\u202e"
SHOWN = r"[/x] [modes] [red]SKU[/red] :smile: \x1b[2J\x1b]0;owned\x07 \x9b31m \r\u202e"


def is_shown(text: str) -> bool:
    """All words are there, and what a terminal would obey is written out or left out; lines may be broken anywhere."""
    flat, wanted = (re.sub(r"[\s│┃]|\\x07|\\r", "", one) for one in (text, SHOWN))
    return wanted in flat and not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)


def test_a_table_a_line_and_a_styled_text_show_what_they_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    in_a_cell, above, on_top = DataTable("what"), DataTable("what", title=EVIL), DataTable(EVIL)
    in_a_cell.add_row(EVIL)
    for filled in (above, on_top):
        filled.add_row("x" * 110)
    for given in (EVIL, Text(EVIL, "bold"), in_a_cell, above, on_top):
        file = io.StringIO()
        DataConsole(width=118, file=file).print(given)
        assert is_shown(file.getvalue())
    echo(EVIL)
    assert is_shown(capsys.readouterr().out)


def test_a_story_with_brackets_and_escapes_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    at = datetime(2026, 9, 1, tzinfo=UTC)
    open_one = OpenException(
        "EX1",
        "refund_mismatch_tax",
        "open",
        "finance",
        "warning",
        None,
        None,
        at,
        at,
        EVIL,
        "Set [modes] in the policy.",
    )
    wait = Wait(None, "goods", "the goods", EVIL, None, at, None, "in_time", "carrier")
    lines = [Line(at=at, who="centra", unit=None, what=EVIL)]
    story = Story("R-[/x]", EVIL, ["1001"], None, at, None, "finance", [], [], [], [], [wait], lines, [open_one])
    explain._print(DataConsole(width=118), story)
    out = capsys.readouterr().out
    assert is_shown(out)
    assert "Set [modes] in the policy." in out
    assert "R-[/x]" in out


def test_findings_and_a_plan_keep_the_brackets_of_our_own_advice(capsys: pytest.CaptureFixture[str]) -> None:
    doctor_command._print([Finding("policy", "warning", EVIL, 'Write [modes] credit_note = "live".')])
    out = capsys.readouterr().out
    assert is_shown(out)
    assert "Write [modes] credit_note" in out
    plan_command._print(Preview([], []), load_policy(EXAMPLE_POLICY).policy, plan_command.Standing(), every=False)
    assert "Would be sent: nothing" in capsys.readouterr().out


def test_a_warning_and_a_progress_line_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Sync [/x] …"):
        logging.getLogger("hr_centra_pipeline.test").info("page [/x] of %s", "[modes]")
        logging.getLogger("hr_centra_pipeline.test").warning("%s", EVIL)
    assert is_shown(capsys.readouterr().err)


def test_no_command_prints_except_through_these_two_functions() -> None:
    folder = Path(hr_centra_pipeline.cli.__file__).parent
    for file in folder.glob("*.py"):
        if file != Path(table.__file__):
            assert not re.search(r"typer\.echo|(?<![\w.])print\(|(?<![\w.])Console\(", file.read_text("utf-8")), file


def test_an_alert_with_line_ends_and_half_a_character_leaves_as_a_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[EmailMessage] = []

    class Server:
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def send_message(self, message: EmailMessage) -> None:
            message.as_bytes()
            sent.append(message)

    mail = Mail(SecretStr("smtp://mail.example"), "a@shop.example", ["b@shop.example"])
    monkeypatch.setattr(mail, "_connected", Server)
    mail.send("SKU\r\nBcc: x@evil.example", "half a character: \ud800")
    assert sent[0]["Subject"] == "[hr-centra] SKU Bcc: x@evil.example"
    assert sent[0]["Bcc"] is None


def test_piped_progress_is_a_plain_line_for_each_step_and_nothing_in_between(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = logging.getLogger("hr_centra_pipeline.test")
    with progress("Sync …") as line:
        log.info("sync, step 1 of 2: Centra orders", extra={"is_step": True})
        log.info("page 17 of orders")
        line.update("Second sync …")
        log.info("sync, step 1 of 2: Centra orders", extra={"is_step": True})
    out, err = capsys.readouterr()
    assert out == ""
    assert [re.sub(r"\(\d+ s\)", "(n s)", one) for one in err.splitlines()] == [
        "Sync …", "sync, step 1 of 2: Centra orders (n s)", "Second sync …", "sync, step 1 of 2: Centra orders (n s)",
    ]  # fmt: skip
