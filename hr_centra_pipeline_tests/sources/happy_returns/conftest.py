from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.sources.happy_returns.export_intake import IngestReport, ingest
from hr_centra_pipeline.sources.happy_returns.export_profiles import Profile, load_profiles
from hr_centra_pipeline.sources.happy_returns.export_staging import StagingReport, refresh
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests import staged

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
PACKAGE = Path(__file__).parents[3] / "hr_centra_pipeline" / "sources" / "happy_returns"

ITEM = {
    "return_id": "RT-1", "order_number": "1001", "order_line_item_id": "77", "sku": "SKU-1", "item_id": "IT-1",
    "express_code": "HRAAAAAA", "refund_type": "refund", "dropoff_method": "return-bar",
    "updated_at": "2026-09-20T08:00:00Z",
}  # fmt: skip
RETURN = {
    "return_id": "RT-1", "order_number": "1001", "express_code": "HRAAAAAA", "refund_status": "started",
    "created_at": "2026-09-19T08:00:00Z", "updated_at": "2026-09-20T08:00:00Z",
}  # fmt: skip
REFUND = {
    "refund_id": "RF-1", "return_id": "RT-1", "order_number": "1001", "refund_type": "refund", "status": "issued",
    "issued_at": "2026-09-22T08:00:00Z", "currency": "EUR", "item_subtotal": "100.00", "tax": "19.00",
    "total_refunded": "119.00", "updated_at": "2026-09-22T08:00:00Z",
}  # fmt: skip
SHIPMENT = {
    "shipment_id": "45678", "item_id": "IT-1", "departed_at": "2026-09-23T08:00:00Z",
    "updated_at": "2026-09-23T08:00:00Z",
}  # fmt: skip
COMPLETE: dict[str, dict[str, str]] = {"items": ITEM, "returns": RETURN, "refunds": REFUND, "shipments": SHIPMENT}


@dataclass
class Harness:
    """One merchant's folder of exports and the database behind it."""

    folder: Path
    warehouse: Warehouse
    profiles: list[Profile]

    def put(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def csv(self, kind: str, *rows: dict[str, Any], name: str = "") -> Path:
        """A CSV with every column of the default profile; what a row does not say is blank."""
        return self.put(name or f"{kind}-{len(list(self.folder.iterdir()))}.csv", as_csv(self.header(kind), rows))

    def json_lines(self, name: str, *rows: dict[str, Any]) -> Path:
        return self.put(name, "".join(json.dumps(row) + "\n" for row in rows).encode())

    def compressed(self, kind: str, name: str, *rows: dict[str, Any]) -> Path:
        return self.put(name, gzip.compress(as_csv(self.header(kind), rows)))

    def header(self, kind: str) -> list[str]:
        default = next(profile for profile in self.profiles if profile.name == "default")
        return list(default.columns[kind].values())  # type: ignore[index]

    def ingest(self, now: datetime = NOW, url: str = "") -> IngestReport:
        return ingest(self.warehouse, url or str(self.folder), self.profiles, now)

    def refresh(self, now: datetime = NOW) -> StagingReport:
        return refresh(self.warehouse, now)

    def stage(self, kind: str, *rows: dict[str, Any], name: str = "") -> None:
        """Deliver one file, land and stage it."""
        self.csv(kind, *rows, name=name)
        self.ingest()
        self.refresh()

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self.warehouse.transaction() as connection:
            return connection.execute(sql, list(parameters)).fetchall()

    def rejected(self) -> list[tuple[Any, ...]]:
        return self.rows("select source_line, column_name, reason, raw_text from quarantine.rejected_rows order by all")

    def totals(self) -> tuple[int, int, int, int]:
        """Rows read, landed, rejected, repeated over all files, after proving that each file adds up."""
        assert (
            self.rows("select * from landing.files where rows_read <> rows_landed + rows_rejected + rows_repeated")
            == []
        )
        ((read, landed, rejected, repeated),) = self.rows(
            "select sum(rows_read), sum(rows_landed), sum(rows_rejected), sum(rows_repeated) from landing.files"
        )
        return int(read), int(landed), int(rejected), int(repeated)


def as_csv(header: Sequence[str], rows: Sequence[dict[str, Any]], *, end: str = "\n", delimiter: str = ",") -> bytes:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, header, restval="", lineterminator=end, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    return new_harness(tmp_path)


def new_harness(tmp_path: Path) -> Harness:
    folder = tmp_path / "exports"
    folder.mkdir(parents=True)
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    staged.prepare_a_copy(warehouse)
    return Harness(folder, warehouse, load_profiles(tmp_path / "profiles"))
