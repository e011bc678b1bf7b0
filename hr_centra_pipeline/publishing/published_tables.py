"""A month's tables as CSV and Parquet. The same rows give the same bytes."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hr_centra_pipeline.publishing.content import Content
from hr_centra_pipeline.publishing.sheet import FORMULA_STARTS
from hr_centra_pipeline.warehouse.tables.month_end_tables import MONTHLY

_TYPES = {
    "VARCHAR": pa.string(), "BIGINT": pa.int64(), "BOOLEAN": pa.bool_(),
    "DECIMAL(18,4)": pa.decimal128(18, 4), "DECIMAL(38,4)": pa.decimal128(38, 4),
    "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"), "DATE": pa.date32(),
}  # fmt: skip
_AT_ONCE = 50_000


def write_csv(content: Content, name: str, path: Path) -> int:
    """UTF-8, times in UTC, amounts exact; a text that could start a formula gets a quote in front. Answers the rows."""
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\r\n")  # RFC 4180; so that a text with a lone \r is quoted, too
        writer.writerow(MONTHLY[name].columns)
        for row in content.rows(name):
            writer.writerow([_shown(value) for value in row.values()])
            count += 1
    return count


def _shown(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case Decimal() | int():
            return str(value)
        case _:
            text = str(value)
            return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def write_parquet(content: Content, name: str, path: Path) -> None:
    """Typed as declared: amounts are decimals, times have their zone. Every row is validated before it is written.

    A month's tables are what finance signs, and are written a few times a month: they are validated whole, 50,000 rows at a
    time (0.15 s for all tables of a small month, about 0.2 s for each 50,000 rows of a table).

    Raises:
        BadFrame: rows are not as declared; the message names the table, and the column with its rule.
    """
    from hr_centra_pipeline.warehouse import frames  # takes its time

    declared = MONTHLY[name]
    schema = pa.schema(
        [
            pa.field(column, _TYPES[sql], nullable=declared.declared[column].nullable)
            for column, sql in declared.columns.items()
        ]
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        rows = content.rows(name)
        while batch := list(islice(rows, _AT_ONCE)):
            typed = pa.Table.from_pylist(batch, schema=schema)
            frames.refuse_bad(frames.frame_of(typed), declared)
            writer.write_table(typed)
