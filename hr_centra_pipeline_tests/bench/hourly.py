"""What an hourly sync with 1,000 new return units costs: on a long history next to a short one, whole process, dry run."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hr_centra_pipeline.sandbox.server import RunningSandbox, SandboxSettings, running_sandbox
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.bench.history import first_spare, land_history
from hr_centra_pipeline_tests.bench.measured import Measured, in_turn
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY, WITH_GIFT_CARDS

SHORT, LONG = 100_000, 1_000_000
NEW_UNITS = 1_000
_ROUNDS = 3
_NOW = datetime(2026, 10, 2, 12, tzinfo=UTC)


@dataclass
class Home:
    """A pipeline's home with a history behind it. Nothing is new in its Centra."""

    folder: Path
    units: int
    environment: dict[str, str]
    hour: int = 0

    def next_hour(self) -> None:
        """1,000 units are dropped off and exported, and the hourly job runs."""
        self._export(self.hour)
        self.hour += 1
        self.sync()

    def sync(self) -> None:
        """The hourly job once."""
        command = [sys.executable, "-m", "hr_centra_pipeline.cli.main", "sync"]
        subprocess.run(command, env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def _export(self, hour: int) -> None:
        at = _NOW - timedelta(hours=20 - hour)
        stamp = f"{at:%Y-%m-%dT%H:%M:%SZ}"
        returns, items = [], []
        for place in range(NEW_UNITS // 2):
            number = first_spare(self.units) + hour * NEW_UNITS // 2 + place
            named = {
                "return_id": f"RN-{number}",
                "order_number": f"#{number}",
                "express_code": f"HRN{number % 100_000:05d}",
            }
            returns.append(
                {
                    **named,
                    "refund_status": "approved",
                    "return_method": "return-bar",
                    "created_at": stamp,
                    "updated_at": stamp,
                }
            )
            for line in range(2):
                line_id = 10_000_000 + (number - 1_000_000) * 2 + line
                items.append(
                    {
                        **named, "item_id": f"IN-{line_id}", "order_line_item_id": str(line_id), "sku": "", "refund_type": "refund",
                        "dropoff_method": "return-bar", "received_at": stamp, "approved_at": stamp, "updated_at": stamp,
                    }
                )  # fmt: skip
        for kind, rows in (("returns", returns), ("items", items)):
            path = self.folder / "exports_in" / f"{kind}-{at:%Y%m%dT%H%M}Z.csv"
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)


def prepared(folder: Path, units: int, sandbox: RunningSandbox) -> Home:
    """A home whose history was synced once, so that what is over is settled."""
    (folder / "exports_in").mkdir(parents=True)
    policy = re.sub(r"(?m)^cutover = .*$", "cutover = 2020-01-01T00:00:00Z", EXAMPLE_POLICY.read_text("utf-8"))
    (folder / "policy.toml").write_text(policy, encoding="utf-8")
    warehouse = Warehouse(folder / "warehouse.duckdb")
    migrate.prepare(warehouse)
    with warehouse.transaction() as connection:
        land_history(connection, units, _NOW - timedelta(days=1), spare_orders=_ROUNDS * NEW_UNITS)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HR_CENTRA_", "DAGSTER_"))}
    environment = {
        **kept, **sandbox.environment(), "HR_CENTRA_HOME": str(folder), "HR_CENTRA_NOW": _NOW.isoformat(),
        "HR_CENTRA_MODE": "dry_run", "HAPPY_RETURNS_EXPORTS": str(folder / "exports_in"),
    }  # fmt: skip
    home = Home(folder, units, environment)
    home.sync()
    return home


def measure() -> list[Measured]:
    """Seconds of a sync with 1,000 new units after 1,000,000, next to one after 100,000."""
    settings = SandboxSettings(speed=1000.0, centra=WITH_GIFT_CARDS)
    with tempfile.TemporaryDirectory() as name, running_sandbox(Path(name) / "sandbox", settings) as sandbox:
        long, short = (prepared(Path(name) / str(units), units, sandbox) for units in (LONG, SHORT))
        seconds, other = in_turn(_ROUNDS, long.next_hour, short.next_hour)
    return [Measured(f"sync of {NEW_UNITS:,} new units after {LONG:,}", seconds, f"after {SHORT:,}", other, "<= 2")]
