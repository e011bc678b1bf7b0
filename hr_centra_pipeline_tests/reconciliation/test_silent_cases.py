"""What used to be wrong without an exception, and exceptions that were there without anything being wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sources.happy_returns.export_intake import ingest
from hr_centra_pipeline.sources.happy_returns.export_profiles import load_profiles
from hr_centra_pipeline.sources.happy_returns.export_staging import refresh
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests.reconciliation.ledger_fixture import DAY, DROPPED, HOUR, NOW, LedgerFixture
from hr_centra_pipeline_tests.staged import put


def test_a_refund_by_hand_on_an_order_that_happy_returns_never_named_is_an_exception(ledger: LedgerFixture) -> None:
    ledger.sold("77")
    entry = ledger.paid("77", None, "-30.00", at=NOW - 10 * DAY)
    ledger.reconcile()
    assert ledger.open("refund_without") == [("refund_without_credit_note", None, 30, "person")]
    ledger.connection.execute("update staging.payment_entries set centra_return_id = 9 where entry_id = ?", [entry])
    ledger.reconcile(NOW + HOUR)
    assert ledger.open("refund_without") == []
    assert ledger.rows("select proof from reconciliation.exception_events where event = 'closed'") == [
        ("the refund has its Return in Centra",)
    ]


@pytest.mark.parametrize("status", ["FAILED", "SUCCESS"])
def test_what_is_no_refund_or_was_before_the_cut_over_is_none(ledger: LedgerFixture, status: str) -> None:
    ledger.sold("77")
    ledger.paid(
        "77",
        None,
        "-30.00",
        at=NOW - 10 * DAY if status == "FAILED" else datetime(2020, 1, 1, tzinfo=UTC),
        status=status,
    )
    ledger.paid("77", None, "125.00", entry_type="CAPTURE", at=NOW - 10 * DAY)
    ledger.reconcile()
    assert ledger.open("refund_without") == []


# ---------------------------------------------------------------- parcels


def handed_to_the_carrier(
    ledger: LedgerFixture, number: str, *, event: str = "dropped_off", method: str = "mail"
) -> str:
    ledger.sold(number)
    (unit,) = ledger.returned(
        number, dropoff_method=method, received_at=None, approved_at=None, warehouse_received_at=None, disposition=None,
        disposition_at=None,
    )  # fmt: skip
    ledger.connection.execute("delete from staging.return_item_events where return_item_id = ?", [unit])
    put(
        ledger.connection, "staging.return_item_events", return_item_id=unit, return_id=f"R-{number}", event=event,
        happened_at=DROPPED, is_physical=True,
    )  # fmt: skip
    return unit


@pytest.mark.parametrize(("event", "says"), [("dropped_off", "Dropped off on"), ("hub_received", "Seen at the hub on")])
def test_a_parcel_that_is_lost_after_its_drop_off_stalls(ledger: LedgerFixture, event: str, says: str) -> None:
    unit = handed_to_the_carrier(ledger, "5", event=event)
    ledger.reconcile(DROPPED + 2 * DAY)
    assert ledger.open("stalled") == []
    assert ledger.rows(f"select waits_for, verdict from reconciliation.delays where return_item_id = '{unit}'") == [
        ("the goods", "in_time")
    ]
    ledger.reconcile(DROPPED + 60 * DAY)
    assert ledger.open("stalled") == [("stalled_return", "R-5", 125, "logistics")]
    ((detail,),) = ledger.rows("select detail from reconciliation.exceptions where kind = 'stalled_return'")
    assert detail.startswith(f"{says} 2026-09-02 and not heard of since")


def test_the_drop_off_of_a_mail_parcel_is_an_event_and_that_of_a_store_is_its_receipt(tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    exports.mkdir()
    (exports / "returns-20260903T0900Z.csv").write_text(
        "return_id,order_number,express_code,refund_status,dropped_off_at,updated_at\n"
        "RT-1,1001,HRAAAAAA,dropped-off,2026-09-02T08:00:00Z,2026-09-02T08:00:00Z\n"
        "RT-2,1002,HRBBBBBB,dropped-off,2026-09-02T08:00:00Z,2026-09-02T08:00:00Z\n",
        encoding="utf-8",
    )
    (exports / "items-20260903T0900Z.csv").write_text(
        "return_id,order_number,sku,refund_type,item_id,dropoff_method,received_at,updated_at\n"
        "RT-1,1001,SKU-1,refund,I1,mail,,2026-09-01T08:00:00Z\n"
        "RT-2,1002,SKU-1,refund,I2,return-bar,2026-09-02T08:00:00Z,2026-09-02T08:00:00Z\n",
        encoding="utf-8",
    )
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    migrate.prepare(warehouse)
    ingest(warehouse, str(exports), load_profiles(Path("/nowhere")), NOW)
    refresh(warehouse, NOW)
    with warehouse.transaction() as connection:
        events = connection.execute(
            "select return_item_id, event from staging.return_item_events where is_physical order by all"
        ).fetchall()
    assert events == [("I1", "dropped_off"), ("I2", "received")]


# ---------------------------------------------------------------- the dry run


def in_mode(connection: Connection, mode: str) -> None:
    policy = {
        "cutover": datetime(2026, 6, 1, tzinfo=UTC), "dispositions": {"sellable": {"warehouse_id": 1}},
        "pays_through": {"refund": "centra", "gift-card": "elsewhere"},
        "modes": dict.fromkeys(("credit_note", "inventory_adjustment", "status_update"), "live"),
    }  # fmt: skip
    write_policy(connection, Policy.model_validate(policy), "live" if mode == "live" else "dry_run")


@pytest.mark.parametrize(("mode", "is_late"), [("dry_run", False), ("live", True)])
def test_what_is_open_only_because_it_is_a_dry_run_is_a_list_of_its_own_and_never_overdue(
    ledger: LedgerFixture, mode: str, is_late: bool
) -> None:
    in_mode(ledger.connection, mode)
    ledger.sold("5")
    ledger.returned("5")
    ledger.reconcile(NOW)
    ledger.reconcile(NOW + 60 * DAY)
    kinds = "kind in ('return_without_credit_note', 'return_without_stock_movement', 'status_not_updated')"
    here, elsewhere = ("exceptions", "dry_run_items") if is_late else ("dry_run_items", "exceptions")
    found = ledger.rows(
        f"select distinct kind, overdue, severity from reconciliation.{here} where {kinds} order by all"
    )
    assert not ledger.rows(f"from reconciliation.{elsewhere} where {kinds}")
    assert not is_late or ledger.rows("from reconciliation.stock_gaps")
    assert is_late or not ledger.rows("from reconciliation.stock_gaps"), "a family is a part of what is open"
    assert [row[0] for row in found] == [
        "return_without_credit_note",
        "return_without_stock_movement",
        "status_not_updated",
    ]
    assert {row[1:] for row in found} == {(True, "error") if is_late else (False, "info")}


def test_what_someone_has_to_fix_is_overdue_in_a_dry_run_too(ledger: LedgerFixture) -> None:
    in_mode(ledger.connection, "dry_run")
    ledger.sold("5", captured=0)
    ledger.returned("5")
    ledger.reconcile(NOW)
    ledger.reconcile(NOW + 60 * DAY)
    assert ledger.rows("select overdue from reconciliation.exceptions where kind = 'return_without_credit_note'") == [
        (True,)
    ]


def test_a_status_that_the_first_live_sync_leaves_for_one_note_with_the_money_is_closed(ledger: LedgerFixture) -> None:
    in_mode(ledger.connection, "dry_run")
    ledger.sold("5")
    ledger.returned("5")
    ledger.reconcile(NOW)
    assert ledger.rows("from reconciliation.dry_run_items where kind = 'status_not_updated'")
    in_mode(ledger.connection, "live")
    ledger.connection.execute(
        "update push.ledger set reason = 'waits for the credit of its order: one note reports both',"
        " reason_code = 'waits_for_credit', planned_at = ? where effect_kind = 'status_update'",
        [NOW],
    )
    ledger.reconcile(NOW + HOUR)
    assert ledger.open("status_not_updated") == []
    assert not ledger.rows("from reconciliation.dry_run_items where kind = 'status_not_updated'")
