"""The rows that pages are tested with are rows that the declared tables take."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from hr_centra_pipeline.publishing.page_tables import PAGE_TABLES, VERSION
from hr_centra_pipeline_tests.pages.page_fixture import exception_id, fill, return_id


def test_every_table_has_rows_and_the_counts_are_those_of_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "pages.sqlite"
    fill(path, returns=60, exceptions=40)
    assert path.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma user_version").fetchone() == (VERSION,)
        for table in PAGE_TABLES:
            assert connection.execute(f"select count(*) from {table.name}").fetchone()[0] > 0, table.name
        counted = connection.execute(
            "select state, sum(exceptions), sum(overdue) from exception_counts group by state"
        ).fetchall()
        there = connection.execute("select state, count(*), sum(overdue) from exceptions group by state").fetchall()
        assert sorted(counted) == sorted(there)
        assert {state: count for state, count, _ in there} == {"open": 40, "dry_run": 4, "closed": 4}
        (story,) = connection.execute("select story from returns where return_id = ?", [return_id(3)]).fetchone()
        assert json.loads(story)["return_id"] == return_id(3)
        assert connection.execute("select 1 from exceptions where exception_id = ?", [exception_id(0)]).fetchone() == (
            1,
        )
