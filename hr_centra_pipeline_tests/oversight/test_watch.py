"""Coverage, drift and standing alarms: what rings, what must not, over everything that is open."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.oversight import watch
from hr_centra_pipeline.warehouse.database import Connection

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
POLICY: dict[str, Any] = {
    "cutover": datetime(2026, 8, 27, tzinfo=UTC), "dispositions": {"sellable": {"warehouse_id": 1}},
    "pays_through": {"refund": "centra", "gift-card": "gift_card"},
}  # fmt: skip

Rings = Callable[..., dict[str, tuple[str, ...]]]


@pytest.fixture
def rings(prepared: Connection) -> Rings:
    """What rings now, by alarm: its lines."""

    def look(now: datetime = NOW, **policy: Any) -> dict[str, tuple[str, ...]]:
        watch.refresh(prepared, Policy.model_validate({**POLICY, **policy}), now)
        return {alarm.name: alarm.lines for alarm in watch.alarms(prepared, now) if alarm.found}

    return look


def pulled(
    connection: Connection,
    at: datetime,
    *,
    since: datetime | None = None,
    name: str = "orders",
    problem: str | None = None,
    refused: int = 0,
) -> None:
    connection.execute(
        "insert into landing.centra_pulls values (?, ?, ?, 0, 0, ?, ?, nextval('landing.batch_numbers'), ?, ?)",
        [name, since or at - HOUR, at, problem is None, problem, at, refused],
    )


def delivered(
    connection: Connection,
    at: datetime,
    *,
    tells_from: datetime | None = None,
    headers: list[str] | None = None,
    kind: str = "items",
) -> None:
    connection.execute(
        "insert into landing.files (source_file, file_sha256, kind, profile, byte_size, source_time, rows_read, rows_landed,"
        " rows_rejected, rows_repeated, first_source_time, batch, received_at, unknown_headers)"
        " values (?, ?, ?, 'default', 1, ?, 0, 0, 0, 0, ?, nextval('landing.batch_numbers'), ?, ?)",
        [f"{kind}-{at:%Y%m%dT%H%M}.csv", f"{at}{kind}", kind, at, tells_from or at - HOUR, at, headers],
    )


def test_an_empty_database_rings_nothing_and_every_alarm_is_looked_at(prepared: Connection, rings: Rings) -> None:
    assert rings() == {}
    assert {alarm.name for alarm in watch.alarms(prepared, NOW)} == set(watch.RULES)


# ---------------------------------------------------------------- coverage


def gaps(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "select source, gap_from, gap_to, hours, caught_up_at from operations.coverage_gaps order by all"
    ).fetchall()


def test_hours_that_the_next_pull_read_after_all_are_recorded_and_do_not_ring(
    prepared: Connection, rings: Rings
) -> None:
    for hours in (9, 8, 3, 2, 1, 0):
        pulled(prepared, NOW - hours * HOUR, since=NOW - 9 * HOUR if hours == 3 else None)
    assert rings() == {}
    assert gaps(prepared) == [("centra orders", NOW - 8 * HOUR, NOW - 3 * HOUR, 5, NOW - 3 * HOUR)]


def test_several_pulls_at_one_time_of_the_clock_are_one_look_as_far_back_as_the_widest(
    prepared: Connection, rings: Rings
) -> None:
    pulled(prepared, NOW - 48 * HOUR)
    pulled(prepared, NOW, since=NOW - 49 * HOUR)
    pulled(prepared, NOW, since=NOW - HOUR)  # the clock has not moved
    assert rings() == {}
    assert gaps(prepared) == [("centra orders", NOW - 48 * HOUR, NOW, 48, NOW)]


def test_hours_that_nobody_read_ring_and_name_the_backfill_that_closes_them(prepared: Connection, rings: Rings) -> None:
    for hours in (50, 3, 2, 1, 0):
        pulled(prepared, NOW - hours * HOUR)
    (line,) = rings()["every_missed_hour_was_caught_up"]
    assert "hr-centra backfill --from 2026-09-28 --to 2026-09-30" in line
    prepared.execute(
        "insert into landing.centra_history values ('orders', ?, ?, 0, 0, true, null, 1, ?)",
        [NOW - 3 * DAY, NOW, NOW],
    )
    assert rings() == {}
    assert gaps(prepared)[0][4] == NOW


def test_a_source_that_cannot_be_read_now_is_in_the_table_and_is_left_to_its_own_check(
    prepared: Connection, rings: Rings
) -> None:
    pulled(prepared, NOW - 5 * HOUR)
    for hours in (4, 3, 2, 1, 0):
        pulled(prepared, NOW - hours * HOUR, problem="Centra PullOrders: it answered 503")
    assert rings() == {}
    assert gaps(prepared) == [("centra orders", NOW - 5 * HOUR, NOW, 5, None)]


def test_a_sync_every_hour_leaves_no_gap_and_a_slower_schedule_is_a_setting(prepared: Connection, rings: Rings) -> None:
    for hours in range(0, 24, 2):
        pulled(prepared, NOW - hours * HOUR)
    rings(coverage={"sync_every_minutes": 120})
    assert gaps(prepared) == []
    rings()
    assert len(gaps(prepared)) == 11


def test_the_place_of_the_exports_counts_as_a_source(prepared: Connection, rings: Rings) -> None:
    for at in (NOW - 7 * HOUR, NOW):
        prepared.execute("insert into landing.exports_looks values (?, 1, 0, true, null, 1)", [at])
    rings()
    assert gaps(prepared) == [("exports", NOW - 7 * HOUR, NOW, 7, NOW)]


def test_days_without_an_export_ring_until_they_are_delivered_or_accepted(prepared: Connection, rings: Rings) -> None:
    delivered(prepared, NOW - 5 * DAY)
    delivered(prepared, NOW - 2 * DAY)
    delivered(prepared, NOW)
    alarm = "every_hour_has_an_export_file"
    lines = rings()[alarm]
    assert [line[:36] for line in lines] == [
        "2026-09-25 12:00 to 2026-09-28 12:00",
        "2026-09-28 12:00 to 2026-09-30 12:00",
    ]
    accepted = {"accepted_days": [date(2026, 9, 26), date(2026, 9, 27), date(2026, 9, 29)]}
    assert rings(coverage=accepted) == {}
    assert rings(coverage={"exports_every_hours": 0}) == {}
    delivered(prepared, NOW - 4 * DAY, kind="returns")
    delivered(prepared, NOW - 3 * DAY, kind="returns")
    assert len(rings()[alarm]) == 1


def test_a_later_file_that_reports_the_hours_before_closes_the_gap(prepared: Connection, rings: Rings) -> None:
    delivered(prepared, NOW - 3 * DAY)
    delivered(prepared, NOW, tells_from=NOW - 3 * DAY + HOUR)
    assert rings() == {}


def test_silence_before_the_cutover_is_nobody_s_concern(prepared: Connection, rings: Rings) -> None:
    delivered(prepared, datetime(2026, 8, 1, tzinfo=UTC))
    delivered(prepared, datetime(2026, 8, 20, tzinfo=UTC))
    assert rings(datetime(2026, 8, 20, 6, tzinfo=UTC)) == {}


def test_exports_that_ceased_ring_now(prepared: Connection, rings: Rings) -> None:
    delivered(prepared, NOW - 40 * HOUR)
    (line,) = rings()["every_hour_has_an_export_file"]
    assert "request one" in line


# ---------------------------------------------------------------- drift


def test_a_new_column_rings_until_the_newest_file_of_its_kind_has_none(prepared: Connection, rings: Rings) -> None:
    alarm = "happy_returns_has_no_unknown_words"
    delivered(prepared, NOW - 3 * HOUR)
    delivered(prepared, NOW - 2 * HOUR, headers=["carbon_footprint", "locker"])
    delivered(prepared, NOW - HOUR, kind="returns")
    assert [line.split(" (")[0] for line in rings()[alarm]] == [
        "new column items.carbon_footprint", "new column items.locker",
    ]  # fmt: skip
    delivered(prepared, NOW, headers=["locker"])
    assert [line.split("):")[0] for line in rings()[alarm]] == ["new column items.locker (2 times since 2026-09-30"]
    delivered(prepared, NOW + HOUR)
    assert rings(NOW + HOUR) == {}


def test_a_new_column_rings_though_a_file_without_it_came_in_the_same_hour(prepared: Connection, rings: Rings) -> None:
    delivered(prepared, NOW - HOUR, headers=["carbon_footprint"])
    delivered(prepared, NOW - HOUR)
    assert [line.split(" (")[0] for line in rings()["happy_returns_has_no_unknown_words"]] == [
        "new column items.carbon_footprint"
    ]
    delivered(prepared, NOW)
    assert rings() == {}


def test_a_word_of_a_closed_list_is_reported_from_quarantine_while_its_file_is_the_latest(
    prepared: Connection, rings: Rings
) -> None:
    delivered(prepared, NOW)
    prepared.execute(
        "insert into quarantine.rejected_rows select source_file, 7, 'items', 'refund_type',"
        " 'is not listed: barter', 'raw', file_sha256, 1, received_at, 'barter' from landing.files"
    )
    (line,) = rings()["happy_returns_has_no_unknown_words"]
    assert line.startswith("new word items.refund_type = barter (1 times since 2026-09-30)")
    prepared.execute("update landing.files set file_sha256 = 'corrected'")
    assert rings() == {}


def item(connection: Connection, name: str, **given: Any) -> None:
    row = {
        "return_item_id": name, "item_id": name, "return_id": "R", "order_number": "1", "refund_type": "refund",
        "feeds": "files", "source_time": NOW, "source_file": "f", "source_line": 2, "landed_batch": 1, **given,
    }  # fmt: skip
    connection.execute(
        f"insert into staging.return_items ({', '.join(row)}) values ({', '.join('?' * len(row))})", list(row.values())
    )
    connection.execute(
        "insert into landing.happy_returns_items (return_item_id, item_id, profile, row_sha256, source_time, source_file,"
        " source_line, landed_at, batch) values (?, ?, 'default', ?, ?, 'f', 2, ?, 1)",
        [name, name, name, NOW, NOW],
    )


def test_words_that_neither_policy_nor_fact_sheet_know_are_reported(prepared: Connection, rings: Rings) -> None:
    item(prepared, "I1", dropoff_method="return-bar", received_channel="app")
    item(prepared, "I2", dropoff_method="drone", received_channel="hosted")
    item(prepared, "I3", dropoff_method="mail", received_channel="drone")
    lines = rings()["happy_returns_has_no_unknown_words"]
    assert [line.split(" (")[0] for line in lines] == [
        "new word items.dropoff_method = drone", "new word items.received_channel = drone",
    ]  # fmt: skip


def test_what_centra_will_take_away_and_what_does_not_fit_is_reported(prepared: Connection, rings: Rings) -> None:
    prepared.execute("insert into landing.centra_versions values ('v1', ['Order.customer'], ?, 1)", [NOW - DAY])
    pulled(prepared, NOW, name="returns", problem="Centra returns: 3 of 3 objects were not landed: …", refused=3)
    lines = rings()["centra_has_no_unknown_words"]
    assert [line.split(" (")[0] for line in lines] == [
        "deprecated field GraphQL.Order.customer", "unexpected shape returns.page",
    ]  # fmt: skip
    prepared.execute("insert into landing.centra_versions values ('v2', [], ?, 2)", [NOW])
    pulled(prepared, NOW + HOUR, name="returns")
    assert rings(NOW + HOUR) == {}


# ---------------------------------------------------------------- writes, exceptions, identities


def effect(connection: Connection, key: str, state: str, since: datetime) -> None:
    connection.execute(
        "insert into push.ledger (effect_key, effect_kind, order_number, currency, amount, state, updated_at)"
        " values (?, 'credit_note', '1001', 'EUR', 12.5, ?, ?)",
        [key, state, since],
    )


def test_a_write_in_doubt_rings_after_its_window_however_old_it_is(prepared: Connection, rings: Rings) -> None:
    alarm = "no_write_is_in_doubt_beyond_its_window"
    effect(prepared, "HRA", "unknown", NOW - HOUR / 2)
    effect(prepared, "HRB", "confirmed", NOW - 9 * DAY)
    assert alarm not in rings()
    effect(prepared, "HRC", "sending", NOW - 40 * DAY)
    (line,) = rings()[alarm]
    assert line.startswith("credit_note HRC of order 1001 12.50 EUR, sending since 2026-08-21 12:00")


def test_two_rows_of_one_effect_ring(prepared: Connection, rings: Rings) -> None:
    for _ in range(2):
        effect(prepared, "HRA", "confirmed", NOW)
    assert rings()["every_effect_is_in_the_ledger_once"] == ("HRA is there 2 times",)


def test_an_overdue_exception_rings_for_its_team_alone(prepared: Connection, rings: Rings) -> None:
    for number, (team, is_overdue) in enumerate([("finance", True), ("finance", False), ("warehouse", False)]):
        prepared.execute(
            "insert into reconciliation.exceptions (exception_id, kind, class, cause, culprit, severity, owner_team, return_id,"
            " currency, amount, opened_at, age_hours, age_bucket, due_at, overdue, detail, next_step, evidence)"
            " values (?, 'double_credit', 'fix_centra', 'data_gap', 'person', 'error', ?, ?, 'EUR', 7, ?, 1, '0-3', ?, ?, 'd',"
            " 'Decide.', '{}')",
            [f"EX{number}", team, f"RT-{number}", NOW - 3 * DAY, NOW - DAY, is_overdue],
        )
    assert rings() == {
        "finance_has_no_overdue_exception": (
            "Double credit: return RT-0, 7.00 EUR, open since 2026-09-27 12:00, was due 2026-09-29 12:00 UTC. d.\nNext: Decide.",
        )
    }


def test_an_alarm_is_the_same_for_the_same_troubles_whatever_their_words_and_order(prepared: Connection) -> None:
    def identity() -> str:
        found = {alarm.name: alarm for alarm in watch.alarms(prepared, NOW)}
        return found["no_write_is_in_doubt_beyond_its_window"].identity

    effect(prepared, "HRA", "unknown", NOW - 2 * DAY)
    effect(prepared, "HRB", "unknown", NOW - DAY)
    before = identity()
    prepared.execute("update push.ledger set amount = 99, updated_at = ? where effect_key = 'HRA'", [NOW - DAY / 2])
    assert identity() == before
    effect(prepared, "HRC", "unknown", NOW - DAY)
    assert identity() != before


def test_a_row_that_was_landed_and_not_staged_rings(prepared: Connection, rings: Rings) -> None:
    item(prepared, "I1")
    assert rings() == {}
    prepared.execute("delete from staging.return_items")
    assert rings()["every_landed_key_is_staged_once"] == ("units landed and staged: 1 and 0",)


def test_a_grade_that_the_policy_does_not_map_rings(prepared: Connection, rings: Rings) -> None:
    prepared.execute("insert into reconciliation.unmapped_dispositions values ('refurbish', 2, ?, 'R')", [NOW - DAY])
    assert rings()["every_disposition_is_mapped"] == ("refurbish: 2 units wait, first seen 2026-09-29",)


def test_an_alarm_with_many_troubles_shows_the_first_and_how_many_more(prepared: Connection) -> None:
    for number in range(25):
        effect(prepared, f"HR{number:02}", "unknown", NOW - DAY)
    found = {alarm.name: alarm for alarm in watch.alarms(prepared, NOW)}["no_write_is_in_doubt_beyond_its_window"]
    assert (found.found, len(found.lines)) == (25, 20)
    assert (len(found.told), found.told[-1]) == (21, "… and 5 more")


# ---------------------------------------------------------------- retention


def test_addresses_are_let_go_after_their_time_and_their_rows_stay(prepared: Connection, rings: Rings) -> None:
    for token, at in (("old", NOW - 401 * DAY), ("new", NOW - 399 * DAY)):
        prepared.execute(
            "insert into landing.personal values (?, 'happy_returns', 'customer_email', 'a@b.example', ?)", [token, at]
        )
    rings()
    assert prepared.execute("select token, value from landing.personal order by 1").fetchall() == [
        ("new", "a@b.example"), ("old", None),
    ]  # fmt: skip
