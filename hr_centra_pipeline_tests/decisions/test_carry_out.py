"""Decisions are carried out in order, each once, by the rules of the commands; a refusal is an outcome."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.decisions import acts, carry_out, decision_files
from hr_centra_pipeline.decisions.carry_out import Carrier
from hr_centra_pipeline.decisions.decision_kinds import parsed
from hr_centra_pipeline.decisions.decision_store import Decision, DecisionStore, Kept, Who
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests.month_end.ledger_fixture import POLICY
from hr_centra_pipeline_tests.staged import template

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
ANNA = Who("anna@shop.example", "Anna Berg", "password")
BO = Who("bo@shop.example", "Bo Lind", "proxy")


class Office:
    """A home with a database and a store; people decide, and the pipeline carries out."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home, database=home / "warehouse.duckdb", policy_path=home / "policy.toml")
        shutil.copyfile(template(), self.settings.database)
        self.warehouse = Warehouse(self.settings.database)
        self.store = DecisionStore(self.settings)
        self.keys = 0

    def decide(self, kind: str, who: Who = ANNA, **arguments: Any) -> Kept:
        self.keys += 1
        return self.store.keep(Decision(f"form-{self.keys}", who, parsed(kind, arguments)))

    def carry_out(self) -> carry_out.CarriedOut:
        return Carrier(self.store, self.warehouse, self.settings, "", NOW, "run-1").all_waiting(months=True)

    def outcome(self, kept: Kept) -> tuple[str, str | None]:
        found = self.store.of(kept.decision_id)
        assert found is not None
        return found.state, found.outcome.code if found.outcome else None

    def open(self, exception_id: str) -> None:
        with self.warehouse.transaction() as connection:
            connection.execute(
                "insert into reconciliation.exception_events by name select ? as exception_id, 'opened' as event,"
                " ?::timestamptz as \"at\", 'hr-centra' as \"by\", 'stalled_return' as kind",
                [exception_id, NOW],
            )

    def planned(self, started_by: str, changed_by: str | None = "carla") -> None:
        self.settings.policy_path.write_text(POLICY)
        with self.warehouse.transaction() as connection:
            write_policy(connection, load_policy(self.settings.policy_path).policy, "live")
            connection.execute(
                "insert into push.pushes (push_id, mode, started_by, policy_changed_by, started_at, real_started_at)"
                " values ('P', 'live', ?, ?, ?, ?)",
                [started_by, changed_by, NOW, NOW],
            )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.warehouse.transaction() as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.store.close()


_NOTES = "select exception_id, \"by\", note, decision from reconciliation.exception_events where event = 'noted'"


def test_decisions_are_carried_out_in_order_and_a_bad_one_stops_none(office: Office) -> None:
    office.open("EX-1")
    first = office.decide("note", exception_id="EX-1", note="asked the carrier")
    bad = office.decide("note", exception_id="EX-404", note="who?")
    last = office.decide("note", BO, exception_id="EX-1", note="it is lost", decision="claim")
    report = office.carry_out()
    assert (report.done, report.refused, report.left) == (2, 1, 0)
    assert [office.outcome(one) for one in (first, bad, last)] == [
        ("done", None),
        ("refused", "not_possible"),
        ("done", None),
    ]
    assert office.rows(_NOTES) == [
        ("EX-1", "Anna Berg", "asked the carrier", None), ("EX-1", "Bo Lind", "it is lost", "claim"),
    ]  # fmt: skip
    assert office.store.waiting() == []
    assert office.carry_out().lines == []


def test_an_exception_is_assigned_and_given_back(office: Office) -> None:
    office.open("EX-1")
    office.decide("assign", exception_id="EX-1", person="bo@shop.example")
    office.decide("assign", exception_id="EX-1", team="finance")
    office.decide("assign", exception_id="EX-1")
    office.carry_out()
    events = "select \"by\", assigned_to from reconciliation.exception_events where event = 'handed_over' order by run_number"
    assert office.rows(events) == [("Anna Berg", "bo@shop.example"), ("Anna Berg", "team:finance"), ("Anna Berg", None)]


@pytest.mark.parametrize(
    ("planned_by", "people", "code"),
    [
        ("carla", "", "nothing_waits"),
        ("ANNA@shop.example ", "", "own_work"),
        ("anna berg", "", "own_work"),
        ("deploy", "", "nothing_waits"),
        ("deploy", '[people."anna@shop.example"]\nname = "Anna Berg"\nmachine_users = ["deploy"]\n', "own_work"),
    ],
)
def test_nobody_approves_what_they_planned_by_whatever_name(
    office: Office, planned_by: str, people: str, code: str
) -> None:
    (office.settings.home / "people.toml").write_text(people)
    office.planned(planned_by)
    kept = office.decide("approve", names=["RT-1"], why="checked")
    office.carry_out()
    assert office.outcome(kept) == ("refused", code)


def test_who_changed_the_policy_last_does_not_approve(office: Office) -> None:
    office.planned("deploy", changed_by="Anna Berg")
    kept = office.decide("approve", names=["RT-1"], why="checked")
    office.carry_out()
    assert office.outcome(kept) == ("refused", "own_work")


_DIES = """
import os, signal, sys
from pathlib import Path
from hr_centra_pipeline.decisions.decision_store import DecisionStore
from hr_centra_pipeline_tests.decisions.test_carry_out import Office, NOW
from hr_centra_pipeline.decisions.carry_out import Carrier
class Dies(DecisionStore):
    def outcome(self, *_, **__):
        os.kill(os.getpid(), signal.SIGKILL)
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests.month_end.ledger_fixture import POLICY
from hr_centra_pipeline.warehouse.database import Warehouse
home = Path(sys.argv[1])
settings = Settings(home=home, database=home / "warehouse.duckdb", policy_path=home / "policy.toml")
Carrier(Dies(settings), Warehouse(settings.database), settings, "", NOW, "run-0").all_waiting(months=True)
"""


def test_killed_between_the_commit_and_the_outcome_it_is_carried_out_once(office: Office) -> None:
    office.open("EX-1")
    kept = office.decide("assign", exception_id="EX-1", team="finance")
    died = subprocess.run(
        [sys.executable, "-c", _DIES, str(office.settings.home)], env=dict(os.environ), check=False, timeout=120
    )
    assert died.returncode == -signal.SIGKILL
    assert office.outcome(kept) == ("waiting", None)
    office.carry_out()
    assert office.outcome(kept) == ("done", None)
    assert office.rows("select count(*) from reconciliation.exception_events where event = 'handed_over'") == [(1,)]


def test_a_bug_is_tried_again_then_given_up_and_the_others_go_on(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise ZeroDivisionError("a bug")

    monkeypatch.setitem(acts._ACTS, "note", broken)
    office.open("EX-1")
    bad = office.decide("note", exception_id="EX-1", note="x")
    office.decide("assign", exception_id="EX-1", team="finance")
    assert (office.carry_out().done, office.outcome(bad)) == (1, ("retry", "failed"))
    for _ in range(carry_out.MOST_TRIES - 1):
        office.carry_out()
    assert office.outcome(bad) == ("refused", "failed")


def test_a_restored_database_and_a_lost_store_are_noticed(office: Office) -> None:
    office.open("EX-1")
    office.warehouse.fold_log_in()
    shutil.copyfile(office.settings.database, office.settings.home / "backup")
    kept = office.decide("assign", exception_id="EX-1", team="finance")
    office.carry_out()

    def compared() -> carry_out.Compared:
        with office.warehouse.transaction() as connection:
            return carry_out.compare(office.store, connection)

    assert compared() == carry_out.Compared((), (), ())
    office.store.file.rename(office.settings.home / "gone")
    office.store.close()
    assert compared().unknown == (kept.decision_id,)
    (office.settings.home / "gone").rename(office.store.file)
    office.warehouse.fold_log_in()
    shutil.copyfile(office.settings.home / "backup", office.settings.database)
    assert compared().undone == (kept.decision_id,)


def test_a_document_is_kept_by_its_hash_and_a_changed_one_is_refused(office: Office) -> None:
    stored = decision_files.store(office.settings, "../../invoice\x00.pdf", b"%PDF-1.7 an invoice")
    assert (stored.name, stored.media_type) == ("invoice .pdf", "application/pdf")
    of_file: dict[str, Any] = {
        "sha256": stored.sha256,
        "file_name": stored.name,
        "media_type": stored.media_type,
        "bytes": stored.bytes,
    }
    kept = office.decide("document", month="2026-08", title="carrier's invoice", **of_file)
    office.carry_out()
    assert office.outcome(kept) == ("done", None)
    found = office.rows("select document_id, sha256, month, added_by from operations.documents")
    assert found == [(kept.decision_id, stored.sha256, "2026-08", "Anna Berg")]
    decision_files.path_of(office.settings, stored.sha256).write_bytes(b"another")
    changed = office.decide("document", exception_id="EX-1", **of_file)
    office.carry_out()
    assert office.outcome(changed)[0] == "refused"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.exe", b"MZ", "upload one of"),
        ("a.pdf", b"<html>", "not that of a .pdf"),
        ("a.xlsx", b"PK\x03\x04 no archive", "not that of a .xlsx"),
        ("a.csv", b"a\x00b", "not that of a .csv"),
        ("a.pdf", b"", "empty"),
    ],
)
def test_what_may_not_be_uploaded_is_refused(office: Office, name: str, content: bytes, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        decision_files.store(office.settings, name, content)


def test_no_text_is_taken_for_a_path(office: Office) -> None:
    with pytest.raises(ConfigurationError, match="not a SHA-256"):
        decision_files.load(office.settings, "../policy.toml")


def test_where_pages_decide_the_command_line_does_not(office: Office) -> None:
    (office.settings.home / "people.toml").write_text('[login]\nby = "passwords"\ndecisions_only_on_pages = true\n')
    with pytest.raises(ConfigurationError, match="logged in") as refused:
        carry_out.on_the_command_line(
            office.settings, "Anna", parsed("approve", {"names": ["x"], "why": "y"}), lambda *_: "done"
        )
    assert refused.value.code == "only_on_pages"
    assert not office.store.exists
