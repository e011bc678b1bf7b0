from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.oversight import published
from hr_centra_pipeline.publishing.publish import DATABASE, HISTORY, HISTORY_DATABASE, TABLES, publish
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize("is_kept_open", [False, True])
def test_what_is_published_is_in_the_file_alone_while_the_sync_keeps_its_connection(
    tmp_path: Path, is_kept_open: bool
) -> None:
    settings = Settings.from_environment({"HR_CENTRA_HOME": str(tmp_path)})
    warehouse = Warehouse(settings.database)
    migrate.prepare(warehouse)
    if is_kept_open:
        with warehouse.kept_open():
            publish(warehouse, settings, NOW)
            publish(warehouse, settings, NOW)
            assert published.as_of(settings) == NOW
    else:
        publish(warehouse, settings, NOW)
    leftovers = [
        file.name for file in settings.published.iterdir() if file.suffix not in (".parquet", ".duckdb", ".json")
    ]
    assert leftovers == []
    with duckdb.connect(settings.published / DATABASE, read_only=True) as connection:
        assert connection.execute("select count(*) from reconciliation.exceptions").fetchall() == [(0,)]


def test_the_tables_of_all_history_are_published_once_a_day_and_everything_else_each_time(tmp_path: Path) -> None:
    settings = Settings.from_environment({"HR_CENTRA_HOME": str(tmp_path)})
    warehouse = Warehouse(settings.database)
    migrate.prepare(warehouse)
    day = timedelta(hours=24)
    first = publish(warehouse, settings, NOW, history_every=day)
    assert {file.stem for file in first if file.suffix == ".parquet"} == set(TABLES)
    later = publish(warehouse, settings, NOW + timedelta(hours=23), history_every=day)
    assert {file.stem for file in later if file.suffix == ".parquet"} == set(TABLES) - set(HISTORY)
    assert published.as_of(settings) == NOW + timedelta(hours=23)
    with duckdb.connect(settings.published / HISTORY_DATABASE, read_only=True) as connection:
        assert connection.execute("select count(*) from staging.return_items").fetchall() == [(0,)]
        assert connection.execute("select as_of from meta.published").fetchall() == [(NOW,)]
    assert settings.published / HISTORY_DATABASE in publish(warehouse, settings, NOW + day, history_every=day)
    assert settings.published / HISTORY_DATABASE in publish(warehouse, settings, NOW + day)


@pytest.mark.parametrize("content", [b"", b"x" * 5000])
def test_a_published_file_that_is_damaged_or_was_cut_short_is_written_again(tmp_path: Path, content: bytes) -> None:
    settings = Settings.from_environment({"HR_CENTRA_HOME": str(tmp_path)})
    warehouse = Warehouse(settings.database)
    migrate.prepare(warehouse)
    publish(warehouse, settings, NOW)
    for name in (DATABASE, HISTORY_DATABASE, f"{DATABASE}.new", f"{DATABASE}.new.wal"):
        (settings.published / name).write_bytes(content)
    publish(warehouse, settings, NOW, history_every=timedelta(hours=24))
    for name in (DATABASE, HISTORY_DATABASE):
        with duckdb.connect(settings.published / name, read_only=True) as connection:
            assert connection.execute("select as_of from meta.published").fetchall() == [(NOW,)]
