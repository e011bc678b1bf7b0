from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.month_end import cost_intake

HEADER = b"sku,currency,unit_cost\n"


def loaded(path: Path, raw: bytes) -> list[tuple[object, ...]]:
    path.write_bytes(raw)
    with duckdb.connect() as connection:
        count = cost_intake.load(connection, path)
        rows = connection.execute("from unit_costs order by all").fetchall()
    assert count == len(rows)
    return rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "costs.csv"


def test_a_file_as_a_spreadsheet_saves_it_is_read(path: Path) -> None:
    raw = b"\xef\xbb\xbfSKU, Currency ,unit_cost\r\nA,EUR,12\r\n\r\n B ,EUR,0.5\r\nB,SEK,1e2"
    assert loaded(path, raw) == [("A", "EUR", Decimal(12)), ("B", "EUR", Decimal("0.5")), ("B", "SEK", Decimal(100))]


def test_line_ends_of_an_old_macintosh_are_line_ends(path: Path) -> None:
    assert loaded(path, HEADER.replace(b"\n", b"\r") + b"A,EUR,12.50\r") == [("A", "EUR", Decimal("12.50"))]


def test_there_need_be_no_file(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        assert cost_intake.load(connection, None) == 0
        assert cost_intake.load(connection, tmp_path / "costs.csv") == 0
        assert connection.execute("from unit_costs").fetchall() == []


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "costs.csv:1: the header has to be sku,currency,unit_cost"),
        (HEADER + b"A,EUR,12\nB,EUR,12,50\n", "costs.csv:3: has 4 of 3 columns"),  # 12 would be 0.50 too little
        (HEADER + b"A,EUR\n", "costs.csv:2: has 2 of 3 columns"),
        (HEADER + b"\xc4rmel,EUR,12\n", "costs.csv:2: is not UTF-8"),
        (b"\xff\xfes\x00k\x00", "costs.csv:1: is not UTF-8"),
        (HEADER + b'"A,EUR,12\n', "costs.csv:2: has a quote that is never closed"),
        (HEADER + b"A,EUR,NaN\n", "costs.csv:2: give a SKU"),
        (HEADER + b"A,EUR,Infinity\n", "costs.csv:2: give a SKU"),
        (HEADER + b"A,EUR,-1\n", "costs.csv:2: give a SKU"),
        (HEADER + b"A,EUR,10000000000\n", "from 0 to below 10,000,000,000"),
        (HEADER + b",EUR,1\n", "costs.csv:2: give a SKU"),
        (HEADER + b"A,EURO,1\nB,EUR,x\n", "costs.csv:2: give a SKU"),
        (HEADER + b"AB,EUR,1\nB,EUR,x\nC,E,1\n", "costs.csv:3: 'x' is not an amount"),
        (HEADER + b"A,EUR,1\nB,EUR,1\nA,EUR,2\nA,EUR,3\n", "costs.csv:4: A in EUR is in the file twice"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(path: Path, raw: bytes, said: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        loaded(path, raw)
    assert said in str(error.value)


def test_a_folder_in_its_place_is_named(path: Path) -> None:
    path.mkdir()
    with duckdb.connect() as connection, pytest.raises(ConfigurationError, match="is a folder, pipe, socket or device"):
        cost_intake.load(connection, path)
