"""Which feed reported what about each unit, and what the events missed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.oversight import watch
from hr_centra_pipeline.warehouse.database import Connection, run_sql
from hr_centra_pipeline_tests.harness import POLICY
from hr_centra_pipeline_tests.staged import put

STARTED = datetime(2026, 9, 20, 10, tzinfo=UTC)
APPROVED = STARTED + timedelta(hours=2)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NOW = STARTED + timedelta(days=1)


class Feeds:
    """Rows of the feeds as they land, and what is made of them."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._batch = 0
        self.last_run_at = STARTED - 30 * HOUR
        self.event("first", STARTED - HOUR)

    def event(
        self, delivery: str, received_at: datetime, *, repeats: str | None = None, problem: str | None = None
    ) -> None:
        self.connection.execute(
            "insert into landing.events (delivery_id, shop, received_at, body_sha256, byte_size, rows_read, rows_landed,"
            " rows_rejected, rows_repeated, repeats, problem, landed_at, batch)"
            " values (?, 'main', ?, '', 1, 1, 1, 0, 0, ?, ?, ?, 1)",
            [delivery, received_at, repeats, problem, received_at],
        )

    def told(self, unit: str, feed: str, at: datetime, **said: Any) -> None:
        """A feed tells of a unit; ``at``: when it arrives here. What an event tells is on the way for a while."""
        self._batch += 1
        source_file = f"{feed}.csv"
        if feed == "events":
            source_file = f"event {self._batch}"
            self.event(f"{self._batch}", at)
        values = {
            "return_item_id": unit, "return_id": f"R-{unit}", "order_number": "1", "refund_type": "refund", "feed": feed,
            "source_time": at, "source_file": source_file, "source_line": 1, "landed_at": at + HOUR if feed == "events" else at,
            "batch": self._batch, "profile": "default", "row_sha256": f"{self._batch}", **said,
        }  # fmt: skip
        marks = ", ".join("?" * len(values))
        self.connection.execute(
            f"insert into landing.happy_returns_items ({', '.join(values)}) values ({marks})", list(values.values())
        )

    def is_known(self, *units: str, approved: bool = True) -> None:
        for unit in units:
            put(
                self.connection, "staging.return_items", return_item_id=unit, return_id=f"R-{unit}", order_number="1",
                refund_type="refund", return_created_at=STARTED, approved_at=APPROVED if approved else None,
            )  # fmt: skip

    def compared(self, *, now: datetime = NOW, since: int = -1) -> dict[str, dict[str, Any]]:
        for name in ("feeds.sql", "feed_days.sql"):
            given = {"since": since, "now": now, "last_run_at": self.last_run_at}
            run_sql(self.connection, "hr_centra_pipeline.reconciliation", name, given)
        self.last_run_at = now
        return {row["return_item_id"]: row for row in self._rows("reconciliation.feeds")}

    def days(self) -> dict[str, dict[str, Any]]:
        return {row["feed"]: row for row in self._rows("reconciliation.feed_days")}

    def _rows(self, table: str) -> list[dict[str, Any]]:
        found = self.connection.execute(f"select * from {table}")
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def test_a_unit_that_only_one_feed_knows_is_named_so(prepared: Connection) -> None:
    feeds = Feeds(prepared)
    feeds.told("A", "events", STARTED)
    feeds.told("B", "files", STARTED)
    feeds.told("C", "api", STARTED)
    feeds.told("D", "files", STARTED)
    feeds.told("D", "events", STARTED)
    feeds.is_known("A", "B", "C", "D", approved=False)
    found = feeds.compared()
    assert {unit: (row["feeds"], row["verdict"]) for unit, row in found.items()} == {
        "A": ("events", "only_events"), "B": ("files", "only_files"), "C": ("api", "only_api"), "D": ("events files", "agree"),
    }  # fmt: skip


def test_feeds_that_contradict_each_other_are_shown_with_the_columns(prepared: Connection) -> None:
    feeds = Feeds(prepared)
    feeds.told("A", "events", APPROVED, approved_at=APPROVED, dropoff_method="mail", sku="S-1")
    feeds.told("A", "files", APPROVED, approved_at=APPROVED, dropoff_method="return-bar", sku="S-2")
    feeds.is_known("A")
    row = feeds.compared()["A"]
    assert (row["verdict"], row["differs_in"]) == ("differ", "dropoff_method sku")


def test_what_an_event_leaves_out_contradicts_nothing_and_a_later_event_without_it_does_not_either(
    prepared: Connection,
) -> None:
    feeds = Feeds(prepared)
    feeds.told("A", "events", APPROVED, approved_at=APPROVED)
    feeds.told("A", "events", APPROVED + HOUR, dropoff_method="return-bar")
    feeds.told("A", "files", APPROVED, approved_at=APPROVED, dropoff_method="return-bar", condition="sellable")
    feeds.is_known("A")
    assert feeds.compared()["A"]["verdict"] == "agree"


def test_units_of_the_time_before_the_first_event_are_left_out(prepared: Connection) -> None:
    feeds = Feeds(prepared)
    feeds.told("A", "files", STARTED)
    feeds.is_known("A")
    prepared.execute("update landing.events set received_at = received_at + interval 30 day")
    assert feeds.compared() == {}


def test_without_events_nothing_is_compared(prepared: Connection) -> None:
    feeds = Feeds(prepared)
    prepared.execute("delete from landing.events")
    feeds.told("A", "files", STARTED)
    feeds.is_known("A")
    assert feeds.compared() == {}
    assert feeds.days() == {}


def test_only_units_with_news_are_compared_again_and_the_others_stay(prepared: Connection) -> None:
    feeds = Feeds(prepared)
    feeds.told("A", "files", STARTED)
    feeds.told("B", "files", STARTED)
    feeds.is_known("A", "B", approved=False)
    feeds.compared()
    feeds.told("B", "events", STARTED)
    prepared.execute("update landing.happy_returns_items set feed = 'api' where return_item_id = 'A'")
    found = feeds.compared(since=2)
    assert (found["A"]["verdict"], found["B"]["verdict"]) == ("only_files", "agree")


def test_a_unit_whose_return_lands_later_than_itself_is_compared_once_that_states_when_it_started(
    prepared: Connection,
) -> None:
    feeds = Feeds(prepared)
    feeds.told("A", "files", STARTED)
    feeds.is_known("A", approved=False)
    prepared.execute("update staging.return_items set return_created_at = null")
    assert feeds.compared() == {}
    prepared.execute("update staging.return_items set return_created_at = ?", [STARTED])
    prepared.execute(
        "insert into landing.happy_returns_returns (return_id, order_number, profile, row_sha256, source_time, source_file,"
        " source_line, landed_at, batch) values ('R-A', '1', 'default', 'x', ?, 'f', 1, ?, 9)",
        [STARTED, STARTED],
    )
    assert feeds.compared(since=8)["A"]["verdict"] == "only_files"
    assert feeds.days()["events"]["missed"] == 1


def test_webhooks_that_never_brought_anything_are_missed_from_the_first_look_on(prepared: Connection) -> None:
    feeds = Feeds(prepared)
    prepared.execute("delete from landing.events")
    prepared.execute("insert into landing.inbox_looks values (?, 0, false, true, null, 1)", [STARTED - HOUR])
    feeds.told("A", "files", STARTED)
    feeds.is_known("A", approved=False)
    feeds.compared()
    assert feeds.days()["events"]["missed"] == 1


def test_a_day_that_nothing_new_is_about_is_not_counted_again_and_a_unit_that_changes_days_leaves_its_old_one(
    prepared: Connection,
) -> None:
    feeds = Feeds(prepared)
    feeds.told("A", "files", STARTED)
    feeds.is_known("A", approved=False)
    feeds.compared()
    later = NOW + timedelta(days=3)
    prepared.execute("update reconciliation.feed_days set milestones = 7")
    feeds.compared(now=later, since=5)
    feeds.compared(now=later + HOUR, since=5)
    assert feeds.days()["events"]["milestones"] == 7
    feeds.told("A", "files", STARTED)
    prepared.execute(
        "update landing.happy_returns_items set batch = 6 where batch = (select max(batch) from landing.happy_returns_items)"
    )
    prepared.execute("update staging.return_items set return_created_at = ?", [STARTED + timedelta(days=1)])
    feeds.compared(now=later + 2 * HOUR, since=5)
    found = prepared.execute(
        "select day::varchar, milestones from reconciliation.feed_days where feed = 'events' and milestones > 0"
    )
    assert found.fetchall() == [("2026-09-21", 1)]


def test_a_day_counts_what_each_feed_told_first_told_late_and_missed(prepared: Connection) -> None:
    feeds = Feeds(prepared)
    # Told by an event in time; told late, after a file; never told by an event, but by the API.
    feeds.told("A", "events", STARTED + MINUTE)
    feeds.told("A", "files", STARTED + HOUR)
    feeds.told("B", "files", STARTED + HOUR)
    feeds.told("B", "events", STARTED + 2 * HOUR)
    feeds.told("C", "api", STARTED + 3 * HOUR)
    feeds.is_known("A", "B", "C", approved=False)
    feeds.compared()
    day = feeds.days()
    shown = ("milestones", "reported", "reported_first", "late", "missed", "repaired")
    assert [day["events"][name] for name in shown] == [3, 2, 1, 1, 1, 2]
    assert [day["files"][name] for name in shown] == [3, 2, 1, 2, 1, 0]
    assert [day["api"][name] for name in shown] == [3, 1, 1, 1, 2, 0]
    assert day["events"]["day"] == date(2026, 9, 20)


def test_an_event_that_may_still_be_on_its_way_is_not_missed(prepared: Connection) -> None:
    feeds = Feeds(prepared)
    feeds.told("A", "files", STARTED + MINUTE)
    feeds.is_known("A", approved=False)
    feeds.compared(now=STARTED + 10 * MINUTE)
    assert feeds.days().get("events", {}).get("missed", 0) == 0
    feeds.compared(now=STARTED + 16 * MINUTE)
    assert feeds.days()["events"]["missed"] == 1


def test_duplicates_refused_ones_and_what_did_not_verify_are_counted_beside(prepared: Connection) -> None:
    feeds = Feeds(prepared)
    feeds.event("again", STARTED, repeats="first")
    feeds.event("noise", STARTED, problem="is not JSON")
    prepared.execute("insert into landing.inbox_days values ('happy_returns', ?, 3, 7, 0, ?)", [STARTED.date(), NOW])
    prepared.execute("insert into landing.inbox_days values ('centra', ?, 3, 9, 0, ?)", [STARTED.date(), NOW])
    feeds.compared()
    day = feeds.days()["events"]
    assert [day[name] for name in ("received", "duplicate", "refused", "unverified")] == [3, 1, 1, 7]


def test_a_day_on_which_events_missed_more_than_the_policy_allows_rings(prepared: Connection) -> None:
    feeds = Feeds(prepared)
    policy = Policy.model_validate(POLICY)
    units = [f"U{number}" for number in range(40)]
    for number, unit in enumerate(units):
        feeds.told(unit, "files", STARTED + MINUTE)
        if number >= 2:  # two of forty are missed: five in a hundred, which is allowed
            feeds.told(unit, "events", STARTED + 2 * MINUTE)
    feeds.is_known(*units, approved=False)
    feeds.compared()

    def ringing() -> list[tuple[str, ...]]:
        watch.refresh(prepared, policy, NOW)
        return [
            one.lines
            for one in watch.alarms(prepared, NOW)
            if one.name == "events_reported_almost_everything" and one.found
        ]

    assert policy.events.missed_alarm_percent == Decimal(5)
    assert ringing() == []
    feeds.told("U40", "files", STARTED + MINUTE)
    feeds.is_known("U40", approved=False)
    feeds.compared()
    ((line,),) = ringing()
    assert line.startswith("2026-09-20: of 41 starts and approvals, events missed 3 and reported 0 late")
