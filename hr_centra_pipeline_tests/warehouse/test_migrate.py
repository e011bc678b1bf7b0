"""The upgrade path: a backup, one transaction, no newer database, nothing derived that is stale."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.warehouse import backups, derived, migrate, versions
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline.warehouse.tables.month_end_tables import MONTHLY, PUBLISHED_AS

FIRST = versions.migrations()[:1]
EVERY = versions.migrations()


def program_with(monkeypatch: pytest.MonkeyPatch, *migrations: tuple[int, str]) -> None:
    monkeypatch.setattr(versions, "migrations", lambda: tuple(sorted(migrations)))


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database of the first version, with a row of state in it."""
    path = tmp_path / "warehouse.duckdb"
    program_with(monkeypatch, *FIRST)
    warehouse = Warehouse(path)
    migrate.prepare(warehouse)
    with warehouse.transaction() as connection:
        connection.execute("insert into push.adoptions values ('return', 'Anna', 'asked for', now())")
        derived.forget_stale(connection, "policy")
    program_with(monkeypatch, *EVERY)
    return path


def test_before_each_migration_the_file_is_copied_and_the_copy_opens(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program_with(monkeypatch, *FIRST, (2, "create table push.two (x int)"), (3, "create table push.three (x int)"))
    migrate.prepare(Warehouse(old))
    kept = backups.existing(old)
    assert [file.name for file in kept] == ["warehouse.before-0002.duckdb", "warehouse.before-0003.duckdb"]
    with duckdb.connect(kept[1], read_only=True) as copy:
        assert versions.applied(copy) == {1, 2}
        assert copy.execute("select return_id from push.adoptions").fetchall() == [("return",)]
    assert kept[0].stat().st_mode & 0o077 == 0


def test_a_new_database_needs_no_backup(tmp_path: Path) -> None:
    migrate.prepare(Warehouse(tmp_path / "new.duckdb"))
    assert backups.existing(tmp_path / "new.duckdb") == []


def test_only_the_newest_backups_are_kept(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [(number, f"create table push.t{number} (x int)") for number in range(2, 10)]
    program_with(monkeypatch, *FIRST, *many)
    migrate.prepare(Warehouse(old))
    assert [file.name[-11:-7] for file in backups.existing(old)] == ["0005", "0006", "0007", "0008", "0009"]


def test_a_failing_migration_is_rolled_back_whole_and_names_the_backup(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program_with(monkeypatch, *FIRST, (2, "create table push.two (x int); insert into push.nowhere values (1)"))
    with pytest.raises(RunFailed, match=r"migration 0002 failed and was rolled back: .*before-0002\.duckdb"):
        migrate.prepare(Warehouse(old))
    with duckdb.connect(old, read_only=True) as connection:
        assert versions.applied(connection) == {1}
        tables = connection.execute("select table_name from duckdb_tables() where table_name = 'two'").fetchall()
    assert tables == []


def test_without_room_for_a_backup_nothing_is_changed(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(RunFailed, match="no room for a backup"):
        migrate.prepare(Warehouse(old))
    with duckdb.connect(old, read_only=True) as connection:
        assert versions.applied(connection) == {1}


def test_a_migration_with_a_lower_number_than_the_newest_is_applied_too(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Branches number theirs in ranges, and are merged in any order."""
    program_with(monkeypatch, *FIRST, (30, "create table push.thirty (x int)"))
    migrate.prepare(Warehouse(old))
    program_with(
        monkeypatch, *FIRST, (20, "create table push.twenty (x int)"), (30, "create table push.thirty (x int)")
    )
    warehouse = Warehouse(old)
    migrate.prepare(warehouse)
    with warehouse.transaction() as connection:
        assert versions.applied(connection) == {1, 20, 30}


def test_a_newer_database_is_refused_by_every_entry_point(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate.prepare(Warehouse(old))
    program_with(monkeypatch, *FIRST)
    with pytest.raises(RunFailed, match="made by a newer hr-centra"):
        migrate.prepare(Warehouse(old))
    with pytest.raises(RunFailed, match="made by a newer hr-centra"), Warehouse(old).transaction():
        pass


def test_who_only_reads_has_to_sync_when_the_database_is_older(old: Path) -> None:
    told = r"made by an older hr-centra .*run `hr-centra sync` first"
    with pytest.raises(RunFailed, match=told), Warehouse(old).transaction():
        pass
    warehouse = Warehouse(old)
    migrate.prepare(warehouse)
    with Warehouse(old).transaction() as connection:
        assert versions.applied(connection) == {number for number, _ in EVERY}


def test_an_upgrade_makes_derived_tables_stale_and_keeps_state(old: Path) -> None:
    warehouse = Warehouse(old)
    migrate.prepare(warehouse)
    with warehouse.transaction() as connection:
        connection.execute(
            "insert into meta.watermarks (consumer, batch, updated_at) values ('staging.happy_returns', 7, now())"
        )
        derived.forget_stale(connection, "policy")
        assert connection.execute("select * from meta.watermarks").fetchall() == []
        assert connection.execute("select return_id from push.adoptions").fetchall() == [("return",)]
        assert not derived.forget_stale(connection, "policy")


def test_other_code_makes_derived_tables_stale(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = Warehouse(old)
    migrate.prepare(warehouse)
    with warehouse.transaction() as connection:
        derived.forget_stale(connection, "policy")
        monkeypatch.setattr(derived, "_code_of_this_program", lambda: "other code")
        assert derived.forget_stale(connection, "policy")


def test_the_tables_of_month_end_move_with_their_rows_and_keep_the_names_that_readers_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "warehouse.duckdb"
    program_with(monkeypatch, *(one for one in EVERY if one[0] < 135))
    migrate.prepare(Warehouse(path))
    state = ("closed_rows", "closes", "fact_journal", "journal_runs", "match_journal", "opening_position", "workbooks")
    with Warehouse(path).transaction() as connection:
        for name in state:
            columns = connection.execute(f"describe reconciliation.{name}").fetchall()
            values = ", ".join("'{}'" if sql == "JSON" else _A_VALUE.get(sql, "1") for _, sql, *_ in columns)
            connection.execute(f"insert into reconciliation.{name} select {values} from range(3)")
        # What can be recomputed was there, too, by a declaration of those days.
        connection.execute("create table reconciliation.month_end as select '2026-03' as month")
        rows = {name: connection.execute(f"from reconciliation.{name}").fetchall() for name in state}
        described = {name: connection.execute(f"describe reconciliation.{name}").fetchall() for name in state}
    program_with(monkeypatch, *(one for one in EVERY if one[0] < 176))  # which adds columns to them
    migrate.prepare(Warehouse(path))
    with Warehouse(path).transaction() as connection:
        for name in state:
            assert connection.execute(f"from month_end.{name}").fetchall() == rows[name]
            assert connection.execute(f"describe month_end.{name}").fetchall() == described[name]
        assert connection.execute("from reconciliation.closes").fetchall() == rows["closes"]
        left = connection.execute(
            "select table_name from duckdb_tables() where schema_name = 'reconciliation'"
        ).fetchall()
        assert {name for (name,) in left} & {*state, *MONTHLY} == set()


_A_VALUE = {"VARCHAR": "'a'", "BOOLEAN": "true", "TIMESTAMP WITH TIME ZONE": "timestamptz '2026-03-01 00:00:00+00'"}


def test_readers_views_follow_a_table_that_is_made_again_with_other_columns(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    migrate.prepare(warehouse)
    with warehouse.transaction() as connection:
        for name, public in PUBLISHED_AS.items():
            assert (
                connection.execute(f"describe {public}").fetchall() == connection.execute(f"describe {name}").fetchall()
            )
        connection.execute("drop table month_end.money_saved; create table month_end.money_saved (other int)")
        migrate.drop_derived(connection)
        assert connection.execute("from reconciliation.money_saved").fetchall() == []
