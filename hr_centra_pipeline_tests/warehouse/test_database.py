from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline.warehouse.lock import held
from hr_centra_pipeline.warehouse.tables import DERIVED


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    migrate.prepare(warehouse)
    return warehouse


def test_what_fails_half_way_leaves_nothing_behind(warehouse: Warehouse) -> None:
    with pytest.raises(duckdb.Error), warehouse.transaction() as connection:  # noqa: PT012 - both statements belong to it
        connection.execute("insert into meta.watermarks (consumer, batch, updated_at) values ('reader', 1, now())")
        connection.execute("insert into no.such_table values (1)")
    with warehouse.transaction() as connection:
        assert connection.execute("select count(*) from meta.watermarks").fetchone() == (0,)


def test_the_session_s_time_zone_is_utc_wherever_it_runs(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    with warehouse.transaction() as connection:
        row = connection.execute("select timestamptz '2026-09-30 12:00:00+00'::varchar").fetchone()
    assert row == ("2026-09-30 12:00:00+00",)


def test_a_file_that_another_process_holds_is_named_after_the_wait(warehouse: Warehouse) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold_open, args=(warehouse.path, ready, done))
    other.start()
    try:
        assert ready.wait(20)
        with pytest.raises(RunFailed, match=r"warehouse\.duckdb"), warehouse.transaction(wait_seconds=0.2):
            pass
    finally:
        done.set()
        other.join()


def _hold_open(path: Path, ready: object, done: object) -> None:
    connection = duckdb.connect(path)
    ready.set()  # type: ignore[attr-defined]
    done.wait(20)  # type: ignore[attr-defined]
    connection.close()


def test_preparing_twice_changes_nothing(warehouse: Warehouse) -> None:
    def everything() -> list[tuple[object, ...]]:
        with warehouse.transaction() as connection:
            return connection.execute(
                "select schema_name, table_name, sql from duckdb_tables() order by all"
            ).fetchall()

    before = everything()
    migrate.prepare(warehouse)
    assert everything() == before


def test_a_newer_database_is_refused_with_both_versions(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        connection.execute("insert into meta.schema_versions values (9999, now())")
    with pytest.raises(RunFailed, match="9999"):
        migrate.prepare(warehouse)


def test_every_declared_table_exists_with_the_declared_columns(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        for name, declared in DERIVED.items():
            found = connection.execute(f"describe {name}").fetchall()
            assert [column[0] for column in found] == list(declared.columns), name


def test_money_is_never_a_float_in_any_table(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        rows = connection.execute(
            "select table_schema, table_name, column_name from information_schema.columns"
            " where data_type in ('DOUBLE', 'FLOAT')"
        ).fetchall()
    assert rows == []


def test_dropping_what_is_derived_keeps_state(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        connection.execute(
            "insert into push.adoptions (return_id, adopted_by, why, adopted_at) values ('return', 'Anna', 'asked for', now())"
        )
        migrate.drop_derived(connection)
        assert connection.execute("select return_id from push.adoptions").fetchall() == [("return",)]


def test_the_lock_names_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "sync.lock"
    with (
        held(path, "hourly sync"),
        pytest.raises(RunFailed, match=rf"hourly sync \(pid {os.getpid()}"),
        held(path, "plan"),
    ):
        pass


def test_the_lock_is_free_as_soon_as_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "sync.lock"
    code = (
        "import sys, time, pathlib; from hr_centra_pipeline.warehouse.lock import held\n"
        "with held(pathlib.Path(sys.argv[1]), 'sync'):\n    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RunFailed), held(path, "other"):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    before = time.monotonic()
    with held(path, "next sync", wait_seconds=5):
        assert time.monotonic() - before < 5
