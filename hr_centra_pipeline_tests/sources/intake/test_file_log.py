from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import duckdb
import pytest

from hr_centra_pipeline.sources.intake.arrivals import UNREAD, Refusal
from hr_centra_pipeline.sources.intake.file_log import FileLog, Fingerprint, LogTable
from hr_centra_pipeline.sources.intake.places import Listed
from hr_centra_pipeline.warehouse.database import Connection

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
FILE = Listed("a.csv", "/in/a.csv", 7, datetime(2026, 9, 30, tzinfo=UTC))
PRESENT = Fingerprint("whole 1", "reading 1")
TABLES = [
    LogTable("files", "profiles", "columns", "export", empty_is_good=True),
    LogTable("files", "profiles", "columns", "settlement file", kind="payouts", keeps_time_of_unread=False),
]


@pytest.fixture
def connection() -> Iterator[Connection]:
    with duckdb.connect() as connection:
        connection.execute(
            """
            create table files (
                source_file varchar, file_sha256 varchar, byte_size bigint, modified_at timestamptz, rows_read bigint,
                rows_landed bigint, rows_rejected bigint, problem varchar, batch bigint, received_at timestamptz,
                profiles varchar, columns varchar
            );
            create schema quarantine;
            create table quarantine.rejected_rows (
                source_file varchar, source_line bigint, kind varchar, column_name varchar, reason varchar, raw_text varchar,
                file_sha256 varchar, batch bigint, rejected_at timestamptz, word varchar
            );
            """
        )
        yield connection


@pytest.fixture(params=TABLES, ids=lambda table: str(table.what))
def table(request: pytest.FixtureRequest) -> LogTable:
    table: LogTable = request.param
    return table


def test_a_file_is_new_until_it_was_read_and_again_when_what_is_read_of_it_changed(
    connection: Connection, table: LogTable
) -> None:
    log = FileLog(connection, table, PRESENT)
    assert log.new([FILE]) == [FILE]
    log.keep(connection, [log.row(FILE, "sha", 1, (5, 5, 0))], NOW)
    for present, is_new in (
        (PRESENT, False), (Fingerprint("whole 2", "reading 1"), False), (Fingerprint("whole 2", "reading 2"), True),
    ):  # fmt: skip
        assert bool(FileLog(connection, table, present).new([FILE])) == is_new
    assert FileLog(connection, table, PRESENT).new([replace(FILE, size=8)])


@pytest.mark.parametrize(("counts", "problem"), [((5, 4, 1), None), ((0, 0, 0), "is empty")])
def test_what_was_refused_in_part_or_whole_is_new_with_other_profiles(
    connection: Connection, table: LogTable, counts: tuple[int, int, int], problem: str | None
) -> None:
    log = FileLog(connection, table, PRESENT)
    log.keep(connection, [log.row(FILE, "sha", 1, counts, problem)], NOW)
    assert not FileLog(connection, table, PRESENT).new([FILE])
    assert FileLog(connection, table, Fingerprint("whole 2", "reading 1")).new([FILE])


def test_a_refusal_is_said_once_and_again_when_other_profiles_say_otherwise(
    connection: Connection, table: LogTable, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    said = [
        ("whole 1", "its header is of anna@example.com"), ("whole 2", "its header is of anna@example.com"),
        ("whole 3", "is something else"),
    ]  # fmt: skip
    news = []
    for batch, (whole, problem) in enumerate(said):
        log = FileLog(connection, table, Fingerprint(whole, "reading 1"))
        assert log.new([FILE]) == [FILE]
        news.append(log.refuse(connection, {batch: Refusal(FILE, "sha", problem)}, NOW))
        assert not FileLog(connection, table, Fingerprint(whole, "reading 1")).new([FILE])
    assert news == [1, 0, 1]
    assert [record.getMessage() for record in caplog.records] == [
        f"{table.what} a.csv is refused: its header is of …@…", f"{table.what} a.csv is refused: is something else",
    ]  # fmt: skip
    # Only what is wrong with it now.
    assert connection.execute("select kind, reason, source_line from quarantine.rejected_rows").fetchall() == [
        (table.kind, "is something else", None)
    ]


def test_a_file_that_could_not_be_read_is_tried_again_and_named_once(connection: Connection, table: LogTable) -> None:
    news = []
    for batch, trouble in enumerate(("cannot be read: rights", "cannot be read: it was not read within 9 s")):
        log = FileLog(connection, table, PRESENT)
        assert log.new([FILE]) == [FILE]
        refusal = Refusal(FILE, UNREAD, trouble, was_fetched=False)
        assert log.is_still_unread(refusal) == bool(batch)
        news.append(log.refuse(connection, {batch: refusal}, NOW))
    assert news == [1, 0]
    log = FileLog(connection, table, PRESENT)
    assert log.refuse(connection, {9: Refusal(FILE, UNREAD, "cannot be landed: OutOfMemoryException")}, NOW) == 1
    assert log.new([FILE]) == [FILE]
