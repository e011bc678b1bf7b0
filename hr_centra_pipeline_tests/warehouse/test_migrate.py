"""The upgrade path: a backup, one transaction, no newer database, nothing derived that is stale."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.warehouse import backups, derived, migrate, versions
from hr_centra_pipeline.warehouse.database import Warehouse

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


def test_a_newer_database_is_refused_at_every_door(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate.prepare(Warehouse(old))
    program_with(monkeypatch, *FIRST)
    with pytest.raises(RunFailed, match="made by a newer hr-centra"):
        migrate.prepare(Warehouse(old))
    with pytest.raises(RunFailed, match="made by a newer hr-centra"), Warehouse(old).transaction():
        pass


def test_who_only_reads_is_told_to_sync_when_the_database_is_older(old: Path) -> None:
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
