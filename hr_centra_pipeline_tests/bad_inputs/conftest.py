from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hr_centra_pipeline.cli.main import main
from hr_centra_pipeline.sources.happy_returns.export_intake import ingest
from hr_centra_pipeline.sources.happy_returns.export_profiles import load_profiles
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Told:
    """How a command ended and what it said."""

    code: int
    said: str

    def is_clear(self, *words: str, lines: int = 1) -> None:
        """One message that names all of these, and no traceback."""
        assert "Traceback" not in self.said, self.said
        assert [word for word in words if word not in self.said] == [], self.said
        assert len(self.said.strip().splitlines()) <= lines, self.said


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a valid policy; the environment points at it and nowhere else."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "policy.toml").write_text(EXAMPLE_POLICY.read_text(encoding="utf-8"), encoding="utf-8")
    for name, value in {
        "HR_CENTRA_HOME": str(folder), "HR_CENTRA_MODE": "dry_run", "HR_CENTRA_NOW": NOW.isoformat(),
        "HAPPY_RETURNS_EXPORTS": str(tmp_path / "exports"), "CENTRA_GRAPHQL_URL": "http://127.0.0.1:9/graphql",
        "CENTRA_TOKEN": "token", "CENTRA_ORDER_API_URL": "http://127.0.0.1:9", "CENTRA_ORDER_API_KEY": "key",
        "DAGSTER_HOME": str(folder / "dagster"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    (tmp_path / "exports").mkdir()
    return folder


Command = Callable[..., Told]


@pytest.fixture
def command(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run ``hr-centra …`` in this process, as the shell does."""

    def run(*arguments: str) -> Told:
        monkeypatch.setattr("sys.argv", ["hr-centra", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Told(ended.value.code if isinstance(ended.value.code, int) else 1, captured.err or captured.out)

    return run


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with one good return, unit, refund and shipment in it: the books that nothing may change."""
    folder = tmp_path_factory.mktemp("books")
    exports = folder / "exports"
    exports.mkdir()
    for name, text in GOOD.items():
        (exports / name).write_text(text, encoding="utf-8")
    warehouse = Warehouse(folder / "warehouse.duckdb")
    migrate.prepare(warehouse)
    ingest(warehouse, str(exports), load_profiles(Path("/nowhere")), NOW)
    warehouse.fold_log_in()
    return warehouse.path


@pytest.fixture
def ledger(template: Path, tmp_path: Path) -> Warehouse:
    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(template.read_bytes())
    return Warehouse(path)


def content(warehouse: Warehouse, *schemas: str) -> list[tuple[str, str]]:
    """Every row of some schemas: (table, row)."""
    with warehouse.transaction() as connection:
        tables = connection.execute(
            "select schema_name || '.' || table_name from duckdb_tables() where schema_name in (select unnest(?)) order by 1",
            [list(schemas)],
        ).fetchall()
        return [
            (name, str(row)) for (name,) in tables for row in connection.execute(f"from {name} order by all").fetchall()
        ]


GOOD = {
    "returns-20260901T0900Z.csv": (
        "return_id,order_number,refund_status,created_at,updated_at\nRT-1,1001,started,2026-09-01T08:00:00Z,2026-09-01T08:00:00Z\n"
    ),
    "items-20260901T0900Z.csv": (
        "item_id,return_id,order_number,sku,refund_type,updated_at\nI1,RT-1,1001,SKU-1,refund,2026-09-01T08:00:00Z\n"
    ),
    "refunds-20260901T0900Z.csv": (
        "refund_id,return_id,order_number,refund_type,status,currency,total_refunded,updated_at\n"
        "RF1,RT-1,1001,refund,issued,EUR,10.00,2026-09-01T08:00:00Z\n"
    ),
    "shipments-20260901T0900Z.csv": "shipment_id,item_id,updated_at\nS1,I1,2026-09-01T08:00:00Z\n",
}
