from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from hr_centra_pipeline.warehouse.database import Connection, run_sql
from hr_centra_pipeline_tests.reconciliation.ledger_fixture import DAY, DROPPED, HOUR, NOW, LedgerFixture
from hr_centra_pipeline_tests.staged import put

TODAY = datetime(2026, 9, 20, 12, tzinfo=UTC)
WEEKS = 20


def history(
    connection: Connection,
    *,
    hours: float = 48,
    per_week: int = 40,
    slow_weeks: range = range(0),
    slow_hours: float = 480,
) -> None:
    """Units that were dropped off in each of the last weeks and reached a hub about so many hours later."""
    random, rows = Random(1), []
    for week in range(WEEKS):
        for position in range(per_week):
            usual = slow_hours if week in slow_weeks else hours
            dropped = TODAY - (week + 1) * 7 * DAY + position * HOUR
            rows.append((f"H-{week}-{position}", dropped, dropped + timedelta(hours=usual * random.uniform(0.5, 1))))
    units, drops, hubs = (list(column) for column in zip(*rows, strict=True))
    connection.execute("delete from staging.return_items where order_number = '-'")
    connection.execute("delete from staging.return_item_events where starts_with(return_item_id, 'H-')")
    put(
        connection,
        "staging.return_items",
        return_item_id="H",
        order_number="-",
        refund_type="refund",
        dropoff_method="return-bar",
    )
    connection.execute(
        "insert into staging.return_items select items.* replace (unit as return_item_id, unit as return_id)"
        " from staging.return_items as items, (select unnest($units) as unit) where return_item_id = 'H'",
        {"units": units},
    )
    connection.execute(
        "insert into staging.return_item_events"
        " select unnest($units), unnest($units), 'received', unnest($drops), true, null"
        " union all select unnest($units), unnest($units), 'hub_received', unnest($hubs), true, null",
        {"units": units, "drops": drops, "hubs": hubs},
    )


def learned(connection: Connection) -> tuple[Any, ...]:
    run_sql(connection, "hr_centra_pipeline.reconciliation", "lateness.sql", {"now": TODAY})
    row = connection.execute(
        "select p50_hours, p95_hours, is_learned, window_hours from reconciliation.lateness"
        " where stage = 'received' and dropoff_method = 'return-bar'"
    ).fetchone()
    assert row is not None
    return row


def test_late_is_what_takes_longer_than_95_of_100_of_our_own_history_times_the_factor(prepared: Connection) -> None:
    history(prepared)
    p50, p95, is_learned, window = learned(prepared)
    assert 32 <= p50 <= 40
    assert 45 <= p95 <= 48
    assert (is_learned, window) == (True, -(-p95 * 3 // 2))


def test_the_policy_s_window_holds_until_there_is_enough_history(prepared: Connection) -> None:
    history(prepared, per_week=5)
    assert learned(prepared)[2:] == (False, 432)


def test_two_weeks_in_which_everything_stood_still_do_not_move_the_line(prepared: Connection) -> None:
    history(prepared)
    calm = learned(prepared)
    history(prepared, slow_weeks=range(5, 7))
    shaken = learned(prepared)
    assert abs(shaken[1] - calm[1]) <= 1


def test_a_lasting_change_moves_the_line(prepared: Connection) -> None:
    history(prepared, slow_weeks=range(0, WEEKS), slow_hours=120)
    assert 110 <= learned(prepared)[1] <= 120


def test_a_window_is_never_twice_as_long_as_the_policy_s_nor_shorter_than_a_day(prepared: Connection) -> None:
    history(prepared, hours=2)
    assert learned(prepared)[3] == 24
    history(prepared, hours=900)
    assert learned(prepared)[3] == 864


def on_its_way(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    ledger.told("1001", ledger.returned("1001", warehouse_received_at=None, disposition=None, disposition_at=None))
    ledger.credited("1001", ["1001-0"], 1)
    ledger.connection.execute(
        "delete from staging.return_item_events where event = 'warehouse_received' and return_id = 'R-1001'"
    )


def test_a_parcel_is_stalled_by_our_own_history_and_stays_open_when_the_line_moves(ledger: LedgerFixture) -> None:
    on_its_way(ledger)
    ledger.reconcile(DROPPED + 5 * DAY)
    assert ledger.open("stalled") == []
    history(ledger.connection)
    ledger.connection.execute("delete from reconciliation.lateness")
    ledger.reconcile(DROPPED + 5 * DAY)
    assert [(kind, culprit) for kind, _, _, culprit in ledger.open("stalled")] == [("stalled_return", "logistics")]
    ((detail, last, waited),) = ledger.rows(
        "select detail, evidence::json ->> 'last_event', (evidence::json ->> 'waited_hours')::bigint from reconciliation.exceptions"
        " where kind = 'stalled_return'"
    )
    assert "95 of 100 take at most" in detail
    assert (last, waited) == ("received", 120)
    # The carrier becomes slow for good: what is open stays open until it is seen.
    ledger.connection.execute("update reconciliation.lateness set window_hours = 400, computed_at = ?", [NOW])
    ledger.reconcile(DROPPED + 6 * DAY)
    assert len(ledger.open("stalled")) == 1
    assert (
        "not covered"
        not in ledger.rows("select detail from reconciliation.exceptions where kind = 'stalled_return'")[0][0]
    )


def delay(ledger: LedgerFixture) -> tuple[Any, ...]:
    ((row),) = ledger.rows("select waits_for, verdict, was_called, answer, reason from reconciliation.delays")
    return row


def test_a_delay_is_logistics_while_the_goods_travel(ledger: LedgerFixture) -> None:
    on_its_way(ledger)
    ledger.reconcile(DROPPED + 10 * DAY)
    assert delay(ledger)[:3] == ("the goods", "in_time", False)
    ledger.reconcile(DROPPED + 19 * DAY)
    assert delay(ledger)[:3] == ("the goods", "logistics_delay", False)


def test_a_delay_is_ours_when_our_call_is_due_and_shows_what_centra_answered(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    ledger.told("1001", ledger.returned("1001"))
    ledger.reconcile(DROPPED + 3 * HOUR)
    assert delay(ledger)[:3] == ("our credit", "in_time", False)
    ledger.connection.execute(
        "update push.ledger set packet_key = 'PKX', state = 'unknown' where effect_kind = 'credit_note'"
    )
    ledger.connection.execute(
        "insert into push.attempts (attempt_id, packet_key, step, operation, started_at, real_started_at, outcome, http_status,"
        " message) values ('a', 'PKX', 'create_return', 'CreateReturn', ?, ?, 'unknown', 499, 'closed')",
        [DROPPED + 4 * HOUR, DROPPED + 4 * HOUR],
    )
    ledger.reconcile(DROPPED + 3 * DAY)
    assert delay(ledger)[:4] == ("our credit", "system_error", True, "unknown HTTP 499 closed")


def test_who_does_not_approve_or_grade_is_happy_returns(ledger: LedgerFixture) -> None:
    ledger.sold("1001")
    ledger.returned("1001", approved_at=None, disposition=None, disposition_at=None)
    ledger.reconcile(DROPPED + 9 * DAY)
    assert delay(ledger)[:2] == ("an approval", "happy_returns_delay")
