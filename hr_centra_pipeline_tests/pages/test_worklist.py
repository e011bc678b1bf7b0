"""The worklist: what a filter finds is all of it, once, and its counts and file say the same."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hr_centra_pipeline.core.clock import instant_text
from hr_centra_pipeline.decisions.decision_kinds import Assign
from hr_centra_pipeline.decisions.decision_store import Decision, DecisionStore
from hr_centra_pipeline.pages import worklist
from hr_centra_pipeline.pages.page_file import Row, _row
from hr_centra_pipeline.pages.paging import cursor_text, read_cursor
from hr_centra_pipeline.pages.worklist import NOBODY, Assigned, Filter
from hr_centra_pipeline.publishing import page_tables
from hr_centra_pipeline.publishing.page_tables import sort_amount
from hr_centra_pipeline_tests.pages.page_fixture import NOW
from hr_centra_pipeline_tests.pages.site_client import MIA

KINDS = ("double_credit", "stalled_return", "payout_mismatch")
TEAMS = ("finance", "warehouse")
DUE = (None, "2026-09-01T00:00:00Z", "2026-09-02T00:00:00Z", "2026-10-05T00:00:00Z")
ASSIGNED = Assigned({"EX2": "mia@example.com", "EX5": "bo@example.com", "EX7": "mia@example.com"})


def row(number: int, **given: Any) -> Row:
    """An exception with as little as possible."""
    names = page_tables.EXCEPTIONS.columns
    amount = given.pop("amount", None)
    return {
        **dict.fromkeys(names), "exception_id": f"EX{number}", "state": "open", "kind": KINDS[0], "owner_team": TEAMS[0],
        "severity": "error", "opened_at": instant_text(NOW), "overdue": 0, "detail": "detail", "next_step": "next",
        "evidence": "{}", "history": "[]", "amount": None if amount is None else str(amount), "amount_sort": sort_amount(amount),
        **{name: "" for name in names if name == "row_hash"}, **given,
    }  # fmt: skip


@contextmanager
def publication_of(exceptions: list[Row]) -> Iterator[sqlite3.Connection]:
    """A publication in memory with these exceptions, and their counts."""
    with closing(sqlite3.connect(":memory:")) as connection:
        page_tables.create_tables(connection)
        connection.executemany(page_tables.EXCEPTIONS.insert, exceptions)
        groups: dict[tuple[str, str, str, str], list[Row]] = {}
        for one in exceptions:
            groups.setdefault((one["state"], one["owner_team"], one["kind"], one["currency"] or ""), []).append(one)
        for (state, team, kind, currency), rows in groups.items():
            connection.execute(
                page_tables.EXCEPTION_COUNTS.insert,
                {
                    "state": state, "owner_team": team, "kind": kind, "currency": currency, "exceptions": len(rows),
                    "overdue": sum(one["overdue"] for one in rows), "oldest": min(one["opened_at"] for one in rows),
                    "amount": str(sum(Decimal(one["amount"] or 0) for one in rows)),
                    "overdue_amount": str(sum(Decimal(one["amount"] or 0) for one in rows if one["overdue"])),
                },
            )  # fmt: skip
        page_tables.create_indices(connection)
        connection.row_factory = _row
        yield connection


EXCEPTIONS = st.lists(
    st.fixed_dictionaries({
        "state": st.sampled_from(("open", "open", "open", "dry_run", "closed")), "kind": st.sampled_from(KINDS),
        "owner_team": st.sampled_from(TEAMS), "overdue": st.integers(0, 1), "due_at": st.sampled_from(DUE),
        "order_number": st.sampled_from((None, "1001", "1002")), "currency": st.sampled_from((None, "EUR", "JPY")),
        "amount": st.none() | st.decimals(0, 1000, places=2),
    }),
    max_size=30,
)  # fmt: skip
FILTERS = st.builds(
    Filter, team=st.sampled_from(("", *TEAMS)), kind=st.sampled_from(("", *KINDS)),
    state=st.sampled_from(("open", "dry_run", "closed")), overdue=st.booleans(), q=st.sampled_from(("", "", "#1001", "ex3")),
    assignee=st.sampled_from(("", "", NOBODY, "Mia@example.com")),
)  # fmt: skip


def _is_wanted(one: Row, wanted: Filter) -> bool:
    has = ASSIGNED.by_exception.get(one["exception_id"])
    return (
        one["state"] == wanted.state
        and wanted.team in ("", one["owner_team"])
        and wanted.kind in ("", one["kind"])
        and (not wanted.overdue or one["overdue"] == 1)
        and (wanted.assignee == "" or (has is None if wanted.assignee == NOBODY else has == "mia@example.com"))
        and (
            wanted.q == ""
            or one["order_number"] == wanted.q.removeprefix("#")
            or one["exception_id"] == wanted.q.upper()
        )
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(found=EXCEPTIONS, wanted=FILTERS, most=st.integers(1, 7))
def test_the_pages_of_a_filter_are_all_that_it_finds_each_once_and_its_counts_are_of_them(
    found: list[dict[str, Any]], wanted: Filter, most: int
) -> None:
    exceptions = [row(number, **one) for number, one in enumerate(found)]
    expected = [one for one in exceptions if _is_wanted(one, wanted)]
    with publication_of(exceptions) as connection:
        seen, after = [], ""
        for _ in range(len(exceptions) + 1):
            page = worklist.page(connection, wanted, ASSIGNED, after=after, most=most)
            seen += page.exceptions
            if page.after is None:
                break
            assert len(page.exceptions) == most
            after = page.after
        counts = worklist.counts(connection, wanted, ASSIGNED)
    order = [(-one["overdue"], one["due_at"] or "", one["exception_id"]) for one in seen]
    assert order == sorted(order)
    assert sorted(one["exception_id"] for one in seen) == sorted(one["exception_id"] for one in expected)
    assert counts.exceptions == len(expected)
    assert counts.overdue == sum(one["overdue"] for one in expected)
    for currency in ("EUR", "JPY"):
        of_it = [Decimal(one["amount"]) for one in expected if one["currency"] == currency and one["amount"]]
        assert counts.money.get(currency, Decimal(0)) == sum(of_it)


@pytest.mark.parametrize(
    "text", ["", "x", "=", "W10", "a" * 1000, cursor_text(2, "x", "y"), cursor_text(0, 5, "y"), "%00", "é"]
)
def test_a_cursor_that_was_changed_by_hand_begins_at_the_start(text: str) -> None:
    with publication_of([row(1), row(2)]) as connection:
        assert len(worklist.page(connection, Filter(), Assigned({}), after=text).exceptions) == 2


@given(st.lists(st.none() | st.text(max_size=40) | st.integers(-5, 10**9), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_a_cursor_says_what_was_put_into_it(values: list[str | int | None]) -> None:
    assert read_cursor(cursor_text(*values), len(values)) == values
    assert read_cursor(cursor_text(*values), len(values) + 1) is None


def test_filters_that_are_not_known_are_left_out_and_an_address_says_the_filter_again() -> None:
    wanted = Filter.of({"team": "' or 1=1 --", "kind": "stalled_return", "state": "x", "overdue": "1", "q": " #1001 "})
    assert wanted == Filter(kind="stalled_return", overdue=True, q="#1001")
    assert wanted.address() == "/worklist?kind=stalled_return&overdue=1&q=%231001"
    assert wanted.address(kind="", after="abc") == "/worklist?overdue=1&q=%231001&after=abc"
    assert wanted.file_address() == "/worklist.csv?kind=stalled_return&overdue=1&q=%231001"


def test_a_file_has_what_the_filter_finds_and_no_cell_of_it_is_a_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = ('=HYPERLINK("http://x","y")', "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", 'a,"b"\nc', "plain")
    exceptions = [row(number, detail=text, sku=text, last_note=text) for number, text in enumerate(hostile)]
    with publication_of([*exceptions, row(99, state="closed")]) as connection:
        text = "".join(worklist.lines_of_file(connection, Filter(), ASSIGNED, "https://returns.example"))
        lines = list(csv.DictReader(io.StringIO(text, newline="")))
        assert [line["exception_id"] for line in lines] == [f"EX{number}" for number in range(len(hostile))]
        assert lines[2]["assignee"] == "mia@example.com"
        assert lines[0]["link"] == "https://returns.example/exceptions/EX0"
        for line, given in zip(lines, hostile, strict=True):
            assert line["detail"] in (given, f"'{given}")
            for value in line.values():
                assert not value.startswith(("=", "+", "-", "@", "\t", "\r")), value
        monkeypatch.setattr(worklist, "MOST_IN_A_FILE", 3)
        cut = "".join(worklist.lines_of_file(connection, Filter(), ASSIGNED, "")).splitlines()
        assert len([line for line in cut if line.startswith("EX")]) == 3
        assert cut[-1].startswith("Only the first 3 are in this file")


def test_who_has_an_exception_is_the_last_assignment_that_was_not_refused(tmp_path: Path) -> None:
    store = DecisionStore(tmp_path / "decisions.sqlite")
    assert store.assigned() == {}

    def decided(number: int, **given: Any) -> str:
        return store.keep(Decision(f"key {number}", MIA, Assign(exception_id=f"EX{number // 10}", **given))).decision_id

    decided(10, person="mia@example.com")
    refused = decided(11, person="bo@example.com")
    decided(20, team="finance")
    decided(30, person="mia@example.com")
    decided(31)
    store.outcome(refused, "refused", "no such person")
    assert store.assigned() == {"EX1": "mia@example.com", "EX2": "team:finance"}
