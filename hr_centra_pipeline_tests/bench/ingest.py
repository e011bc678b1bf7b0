"""A million item rows from CSV to landing, next to pandas doing the same and to DuckDB only reading the file."""

from __future__ import annotations

import gc
import hashlib
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pandas as pd
import pandera.pandas as pa

from hr_centra_pipeline.sources.happy_returns.export_intake import ingest
from hr_centra_pipeline.sources.happy_returns.export_kinds import KINDS
from hr_centra_pipeline.sources.happy_returns.export_profiles import load_profiles
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline.warehouse.frames import schema_of
from hr_centra_pipeline_tests.bench.measured import Measured, in_turn

ROWS = 1_000_000
_ROUNDS = 3
_NOW = datetime(2026, 10, 2, 12, tzinfo=UTC)
_KIND = KINDS["items"]
_TIMES = [name for name, sql in _KIND.brought.items() if sql == "TIMESTAMPTZ"] + ["updated_at"]
_NUMBERS = [name for name, sql in _KIND.brought.items() if sql == "BIGINT"]


def write_items(path: Path, rows: int) -> None:
    """Item rows of the default profile with every column filled; one in a hundred is a repetition of the one before."""
    profile = next(profile for profile in load_profiles(Path("none of our own")) if profile.name == "default")

    def stamp(days: int, offset: str) -> str:
        return f"strftime(timestamp '2026-01-01' + interval ({days}) day + interval (i) second, '%Y-%m-%dT%H:%M:%S{offset}')"

    values = {
        "item_id": "md5(i::varchar)", "return_id": "'RT-' || (i // 2)", "express_code": "'HR' || (i // 2)",
        "order_number": "'#' || (1000 + i // 3)", "order_id": "md5((i // 3)::varchar)",
        "order_line_item_id": "(i * 7) || '-0-2'", "unit_offset": "'0'", "line_quantity": "'2'", "sku": "'SKU-' || (i % 5000)",
        "upc": "(4000000000000 + i % 5000)::varchar", "product_variant_id": "(i % 5000)::varchar",
        "label_barcode": "'LB' || i", "product_name": "'Coat, long ' || (i % 300)", "category_id": "(i % 40)::varchar",
        "return_reason": "'Too small'", "refund_type": "case when i % 9 = 0 then 'exchange' else 'refund' end",
        "exchange_sku": "case when i % 9 = 0 then 'SKU-' || (i % 4999) else '' end",
        "dropoff_method": "'RETURN_BAR'", "received_channel": "'RETURN_BAR'", "condition": "'NEW'",
        "inspection_outcome": "'PASS'", "disposition": "'SELLABLE'", "bag_barcode": "'BAG' || (i // 20)",
        "purchased_at": stamp(0, "Z"), "received_at": stamp(20, "+02:00"), "hub_received_at": stamp(23, "Z"),
        "warehouse_received_at": stamp(26, "Z"), "approved_at": stamp(20, "Z"), "refunded_at": stamp(21, "Z"),
        "updated_at": stamp(26, "Z"),
    }  # fmt: skip
    mapped = profile.columns["items"]
    columns = ", ".join(f'{values[ours]} as "{theirs}"' for ours, theirs in mapped.items())
    source = f"(select case when i % 100 = 99 then i - 1 else i end as i from range({rows}) as numbers(i) order by 1)"
    duckdb.sql(f"copy (select {columns} from {source}) to '{path}' (header)")


def measure() -> list[Measured]:
    """Seconds for a million rows. Each round starts with an empty database."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        exports = home / "exports"
        exports.mkdir()
        file = exports / "items-2026-10-01T0000Z.csv"
        write_items(file, ROWS)

        def ours() -> None:
            warehouse = _empty(home / "ours.duckdb")
            report = ingest(warehouse, str(exports), load_profiles(Path("none of our own")), _NOW)
            assert report.rows_landed + report.rows_repeated == ROWS, report

        def with_pandas() -> None:
            warehouse = _empty(home / "pandas.duckdb")
            landed = land_with_pandas(file, warehouse)
            assert landed == ROWS - ROWS // 100, landed

        def bare() -> None:
            (home / "bare.duckdb").unlink(missing_ok=True)
            with duckdb.connect(home / "bare.duckdb") as connection:
                connection.execute(f"create table items as from read_csv('{file}')")

        seconds, pandas_seconds, bare_seconds = in_turn(_ROUNDS, ours, with_pandas, bare)
    what = f"ingest of {ROWS:,} item rows"
    return [
        Measured(what, seconds, "pandas, the same pandera schema, insert", pandas_seconds, "<= 0.5"),
        Measured(what, seconds, "DuckDB reading the file into a table", bare_seconds, "<= 3"),
    ]


def _empty(path: Path) -> Warehouse:
    gc.collect()
    for left in (path, path.with_name(path.name + ".wal")):
        left.unlink(missing_ok=True)
    warehouse = Warehouse(path)
    migrate.prepare(warehouse)
    return warehouse


def land_with_pandas(file: Path, warehouse: Warehouse) -> int:
    """The same work the usual way: texts trimmed, hashed, de-duplicated, parsed, validated, inserted. Answers rows."""
    frame = pd.read_csv(file, dtype="string", keep_default_na=False)
    frame = frame.apply(lambda column: column.str.strip())
    joined = frame.iloc[:, 0].str.cat(frame.iloc[:, 1:], sep="\x1f")
    frame["row_sha256"] = [hashlib.sha256(text.encode()).hexdigest() for text in joined]
    frame["source_line"] = range(2, len(frame) + 2)
    frame = frame[frame["row_sha256"] != frame.groupby("item_id")["row_sha256"].shift()]
    frame = frame.mask(frame == "")
    frame["order_number"] = frame["order_number"].str.lstrip("# ")
    for name in _TIMES:
        frame[name] = pd.to_datetime(frame[name], format="ISO8601", utc=True).dt.as_unit("us")
    for name in _NUMBERS:
        frame[name] = pd.to_numeric(frame[name]).astype("Int64")
    declared = schema_of(_KIND.declared).columns
    schema = pa.DataFrameSchema({name: declared[name] for name in frame.columns if name in declared})
    frame = schema.validate(frame, lazy=True)
    with warehouse.transaction() as connection:
        connection.register("frame", frame)
        connection.execute("create table landing.with_pandas as from frame")
        connection.unregister("frame")
    return len(frame)
