"""Frames at the edges: what is not as declared is refused by table, column and rule, and nothing of it is written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import duckdb
import pandas as pd
import pyarrow
import pytest

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.publishing import published_tables
from hr_centra_pipeline.publishing.content import Content
from hr_centra_pipeline.publishing.publish import DATABASE, publish
from hr_centra_pipeline.warehouse import frames
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline.warehouse.declare import flag, instant, money, table, text, texts, whole
from hr_centra_pipeline.warehouse.tables import DERIVED
from hr_centra_pipeline.warehouse.tables.month_end_tables import MONTHLY
from hr_centra_pipeline_tests.staged import put, template

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
UNITS = table(
    "main.units",
    "One row per unit.",
    ["id"],
    {
        "id": text("id"),
        "word": text("closed list", null=True, values=("a", "b")),
        "amount": money("amount", null=True, at_least=0),
        "pieces": whole("pieces", null=True),
        "seen_at": instant("when", null=True),
        "is_back": flag("back", null=True),
        "parts": texts("parts"),
    },
)
GOOD = {
    "id": "1",
    "word": "a",
    "amount": Decimal("1.5000"),
    "pieces": 1,
    "seen_at": NOW,
    "is_back": True,
    "parts": ["x"],
}


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    """As DuckDB hands out a table of this declaration."""
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    connection.execute(UNITS.ddl.replace(" not null", ""))
    for row in rows:
        connection.execute("insert into units values (?, ?, ?, ?, ?, ?, ?)", list(row.values()))
    return frames.frame_of(connection.execute("from units").to_arrow_table())


def test_a_frame_as_declared_passes_with_missing_values_and_amounts_stay_exact() -> None:
    found = frame(GOOD, {**dict.fromkeys(GOOD), "id": "2"})
    frames.refuse_bad(found, UNITS)
    assert found["amount"][0] == Decimal("1.5000")
    assert isinstance(found["amount"][0], Decimal)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"id": None}, "id: not_nullable"), ({"word": "c"}, "word: isin"),
        ({"amount": Decimal("-1")}, "amount: greater_than_or_equal_to(0)"),
    ],
)  # fmt: skip
def test_a_row_that_is_not_as_declared_is_refused_by_table_column_and_rule(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(frames.BadFrame) as caught:
        frames.refuse_bad(frame({**GOOD, **wrong}), UNITS)
    assert str(caught.value).startswith("main.units is not as declared (")
    assert said in str(caught.value)


def test_a_repeated_key_a_column_too_many_and_a_column_too_few_are_refused() -> None:
    with pytest.raises(frames.BadFrame, match="unique"):
        frames.refuse_bad(frame(GOOD, GOOD), UNITS)
    with pytest.raises(frames.BadFrame, match="more: column_in_schema"):
        frames.refuse_bad(frame(GOOD).assign(more=1), UNITS)
    with pytest.raises(frames.BadFrame, match="word: column_in_dataframe"):
        frames.refuse_bad(frame(GOOD).drop(columns="word"), UNITS)


def test_an_amount_that_went_through_a_float_is_refused() -> None:
    bad = frame(GOOD)
    bad["amount"] = bad["amount"].astype(float).astype(object)
    with pytest.raises(frames.BadFrame, match="amount: an exact amount"):
        frames.refuse_bad(bad, UNITS)


def test_every_declared_table_has_a_schema_that_its_empty_table_meets() -> None:
    with Warehouse(template()).transaction() as connection:
        for name, declared in DERIVED.items():
            rows = connection.execute(f"from {name}").to_arrow_table()
            assert frames.failures(frames.frame_of(rows), frames.schema_of(declared)) == [], name


@pytest.fixture
def shop(tmp_path: Path) -> tuple[Warehouse, Settings]:
    settings = Settings.from_environment({"HR_CENTRA_HOME": str(tmp_path)})
    settings.database.write_bytes(template().read_bytes())
    return Warehouse(settings.database), settings


def test_a_bad_row_is_not_published_and_readers_keep_what_they_had(shop: tuple[Warehouse, Settings]) -> None:
    warehouse, settings = shop
    publish(warehouse, settings, NOW)
    before = (settings.published / DATABASE).read_bytes()
    with warehouse.transaction() as connection:
        put(connection, "month_end.turnaround", month="2026-09", dropoff_method="bar", stretch="nowhere", units=1)
    later = NOW + timedelta(hours=25)
    with pytest.raises(frames.BadFrame, match=r"month_end\.turnaround is not as declared \(stretch: isin"):
        publish(warehouse, settings, later)
    assert (settings.published / DATABASE).read_bytes() == before
    with warehouse.transaction() as connection:
        connection.execute("update month_end.turnaround set stretch = 'refund'")
    publish(warehouse, settings, later)
    assert (settings.published / DATABASE).read_bytes() != before


class _Rows:
    def __init__(self, *rows: dict[str, Any]) -> None:
        self._rows = rows

    def rows(self, _: str) -> Iterator[dict[str, Any]]:
        yield from self._rows


def test_a_bad_row_of_a_month_is_not_written_into_its_pack(tmp_path: Path) -> None:
    assert tuple(MONTHLY["money_saved"].columns) == ("month", "measure", "currency", "units", "amount")
    row = {"month": "2026-09", "measure": "unbooked_units_value", "currency": "EUR", "units": 1, "amount": Decimal(1)}
    published_tables.write_parquet(cast(Content, _Rows(row)), "money_saved", tmp_path / "good.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "good.parquet").num_rows == 1
    with pytest.raises(frames.BadFrame, match=r"month_end\.money_saved is not as declared \(currency: str_matches"):
        published_tables.write_parquet(
            cast(Content, _Rows({**row, "currency": "euro"})), "money_saved", tmp_path / "bad.parquet"
        )
