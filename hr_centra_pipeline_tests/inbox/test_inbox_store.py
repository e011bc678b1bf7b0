from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.inbox import inbox_store, inbox_tables
from hr_centra_pipeline.inbox.inbox_store import DayCount, Inbox, Received, StoreFailed, Waiting
from hr_centra_pipeline_tests.inbox.conftest import address_of

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)


def received(
    body: bytes = b"{}", *, minutes: float = 0, vendor: str = "happy_returns", verdict: str = "verified"
) -> Received:
    return Received(
        vendor, "main", NOW + timedelta(minutes=minutes), {"content-type": "application/json"}, body, verdict
    )


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def inbox(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Inbox]:
    is_sqlite = request.param == "SQLite"
    address = str(tmp_path / "inbox.sqlite") if is_sqlite else address_of(request.getfixturevalue("postgres"))
    opened = Inbox.open(address)
    yield opened
    if not is_sqlite:
        with opened._engine.begin() as connection:
            inbox_tables.METADATA.drop_all(connection)
    opened.close()


def test_a_delivery_is_kept_as_it_arrived(inbox: Inbox) -> None:
    body = b"\x00\xff not JSON {"
    (delivery_id,) = inbox.keep([received(body)])
    found = inbox.find(delivery_id)
    assert found is not None
    assert (found.body, found.body_sha256) == (body, hashlib.sha256(body).hexdigest())
    assert (found.vendor, found.shop, found.received_at, found.verdict) == ("happy_returns", "main", NOW, "verified")
    assert found.headers == {"content-type": "application/json"}
    assert inbox.find("0" * 32) is None


def test_reading_an_inbox_that_was_never_written_finds_nothing_and_makes_nothing(inbox: Inbox, tmp_path: Path) -> None:
    assert inbox.waiting() == Waiting(0)
    assert inbox.take("centra", most=9, most_bytes=9) == []
    assert inbox.counts() == []
    assert list(tmp_path.iterdir()) == []


def test_what_waits_is_taken_in_order_of_arrival_until_it_is_marked(inbox: Inbox) -> None:
    late, early, centra = inbox.keep([received(minutes=2), received(minutes=1), received(vendor="centra")])
    assert inbox.waiting() == Waiting(3, NOW, NOW + timedelta(minutes=2))
    assert inbox.waiting("centra").count == 1
    assert [one.delivery_id for one in inbox.take("happy_returns", most=10, most_bytes=100)] == [early, late]
    inbox.mark_landed([early, centra])
    assert [one.delivery_id for one in inbox.take("happy_returns", most=10, most_bytes=100)] == [late]
    inbox.mark_waiting([early])
    assert inbox.waiting().count == 2


def test_a_batch_is_bounded_by_number_and_bytes_and_never_empty(inbox: Inbox) -> None:
    inbox.keep([received(b"x" * 600, minutes=minute) for minute in range(4)])
    assert len(inbox.take("happy_returns", most=3, most_bytes=10_000)) == 3
    assert len(inbox.take("happy_returns", most=9, most_bytes=1_200)) == 2
    assert len(inbox.take("happy_returns", most=9, most_bytes=1)) == 1


def test_ids_are_in_order_of_time_and_never_the_same(inbox: Inbox) -> None:
    ids = inbox.keep([received() for _ in range(1_000)])
    assert ids == sorted(set(ids))
    assert {len(one) for one in ids} == {32}


def test_days_count_what_verified_and_what_did_not_by_reason(inbox: Inbox) -> None:
    inbox.keep([received(), received(minutes=1)])
    inbox.keep_apart([received(verdict="wrong_signature"), received(verdict="no_signature")])
    inbox.keep_apart([received(verdict="wrong_signature")])
    inbox.keep([received(minutes=12 * 60)])
    assert inbox.counts() == [
        DayCount("happy_returns", "2026-09-30", 2, {"wrong_signature": 2, "no_signature": 1}),
        DayCount("happy_returns", "2026-10-01", 1),
    ]


def test_of_what_did_not_verify_only_the_newest_are_kept(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_store, "MOST_APART", 3)
    inbox.keep_apart([received(b"genuine", verdict="stale")])
    for number in range(5):
        inbox.keep_apart([received(b"noise %d" % number, verdict="wrong_signature")])
    kept = inbox.deliveries(state="apart")
    assert [one.verdict for one in kept] == ["wrong_signature"] * 3 + ["stale"]
    found = inbox.find(kept[0].delivery_id)
    assert found is not None
    assert found.body == b"noise 4"
    monkeypatch.setattr(inbox_store, "MOST_APART_BYTES", 10)
    inbox.keep_apart([received(b"x" * 100, verdict="wrong_signature")])
    assert [one.bytes for one in inbox.deliveries(state="apart")] == [100, 7]


def test_what_was_kept_apart_and_verifies_now_waits_like_any_other(inbox: Inbox) -> None:
    inbox.keep_apart([received(b"genuine", verdict="wrong_signature"), received(b"noise", verdict="wrong_signature")])
    kept = {one.bytes: one.delivery_id for one in inbox.deliveries(state="apart")}
    assert inbox.accept(kept[7])
    assert not inbox.accept(kept[7])
    (one,) = inbox.take("happy_returns", most=9, most_bytes=100)
    assert (one.delivery_id, one.body, one.verdict) == (kept[7], b"genuine", "verified_later")
    assert [left.bytes for left in inbox.deliveries(state="apart")] == [5]
    assert inbox.counts() == [
        DayCount(
            "happy_returns", "2026-09-30", unverified={"wrong_signature": 2}, verified_later={"wrong_signature": 1}
        )
    ]
    assert inbox.apart_count(vendor="happy_returns") == 1
    assert inbox.apart_count(vendor="centra") == 0


def test_those_that_are_known_are_told_apart_from_those_that_are_not(inbox: Inbox) -> None:
    (one,) = inbox.keep([received()])
    assert inbox.known([one, "0" * 32]) == {one}
    assert inbox.known([]) == set()


def test_deliveries_are_listed_newest_first_by_state_vendor_and_time(inbox: Inbox) -> None:
    first, second, third = inbox.keep([received(), received(minutes=5), received(minutes=9, vendor="centra")])
    inbox.mark_landed([first])
    assert [one.delivery_id for one in inbox.deliveries()] == [third, second, first]
    assert [one.delivery_id for one in inbox.deliveries(most=1)] == [third]
    assert [one.delivery_id for one in inbox.deliveries(state="landed")] == [first]
    assert [one.delivery_id for one in inbox.deliveries(state="waiting", vendor="happy_returns")] == [second]
    soon = NOW + timedelta(minutes=5)
    assert [one.delivery_id for one in inbox.deliveries(since=soon)] == [third, second]
    assert [one.delivery_id for one in inbox.deliveries(until=soon)] == [first]
    assert inbox.last_received_at() == NOW + timedelta(minutes=9)


def test_all_of_a_period_land_again_at_once(inbox: Inbox) -> None:
    first, second, third = inbox.keep([received(), received(minutes=5), received(minutes=9, vendor="centra")])
    inbox.mark_landed([first, second, third])
    soon = NOW + timedelta(minutes=5)
    assert inbox.replay(since=soon, vendor="centra") == 1
    assert inbox.replay(until=soon) == 1
    assert {one.delivery_id for one in inbox.deliveries(state="waiting")} == {first, third}
    assert inbox.replay() == 1  # the others wait already


def test_counts_begin_at_a_day(inbox: Inbox) -> None:
    inbox.keep([received(), received(minutes=24 * 60)])
    assert [one.day for one in inbox.counts(since=date(2026, 10, 1))] == ["2026-10-01"]


def test_a_store_of_a_later_version_is_refused_by_name(inbox: Inbox) -> None:
    inbox.keep([received()])
    with inbox._engine.connect().execution_options(writes=True) as connection, connection.begin():
        connection.execute(sa.update(inbox_tables.VERSIONS).values(version=inbox_tables.VERSION + 1))
    again = Inbox.open(inbox.address)
    for use in (again.waiting, again.probe):
        with pytest.raises(StoreFailed, match="was made by a later hr-centra"):
            use()
    again.close()


def erased(body: bytes) -> bytes:
    return body.replace(b"anna", b"")


def test_vacuuming_may_take_longer_than_any_other_statement(inbox: Inbox) -> None:
    limits: list[str] = []

    @sa.event.listens_for(inbox._engine, "before_cursor_execute")
    def _note(_connection: sa.Connection, cursor: Any, statement: str, *_: object) -> None:
        if statement.startswith("vacuum"):
            cursor.execute("show statement_timeout")
            limits.append(cursor.fetchone()[0])

    inbox.keep([received(b"anna")])
    assert inbox.erase(erased, NOW) == 1
    if inbox.file is None:
        assert limits == ["0", "0"]
        with inbox._engine.connect() as connection:
            assert connection.exec_driver_sql("show statement_timeout").scalar() == "30s"


def test_what_was_erased_is_erased_even_if_its_free_space_is_not(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    @sa.event.listens_for(inbox._engine, "before_cursor_execute")
    def _fail(_connection: sa.Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(("vacuum", "pragma wal_checkpoint")):
            raise sa.exc.OperationalError(statement, {}, Exception("canceled"))

    (one,) = inbox.keep([received(b"anna")])
    assert inbox.erase(erased, NOW) == 1
    found = inbox.find(one)
    assert found is not None
    assert found.body == b""
    assert "cannot be vacuumed (canceled)" in caplog.text


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    inbox = Inbox.open(str(tmp_path / "inbox.sqlite"))
    inbox.keep([received()])
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


def test_a_file_is_written_ahead_and_synced_at_each_commit(tmp_path: Path) -> None:
    inbox = Inbox.open(str(tmp_path / "inbox.sqlite"))
    inbox.keep([received()])
    with inbox._engine.connect() as connection:
        found = [connection.exec_driver_sql(f"pragma {name}").scalar() for name in ("journal_mode", "synchronous")]
    assert found == ["wal", 2]  # 2: FULL


def test_a_store_that_cannot_be_written_says_so_without_its_password(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreFailed, match="cannot be written"):
        Inbox.open(str(tmp_path / "file" / "inbox.sqlite")).keep([received()])
    with pytest.raises(StoreFailed, match="cannot be read") as failed:
        Inbox.open("postgresql://inbox:s3cret@127.0.0.1:9/inbox").waiting()
    assert "s3cret" not in str(failed.value)


def test_another_kind_of_database_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="HR_CENTRA_INBOX=mysql://me:…@host/db: write the path"):
        Inbox.open("mysql://me:s3cret@host/db")
