"""The store of decisions: kept once, in order, append-only, and a change by hand is noticed."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.decisions.decision_kinds import WriteNote, parsed
from hr_centra_pipeline.decisions.decision_store import Decision, DecisionStore, Who

ANNA = Who("anna@shop.example", "Anna Berg", "password", "10.0.0.7")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DecisionStore]:
    made = DecisionStore(tmp_path / "decisions.sqlite")
    yield made
    made.close()


def noted(store: DecisionStore, key: str, note: str = "asked the carrier", exception_id: str = "EX-1") -> str:
    return store.keep(Decision(key, ANNA, WriteNote(exception_id=exception_id, note=note))).decision_id


def by_hand(store: DecisionStore, *statements: str) -> None:
    """As somebody with the file and without scruples would."""
    connection = sqlite3.connect(store.file)
    try:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    finally:
        connection.close()


def test_the_same_form_sent_twice_is_one_decision(store: DecisionStore) -> None:
    first, again = noted(store, "form-1"), noted(store, "form-1")
    assert first == again
    assert [one.decision_id for one in store.waiting()] == [first]
    other = store.keep(Decision("form-1", Who("bob", "Bob", "link"), WriteNote(exception_id="EX-1", note="x")))
    assert other.is_new  # a key is the user's own


def test_a_key_is_not_used_for_another_decision(store: DecisionStore) -> None:
    noted(store, "form-1")
    with pytest.raises(ConfigurationError, match="sent before, with other content"):
        noted(store, "form-1", note="something else")


def test_decisions_wait_in_order_until_they_have_a_final_outcome(store: DecisionStore) -> None:
    first, second, third = (noted(store, f"form-{number}") for number in range(3))
    store.outcome(first, "retry", "The disk is full.")
    store.outcome(second, "done", "Noted.")
    assert [one.decision_id for one in store.waiting()] == [first, third]
    assert store.waiting_count() == 2
    store.outcome(second, "refused", "Too late.")
    found = store.of(second)
    assert found is not None
    assert found.state == "done"


def test_decisions_are_found_by_what_they_are_about(store: DecisionStore) -> None:
    noted(store, "form-1", exception_id="EX-1")
    noted(store, "form-2", exception_id="EX-2")
    newest = noted(store, "form-3", exception_id="EX-1")
    found = store.recent(about="exception/EX-1")
    assert [one.number for one in found] == [3, 1]
    assert found[0].decision_id == newest
    assert [one.number for one in store.recent(10, before=3)] == [2, 1]


@pytest.mark.parametrize(
    "statement",
    [
        "update decisions set user_name = 'Bob'",
        "delete from decisions",
        "insert or replace into outcomes select * from outcomes",
        "update contents set arguments = '{}'",
        "delete from contents",
        "delete from outcomes",
    ],
)
def test_the_tables_refuse_every_change(store: DecisionStore, statement: str) -> None:
    store.outcome(noted(store, "form-1"), "done", "Noted.")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        by_hand(store, statement)


@pytest.mark.parametrize(
    ("tampering", "said"),
    [
        ("update decisions set user_name = 'Bob' where number = 2", "decisions: row 2 was changed"),
        ("delete from decisions where number = 2", "decisions: rows 2 to 2 are missing"),
        ("update contents set arguments = replace(arguments, 'carrier', 'lawyer') where number = 1", "decision 1"),
        ("update outcomes set state = 'refused'", "outcomes: row 1 was changed"),
        ("delete from waiting where number = 3", "decision 3: the list of those that wait"),
    ],
)
def test_a_change_by_hand_is_noticed(store: DecisionStore, tampering: str, said: str) -> None:
    store.outcome(noted(store, "form-1"), "done", "Noted.")
    noted(store, "form-2")
    noted(store, "form-3")
    assert store.verify_chain().problems == ()
    names = [
        name for (name,) in sqlite3.connect(store.file).execute("select name from sqlite_master where type = 'trigger'")
    ]
    by_hand(store, *(f"drop trigger {name}" for name in names), tampering)
    assert any(said in problem for problem in store.verify_chain().problems)


def test_what_a_decision_says_of_a_person_can_be_erased_and_the_chain_still_verifies(store: DecisionStore) -> None:
    kept = noted(store, "form-1", note="eva@mail.example called")
    assert store.erase(lambda text: text.replace("eva@mail.example", "…@…")) == 1
    found = store.of(kept)
    assert found is not None
    assert found.is_erased
    assert isinstance(found.arguments, WriteNote)
    assert found.arguments.note == "…@… called"
    assert store.verify_chain().problems == ()
    left = [path for path in store.file.parent.iterdir() if b"eva@mail" in path.read_bytes()]
    assert left == []


def test_the_store_is_for_its_owner_only(store: DecisionStore) -> None:
    noted(store, "form-1")
    assert {stat.S_IMODE(path.stat().st_mode) for path in store.file.parent.iterdir()} == {0o600}


def test_nothing_is_made_by_looking(store: DecisionStore) -> None:
    assert (store.waiting(), store.waiting_count(), store.recent(), store.of("x")) == ([], 0, [], None)
    assert not store.file.exists()


@pytest.mark.parametrize(
    ("kind", "arguments", "said"),
    [
        ("approve", {"names": ["RT-1"], "why": "  "}, "why: must not be empty"),
        ("note", {"exception_id": "EX-1"}, "write a note"),
        ("assign", {"exception_id": "EX-1", "person": "anna", "team": "finance"}, "not to both"),
        ("sign", {"month": "2026-13", "role": "preparer"}, "month like 2026-09"),
        (
            "document",
            {"sha256": "../etc", "file_name": "a", "media_type": "x", "bytes": 1, "month": "2026-09"},
            "SHA-256",
        ),
        ("tie", {"form": "refund", "name": "1", "units": [{"unit": "a", "amount": "much"}], "why": "x"}, "amount"),
        ("drop", {}, "no such decision"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(kind: str, arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        parsed(kind, arguments)
