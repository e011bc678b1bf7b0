from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from hr_centra_pipeline.inbox.inbox_store import Inbox, Received
from hr_centra_pipeline.sources.happy_returns.inbox_days import note_inbox_days
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse

DAY = datetime(2026, 9, 20, 23, 59, tzinfo=UTC)


def received(body: bytes, verdict: str = "verified") -> Received:
    return Received("happy_returns", "main", DAY, {}, body, verdict)


def test_what_the_inbox_counted_is_taken_over_and_only_days_that_changed_are_written_again(tmp_path: Path) -> None:
    inbox, warehouse = Inbox.open(str(tmp_path / "inbox.sqlite")), Warehouse(tmp_path / "warehouse.duckdb")
    migrate.prepare(warehouse)
    assert note_inbox_days(warehouse, inbox, DAY) == 0
    inbox.keep([received(b"1"), received(b"2")])
    inbox.keep_apart([received(b"3", "bad_signature"), received(b"4", "unsigned")])
    assert note_inbox_days(warehouse, inbox, DAY) == 1
    assert note_inbox_days(warehouse, inbox, DAY) == 0
    with warehouse.transaction() as connection:
        rows = connection.execute("select vendor, day::varchar, received, unverified, refused from landing.inbox_days")
        assert rows.fetchall() == [("happy_returns", "2026-09-20", 2, 2, 0)]


def test_a_delivery_that_verifies_later_is_received_and_stays_counted_as_one_that_did_not_verify(
    tmp_path: Path,
) -> None:
    inbox, warehouse = Inbox.open(str(tmp_path / "inbox.sqlite")), Warehouse(tmp_path / "warehouse.duckdb")
    migrate.prepare(warehouse)
    inbox.keep_apart([received(b"1", "wrong_signature"), received(b"2", "wrong_signature")])
    note_inbox_days(warehouse, inbox, DAY)
    inbox.accept(inbox.deliveries(state="apart")[0].delivery_id)
    assert note_inbox_days(warehouse, inbox, DAY) == 1
    with warehouse.transaction() as connection:
        rows = connection.execute("select received, unverified from landing.inbox_days")
        assert rows.fetchall() == [(1, 2)]
