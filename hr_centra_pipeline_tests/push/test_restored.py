"""The database is one of an earlier time, a copy or a new one: nothing is sent until what proves it was read since then."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from hr_centra_pipeline.push import coverage
from hr_centra_pipeline.push.call_journal import Attempt, Journal
from hr_centra_pipeline.push.packets import Packet
from hr_centra_pipeline.warehouse import backups, log, place
from hr_centra_pipeline_tests.harness import MAIN, Harness


def kept(harness: Harness, folder: Path) -> Path:
    """A copy of the database as it is now, without its mark."""
    harness.warehouse.fold_log_in()
    return Path(shutil.copy(harness.settings.database, folder / "kept.duckdb"))


def put_back(harness: Harness, backup: Path) -> None:
    harness.warehouse.fold_log_in()
    shutil.copy(backup, harness.settings.database)


@pytest.mark.slow
def test_put_back_from_before_a_restock_nothing_is_moved_until_the_stock_changes_were_read_since(
    at_harness: Harness, tmp_path: Path
) -> None:
    at_harness.comes_back(at_harness.sell(("DRESS-S", 1, "100.00")), grade="sellable", approved=False)
    at_harness.mode = "dry_run"
    at_harness.sync()
    backup = kept(at_harness, tmp_path)
    at_harness.mode = "live"
    at_harness.settle()
    assert at_harness.moved("DRESS-S", MAIN) == 1
    put_back(at_harness, backup)
    at_harness.may_fail = True
    at_harness.fault("error_before", "PullStockChanges", times=20)
    report = at_harness.sync()
    assert at_harness.moved("DRESS-S", MAIN) == 1
    assert (
        "Centra's stock changes have not been read completely since this database was put back from an earlier time"
        in set(report.waiting.values())
    )
    at_harness.calm_down()
    at_harness.may_fail = False
    at_harness.settle()
    assert at_harness.moved("DRESS-S", MAIN) == 1
    assert at_harness.rows("select distinct state from push.ledger where effect_kind = 'inventory_adjustment'") == [
        ("confirmed",)
    ]


def test_a_log_that_lost_its_end_while_effects_were_sent_has_to_be_proven_and_nothing_is_done_twice(
    at_harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that filled up or was repaired: what was committed before the first call is lost, although it was synced."""
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold, grade="sellable")
    database, torn = at_harness.settings.database, tmp_path / "torn.wal"
    begin = Journal.begin

    def cut_after(journal: Journal, telling: Sequence[tuple[Packet, Attempt]]) -> list[Packet]:
        before = log.size(database)
        begun = begin(journal, telling)
        if not torn.exists():
            half = (before + log.size(database)) // 2
            torn.write_bytes(log.path_of(database).read_bytes()[:half])
            shutil.copy(database, tmp_path / "as_it_was.duckdb")
        return begun

    monkeypatch.setattr(Journal, "begin", cut_after)
    at_harness.sync()  # one opening: what the mark knows beyond it are the writing calls
    assert (at_harness.refunded(sold), at_harness.moved("DRESS-S", MAIN)) == (Decimal(100), 1)
    at_harness.warehouse.fold_log_in()
    shutil.copy(tmp_path / "as_it_was.duckdb", database)
    shutil.copy(torn, log.path_of(database))
    assert at_harness.rows("select count(*) from push.packets") == [(0,)]  # DuckDB says nothing of what it dropped
    monkeypatch.undo()

    at_harness.may_fail = True
    at_harness.fault("error_before", "PullReturns", times=20)
    at_harness.sync()
    assert reasons(at_harness) == ["put_back"]
    assert (at_harness.refunded(sold), at_harness.moved("DRESS-S", MAIN)) == (Decimal(100), 1)
    at_harness.calm_down()
    at_harness.may_fail = False
    at_harness.settle()
    assert (at_harness.refunded(sold), at_harness.moved("DRESS-S", MAIN)) == (Decimal(100), 1)
    assert len(at_harness.returns_of(sold)) == 1
    assert at_harness.rows("select distinct state from push.ledger where effect_kind <> 'status_update'") == [
        ("confirmed",)
    ]


@pytest.mark.slow
def test_restored_from_before_credits_a_gift_card_an_exchange_and_restocks_nothing_is_done_twice(
    at_harness: Harness, tmp_path: Path
) -> None:
    for given in (
        {"grade": "sellable"}, {"refund_type": "gift-card", "grade": "damaged"},
        {"refund_type": "exchange", "exchange_sku": "DRESS-M", "grade": "sellable"},
    ):  # fmt: skip
        at_harness.comes_back(at_harness.sell(("DRESS-S", 1, "100.00")), **given)  # type: ignore[arg-type]
    at_harness.plan()
    database = at_harness.settings.database
    backup = backups.take(database, tmp_path / "backup.duckdb").path
    at_harness.settle()
    ledger = at_harness.records
    assert len(at_harness.orders_of_ours()) == 1
    stage = backups.examine(database, backup)
    backups.put_into_place(database, stage, by="Anna", recorded_by="anna", why="a test")
    at_harness.settle()
    assert at_harness.records == ledger
    assert at_harness.rows("select distinct state from push.ledger where effect_kind <> 'status_update'") == [
        ("confirmed",)
    ]


@pytest.mark.slow
def test_put_back_to_a_packet_that_was_taken_back_the_replacement_is_that_of_the_return_that_remains(
    at_harness: Harness, tmp_path: Path
) -> None:
    """The packet for both articles was undone; what was then ordered alone is lost with the database, and canceled later."""
    at_harness.article("LAST-M", stock=1)
    sold = at_harness.sell(("DRESS-S", 2, "100.00"))
    first = at_harness.comes_back(sold, refund_type="exchange", exchange_sku="LAST-M")
    second = at_harness.comes_back(sold, refund_type="exchange", exchange_sku="DRESS-M", with_unit=first)
    at_harness.fault(
        "person_after", "CreateReturn", act="move_stock", given={"sku": "LAST-M", "quantity": 1, "out_of": 1}
    )
    at_harness.sync()
    undone = "select packets.centra_id from push.packets where state = 'rejected' and len(members) = 2"
    ((taken_back,),) = at_harness.rows(undone)
    backup = kept(at_harness, tmp_path)
    at_harness.settle()
    (stands,) = at_harness.returns_of(sold)
    put_back(at_harness, backup)
    with at_harness.warehouse.transaction() as connection:  # as Centra's refusal of the whole packet leaves it
        connection.execute(
            "update push.ledger set state = 'rejected', packet_key = packets.packet_key from push.packets"
            " where packets.state = 'rejected' and len(packets.members) = 2 and return_item_id = ?"
            " and effect_kind = 'exchange_order'",
            [second.item],
        )
    at_harness.mode = "dry_run"
    at_harness.sync()
    of_second = f"select packet_key, centra_id from push.ledger where return_item_id = '{second.item}'"
    assert at_harness.rows(of_second) == [(stands["comment"].split()[0], str(stands["id"]))]
    assert str(stands["id"]) != taken_back
    assert len(at_harness.orders_of_ours()) == 1


def reasons(harness: Harness) -> list[str]:
    return [reason for (reason,) in harness.rows("select reason from meta.turns order by batch")]


@pytest.mark.slow
def test_a_home_that_was_copied_with_all_its_files_has_to_prove_what_is_in_centra(
    at_harness: Harness, tmp_path: Path
) -> None:
    at_harness.plan()
    at_harness.plan()
    assert reasons(at_harness) == []
    mark = place.mark_path(at_harness.settings.database)
    was, _ = place.read_mark(at_harness.settings.database)
    assert was is not None
    # As after a copy: the file is another one, and says when the first was written.
    text = mark.read_text(encoding="utf-8").replace(str(was.file_id), "1 1")
    mark.write_text(text, encoding="utf-8")
    at_harness.plan()
    assert reasons(at_harness) == ["copied"]
    mark.unlink()
    at_harness.plan()
    assert reasons(at_harness) == ["copied", "copied"]


def test_a_new_empty_database_in_a_home_that_has_worked_has_to_prove_what_is_in_centra(at_harness: Harness) -> None:
    at_harness.plan()
    at_harness.settings.database.unlink()
    at_harness.settings.database.with_name("warehouse.duckdb.wal").unlink(missing_ok=True)
    at_harness.plan()
    assert reasons(at_harness) == ["lost"]
    with at_harness.warehouse.transaction() as connection:
        assert coverage.uncovered(connection) == {}
        place.turn(connection, "restored")
        why = coverage.uncovered(connection)
    assert set(why) == {"credit", "exchange", "release", "stock", "note", "customer_note", "attribute"}


@pytest.mark.parametrize("source", ["orders", "returns", "exports"])
def test_after_a_restore_no_credit_leaves_while_one_source_is_not_read_since(at_harness: Harness, source: str) -> None:
    at_harness.plan()
    with at_harness.warehouse.transaction() as connection:
        place.turn(connection, "restored")
    at_harness.plan()
    with at_harness.warehouse.transaction() as connection:
        assert coverage.uncovered(connection) == {}
        where = "landing.exports_looks set" if source == "exports" else "landing.centra_pulls set"
        only = "" if source == "exports" else f"and object = '{source}'"
        connection.execute(
            f"update {where} is_complete = false where batch > (select max(batch) from meta.turns) {only}"
        )
        assert "credit" in coverage.uncovered(connection)


def test_a_cut_over_that_was_moved_back_is_read_back_to_once(at_harness: Harness) -> None:
    at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.plan()
    earlier = at_harness.policy.cutover.replace(year=2024)
    at_harness.policy = at_harness.policy.model_copy(update={"cutover": earlier})
    at_harness.plan()
    at_harness.plan()
    froms = at_harness.rows("select window_from from landing.centra_pulls where object = 'orders' order by batch")
    assert [at_from <= earlier for (at_from,) in froms] == [False, True, False]
    with at_harness.warehouse.transaction() as connection:
        assert coverage.uncovered(connection) == {}
