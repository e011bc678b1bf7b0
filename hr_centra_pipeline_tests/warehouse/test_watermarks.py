from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import duckdb
import pytest

from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection, sql_text
from hr_centra_pipeline.warehouse.watermarks import Watermark

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)


@pytest.fixture
def connection() -> Iterator[Connection]:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("create schema meta")
        connection.execute(
            "create table meta.watermarks (consumer varchar not null, batch bigint not null, updated_at timestamptz not null)"
        )
        connection.execute(
            "insert into meta.watermarks select unnest($consumers), unnest([4, 5, 6]), $now",
            {"consumers": ["month_end 2026-03", "staging.payouts ab12", "matching"], "now": NOW},
        )
        connection.execute(sql_text("hr_centra_pipeline.warehouse.migrations", "0130_watermarks.sql"))
        yield connection


def test_an_upgrade_keeps_what_was_read_but_for_what_is_staged_again(connection: Connection) -> None:
    assert watermarks.parts(connection, watermarks.MONTH_END) == {"2026-03": Watermark(4, NOW)}
    assert watermarks.find(connection, watermarks.MATCHING) == Watermark(6, NOW)
    assert watermarks.read(connection, watermarks.PAYOUTS, "ab12") == watermarks.NOTHING


def test_the_last_write_of_a_consumer_and_part_holds(connection: Connection) -> None:
    watermarks.write(connection, watermarks.MATCHING, 7, NOW)
    watermarks.write(connection, watermarks.MATCHING, 8, NOW)
    watermarks.write(connection, watermarks.MONTH_END, 9, NOW, part="2026-04")
    assert watermarks.read(connection, watermarks.MATCHING) == 8
    assert {part: one.batch for part, one in watermarks.parts(connection, watermarks.MONTH_END).items()} == {
        "2026-03": 4, "2026-04": 9,
    }  # fmt: skip


def test_what_was_made_with_something_else_was_not_read(connection: Connection) -> None:
    watermarks.write(connection, watermarks.CENTRA, 7, NOW, made_with="one")
    assert watermarks.read(connection, watermarks.CENTRA, "one") == 7
    assert watermarks.read(connection, watermarks.CENTRA, "another") == watermarks.NOTHING
    assert watermarks.read(connection, watermarks.HAPPY_RETURNS) == watermarks.NOTHING
